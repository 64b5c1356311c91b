//! Who is told of an assignment: the upstream who it is, the client what was chosen for it.

use crate::support::ask::{self, Ask};
use crate::support::config;
use crate::support::http2_origin;
use crate::support::message::Message;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy;
use crate::support::secure;

/// What a message says of route and variant.
fn told(message: &Message) -> (Option<&str>, Option<&str>) {
    (
        message.field("x-tidegate-route"),
        message.field("x-tidegate-variant"),
    )
}

/// A request that claims to be assigned, in every way that a server could take for true.
fn claiming() -> Ask {
    ask::get("/")
        .field("X-Tidegate-Variant", "canary")
        .field("x_tidegate_variant", "canary")
        .field("X-TIDEGATE-Route", "other")
        .field("x-tidegate_route", "other")
        .field("x-tidegate-other", "kept")
}

const NOTHING: (Option<&str>, Option<&str>) = (None, None);
const STABLE: (Option<&str>, Option<&str>) = (Some("shop"), Some("stable"));

#[tokio::test]
async fn upstream_and_client_are_told_as_configured_and_never_by_clients() {
    let pair = Pair::start().await;
    for (value, upstream, client) in [
        ("off", NOTHING, NOTHING),
        ("request", STABLE, NOTHING),
        ("response", NOTHING, STABLE),
        ("both", STABLE, STABLE),
    ] {
        let keys = format!("assignment_headers = \"{value}\"");
        let proxy = proxy::start(&pair.split([1, 0], &keys)).await;
        let answer = proxy.ask(&claiming()).await;
        assert_eq!(told(&answer), client, "{value}");
        let requests = pair.stable.requests();
        let request = requests.last().expect("a request");
        assert_eq!(told(request), upstream, "{value}");
        let names: Vec<_> = request
            .fields
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert!(!names.iter().any(|name| name.contains('_')), "{names:?}");
        assert_eq!(request.field("x-tidegate-other"), Some("kept"));
    }
}

#[tokio::test]
async fn a_client_cannot_tell_it_in_trailers_either() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 0], "")).await;
    let mut client = proxy.connect().await;
    client
        .wire
        .send(
            "POST / HTTP/1.1\r\nhost: edge.test\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\
             x-tidegate-variant: canary\r\nX_Tidegate_Route: other\r\nx-kept: 1\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer("POST").await.status, 200);
    let request = pair.stable.request();
    assert_eq!(request.trailers, [("x-kept".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn who_stands_in_is_told_that_it_serves_and_the_client_what_was_chosen() {
    let pair = Pair::start().await;
    let keys = "assignment_headers = \"both\"";
    let proxy = proxy::start(&pair.split([0, 1], keys).section(
        "[segment.all]\nall = [{ attr = \"method\", op = \"exists\" }]\n\
         [[route.shop.rule]]\nsegment = \"all\"\nweights = { canary = 1000000, stable = 1 }",
    ))
    .await;
    let Pair { stable, canary } = pair;
    canary.stop().await;
    // At first nobody knows that it is gone: the head was written for it already.
    let answer = proxy.get("/").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "stable"));
    assert_eq!(told(&answer), (Some("shop"), Some("canary")));
    assert_eq!(told(&stable.request()), STABLE);
}

#[tokio::test]
async fn an_own_answer_tells_the_client_what_was_chosen() {
    let refusing = origin::refusing();
    let config = config::split(
        "assignment_headers = \"response\"",
        &[("one", 1, refusing.address)],
    );
    let answer = proxy::start(&config).await.get("/").await;
    assert_eq!(answer.status, 502);
    assert_eq!(told(&answer), (Some("shop"), Some("one")));
}

#[tokio::test]
async fn what_an_upstream_says_of_it_goes_only_where_nothing_else_is_told() {
    let origin =
        origin::raw("HTTP/1.1 200 OK\r\nX-Tidegate-Variant: mine\r\ncontent-length: 0\r\n\r\n")
            .await;
    for (value, variant) in [("off", "mine"), ("response", "one")] {
        let keys = format!("assignment_headers = \"{value}\"");
        let config = config::split(&keys, &[("one", 1, origin.address)]);
        let answer = proxy::start(&config).await.get("/").await;
        assert_eq!(answer.field("x-tidegate-variant"), Some(variant));
    }
}

#[tokio::test]
async fn a_route_without_a_split_tells_its_one_variant() {
    let origin = origin::answering("x").await;
    let config = config::new()
        .upstream("only", &[origin.address])
        .route("all", "upstream = \"only\"\nassignment_headers = \"both\"");
    let answer = proxy::start(&config).await.get("/").await;
    assert_eq!(told(&answer), (Some("all"), Some("default")));
    assert_eq!(told(&origin.request()), (Some("all"), Some("default")));
}

#[tokio::test]
async fn it_is_all_the_same_by_http_2_on_both_sides() {
    let origin = http2_origin::answering("hello").await;
    let keys = "assignment_headers = \"both\"\n\
                sticky = { mode = \"pin\", secret = \"a-secret-of-instances\" }\n\
                force = { header = \"x-variant\", cookie = \"variant\", secret = \"open-sesame\" }";
    let config = config::split(keys, &[("one", 1, origin.address)]);
    let secure = secure::start(&config.upstream_keys("one", "protocol = \"h2\"")).await;
    let told_one = (Some("shop"), Some("one"));
    for by_http2 in [false, true] {
        let ask = async |ask: &Ask| match by_http2 {
            true => secure.http2().await.ask(ask).await,
            false => secure.http1().await.ask(ask).await,
        };
        let first = ask(&claiming()).await;
        assert_eq!(told(&first), told_one);
        let pin = first
            .field("set-cookie")
            .and_then(|field| field.split(';').next());
        let pin = pin.expect("a pin").to_owned();
        let secrets = claiming()
            .field("cookie", format!("a=1; variant=one:open-sesame; {pin}"))
            .field("x-variant", "one:open-sesame");
        let second = ask(&secrets).await;
        assert_eq!(told(&second), told_one);
        assert_eq!(second.field("set-cookie"), None);
        let pinned = claiming().field("cookie", pin);
        assert_eq!(ask(&pinned).await.field("set-cookie"), None);
    }
    for request in origin.requests() {
        assert_eq!(told(&request), told_one);
        assert_eq!(request.field("x-variant"), None);
        assert_eq!(request.field("cookie").unwrap_or("a=1"), "a=1");
        assert_eq!(request.values("x_tidegate_variant"), [""; 0]);
    }
}
