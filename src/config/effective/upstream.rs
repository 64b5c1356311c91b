//! Upstreams: their endpoints, and how those are used.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use serde_json::{Value, json};

use crate::config::effective::{duration, groups, object, path, suites, texts};
use crate::config::settings::{Balance, UpstreamConfig, UpstreamTlsConfig};
use crate::telemetry::stats::Limit;
use crate::upstream::{
    Breaker, FailureKind, Failures, HealthCheck, Outlier, Probe, ProxyHeader, Retry, RetryKind,
    UpstreamLimits,
};

/// An upstream.
pub(in crate::config::effective) fn of(upstream: &UpstreamConfig) -> Value {
    let timeouts = json!({
        "connect": duration(upstream.timeouts.connect),
        "response": duration(upstream.timeouts.response),
        "body": duration(upstream.timeouts.body),
        "idle": duration(upstream.timeouts.idle),
    });
    let hash = match &upstream.balance {
        Balance::ConsistentHash(keys) => texts(keys),
        Balance::LeastRequest | Balance::RoundRobin => Value::Null,
    };
    object([
        ("endpoints", texts(&upstream.endpoints)),
        ("balance", json!(upstream.balance.name())),
        ("hash", hash),
        ("protocol", json!(upstream.protocol.name())),
        ("timeouts", timeouts),
        ("pool", json!({ "idle": upstream.pool_idle })),
        (
            "tls",
            upstream.tls.as_ref().map_or(Value::Null, upstream_tls),
        ),
        (
            "proxy_protocol",
            json!(upstream.proxy_protocol.map_or("off", ProxyHeader::name)),
        ),
        (
            "health",
            upstream.health.as_ref().map_or(Value::Null, health),
        ),
        (
            "outlier",
            upstream.outlier.as_ref().map_or(Value::Null, outlier),
        ),
        ("slow_start", upstream.slow_start.map(duration).into()),
        ("limits", limits(&upstream.limits)),
        ("retry", retry(&upstream.retry)),
        (
            "breaker",
            upstream.breaker.as_ref().map_or(Value::Null, breaker),
        ),
    ])
}

fn limits(limits: &UpstreamLimits) -> Value {
    let all = Limit::ALL.iter();
    let entries = all.map(|&limit| {
        (
            limit.label().to_owned(),
            limits.of(limit).unwrap_or(0).into(),
        )
    });
    Value::Object(entries.collect())
}

fn breaker(rule: &Breaker) -> Value {
    json!({
        "percent": rule.errors * 100.0,
        "requests": rule.requests,
        "window": duration(rule.window),
        "on": failures(rule.on),
        "open": duration(rule.open),
        "max_open": duration(rule.max_open),
        "trials": rule.trials,
    })
}

fn retry(retry: &Retry) -> Value {
    let kinds = RetryKind::ALL.into_iter();
    let on = kinds.filter(|&kind| retry.on.has(kind));
    let on: Vec<_> = on.map(RetryKind::name).collect();
    json!({
        "attempts": retry.attempts,
        "on": on,
        "other_variant": retry.other_variant.name(),
        "budget": {
            "percent": retry.budget.share * 100.0,
            "per_second": retry.budget.per_second,
        },
    })
}

fn failures(on: Failures) -> Value {
    let kinds = FailureKind::ALL.into_iter().filter(|&kind| on.has(kind));
    kinds.map(FailureKind::name).collect()
}

fn outlier(rule: &Outlier) -> Value {
    json!({
        "failures": rule.failures,
        "on": failures(rule.on),
        "ejection": duration(rule.ejection),
        "max_ejection": duration(rule.max_ejection),
    })
}

fn health(check: &HealthCheck) -> Value {
    let (kind, path, host, status, service) = match &check.probe {
        Probe::Http { path, host, status } => {
            let status = format!("{}-{}", status.start(), status.end());
            ("http", Some(path), host.as_ref(), Some(status), None)
        }
        Probe::Grpc { service } => ("grpc", None, None, None, Some(service)),
        Probe::Tcp => ("tcp", None, None, None, None),
    };
    let text = |text: Option<&Arc<str>>| text.map(ToString::to_string);
    object([
        ("kind", json!(kind)),
        ("path", text(path).into()),
        ("host", text(host).into()),
        ("status", status.into()),
        ("service", text(service).into()),
        ("interval", json!(duration(check.interval))),
        ("timeout", json!(duration(check.timeout))),
        ("healthy", json!(check.healthy)),
        ("unhealthy", json!(check.unhealthy)),
    ])
}

fn upstream_tls(tls: &UpstreamTlsConfig) -> Value {
    let pair = tls.certificate.as_ref();
    let file = |file: Option<&PathBuf>| file.map_or(Value::Null, |file| path(file));
    object([
        ("ca", file(tls.ca.as_ref())),
        ("name", tls.name.as_ref().map(ServerName::to_str).into()),
        ("cert", file(pair.map(|pair| &pair.cert))),
        ("key", file(pair.map(|pair| &pair.key))),
        ("verify", json!(tls.verify.name())),
        ("min_version", json!(tls.terms.min_version.name())),
        ("cipher_suites", suites(&tls.terms)),
        ("key_exchange", groups(&tls.terms)),
    ])
}
