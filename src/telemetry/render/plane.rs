//! Families of what surrounds releases: what stops all of them, what they are kept in, who is told of
//! them, and how changes have reached users.

use std::fmt::Display;

use crate::telemetry::exposition::{Exposition, Labels};
use crate::telemetry::metrics::{self as names, Family};
use crate::telemetry::plane::{PlaneLive, SinkLive};

/// All of it; nothing but the names of the families where nothing is kept.
pub(crate) fn plane(text: &mut Exposition, plane: Option<&PlaneLive>) {
    rules(text, plane);
    store(text, plane);
    sinks(text, plane.map_or(&[][..], |plane| &plane.sinks));
    dora(text, plane);
}

fn one<T: Display>(
    text: &mut Exposition,
    family: &Family,
    plane: Option<&PlaneLive>,
    value: impl Fn(&PlaneLive) -> T,
) {
    text.family(family, |samples| {
        if let Some(plane) = plane {
            samples.value(&Labels::default(), value(plane));
        }
    });
}

fn rules(text: &mut Exposition, plane: Option<&PlaneLive>) {
    one(text, &names::RELEASE_CONFLICTS, plane, |plane| {
        let releases = plane.releases.iter();
        releases.filter(|release| release.is_in_conflict).count()
    });
    text.family(&names::DRIFT, |samples| {
        for route in plane.map_or(&[][..], |plane| &plane.drifting) {
            samples.value(&Labels::new([("route", route)]), 1);
        }
    });
    one(text, &names::STOP_THE_LINE, plane, |plane| {
        u8::from(plane.is_stopped)
    });
    let freezes = plane.map_or(&[][..], |plane| &plane.freezes);
    text.family(&names::FREEZE_ACTIVE, |samples| {
        for freeze in freezes {
            let labels = Labels::new([("freeze", &freeze.name)]);
            samples.value(&labels, u8::from(freeze.is_active));
        }
    });
    text.family(&names::FREEZE_OVERRIDDEN, |samples| {
        for freeze in freezes {
            samples.value(&Labels::new([("freeze", &freeze.name)]), freeze.overridden);
        }
    });
}

fn store(text: &mut Exposition, plane: Option<&PlaneLive>) {
    one(text, &names::AUDIT_HEAD_SEQ, plane, |plane| {
        plane.store.head_seq
    });
    text.family(&names::AUDIT_HEAD_INFO, |samples| {
        if let Some(plane) = plane {
            samples.value(&Labels::new([("hash", &plane.store.head_hash)]), 1);
        }
    });
    one(text, &names::STORE_WRITABLE, plane, |plane| {
        u8::from(plane.store.is_writable)
    });
    one(text, &names::STORE_BROKEN, plane, |plane| {
        u8::from(plane.store.is_broken)
    });
    one(text, &names::STORE_UNWRITTEN, plane, |plane| {
        plane.store.unwritten
    });
    text.family(&names::STORE_COMMITS, |samples| {
        for &(result, n) in plane.map_or(&[][..], |plane| &plane.store.commits) {
            samples.value(&Labels::new([("result", result)]), n);
        }
    });
}

fn sinks(text: &mut Exposition, sinks: &[SinkLive]) {
    let mut each = |family: &Family, value: fn(&SinkLive) -> f64| {
        text.family(family, |samples| {
            for sink in sinks {
                samples.value(&Labels::new([("sink", &sink.name)]), value(sink));
            }
        });
    };
    each(&names::NOTIFY_SENT, |sink| sink.sent as f64);
    each(&names::NOTIFY_FAILED, |sink| sink.failed as f64);
    each(&names::NOTIFY_DROPPED, |sink| sink.dropped as f64);
    each(&names::NOTIFY_WAITING, |sink| sink.waiting as f64);
    each(&names::NOTIFY_OLDEST, |sink| sink.oldest.as_secs_f64());
}

fn dora(text: &mut Exposition, plane: Option<&PlaneLive>) {
    let windows = plane.map_or(&[][..], |plane| &plane.dora);
    text.family(&names::DORA_DEPLOYMENTS, |samples| {
        for figures in windows {
            let labels = Labels::new([("window", figures.window)]);
            samples.value(&labels, figures.deployments);
        }
    });
    text.family(&names::DORA_LEAD_TIME, |samples| {
        for figures in windows {
            for &(percentile, seconds) in &figures.lead_time {
                let labels = [("window", figures.window), ("percentile", percentile)];
                samples.value(&Labels::new(labels), seconds);
            }
        }
    });
    text.family(&names::DORA_CHANGE_FAILURE, |samples| {
        for figures in windows {
            if let Some(part) = figures.change_failure {
                samples.value(&Labels::new([("window", figures.window)]), part);
            }
        }
    });
    text.family(&names::DORA_RECOVERY, |samples| {
        for figures in windows {
            for &(percentile, seconds) in &figures.recovery {
                let labels = [("window", figures.window), ("percentile", percentile)];
                samples.value(&Labels::new(labels), seconds);
            }
        }
    });
}
