//! Reads `[strategy.NAME.analysis]`: how a candidate is judged, but for the checks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::listener::WAIT;
use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::release::analysis::{Baseline, OnInsufficient, OnMissing, Settings};

/// What a chance of being wrong may be.
pub(in crate::config::releases) const CHANCE: RangeInclusive<f64> = 1e-9..=0.5;

/// How long a tick may be: the analysis looks once in it.
const TICK: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// What a time may be that may also be none.
const PAUSE: RangeInclusive<Duration> = Duration::ZERO..=*WAIT.end();

/// What is done where a strategy does not say it.
pub(in crate::config::releases) fn default() -> Settings {
    Settings {
        interval: Duration::from_secs(30),
        warmup: Duration::from_secs(60),
        alpha: 0.01,
        beta_pass: 0.05,
        max_wait: Duration::from_secs(7200),
        baseline: Baseline::Stable,
        on_insufficient: OnInsufficient::Hold,
        on_no_data: OnMissing::Hold,
        on_source_down: OnMissing::Hold,
        aa_guard: true,
        checks: BTreeMap::new(),
    }
}

/// Whether the candidate is judged, and how.
pub(in crate::config::releases) struct Analysis {
    /// False where the strategy says `analysis = false`.
    pub(in crate::config::releases) is_on: bool,
    /// How, without any check.
    pub(in crate::config::releases) settings: Settings,
}

/// Reads it: a table, or false.
pub(in crate::config::releases) fn read(value: Option<&Value<'_>>) -> Analysis {
    let mut settings = default();
    let mut is_on = true;
    if let Some(value) = value {
        match value.as_boolean() {
            Some(said) => is_on = said,
            None if value.is_table() => {
                value.table(|table| set(table, &mut settings));
            }
            None => value.is_not("a table, or false for no analysis"),
        }
    }
    Analysis { is_on, settings }
}

fn set(table: &mut Table<'_>, settings: &mut Settings) {
    if let Some(value) = table.optional("source") {
        value.may_be(|| ["local".to_owned()]);
        if let Some(name) = value.string()
            && name != "local"
        {
            let hint = near::hint(name, ["local"].into_iter());
            value.refuse(format!(
                "there is no source of metrics {}{hint}: this version has \"local\" alone, what \
                 the proxy counts itself",
                value.shown()
            ));
        }
    }
    table.set("interval", &mut settings.interval, |value| {
        value.duration(&TICK)
    });
    table.set("warmup", &mut settings.warmup, |value| {
        value.duration(&PAUSE)
    });
    table.set("alpha", &mut settings.alpha, |value| value.between(CHANCE));
    table.set("beta_pass", &mut settings.beta_pass, |value| {
        value.between(CHANCE)
    });
    table.set("baseline", &mut settings.baseline, |value| {
        value.choice(&[("stable", Baseline::Stable), ("slice", Baseline::Slice)])
    });
    table.set("aa_guard", &mut settings.aa_guard, Value::boolean);
    table.set("max_wait", &mut settings.max_wait, |value| {
        value.duration(&PAUSE)
    });
    table.set("on_insufficient", &mut settings.on_insufficient, |value| {
        value.choice(&[
            ("hold", OnInsufficient::Hold),
            ("rollback", OnInsufficient::Rollback),
            ("pass", OnInsufficient::Pass),
        ])
    });
    for (key, target) in [
        ("on_no_data", &mut settings.on_no_data),
        ("on_source_down", &mut settings.on_source_down),
    ] {
        table.set(key, target, |value| {
            value.choice(&[("hold", OnMissing::Hold), ("rollback", OnMissing::Rollback)])
        });
    }
}
