//! Assigning a variant: by hash, by draw, forced.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BenchmarkId, Criterion};
use tidegate::message::RequestHead;
use tidegate::split::{
    Draw, Force, IdentityCookie, Key, Split, SplitSpec, State, Sticky, VariantSpec, ln,
};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77));

fn request(fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    for (name, value) in fields {
        head.append_field(name.as_bytes(), value.as_bytes());
    }
    head
}

fn split(n_variants: usize, sticky: Option<Sticky>, force: Option<Force>) -> Split {
    let variants = (0..n_variants).map(|n| VariantSpec {
        name: format!("variant-{n}"),
        weight: 10,
        state: State::On,
    });
    Split::new(SplitSpec {
        salt: "shop".to_owned(),
        variants: variants.collect(),
        sticky,
        force,
    })
    .expect("valid")
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let draw = Draw::new(2, 0);
    let by_user = Sticky {
        keys: vec![Key::Header("x-user-id".to_owned())],
        cookie: Some(IdentityCookie::default()),
    };
    let by_client = Sticky {
        keys: vec![Key::ClientIp],
        cookie: None,
    };
    let force = Force {
        header: Some("x-variant".to_owned()),
        cookie: Some("variant".to_owned()),
        query: None,
    };
    let user = [
        ("Host", "shop.example.com"),
        ("Accept", "*/*"),
        ("X-User-Id", "user-4711@example.com"),
    ];
    let cookie = [(
        "Cookie",
        "a=1; tidegate_id=0123456789abcdef0123456789abcdef",
    )];
    let tester = [("Host", "shop.example.com"), ("X-Variant", "variant-1")];

    let mut group = criterion.benchmark_group("split/assign");
    for n_variants in [2, 8, 64] {
        for (name, sticky, fields) in [
            ("by-header", Some(&by_user), &user[..]),
            ("by-identity", Some(&by_user), &cookie),
            ("by-client", Some(&by_client), &[]),
            ("by-draw", None, &[]),
            ("forced", None, &tester),
        ] {
            let force = (name == "forced").then(|| force.clone());
            let split = split(n_variants, sticky.cloned(), force);
            let request = request(fields);
            group.bench_function(BenchmarkId::new(name, n_variants), |bencher| {
                bencher
                    .iter(|| split.assign(black_box(&request), CLIENT, &draw, 0, || 0, |_| true));
            });
        }
        let failing = split(n_variants, Some(by_user.clone()), None);
        let request = request(&user);
        let usual = failing
            .assign(&request, CLIENT, &draw, 0, || 0, |_| true)
            .variant;
        group.bench_function(BenchmarkId::new("failover", n_variants), |bencher| {
            bencher.iter(|| {
                failing.assign(
                    black_box(&request),
                    CLIENT,
                    &draw,
                    0,
                    || 0,
                    |variant| variant != usual,
                )
            });
        });
    }
    group.finish();
    criterion.bench_function("split/ln", |bencher| {
        bencher.iter(|| ln(black_box(0.123_456)));
    });
    criterion.final_summary();
}
