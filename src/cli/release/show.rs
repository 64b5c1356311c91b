//! `tidegate release get|why|doc`: where a release stands, why, and what it is.

use std::io::Write;

use clap::Args;

use crate::admin::wire::{AnalysisStatus, CheckStatus, HoldStatus, Release, StepStatus, Why};
use crate::cli::client::Client;
use crate::cli::gate;
use crate::cli::moment::distance_from_now;
use crate::cli::output::{Failure, Ink, json, table};
use crate::cli::release::watch::{Shown, watch};
use crate::cli::release::{One, analysis, get, path};
use crate::cli::steps::progress;
use crate::cli::{block_on, printing};

/// Show where a release stands.
#[derive(Args, Debug)]
pub(in crate::cli::release) struct Get {
    #[command(flatten)]
    one: One,
    /// Show it anew each second, until the release is over.
    #[arg(short, long, conflicts_with = "json")]
    watch: bool,
}

/// Tell why a release does not move.
#[derive(Args, Debug)]
pub(in crate::cli::release) struct AskWhy {
    #[command(flatten)]
    one: One,
}

/// Print a release as a document, in Markdown.
#[derive(Args, Debug)]
pub(in crate::cli::release) struct Doc {
    #[command(flatten)]
    one: One,
}

impl Get {
    /// Whether JSON was asked for.
    pub(in crate::cli::release) fn json(&self) -> bool {
        self.one.json
    }

    pub(in crate::cli::release) fn run(self, ink: Ink) -> Result<(), Failure> {
        let client = Client::new(&self.one.instance)?;
        if self.watch {
            return watch(ink, async || {
                let (release, checks) = ask(&client, &self.one.id).await?;
                let mut text = Vec::new();
                print(&mut text, &release, &checks)?;
                Ok(Shown {
                    text: String::from_utf8_lossy(&text).trim_end().to_owned(),
                    is_last: !release.row.is_active,
                })
            });
        }
        printing(|out| {
            if self.one.json {
                let answer = self.one.get("")?;
                answer.value::<Release>()?;
                return answer.copy(out);
            }
            let (release, checks) = block_on(ask(&client, &self.one.id))?;
            print(out, &release, &checks)
        })
    }
}

impl AskWhy {
    /// Whether JSON was asked for.
    pub(in crate::cli::release) fn json(&self) -> bool {
        self.one.json
    }

    pub(in crate::cli::release) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let answer = self.one.get("/why")?;
        let why: Why = answer.value()?;
        if self.one.json {
            return answer.copy(out);
        }
        print_why(out, &why)
    }
}

impl Doc {
    /// Whether JSON was asked for.
    pub(in crate::cli::release) fn json(&self) -> bool {
        self.one.json
    }

    pub(in crate::cli::release) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let answer = self.one.get("/document")?;
        if !answer.status.is_success() {
            return Err(answer.failure());
        }
        if self.one.json {
            let document = serde_json::json!({ "id": self.one.id, "markdown": answer.text() });
            return json(out, &document);
        }
        answer.copy(out)
    }
}

async fn ask(client: &Client, id: &str) -> Result<(Release, Vec<CheckStatus>), Failure> {
    let release: Release = get(client, &path(id, "")).await?;
    let analysis: AnalysisStatus = get(client, &path(id, "/analysis")).await?;
    let checks = analysis.report.map(|report| report.checks);
    Ok((release, checks.unwrap_or_default()))
}

fn print(out: &mut dyn Write, release: &Release, checks: &[CheckStatus]) -> Result<(), Failure> {
    let row = &release.row;
    let attempt = match row.attempt {
        1 => String::new(),
        attempt => format!(", attempt {attempt}"),
    };
    writeln!(
        out,
        "{}  {}  {}  for {}{attempt}\n",
        row.id,
        row.phase,
        progress(row),
        distance_from_now(&row.entered_at),
    )?;
    let mut facts = vec![
        (
            "route",
            format!("{}: {} → {}", row.route, row.stable, row.candidate),
        ),
        ("strategy", strategy(release)),
    ];
    for (name, fact) in [
        ("artifact", &release.artifact),
        ("commit", &release.commit),
        ("author", &release.author),
        ("ticket", &release.ticket),
        ("deadline", &release.deadline_at),
        ("rollback until", &release.rollback_until),
        ("alarm", &release.alarm),
        ("conflict", &release.conflict),
        ("ended by", &row.cause),
    ] {
        if let Some(fact) = fact {
            facts.push((name, fact.clone()));
        }
    }
    if let Some(verdict) = &release.verdict_text {
        facts.push(("analysis", verdict.clone()));
    }
    if row.review_is_required {
        let text = "an emergency has to be looked at: `tidegate release review`";
        facts.push(("review", text.to_owned()));
    }
    for (name, fact) in facts {
        writeln!(out, "{name:<15} {fact}")?;
    }
    writeln!(out)?;
    steps(out, &release.steps)?;
    if !checks.is_empty() {
        writeln!(out)?;
        analysis::print(out, checks)?;
    }
    if !row.holds.is_empty() {
        writeln!(out)?;
        holds(out, &row.holds)?;
    }
    Ok(())
}

fn strategy(release: &Release) -> String {
    if release.strategy.is_empty() {
        release.row.kind.clone()
    } else {
        format!("{} ({})", release.strategy, release.row.kind)
    }
}

fn steps(out: &mut dyn Write, steps: &[StepStatus]) -> Result<(), Failure> {
    let rows: Vec<_> = steps
        .iter()
        .enumerate()
        .map(|(n, step)| {
            let mark = if step.progress == "current" { ">" } else { "" };
            vec![
                mark.to_owned(),
                (n + 1).to_string(),
                step.what.clone(),
                step.gate.clone().unwrap_or_default(),
                step.progress.clone(),
            ]
        })
        .collect();
    table(out, &["", "STEP", "WHAT", "GATE", ""], &[1], &rows)
}

/// What holds a release, what ends that, and who can.
fn holds(out: &mut dyn Write, holds: &[HoldStatus]) -> Result<(), Failure> {
    let header = ["WAITS FOR", "SINCE", "ENDS WHEN", "WHO CAN", "DETAIL"];
    let rows = holds.iter().map(|hold| {
        vec![
            hold.reason.clone(),
            distance_from_now(&hold.since),
            hold.clears_when.clone(),
            hold.who_may_clear.clone(),
            hold.detail.clone(),
        ]
    });
    table(out, &header, &[1], &rows.collect::<Vec<_>>())
}

fn print_why(out: &mut dyn Write, why: &Why) -> Result<(), Failure> {
    writeln!(out, "{}  {}: {}", why.id, why.place, why.text)?;
    if let Some(next) = &why.next {
        let until = why.until.as_deref();
        let until = until.map_or(String::new(), |until| format!(", not before {until}"));
        writeln!(out, "next: {next}{until}")?;
    }
    if let Some(verdict) = why.verdict_text.as_ref().or(why.verdict.as_ref()) {
        writeln!(out, "analysis: {verdict}")?;
    }
    if let Some(conflict) = &why.conflict {
        writeln!(out, "the file asks for something else: {conflict}")?;
    }
    if !why.holds.is_empty() {
        writeln!(out)?;
        holds(out, &why.holds)?;
    }
    if let Some(gate) = &why.gate {
        writeln!(out, "\ngate {}", gate.name)?;
        gate::checklist(out, gate)?;
    }
    Ok(())
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use serde_json::json;

    use crate::admin::wire::{Release, Why};
    use crate::cli::release::analysis::tests::checks;
    use crate::cli::release::show::{print, print_why};

    fn hold() -> serde_json::Value {
        json!({
            "reason": "approval:sre", "kind": "approval", "since": "2026-01-01T00:00:00Z",
            "detail": "1 of 2 have approved", "clears_when": "the gate `sre` is open",
            "who_may_clear": "sre",
        })
    }

    /// A release in its second step, before a gate.
    pub(in crate::cli) fn release() -> Release {
        let step = |what: &str, progress: &str, gate: Option<&str>| {
            json!({
                "what": what, "action": "weight", "percent": 1.0, "at_least_seconds": 600.0,
                "require": "no-regression", "progress": progress, "gate": gate,
            })
        };
        serde_json::from_value(json!({
            "id": "shop-2.0.0", "revision": 7, "route": "shop", "stable": "v1",
            "candidate": "v2", "kind": "canary", "phase": "progressing", "is_active": true,
            "attempt": 2, "step": 2, "n_steps": 4, "weight_percent": 5.0, "holds": [hold()],
            "created_at": "2026-01-01T00:00:00Z", "entered_at": "2026-01-01T00:00:00Z",
            "origin": "file", "created_by": "file", "spec_sha256": "", "change": "normal",
            "start": "auto", "strategy": "careful", "author": "ana@example.com",
            "steps": [
                step("1 % for 10m", "done", None),
                step("5 % for 10m, no-regression", "current", Some("sre")),
                step("50 % for 10m, proven", "ahead", None),
                step("100 %", "ahead", None),
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_release_is_shown_with_steps_evidence_and_holds() {
        let mut out = Vec::new();
        print(&mut out, &release(), &checks()).unwrap();
        let text = String::from_utf8(out).unwrap();
        let find = |start: &str| {
            let mut lines = text.lines();
            let found = lines.find(|line| line.trim_start().starts_with(start));
            let words = found.unwrap_or_else(|| panic!("{start}: {text}"));
            words.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(find("shop-2.0.0").contains("progressing [##--] 2/4 5 %"));
        assert!(find("shop-2.0.0").ends_with("attempt 2"), "{text}");
        assert_eq!(find("route"), "route shop: v1 → v2");
        assert_eq!(find("strategy"), "strategy careful (canary)");
        assert_eq!(find(">"), "> 2 5 % for 10m, no-regression sre current");
        assert!(find("errors").starts_with("errors 5 of 103"), "{text}");
        let hold = find("approval:sre");
        assert!(hold.contains("the gate `sre` is open sre 1 of 2"), "{hold}");
        assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
    }

    #[test]
    fn why_tells_what_ends_a_hold_and_what_a_gate_asks_for() {
        let why: Why = serde_json::from_value(json!({
            "id": "shop-2.0.0", "phase": "progressing", "place": "progressing 2/4 at 5 %",
            "text": "it waits for an approval", "next": "step 3 of 4: 50 %", "holds": [hold()],
            "gate": {
                "name": "sre", "release": "shop-2.0.0", "route": "shop", "state": "waiting",
                "is_next": true, "have": 1, "need": 2,
                "checklist": [{ "criterion": "notes", "done": false, "detail": "there are none" }],
            },
        }))
        .unwrap();
        let mut out = Vec::new();
        print_why(&mut out, &why).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "it waits for an approval",
            "next: step 3 of 4",
            "[ ] notes",
            "1 of 2",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
