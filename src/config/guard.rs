//! Reads what spares an upstream more than it can take: `[upstream.NAME.limits]`,
//! `[upstream.NAME.breaker]` and `[upstream.NAME.retry]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::health;
use crate::config::listener::WAIT;
use crate::config::reader::{Table, Value};
use crate::config::settings::Protocol;
use crate::config::unit::write_duration;
use crate::upstream::{
    Breaker, Budget, FailureKind, OtherVariant, Retry, RetryKind, RetryKinds, UpstreamLimits,
};

/// How many of something there may be at most, where that is limited.
const MOST: u64 = 10_000_000;

/// When a breaker opens unless told otherwise.
const PERCENT: f64 = 50.0;
const REQUESTS: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);
const OPEN: Duration = Duration::from_secs(5);
const MAX_OPEN: Duration = Duration::from_secs(60);
const TRIALS: u64 = 5;
/// How many further attempts there are unless told otherwise, and at most.
const ATTEMPTS: u32 = 1;
const MOST_ATTEMPTS: u64 = 10;
/// How many retries there may be in all: what Linkerd allows.
const BUDGET_PERCENT: f64 = 20.0;
const BUDGET_PER_SECOND: u32 = 10;
/// Each request once more, for as many attempts as there may be.
const MOST_BUDGET: f64 = 1000.0;
/// What belongs where causes of retries are.
const RETRIED: &str = "a list such as [\"connect\", \"unsent\", \"503\"]";
/// The shortest window: it is looked at every second.
const SHORTEST: Duration = Duration::from_secs(1);

/// Reads how much an upstream that speaks a protocol is given at once; 0 is without bound.
pub(crate) fn limits(table: &mut Table<'_>, protocol: Protocol) -> UpstreamLimits {
    let mut limits = UpstreamLimits::default();
    table.section("limits", |table| {
        table.set("connections", &mut limits.connections, |value| {
            let limit = number(value, 0..=MOST)?;
            if limit > 0 && protocol == Protocol::Http2 {
                value.refuse_key(
                    "has no effect on protocol = \"h2\", where requests share connections; \
                     requests can be limited",
                );
                return None;
            }
            Some((limit > 0).then_some(limit))
        });
        for (key, limit) in [
            ("requests", &mut limits.requests),
            ("pending", &mut limits.pending),
        ] {
            table.set(key, limit, |value| {
                let limit = number(value, 0..=MOST)?;
                Some((limit > 0).then_some(limit))
            });
        }
    });
    limits
}

/// Reads when an upstream is left alone as a whole; `None` when a problem was recorded.
pub(crate) fn breaker(value: &Value<'_>) -> Option<Breaker> {
    value.table(|table| {
        let mut percent = PERCENT;
        table.set("percent", &mut percent, |value| self::percent(value, 100.0));
        let all = FailureKind::ALL;
        let on = health::kinds(table, &all);
        let (mut window, mut open, mut max_open) = (WINDOW, OPEN, MAX_OPEN);
        table.set("window", &mut window, |value| {
            value.duration(&(SHORTEST..=*WAIT.end()))
        });
        table.set("open", &mut open, |value| value.duration(&WAIT));
        table.set("max_open", &mut max_open, |value| value.duration(&WAIT));
        let (mut requests, mut trials) =
            (u32::try_from(REQUESTS).ok()?, u32::try_from(TRIALS).ok()?);
        table.set("requests", &mut requests, |value| number(value, 1..=MOST));
        table.set("trials", &mut trials, |value| number(value, 1..=1000));
        if max_open < open {
            table.refuse(format!(
                "max_open ({}) is less than open ({})",
                write_duration(max_open),
                write_duration(open)
            ));
        }
        if percent == 0.0 {
            table.refuse_key("percent", "0 would open it while nothing fails");
        }
        Some(Breaker {
            errors: percent / 100.0,
            requests,
            window,
            on,
            open,
            max_open,
            trials,
        })
    })?
}

/// When an attempt is followed by another unless told otherwise.
pub(crate) fn usual_retry() -> Retry {
    Retry {
        attempts: ATTEMPTS,
        on: RetryKinds::from_iter([RetryKind::Connect, RetryKind::Unsent]),
        other_variant: OtherVariant::default(),
        budget: Budget {
            share: BUDGET_PERCENT / 100.0,
            per_second: BUDGET_PER_SECOND,
        },
    }
}

/// Reads when an attempt that came to nothing is followed by another.
pub(crate) fn retry(table: &mut Table<'_>) -> Retry {
    let mut retry = usual_retry();
    table.section("retry", |table| {
        table.set("attempts", &mut retry.attempts, |value| {
            number(value, 0..=MOST_ATTEMPTS)
        });
        let kinds = RetryKind::ALL.map(|kind| (kind.name(), kind));
        table.set("on", &mut retry.on, |value| {
            let on = value.list(RETRIED, |value| value.choice(&kinds))?;
            Some(RetryKinds::from_iter(on))
        });
        table.set("other_variant", &mut retry.other_variant, |value| {
            value.choice(&OtherVariant::ALL.map(|one| (one.name(), one)))
        });
        table.section("budget", |table| {
            table.set("percent", &mut retry.budget.share, |value| {
                Some(percent(value, MOST_BUDGET)? / 100.0)
            });
            table.set("per_second", &mut retry.budget.per_second, |value| {
                number(value, 0..=MOST)
            });
        });
    });
    retry
}

/// Reads a percentage up to a bound.
fn percent(value: &Value<'_>, most: f64) -> Option<f64> {
    let percent = value.finite()?;
    if !(0.0..=most).contains(&percent) {
        value.is_not(&format!("a percentage from 0 to {most}"));
        return None;
    }
    Some(percent)
}

/// Reads a whole number that fits.
pub(crate) fn number(value: &Value<'_>, range: RangeInclusive<u64>) -> Option<u32> {
    value
        .whole(range)
        .and_then(|number| u32::try_from(number).ok())
}
