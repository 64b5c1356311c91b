//! `tidegate release analysis`: each check with its numbers, and how near it is to its thresholds.

use std::io::Write;

use clap::Args;

use crate::admin::wire::{AnalysisStatus, CheckStatus, TallyStatus};
use crate::cli::client::Client;
use crate::cli::output::{Failure, Ink, percent, table, tenths};
use crate::cli::printing;
use crate::cli::release::watch::{Shown, watch};
use crate::cli::release::{One, get, path};

/// Show what the analysis says.
#[derive(Args, Debug)]
#[command(after_help = "\
Evidence is a natural logarithm: of how much likelier what was seen is if the candidate is worse than
if it is not. The candidate fails where it reaches its threshold, and is proven where the evidence that
it is good reaches the other.")]
pub(in crate::cli::release) struct Analysis {
    #[command(flatten)]
    one: One,
    /// Show it anew each second, until the release is over.
    #[arg(short, long, conflicts_with = "json")]
    watch: bool,
}

impl Analysis {
    /// Whether JSON was asked for.
    pub(in crate::cli::release) fn json(&self) -> bool {
        self.one.json
    }

    pub(in crate::cli::release) fn run(self, ink: Ink) -> Result<(), Failure> {
        if self.watch {
            let client = Client::new(&self.one.instance)?;
            return watch(ink, async || {
                let path = path(&self.one.id, "/analysis");
                let analysis: AnalysisStatus = get(&client, &path).await?;
                let mut text = Vec::new();
                print_all(&mut text, &analysis)?;
                let active = ["pending", "preview", "progressing", "baking"];
                Ok(Shown {
                    text: String::from_utf8_lossy(&text).trim_end().to_owned(),
                    is_last: !active.contains(&analysis.phase.as_str()),
                })
            });
        }
        printing(|out| {
            let answer = self.one.get("/analysis")?;
            let analysis: AnalysisStatus = answer.value()?;
            if self.one.json {
                return answer.copy(out);
            }
            print_all(out, &analysis)
        })
    }
}

fn print_all(out: &mut dyn Write, analysis: &AnalysisStatus) -> Result<(), Failure> {
    let step = analysis.step;
    let step = step.map_or(String::new(), |step| format!(", step {step}"));
    let require = analysis.require.as_deref();
    let require = require.map_or(String::new(), |require| {
        format!(", which requires {require}")
    });
    writeln!(out, "{}  {}{step}{require}", analysis.id, analysis.phase)?;
    let Some(report) = &analysis.report else {
        writeln!(out, "nothing was seen yet")?;
        return Ok(());
    };
    writeln!(out, "{}: {}\n", report.verdict, report.text)?;
    print(out, &report.checks)?;
    writeln!(out)?;
    for check in &report.checks {
        writeln!(out, "{}: {}", check.name, check.text)?;
    }
    writeln!(
        out,
        "\ncompared with {}, alpha {} over the whole release, a look each {} s",
        analysis.baseline, analysis.alpha, analysis.interval_seconds
    )?;
    Ok(())
}

/// Prints checks as a table: bad requests of both sides in this step, and evidence against
/// thresholds.
pub(in crate::cli::release) fn print(
    out: &mut dyn Write,
    checks: &[CheckStatus],
) -> Result<(), Failure> {
    let header = [
        "CHECK",
        "CANDIDATE",
        "RATE",
        "BASELINE",
        "RATE",
        "WORSE",
        "GOOD",
        "PHI",
        "VERDICT",
    ];
    let rows: Vec<_> = checks.iter().map(row).collect();
    table(out, &header, &[1, 2, 3, 4, 5, 6, 7], &rows)
}

fn row(check: &CheckStatus) -> Vec<String> {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), percent);
    let has_baseline = check.step.baseline.requests > 0.0;
    let baseline = if has_baseline {
        counts(check.step.baseline)
    } else {
        "-".to_owned()
    };
    let mut verdict = check.verdict.clone();
    if check.dry_run {
        verdict.push_str(" (dry run)");
    }
    vec![
        check.name.clone(),
        counts(check.step.candidate),
        rate(check.candidate_rate),
        baseline,
        rate(check.baseline_rate),
        against(check.ln_e, check.ln_e_needed),
        against(check.pass_ln_e, check.pass_ln_e_needed),
        format!("{:.2}", check.phi),
        verdict,
    ]
}

fn counts(tally: TallyStatus) -> String {
    format!("{:.0} of {:.0}", tally.bad, tally.requests)
}

/// Evidence against its threshold: `3.2 of 4.6`.
fn against(evidence: Option<f64>, needed: Option<f64>) -> String {
    match (evidence, needed) {
        (Some(evidence), Some(needed)) => format!("{} of {}", tenths(evidence), tenths(needed)),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use serde_json::json;

    use crate::admin::wire::{AnalysisStatus, CheckStatus};
    use crate::cli::release::analysis::print_all;

    /// A check of errors on its way to fail.
    pub(in crate::cli) fn checks() -> Vec<CheckStatus> {
        let arms = json!({
            "candidate": { "requests": 103.0, "bad": 5.0 },
            "baseline": { "requests": 309.0, "bad": 0.0 },
        });
        let check = json!({
            "name": "errors", "kind": "error_rate", "verdict": "insufficient",
            "on_fail": "rollback", "dry_run": true, "required": true, "since": "",
            "release": arms, "step": arms, "candidate_rate": 0.0485, "baseline_rate": 0.0,
            "ln_e": 3.21, "ln_e_needed": 4.605, "over_floor": true, "pass_ln_e": -8.0,
            "pass_ln_e_needed": 3.69, "phi": 1.0, "text": "5 of 103 are bad",
        });
        vec![serde_json::from_value(check).unwrap()]
    }

    #[test]
    fn evidence_stands_against_its_threshold() {
        let mut analysis: AnalysisStatus = serde_json::from_value(json!({
            "id": "shop-2.0.0", "attempt": 1, "phase": "progressing", "step": 2,
            "require": "proven", "interval_seconds": 30.0, "warmup_seconds": 60.0,
            "alpha": 0.01, "baseline": "stable",
            "report": {
                "verdict": "insufficient", "text": "more is needed", "at": "", "n_ticks": 3,
                "checks": [],
            },
        }))
        .unwrap();
        analysis.report.as_mut().unwrap().checks = checks();
        let mut out = Vec::new();
        print_all(&mut out, &analysis).unwrap();
        let text = String::from_utf8(out).unwrap();
        let mut lines = text.lines();
        let row = lines.find(|line| line.starts_with("errors ")).unwrap();
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "errors 5 of 103 4.85 % 0 of 309 0 % 3.2 of 4.6 -8.0 of 3.7 1.00 insufficient (dry run)"
        );
        assert!(text.contains("errors: 5 of 103 are bad"), "{text}");
        assert!(text.contains("step 2, which requires proven"), "{text}");
    }
}
