//! Loading a configuration: what a reload costs before anything is built of it.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput};
use tidegate::config;

/// So many routes, ten on each host, with two variants each.
fn text(n_routes: usize) -> String {
    let n_hosts = n_routes.div_ceil(10);
    let mut text = "[listener.http]\naddress = \"127.0.0.1:8080\"\n".to_owned();
    for n in 0..n_hosts {
        // Writing to a string cannot fail.
        let _ = write!(text, "[upstream.u{n}]\nendpoints = [\"10.0.0.1:9000\"]\n");
    }
    for n in 0..n_routes {
        let (host, path) = (n % n_hosts, n / n_hosts);
        let _ = write!(
            text,
            "[route.r{n}]\nmatch = {{ hosts = [\"h{host}.example.com\"], path = \"/s{path}\" }}\n\
             [route.r{n}.split]\nstable = {{ upstream = \"u{host}\", weight = 95 }}\n\
             canary = {{ upstream = \"u{host}\", weight = 5 }}\n"
        );
    }
    text
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("config/load");
    group.sample_size(10);
    for n_routes in [10, 1_000, 10_000] {
        let text = text(n_routes);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(n_routes), |bencher| {
            bencher.iter(|| {
                let loaded = config::parse(black_box(&text).clone(), Path::new("t.toml"));
                loaded.unwrap_or_else(|problems| panic!("{problems}"))
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
