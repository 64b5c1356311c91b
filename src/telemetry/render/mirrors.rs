//! Families of mirrors.

use std::sync::Arc;

use crate::telemetry::exposition::{Exposition, Labels};
use crate::telemetry::metrics as names;
use crate::telemetry::render::variants::text_of;
use crate::telemetry::stats::{MirrorResult, MirrorStats, MirrorTotals, Mismatch};

/// What came of the copies of requests, and how their answers compare.
pub(crate) fn mirrors(text: &mut Exposition, mirrors: &[Arc<MirrorStats>]) {
    let rows: Vec<(&MirrorStats, Labels, MirrorTotals)> = mirrors
        .iter()
        .map(|stats| (&**stats, text_of(stats.labels()), stats.read()))
        .collect();
    text.family(&names::MIRROR_REQUESTS, |samples| {
        for (_, labels, totals) in &rows {
            for (result, n) in MirrorResult::ALL.iter().zip(totals.results) {
                samples.value(&labels.and([("result", result.label())]), n);
            }
        }
    });
    text.family(&names::MIRROR_DURATION, |samples| {
        for (stats, labels, totals) in &rows {
            samples.histogram(labels, stats.buckets(), &totals.duration);
        }
    });
    text.family(&names::MIRROR_COMPARISONS, |samples| {
        for (_, labels, totals) in &rows {
            samples.value(&labels.and([("result", "match")]), totals.alike);
            samples.value(&labels.and([("result", "mismatch")]), totals.different);
        }
    });
    text.family(&names::MIRROR_MISMATCHES, |samples| {
        for (_, labels, totals) in &rows {
            for (kind, n) in Mismatch::ALL.iter().zip(totals.mismatches) {
                samples.value(&labels.and([("kind", kind.label())]), n);
            }
        }
    });
}
