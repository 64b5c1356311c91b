//! Strategies, as one would write them: always with steps.

use serde_json::{Map, Value, json};

use crate::config::effective::releases::word;
use crate::config::effective::{duration, object};
use crate::release::analysis::{Check, Kind, Settings};
use crate::release::strategy::{Action, Salt, Step, Strategy};
use crate::release::test::{Test, TestKind, TestRequest};

/// A strategy, by its name or of a release.
pub(in crate::config::effective) fn of(strategy: &Strategy) -> Value {
    let least = strategy.min_healthy;
    let settings = &strategy.analysis;
    let checks = settings.checks.iter();
    let checks = checks.map(|(name, of)| (name.clone(), check(of)));
    let tests = strategy.tests.iter();
    let tests = tests.map(|(name, of)| (name.clone(), test(of)));
    let checks: Map<String, Value> = checks.chain(tests).collect();
    let analysis = if settings.checks.is_empty() {
        json!(false)
    } else {
        analysis(settings)
    };
    object([
        ("kind", word(strategy.kind)),
        (
            "salt",
            match &strategy.salt {
                Salt::Release => json!("release"),
                Salt::Route => json!("route"),
                Salt::Shared(name) => json!(format!("shared:{name}")),
            },
        ),
        ("start_gate", json!(strategy.start_gate)),
        ("deadline", strategy.deadline.map(duration).into()),
        (
            "on_deadline",
            strategy.deadline.map(|_| word(strategy.on_deadline)).into(),
        ),
        ("rollback_window", duration(strategy.rollback_window)),
        (
            "min_healthy",
            json!({ "endpoints": least.endpoints, "percent": least.share }),
        ),
        ("requires", word(&strategy.requires)),
        ("steps", strategy.steps.iter().map(step).collect()),
        ("analysis", analysis),
        ("check", Value::Object(checks)),
    ])
}

fn step(step: &Step) -> Value {
    let [
        mut preview,
        mut matched,
        mut mirror,
        mut methods,
        mut weight,
    ] = [const { Value::Null }; 5];
    match &step.action {
        Action::Preview(of) => {
            preview = json!(true);
            let headers = (!of.headers.is_empty()).then(|| json!(of.headers));
            matched = object([("host", json!(of.host)), ("headers", headers.into())]);
        }
        Action::Mirror(of) => {
            mirror = json!(of.percent);
            methods = json!(of.methods);
        }
        Action::Weight(share) => weight = json!(share),
    }
    let time = (!step.at_least.is_zero()).then(|| duration(step.at_least));
    object([
        ("preview", preview),
        ("match", matched),
        ("mirror", mirror),
        ("methods", methods),
        ("weight", weight),
        ("for", time.into()),
        ("require", word(step.require)),
        ("gate", json!(step.gate)),
    ])
}

fn analysis(settings: &Settings) -> Value {
    json!({
        "source": "local",
        "interval": duration(settings.interval),
        "warmup": duration(settings.warmup),
        "alpha": settings.alpha,
        "beta_pass": settings.beta_pass,
        "baseline": word(&settings.baseline),
        "aa_guard": settings.aa_guard,
        "max_wait": duration(settings.max_wait),
        "on_insufficient": word(settings.on_insufficient),
        "on_no_data": word(settings.on_no_data),
        "on_source_down": word(settings.on_source_down),
    })
}

fn check(check: &Check) -> Value {
    let keys = match &check.kind {
        Kind::ErrorRate {
            bad,
            fail_ratio,
            fail_abs,
            pass_ratio,
            pass_abs,
        } => json!({
            "kind": "error_rate",
            "bad": bad,
            "fail_ratio": fail_ratio,
            "fail_abs": fail_abs,
            "pass_ratio": pass_ratio,
            "pass_abs": pass_abs,
        }),
        Kind::Latency {
            quantile,
            fail_ratio,
            fail_abs,
            pass_ratio,
        } => json!({
            "kind": "latency",
            "quantile": quantile,
            "fail_ratio": fail_ratio,
            "fail_abs": fail_abs,
            "pass_ratio": pass_ratio,
        }),
        Kind::Absolute { bad, max, alpha } => json!({
            "kind": "absolute",
            "bad": bad,
            "max": max,
            "alpha": alpha,
        }),
        Kind::Mismatch { max } => json!({ "kind": "mismatch", "max": max }),
    };
    with(
        keys,
        [
            ("on_fail", word(check.on_fail)),
            ("dry_run", json!(check.dry_run)),
            ("required", json!(check.required)),
        ],
    )
}

fn test(test: &Test) -> Value {
    let keys = match &test.kind {
        TestKind::Http(requests) => json!({
            "kind": "http",
            "requests": requests.iter().map(request).collect::<Value>(),
        }),
        TestKind::Webhook(url) => json!({ "kind": "webhook", "url": url }),
    };
    with(
        keys,
        [
            ("at", json!("preview")),
            ("on_fail", word(test.on_fail)),
            ("attempts", json!(test.attempts)),
            ("interval", duration(test.interval)),
            ("timeout", duration(test.timeout)),
        ],
    )
}

fn request(request: &TestRequest) -> Value {
    object([
        ("method", json!(request.method)),
        ("path", json!(request.path)),
        ("headers", json!(request.headers)),
        ("body", json!(request.body)),
        (
            "expect",
            object([
                ("status", json!(request.status)),
                ("contains", json!(request.contains)),
            ]),
        ),
    ])
}

/// An object with further entries.
fn with<const N: usize>(mut value: Value, more: [(&str, Value); N]) -> Value {
    if let Value::Object(entries) = &mut value {
        entries.extend(more.map(|(key, value)| (key.to_owned(), value)));
    }
    value
}
