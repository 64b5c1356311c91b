//! Rules, ready to be asked.

use std::sync::Arc;
use std::time::SystemTime;

use crate::flag::choice::{Choice, Names};
use crate::flag::spec::RuleSpec;
use crate::segment::Segment;

/// One line of a flag's targeting.
#[derive(Clone, Debug)]
pub(in crate::flag) struct Rule {
    pub(in crate::flag) name: Option<String>,
    pub(in crate::flag) segment: Option<Arc<Segment>>,
    pub(in crate::flag) choice: Choice,
    from: Option<SystemTime>,
    to: Option<SystemTime>,
}

/// What a schedule says of a moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::flag) enum Due {
    Now,
    /// Not before this.
    From(SystemTime),
    /// Not any more since this.
    Until(SystemTime),
}

impl Rule {
    /// Makes a rule that was checked.
    pub(in crate::flag) fn new(spec: &RuleSpec, names: &Names<'_>, salt: &str) -> Self {
        let salt = spec.salt.as_deref().unwrap_or(salt);
        Self {
            name: spec.name.clone(),
            segment: spec
                .segment
                .as_ref()
                .map(|(_, segment)| Arc::clone(segment)),
            choice: names.choice(&spec.serve, salt, spec.bucket_by.as_ref()),
            from: spec.from,
            to: spec.to,
        }
    }

    /// Tells whether it holds at a moment, which is asked for only if there is a schedule.
    pub(in crate::flag) fn due(&self, now: impl FnOnce() -> SystemTime) -> Due {
        if self.from.is_none() && self.to.is_none() {
            return Due::Now;
        }
        let now = now();
        match (self.from, self.to) {
            (Some(from), _) if now < from => Due::From(from),
            (_, Some(to)) if to <= now => Due::Until(to),
            _ => Due::Now,
        }
    }
}
