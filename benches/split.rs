//! Assigning a variant: by hash, by draw, forced.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion};
use tidegate::message::RequestHead;
use tidegate::segment::{ConditionSpec, Operand, Operator, Segment, SegmentSpec};
use tidegate::split::{
    Asked, Draw, Force, Key, PinSpec, RuleSpec, SharedSecret, Split, SplitSpec, State, Sticky,
    StickyCookie, VariantSpec, ln,
};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77));

fn request(fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    for (name, value) in fields {
        head.append_field(name.as_bytes(), value.as_bytes());
    }
    head
}

fn split(n_variants: usize, sticky: Option<Sticky>, force: Option<Force>, n_rules: usize) -> Split {
    let variants = (0..n_variants).map(|n| VariantSpec {
        name: format!("variant-{n}"),
        weight: 10,
        state: State::On,
    });
    Split::new(SplitSpec {
        salt: "shop".to_owned(),
        variants: variants.collect(),
        rules: (0..n_rules)
            .map(|n| rule(n_variants, n + 1 == n_rules))
            .collect(),
        sticky,
        force,
    })
    .expect("valid")
}

/// A rule for the beta users of two countries, or for those of none.
fn rule(n_variants: usize, holds: bool) -> RuleSpec {
    let condition = |attribute: &str, operator, operand| ConditionSpec {
        attribute: attribute.parse().expect("valid"),
        operator,
        operand,
    };
    let countries = if holds { ["DE", "FR"] } else { ["IT", "ES"] };
    let countries = Operand::Texts(countries.map(str::to_owned).to_vec());
    let plan = Operand::Text("beta".to_owned());
    let segment = Segment::new(&SegmentSpec {
        any: vec![vec![
            condition("header:x-country", Operator::In, countries),
            condition("cookie:plan", Operator::Eq, plan),
        ]],
    });
    RuleSpec {
        name: format!("beta-{holds}"),
        segment: Arc::new(segment.expect("valid")),
        weights: vec![10; n_variants],
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let draw = Draw::new(2, 0);
    let by_user = Sticky {
        keys: vec![Key::Header("x-user-id".to_owned())],
        cookie: Some(StickyCookie::identity()),
        pin: None,
    };
    let by_client = Sticky {
        keys: vec![Key::ClientIp],
        cookie: None,
        pin: None,
    };
    let force = Force {
        header: Some("x-variant".to_owned()),
        cookie: Some("variant".to_owned()),
        query: None,
        ..Force::default()
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
    let beta = [
        ("Host", "shop.example.com"),
        ("X-User-Id", "user-4711@example.com"),
        ("X-Country", "FR"),
        ("Cookie", "a=1; plan=beta"),
    ];
    let by_pin = Sticky {
        keys: vec![Key::Header("x-user-id".to_owned())],
        cookie: None,
        pin: Some(PinSpec {
            cookie: StickyCookie::pin(),
            epoch: 1,
            secret: Some(SharedSecret::new(b"a-secret-of-instances")),
        }),
    };
    let sent = {
        let split = split(2, Some(by_pin.clone()), None, 0);
        let (cookie, value) = split.pin(1).expect("it is on");
        let value = String::from_utf8_lossy(value);
        format!("a=1; {}={value}", cookie.name)
    };
    let pinned = [("Host", "shop.example.com"), ("Cookie", sent.as_str())];
    let tester = [("Host", "shop.example.com"), ("X-Variant", "variant-1")];

    let mut group = criterion.benchmark_group("split/assign");
    for n_variants in [2, 8, 64] {
        for (name, sticky, fields) in [
            ("by-header", Some(&by_user), &user[..]),
            ("by-identity", Some(&by_user), &cookie),
            ("by-client", Some(&by_client), &[]),
            ("by-draw", None, &[]),
            ("forced", None, &tester),
            ("by-pin", Some(&by_pin), &pinned),
            ("by-rule", Some(&by_user), &beta),
            ("by-second-rule", Some(&by_user), &beta),
        ] {
            let force = (name == "forced").then(|| force.clone());
            let n_rules = match name {
                "by-rule" => 1,
                "by-second-rule" => 2,
                _ => 0,
            };
            let split = split(n_variants, sticky.cloned(), force, n_rules);
            let request = request(fields);
            group.bench_function(BenchmarkId::new(name, n_variants), |bencher| {
                bencher.iter(|| {
                    split.assign(
                        &Asked::plain(black_box(&request), CLIENT),
                        |_| draw.point(0),
                        || 0,
                        |_| true,
                    )
                });
            });
        }
        let failing = split(n_variants, Some(by_user.clone()), None, 0);
        let request = request(&user);
        let usual = failing
            .assign(
                &Asked::plain(&request, CLIENT),
                |_| draw.point(0),
                || 0,
                |_| true,
            )
            .variant;
        group.bench_function(BenchmarkId::new("failover", n_variants), |bencher| {
            bencher.iter(|| {
                failing.assign(
                    &Asked::plain(black_box(&request), CLIENT),
                    |_| draw.point(0),
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
