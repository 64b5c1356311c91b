//! Families of releases.

use crate::telemetry::exposition::{Exposition, Labels, Samples};
use crate::telemetry::metrics::{self as names, Family};
use crate::telemetry::plane::{CheckLive, PlaneLive, ReleaseLive};

/// Where releases stand, what they wait for, and what their checks say.
pub(crate) fn releases(text: &mut Exposition, plane: Option<&PlaneLive>) {
    let releases = plane.map_or(&[][..], |plane| &plane.releases);
    let rows: Vec<(Labels, &ReleaseLive)> = releases
        .iter()
        .map(|one| {
            let labels = [("route", &*one.route), ("release", &*one.release)];
            (Labels::new(labels), one)
        })
        .collect();
    text.family(&names::RELEASES_LOOKED_AT, |samples| {
        if let Some(plane) = plane {
            samples.value(&Labels::default(), plane.looked_at);
        }
    });
    each(
        text,
        &names::RELEASE_PHASE,
        &rows,
        |samples, labels, one| {
            for &(phase, is_in) in &one.phases {
                samples.value(&labels.and([("phase", phase)]), u8::from(is_in));
            }
        },
    );
    each(
        text,
        &names::RELEASE_ENTERED,
        &rows,
        |samples, labels, one| {
            samples.value(labels, one.entered_at);
        },
    );
    each(text, &names::RELEASE_STEP, &rows, |samples, labels, one| {
        samples.value(labels, one.step);
    });
    each(
        text,
        &names::RELEASE_STEPS,
        &rows,
        |samples, labels, one| {
            samples.value(labels, one.n_steps);
        },
    );
    each(
        text,
        &names::RELEASE_WEIGHT,
        &rows,
        |samples, labels, one| {
            for (variant, share) in &one.weights {
                samples.value(&labels.and([("variant", variant)]), share);
            }
        },
    );
    each(
        text,
        &names::RELEASE_SHARE,
        &rows,
        |samples, labels, one| {
            for (variant, share) in &one.shares {
                samples.value(&labels.and([("variant", variant)]), share);
            }
        },
    );
    each(text, &names::RELEASE_HOLD, &rows, |samples, labels, one| {
        for &reason in &one.holds {
            samples.value(&labels.and([("reason", reason)]), 1);
        }
    });
    checks(text, &rows);
    transitions(text, plane);
    each(text, &names::RELEASE_WORK, &rows, |samples, labels, one| {
        samples.value(labels, one.worked.as_secs_f64());
    });
    each(text, &names::RELEASE_WAIT, &rows, |samples, labels, one| {
        for (reason, waited) in &one.waited {
            samples.value(&labels.and([("reason", reason)]), waited.as_secs_f64());
        }
    });
    approvals(text, plane);
    each(
        text,
        &names::RELEASE_REVIEW_OPEN,
        &rows,
        |samples, labels, one| {
            samples.value(labels, u8::from(one.is_review_open));
        },
    );
}

fn each(
    text: &mut Exposition,
    family: &Family,
    rows: &[(Labels, &ReleaseLive)],
    write: impl Fn(&mut Samples<'_>, &Labels, &ReleaseLive),
) {
    text.family(family, |samples| {
        for (labels, one) in rows {
            write(samples, labels, one);
        }
    });
}

fn checks(text: &mut Exposition, rows: &[(Labels, &ReleaseLive)]) {
    let of = |labels: &Labels, check: &CheckLive| labels.and([("check", &*check.name)]);
    each(
        text,
        &names::RELEASE_CHECK_EVIDENCE,
        rows,
        |samples, labels, one| {
            for check in &one.checks {
                samples.value(&of(labels, check), check.evidence);
            }
        },
    );
    each(
        text,
        &names::RELEASE_CHECK_THRESHOLD,
        rows,
        |samples, labels, one| {
            for check in &one.checks {
                samples.value(&of(labels, check), check.threshold);
            }
        },
    );
    each(
        text,
        &names::RELEASE_CHECK_VERDICT,
        rows,
        |samples, labels, one| {
            for check in &one.checks {
                for &(verdict, is_it) in &check.verdicts {
                    let labels = of(labels, check).and([("verdict", verdict)]);
                    samples.value(&labels, u8::from(is_it));
                }
            }
        },
    );
}

fn transitions(text: &mut Exposition, plane: Option<&PlaneLive>) {
    text.family(&names::RELEASE_TRANSITIONS, |samples| {
        for one in plane.map_or(&[][..], |plane| &plane.transitions) {
            let labels = [("route", &*one.route), ("to", one.to), ("cause", one.cause)];
            samples.value(&Labels::new(labels), one.n);
        }
    });
}

fn approvals(text: &mut Exposition, plane: Option<&PlaneLive>) {
    text.family(&names::RELEASE_APPROVALS, |samples| {
        for (gate, answer, n) in plane.map_or(&[][..], |plane| &plane.approvals) {
            samples.value(&Labels::new([("gate", gate), ("answer", answer)]), n);
        }
    });
}
