//! Where the release of the demo stands, as its proxy tells by the admin API.

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::admin::wire::{AnalysisStatus, Audit, CheckStatus, HoldStatus, Release, ReportStatus};
use crate::cli::client::Client;
use crate::cli::demo::release::config::{GATE, RELEASE};
use crate::cli::output::Failure;
use crate::store::Record;

/// Where the release stands, and what its analysis says.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli::demo::release) struct Standing {
    /// The release.
    pub(in crate::cli::demo::release) release: Release,
    /// What the analysis said last.
    pub(in crate::cli::demo::release) report: Option<ReportStatus>,
}

impl Standing {
    /// Asks for it. The report of before stays where there is none any more: the release is over.
    pub(in crate::cli::demo::release) async fn ask(
        admin: &Client,
        before: Option<&Self>,
    ) -> Result<Self, Failure> {
        let release: Release = get(admin, &format!("/api/v1/releases/{RELEASE}")).await?;
        let path = format!("/api/v1/releases/{RELEASE}/analysis");
        let analysis: AnalysisStatus = get(admin, &path).await?;
        let kept = || before.and_then(|before| before.report.clone());
        Ok(Self {
            release,
            report: analysis.report.or_else(kept),
        })
    }

    /// The checks that have said something.
    pub(in crate::cli::demo::release) fn checks(&self) -> &[CheckStatus] {
        let report = self.report.as_ref();
        report.map_or(&[], |report| report.checks.as_slice())
    }

    /// Whether it is in another phase or step.
    pub(in crate::cli::demo::release) fn is_elsewhere_than(&self, before: &Self) -> bool {
        let (now, then) = (&self.release.row, &before.release.row);
        (&now.phase, now.step) != (&then.phase, then.step)
    }

    /// What has happened, in words.
    pub(in crate::cli::demo::release) fn news(&self, before: &Self) -> Vec<String> {
        let (row, old) = (&self.release.row, &before.release.row);
        let mut news = Vec::new();
        if self.is_elsewhere_than(before) {
            let step = row.step.filter(|_| row.is_active);
            let what = step.and_then(|step| self.release.steps.get(step - 1));
            news.push(match (step, what, &row.cause) {
                (Some(step), Some(what), _) => {
                    format!("step {step} of {}: {}", row.n_steps, what.what)
                }
                (_, _, Some(cause)) => format!("{}: {cause}", row.phase),
                _ => row.phase.clone(),
            });
        }
        let is_new = |hold: &&HoldStatus| old.holds.iter().all(|it| it.reason != hold.reason);
        for hold in row.holds.iter().filter(is_new) {
            news.push(format!("held by {}: {}", hold.reason, self.detail(hold)));
        }
        news
    }

    /// What a hold is about; where numbers are missing, how many there are now.
    pub(in crate::cli::demo::release) fn detail<'a>(&'a self, hold: &'a HoldStatus) -> &'a str {
        let is_of_numbers = matches!(hold.kind.as_str(), "insufficient_data" | "no_data");
        match &self.report {
            Some(report) if is_of_numbers => &report.text,
            _ => &hold.detail,
        }
    }

    /// Whether it waits at the gate for nothing but an approval.
    pub(in crate::cli::demo::release) fn waits_at_gate(&self) -> bool {
        let holds = &self.release.row.holds;
        !holds.is_empty() && holds.iter().all(|hold| hold.kind == "approval")
    }

    /// The share that the candidate is to have, in percent.
    pub(in crate::cli::demo::release) fn weight(&self) -> f64 {
        self.release.row.weight_percent
    }
}

/// Starts the release.
pub(in crate::cli::demo::release) async fn start(admin: &Client) -> Result<(), Failure> {
    let path = format!("/api/v1/releases/{RELEASE}/start");
    ask(admin, &path, "traffic flows: let us see").await
}

/// Approves at the gate.
pub(in crate::cli::demo::release) async fn approve(admin: &Client) -> Result<(), Failure> {
    let path = format!("/api/v1/releases/{RELEASE}/gates/{GATE}/approve");
    ask(admin, &path, "the numbers are good").await
}

/// The records of the audit trail, the oldest first.
pub(in crate::cli::demo::release) async fn trail(admin: &Client) -> Result<Vec<Record>, Failure> {
    let audit: Audit = get(admin, "/api/v1/audit?limit=1000").await?;
    Ok(audit.records)
}

async fn get<T: DeserializeOwned>(admin: &Client, path: &str) -> Result<T, Failure> {
    admin.get(path).await?.value()
}

async fn ask(admin: &Client, path: &str, reason: &str) -> Result<(), Failure> {
    let answer = admin.post(path, &json!({ "reason": reason })).await?;
    answer.value::<serde_json::Value>().map(drop)
}

#[cfg(test)]
pub(in crate::cli::demo::release) mod tests {
    use serde_json::json;

    use crate::cli::demo::release::standing::Standing;

    /// A release at 25 %, whose candidate looks bad.
    pub(in crate::cli::demo::release) fn standing() -> Standing {
        let tally = |requests: f64, bad: f64| json!({ "requests": requests, "bad": bad });
        let arms = json!({
            "candidate": tally(123_456.0, 1_234.0),
            "baseline": tally(234_567.0, 12.0),
        });
        let check = |name: &str, kind: &str, ln_e: f64| {
            json!({
                "name": name, "kind": kind, "verdict": "insufficient", "on_fail": "rollback",
                "dry_run": false, "required": true, "since": "", "release": arms, "step": arms,
                "ln_e": ln_e, "ln_e_needed": 4.605, "over_floor": true, "phi": 1.0, "text": "",
            })
        };
        let checks = [
            check("errors", "error_rate", 3.2),
            check("hard-stop", "absolute", -7.0),
        ];
        let release = json!({
            "id": "shop-2.0.0", "revision": 7, "route": "shop", "stable": "stable",
            "candidate": "canary", "kind": "canary", "phase": "progressing", "is_active": true,
            "attempt": 1, "step": 3, "n_steps": 5, "weight_percent": 25.0,
            "holds": [{
                "reason": "insufficient_data", "kind": "insufficient_data", "since": "",
                "detail": "more requests of the candidate are needed ".repeat(9),
                "clears_when": "enough requests were seen", "who_may_clear": "nobody",
            }],
            "created_at": "", "entered_at": "", "origin": "file", "created_by": "file",
            "spec_sha256": "", "change": "normal", "start": "manual", "strategy": "quick",
            "steps": [],
        });
        let report = json!({
            "verdict": "insufficient", "text": "more are needed ".repeat(9), "at": "", "n_ticks": 3, "checks": checks,
        });
        Standing {
            release: serde_json::from_value(release).unwrap(),
            report: Some(serde_json::from_value(report).unwrap()),
        }
    }

    #[test]
    fn a_step_an_end_and_a_new_hold_are_news() {
        let before = standing();
        assert_eq!(before.news(&before), Vec::<String>::new());
        let mut now = before.clone();
        now.release.row.holds[0].reason = "stop_the_line".to_owned();
        now.release.row.holds[0].kind = "stop_the_line".to_owned();
        now.release.row.holds[0].detail = "ana: it burns".to_owned();
        assert_eq!(now.news(&before), ["held by stop_the_line: ana: it burns"]);
        now.release.row.is_active = false;
        now.release.row.phase = "aborted".to_owned();
        now.release.row.cause = Some("by ana".to_owned());
        now.release.row.holds.clear();
        assert_eq!(now.news(&before), ["aborted: by ana"]);
    }

    #[test]
    fn it_waits_at_the_gate_when_nothing_else_holds_it() {
        let mut standing = standing();
        assert!(!standing.waits_at_gate());
        let mut gate = standing.release.row.holds[0].clone();
        gate.kind = "approval".to_owned();
        standing.release.row.holds.push(gate);
        assert!(!standing.waits_at_gate());
        standing.release.row.holds.remove(0);
        assert!(standing.waits_at_gate());
    }
}
