//! Limits, breakers and retries of upstreams, and limits of routes, as they are written and refused.

use std::time::Duration;

use crate::config::UpstreamConfig;
use crate::config::tests::{config, refused};
use crate::proxy::Rate;
use crate::upstream::{
    Breaker, Budget, FailureKind, Failures, OtherVariant, Retry, RetryKind, RetryKinds,
    UpstreamLimits,
};

fn read(upstream: &str) -> UpstreamConfig {
    let endpoints = "endpoints = [\"127.0.0.1:1\"]";
    let config = config(&format!("[upstream.a]\n{endpoints}\n{upstream}\n"));
    config.upstreams["a"].clone()
}

#[track_caller]
fn refuse(upstream: &str, problem: &str) {
    let endpoints = "endpoints = [\"127.0.0.1:1\"]";
    refused(
        &format!("[upstream.a]\n{endpoints}\n{upstream}\n"),
        &[problem],
    );
}

#[test]
fn nothing_is_limited_unless_a_number_is_given() {
    assert_eq!(read("").limits, UpstreamLimits::default());
    let none = "limits = { connections = 0, requests = 0, pending = 0 }";
    assert_eq!(read(none).limits, UpstreamLimits::default());
    let all = "limits = { connections = 1, requests = 2, pending = 3 }";
    let limits = UpstreamLimits {
        connections: Some(1),
        requests: Some(2),
        pending: Some(3),
    };
    assert_eq!(read(all).limits, limits);
    refuse(
        "protocol = \"h2\"\nlimits = { connections = 1 }",
        "4:12 upstream.a.limits.connections: has no effect on protocol = \"h2\", where requests share \
         connections; requests can be limited",
    );
    refuse(
        "limits = { requests = -1 }",
        "3:23 upstream.a.limits.requests: -1 is not a whole number from 0 to 10000000",
    );
}

#[test]
fn a_section_is_enough_for_a_breaker() {
    assert_eq!(read("").breaker, None);
    let default = Breaker {
        errors: 0.5,
        requests: 20,
        window: Duration::from_secs(10),
        on: Failures::from_iter(FailureKind::ALL),
        open: Duration::from_secs(5),
        max_open: Duration::from_secs(60),
        trials: 5,
    };
    assert_eq!(read("breaker = {}").breaker, Some(default));
    let written = "breaker = { percent = 12.5, requests = 1, window = \"1m\", on = [\"connect\"], \
                   open = \"1s\", max_open = \"2s\", trials = 1 }";
    let breaker = read(written).breaker.unwrap();
    assert_eq!((breaker.errors, breaker.requests), (0.125, 1));
    assert_eq!(breaker.on, Failures::from_iter([FailureKind::Connect]));
    refuse(
        "breaker = { percent = 101 }",
        "3:23 upstream.a.breaker.percent: 101 is not a percentage from 0 to 100",
    );
    refuse(
        "breaker = { percent = 0 }",
        "3:13 upstream.a.breaker.percent: 0 would open it while nothing fails",
    );
    refuse(
        "breaker = { window = \"500ms\" }",
        "3:22 upstream.a.breaker.window: \"500ms\" is not a duration from 1s to 400d, such as \"250ms\", \
         \"2s\" or \"5m\"",
    );
    refuse(
        "breaker = { open = \"2m\" }",
        "3:1 upstream.a.breaker: max_open (1m) is less than open (2m)",
    );
}

#[test]
fn only_what_was_certainly_not_processed_is_sent_again_unless_more_is_named() {
    let default = Retry {
        attempts: 1,
        on: RetryKinds::from_iter([RetryKind::Connect, RetryKind::Unsent]),
        other_variant: OtherVariant::Never,
        budget: Budget {
            share: 0.2,
            per_second: 10,
        },
    };
    assert_eq!(read("").retry, default);
    let written = "retry = { attempts = 3, on = [\"reset\", \"502\", \"503\", \"504\", \"timeout\"], \
                   other_variant = \"idempotent\", budget = { percent = 0, per_second = 0 } }";
    let retry = read(written).retry;
    assert!(retry.on.may_repeat() && !retry.on.has(RetryKind::Connect));
    assert_eq!(retry.other_variant, OtherVariant::Idempotent);
    assert_eq!((retry.budget.share, retry.budget.per_second), (0.0, 0));
    assert_eq!(read("retry = { on = [] }").retry.on, RetryKinds::default());
    refuse(
        "retry = { on = [\"500\"] }",
        "3:17 upstream.a.retry.on[0]: \"500\" is not \"connect\" or \"unsent\" or \"reset\" or \"502\" or \
         \"503\" or \"504\" or \"timeout\", did you mean \"502\"?",
    );
    refuse(
        "retry = { attempts = 11 }",
        "3:22 upstream.a.retry.attempts: 11 is not a whole number from 0 to 10",
    );
}

#[test]
fn a_rate_is_a_number_and_a_time() {
    let read = |route: &str| {
        let config = config(&format!("[route.a]\nupstream = \"base\"\n{route}\n"));
        config.routes["a"].rates.clone()
    };
    assert_eq!(read(""), []);
    let rates = read(
        "rate_limit = [{ rate = \"600/m\", burst = 5, keys = [\"client_ip\"] }, { rate = \"7/d\" }]",
    );
    let rate = Rate {
        requests: 600,
        per: Duration::from_secs(60),
        burst: 5,
        keys: vec!["client_ip".parse().unwrap()],
    };
    assert_eq!(rates[0], rate);
    assert_eq!((rates[1].burst, rates[1].per.as_secs()), (7, 86_400));
    for wrong in ["100", "0/s", "10/w", "/s", "-1/s", "1.5/s", "10 /s"] {
        refused(
            &format!("[route.a]\nupstream = \"base\"\nrate_limit = [{{ rate = \"{wrong}\" }}]\n"),
            &[&format!(
                "3:24 route.a.rate_limit[0].rate: \"{wrong}\" is not a number of requests and a time, \
                 such as \"100/s\", \"600/m\" or \"5000/h\""
            )],
        );
    }
    refused(
        "[route.a]\nupstream = \"base\"\nrate_limit = [{ burst = 1 }]\n",
        &[
            "3:15 route.a.rate_limit[0].rate: missing; a number of requests and a time, such as \"100/s\", \
             \"600/m\" or \"5000/h\" belongs here",
        ],
    );
}
