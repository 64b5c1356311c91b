//! Evaluating flags: one for one context, a thousand for one, and what it takes to explain and to
//! make them.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use criterion::{BenchmarkId, Criterion};
use serde_json::{Value as Json, json};
use tidegate::flag::{
    FlagSpec, Flags, JsonContext, Prerequisite, Ramp, References, RuleSpec, Runtime, Serve,
};
use tidegate::message::RequestHead;
use tidegate::proxy::Edge;
use tidegate::segment::{Attribute, ConditionSpec, Operand, Operator, Segment, SegmentSpec};
use tidegate::split::Asked;

/// A rule for the beta users of two countries.
fn targeted(serve: Serve) -> RuleSpec {
    let condition = |attribute: &str, operator, operand| ConditionSpec {
        attribute: attribute.parse().expect("valid"),
        operator,
        operand,
    };
    let countries = Operand::Texts(["DE", "FR"].map(str::to_owned).to_vec());
    let plan = Operand::Text("beta".to_owned());
    let segment = Segment::new(&SegmentSpec {
        any: vec![vec![
            condition("country", Operator::In, countries),
            condition("plan", Operator::Eq, plan),
        ]],
    });
    RuleSpec {
        segment: Some(("beta".to_owned(), Arc::new(segment.expect("valid")))),
        ..RuleSpec::new(serve)
    }
}

fn on() -> Serve {
    Serve::Variant("on".to_owned())
}

fn split() -> Serve {
    let weights = [("on".to_owned(), 10), ("off".to_owned(), 90)];
    Serve::Split(BTreeMap::from(weights))
}

fn ruled(rules: Vec<RuleSpec>) -> FlagSpec {
    FlagSpec {
        rules,
        ..FlagSpec::switch()
    }
}

/// The flag by itself, `flag`, and one that it may need, `needed`.
fn flags(spec: FlagSpec, runtime: Runtime) -> Flags {
    let specs = [("flag", spec), ("needed", ruled(vec![targeted(on())]))];
    let specs = specs.map(|(name, spec)| (name.to_owned(), spec));
    let runtime = BTreeMap::from([("flag".to_owned(), runtime)]);
    Flags::new(&BTreeMap::from(specs), &runtime).expect("valid")
}

/// So many flags: a quarter without rules, a quarter for a segment, a quarter that splits, and a
/// quarter that needs another and has two rules.
fn many(n_flags: usize) -> BTreeMap<String, FlagSpec> {
    let spec = |n: usize| match n % 4 {
        0 => FlagSpec::switch(),
        1 => ruled(vec![targeted(on())]),
        2 => ruled(vec![RuleSpec::new(split())]),
        _ => FlagSpec {
            prerequisites: vec![Prerequisite {
                flag: format!("flag-{}", n / 16 * 16 + 1),
                variant: "on".to_owned(),
            }],
            ..ruled(vec![targeted(split()), RuleSpec::new(split())])
        },
    };
    (0..n_flags)
        .map(|n| (format!("flag-{n}"), spec(n)))
        .collect()
}

fn context() -> JsonContext {
    let json = json!({
        "targetingKey": "user-4711@example.com",
        "country": "FR",
        "plan": "beta",
        "age": 42,
        "app_version": "4.11.2",
        "groups": ["staff", "beta"],
    });
    let Json::Object(object) = json else {
        unreachable!("it is one");
    };
    JsonContext::new(object, SystemTime::UNIX_EPOCH).expect("valid")
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let context = context();

    let killed = Runtime {
        killed: true,
        ..Runtime::default()
    };
    let ramp = Ramp {
        weights: BTreeMap::from([("on".to_owned(), 10), ("off".to_owned(), 90)]),
        salt: None,
    };
    let released = Runtime {
        release: Some(ramp),
        ..Runtime::default()
    };
    let needing = FlagSpec {
        prerequisites: vec![Prerequisite {
            flag: "needed".to_owned(),
            variant: "on".to_owned(),
        }],
        ..FlagSpec::switch()
    };
    let plain = Runtime::default;
    let eight = (0..8).map(|_| targeted(split())).collect();
    let mut group = criterion.benchmark_group("flags/evaluate");
    for (name, spec, runtime) in [
        ("killed", FlagSpec::switch(), killed),
        ("no-rules", FlagSpec::switch(), plain()),
        ("segment", ruled(vec![targeted(on())]), plain()),
        ("split", ruled(vec![RuleSpec::new(split())]), plain()),
        ("segment-and-split", ruled(vec![targeted(split())]), plain()),
        ("release", FlagSpec::switch(), released),
        ("prerequisite", needing, plain()),
    ] {
        let flags = flags(spec, runtime);
        group.bench_function(name, |bencher| {
            bencher.iter(|| flags.evaluate(black_box(0), &context));
        });
    }
    group.finish();

    // What a request at the edge costs besides, to be told of one flag by a header.
    let mut request = RequestHead::default();
    for (name, value) in [("x-country", "FR"), ("x-plan", "beta"), ("x-user", "u4711")] {
        request.append_field(name.as_bytes(), value.as_bytes());
    }
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let keys = [("country", "x-country"), ("plan", "x-plan")];
    let keys = keys.map(|(key, name)| (key.to_owned(), Attribute::Header(name.to_owned())));
    let keys = Arc::new(BTreeMap::from(keys));
    let mut group = criterion.benchmark_group("flags/edge");
    for (name, spec) in [
        ("split", ruled(vec![RuleSpec::new(split())])),
        ("segment-and-split", ruled(vec![targeted(split())])),
    ] {
        let edge = Edge {
            flags: Arc::new(flags(spec, plain())),
            keys: Arc::clone(&keys),
            stats: Arc::default(),
        };
        let asked = Asked::plain(&request, client);
        group.bench_function(name, |bencher| {
            bencher.iter(|| edge.evaluate(black_box(0), &asked, Some(b"u4711")));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("flags/evaluate-all");
    for n_flags in [10, 1000, 10_000] {
        let flags = Flags::new(&many(n_flags), &BTreeMap::new()).expect("valid");
        group.bench_function(BenchmarkId::from_parameter(n_flags), |bencher| {
            bencher.iter(|| {
                let asking = flags.asking(&context);
                for flag in 0..flags.len() {
                    black_box(asking.evaluate(flag));
                }
            });
        });
    }
    group.finish();

    let explained = flags(ruled(eight), plain());
    criterion.bench_function("flags/explain/eight-rules", |bencher| {
        bencher.iter(|| explained.explain(black_box(0), &context));
    });
    let specs = many(1000);
    criterion.bench_function("flags/new/1000", |bencher| {
        bencher.iter(|| Flags::new(black_box(&specs), &BTreeMap::new()));
    });
    let references = References::new(specs.keys().map(String::as_str));
    let text = include_bytes!("flags.rs");
    criterion.bench_function("flags/references/this-file", |bencher| {
        bencher.iter(|| references.find(black_box(text)));
    });
    criterion.final_summary();
}
