//! Which events raise an alert, how long it lasts, and which events end it.
//!
//! A person is called for what is so (a release is held) until it is no more so, and for what has
//! happened (a release failed) until somebody goes on, or for a day. This is the only place that
//! knows what kinds of events mean.

use std::time::Duration;

use crate::notify::event::{Event, Severity};

/// Something that happened is news for so long, if nobody goes on before.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// And so long when nothing is known about its kind.
const AN_HOUR: Duration = Duration::from_secs(60 * 60);

/// How long an alert lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::notify) enum Standing {
    /// Until an event ends it.
    UntilEnded,
    /// Likewise, but not longer than this.
    AtMost(Duration),
}

/// What only lasts while a release stays where it is.
const OF_STANDSTILL: [&str; 2] = ["release.held", "release.approval_needed"];
/// What lasts until a release goes on.
const OF_FAILURE: [&str; 3] = ["release.failed", "release.rolled_back", "release.alarm"];
/// What is over when a release is rolled back.
const OF_PROMOTION: [&str; 3] = ["release.held", "release.approval_needed", "release.alarm"];
/// All that is about a release that is no more.
const OF_RELEASE: [&str; 5] = [
    "release.held",
    "release.approval_needed",
    "release.failed",
    "release.rolled_back",
    "release.alarm",
];

/// The alert that an event raises, if it does.
pub(in crate::notify) fn raised_by(event: &Event) -> Option<Standing> {
    match event.kind.as_str() {
        "release.held"
        | "release.approval_needed"
        | "config.conflict"
        | "flag.killed"
        | "flag.stale"
        | "metrics_source.down"
        | "store.unavailable"
        | "state.lost" => Some(Standing::UntilEnded),
        "release.failed" | "release.rolled_back" | "release.alarm" | "freeze.override" => {
            Some(Standing::AtMost(A_DAY))
        }
        kind if !ended_by(kind).is_empty() => None,
        _ => match event.severity {
            Severity::Info => None,
            Severity::Warning | Severity::Critical => Some(Standing::AtMost(AN_HOUR)),
        },
    }
}

/// The kinds of the alerts that a kind of event ends, those of the same release, route and flag.
pub(in crate::notify) fn ended_by(kind: &str) -> &'static [&'static str] {
    match kind {
        "release.resumed" => &["release.held"],
        "release.approved" | "release.rejected" => &["release.approval_needed"],
        "release.step" | "release.baking" | "release.aborted" | "release.failed" => &OF_STANDSTILL,
        "release.rolled_back" => &OF_PROMOTION,
        "release.started" | "release.retried" => &OF_FAILURE,
        "release.promoted" | "release.superseded" | "release.cancelled" | "release.archived" => {
            &OF_RELEASE
        }
        "flag.unkilled" => &["flag.killed"],
        "flag.settled" => &["flag.stale"],
        "freeze.review_closed" => &["freeze.override"],
        "config.resolved" => &["config.conflict"],
        "metrics_source.up" => &["metrics_source.down"],
        "store.available" => &["store.unavailable"],
        "state.accepted" => &["state.lost"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use crate::notify::event::{Event, Severity};
    use crate::notify::standing::{AN_HOUR, OF_RELEASE, Standing, ended_by, raised_by};

    fn raised(kind: &str, severity: Severity) -> Option<Standing> {
        raised_by(&Event::new(UNIX_EPOCH, kind, severity, "eu"))
    }

    #[test]
    fn every_alert_that_lasts_has_an_event_that_ends_it() {
        for (kind, end) in [
            ("release.held", "release.resumed"),
            ("release.approval_needed", "release.approved"),
            ("config.conflict", "config.resolved"),
            ("flag.killed", "flag.unkilled"),
            ("flag.stale", "flag.settled"),
            ("metrics_source.down", "metrics_source.up"),
            ("store.unavailable", "store.available"),
            ("state.lost", "state.accepted"),
        ] {
            assert_eq!(raised(kind, Severity::Info), Some(Standing::UntilEnded));
            assert!(ended_by(end).contains(&kind), "{kind}");
        }
    }

    #[test]
    fn a_release_that_is_over_leaves_no_alert() {
        for kind in [
            "release.promoted",
            "release.superseded",
            "release.cancelled",
        ] {
            assert_eq!(ended_by(kind), OF_RELEASE);
            assert_eq!(raised(kind, Severity::Critical), None);
        }
    }

    #[test]
    fn what_is_not_known_is_an_alert_for_an_hour_if_it_matters() {
        let hour = Some(Standing::AtMost(AN_HOUR));
        assert_eq!(raised("disk.slow", Severity::Info), None);
        assert_eq!(raised("disk.slow", Severity::Warning), hour);
        assert_eq!(raised("disk.slow", Severity::Critical), hour);
    }
}
