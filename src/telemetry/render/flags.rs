//! Families of flags.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::telemetry::exposition::{Exposition, Labels};
use crate::telemetry::metrics::{self as names, Family};
use crate::telemetry::plane::{FlagLive, OfrepLive, PlaneLive};
use crate::telemetry::stats::{Class, FlagReason, FlagStats, FlagTotals};

/// How flags are evaluated, and how the requests fare that have their variants.
///
/// What happens at the edge has a series from the first request on that the edge evaluates the flag
/// for: most flags are never evaluated there.
pub(crate) fn flags(text: &mut Exposition, flags: &[Arc<FlagStats>]) {
    let rows: Vec<(Labels, FlagTotals, &FlagStats)> = flags
        .iter()
        .map(|stats| {
            let labels = stats.labels();
            let labels = Labels::new([("flag", &labels.flag), ("variant", &labels.variant)]);
            (labels, stats.read(), &**stats)
        })
        .collect();
    text.family(&names::FLAG_EVALUATIONS, |samples| {
        for (labels, totals, _) in &rows {
            // One series at least, so that the first evaluation is seen by `rate`.
            let is_new = totals.evaluations() == 0;
            for (reason, &n) in FlagReason::ALL.iter().zip(&totals.reasons) {
                if 0 < n || is_new && *reason == FlagReason::Default {
                    samples.value(&labels.and([("reason", reason.label())]), n);
                }
            }
        }
    });
    let mut missing: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, totals, stats) in &rows {
        *missing.entry(&stats.labels().flag).or_default() += totals.missing;
    }
    text.family(&names::FLAG_BUCKETS_MISSING, |samples| {
        for (flag, n) in &missing {
            samples.value(&Labels::new([("flag", flag)]), *n);
        }
    });
    let at_edge = || rows.iter().filter(|(_, totals, _)| 0 < totals.exposed);
    text.family(&names::FLAG_EXPOSURES, |samples| {
        for (labels, totals, _) in at_edge() {
            samples.value(labels, totals.exposed);
        }
    });
    text.family(&names::FLAG_INJECTED, |samples| {
        for (labels, totals, _) in at_edge() {
            samples.value(labels, totals.told);
        }
    });
    text.family(&names::FLAG_JUDGED, |samples| {
        for (labels, _, stats) in at_edge() {
            for (class, n) in Class::ALL.iter().zip(stats.judged().classes()) {
                samples.value(&labels.and([("class", class.label())]), n);
            }
        }
    });
}

/// What became of what applications asked.
fn ofrep(text: &mut Exposition, plane: Option<&PlaneLive>) {
    let ofrep = plane.map(|plane| &plane.ofrep);
    let mut each = |family: &Family, label, of: fn(&OfrepLive) -> &Vec<(&'static str, u64)>| {
        text.family(family, |samples| {
            for &(value, n) in ofrep.map_or(&Vec::new(), of) {
                samples.value(&Labels::new([(label, value)]), n);
            }
        });
    };
    each(&names::OFREP_ERRORS, "code", |ofrep| &ofrep.errors);
    each(&names::OFREP_REFUSED, "reason", |ofrep| &ofrep.refused);
    each(&names::OFREP_BULK, "result", |ofrep| &ofrep.bulk);
    text.family(&names::OFREP_STREAMS, |samples| {
        if let Some(ofrep) = ofrep {
            samples.value(&Labels::default(), ofrep.streams);
        }
    });
}

/// What is kept of flags.
pub(crate) fn kept(text: &mut Exposition, plane: Option<&PlaneLive>) {
    ofrep(text, plane);
    let flags = plane.map_or(&[][..], |plane| &plane.flags);
    let name = |flag: &FlagLive| Labels::new([("flag", &flag.name)]);
    text.family(&names::FLAG_LAST_EVALUATED, |samples| {
        for flag in flags {
            if let Some(at) = flag.last_evaluated {
                samples.value(&name(flag), at);
            }
        }
    });
    let mut each = |family: &Family, is: fn(&FlagLive) -> bool| {
        text.family(family, |samples| {
            for flag in flags {
                samples.value(&name(flag), u8::from(is(flag)));
            }
        });
    };
    each(&names::FLAG_KILLED, |flag| flag.is_killed);
    each(&names::FLAG_OVERRIDDEN, |flag| flag.is_overridden);
    each(&names::FLAG_EXPIRED, |flag| flag.is_expired);
    text.family(&names::FLAG_STALE, |samples| {
        for flag in flags {
            for &(cause, is) in &flag.stale {
                samples.value(&name(flag).and([("cause", cause)]), u8::from(is));
            }
        }
    });
}
