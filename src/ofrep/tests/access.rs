//! Who may ask, how much and how often.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body::Frame;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;

use crate::message::Networks;
use crate::ofrep::tests::{Answer, Ask, World, settings};
use crate::ofrep::{Arrival, Client, Scope, Settings};
use crate::proxy::Rate;

#[track_caller]
fn check(answer: &Answer, status: u16, key: Option<&str>) {
    assert_eq!(answer.status, status, "{answer:?}");
    let json = answer.json();
    assert_eq!(json["errorCode"], "GENERAL");
    assert!(json["errorDetails"].is_string());
    assert_eq!(json.get("key").and_then(Value::as_str), key);
}

#[tokio::test]
async fn a_token_is_asked_for_where_nobody_may_ask_without() {
    let world = World::new(Settings {
        anonymous: None,
        ..settings()
    });
    for (ask, challenge) in [
        (Ask::one("boolean"), "Bearer realm=\"tidegate\""),
        (
            Ask::one("boolean").header("authorization", "Bearer wrong"),
            "Bearer realm=\"tidegate\", error=\"invalid_token\"",
        ),
        (
            Ask::one("boolean").header("x-api-key", "wrong"),
            "Bearer realm=\"tidegate\", error=\"invalid_token\"",
        ),
    ] {
        let answer = world.ask(ask).await;
        check(&answer, 401, Some("boolean"));
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
    }
    check(&world.ask(Ask::all()).await, 401, None);
    check(
        &world
            .ask(Ask::to("/ofrep/v1/stream").method(Method::GET))
            .await,
        401,
        None,
    );
    for ask in [
        Ask::one("boolean").server(),
        Ask::one("boolean").header("x-api-key", "of-client"),
        Ask::all().header("authorization", "bearer of-client"),
    ] {
        assert_eq!(world.ask(ask).await.status, StatusCode::OK);
    }
    assert_eq!(world.service.totals().read().refused, 5);
}

#[tokio::test]
async fn where_no_token_could_help_it_is_forbidden() {
    let closed = Settings {
        anonymous: None,
        ..Settings::default()
    };
    let world = World::new(closed);
    check(&world.ask(Ask::one("boolean")).await, 403, Some("boolean"));
    check(&world.ask(Ask::all()).await, 403, None);
}

#[tokio::test]
async fn without_a_token_as_much_is_seen_as_is_configured() {
    for (anonymous, status) in [(Scope::Server, 200), (Scope::Client, 404)] {
        let world = World::new(Settings {
            anonymous: Some(anonymous),
            ..settings()
        });
        assert_eq!(world.ask(Ask::one("internal")).await.status, status);
        assert_eq!(world.ask(Ask::one("internal").server()).await.status, 200);
        let client = Ask::one("internal").header("x-api-key", "of-client");
        assert_eq!(world.ask(client).await.status, 404);
    }
}

#[tokio::test]
async fn other_settings_hold_from_the_next_request_on() {
    let world = World::new(settings());
    let ask = || Ask::one("internal").server();
    assert_eq!(world.ask(ask()).await.status, 200);
    world.service.set_settings(Settings::default());
    assert_eq!(world.ask(ask()).await.status, 401);
    world.service.set_settings(settings());
    assert_eq!(world.ask(ask()).await.status, 200);
}

#[tokio::test]
async fn a_body_has_a_limit_announced_or_not() {
    let world = World::new(Settings {
        max_body: 100,
        ..settings()
    });
    let fits = format!("{{\"context\":{{\"a\":\"{}\"}}}}", "x".repeat(80));
    assert_eq!(fits.len(), 100);
    assert_eq!(world.ask(Ask::one("boolean").body(&fits)).await.status, 200);
    let over = format!("{fits} ");
    check(
        &world.ask(Ask::one("boolean").body(&over)).await,
        413,
        Some("boolean"),
    );
    check(&world.ask(Ask::all().body(&over)).await, 413, None);
    let announced = Ask::all().header("content-length", "101");
    check(&world.ask(announced).await, 413, None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::new(settings());
    let request = Request::post("/ofrep/v1/evaluate/flags").body(Body::new(Never));
    let service = TowerToHyperService::new(world.router.clone());
    let answer = service.call(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
}

/// A body that never comes.
struct Never;

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let world = World::new(settings());
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = world.ask(Ask::one("boolean").method(method.clone())).await;
        check(&answer, 405, Some("boolean"));
        assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
        let answer = world.ask(Ask::all().method(method)).await;
        check(&answer, 405, None);
        assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
    }
    let answer = world.ask(Ask::to("/ofrep/v1/stream")).await;
    check(&answer, 405, None);
    assert_eq!(answer.header("allow"), Some("GET, OPTIONS"));
}

#[tokio::test]
async fn what_the_protocol_has_given_up_is_not_there() {
    let world = World::new(settings());
    for path in [
        "/ofrep/v1/configuration",
        "/ofrep/v2/evaluate/flags",
        "/ofrep/",
    ] {
        let answer = world.ask(Ask::to(path).method(Method::GET)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    check(
        &world.ask(Ask::to("/ofrep/v1/configuration")).await,
        404,
        None,
    );
}

fn limited() -> Settings {
    Settings {
        rate: Some(Rate {
            requests: 1,
            per: Duration::from_secs(3600),
            burst: 2,
            keys: Vec::new(),
        }),
        ..settings()
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_in_whole_seconds_when_to_come_back() {
    let world = World::new(limited());
    for _ in 0..2 {
        assert_eq!(world.ask(Ask::one("boolean").server()).await.status, 200);
    }
    let answer = world.ask(Ask::one("boolean").server()).await;
    check(&answer, 429, Some("boolean"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3590..=3600).contains(&wait), "{wait}");
    check(&world.ask(Ask::all().server()).await, 429, None);
    let stream = Ask::to("/ofrep/v1/stream").method(Method::GET).server();
    check(&world.ask(stream).await, 429, None);
    assert_eq!(world.service.totals().read().limited, 3);
    // Others are others.
    let other = Ask::one("boolean").header("x-api-key", "of-client");
    assert_eq!(world.ask(other).await.status, 200);
}

#[tokio::test]
async fn a_limit_outlives_other_settings_while_its_rate_stays() {
    let world = World::new(limited());
    let ask = || Ask::one("boolean").server();
    world.ask(ask()).await;
    world.ask(ask()).await;
    let more = Settings {
        allowed_origins: vec!["*".to_owned()],
        ..limited()
    };
    world.service.set_settings(more);
    assert_eq!(world.ask(ask()).await.status, 429);
    world.service.set_settings(settings());
    assert_eq!(world.ask(ask()).await.status, 200);
}

#[tokio::test]
async fn without_a_token_each_address_is_counted_by_itself() {
    let world = World::new(limited());
    let ask = |last: u8| {
        let ask = Ask::one("boolean");
        let client = Client(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        Ask(ask.0.extension(client), ask.1)
    };
    for address in [1, 2] {
        for expected in [200, 200, 429] {
            assert_eq!(world.ask(ask(address)).await.status, expected);
        }
    }
}

#[tokio::test]
async fn behind_the_proxy_the_address_is_the_last_that_is_none_of_a_proxy() {
    let trusted = Networks::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let world = World::arriving(
        limited(),
        Arrival::Proxied(Arc::new(ArcSwap::from_pointee(trusted))),
    );
    let ask = |chain: &str| Ask::one("boolean").header("x-forwarded-for", chain);
    for chain in ["192.0.2.1", "203.0.113.7, 192.0.2.1, 10.0.0.1"] {
        assert_eq!(world.ask(ask(chain)).await.status, 200, "{chain}");
    }
    // What stands before it anybody may have written.
    for chain in [
        "192.0.2.1",
        "198.51.100.9, 192.0.2.1, 10.0.0.9",
        "nonsense, 192.0.2.1",
    ] {
        assert_eq!(world.ask(ask(chain)).await.status, 429, "{chain}");
    }
    assert_eq!(world.ask(ask("192.0.2.1, 192.0.2.2")).await.status, 200);
    // A field that the client sent by itself means nothing where no proxy is between.
    let direct = World::new(limited());
    for (chain, expected) in [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.3", 429)] {
        assert_eq!(direct.ask(ask(chain)).await.status, expected, "{chain}");
    }
}
