//! Edits of fields by a route: to the upstream, to the client, in trailers and in own answers.

use crate::support::ask::{self, Ask};
use crate::support::config::{self, Config};
use crate::support::http2::{self, Feed};
use crate::support::http2_origin;
use crate::support::message::Message;
use crate::support::origin::{self, Origin};
use crate::support::secure::{self, Secure};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

const EDITS: &str = "upstream = \"only\"
request_headers = { set = { X-Env = \"prod\" }, add = { x-tag = \"edge\" }, remove = [\"x-debug\", \"accept\"] }
response_headers = { set = { strict-transport-security = \"max-age=1\" }, add = { vary = \"x-b\" }, remove = [\"server\"] }";

fn editing(origin: &Origin) -> Config {
    config::new()
        .upstream("only", &[origin.address])
        .route("all", EDITS)
}

/// Asks over HTTP/1 and over HTTP/2.
async fn both(secure: &Secure, ask: &Ask) -> [Message; 2] {
    [
        secure.proxy.ask(ask).await,
        secure.http2().await.ask(ask).await,
    ]
}

fn values<'a>(message: &'a Message, name: &str) -> Vec<&'a str> {
    let fields = message.fields.iter();
    let fields = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    fields.map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn a_request_is_edited_on_its_way_to_the_upstream() {
    let origin = origin::answering("").await;
    let secure = secure::start(&editing(&origin)).await;
    let ask = ask::get("/")
        .field("x-env", "test")
        .field("X-Env", "again")
        .field("x-tag", "client")
        .field("X-DEBUG", "1")
        .field("accept", "*/*")
        .field("x-other", "kept");
    both(&secure, &ask).await;
    for request in origin.requests() {
        assert_eq!(values(&request, "x-env"), ["prod"]);
        assert_eq!(values(&request, "x-tag"), ["client", "edge"]);
        assert_eq!(values(&request, "x-debug"), [""; 0]);
        assert_eq!(values(&request, "accept"), [""; 0]);
        assert_eq!(values(&request, "x-other"), ["kept"]);
    }
}

#[tokio::test]
async fn a_response_is_edited_on_its_way_to_the_client() {
    let origin = origin::raw(
        "HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nVary: x-a\r\ncontent-length: 2\r\n\
         Strict-Transport-Security: max-age=9\r\n\r\nok",
    )
    .await;
    let secure = secure::start(&editing(&origin)).await;
    for answer in both(&secure, &ask::get("/")).await {
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert_eq!(values(&answer, "server"), [""; 0]);
        assert_eq!(values(&answer, "vary"), ["x-a", "x-b"]);
        assert_eq!(values(&answer, "strict-transport-security"), ["max-age=1"]);
    }
}

#[tokio::test]
async fn an_upstream_of_http_2_gets_and_gives_the_same() {
    let origin = http2_origin::serving(|mut turn| async move {
        turn.whole().await;
        let fields = [("server", "secret/1.0"), ("vary", "x-a")];
        turn.head(200, &fields);
        turn.trailers(&[("server", "secret"), ("x-sum", "1")]);
    })
    .await;
    let config = editing(&origin).upstream_keys("only", "protocol = \"h2\"");
    let secure = secure::start(&config).await;
    let ask = ask::get("/").field("x-env", "test").field("x-debug", "1");
    for answer in both(&secure, &ask).await {
        assert_eq!(values(&answer, "server"), [""; 0]);
        assert_eq!(values(&answer, "vary"), ["x-a", "x-b"]);
        assert_eq!(answer.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    }
    for request in origin.requests() {
        assert_eq!(values(&request, "x-env"), ["prod"]);
        assert_eq!(values(&request, "x-debug"), [""; 0]);
    }
}

#[tokio::test]
async fn an_error_that_the_proxy_answers_is_edited_too() {
    let refusing = origin::refusing();
    let config = config::new()
        .upstream("only", &[refusing.address])
        .route("all", &EDITS.replace("\"server\"", "\"proxy-status\""));
    let secure = secure::start(&config).await;
    for answer in both(&secure, &ask::get("/")).await {
        // Whoever comes second is not even tried.
        assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
        assert_eq!(values(&answer, "strict-transport-security"), ["max-age=1"]);
        assert_eq!(values(&answer, "vary"), ["x-b"]);
        assert_eq!(values(&answer, "proxy-status"), [""; 0]);
        assert_eq!(
            values(&answer, "content-type"),
            ["text/plain; charset=utf-8"]
        );
    }
}

#[tokio::test]
async fn an_interim_answer_loses_what_is_removed_and_gets_nothing() {
    let origin = origin::raw(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nserver: secret\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let secure = secure::start(&editing(&origin)).await;
    let mut client = secure.proxy.connect().await;
    client.wire.send(ask::get("/").http1()).await;
    let hints = client.wire.response("GET").await;
    assert_eq!(hints.status, 103);
    assert_eq!(hints.fields, [("link".to_owned(), "</a>".to_owned())]);
    assert_eq!(client.answer("GET").await.status, 200);
}

#[tokio::test]
async fn what_is_removed_from_a_head_does_not_come_in_its_trailers() {
    let origin = origin::raw(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
         SERVER: secret\r\nx-sum: 1\r\n\r\n",
    )
    .await;
    let secure = secure::start(&editing(&origin)).await;
    let kept = [("x-sum".to_owned(), "1".to_owned())];

    let mut client = secure.proxy.connect().await;
    let chunked = "POST / HTTP/1.1\r\nhost: edge.test\r\ntransfer-encoding: chunked\r\n\r\n\
                   2\r\nhi\r\n0\r\nX-Debug: 1\r\nx-sum: 1\r\n\r\n";
    client.wire.send(chunked).await;
    assert_eq!(client.answer("POST").await.trailers, kept);

    let (frames, body) = Feed::new();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-debug", "1".parse().unwrap());
    trailers.insert("x-sum", "1".parse().unwrap());
    let http2 = secure.http2().await;
    let feeding = async {
        let data = Frame::data(Bytes::from_static(b"hi"));
        frames.send(Ok(data)).await.unwrap();
        frames.send(Ok(Frame::trailers(trailers))).await.unwrap();
        drop(frames);
    };
    let ask = ask::post("/", "");
    let (answer, ()) = tokio::join!(http2.open(&ask, body), feeding);
    assert_eq!(http2::whole(answer.unwrap()).await.trailers, kept);

    let requests = origin.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.trailers, kept);
    }
}

#[tokio::test]
async fn an_identity_is_told_by_the_response_as_the_client_gets_it() {
    let origin = origin::raw(
        "HTTP/1.1 200 OK\r\ncache-control: public\r\nset-cookie: a=1\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let sticky = "sticky = { cookie = true }\n";
    let edited = |edits: &str| {
        let keys = format!("{sticky}response_headers = {edits}");
        config::split(&keys, &[("a", 1, origin.address), ("b", 1, origin.address)])
    };
    // What nobody may share may carry an identity, which no edit takes away.
    let private = "{ set = { cache-control = \"private\" }, remove = [\"set-cookie\"] }";
    let secure = secure::start(&edited(private)).await;
    for answer in both(&secure, &ask::get("/")).await {
        let cookies = values(&answer, "set-cookie");
        assert!(cookies[0].starts_with("tidegate_id="), "{cookies:?}");
        assert_eq!(cookies.len(), 1);
    }
    let public = "{ set = { cache-control = \"s-maxage=60\" } }";
    secure
        .proxy
        .reload_text(&secure::with_https(&edited(public), "").text())
        .await;
    for answer in both(&secure, &ask::get("/")).await {
        assert_eq!(values(&answer, "set-cookie"), ["a=1"]);
    }
}

#[tokio::test]
async fn edits_change_with_a_reload() {
    let origin = origin::answering("").await;
    let secure = secure::start(&editing(&origin)).await;
    let mut client = secure.proxy.connect().await;
    client.get("/").await;
    let text = secure::with_https(&editing(&origin), "").text();
    let text = text.replace("X-Env = \"prod\"", "X-Env = \"stage\"");
    secure.proxy.reload_text(&text).await;
    client.get("/").await;
    let envs: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| values(request, "x-env").join(","))
        .collect();
    assert_eq!(envs, ["prod", "stage"]);
}
