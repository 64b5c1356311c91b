//! Commands about a running instance: `status`, `reload`, `healthcheck`.

use std::io::Write;

use clap::Args;
use http::StatusCode;

use crate::admin::wire;
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, Reason};
use crate::cli::output::{Failure, json, percent, table};

/// Show what is live on a running instance.
#[derive(Args, Debug)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    instance: Instance,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Status {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.get("/api/v1/status"))?;
        let status: wire::Status = answer.value()?;
        if self.json {
            return answer.copy(out);
        }
        print(out, &status)
    }
}

fn print(out: &mut dyn Write, status: &wire::Status) -> Result<(), Failure> {
    writeln!(
        out,
        "tidegate {}, {}; generation {} since {}, config {}\n",
        status.version,
        if status.ready { "ready" } else { "NOT READY" },
        status.generation,
        status.applied_at,
        status
            .config_sha256
            .get(..12)
            .unwrap_or(&status.config_sha256),
    )?;
    let header = [
        "ROUTE", "VARIANT", "UPSTREAM", "WEIGHT", "SHARE", "STATE", "UP", "RUNNING", "TUNNELS",
        "REQUESTS", "5XX",
    ];
    let mut rows = Vec::new();
    for (route, variants) in &status.routes {
        for (name, variant) in &variants.variants {
            let endpoints = variant.endpoints;
            rows.push(vec![
                route.clone(),
                name.clone(),
                variant.upstream.clone(),
                variant.weight.to_string(),
                percent(variant.share),
                variant.state.clone(),
                format!("{}/{}", endpoints.available, endpoints.total),
                variant.in_flight.to_string(),
                variant.tunnels.to_string(),
                variant.requests.to_string(),
                variant.failures.to_string(),
            ]);
        }
        if let Some(answer) = &variants.answer {
            let says = format!("({} {})", answer.kind, answer.status);
            let mut row = vec![route.clone(), says];
            row.resize(header.len() - 4, String::new());
            row.extend([
                answer.in_flight.to_string(),
                String::new(),
                answer.requests.to_string(),
                answer.failures.to_string(),
            ]);
            rows.push(row);
        }
    }
    table(out, &header, &[3, 4, 6, 7, 8, 9, 10], &rows)?;
    writeln!(out)?;
    rules(out, status)?;
    mirrors(out, status)?;
    let rows: Vec<_> = status
        .listeners
        .iter()
        .map(|(name, listener)| {
            vec![
                name.clone(),
                listener.address.clone(),
                listener.protocols.join(" "),
                if listener.tls { "tls" } else { "plain" }.to_owned(),
                listener.connections.to_string(),
                if listener.draining { "draining" } else { "" }.to_owned(),
            ]
        })
        .collect();
    table(
        out,
        &["LISTENER", "ADDRESS", "PROTOCOLS", "", "CONNECTIONS", ""],
        &[4],
        &rows,
    )?;
    if status.overload.refuses {
        writeln!(out)?;
        let (memory, bound) = (status.overload.memory, status.overload.memory_bound);
        let bound = bound.map_or(String::new(), |bound| format!(" of {} MiB", bound >> 20));
        writeln!(
            out,
            "overload: new work is refused, {} MiB{bound}",
            memory >> 20
        )?;
    }
    owners(out, status)?;
    if let Some(last_good) = &status.last_good {
        writeln!(out)?;
        let of = &last_good.kept_at;
        writeln!(
            out,
            "the last good configuration is obeyed, that of {of}, as the file is refused:"
        )?;
        for problem in &last_good.problems {
            writeln!(out, "{problem}")?;
        }
    }
    if !status.warnings.is_empty() {
        writeln!(out)?;
    }
    for warning in &status.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

/// Whose weights are not the file's, and what is wrong with the store that says so.
fn owners(out: &mut dyn Write, status: &wire::Status) -> Result<(), Failure> {
    let routes = status.routes.iter();
    let mut lines: Vec<String> = routes
        .filter_map(|(route, status)| {
            let sentence = status.owner.as_ref()?.sentence()?;
            Some(format!("{route}: {sentence}"))
        })
        .collect();
    if let Some(store) = &status.store {
        if let Some(error) = &store.error {
            lines.push(format!("store: it cannot be written to: {error}"));
        }
        if let Some(broken) = &store.broken {
            let (seq, why) = (broken.seq, &broken.why);
            lines.push(format!(
                "store: its history is broken at record {seq}: {why}"
            ));
        }
    }
    if !lines.is_empty() {
        writeln!(out)?;
    }
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The mirrors of all routes, if there are any.
fn mirrors(out: &mut dyn Write, status: &wire::Status) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (route, of_route) in &status.routes {
        let Some(mirror) = &of_route.mirror else {
            continue;
        };
        let of = |result: &str| mirror.results.get(result).copied().unwrap_or_default();
        let dropped = mirror.results.iter();
        let dropped = dropped.filter(|(result, _)| result.starts_with("dropped"));
        let dropped: u64 = dropped.map(|(_, count)| count).sum();
        let mismatched = mirror.comparison.as_ref();
        rows.push(vec![
            route.clone(),
            mirror.variant.as_ref().unwrap_or(&mirror.upstream).clone(),
            format!("{} %", mirror.percent),
            if mirror.active { "" } else { "off" }.to_owned(),
            of("sent").to_string(),
            (of("error") + of("timeout")).to_string(),
            dropped.to_string(),
            mismatched.map_or_else(String::new, |all| {
                format!("{} of {}", all.mismatched, all.compared)
            }),
        ]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    table(
        out,
        &[
            "ROUTE",
            "MIRROR",
            "PART",
            "",
            "SENT",
            "FAILED",
            "DROPPED",
            "MISMATCHED",
        ],
        &[2, 4, 5, 6, 7],
        &rows,
    )?;
    writeln!(out)?;
    Ok(())
}

/// The rules of all routes, if there are any.
fn rules(out: &mut dyn Write, status: &wire::Status) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (route, of_route) in &status.routes {
        for rule in &of_route.rules {
            let weights = rule.weights.iter().filter(|(_, weight)| **weight > 0);
            let weights: Vec<_> = weights
                .map(|(variant, weight)| format!("{variant} {weight}"))
                .collect();
            rows.push(vec![
                route.clone(),
                rule.segment.clone(),
                weights.join(", "),
                if rule.applies { "" } else { "passed over" }.to_owned(),
                rule.requests.to_string(),
            ]);
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    table(
        out,
        &["ROUTE", "SEGMENT", "WEIGHTS", "", "REQUESTS"],
        &[4],
        &rows,
    )?;
    writeln!(out)?;
    Ok(())
}

/// Make a running instance read its configuration again.
#[derive(Args, Debug)]
pub(in crate::cli) struct Reload {
    #[command(flatten)]
    instance: Instance,
    #[command(flatten)]
    reason: Reason,
    /// Print the answer of the API as it is.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Reload {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.post("/api/v1/config/reload", &self.reason.body()))?;
        if answer.status == StatusCode::UNPROCESSABLE_ENTITY
            && let Some(problem) = answer.problem()
        {
            return Err(Failure::Invalid {
                what: problem.detail,
                problems: problem.problems,
            });
        }
        let reloaded: wire::Reloaded = answer.value()?;
        if self.json {
            answer.copy(out)?;
            return conflicts(&client).map_err(|failure| match failure {
                Failure::Conflicts(_) => Failure::Told(3),
                failure => failure,
            });
        }
        let wire::Reloaded {
            generation,
            outcome,
            took_ms,
        } = reloaded;
        writeln!(
            out,
            "{outcome}: generation {generation} is live (took {took_ms:.1} ms)"
        )?;
        conflicts(&client)
    }
}

/// What the file asks of releases and does not get; an instance without a store has none.
fn conflicts(client: &Client) -> Result<(), Failure> {
    let answer = block_on(client.get("/api/v1/releases?state=active"))?;
    let Ok(wire::Releases { releases }) = answer.value() else {
        return Ok(());
    };
    let mut told = String::new();
    for release in releases {
        let mut holds = release.holds.iter();
        if let Some(hold) = holds.find(|hold| hold.kind == "config_conflict") {
            told.push_str(&format!("\n  {}: {}", release.id, hold.detail));
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    Err(Failure::Conflicts(format!(
        "all of it is applied, but for what conflicts with releases; `tidegate release accept-file` \
         or `tidegate release keep` decides:{told}"
    )))
}

/// Ask a running instance whether it is ready.
#[derive(Args, Debug)]
pub(in crate::cli) struct Healthcheck {
    #[command(flatten)]
    instance: Instance,
    /// Print the verdict as JSON.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Healthcheck {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let answer = block_on(client.get("/readyz?verbose"))?;
        let ready = answer.status == StatusCode::OK;
        if self.json {
            let text = answer.text();
            let checks: Vec<_> = text.lines().filter_map(read_check).collect();
            json(
                out,
                &serde_json::json!({ "ready": ready, "checks": checks }),
            )?;
        } else {
            answer.copy(out)?;
        }
        if ready {
            Ok(())
        } else {
            Err(Failure::Negative)
        }
    }
}

/// Reads a line of `/readyz?verbose`: `[+]config ok`, `[-]draining failed: it is about to end`.
fn read_check(line: &str) -> Option<serde_json::Value> {
    let (ok, rest) = match line.strip_prefix("[+]") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("[-]")?),
    };
    let (name, outcome) = rest.split_once(' ')?;
    let why = outcome.strip_prefix("failed: ");
    Some(serde_json::json!({ "name": name, "ok": ok, "why": why }))
}

#[cfg(test)]
mod tests {
    use crate::admin::wire;
    use crate::cli::status::{print, read_check};

    #[test]
    fn a_check_is_read_with_its_reason() {
        for (line, expected) in [
            (
                "[+]config ok",
                Some(r#"{"name":"config","ok":true,"why":null}"#),
            ),
            (
                "[-]drain failed: it ends: soon",
                Some(r#"{"name":"drain","ok":false,"why":"it ends: soon"}"#),
            ),
            ("ready", None),
        ] {
            let read = read_check(line).map(|value| value.to_string());
            assert_eq!(read.as_deref(), expected);
        }
    }

    #[test]
    fn a_status_is_a_table_of_variants_and_one_of_listeners() {
        let status: wire::Status = serde_json::from_value(serde_json::json!({
            "version": "0.1.0", "generation": 12, "config_sha256": "0123456789abcdef",
            "applied_at": "2026-01-02T03:04:05Z", "ready": true,
            "routes": { "shop": { "owner": { "kind": "release", "name": "shop-2",
                "reason": "progressing 1/2 at 5 %" }, "variants": { "canary": {
                "upstream": "shop-v2", "weight": 5, "share": 0.05, "state": "on",
                "endpoints": { "available": 1, "total": 2 }, "in_flight": 3, "tunnels": 0,
                "drained": false, "requests": 700, "failures": 1,
            }}}},
            "upstreams": {},
            "store": { "writable": false, "error": "no space left", "head_seq": 7, "head_hash": "ab",
                "broken": { "seq": 5, "why": "it was edited" } },
            "warnings": [{ "file": "t.toml", "line": 3, "column": 1, "key": "upstream.a",
                "message": "no route leads here" }],
            "listeners": { "http": { "address": "127.0.0.1:8080", "protocols": ["http/1.1"],
                "tls": false, "connections": 4, "draining": false, "of_the_future": 1 } },
        }))
        .unwrap();
        let mut out = Vec::new();
        print(&mut out, &status).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("generation 12"), "{text}");
        assert!(text.contains("config 0123456789ab\n"), "{text}");
        let words: Vec<_> = text.lines().nth(3).unwrap().split_whitespace().collect();
        let expected = "shop canary shop-v2 5 5 % on 1/2 3 0 700 1";
        assert_eq!(words.join(" "), expected);
        let warning = "\n\
            shop: its weights come from the release shop-2 (progressing 1/2 at 5 %), not from the file\n\
            store: it cannot be written to: no space left\n\
            store: its history is broken at record 5: it was edited\n\
            \n\
            warning: t.toml:3:1 upstream.a: no route leads here\n";
        assert!(text.ends_with(warning), "{text}");
        assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
    }
}
