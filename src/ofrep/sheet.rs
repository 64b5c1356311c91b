//! Flags with all that can be written down of their answers before anybody asks.
//!
//! An answer is put together from texts: of a flag, of its variant, of its rule. With a thousand flags
//! in an answer nothing is left to be serialised but the order of these.
//!
//! What is written is what all providers can read (see the tests): a `value` that is never null and a
//! float with its decimal point, a `variant` and one of the known reasons, metadata without nesting.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::flag::{Cause, Context, Evaluation, Flags};
use crate::message::Span;
use crate::ofrep::counts::{Asked, Counts};
use crate::ofrep::settings::Scope;

/// What stands in an answer besides the texts, at most.
const FIXED: usize = "\"reason\":\"TARGETING_MATCH\",,\"killed\":true,\"expired\":true}},".len();

/// Flags, ready to be answered.
pub(in crate::ofrep) struct Sheet {
    flags: Arc<Flags>,
    counts: Arc<dyn Counts>,
    /// All texts, one after another: with thousands of flags one allocation each would be most of the
    /// time that a kill takes.
    text: Vec<u8>,
    /// Where the texts of variants and rules are.
    spans: Vec<Span>,
    lines: Vec<Line>,
    /// Bytes that an answer with all flags has, at most.
    size: usize,
}

/// What is known of a flag's answers.
struct Line {
    /// `{"key":"…",`
    key: Span,
    /// `"metadata":{"flagVersion":"…","owner":"…"`
    metadata: Span,
    /// The first span of its variants, in their order: `"value":…,"variant":"…",`
    variants: usize,
    /// The first span of its rules, in their order: `,"rule":"…"`
    rules: usize,
    /// Bytes that its answer has, at most.
    size: usize,
    expires: Option<SystemTime>,
    is_visible: bool,
}

impl Line {
    fn is_seen(&self, scope: Scope) -> bool {
        match scope {
            Scope::Server => true,
            Scope::Client => self.is_visible,
        }
    }
}

impl Sheet {
    /// Writes down what can be.
    pub(in crate::ofrep) fn new(flags: Arc<Flags>, counts: Arc<dyn Counts>) -> Self {
        let mut sheet = Self {
            text: Vec::new(),
            spans: Vec::new(),
            lines: Vec::with_capacity(flags.len()),
            size: 0,
            counts,
            flags,
        };
        let flags = Arc::clone(&sheet.flags);
        for flag in 0..flags.len() {
            sheet.add(&flags, flag);
        }
        sheet.size = sheet.lines.iter().map(|line| line.size).sum();
        sheet
    }

    fn add(&mut self, flags: &Flags, flag: usize) {
        let spec = flags.spec(flag);
        let start = self.text.len();
        self.quote("{\"key\":", flags.name(flag));
        let key = self.end(start, ",");
        let start = self.text.len();
        self.quote("\"metadata\":{\"flagVersion\":", flags.version(flag));
        if let Some(owner) = &spec.owner {
            self.quote(",\"owner\":", owner);
        }
        let metadata = self.end(start, "");
        let variants = self.spans.len();
        for (variant, name) in flags.variants(flag).iter().enumerate() {
            let start = self.text.len();
            self.quote("\"value\":", flags.value(flag, variant));
            self.quote(",\"variant\":", name);
            let span = self.end(start, ",");
            self.spans.push(span);
        }
        let rules = self.spans.len();
        for rule in 0..spec.rules.len() {
            let start = self.text.len();
            self.quote(",\"rule\":", &flags.rule_name(flag, rule));
            let span = self.end(start, "");
            self.spans.push(span);
        }
        let longest = |spans: &[Span]| spans.iter().map(|span| span.len()).max().unwrap_or(0);
        let of_variants = longest(&self.spans[variants..rules]);
        let of_rules = longest(&self.spans[rules..]);
        self.lines.push(Line {
            key,
            metadata,
            variants,
            rules,
            size: FIXED + key.len() + metadata.len() + of_variants + of_rules,
            expires: spec.expires.filter(|_| !spec.permanent),
            is_visible: spec.client_visible,
        });
    }

    /// Writes something, and a value as JSON behind it.
    fn quote(&mut self, before: &str, value: &(impl Serialize + ?Sized)) {
        self.text.extend_from_slice(before.as_bytes());
        serde_json::to_writer(&mut self.text, value).expect("texts and checked values are JSON");
    }

    /// Writes the last of what began there.
    fn end(&mut self, start: usize, last: &str) -> Span {
        self.text.extend_from_slice(last.as_bytes());
        Span::new(start, self.text.len())
    }

    /// The answer of one flag; `None` when there is none of this name that may be seen.
    pub(in crate::ofrep) fn one(
        &self,
        name: &str,
        scope: Scope,
        context: &impl Context,
    ) -> Option<Vec<u8>> {
        let flag = self.flags.position(name)?;
        let line = &self.lines[flag];
        if !line.is_seen(scope) {
            return None;
        }
        let asking = self.flags.asking(context);
        let evaluation = asking.evaluate(flag);
        self.counts.evaluated(&evaluation, Asked::One);
        if !self.flags.depends_on(flag).is_empty() {
            let others = asking.dependencies().filter(|(other, _)| *other != flag);
            others.for_each(|(other, variant)| self.counts.needed(other, variant));
        }
        let mut out = Vec::with_capacity(line.size);
        self.write(line, &evaluation, context.now(), &mut out);
        Some(out)
    }

    /// The answers of all flags that may be seen, ordered by their names, as a JSON list.
    pub(in crate::ofrep) fn all(&self, scope: Scope, context: &impl Context, out: &mut Vec<u8>) {
        out.reserve(self.size);
        out.push(b'[');
        let start = out.len();
        // What several of them depend on is found once.
        let asking = self.flags.asking(context);
        let lines = self.lines.iter().enumerate();
        for (flag, line) in lines.filter(|(_, line)| line.is_seen(scope)) {
            if out.len() > start {
                out.push(b',');
            }
            let evaluation = asking.evaluate(flag);
            self.counts.evaluated(&evaluation, Asked::All);
            self.write(line, &evaluation, context.now(), out);
        }
        out.push(b']');
        for (flag, variant) in asking.dependencies() {
            if !self.lines[flag].is_seen(scope) {
                self.counts.needed(flag, variant);
            }
        }
    }

    /// The next moment after this at which a schedule begins or ends: then flags answer something
    /// else without anybody having changed them.
    pub(in crate::ofrep) fn next_moment(&self, now: SystemTime) -> Option<SystemTime> {
        let specs = (0..self.flags.len()).map(|flag| self.flags.spec(flag));
        let rules = specs.flat_map(|spec| spec.rules.iter());
        let moments = rules.flat_map(|rule| [rule.from, rule.to]).flatten();
        moments.filter(|moment| *moment > now).min()
    }

    /// Writes an answer.
    fn write(&self, line: &Line, evaluation: &Evaluation<'_>, now: SystemTime, out: &mut Vec<u8>) {
        let text = |span: Span| span.of(&self.text);
        out.extend_from_slice(text(line.key));
        out.extend_from_slice(text(self.spans[line.variants + evaluation.variant]));
        out.extend_from_slice(b"\"reason\":\"");
        out.extend_from_slice(evaluation.reason.name().as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(text(line.metadata));
        match evaluation.cause {
            Cause::Rule(rule) => out.extend_from_slice(text(self.spans[line.rules + rule])),
            Cause::Killed => out.extend_from_slice(b",\"killed\":true"),
            Cause::Disabled
            | Cause::Prerequisite(_)
            | Cause::Override
            | Cause::Release
            | Cause::Default => {}
        }
        if line.expires.is_some_and(|expires| expires <= now) {
            out.extend_from_slice(b",\"expired\":true");
        }
        out.extend_from_slice(b"}}");
    }
}
