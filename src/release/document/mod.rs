//! A release as a document for everyone who has a stake in it: what and why, how, how back, where it
//! stands, who agreed, what the numbers say, and what happened.
//!
//! It is made from a plain value, so that a release that is over reads as one that runs.

mod markdown;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use serde::Serialize;

use crate::release::document::markdown::{code, head, inline, quotation, row};
use crate::release::gate::{GateState, Item, Why};
use crate::release::readiness::{ChangeType, Document, Documents, Review, Risk};
use crate::store::instant;

/// Everything that a document tells.
#[derive(Clone, Debug, Serialize)]
pub struct Contents {
    /// The release's name.
    pub id: String,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// The route.
    pub route: String,
    /// The variant that has the traffic.
    pub stable: String,
    /// The variant that is to have it.
    pub candidate: String,
    /// Where it is, in words: `progressing (step 3 of 7)`.
    pub phase: String,
    /// Whose it is.
    pub author: Option<String>,
    /// What is brought.
    pub artifact: Option<String>,
    /// From which commit.
    pub commit: Option<String>,
    /// How it was authorised.
    pub change: ChangeType,
    /// What may go wrong.
    pub risk: Option<Risk>,
    /// Notes, procedure, rollback plan, ticket. Prose is Markdown.
    pub documents: Documents,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The gates, in the order of the steps.
    pub gates: Vec<GateRow>,
    /// What holds it now.
    pub holds: Vec<HoldRow>,
    /// What the analysis says, check by check.
    pub evidence: Vec<EvidenceRow>,
    /// What was passed by an emergency's right, and who looked at it.
    pub review: Review,
    /// What happened, in order.
    pub timeline: Vec<Happening>,
    /// When the document was made.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub written_at: SystemTime,
}

/// A step of the plan.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What it does, in words: `25 % for 30m, proven`.
    pub what: String,
    /// Where it stands.
    pub progress: Progress,
    /// The gate before the next one.
    pub gate: Option<String>,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// It is over.
    Done,
    /// The release is in it.
    Current,
    /// It comes.
    Ahead,
    /// Somebody went on without waiting for it.
    Skipped,
    /// The release ended before or in it.
    NotReached,
}

/// A gate and how it stands; none when it was not asked yet.
#[derive(Clone, Debug, Serialize)]
pub struct GateRow {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: Option<GateState>,
}

/// Something that keeps the release from going on.
#[derive(Clone, Debug, Serialize)]
pub struct HoldRow {
    /// What it is: `approval:sre`.
    pub reason: String,
    /// Since when.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub since: SystemTime,
    /// What there is to know.
    pub detail: String,
    /// What ends it.
    pub clears_when: String,
    /// Who can end it.
    pub who_may_clear: String,
}

/// One check of the analysis, its numbers as they are shown.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceRow {
    /// The check.
    pub check: String,
    /// Bad and all requests of the candidate, with the rate.
    pub candidate: String,
    /// The same of what it is compared with.
    pub baseline: String,
    /// The evidence against the candidate.
    pub evidence: String,
    /// Where that fails it.
    pub threshold: String,
    /// What follows.
    pub verdict: String,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Happening {
    /// When.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub at: SystemTime,
    /// Who.
    pub actor: String,
    /// What: `release.gate.approve`.
    pub action: String,
    /// Why, and what else there is to know.
    pub detail: String,
}

/// Writes the document as Markdown: CommonMark with tables, ending in a newline.
pub fn render(contents: &Contents) -> String {
    let mut out = format!("# Release {}\n\n", inline(&contents.id));
    out += &overview(contents);
    let titled = [
        ("What and why", Document::Notes),
        ("Procedure", Document::Procedure),
        ("Rollback plan", Document::RollbackPlan),
    ];
    for (title, document) in titled {
        let text = contents.documents.text(document);
        let text = text.map_or_else(|| "*None given.*\n".to_owned(), quotation);
        out += &format!("\n## {title}\n\n{text}");
    }
    let sections = [
        ("Plan", plan(contents)),
        ("Approvals", approvals(contents)),
        ("Holds", holds(contents)),
        ("Evidence", evidence(contents)),
        ("Review", review(contents)),
        ("Timeline", timeline(contents)),
    ];
    for (title, text) in sections {
        out += &format!("\n## {title}\n\n{text}");
    }
    out += &format!("\n---\n\nAs of {}.\n", instant::text(contents.written_at));
    out
}

fn overview(contents: &Contents) -> String {
    let of = |value: Option<&str>| value.filter(|v| !v.trim().is_empty()).map(str::to_owned);
    let name = |value: Option<&str>| of(value).map(|value| code(&value));
    let plain = |value: Option<&str>| of(value).map(|value| inline(&value));
    let change = contents.review.change_type(contents.change);
    let change = if change == contents.change {
        change.name().to_owned()
    } else {
        format!("{} (declared {})", change.name(), contents.change.name())
    };
    let moves = format!("{} → {}", code(&contents.stable), code(&contents.candidate));
    let rows = [
        ("Where it stands", plain(Some(&contents.phase))),
        ("Route", name(Some(&contents.route))),
        ("From → to", Some(moves)),
        ("Artifact", name(contents.artifact.as_deref())),
        ("Commit", name(contents.commit.as_deref())),
        ("Author", plain(contents.author.as_deref())),
        ("Change", Some(change)),
        ("Risk", contents.risk.map(|risk| risk.name().to_owned())),
        ("Ticket", plain(contents.documents.text(Document::Ticket))),
        ("Attempt", Some(contents.attempt.to_string())),
    ];
    let mut out = head(&["", ""]);
    for (title, value) in rows {
        let value = value.unwrap_or_else(|| "–".to_owned());
        out += &row(&[title.to_owned(), value]);
    }
    out
}

fn plan(contents: &Contents) -> String {
    if contents.steps.is_empty() {
        return "*No steps.*\n".to_owned();
    }
    let mut out = head(&["", "Step", "Gate", "State"]);
    for (index, step) in contents.steps.iter().enumerate() {
        let gate = step.gate.as_deref().map_or_else(String::new, code);
        let state = step.progress.words().to_owned();
        out += &row(&[(index + 1).to_string(), inline(&step.what), gate, state]);
    }
    out
}

fn approvals(contents: &Contents) -> String {
    if contents.gates.is_empty() {
        return "*No gates.*\n".to_owned();
    }
    let mut out = head(&["Gate", "Who", "When", "What", "Why"]);
    let mut checklists = String::new();
    for gate in &contents.gates {
        let name = code(&gate.name);
        let mut put = |who: &str, at: Option<SystemTime>, what: &str, why: &str| {
            let at = at.map_or_else(String::new, instant::text);
            out += &row(&[name.clone(), inline(who), at, inline(what), inline(why)]);
        };
        let items: &[Item] = match &gate.state {
            None => {
                put("", None, "not asked yet", "");
                &[]
            }
            Some(GateState::Rejected(no)) => {
                put(&no.by, Some(no.at), "rejected", &no.reason);
                &[]
            }
            Some(GateState::TimedOut { at, .. }) => {
                put("", Some(*at), "timed out", "");
                &[]
            }
            Some(GateState::Open(open)) => {
                for yes in &open.approvals {
                    put(&yes.by, Some(yes.at), "approved", &yes.reason);
                }
                if let Some(by) = &open.exception {
                    put(&by.actor, Some(by.at), "overrode", &by.reason);
                }
                if open.approvals.is_empty() && open.exception.is_none() {
                    put("", None, "open: needs nobody", "");
                }
                &open.checklist
            }
            Some(GateState::Waiting(waiting)) => {
                for yes in &waiting.approvals {
                    put(&yes.by, Some(yes.at), "approved", &yes.reason);
                }
                for no in &waiting.ignored {
                    put(&no.by, Some(no.at), "approved", no.why.words());
                }
                put("", None, "waits", &waiting.missing());
                &waiting.checklist
            }
        };
        checklists += &checklist(&gate.name, items);
    }
    out + &checklists
}

fn checklist(gate: &str, items: &[Item]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut out = format!("\nCriteria of {}:\n\n", code(gate));
    for item in items {
        let mark = if item.done { "x" } else { " " };
        let criterion = code(&item.criterion.to_string());
        out += &format!("- [{mark}] {criterion}: {}\n", inline(&item.detail));
    }
    out
}

fn holds(contents: &Contents) -> String {
    if contents.holds.is_empty() {
        return "*Nothing holds it.*\n".to_owned();
    }
    let mut out = head(&["Hold", "Since", "Detail", "Clears when", "Who may clear it"]);
    for hold in &contents.holds {
        out += &row(&[
            code(&hold.reason),
            instant::text(hold.since),
            inline(&hold.detail),
            inline(&hold.clears_when),
            inline(&hold.who_may_clear),
        ]);
    }
    out
}

fn evidence(contents: &Contents) -> String {
    if contents.evidence.is_empty() {
        return "*No evidence yet.*\n".to_owned();
    }
    let mut out = head(&[
        "Check",
        "Candidate",
        "Baseline",
        "Evidence",
        "Fails at",
        "Verdict",
    ]);
    for of in &contents.evidence {
        out += &row(&[
            code(&of.check),
            inline(&of.candidate),
            inline(&of.baseline),
            inline(&of.evidence),
            inline(&of.threshold),
            inline(&of.verdict),
        ]);
    }
    out
}

fn review(contents: &Contents) -> String {
    let review = &contents.review;
    if review.exceptions().is_empty() {
        return "*Nothing was overridden.*\n".to_owned();
    }
    let mut out = head(&["Overridden", "Who", "When", "Why"]);
    for of in review.exceptions() {
        let at = instant::text(of.at);
        let what = inline(&of.passed.to_string());
        out += &row(&[what, inline(&of.actor), at, inline(&of.reason)]);
    }
    out += &match review.closing() {
        None => {
            "\n**The review is open: somebody who overrode nothing has to close it.**\n".to_owned()
        }
        Some(by) => format!(
            "\nClosed by {} at {}: {}\n",
            inline(&by.actor),
            instant::text(by.at),
            inline(&by.comment)
        ),
    };
    out
}

fn timeline(contents: &Contents) -> String {
    if contents.timeline.is_empty() {
        return "*Nothing happened yet.*\n".to_owned();
    }
    let mut out = head(&["When", "Who", "What", "Detail"]);
    for of in &contents.timeline {
        let at = instant::text(of.at);
        out += &row(&[at, inline(&of.actor), code(&of.action), inline(&of.detail)]);
    }
    out
}

impl Progress {
    fn words(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Current => "**now**",
            Self::Ahead => "ahead",
            Self::Skipped => "skipped",
            Self::NotReached => "not reached",
        }
    }
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::OtherSpecification => "does not count: for another specification",
            Self::Author => "does not count: the author",
            Self::Role => "does not count: the gate asks for other roles",
            Self::Expired => "does not count: too old",
        }
    }
}
