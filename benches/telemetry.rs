//! What is told: a line of the access log, what is counted of a request, and the page of metrics.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{BenchmarkId, Criterion};
use metrics::Counter;
use tidegate::message::{Address, Version};
use tidegate::telemetry::access_log::{Entry, Format, Output, Outputs, Settings};
use tidegate::telemetry::stats::{
    Buckets, Class, Finished, Outcome, Selection, Source, VariantLabels, VariantStats,
};
use tidegate::telemetry::{Live, Telemetry, VariantLive, VariantState};
use tokio::time::Instant;

static ENDPOINT: Address = Address::Tcp(SocketAddr::new(
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 21)),
    9000,
));

fn entry() -> Entry<'static> {
    Entry {
        at: SystemTime::now(),
        listener: "https",
        route: Some("shop"),
        variant: Some("canary"),
        served_variant: Some("canary"),
        selection: Some(Selection::Hash),
        segment: None,
        flags: &[],
        key_hash: Some(0x0123_4567_89ab_cdef),
        method: b"GET",
        host: b"shop.example.com",
        path: b"/products/42",
        query: Some(b"ref=home"),
        status: 200,
        source: Source::Upstream,
        reason: None,
        bytes_in: 0,
        bytes_out: 12_345,
        duration: Duration::from_micros(12_345),
        response_headers: Some(Duration::from_micros(11_111)),
        upstream_connect: None,
        attempts: 1,
        mirror: None,
        endpoint: Some(&ENDPOINT),
        client_ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77)),
        protocol: Version::Http2,
        upstream_protocol: Some(Version::Http11),
        grpc_status: None,
        generation: 12,
        request_id: Some(b"0123456789abcdef0123456789abcdef"),
        trace_id: None,
        referer: Some(b"https://shop.example.com/products"),
        user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    }
}

fn finished() -> Finished {
    Finished {
        code: 200,
        source: Source::Upstream,
        selection: Selection::Hash,
        outcome: Outcome::Success,
        class: Class::Ok,
        slice: 3,
        duration: Duration::from_micros(1_234),
        response_headers: Some(Duration::from_micros(1_111)),
        request_bytes: 0,
        response_bytes: 12_345,
        error: None,
    }
}

fn labels(route: usize, variant: &str) -> VariantLabels {
    VariantLabels {
        route: format!("route-{route}").into(),
        variant: variant.into(),
        upstream: format!("upstream-{route}-{variant}").into(),
    }
}

/// So many routes with two variants each; those of the first `n_used` have had a request.
fn telemetry(n_routes: usize, n_used: usize) -> Telemetry {
    let telemetry = Telemetry::new(2, Buckets::default());
    let registry = telemetry.registry();
    let mut live = Live::default();
    for route in 0..n_routes {
        for variant in ["stable", "canary"] {
            let labels = labels(route, variant);
            let expected = [Selection::Draw, Selection::Failover];
            let stats = registry.variant(&labels, &expected);
            let of_route = registry.route(&labels.route);
            if route < n_used {
                let shard = stats.shard(0);
                shard.begin(Selection::Draw);
                shard.finish(&finished());
                of_route.shard(0).overhead(Duration::from_micros(50));
            }
            live.variants.push(VariantLive {
                labels,
                weight: 1,
                share: 0.5,
                state: VariantState::On,
                healthy_endpoints: 1,
                unhealthy_endpoints: 0,
            });
        }
    }
    registry.set_live(live, Instant::now());
    telemetry
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();

    let mut group = criterion.benchmark_group("access log line");
    let outputs = Outputs::new(Counter::noop());
    for (name, format) in [
        ("json", Format::Json),
        ("common", Format::Common),
        ("combined", Format::Combined),
    ] {
        let settings = Settings {
            format,
            output: Output::Path(PathBuf::from("/dev/null")),
            ..Settings::default()
        };
        let log = outputs.open(&settings).expect("/dev/null can be opened");
        let entry = entry();
        group.bench_function(name, |bencher| {
            bencher.iter(|| log.record(black_box(&entry)));
        });
        log.close();
    }
    group.finish();

    let stats = VariantStats::new(labels(0, "stable"), 1, Arc::new(Buckets::default()));
    let finished = finished();
    criterion.bench_function("count a request", |bencher| {
        bencher.iter(|| {
            let shard = stats.shard(0);
            shard.begin(Selection::Hash);
            shard.finish(black_box(&finished));
        });
    });

    let mut group = criterion.benchmark_group("metrics page");
    group.sample_size(10);
    for n_routes in [10, 100, 1_000] {
        for (name, n_used) in [("unused", 0), ("used", n_routes)] {
            let telemetry = telemetry(n_routes, n_used);
            let now = Instant::now();
            let n_bytes = telemetry.render(now).len();
            let name = format!("{name}, {n_bytes} bytes");
            group.bench_function(BenchmarkId::new(name, n_routes), |bencher| {
                bencher.iter(|| telemetry.render(now));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
