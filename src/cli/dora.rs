//! `tidegate dora`: how often, how fast and how well changes reach users.

use std::io::Write;

use clap::Args;

use crate::admin::wire::{Dora as Figures, DoraFigures, Spread};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, encode};
use crate::cli::moment::lasting;
use crate::cli::output::{Failure, percent, table};

/// Show the four keys of deliveries.
#[derive(Args, Debug)]
#[command(after_help = "\
A deployment is a release that was promoted; it failed when it was rolled back afterwards, or has an
incident. What went back before is no failed deployment but one that was caught. Times are medians, with
the ninth decile behind the slash; what there is no data for is shown as -.")]
pub(in crate::cli) struct Dora {
    /// How far back: 30d, 90d.
    #[arg(long, value_name = "TIME", default_value = "90d")]
    window: String,
    /// Of one route.
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Dora {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let mut path = format!("/api/v1/dora?window={}", encode(&self.window));
        if let Some(route) = &self.route {
            path.push_str(&format!("&route={}", encode(route)));
        }
        let answer = block_on(client.get(&path))?;
        let figures: Figures = answer.value()?;
        if self.json {
            return answer.copy(out);
        }
        print(out, &figures)
    }
}

fn print(out: &mut dyn Write, figures: &Figures) -> Result<(), Failure> {
    writeln!(out, "{} to {}\n", figures.all.from, figures.all.to)?;
    let header = [
        "ROUTE",
        "DEPLOYED",
        "PER DAY",
        "LEAD TIME",
        "FAILED",
        "RATE",
        "RECOVERY",
        "REWORK",
        "CAUGHT",
        "BACK IN",
    ];
    let routes = figures.routes.iter();
    let mut rows: Vec<_> = routes.map(|(name, route)| row(name, route)).collect();
    rows.push(row("(all)", &figures.all));
    table(out, &header, &[1, 2, 3, 4, 5, 6, 7, 8, 9], &rows)
}

fn row(name: &str, of: &DoraFigures) -> Vec<String> {
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    let per_day = of.deployments_per_day;
    vec![
        name.to_owned(),
        of.deployments.to_string(),
        per_day.map_or_else(|| "-".to_owned(), |n| format!("{n:.2}")),
        spread(of.lead_time),
        of.failed.to_string(),
        share(of.change_failure_rate),
        spread(of.recovery_time),
        share(of.rework_rate),
        (of.caught_in_canary + of.caught_while_baking).to_string(),
        spread(of.caught_recovery_time),
    ]
}

fn spread(spread: Option<Spread>) -> String {
    let whole = |seconds: f64| lasting(seconds.max(0.0).round() as u64);
    spread.map_or_else(
        || "-".to_owned(),
        |spread| {
            format!(
                "{} / {}",
                whole(spread.p50_seconds),
                whole(spread.p90_seconds)
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::dora::print;

    #[test]
    fn what_there_is_no_data_for_is_no_zero() {
        let figures = json!({
            "from": "2026-01-01T00:00:00Z", "to": "2026-04-01T00:00:00Z", "deployments": 9,
            "deployments_per_day": 0.1, "failed": 1, "change_failure_rate": 0.111_1,
            "recovery_time": { "p50_seconds": 8.4, "p90_seconds": 75.0, "samples": 1 },
            "caught_in_canary": 2, "caught_while_baking": 1,
        });
        let figures = serde_json::from_value(json!({ "all": figures, "routes": {} })).unwrap();
        let mut out = Vec::new();
        print(&mut out, &figures).unwrap();
        let text = String::from_utf8(out).unwrap();
        let row: Vec<_> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(row.join(" "), "(all) 9 0.10 - 1 11.11 % 8s / 1m 15s - 3 -");
    }
}
