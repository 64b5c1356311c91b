//! Picking an endpoint of an upstream, and asking whether one is available.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use tidegate::message::RequestHead;
use tidegate::split::Key;
use tidegate::telemetry::stats::UpstreamStats;
use tidegate::upstream::{
    Balance, Budget, EndpointSet, Guard, OtherVariant, Place, Pools, Protocol, Retry, RetryKinds,
    Settings, Timeouts, Upstream, UpstreamLimits,
};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77));

fn upstream(balance: Balance, n_endpoints: u16) -> Arc<Upstream> {
    let second = Duration::from_secs(1);
    let settings = Settings {
        balance,
        protocol: Protocol::Http1,
        timeouts: Timeouts {
            connect: second,
            response: second,
            body: second,
        },
        idle: second,
        pool: 1,
        tls: None,
        health: None,
        outlier: None,
        slow_start: None,
        limits: UpstreamLimits::default(),
        breaker: None,
        retry: Retry {
            attempts: 1,
            on: RetryKinds::default(),
            other_variant: OtherVariant::Never,
            budget: Budget {
                share: 0.2,
                per_second: 10,
            },
        },
        proxy_protocol: None,
    };
    let places = (0..n_endpoints).map(|n| Place::from(SocketAddr::from(([10, 0, 0, 1], n))));
    let places: Vec<_> = places.collect();
    let stats = Arc::new(UpstreamStats::new("shop".into(), 1));
    let guard = Arc::new(Guard::new(stats));
    let endpoints = EndpointSet::default().next(&places);
    Arc::new(Upstream::new("shop".into(), settings, endpoints, guard))
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut request = RequestHead::default();
    request.append_field(b"x-user-id", b"user-4711@example.com");
    let by_user = Balance::ConsistentHash([Key::Header("x-user-id".to_owned())].into());

    let mut group = criterion.benchmark_group("balance");
    for n_endpoints in [1, 10, 100] {
        for (name, balance) in [
            ("least-request", Balance::LeastRequest),
            ("round-robin", Balance::RoundRobin),
            ("consistent-hash", by_user.clone()),
        ] {
            let local = Pools::default().local(&upstream(balance, n_endpoints), 0);
            group.bench_function(BenchmarkId::new(name, n_endpoints), |bencher| {
                bencher.iter(|| {
                    let key = local.key(black_box(&request), CLIENT);
                    local.pick(key, None)
                });
            });
        }
        let local = Pools::default().local(&upstream(Balance::LeastRequest, n_endpoints), 0);
        group.bench_function(BenchmarkId::new("is-available", n_endpoints), |bencher| {
            bencher.iter(|| black_box(&local).is_available());
        });
    }
    group.finish();
    criterion.final_summary();
}
