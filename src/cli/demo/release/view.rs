//! What the demo of a release shows, as lines of text; how they come to a screen is not known here.

use std::time::Duration;

use crate::admin::wire::CheckStatus;
use crate::cli::demo::figures::{actual, bar, failed, maybe, share};
use crate::cli::demo::release::standing::Standing;
use crate::cli::demo::tally::{Seen, VariantSeen};
use crate::cli::output::{Ink, Inked, tenths};
use crate::cli::steps::progress;

/// The variants, in the order of the tally.
const NAMES: [&str; 2] = ["stable", "canary"];
/// The cells of a bar of shares; the table then is 78 columns wide.
const BAR: usize = 18;
/// The cells of a bar of evidence.
const EVIDENCE_BAR: usize = 12;
/// The columns that a frame has.
const COLUMNS: usize = 80;
/// The notes that are shown at a time.
const NOTES: usize = 10;

/// What happened, for the view's last lines.
pub(in crate::cli::demo::release) struct Notes {
    lines: Vec<String>,
}

impl Notes {
    /// Makes it empty.
    pub(in crate::cli::demo::release) fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Remembers that something happened, and gives the line that tells it.
    pub(in crate::cli::demo::release) fn add(&mut self, at: Duration, what: &str) -> String {
        let line = format!("{}  {what}", seconds(at));
        self.lines.push(line.clone());
        if self.lines.len() > NOTES {
            self.lines.remove(0);
        }
        line
    }
}

/// The view, at most 80 columns wide.
pub(in crate::cli::demo::release) fn frame(
    standing: &Standing,
    seen: &Seen,
    notes: &Notes,
    at: Duration,
    ink: Ink,
) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{}  {}  {}  {}",
            seconds(at),
            ink.bold(&standing.release.row.id),
            phase(&standing.release.row.phase, ink),
            progress(&standing.release.row),
        ),
        String::new(),
        ink.dim(format!(
            "{:<8}{:>8}{:>9}  {:<BAR$}{:>7}{:>9}{:>9}{:>8}",
            "variant", "share", "actual", "", "req/s", "p50", "p99", "failed"
        ))
        .to_string(),
    ];
    for (name, variant) in NAMES.iter().zip(&seen.variants) {
        lines.push(row(name, variant, ink));
    }
    lines.push(String::new());
    lines.push(
        ink.dim("evidence that the candidate is worse; a full bar takes it back")
            .to_string(),
    );
    for check in standing.checks() {
        lines.push(evidence(check, ink));
    }
    lines.push(String::new());
    match standing.release.row.holds.first() {
        Some(hold) => {
            let text = format!("holds    {}: {}", hold.reason, standing.detail(hold));
            lines.push(ink.cyan(cut(&text)).to_string());
        }
        None => lines.push(ink.dim("holds    nothing").to_string()),
    }
    lines.push(format!(
        "traffic  {} requests, {} on the way, {} connections   {}",
        seen.answered() + seen.failed,
        failed(seen, ink),
        seen.connected,
        ink.dim("Ctrl-C ends it"),
    ));
    lines.push(String::new());
    lines.extend(notes.lines.iter().map(|line| cut(line)));
    lines
}

/// The view as one line, for logs.
pub(in crate::cli::demo::release) fn line(
    standing: &Standing,
    seen: &Seen,
    at: Duration,
) -> String {
    let mut line = format!(
        "{}  {} {}",
        seconds(at),
        standing.release.row.phase,
        progress(&standing.release.row)
    );
    let candidate = &seen.variants[1];
    line.push_str(&format!(
        "  candidate {} of requests, {:.0}/s, {} bad;",
        actual(candidate),
        candidate.rate,
        candidate.failed
    ));
    for check in standing.checks() {
        let (evidence, needed) = evidence_of(check);
        line.push_str(&format!(
            "  {}: evidence {} of {needed:.1};",
            check.name,
            tenths(evidence)
        ));
    }
    for hold in &standing.release.row.holds {
        let detail = standing.detail(hold);
        line.push_str(&format!("  held by {}: {detail};", hold.reason));
    }
    line.push_str(&format!("  {} failed on the way", seen.failed));
    line
}

/// What is said of the traffic at the end.
pub(in crate::cli::demo::release) fn summary(seen: &Seen, at: Duration, ink: Ink) -> Vec<String> {
    let mut lines = vec![format!(
        "{} requests in {:.1} s over {} connections: {} on the way, {} answered as bad",
        seen.answered() + seen.failed,
        at.as_secs_f64(),
        seen.connected,
        failed(seen, ink),
        seen.lost() - seen.failed,
    )];
    let answered = seen.answered().max(1) as f64;
    for (name, variant) in NAMES.iter().zip(&seen.variants) {
        lines.push(format!(
            "  {name}  {:>9}  {:>7}  {} bad",
            variant.answered,
            share(variant.answered as f64 / answered),
            variant.failed,
        ));
    }
    lines
}

fn seconds(at: Duration) -> String {
    format!("{:7.1} s", at.as_secs_f64())
}

/// A phase in the colour of what it means.
fn phase(phase: &str, ink: Ink) -> Inked<&str> {
    match phase {
        "promoted" => ink.green(phase),
        "rolled_back" | "aborted" => ink.red(phase),
        _ => ink.cyan(phase),
    }
}

fn row(name: &str, variant: &VariantSeen, ink: Ink) -> String {
    let bar = bar(variant.actual.unwrap_or(0.0), BAR);
    let bad = format!("{:>8}", variant.failed);
    let bad = if variant.failed == 0 {
        bad
    } else {
        ink.red(bad).to_string()
    };
    format!(
        "{}{:>8}{:>9}  {}{:>7.1}{:>9}{:>9}{bad}",
        ink.bold(format!("{name:<8}")),
        share(variant.configured),
        actual(variant),
        ink.cyan(format!("{bar:<BAR$}")),
        variant.rate,
        maybe(variant.p50),
        maybe(variant.p99),
    )
}

/// The evidence of a check that the candidate is worse, and how much of it fails the candidate: natural
/// logarithms, which add up.
fn evidence_of(check: &CheckStatus) -> (f64, f64) {
    (
        check.ln_e.unwrap_or_default(),
        check.ln_e_needed.unwrap_or(f64::INFINITY),
    )
}

/// The evidence of a check, as a part of what would take the candidate back.
fn evidence(check: &CheckStatus, ink: Ink) -> String {
    let (evidence, needed) = evidence_of(check);
    let part = (evidence / needed).clamp(0.0, 1.0);
    let bar = bar(part, EVIDENCE_BAR);
    let bar = format!("{bar:░<EVIDENCE_BAR$}");
    let bar = if part < 0.5 {
        ink.green(bar)
    } else {
        ink.red(bar)
    };
    let numbers = format!("{:>6} of {needed:.1}", tenths(evidence));
    format!("  {:<10}{bar}{numbers}  {}", check.name, counts(check))
}

/// Bad requests of both sides since the release began.
fn counts(check: &CheckStatus) -> String {
    let (candidate, baseline) = (check.release.candidate, check.release.baseline);
    let mut counts = format!("{:.0} bad of {:.0}", candidate.bad, candidate.requests);
    // A hard stop compares with nothing.
    if baseline.requests > 0.0 {
        counts.push_str(&format!(
            ", stable {:.0} of {:.0}",
            baseline.bad, baseline.requests
        ));
    }
    counts
}

/// A text that fits a line.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= COLUMNS {
        return line.to_owned();
    }
    let kept: String = line.chars().take(COLUMNS - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::cli::demo::release::standing::tests::standing;
    use crate::cli::demo::release::view::{Notes, frame, line};
    use crate::cli::demo::tally::{Seen, VariantSeen};
    use crate::cli::output::Ink;

    fn seen() -> Seen {
        let variant = VariantSeen {
            configured: 0.75,
            actual: Some(1.0),
            answered: 12_345_678,
            failed: 123_456,
            rate: 20_000.0,
            p50: Some(Duration::from_micros(999_900)),
            p99: Some(Duration::from_secs(59)),
        };
        Seen {
            variants: [variant.clone(), variant],
            failed: 0,
            connected: 16,
        }
    }

    #[test]
    fn a_frame_fits_eighty_columns_and_tells_where_the_release_stands() {
        let mut notes = Notes::new();
        for n in 0..30 {
            notes.add(Duration::from_secs(n), &"something happened, ".repeat(9));
        }
        let at = Duration::from_secs(9_999);
        let frame = frame(&standing(), &seen(), &notes, at, Ink::Plain);
        for line in &frame {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let text = frame.join("\n");
        for part in ["[###--] 3/5 25 %", "insufficient_data", "3.2 of 4.6"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(frame.len() < 24, "{text}");
    }

    #[test]
    fn a_line_tells_the_same() {
        let line = line(&standing(), &seen(), Duration::from_secs(3));
        for part in [
            "progressing [###--] 3/5 25 %",
            "errors: evidence 3.2 of 4.6",
            "held by insufficient_data",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
