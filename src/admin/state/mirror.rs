//! What came of the copies of a route's requests, in the words of the API.

use crate::admin::wire::{ComparisonStatus, MirrorStatus};
use crate::config::MirrorConfig;
use crate::proxy::Mirror;
use crate::telemetry::stats::{MirrorResult, Mismatch};

/// What came of the copies of a mirror, and what is set for it; the one that is live is missing while
/// its variant is off.
pub(in crate::admin::state) fn status(
    config: &MirrorConfig,
    mirror: Option<&Mirror>,
) -> MirrorStatus {
    let totals = mirror.map(|mirror| mirror.stats.read());
    let results = MirrorResult::ALL.iter().enumerate().map(|(n, result)| {
        let count = totals.as_ref().map_or(0, |totals| totals.results[n]);
        (result.label().to_owned(), count)
    });
    let comparison = totals.as_ref().filter(|_| config.compare.is_some());
    MirrorStatus {
        variant: config.variant.clone(),
        upstream: config.upstream.clone(),
        percent: config.percent,
        active: mirror.is_some(),
        in_flight: mirror.map_or(0, |mirror| mirror.caps[0].n_under_way()),
        results: results.collect(),
        comparison: comparison.map(|totals| ComparisonStatus {
            compared: totals.alike + totals.different,
            mismatched: totals.different,
            mismatches: Mismatch::ALL
                .iter()
                .zip(totals.mismatches)
                .map(|(kind, count)| (kind.label().to_owned(), count))
                .collect(),
        }),
    }
}
