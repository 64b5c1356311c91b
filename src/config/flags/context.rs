//! Reads `[flags] context`: what the keys of an evaluation context are of a request at the edge; and
//! finds what is asked for and is not there.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::flags::FlagsConfig;
use crate::config::near;
use crate::config::reader::Value;
use crate::config::route::RouteConfig;
use crate::config::segment::SegmentConfig;
use crate::flag::{FlagSpec, Serve, TARGETING_KEY};
use crate::segment::Attribute;

/// What requests have by themselves, and no context.
const OWN: [&str; 4] = ["client_ip", "method", "host", "path"];

/// What belongs where something of a request is named.
const SOURCE: &str = "what a request has: \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \
                      \"client_ip\", \"method\", \"host\" or \"path\"";

/// Reads it.
pub(in crate::config::flags) fn read(value: &Value<'_>) -> Option<BTreeMap<String, Attribute>> {
    let sources = value.entries(|key, value| {
        let is_key = matches!(key.parse(), Ok(Attribute::Context(_)));
        if !is_key {
            let why = if OWN.contains(&key) {
                "a request has it by itself"
            } else {
                "a key of a context has letters, digits, \"-\", \"_\" and \".\""
            };
            value.refuse_key(why);
        }
        let source = value.parsed(SOURCE, source)?;
        is_key.then(|| (key.to_owned(), source))
    });
    value.is_table().then(|| sources.into_iter().collect())
}

fn source(text: &str) -> Option<Attribute> {
    match text.parse().ok()? {
        Attribute::Context(_) | Attribute::Flag(_) => None,
        attribute @ (Attribute::Header(_)
        | Attribute::Cookie(_)
        | Attribute::Query(_)
        | Attribute::ClientIp
        | Attribute::Method
        | Attribute::Host
        | Attribute::Path) => Some(attribute),
    }
}

/// Looks for keys of a context that requests at the edge are asked for and do not have.
pub(in crate::config::flags) struct Asked<'a> {
    /// The flags, and what requests have.
    pub(in crate::config::flags) flags: &'a FlagsConfig,
    /// The segments.
    pub(in crate::config::flags) segments: &'a BTreeMap<String, SegmentConfig>,
}

impl<'a> Asked<'a> {
    /// Warns of rules of routes.
    pub(in crate::config::flags) fn warn_rules(
        &self,
        section: &Value<'_>,
        routes: &BTreeMap<String, RouteConfig>,
    ) {
        for (name, route) in routes {
            for (n, rule) in route.split_spec.rules.iter().enumerate() {
                let mut missing = Missing::default();
                self.of_segment(&rule.name, None, &mut missing);
                let place = || {
                    let rules = section.entry(name)?.entry("rule")?;
                    rules.nth(n)?.entry("segment")
                };
                self.warn(&missing, place);
            }
        }
    }

    /// Warns of flags that are evaluated for requests.
    pub(in crate::config::flags) fn warn_injected(&self, section: &Value<'_>) {
        for (name, spec) in &self.flags.specs {
            if spec.inject.is_none() {
                continue;
            }
            let mut missing = Missing::default();
            missing.seen.insert(name);
            self.of_spec(spec, None, &mut missing);
            self.warn(&missing, || section.entry(name)?.entry("inject"));
        }
    }

    fn warn<'d>(&self, missing: &Missing<'_>, place: impl FnOnce() -> Option<Value<'d>>) {
        if missing.keys.is_empty() {
            return;
        }
        let Some(place) = place() else {
            return;
        };
        for (key, flag) in &missing.keys {
            let by = flag.map(|flag| format!(" for flag {flag}"));
            let known = OWN.into_iter();
            let known = known.chain(self.flags.context.keys().map(String::as_str));
            place.warn(format!(
                "asks requests for {key:?}{}, which they do not have: flags.context does not say \
                 what it is of a request{}",
                by.unwrap_or_default(),
                near::hint(key, known)
            ));
        }
    }

    fn of_segment(&self, name: &str, flag: Option<&'a str>, missing: &mut Missing<'a>) {
        let Some(segment) = self.segments.get(name) else {
            return;
        };
        for condition in segment.spec.any.iter().flatten() {
            self.of_attribute(&condition.attribute, flag, missing);
        }
    }

    fn of_attribute(
        &self,
        attribute: &'a Attribute,
        flag: Option<&'a str>,
        missing: &mut Missing<'a>,
    ) {
        match attribute {
            Attribute::Context(key) => {
                // Without a source of its own the targeting key is what the route tells users by.
                if key != TARGETING_KEY && !self.flags.context.contains_key(key) {
                    missing.keys.entry(key).or_insert(flag);
                }
            }
            Attribute::Flag(name) => self.of_flag(name, missing),
            Attribute::Header(_)
            | Attribute::Cookie(_)
            | Attribute::Query(_)
            | Attribute::ClientIp
            | Attribute::Method
            | Attribute::Host
            | Attribute::Path => {}
        }
    }

    fn of_flag(&self, name: &'a str, missing: &mut Missing<'a>) {
        if let Some(spec) = self.flags.specs.get(name)
            && missing.seen.insert(name)
        {
            self.of_spec(spec, Some(name), missing);
        }
    }

    fn of_spec(&self, spec: &'a FlagSpec, flag: Option<&'a str>, missing: &mut Missing<'a>) {
        for prerequisite in &spec.prerequisites {
            self.of_flag(&prerequisite.flag, missing);
        }
        for rule in &spec.rules {
            if let Some((segment, _)) = &rule.segment {
                self.of_segment(segment, flag, missing);
            }
            if let (Serve::Split(_), Some(attribute)) = (&rule.serve, &rule.bucket_by) {
                self.of_attribute(attribute, flag, missing);
            }
        }
    }
}

/// Keys that are not there, with the flag that asks for them, and the flags that were looked at.
#[derive(Default)]
struct Missing<'a> {
    keys: BTreeMap<&'a str, Option<&'a str>>,
    seen: BTreeSet<&'a str>,
}
