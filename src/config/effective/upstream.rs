//! Upstreams: their endpoints, and how those are used.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use serde_json::{Value, json};

use crate::config::effective::{duration, groups, object, path, suites, texts};
use crate::config::settings::{Balance, UpstreamConfig, UpstreamTlsConfig};
use crate::upstream::{FailureKind, HealthCheck, Outlier, Probe};

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
            "health",
            upstream.health.as_ref().map_or(Value::Null, health),
        ),
        (
            "outlier",
            upstream.outlier.as_ref().map_or(Value::Null, outlier),
        ),
        ("slow_start", upstream.slow_start.map(duration).into()),
    ])
}

fn outlier(rule: &Outlier) -> Value {
    let on = FailureKind::ALL
        .into_iter()
        .filter(|&kind| rule.on.has(kind));
    let on: Vec<_> = on.map(FailureKind::name).collect();
    json!({
        "failures": rule.failures,
        "on": on,
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
