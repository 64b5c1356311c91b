//! What `top` shows, as lines of text and as JSON; how they come to a screen is not known here.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::admin::wire::Status;
use crate::cli::output::{Ink, percent};
use crate::cli::screen::Size;
use crate::cli::top::Sort;
use crate::cli::top::interval::{Interval, Traffic, VariantSeen};
use crate::cli::top::layout::{Cell, Column, Kind, Tone, cut, table};
use crate::cli::top::quantile::Quantile;

/// The columns, with how much they are needed.
const COLUMNS: [Column; 15] = [
    column("ROUTE", Kind::Name, 14),
    column("VARIANT", Kind::Name, 15),
    column("UPSTREAM", Kind::Name, 1),
    column("WEIGHT", Kind::Number, 2),
    column("SHARE", Kind::Number, 9),
    column("ACTUAL", Kind::Number, 10),
    column("REQ/S", Kind::Number, 13),
    column("FAILED", Kind::Number, 12),
    column("BY PROXY", Kind::Number, 4),
    column("P50 MS", Kind::Number, 7),
    column("P99 MS", Kind::Number, 11),
    column("RUNNING", Kind::Number, 6),
    column("TUNNELS", Kind::Number, 3),
    column("UP", Kind::Number, 5),
    column("STATE", Kind::Word, 8),
];

const fn column(title: &'static str, kind: Kind, need: u8) -> Column {
    Column { title, kind, need }
}

/// An instance at one moment: what it said, what happened since, and whether it still answers.
pub(in crate::cli::top) struct Seen<'a> {
    /// The URL of its admin API.
    pub(in crate::cli::top) admin: &'a str,
    /// When it was looked at, as RFC 3339 in UTC.
    pub(in crate::cli::top) at: String,
    /// How long it has been running.
    pub(in crate::cli::top) running: Option<Duration>,
    /// What it said last.
    pub(in crate::cli::top) status: &'a Status,
    /// What happened between then and the time before.
    pub(in crate::cli::top) interval: &'a Interval,
    /// Why it does not answer any more, when it does not.
    pub(in crate::cli::top) gone: Option<&'a str>,
}

/// What of it is shown, and in what order.
#[derive(Clone, Debug)]
pub(in crate::cli::top) struct Choice {
    /// The order of routes.
    pub(in crate::cli::top) sort: Sort,
    /// These routes alone; all when there is none.
    pub(in crate::cli::top) routes: Vec<String>,
}

impl Choice {
    fn has(&self, route: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|chosen| chosen == route)
    }

    /// The variants that are shown. Those of a route stay together, by name; the route with the
    /// most of what is sorted by comes first.
    fn of<'a>(&self, variants: &'a [VariantSeen]) -> Vec<&'a VariantSeen> {
        let mut shown: Vec<_> = variants.iter().filter(|v| self.has(&v.route)).collect();
        let mut most: BTreeMap<&str, f64> = BTreeMap::new();
        for variant in &shown {
            let most = most.entry(&variant.route).or_default();
            let number = self.sort.number(variant);
            *most = match self.sort {
                Sort::Rate => *most + number,
                Sort::Name | Sort::Errors | Sort::Latency => most.max(number),
            };
        }
        // The sort is stable, and they come by name.
        shown.sort_by(|a, b| {
            let [a, b] = [a, b].map(|variant| most.get(variant.route.as_str()));
            b.partial_cmp(&a).unwrap_or(Ordering::Equal)
        });
        shown
    }
}

impl Sort {
    fn number(self, variant: &VariantSeen) -> f64 {
        match self {
            Self::Name => 0.0,
            Self::Rate => variant.traffic.requests_per_second.unwrap_or(0.0),
            Self::Errors => variant.traffic.failed.unwrap_or(0.0),
            Self::Latency => match variant.p99_ms {
                None => 0.0,
                Some(Quantile::Within(ms)) => ms,
                Some(Quantile::Beyond(_)) => f64::INFINITY,
            },
        }
    }
}

/// A frame that fits a terminal.
pub(in crate::cli::top) fn frame(
    seen: &Seen<'_>,
    choice: &Choice,
    size: Size,
    ink: Ink,
) -> Vec<String> {
    let fit = |text: String| cut(&text, size.columns);
    let mut lines = vec![
        ink.bold(fit(head(seen))).to_string(),
        fit(sum(seen)),
        match seen.gone {
            Some(why) => ink.red(fit(gone(why))).to_string(),
            None => String::new(),
        },
    ];
    let shown = choice.of(&seen.interval.variants);
    // Besides what stands above: the titles, and the line below.
    let room = size.rows.saturating_sub(lines.len() + 2);
    let rows: Vec<_> = shown
        .iter()
        .take(room)
        .map(|variant| row(variant))
        .collect();
    let left_out = shown.len() - rows.len();
    lines.extend(table(&COLUMNS, &rows, Some(size.columns), ink));
    let mut foot = match left_out {
        0 => String::new(),
        1 => "1 more variant; ".to_owned(),
        n => format!("{n} more variants; "),
    };
    let sort = choice.sort.name();
    foot.push_str(&format!("by {sort}; keys: q ends, r e l n sort"));
    lines.push(ink.dim(fit(foot)).to_string());
    lines.truncate(size.rows);
    lines
}

/// Everything as a block of lines, for what is no terminal.
pub(in crate::cli::top) fn block(seen: &Seen<'_>, choice: &Choice, ink: Ink) -> Vec<String> {
    if let Some(why) = seen.gone {
        return vec![format!("{}  {}", seen.at, gone(why))];
    }
    let mut lines = vec![
        format!("{}  {}", seen.at, head(seen)),
        format!("{}  {}", seen.at, sum(seen)),
    ];
    let shown = choice.of(&seen.interval.variants);
    let rows: Vec<_> = shown.iter().map(|variant| row(variant)).collect();
    lines.extend(table(&COLUMNS, &rows, None, ink));
    lines
}

/// Everything as one JSON object.
pub(in crate::cli::top) fn object(seen: &Seen<'_>, choice: &Choice) -> Value {
    if let Some(why) = seen.gone {
        return json!({ "at": seen.at, "admin": seen.admin, "error": why, "problems": [] });
    }
    let mut routes: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for variant in choice.of(&seen.interval.variants) {
        let variants = routes.entry(&variant.route).or_default();
        variants.insert(variant.name.clone(), json!(variant));
    }
    let routes: Map<String, Value> = routes
        .into_iter()
        .map(|(route, variants)| (route.to_owned(), json!({ "variants": variants })))
        .collect();
    let status = seen.status;
    json!({
        "at": seen.at,
        "admin": seen.admin,
        "version": status.version,
        "ready": status.ready,
        "generation": status.generation,
        "started_at": status.started_at,
        "interval_seconds": seen.interval.took.map(|took| took.as_secs_f64()),
        "connections": connections(status),
        "total": seen.interval.total,
        "routes": routes,
    })
}

fn head(seen: &Seen<'_>) -> String {
    let status = seen.status;
    let running = seen
        .running
        .map_or_else(String::new, |running| format!(", up {}", roughly(running)));
    format!(
        "tidegate {} at {}: {}, generation {}{running}",
        status.version,
        seen.admin,
        if status.ready { "ready" } else { "NOT READY" },
        status.generation,
    )
}

fn sum(seen: &Seen<'_>) -> String {
    let Traffic {
        requests_per_second,
        failed,
        failed_by_proxy,
        in_flight,
        tunnels,
    } = &seen.interval.total;
    format!(
        "{} requests/s, {} failed ({} by the proxy), {in_flight} running, {tunnels} tunnels, {} \
         connections",
        rate(*requests_per_second),
        part(*failed),
        part(*failed_by_proxy),
        connections(seen.status),
    )
}

fn connections(status: &Status) -> usize {
    status.listeners.values().map(|l| l.connections).sum()
}

fn gone(why: &str) -> String {
    format!("{why}; trying again")
}

fn row(variant: &VariantSeen) -> Vec<Cell> {
    let traffic = &variant.traffic;
    let failed = |part_of: Option<f64>| {
        let alarming = part_of.is_some_and(|part| part > 0.0);
        Cell::toned(
            part(part_of),
            if alarming {
                Tone::Alarming
            } else {
                Tone::Usual
            },
        )
    };
    let available = variant.endpoints.available;
    let all_up = available == variant.endpoints.total;
    let tone = match variant.state {
        "on" => Tone::Usual,
        "down" => Tone::Alarming,
        _ => Tone::Quiet,
    };
    vec![
        Cell::usual(&variant.route),
        Cell::usual(&variant.name),
        Cell::usual(&variant.upstream),
        Cell::usual(variant.weight.to_string()),
        Cell::usual(percent(variant.share)),
        Cell::usual(part(variant.actual_share)),
        Cell::usual(rate(traffic.requests_per_second)),
        failed(traffic.failed),
        failed(traffic.failed_by_proxy),
        Cell::usual(time(variant.p50_ms)),
        Cell::usual(time(variant.p99_ms)),
        Cell::usual(traffic.in_flight.to_string()),
        Cell::usual(traffic.tunnels.to_string()),
        Cell::toned(
            format!("{available}/{}", variant.endpoints.total),
            if all_up { Tone::Usual } else { Tone::Alarming },
        ),
        Cell::toned(variant.state, tone),
    ]
}

fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 100.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// A part in percent: what is little is not rounded to nothing.
fn part(part: Option<f64>) -> String {
    match part {
        None => "-".to_owned(),
        Some(0.0) => "0 %".to_owned(),
        Some(part) if part < 0.0001 => "<0.01 %".to_owned(),
        Some(part) if part < 0.1 => format!("{:.2} %", part * 100.0),
        Some(part) if part < 0.9995 => format!("{:.1} %", part * 100.0),
        Some(_) => "100 %".to_owned(),
    }
}

fn time(quantile: Option<Quantile>) -> String {
    let digits = |ms: f64| {
        if ms < 10.0 {
            format!("{ms:.2}")
        } else if ms < 100.0 {
            format!("{ms:.1}")
        } else {
            format!("{ms:.0}")
        }
    };
    match quantile {
        None => "-".to_owned(),
        Some(Quantile::Within(ms)) => digits(ms),
        Some(Quantile::Beyond(ms)) => format!(">{ms:.0}"),
    }
}

/// A long time in its two greatest units.
fn roughly(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests;
