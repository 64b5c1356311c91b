//! What goes wrong with upstreams that speak HTTP/2: who is told what, what is sent again, and what
//! becomes of the streams on either side.

use bytes::Bytes;
use h2::Reason;
use http_body::Frame;

use crate::support::ask::{self, Ask};
use crate::support::config;
use crate::support::http2::{self, Feed};
use crate::support::http2_origin::{self, Turn};
use crate::support::message::{End, Message};
use crate::support::origin::Origin;
use crate::support::proxy;
use crate::support::secure::{self, Secure};
use crate::upstream_http2::to;

async fn in_front_of(origin: Origin) -> (Origin, Secure) {
    let secure = secure::start(&to(&origin)).await;
    (origin, secure)
}

async fn both(secure: &Secure, ask: &Ask) -> [Message; 2] {
    let one = secure.http1().await.ask(ask).await;
    let two = secure.http2().await.ask(ask).await;
    [one, two]
}

#[track_caller]
fn refused(answer: &Message, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{:?}", answer.fields);
    let told = answer.field("proxy-status").unwrap_or_default();
    assert_eq!(told, format!("tidegate; error={error}"));
}

#[tokio::test]
async fn a_stream_that_is_reset_before_its_answer_is_a_502() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.reset(Reason::INTERNAL_ERROR);
    })
    .await;
    let (origin, secure) = in_front_of(origin).await;
    for answer in both(&secure, &ask::get("/")).await {
        refused(&answer, 502, "connection_terminated");
    }
    assert_eq!(origin.n_requests(), 2, "nothing is sent twice");
}

#[tokio::test]
async fn an_answer_that_is_reset_halfway_never_looks_whole() {
    for fields in [&[("content-length", "100")][..], &[]] {
        let origin = http2_origin::serving(move |mut turn| async move {
            turn.head(200, fields);
            turn.data(b"half").await;
            turn.released().await;
            turn.reset(Reason::NO_ERROR);
        })
        .await;
        let (origin, secure) = in_front_of(origin).await;
        let mut client = secure.http1().await;
        client.wire.send(ask::get("/").http1()).await;
        let mut one = client.wire.head().await.expect("a head");
        origin.release();
        client.wire.response_body(&mut one).await;
        let client = secure.http2().await;
        let response = client.open(&ask::get("/"), Feed::new().1).await;
        origin.release();
        let two = http2::whole(response.expect("a response")).await;
        for answer in [one, two] {
            assert_eq!((answer.status, answer.end), (200, End::Cut), "{fields:?}");
        }
        secure
            .proxy
            .counted("answers that were cut", |metrics| {
                let truncated = [("reason", "truncated")];
                metrics.sum("tidegate_errors_total", &truncated) == 2.0
            })
            .await;
    }
}

#[tokio::test]
async fn an_answer_of_another_length_than_it_says_never_looks_whole() {
    for body in ["hell", "hello!"] {
        let origin = http2_origin::serving(move |mut turn| async move {
            turn.head(200, &[("content-length", "5")]);
            turn.last_data(body.as_bytes()).await;
        })
        .await;
        let (_origin, secure) = in_front_of(origin).await;
        let one = secure.http1().await.ask(&ask::get("/")).await;
        let two = secure.http2().await.try_ask(&ask::get("/")).await;
        for answer in [Some(one), two.ok()].into_iter().flatten() {
            let whole = answer.status == 200 && answer.end == End::Clean;
            assert!(!whole, "{body}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_closes_in_the_middle_of_an_answer_cuts_it() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.head(200, &[]);
        turn.data(b"half").await;
        turn.released().await;
    })
    .await;
    let (origin, secure) = in_front_of(origin).await;
    let client = secure.http2().await;
    let response = client.open(&ask::get("/"), Feed::new().1).await;
    let mut one = secure.http1().await;
    one.wire.send(ask::get("/").http1()).await;
    let mut head = one.wire.head().await.expect("a head");
    origin.stop().await;
    let answer = http2::whole(response.expect("a response")).await;
    assert_eq!(answer.end, End::Cut);
    one.wire.response_body(&mut head).await;
    assert_eq!(head.end, End::Cut);
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_stream_with_it_and_no_other() {
    let origin = http2_origin::serving(|mut turn| async move {
        match turn.request.target() {
            "/wait" => {
                let reason = turn.reset_by_peer().await;
                assert_eq!(reason, Reason::CANCEL);
            }
            "/endless" => {
                turn.head(200, &[]);
                turn.data(b"begun").await;
                assert_eq!(turn.reset_by_peer().await, Reason::CANCEL);
            }
            _ => return turn.ok(b"hello").await,
        }
        turn.released().await;
    })
    .await;
    let config = to(&origin).http("limits = { body = \"1KiB\" }");
    let secure = secure::start(&config).await;
    let client = secure.http2().await;
    for (n, path) in ["/wait", "/endless", "/wait", "/endless"]
        .into_iter()
        .enumerate()
    {
        if n < 2 {
            let response = async {
                let response = client.open(&ask::get(path), Feed::new().1).await;
                http2::whole(response.expect("a response")).await
            };
            tokio::select! {
                answer = response => panic!("a whole answer: {answer:?}"),
                () = origin.received(n + 1) => {}
            }
        } else {
            let mut client = secure.http1().await;
            client.wire.send(ask::get(path).http1()).await;
            origin.received(n + 1).await;
        }
        // The origin's own task sees the reset, or fails this test by its silence.
        origin.release();
    }
    assert_eq!(client.get("/").await.text(), "hello");
    secure
        .proxy
        .counted("clients that went away", |metrics| {
            metrics.sum("tidegate_requests_total", &[("code", "499")]) == 4.0
                && metrics.sum("tidegate_requests_in_flight", &[]) == 0.0
        })
        .await;
}

#[tokio::test]
async fn a_request_that_its_client_cuts_never_looks_whole() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.whole().await;
        if turn.request.end == End::Clean {
            turn.ok(b"whole").await;
        }
    })
    .await;
    let (origin, secure) = in_front_of(origin).await;
    let client = secure.http2().await;
    let (feed, body) = Feed::new();
    let ask = ask::method("POST", "/");
    let (response, ()) = tokio::join!(client.open(&ask, body), async {
        let data = Frame::data(Bytes::from_static(b"half"));
        feed.send(Ok(data)).await.expect("a request under way");
        origin.received(1).await;
        let reset = std::io::Error::other("enough");
        feed.send(Err(reset)).await.expect("a request under way");
    });
    assert!(response.is_err());
    let mut client = secure.http1().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nhalf";
    client.wire.send(head).await;
    origin.received(2).await;
    drop(client);
    crate::support::wait::until("both were cut", async || {
        let requests = origin.requests();
        requests.iter().all(|request| request.end == End::Cut)
    })
    .await;
}

/// Refuses the first `n` requests and answers the others with their own body.
async fn refusing(n: usize) -> Origin {
    let left = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(n));
    http2_origin::serving(move |mut turn: Turn| {
        let left = std::sync::Arc::clone(&left);
        async move {
            let order = std::sync::atomic::Ordering::SeqCst;
            if left
                .fetch_update(order, order, |left| left.checked_sub(1))
                .is_ok()
            {
                return turn.reset(Reason::REFUSED_STREAM);
            }
            turn.whole().await;
            let body = turn.request.body.clone();
            turn.ok(&body).await;
        }
    })
    .await
}

#[tokio::test]
async fn what_an_endpoint_refused_to_process_is_sent_again_whatever_it_asks_for() {
    for ask in [
        ask::get("/"),
        ask::post("/", "body"),
        ask::post("/", "x".repeat(20_000)),
    ] {
        let origin = refusing(1).await;
        let (origin, secure) = in_front_of(origin).await;
        let answer = secure.http2().await.ask(&ask).await;
        let body = ask.body.clone().unwrap_or_default();
        assert_eq!((answer.status, answer.body), (200, body.clone()));
        assert_eq!(origin.n_requests(), 2);
        assert_eq!(origin.n_connections(), 2, "on another connection");

        let origin = refusing(1).await;
        let (_origin, secure) = in_front_of(origin).await;
        let answer = secure.http1().await.ask(&ask).await;
        assert_eq!((answer.status, answer.body), (200, body));
        secure
            .proxy
            .counted("a retry", |metrics| {
                let retried = [("cause", "refused"), ("result", "success")];
                metrics.sum("tidegate_retries_total", &retried) == 1.0
            })
            .await;
    }
}

#[tokio::test]
async fn what_is_refused_again_is_not_sent_a_third_time() {
    let (origin, secure) = in_front_of(refusing(10).await).await;
    for answer in both(&secure, &ask::get("/")).await {
        refused(&answer, 502, "connection_terminated");
    }
    assert_eq!(origin.n_requests(), 4);
}

#[tokio::test]
async fn what_is_too_large_to_be_kept_is_not_sent_again() {
    let origin = http2_origin::serving(|mut turn: Turn| async move {
        while turn.request.body.len() < 100_000 && turn.some().await {}
        turn.reset(Reason::REFUSED_STREAM);
    })
    .await;
    let (origin, secure) = in_front_of(origin).await;
    for answer in both(&secure, &ask::post("/", vec![b'x'; 100_000])).await {
        refused(&answer, 502, "connection_terminated");
    }
    assert_eq!(origin.n_requests(), 2);
}

#[tokio::test]
async fn another_endpoint_is_preferred_to_the_one_that_refused() {
    let (bad, good) = (refusing(100).await, refusing(0).await);
    let config = config::new()
        .upstream_with("only", &[bad.address, good.address], "protocol = \"h2\"")
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for n in 0..20 {
        let answer = client.ask(&ask::post("/", "body")).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "body"),
            "{n}"
        );
    }
    assert_eq!(good.n_requests(), 20);
    assert!(bad.n_requests() > 0);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_in_time_is_a_504_and_its_stream_is_cancelled() {
    let origin = http2_origin::serving(|mut turn| async move {
        assert_eq!(turn.reset_by_peer().await, Reason::CANCEL);
    })
    .await;
    let config = to(&origin).upstream_keys("only", "timeouts = { response = \"100ms\" }");
    let secure = secure::start(&config).await;
    for answer in both(&secure, &ask::get("/")).await {
        refused(&answer, 504, "http_response_timeout");
    }
}

#[tokio::test]
async fn an_endpoint_that_stops_in_the_middle_is_cut_in_time() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.head(200, &[]);
        turn.data(b"half").await;
        assert_eq!(turn.reset_by_peer().await, Reason::CANCEL);
    })
    .await;
    let config = to(&origin).upstream_keys("only", "timeouts = { body = \"100ms\" }");
    let secure = secure::start(&config).await;
    for answer in both(&secure, &ask::get("/")).await {
        assert_eq!((answer.text().as_str(), answer.end), ("half", End::Cut));
    }
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_is_told_so_in_time() {
    let (origin, secure) = in_front_of(http2_origin::echo().await).await;
    let keys = "timeouts = { body = \"100ms\" }";
    let config = secure::with_https(&to(&origin).http(keys), keys);
    secure.proxy.reload(&config).await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nhalf";
    let mut client = secure.proxy.connect().await;
    client.wire.send(head).await;
    assert_eq!(client.wire.response("POST").await.status, 408);

    let client = secure.http2().await;
    let (feed, body) = Feed::new();
    let data = Frame::data(Bytes::from_static(b"half"));
    feed.send(Ok(data)).await.expect("room for one");
    let response = client.open(&ask::method("POST", "/"), body).await;
    assert_eq!(response.expect("a response").status(), 408);
    drop(feed);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let (origin, secure) = in_front_of(http2_origin::echo().await).await;
    let keys = "limits = { body = \"10KiB\" }";
    let config = secure::with_https(&to(&origin).http(keys), keys);
    secure.proxy.reload(&config).await;
    let mut client = secure.proxy.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("2800\r\n{}\r\n", "x".repeat(0x2800));
    client
        .wire
        .try_send(format!("{head}{chunk}{chunk}0\r\n\r\n"))
        .await
        .unwrap_or_default();
    assert_eq!(client.wire.response("POST").await.status, 413);

    let client = secure.http2().await;
    let (feed, body) = Feed::new();
    let ask = ask::method("POST", "/");
    let (response, ()) = tokio::join!(client.open(&ask, body), async {
        for _ in 0..2 {
            let data = Frame::data(Bytes::from(vec![b'x'; 8 * 1024]));
            // It may be refused before the second.
            let _refused = feed.send(Ok(data)).await;
        }
    });
    assert_eq!(response.expect("a response").status(), 413);
    for got in origin.requests() {
        assert_ne!(got.text().len(), 0x5000);
    }
}

#[tokio::test]
async fn a_head_of_too_many_fields_is_a_502() {
    let names: Vec<String> = (0..250).map(|n| format!("x-{n}")).collect();
    let names: &'static [String] = names.leak();
    let origin = http2_origin::serving(move |mut turn| async move {
        let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        turn.only_head(200, &fields);
    })
    .await;
    let (_origin, secure) = in_front_of(origin).await;
    for answer in both(&secure, &ask::get("/")).await {
        refused(&answer, 502, "http_protocol_error");
    }
}

#[tokio::test]
async fn endless_hints_are_a_502() {
    let origin = http2_origin::serving(|mut turn| async move {
        for _ in 0..200 {
            turn.inform(103, &[("link", "</a.css>")]);
        }
        turn.ok(b"hello").await;
    })
    .await;
    let (_origin, secure) = in_front_of(origin).await;
    let answer = secure.http2().await.get("/").await;
    refused(&answer, 502, "http_protocol_error");
}

#[tokio::test]
async fn a_variant_whose_endpoints_refuse_connections_is_stood_in_for() {
    let gone = crate::support::origin::refusing();
    let origin = http2_origin::answering("stable").await;
    let config = config::split(
        "",
        &[("stable", 1, origin.address), ("canary", 1, gone.address)],
    )
    .upstream_keys("stable", "protocol = \"h2\"")
    .upstream_keys("canary", "protocol = \"h2\"");
    let proxy = proxy::start(&config).await;
    let mut client = proxy.connect().await;
    for _ in 0..10 {
        assert_eq!(client.ask(&ask::post("/", "body")).await.text(), "stable");
    }
}
