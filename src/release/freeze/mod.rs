//! Freezes: windows of time in which nothing goes forward.
//!
//! A move is open when no matching `deny` is active, and either no `allow` matches or one of those
//! that do is active. An interval has its beginning and not its end. Traffic that goes back to
//! stable is no move here: no freeze ever asks about it.

mod overriding;
mod pattern;
mod schedule;
#[cfg(test)]
mod tests;
mod weekly;
#[cfg(test)]
mod weekly_tests;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use crate::release::freeze::overriding::{Override, OverrideError, Scope};
pub use crate::release::freeze::pattern::{Pattern, PatternError};
pub use crate::release::freeze::schedule::{MAX_AHEAD, Period, opens_at, schedule};
pub use crate::release::freeze::weekly::{ClockTime, Weekly, WeeklyError, Zone};

use crate::release::role::{Permission, Role};
use crate::store::instant;

/// A window, what it stops, where, and who may pass it all the same.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Freeze {
    /// Its name in the file.
    pub name: String,
    /// Whether moves are stopped within the window, or outside of it.
    pub kind: Kind,
    /// When.
    pub window: Window,
    /// What it is about.
    pub blocks: Vec<Act>,
    /// Where.
    pub routes: Vec<Pattern>,
    /// Who may pass it with a reason; nobody when that is empty. [`Freeze::default_override_roles`]
    /// says who it is when a file does not.
    pub override_roles: Vec<Role>,
}

/// What a window means.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing moves within it.
    Deny,
    /// Nothing moves outside of it, unless another that allows is active.
    Allow,
}

/// When a freeze is active.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// Once.
    Span(Span),
    /// Every week.
    Weekly(Weekly),
}

/// From one instant to another, `[from, to)`; a bound that is absent is never.
///
/// Invariant: where both are there, the first is before the second.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "WrittenSpan")]
pub struct Span {
    #[serde(with = "crate::store::instant::rfc3339_option")]
    from: Option<SystemTime>,
    #[serde(with = "crate::store::instant::rfc3339_option")]
    to: Option<SystemTime>,
}

#[derive(Deserialize)]
struct WrittenSpan {
    #[serde(default, with = "crate::store::instant::rfc3339_option")]
    from: Option<SystemTime>,
    #[serde(default, with = "crate::store::instant::rfc3339_option")]
    to: Option<SystemTime>,
}

/// Why there is no such span.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a window that begins at {} ends before that, at {}", instant::text(*from), instant::text(*to))]
pub struct SpanError {
    /// Where it was to begin.
    pub from: SystemTime,
    /// Where it was to end.
    pub to: SystemTime,
}

/// A forward move.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// A release begins.
    Start,
    /// A release takes its next step.
    Advance,
    /// A candidate becomes the stable one.
    Promote,
    /// A flag changes.
    Flag,
}

/// A move that somebody, or the controller, wants to make.
#[derive(Clone, Copy, Debug)]
pub struct Move<'a> {
    /// What it is.
    pub act: Act,
    /// Where: the route of a release, the routes that a flag is told to. Where there is none, only
    /// freezes of every route (`*`) concern it.
    pub routes: &'a [&'a str],
    /// The release that moves, if it is one: an override may be for it alone.
    pub release: Option<&'a str>,
}

/// A freeze that stands in the way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Blocking {
    /// Its name.
    pub freeze: String,
    /// Whether it is active (deny), or is not (allow).
    pub kind: Kind,
    /// When this one will no longer stand in the way by itself; another may even then.
    #[serde(with = "crate::store::instant::rfc3339_option")]
    pub until: Option<SystemTime>,
    /// Who may pass it.
    pub who_may_override: Vec<Role>,
}

impl Act {
    /// Every act.
    pub const ALL: [Act; 4] = [Self::Start, Self::Advance, Self::Promote, Self::Flag];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Advance => "advance",
            Self::Promote => "promote",
            Self::Flag => "flag",
        }
    }
}

impl Span {
    /// Makes a span.
    ///
    /// # Errors
    /// When it ends before it has begun.
    pub fn new(from: Option<SystemTime>, to: Option<SystemTime>) -> Result<Self, SpanError> {
        match (from, to) {
            (Some(from), Some(to)) if to <= from => Err(SpanError { from, to }),
            (from, to) => Ok(Self { from, to }),
        }
    }

    /// Where it begins, unless it has always been.
    pub fn from(self) -> Option<SystemTime> {
        self.from
    }

    /// Where it ends, if it does.
    pub fn to(self) -> Option<SystemTime> {
        self.to
    }

    /// Whether that instant is in it.
    pub fn contains(self, at: SystemTime) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    fn next_change(self, at: SystemTime) -> Option<SystemTime> {
        let bounds = [self.from, self.to];
        bounds.into_iter().flatten().find(|bound| *bound > at)
    }
}

impl TryFrom<WrittenSpan> for Span {
    type Error = SpanError;

    fn try_from(written: WrittenSpan) -> Result<Self, SpanError> {
        Self::new(written.from, written.to)
    }
}

impl Window {
    /// Whether that instant is in it.
    pub fn contains(&self, at: SystemTime) -> bool {
        match self {
            Self::Span(span) => span.contains(at),
            Self::Weekly(weekly) => weekly.contains(at),
        }
    }

    /// The first instant after `at` at which that is no longer so.
    pub fn next_change(&self, at: SystemTime) -> Option<SystemTime> {
        match self {
            Self::Span(span) => span.next_change(at),
            Self::Weekly(weekly) => weekly.next_change(at),
        }
    }
}

impl Freeze {
    /// Who may override a freeze that does not say it.
    pub fn default_override_roles() -> Vec<Role> {
        Permission::OverrideFreeze.granted_to().to_vec()
    }

    /// Whether it is about that move at all, whatever the time.
    pub fn concerns(&self, asked: &Move<'_>) -> bool {
        let here = |pattern: &Pattern| {
            *pattern == Pattern::Every || asked.routes.iter().any(|route| pattern.matches(route))
        };
        self.blocks.contains(&asked.act) && self.routes.iter().any(here)
    }
}

/// What stands in the way of a move, in the order of `freezes`; nothing when it is open.
///
/// Where moves are allowed only in windows and none is open, all of these windows are named: any of
/// them would do.
pub fn blocked(
    freezes: &[Freeze],
    overrides: &[Override],
    asked: &Move<'_>,
    now: SystemTime,
) -> Vec<Blocking> {
    let passed = |freeze: &Freeze| overrides.iter().any(|by| by.passes(freeze, asked, now));
    let open = |freeze: &Freeze| freeze.window.contains(now) || passed(freeze);
    let concerned = freezes.iter().filter(|freeze| freeze.concerns(asked));
    let allowed = concerned
        .clone()
        .any(|freeze| freeze.kind == Kind::Allow && open(freeze));
    let in_the_way = concerned.filter(|freeze| match freeze.kind {
        Kind::Deny => freeze.window.contains(now) && !passed(freeze),
        Kind::Allow => !allowed,
    });
    let blocking = in_the_way.map(|freeze| Blocking {
        freeze: freeze.name.clone(),
        kind: freeze.kind,
        until: freeze.window.next_change(now),
        who_may_override: freeze.override_roles.clone(),
    });
    blocking.collect()
}
