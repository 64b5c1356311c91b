//! Finding a route: what it costs with one route, and that many more cost no more.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BenchmarkId, Criterion};
use tidegate::message::{RequestHead, Scheme};
use tidegate::route::{FieldSpec, Match, MatchSpec, PathSpec, Table, ValueSpec};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn request(host: &str, path: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.method = head.append(b"GET");
    head.authority = head.append(host.as_bytes());
    head.path = head.append(path.as_bytes());
    for (name, value) in [
        ("Host", host),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
        ),
        ("Accept", "text/html,application/xhtml+xml"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("X-User-Id", "4711"),
    ] {
        head.append_field(name.as_bytes(), value.as_bytes());
    }
    head
}

fn table(specs: impl Iterator<Item = MatchSpec>) -> Table<usize> {
    let routes = specs
        .enumerate()
        .map(|(index, spec)| (format!("r{index}"), Match::new(spec).expect("valid"), index));
    Table::build(routes.collect()).expect("no tie")
}

fn on(host: String, path: String) -> MatchSpec {
    MatchSpec {
        hosts: vec![host],
        path: Some(PathSpec::Prefix(path)),
        ..MatchSpec::default()
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();

    let mut group = criterion.benchmark_group("route/find");
    for n_routes in [1, 100, 10_000, 100_000] {
        let hosts = table((0..n_routes).map(|n| on(format!("h{n}.example.com"), "/".to_owned())));
        let asked = request(
            &format!("h{}.example.com:8080", n_routes / 2),
            "/v1/carts/17/items",
        );
        group.bench_function(BenchmarkId::new("by-host", n_routes), |bencher| {
            bencher.iter(|| hosts.find(black_box(&asked), CLIENT, Scheme::Http));
        });

        let below = table((0..n_routes).map(|n| on(format!("*.h{n}.example.com"), "/".to_owned())));
        let asked = request(
            &format!("a.b.h{}.example.com", n_routes / 2),
            "/v1/carts/17/items",
        );
        group.bench_function(BenchmarkId::new("by-wildcard", n_routes), |bencher| {
            bencher.iter(|| below.find(black_box(&asked), CLIENT, Scheme::Http));
        });

        let paths =
            table((0..n_routes).map(|n| on("shop.example.com".to_owned(), format!("/v1/s{n}"))));
        let asked = request(
            "shop.example.com",
            &format!("/v1/s{}/17/items", n_routes / 2),
        );
        group.bench_function(BenchmarkId::new("by-prefix", n_routes), |bencher| {
            bencher.iter(|| paths.find(black_box(&asked), CLIENT, Scheme::Http));
        });
        let evading = request(
            "shop.example.com",
            &format!("//v1/./s{}/%31%37", n_routes / 2),
        );
        group.bench_function(
            BenchmarkId::new("by-prefix-not-plain", n_routes),
            |bencher| {
                bencher.iter(|| paths.find(black_box(&evading), CLIENT, Scheme::Http));
            },
        );
        let none = request("other.example.com", "/v1/carts/17/items");
        group.bench_function(BenchmarkId::new("none", n_routes), |bencher| {
            bencher.iter(|| paths.find(black_box(&none), CLIENT, Scheme::Http));
        });
    }
    let with_header = MatchSpec {
        headers: vec![FieldSpec {
            name: "x-user-id".to_owned(),
            value: ValueSpec::Exact("4711".to_owned()),
        }],
        ..on("shop.example.com".to_owned(), "/v1".to_owned())
    };
    let conditions = table([with_header].into_iter());
    let asked = request("shop.example.com", "/v1/carts/17/items");
    group.bench_function("with-a-header", |bencher| {
        bencher.iter(|| conditions.find(black_box(&asked), CLIENT, Scheme::Http));
    });
    group.finish();

    let mut group = criterion.benchmark_group("route/build");
    group.sample_size(10);
    group.bench_function("10000", |bencher| {
        bencher
            .iter(|| table((0..10_000).map(|n| on(format!("h{n}.example.com"), format!("/s{n}")))));
    });
    group.finish();
    criterion.final_summary();
}
