//! The promises of what variants are judged by.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use crate::telemetry::stats::{
    Buckets, Class, Finished, HistogramTotals, Judged, N_SLICES, Outcome, Selection, Source,
    VariantLabels, VariantStats,
};

fn stats() -> VariantStats {
    let labels = VariantLabels {
        route: "shop".into(),
        variant: "canary".into(),
        upstream: "shop-v2".into(),
    };
    VariantStats::new(labels, 3, Arc::new(Buckets::default()))
}

fn finished(class: Class) -> Finished {
    let outcome = match class {
        Class::Ok | Class::ClientError | Class::Unavailable | Class::Excused => Outcome::Success,
        Class::ServerError | Class::Timeout | Class::Reset | Class::Grpc => Outcome::Failure,
        Class::ClientClosed => Outcome::ClientClosed,
    };
    Finished {
        code: 200,
        source: Source::Upstream,
        selection: Selection::Hash,
        outcome,
        class,
        slice: 0,
        duration: Duration::from_millis(700),
        response_headers: Some(Duration::from_millis(3)),
        request_bytes: 0,
        response_bytes: 0,
        error: None,
    }
}

fn count(judged: &Judged, class: Class) -> u64 {
    judged.classes()[class as usize]
}

/// The bound of the bucket that the only value is in.
fn only_latency(judged: &Judged) -> f64 {
    assert_eq!(judged.latency.iter().sum::<u64>(), 1);
    let bucket = judged.latency.iter().position(|&count| count == 1).unwrap();
    Buckets::default().fine_seconds().nth(bucket).unwrap()
}

#[test]
fn a_forced_request_is_counted_and_not_judged() {
    let stats = stats();
    stats.shard(0).finish(&Finished {
        selection: Selection::Forced,
        ..finished(Class::Ok)
    });
    assert_eq!(stats.judged(), Judged::new(&Buckets::default()));
    let totals = stats.read();
    assert_eq!(totals.finished(), 1);
    assert_eq!(
        totals.response_headers[Outcome::Success as usize].count(),
        1
    );
}

#[test]
fn an_answer_is_judged_by_the_time_to_its_head_and_a_timeout_by_all_that_it_took() {
    for class in [Class::Ok, Class::ClientError] {
        let stats = stats();
        stats.shard(0).finish(&finished(class));
        let bound = only_latency(&stats.judged());
        assert!((0.003..0.004).contains(&bound), "{bound}");
    }
    let stats = stats();
    stats.shard(0).finish(&Finished {
        response_headers: None,
        ..finished(Class::Timeout)
    });
    let bound = only_latency(&stats.judged());
    assert!((0.7..0.71).contains(&bound), "{bound}");
}

#[test]
fn what_is_no_answer_of_the_variants_own_says_nothing_of_how_fast_it_is() {
    let stats = stats();
    for class in [
        Class::ServerError,
        Class::Reset,
        Class::Grpc,
        Class::Unavailable,
        Class::ClientClosed,
        Class::Excused,
    ] {
        stats.shard(0).finish(&finished(class));
    }
    let judged = stats.judged();
    assert_eq!(judged.latency.iter().sum::<u64>(), 0);
    assert_eq!(judged.requests(), 6);
}

#[test]
fn slices_are_parted_and_lose_nothing() {
    let stats = stats();
    for slice in 0..N_SLICES as u8 {
        let classes = [Class::Ok, Class::ServerError];
        for class in classes.into_iter().take(1 + usize::from(slice % 2)) {
            stats.shard(usize::from(slice) % 3).finish(&Finished {
                slice,
                ..finished(class)
            });
        }
    }
    let judged = stats.judged();
    let (first, rest) = judged.parted(3);
    let (ok, bad) = (Class::Ok as usize, Class::ServerError as usize);
    assert_eq!((first[ok], first[bad]), (3, 1));
    assert_eq!((rest[ok], rest[bad]), (13, 7));
    assert_eq!(judged.parted(N_SLICES).0, judged.classes());
    assert_eq!(judged.parted(N_SLICES + 1).0, judged.classes());
}

proptest! {
    #[test]
    fn what_is_judged_are_the_requests_that_ended_and_were_not_forced(
        exchanges in prop::collection::vec(
            (0usize..3, 0..Selection::N, 0..Class::N, any::<u8>(), any::<u32>(), any::<bool>()),
            0..200,
        )
    ) {
        let stats = stats();
        let mut expected = [0; Class::N];
        for &(worker, selection, class, slice, micros, answered) in &exchanges {
            let (selection, class) = (Selection::ALL[selection], Class::ALL[class]);
            let duration = Duration::from_micros(u64::from(micros));
            stats.shard(worker).finish(&Finished {
                selection,
                slice,
                duration,
                response_headers: answered.then_some(duration),
                ..finished(class)
            });
            expected[class as usize] += u64::from(selection != Selection::Forced);
        }
        let (judged, totals) = (stats.judged(), stats.read());
        prop_assert_eq!(judged.classes(), expected);
        let unforced = totals.codes.iter().filter(|(key, _)| key.selection != Selection::Forced);
        prop_assert_eq!(judged.requests(), unforced.map(|(_, count)| count).sum::<u64>());
        let in_slices: u64 = judged.slices.iter().flatten().sum();
        prop_assert_eq!(in_slices, judged.requests());
        // What is judged is shown with the rest, once.
        let answered = exchanges.iter().filter(|exchange| exchange.5).count() as u64;
        let shown: u64 = totals.response_headers.iter().map(HistogramTotals::count).sum();
        prop_assert_eq!(shown, answered);
        let timeouts = count(&judged, Class::Timeout);
        let answers = count(&judged, Class::Ok) + count(&judged, Class::ClientError);
        let latency: u64 = judged.latency.iter().sum();
        prop_assert!((timeouts..=timeouts + answers).contains(&latency), "{latency}");
    }
}
