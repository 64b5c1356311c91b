//! What the demo of weights shows, as lines of text; how they come to a screen is not known here.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use crate::cli::demo::figures::{actual, bar, failed, maybe, share, time};
use crate::cli::demo::load::CLIENTS;
use crate::cli::demo::proxy::Proxy;
use crate::cli::demo::tally::{Seen, VariantSeen};
use crate::cli::output::Ink;

/// The variants, in the order of the weights.
const NAMES: [&str; 2] = ["stable", "canary"];
/// The cells of a bar; the table then is 78 columns wide.
const BAR: usize = 26;
/// The notes that are shown at a time.
const NOTES: usize = 6;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli::demo) enum Note {
    /// The proxy serves with these weights.
    Serving([u32; 2]),
    /// The file was edited, and the edit was live after so long.
    Live([u32; 2], Duration),
    /// The file was edited, and nothing came of it.
    NotLive([u32; 2]),
    /// Somebody else has changed the weights.
    Yours([u32; 2]),
}

impl Display for Note {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Serving([stable, canary]) => write!(f, "serving {stable}/{canary}"),
            Self::Live([stable, canary], took) => {
                write!(
                    f,
                    "file edited to {stable}/{canary}: live after {}",
                    time(*took)
                )
            }
            Self::Yours([stable, canary]) => write!(
                f,
                "you made it {stable}/{canary}: the file is yours from now on"
            ),
            Self::NotLive([stable, canary]) => write!(
                f,
                "file edited to {stable}/{canary}: not obeyed; `tidegate check` tells why"
            ),
        }
    }
}

/// Everything that is shown besides numbers.
pub(in crate::cli::demo) struct Scene {
    introduction: Vec<String>,
    notes: Vec<String>,
    n_edits: usize,
}

impl Scene {
    /// Makes the scene of a proxy.
    pub(in crate::cli::demo) fn new(proxy: &Proxy) -> Self {
        let http = proxy.addresses().http;
        let admin = proxy.addresses().admin;
        let program = proxy.program();
        Self {
            introduction: vec![
                "tidegate demo: a proxy, two little upstreams and their clients, all right here"
                    .to_owned(),
                String::new(),
                format!("  proxy  http://{http}   admin  http://{admin}"),
                format!("  file   {}", proxy.file().display()),
                String::new(),
                "Try in another terminal, or edit the file:".to_owned(),
                format!("  curl http://{http}/"),
                format!("  curl -H 'x-user-id: ada' http://{http}/"),
                format!("  curl -H 'x-variant: canary' http://{http}/"),
                format!("  export TIDEGATE_ADMIN=http://{admin}"),
                format!("  {program} status"),
                format!("  {program} explain -H 'x-user-id: ada' http://{http}/"),
                String::new(),
            ],
            notes: Vec::new(),
            n_edits: 0,
        }
    }

    /// Remembers that something happened, and gives the line that tells it.
    pub(in crate::cli::demo) fn note(&mut self, at: Duration, note: &Note) -> String {
        match note {
            Note::Serving(_) => {}
            Note::Live(..) | Note::NotLive(_) | Note::Yours(_) => self.n_edits += 1,
        }
        let line = format!("{:7.1} s  {note}", at.as_secs_f64());
        self.notes.push(line.clone());
        if self.notes.len() > NOTES {
            self.notes.remove(0);
        }
        line
    }

    /// What is said once, at the beginning.
    pub(in crate::cli::demo) fn introduction(&self) -> &[String] {
        &self.introduction
    }

    /// The view, at most 80 columns wide.
    pub(in crate::cli::demo) fn frame(&self, seen: &Seen, at: Duration, ink: Ink) -> Vec<String> {
        let mut lines = vec![
            ink.dim(format!(
                "{:<8}{:>8}{:>9}  {:<BAR$}{:>7}{:>9}{:>9}",
                "variant", "share", "actual", "", "req/s", "p50", "p99"
            ))
            .to_string(),
        ];
        for (name, variant) in NAMES.iter().zip(&seen.variants) {
            lines.push(row(name, variant, ink));
        }
        lines.push(String::new());
        lines.push(format!(
            "{:7.1} s  {} requests, {}, {} connections   {}",
            at.as_secs_f64(),
            seen.answered() + seen.failed,
            failed(seen, ink),
            seen.connected,
            ink.dim("Ctrl-C ends it"),
        ));
        lines.push(String::new());
        lines.extend(self.notes.iter().cloned());
        lines
    }

    /// The view as one line, for logs.
    pub(in crate::cli::demo) fn line(seen: &Seen, at: Duration) -> String {
        let mut line = format!("{:7.1} s", at.as_secs_f64());
        for (name, variant) in NAMES.iter().zip(&seen.variants) {
            line.push_str(&format!(
                "  {name} {} of {}, {:.0}/s, p50 {} p99 {};",
                actual(variant),
                share(variant.configured),
                variant.rate,
                maybe(variant.p50),
                maybe(variant.p99),
            ));
        }
        line.push_str(&format!("  {} failed", seen.failed));
        line
    }

    /// What is said at the end.
    pub(in crate::cli::demo) fn summary(&self, seen: &Seen, at: Duration, ink: Ink) -> Vec<String> {
        let answered = seen.answered();
        let mut lines = vec![format!(
            "{} requests in {:.1} s, edits of the file: {}, {}",
            answered + seen.failed,
            at.as_secs_f64(),
            self.n_edits,
            failed(seen, ink),
        )];
        for (name, variant) in NAMES.iter().zip(&seen.variants) {
            let part = variant.answered as f64 / answered.max(1) as f64;
            let n = variant.answered;
            lines.push(format!("  {name}  {n:>9}  {:>7}", share(part)));
        }
        lines.push(format!(
            "{} connections were opened by {CLIENTS} clients",
            seen.connected
        ));
        lines
    }
}

fn row(name: &str, variant: &VariantSeen, ink: Ink) -> String {
    let bar = bar(variant.actual.unwrap_or(0.0), BAR);
    format!(
        "{}{:>8}{:>9}  {}{:>7.1}{:>9}{:>9}",
        ink.bold(format!("{name:<8}")),
        share(variant.configured),
        actual(variant),
        ink.cyan(format!("{bar:<BAR$}")),
        variant.rate,
        maybe(variant.p50),
        maybe(variant.p99),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::cli::demo::tally::{Seen, VariantSeen};
    use crate::cli::demo::weights::view::{Note, Scene};
    use crate::cli::output::Ink;

    fn seen(rate: f64) -> Seen {
        let variant = VariantSeen {
            configured: 0.5,
            actual: Some(1.0),
            answered: 123_456_789,
            failed: 0,
            rate,
            p50: Some(Duration::from_micros(999_900)),
            p99: Some(Duration::from_secs(59)),
        };
        Seen {
            variants: [variant.clone(), variant],
            failed: 0,
            connected: 16,
        }
    }

    fn scene() -> Scene {
        Scene {
            introduction: Vec::new(),
            notes: Vec::new(),
            n_edits: 0,
        }
    }

    #[test]
    fn a_frame_fits_eighty_columns() {
        let mut scene = scene();
        scene.note(Duration::from_secs(9_999), &Note::NotLive([100, 100]));
        for line in scene.frame(&seen(20_000.0), Duration::from_secs(9_999), Ink::Plain) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn old_notes_give_way() {
        let mut scene = scene();
        for n in 0..20 {
            scene.note(
                Duration::from_secs(n),
                &Note::Live([n as u32, 0], Duration::ZERO),
            );
        }
        let frame = scene.frame(&seen(1.0), Duration::ZERO, Ink::Plain);
        assert!(frame.len() <= 12, "{frame:?}");
        assert!(frame.last().unwrap().contains("19/0"));
    }
}
