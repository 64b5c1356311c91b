//! Flags for applications: one at a time, and a thousand at once, from the request to the bytes of its
//! answer, without a socket.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use criterion::{BenchmarkId, Criterion, Throughput};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tidegate::flag::{Evaluation, FlagSpec, Flags, RuleSpec, Serve};
use tidegate::ofrep::{Arrival, Asked, Counts, Service, Settings};
use tidegate::segment::{ConditionSpec, Operand, Operator, Segment, SegmentSpec};
use tokio_util::sync::CancellationToken;

const CONTEXT: &str = "{\"context\":{\"targetingKey\":\"user-17\",\"plan\":\"free\",\
                       \"country\":\"DE\",\"app\":\"2.5.1\"}}";

struct Nobody;

impl Counts for Nobody {
    fn evaluated(&self, evaluation: &Evaluation<'_>, _: Asked) {
        black_box(evaluation.variant);
    }

    fn needed(&self, _: usize, _: usize) {}
}

/// Flags with a rule for a segment and one that splits, as most have.
fn flags(n: usize) -> Arc<Flags> {
    let condition = ConditionSpec {
        attribute: "plan".parse().expect("an attribute"),
        operator: Operator::Eq,
        operand: Operand::Text("beta".to_owned()),
    };
    let any = vec![vec![condition]];
    let segment = Arc::new(Segment::new(&SegmentSpec { any }).expect("a segment"));
    let weights = [("on", 10), ("off", 90)].map(|(name, weight)| (name.to_owned(), weight));
    let flag = |n: usize| FlagSpec {
        owner: Some(format!("team-{}", n % 20)),
        client_visible: true,
        rules: vec![
            RuleSpec {
                name: Some("beta".to_owned()),
                segment: Some(("beta".to_owned(), Arc::clone(&segment))),
                ..RuleSpec::new(Serve::Variant("on".to_owned()))
            },
            RuleSpec {
                name: Some("ramp".to_owned()),
                ..RuleSpec::new(Serve::Split(weights.clone().into()))
            },
        ],
        ..FlagSpec::switch()
    };
    let specs: BTreeMap<String, FlagSpec> =
        (0..n).map(|n| (format!("flag-{n:05}"), flag(n))).collect();
    Arc::new(Flags::new(&specs, &BTreeMap::new()).expect("flags"))
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let mut group = criterion.benchmark_group("ofrep");
    for n_flags in [1, 1_000, 10_000] {
        let (counts, now) = (Arc::new(Nobody), SystemTime::now());
        let shutdown = CancellationToken::new();
        let settings = Settings::default();
        let service = Service::new(flags(n_flags), counts, settings, [7; 32], shutdown, now);
        let router = TowerToHyperService::new(service.router(Arrival::Direct { max_streams: 32 }));
        let ask = |path: &str, known: Option<&str>, status: StatusCode| {
            let mut request = Request::post(path).header("content-type", "application/json");
            if let Some(known) = known {
                request = request.header("if-none-match", known);
            }
            let request = request.body(Body::from(CONTEXT)).expect("a request");
            runtime.block_on(async {
                let answer = router.call(request).await.expect("an answer");
                assert_eq!(answer.status(), status);
                let (head, body) = answer.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                (head, body)
            })
        };
        let all = "/ofrep/v1/evaluate/flags";
        let (head, body) = ask(all, None, StatusCode::OK);
        let tag = head.headers["etag"].to_str().expect("a tag");
        if n_flags == 1 {
            group.throughput(Throughput::Elements(1));
            group.bench_function("one", |bencher| {
                bencher.iter(|| ask("/ofrep/v1/evaluate/flags/flag-00000", None, StatusCode::OK));
            });
            continue;
        }
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("all", n_flags), |bencher| {
            bencher.iter(|| ask(all, None, StatusCode::OK));
        });
        group.bench_function(BenchmarkId::new("all, known already", n_flags), |bencher| {
            bencher.iter(|| ask(all, Some(tag), StatusCode::NOT_MODIFIED));
        });
        group.bench_function(BenchmarkId::new("other flags", n_flags), |bencher| {
            let flags = flags(n_flags);
            bencher.iter(|| {
                service.set_flags(black_box(Arc::clone(&flags)), Arc::new(Nobody), now);
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
