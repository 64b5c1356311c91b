//! Health checks and ejections of upstreams, as they are written and refused.

use std::time::Duration;

use crate::config::tests::{config, refused};
use crate::upstream::{FailureKind, Failures, HealthCheck, Outlier, Probe};

fn read(upstream: &str) -> Option<HealthCheck> {
    let endpoints = "endpoints = [\"127.0.0.1:1\"]";
    let config = config(&format!("[upstream.a]\n{endpoints}\n{upstream}\n"));
    config.upstreams["a"].health.clone()
}

#[test]
fn a_section_is_enough_for_a_check() {
    assert_eq!(read(""), None);
    let default = HealthCheck {
        probe: Probe::Http {
            path: "/".into(),
            host: None,
            status: 200..=299,
        },
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        healthy: 2,
        unhealthy: 3,
    };
    assert_eq!(read("health = {}"), Some(default.clone()));
    let written = "health = { kind = \"http\", path = \"/live?deep=1\", host = \"shop.test:81\", \
                   status = \"200-399\", interval = \"5s\", timeout = \"2s\", healthy = 1, unhealthy = 100 }";
    let probe = Probe::Http {
        path: "/live?deep=1".into(),
        host: Some("shop.test:81".into()),
        status: 200..=399,
    };
    let written = read(written).unwrap();
    assert_eq!(written.probe, probe);
    assert_eq!(
        (written.interval, written.timeout),
        (Duration::from_secs(5), Duration::from_secs(2))
    );
    assert_eq!((written.healthy, written.unhealthy), (1, 100));
    let probe = |text: &str| read(text).unwrap().probe;
    assert_eq!(probe("health = { kind = \"tcp\" }"), Probe::Tcp);
    let service = "shop.v1.Cart".into();
    assert_eq!(
        probe("protocol = \"h2\"\nhealth = { kind = \"grpc\", service = \"shop.v1.Cart\" }"),
        Probe::Grpc { service }
    );
}

#[test]
fn what_asks_nothing_is_refused() {
    #[track_caller]
    fn check(health: &str, problem: &str) {
        let text =
            format!("[upstream.a]\nendpoints = [\"127.0.0.1:1\"]\nhealth = {{ {health} }}\n");
        refused(&text, &[problem]);
    }
    check(
        "kind = \"grpc\"",
        "3:19 upstream.a.health.kind: gRPC needs protocol = \"h2\" for the upstream",
    );
    check(
        "kind = \"tcp\", path = \"/\"",
        "3:26 upstream.a.health.path: has no effect while kind is \"tcp\"; it belongs to \"http\"",
    );
    check(
        "service = \"a\"",
        "3:12 upstream.a.health.service: has no effect while kind is \"http\"; it belongs to \"grpc\"",
    );
    for path in ["healthz", "", "/a b"] {
        check(
            &format!("path = \"{path}\""),
            &format!(
                "3:19 upstream.a.health.path: \"{path}\" is not a path such as \"/healthz\", with a query if it needs one"
            ),
        );
    }
    for host in ["", "a b", "u@shop.test", "shop/x"] {
        check(
            &format!("host = \"{host}\""),
            &format!(
                "3:19 upstream.a.health.host: \"{host}\" is not a host, with a port if it needs one, such as \"shop.internal\""
            ),
        );
    }
    for status in ["2xx", "299-200", "99", "600", "200-", "+20", "200-299-300"] {
        check(
            &format!("status = \"{status}\""),
            &format!(
                "3:21 upstream.a.health.status: \"{status}\" is not a status such as \"200\", or two that it is between, such as \"200-299\""
            ),
        );
    }
    check(
        "healthy = 0",
        "3:22 upstream.a.health.healthy: 0 is not a whole number from 1 to 100",
    );
    check(
        "interval = \"0s\"",
        "3:23 upstream.a.health.interval: \"0s\" is not a duration from 1ms to 400d, such as \"250ms\", \"2s\" or \"5m\"",
    );
}

#[test]
fn ejection_is_by_connections_unless_more_is_named() {
    let read = |outlier: &str| {
        let endpoints = "endpoints = [\"127.0.0.1:1\"]";
        config(&format!("[upstream.a]\n{endpoints}\n{outlier}\n")).upstreams["a"].outlier
    };
    assert_eq!(read(""), None);
    let default = Outlier {
        failures: 5,
        on: Failures::from_iter([FailureKind::Connect]),
        ejection: Duration::from_secs(10),
        max_ejection: Duration::from_secs(300),
    };
    assert_eq!(read("outlier = {}"), Some(default));
    let all = "outlier = { failures = 1, on = [\"connect\", \"5xx\", \"reset\", \"timeout\"], \
               ejection = \"1s\", max_ejection = \"1s\" }";
    let second = Duration::from_secs(1);
    let all_kinds = Outlier {
        failures: 1,
        on: Failures::from_iter(FailureKind::ALL),
        ejection: second,
        max_ejection: second,
    };
    assert_eq!(read(all), Some(all_kinds));
    let refuse = |outlier: &str, problem: &str| {
        let text =
            format!("[upstream.a]\nendpoints = [\"127.0.0.1:1\"]\noutlier = {{ {outlier} }}\n");
        refused(&text, &[problem]);
    };
    refuse(
        "on = []",
        "3:18 upstream.a.outlier.on: empty; what counts as a failure belongs here",
    );
    refuse(
        "on = [\"4xx\"]",
        "3:19 upstream.a.outlier.on[0]: \"4xx\" is not \"connect\" or \"5xx\" or \"reset\" or \"timeout\", did you mean \"5xx\"?",
    );
    refuse(
        "ejection = \"10m\"",
        "3:1 upstream.a.outlier: max_ejection (5m) is less than ejection (10m)",
    );
}
