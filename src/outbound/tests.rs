//! What is sent, what comes back, and how each stage fails.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use tokio::net::TcpListener;

use crate::outbound::fixture::{Authority, Endpoint, saying};
use crate::outbound::{Answer, Client, Limits, OutboundError, Request, Stage, Url, trust};

const LIMITS: Limits = Limits {
    time: Duration::from_secs(20),
    answer: 1000,
};
const SHORT: Limits = Limits {
    time: Duration::from_millis(100),
    ..LIMITS
};

fn get(url: &Url) -> Request<'_> {
    Request {
        method: Method::GET,
        url,
        fields: HeaderMap::new(),
        body: Bytes::new(),
    }
}

async fn ask(url: &Url, limits: Limits) -> Result<Answer, OutboundError> {
    Client::plain().ask(get(url), limits).await
}

async fn failure(url: &Url, limits: Limits) -> OutboundError {
    let error = ask(url, limits).await.unwrap_err();
    let line = error.in_a_line();
    assert!(!line.contains("secret"), "{line}");
    error
}

#[tokio::test]
async fn a_request_arrives_as_it_was_meant_and_is_answered() {
    let endpoint = Endpoint::answering(|_| (StatusCode::IM_A_TEAPOT, "short and stout")).await;
    let url = endpoint.url("/a/b?c=d");
    let mut fields = HeaderMap::new();
    fields.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    let request = Request {
        method: Method::POST,
        url: &url,
        fields,
        body: Bytes::from_static(b"hello"),
    };
    let answer = Client::plain().ask(request, LIMITS).await.unwrap();
    assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(answer.body, "short and stout");
    let received = endpoint.received(1).await.remove(0);
    assert_eq!(received.method, Method::POST);
    assert_eq!(received.target, "/a/b?c=d");
    assert_eq!(received.field("host"), endpoint.address.to_string());
    assert_eq!(received.field("authorization"), "Bearer x");
    assert_eq!(received.field("content-length"), "5");
    assert_eq!(received.field("connection"), "close");
    assert!(received.field("user-agent").starts_with("tidegate/"));
    assert_eq!(received.body, "hello");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let endpoint = Endpoint::answering(|_| (StatusCode::TEMPORARY_REDIRECT, "")).await;
    let answer = ask(&endpoint.url("/"), LIMITS).await.unwrap();
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(endpoint.n_received(), 1);
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let endpoint = Endpoint::secured(&authority).await;
    let connector = trust(Some(authority.file()), None).unwrap();
    let client = Client::secured(connector);
    let by_name = format!("https://localhost:{}/a", endpoint.address.port());
    for url in [endpoint.url("/a"), Url::parse(&by_name).unwrap()] {
        let answer = client.ask(get(&url), LIMITS).await.unwrap();
        assert_eq!(answer.body, "ok");
    }
    assert_eq!(endpoint.received(2).await[1].target, "/a");
}

#[tokio::test]
async fn whoever_is_not_trusted_gets_no_request() {
    let endpoint = Endpoint::secured(&Authority::new()).await;
    let other = trust(Some(Authority::new().file()), None).unwrap();
    let url = endpoint.url("/secret");
    let error = Client::secured(other).ask(get(&url), LIMITS).await;
    let error = error.unwrap_err();
    assert!(matches!(error, OutboundError::Tls(_)), "{error:?}");
    assert!(error.in_a_line().contains("invalid peer certificate"));
    let error = failure(&url, LIMITS).await;
    assert!(matches!(error, OutboundError::NoTrust), "{error:?}");
    assert_eq!(endpoint.n_received(), 0);
}

#[tokio::test]
async fn a_host_without_an_address_fails_to_resolve() {
    // RFC 6761, section 6.4: the domain `invalid` never exists.
    let url = Url::parse("http://secrets-are-not-hosts.invalid/secret").unwrap();
    let error = ask(&url, LIMITS).await.unwrap_err();
    assert_eq!(error.stage(), Stage::Resolve, "{error:?}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_fails_to_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = Url::parse(&format!("http://{address}/secret")).unwrap();
    let error = failure(&url, LIMITS).await;
    assert!(matches!(error, OutboundError::Connect(_)), "{error:?}");
    assert!(error.in_a_line().contains("refused"), "{error:?}");
}

#[tokio::test]
async fn what_is_no_answer_is_told() {
    for bytes in [&b""[..], b"HTTP/1.1 2", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"] {
        let (url, _tasks) = saying(bytes, false).await;
        let error = failure(&url, LIMITS).await;
        assert!(matches!(error, OutboundError::Answer(_)), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_its_status() {
    let (url, _tasks) = saying(b"HTTP/1.1 202 A\r\ncontent-length: 5\r\n\r\nab", false).await;
    let error = failure(&url, LIMITS).await;
    assert!(matches!(error, OutboundError::Cut { .. }), "{error:?}");
    assert_eq!(error.status(), Some(StatusCode::ACCEPTED));
}

#[tokio::test]
async fn an_answer_over_the_bound_is_not_read() {
    let exact = Endpoint::answering(|_| (StatusCode::OK, "12345")).await;
    let limits = |answer| Limits { answer, ..LIMITS };
    let answer = ask(&exact.url("/"), limits(5)).await.unwrap();
    assert_eq!(answer.body, "12345");
    let error = failure(&exact.url("/secret"), limits(4)).await;
    assert!(
        matches!(error, OutboundError::TooLarge { limit: 4, .. }),
        "{error:?}"
    );
    assert_eq!(error.status(), Some(StatusCode::OK));
}

#[tokio::test]
async fn the_deadline_says_where_it_struck() {
    let check = async |bytes: &'static [u8], stage, status| {
        let (url, _tasks) = saying(bytes, true).await;
        let error = failure(&url, SHORT).await;
        assert!(matches!(error, OutboundError::TimedOut { .. }), "{error:?}");
        assert_eq!((error.stage(), error.status()), (stage, status));
    };
    check(b"", Stage::Answer, None).await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab";
    check(head, Stage::Body, Some(StatusCode::OK)).await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_over_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::secured(trust(Some(Authority::new().file()), None).unwrap());
    let url = Url::parse(&format!("https://{address}/secret")).unwrap();
    let error = client.ask(get(&url), SHORT).await.unwrap_err();
    assert!(matches!(error, OutboundError::TimedOut { .. }), "{error:?}");
    assert_eq!(error.stage(), Stage::Tls);
    assert_eq!(
        error.in_a_line(),
        "the tls handshake took too long: 100 ms are over"
    );
}
