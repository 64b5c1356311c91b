//! Upstreams and clients of HTTP/2 by a library that shares no code with the proxy, which also send
//! what no library would.

use std::collections::HashSet;
use std::pin::Pin;

use crate::support::ask;
use crate::support::config::{self, Config};
use crate::support::frames::{Event, Frames};
use crate::support::http2_origin::{self, Turn};
use crate::support::message::{End, Message};
use crate::support::origin::Origin;
use crate::support::proxy::{self, Proxy};
use crate::support::script::{self, Peer};
use crate::support::secure::{self, Secure};
use crate::support::wait;

async fn in_front_of(scenario: &str) -> Option<(Peer, Secure)> {
    let peer = script::serving("h2_server.py", &[scenario]).await?;
    let secure = secure::start(&to(&peer)).await;
    Some((peer, secure))
}

fn to(peer: &Peer) -> Config {
    config::to(peer.address).upstream_keys("only", "protocol = \"h2\"")
}

/// The connections that requests came by, in the order in which they came.
fn connections(peer: &Peer) -> Vec<u64> {
    let events = peer.events();
    let began = events.iter().filter(|event| event["method"].is_string());
    began
        .filter_map(|event| event["connection"].as_u64())
        .collect()
}

#[tokio::test]
async fn what_goaway_leaves_out_is_sent_again_and_what_it_takes_is_finished() {
    let Some((peer, secure)) = in_front_of("goaway_halfway").await else {
        return;
    };
    let client = secure.http2().await;
    // Not even idempotent: the endpoint has not seen it.
    let asks = [ask::post("/one", "body"), ask::post("/two", "body")];
    let answers = futures_util::future::join_all(asks.iter().map(|ask| client.ask(ask))).await;
    for answer in answers {
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
    let on: HashSet<u64> = connections(&peer).into_iter().collect();
    assert_eq!(on, HashSet::from([0, 1]));
    assert_eq!(client.get("/three").await.text(), "hello");
    secure
        .proxy
        .counted("a retry of what was refused", |metrics| {
            let retried = [("cause", "refused"), ("result", "success")];
            metrics.sum("tidegate_retries_total", &retried) == 1.0
        })
        .await;
}

#[tokio::test]
async fn a_connection_that_takes_nothing_at_all_is_left_for_another() {
    let Some((peer, secure)) = in_front_of("goaway_at_once").await else {
        return;
    };
    let mut client = secure.http1().await;
    let answer = client.ask(&ask::post("/", "body")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(connections(&peer).len(), 2);
}

#[tokio::test]
async fn endpoints_may_ask_to_leave_each_connection_after_each_answer() {
    let Some((peer, secure)) = in_front_of("goaway_between").await else {
        return;
    };
    let mut client = secure.http1().await;
    for n in 0..20 {
        let answer = client.ask(&ask::post("/", "body")).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "hello"),
            "{n}"
        );
    }
    assert_eq!(connections(&peer).len(), 20, "each request once");
}

#[tokio::test]
async fn a_connection_that_dies_under_a_request_costs_an_idempotent_one_nothing() {
    let Some((peer, secure)) = in_front_of("closes_in_use").await else {
        return;
    };
    let mut client = secure.http1().await;
    for n in 0..6 {
        let answer = client.get("/").await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "hello"),
            "{n}"
        );
    }
    // Every second one dies and is sent again; a new connection serves it.
    assert_eq!(connections(&peer).len(), 11);
    let answer = client.ask(&ask::post("/", "body")).await;
    assert_eq!(answer.status, 502, "it may have been done");
}

#[tokio::test]
async fn an_endpoint_that_takes_one_stream_on_each_connection_gets_as_many_as_it_takes() {
    let Some((peer, secure)) = in_front_of("one_at_a_time").await else {
        return;
    };
    let client = secure.http2().await;
    let ask = ask::get("/");
    let answers = futures_util::future::join_all((0..100).map(|_| client.ask(&ask))).await;
    assert!(answers.iter().all(|answer| answer.text() == "hello"));
    let connections: HashSet<u64> = connections(&peer).into_iter().collect();
    assert!(connections.len() <= 64, "{}", connections.len());
}

/// What is no answer becomes 502, or is cut where its head has passed, for clients of both kinds.
async fn is_no_answer(scenario: &str) {
    let Some((_peer, secure)) = in_front_of(scenario).await else {
        return;
    };
    let one = secure.http1().await.ask(&ask::get("/")).await;
    refused(scenario, &one);
    // Where it is cut before anything of it has passed, there is nothing to look at.
    if let Ok(two) = secure.http2().await.try_ask(&ask::get("/")).await {
        refused(scenario, &two);
    }
}

#[track_caller]
fn refused(scenario: &str, answer: &Message) {
    let fine = answer.status == 502 && answer.end == End::Clean || answer.end == End::Cut;
    assert!(fine, "{scenario}: {answer:?}");
}

#[tokio::test]
async fn heads_that_are_none_never_pass() {
    for scenario in [
        "no_status",
        "upper_case",
        "connection_field",
        "transfer_encoding",
        "line_break",
        "two_lengths",
        "switching",
        "data_first",
    ] {
        is_no_answer(scenario).await;
    }
}

#[tokio::test]
async fn bodies_that_are_not_what_they_say_never_look_whole() {
    for scenario in ["too_short", "too_long", "garbage"] {
        is_no_answer(scenario).await;
    }
}

#[tokio::test]
async fn pseudo_fields_in_trailers_go_no_further() {
    let Some((_peer, secure)) = in_front_of("pseudo_trailers").await else {
        return;
    };
    // The h2 crate drops them itself, though such an answer is malformed (RFC 9113, section 8.1).
    let one = secure.http1().await.get("/").await;
    let two = secure.http2().await.get("/").await;
    for answer in [one, two] {
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    }
}

#[tokio::test]
async fn an_endpoint_that_pushes_what_nobody_wants_loses_its_connection() {
    is_no_answer("pushing").await;
}

#[tokio::test]
async fn an_answer_that_overruns_its_window_is_cut() {
    let Some((peer, secure)) = in_front_of("over_the_window").await else {
        return;
    };
    // While the client has no room for more than 64 KiB, no more is asked of the endpoint than
    // what may stand between the two.
    let mut client = Frames::begin(secure.tls(&["h2"]).await).await;
    let scheme = [(":scheme", "https"), (":path", "/"), (":authority", "a")];
    let fields = [&[(":method", "GET")], &scheme[..]].concat();
    client.request(1, &fields).await;
    // RFC 9113, section 7: FLOW_CONTROL_ERROR.
    peer.tells("a reset", |event| event["reset"] == 3).await;
    for stream in [0, 1] {
        client.window_update(stream, 16 * 1024 * 1024).await;
    }
    let end = loop {
        match client.event(1).await {
            Event::Head(200, false) | Event::Data(_, false) => {}
            other => break other,
        }
    };
    assert!(matches!(end, Event::Reset(_)), "{end:?}");
}

#[tokio::test]
async fn a_head_without_end_takes_no_memory_without_end() {
    let Some((_peer, secure)) = in_front_of("endless_head").await else {
        return;
    };
    refused("endless_head", &secure.http1().await.get("/").await);
    let peak = secure.proxy.peak_memory();
    assert!(peak < 64 * 1024 * 1024, "{peak} bytes");
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn speaking_h2(serve: fn(Turn) -> Serving) -> (Origin, Proxy) {
    let origin = http2_origin::serving(serve).await;
    let config = config::to(origin.address)
        .upstream_keys("only", "protocol = \"h2\"")
        .http("protocols = [\"h2\"]");
    (origin, proxy::start(&config).await)
}

#[tokio::test]
async fn a_request_passes_however_its_frames_are_cut() {
    let (origin, proxy) = speaking_h2(|mut turn| {
        Box::pin(async move {
            turn.whole().await;
            let body = turn.request.body.clone();
            turn.ok(&body).await;
        })
    })
    .await;
    let port = proxy.http().port().to_string();
    if script::run("h2_client.py", &[&port, "in_pieces"])
        .await
        .is_none()
    {
        return;
    }
    let got = origin.request();
    assert_eq!((got.target(), got.text().as_str()), ("/a?b=c", "hello"));
    assert_eq!(got.field("x-long").map(str::len), Some(3000));
    assert_eq!(got.field("x-last"), Some("z"));
}

#[tokio::test]
async fn a_client_with_a_small_window_gets_a_large_answer() {
    let (_origin, proxy) =
        speaking_h2(|mut turn| Box::pin(async move { turn.ok(&vec![b'x'; 3_000_000]).await }))
            .await;
    let port = proxy.http().port().to_string();
    script::run("h2_client.py", &[&port, "small_window"]).await;
}

#[tokio::test]
async fn a_stream_that_its_client_resets_is_cancelled_at_the_endpoint() {
    let Some((peer, secure)) = in_front_of("held").await else {
        return;
    };
    let client = secure.http2().await;
    let ask = ask::get("/held");
    tokio::select! {
        answer = client.ask(&ask) => panic!("an answer from nobody: {answer:?}"),
        () = peer.tells("a request", |event| event["path"] == "/held") => {}
    }
    // RFC 9113, section 7: CANCEL.
    peer.tells("a reset", |event| event["reset"] == 8).await;
    wait::until("the stream's end is counted", async || {
        let metrics = secure.proxy.metrics().await;
        metrics.sum("tidegate_requests_in_flight", &[]) == 0.0
    })
    .await;
    assert_eq!(client.get("/").await.text(), "hello");
}
