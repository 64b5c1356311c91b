//! Versions: whether what a flag decides has changed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::flag::spec::{FlagSpec, RuleSpec, Serve};
use crate::segment::{ConditionSpec, Operand};

/// How many hexadecimal digits a version has.
const DIGITS: usize = 12;

impl FlagSpec {
    /// What tells one content of a flag from others, in 12 hexadecimal digits: it changes when
    /// something changes that decides who gets what, and with nothing else. What is for people or
    /// for others than the evaluation (description, owner, dates, names of rules, visibility, the
    /// header) is not in it.
    ///
    /// It is the beginning of a SHA-256. Without a salt the name of the flag is the salt, so the
    /// name decides then.
    pub fn version(&self, name: &str) -> String {
        let mut content = Content(Sha256::new());
        content.text(self.kind.name());
        content.text(if self.enabled { "on" } else { "off" });
        content.number(self.variants.len());
        for (name, value) in &self.variants {
            content.text(name);
            content.text(&value.to_string());
        }
        content.text(&self.off_variant);
        content.number(self.prerequisites.len());
        for needed in &self.prerequisites {
            content.text(&needed.flag);
            content.text(&needed.variant);
        }
        let salt = self.salt.as_deref().unwrap_or(name);
        content.text(salt);
        content.number(self.rules.len());
        for rule in &self.rules {
            content.rule(rule, salt);
        }
        content.serve(&self.default);
        content.digits()
    }
}

/// What goes into a version. Every text goes in with its length, and everything that may be there or
/// not with whether it is, so that no two contents look the same.
struct Content(Sha256);

impl Content {
    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_be_bytes());
    }

    fn maybe(&mut self, text: Option<&str>) {
        self.number(usize::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn rule(&mut self, rule: &RuleSpec, salt: &str) {
        let groups = rule.segment.iter().map(|(_, segment)| &segment.spec().any);
        for group in groups.flatten() {
            self.text("any");
            for condition in group {
                self.text("all");
                self.condition(condition);
            }
        }
        self.text("then");
        let by = rule.bucket_by.as_ref().map(ToString::to_string);
        self.maybe(by.as_deref());
        self.text(rule.salt.as_deref().unwrap_or(salt));
        self.serve(&rule.serve);
        for moment in [rule.from, rule.to] {
            let moment = moment.map(nanoseconds);
            self.maybe(moment.as_deref());
        }
    }

    fn condition(&mut self, condition: &ConditionSpec) {
        self.text(&condition.attribute.to_string());
        self.text(condition.operator.name());
        match &condition.operand {
            Operand::Text(text) => self.text(text),
            Operand::Texts(texts) => {
                // Neither their order nor how often one is there means anything.
                let texts: BTreeSet<_> = texts.iter().collect();
                self.number(texts.len());
                for text in texts {
                    self.text(text);
                }
            }
            Operand::Number(number) => self.text(&number.to_string()),
            Operand::Presence(presence) => self.text(&presence.to_string()),
        }
    }

    /// A split as its shares are: weights of 10 and 90 divide as 1 and 9 do, and 0 as none.
    fn serve(&mut self, serve: &Serve) {
        match serve {
            Serve::Variant(name) => {
                self.text("variant");
                self.text(name);
            }
            Serve::Split(weights) => {
                let divisor = weights
                    .values()
                    .fold(0, |a, &b| greatest_common_divisor(a, b));
                self.text("split");
                let weights = weights.iter().filter(|(_, weight)| **weight > 0);
                self.number(weights.clone().count());
                for (name, weight) in weights {
                    self.text(name);
                    self.text(&(weight / divisor).to_string());
                }
            }
        }
    }

    fn digits(self) -> String {
        let mut digits = String::new();
        for byte in self.0.finalize().iter().take(DIGITS / 2) {
            write!(digits, "{byte:02x}").expect("a String takes all");
        }
        digits
    }
}

/// A moment as a text, before 1970 with a minus.
fn nanoseconds(moment: SystemTime) -> String {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    match since {
        Ok(since) => since.as_nanos().to_string(),
        Err(before) => format!("-{}", Duration::as_nanos(&before.duration())),
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}
