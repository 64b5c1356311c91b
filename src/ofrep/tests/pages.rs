//! Pages of other origins: what browsers are told, whatever the answer is.

use http::{Method, StatusCode};

use crate::ofrep::Settings;
use crate::ofrep::tests::{Ask, World, settings};

const SHOP: &str = "https://shop.example";

fn world() -> World {
    World::new(Settings {
        allowed_origins: vec![SHOP.to_owned()],
        ..settings()
    })
}

#[tokio::test]
async fn a_preflight_needs_no_token_and_is_remembered() {
    let world = World::new(Settings {
        anonymous: None,
        allowed_origins: vec![SHOP.to_owned()],
        ..settings()
    });
    for (path, methods) in [
        ("/ofrep/v1/evaluate/flags", "POST, OPTIONS"),
        ("/ofrep/v1/evaluate/flags/boolean", "POST, OPTIONS"),
        ("/ofrep/v1/stream", "GET, OPTIONS"),
    ] {
        let ask = Ask::to(path)
            .method(Method::OPTIONS)
            .header("origin", SHOP)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-api-key");
        let answer = world.ask(ask).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("access-control-allow-origin"), Some(SHOP));
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("content-type, authorization, x-api-key, if-none-match")
        );
        assert_eq!(answer.header("access-control-max-age"), Some("7200"));
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn a_page_may_read_answers_and_errors_with_their_tags_and_waits() {
    let world = world();
    let ask = |ask: Ask| ask.header("origin", SHOP);
    let tag = world.ask(Ask::all()).await;
    let tag = tag.header("etag").unwrap();
    for (ask, status) in [
        (ask(Ask::all()), 200),
        (ask(Ask::all().header("if-none-match", tag)), 304),
        (ask(Ask::one("boolean")), 200),
        (ask(Ask::one("no-such-flag")), 404),
        (ask(Ask::all().body("{")), 400),
        (ask(Ask::all().header("x-api-key", "wrong")), 401),
        (ask(Ask::all().method(Method::PUT)), 405),
        (ask(Ask::to("/ofrep/v1/configuration")), 404),
    ] {
        let answer = world.ask(ask).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(SHOP));
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("ETag, Retry-After")
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn a_page_may_hear_a_stream() {
    let world = world();
    let stream = Ask::to("/ofrep/v1/stream")
        .method(Method::GET)
        .header("origin", SHOP);
    let answer = world.begin(stream).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["access-control-allow-origin"], SHOP);
}

#[tokio::test]
async fn another_page_may_not_read_anything() {
    let world = world();
    for ask in [
        Ask::all(),
        Ask::one("boolean"),
        Ask::all()
            .method(Method::OPTIONS)
            .header("access-control-request-method", "POST"),
    ] {
        let answer = world
            .ask(ask.header("origin", "https://evil.example"))
            .await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("access-control-allow-headers"), None);
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}
