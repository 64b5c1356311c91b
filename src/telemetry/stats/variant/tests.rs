//! The promises of a variant's numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::{any, prop, prop_assert_eq, proptest};

use crate::telemetry::stats::{
    AttemptResult, Buckets, Class, Code, CodeKey, ErrorReason, Finished, HistogramTotals, Outcome,
    RetryCause, RetryResult, Selection, Source, TunnelEnd, VariantLabels, VariantStats,
};

fn stats(n_workers: usize) -> VariantStats {
    let labels = VariantLabels {
        route: "shop".into(),
        variant: "canary".into(),
        upstream: "shop-v2".into(),
    };
    VariantStats::new(labels, n_workers, Arc::new(Buckets::default()))
}

fn finished(code: u16, outcome: Outcome) -> Finished {
    Finished {
        code,
        source: Source::Upstream,
        selection: Selection::Hash,
        outcome,
        class: match outcome {
            Outcome::Success => Class::Ok,
            Outcome::Failure => Class::ServerError,
            Outcome::ClientClosed => Class::ClientClosed,
        },
        slice: 3,
        duration: Duration::from_millis(3),
        response_headers: Some(Duration::from_millis(2)),
        request_bytes: 10,
        response_bytes: 100,
        error: None,
    }
}

#[test]
fn a_finished_exchange_is_counted_everywhere_once() {
    let stats = stats(2);
    let shard = stats.shard(1);
    shard.begin(Selection::Hash);
    shard.begin(Selection::Hash);
    assert_eq!(stats.read().in_flight(), 2);
    shard.finish(&Finished {
        error: Some(ErrorReason::Truncated),
        ..finished(200, Outcome::Failure)
    });
    let totals = stats.read();
    assert_eq!(totals.in_flight(), 1);
    assert_eq!(totals.selections[Selection::Hash as usize], 2);
    let key = CodeKey {
        code: Code::Exact(200),
        source: Source::Upstream,
        selection: Selection::Hash,
    };
    assert_eq!(totals.codes.into_iter().collect::<Vec<_>>(), [(key, 1)]);
    assert_eq!((totals.request_bytes, totals.response_bytes), (10, 100));
    let failure = Outcome::Failure as usize;
    assert_eq!(totals.request_duration[failure].count(), 1);
    assert_eq!(totals.request_duration[failure].sum_nanos, 3_000_000);
    assert_eq!(totals.response_headers[failure].sum_nanos, 2_000_000);
    assert_eq!(
        totals.request_duration[Outcome::Success as usize].count(),
        0
    );
    assert_eq!(totals.errors[ErrorReason::Truncated as usize], 1);
    assert_eq!(totals.errors.iter().sum::<u64>(), 1);
}

#[test]
fn an_exchange_without_an_upstream_head_has_no_time_to_one() {
    let stats = stats(1);
    stats.shard(0).begin(Selection::Draw);
    stats.shard(0).finish(&Finished {
        response_headers: None,
        ..finished(502, Outcome::Failure)
    });
    let totals = stats.read();
    assert_eq!(totals.finished(), 1);
    assert!(
        totals
            .response_headers
            .iter()
            .all(|histogram| histogram.count() == 0)
    );
}

#[test]
fn tunnels_attempts_and_retries_are_counted_by_what_became_of_them() {
    let stats = stats(1);
    let shard = stats.shard(0);
    shard.tunnel_opened();
    shard.tunnel_opened();
    shard.tunnel_closed(TunnelEnd::Idle);
    shard.attempt(AttemptResult::Reset);
    shard.attempt(AttemptResult::Success);
    shard.connected(Duration::from_micros(300));
    shard.retried(RetryCause::Reset, RetryResult::Success);
    let totals = stats.read();
    assert_eq!(totals.tunnels_open(), 1);
    assert_eq!(totals.tunnels_closed[TunnelEnd::Idle as usize], 1);
    assert_eq!(totals.attempts[AttemptResult::Reset as usize], 1);
    assert_eq!(totals.attempts.iter().sum::<u64>(), 2);
    assert_eq!(totals.connect_duration.buckets[0], 1);
    assert_eq!(
        totals.retries[RetryCause::Reset as usize][RetryResult::Success as usize],
        1
    );
}

#[test]
fn expected_selections_only_grow() {
    let stats = stats(1);
    stats.expect(&[Selection::Hash]);
    stats.expect(&[Selection::Forced]);
    let seen: Vec<_> = stats.expected().collect();
    assert_eq!(seen, [Selection::Hash, Selection::Forced]);
}

#[test]
fn a_reader_never_sees_an_end_without_its_beginning_and_nothing_is_lost() {
    const N_WORKERS: usize = 3;
    const N: u64 = 20_000;
    let stats = stats(N_WORKERS);
    let writing = AtomicBool::new(true);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..N_WORKERS)
            .map(|worker| {
                let stats = &stats;
                scope.spawn(move || {
                    let shard = stats.shard(worker);
                    for n in 0..N {
                        shard.begin(Selection::Hash);
                        shard.tunnel_opened();
                        shard.finish(&finished(200 + (n % 40) as u16, Outcome::Success));
                        shard.tunnel_closed(TunnelEnd::Client);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while writing.load(Ordering::Relaxed) {
                    let totals = stats.read();
                    assert!(totals.finished() <= totals.begun());
                    assert!(totals.tunnels_closed.iter().sum::<u64>() <= totals.tunnels_opened);
                    assert!(last <= totals.finished(), "a counter went back");
                    last = totals.finished();
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        writing.store(false, Ordering::Relaxed);
    });
    let totals = stats.read();
    assert_eq!(totals.finished(), N * N_WORKERS as u64);
    assert_eq!(totals.in_flight(), 0);
    assert_eq!(totals.tunnels_open(), 0);
    assert_eq!(totals.codes.len(), 40);
}

proptest! {
    #[test]
    fn the_histograms_hold_as_many_values_as_exchanges_have_finished(
        exchanges in prop::collection::vec((0usize..3, 0usize..3, any::<u32>(), any::<bool>(), 200u16..600), 0..100)
    ) {
        let stats = stats(3);
        for &(worker, outcome, micros, answered, code) in &exchanges {
            let shard = stats.shard(worker);
            shard.begin(Selection::Hash);
            let duration = Duration::from_micros(u64::from(micros));
            shard.finish(&Finished {
                duration,
                response_headers: answered.then_some(duration),
                ..finished(code, Outcome::ALL[outcome])
            });
        }
        let totals = stats.read();
        prop_assert_eq!(totals.finished(), exchanges.len() as u64);
        let count: u64 = totals.request_duration.iter().map(HistogramTotals::count).sum();
        prop_assert_eq!(count, exchanges.len() as u64);
        let answered = exchanges.iter().filter(|exchange| exchange.3).count() as u64;
        let count: u64 = totals.response_headers.iter().map(HistogramTotals::count).sum();
        prop_assert_eq!(count, answered);
    }
}
