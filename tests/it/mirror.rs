//! Mirrors: copies of requests go where they should, and only those that should.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::ask::{self, Ask};
use crate::support::config::{self, Config};
use crate::support::origin::{self, Origin};
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// Everything goes to one endpoint, and copies of it to another one.
pub(crate) fn beside(primary: SocketAddr, mirror: SocketAddr, keys: &str) -> Config {
    config::new()
        .upstream("stable", &[primary])
        .upstream("next", &[mirror])
        .route(
            "shop",
            &format!("upstream = \"stable\"\nmirror = {{ upstream = \"next\"{keys} }}"),
        )
}

/// A proxy likewise, and both origins, which answer with their names.
async fn named(keys: &str) -> (Origin, Origin, Proxy) {
    let (stable, next) = (
        origin::answering("stable").await,
        origin::answering("next").await,
    );
    let proxy = proxy::start(&beside(stable.address, next.address, keys)).await;
    (stable, next, proxy)
}

/// Waits until so many requests had this result for their copies.
pub(crate) async fn resulted(proxy: &Proxy, result: &str, n: u64) {
    wait::until(&format!("{n} copies that are {result}"), async || {
        results(proxy).await[result] == n
    })
    .await;
}

/// What the status says of the results of the mirror.
async fn results(proxy: &Proxy) -> Value {
    proxy.status().await["routes"]["shop"]["mirror"]["results"].clone()
}

#[tokio::test]
async fn a_copy_has_the_host_of_its_request_and_says_that_it_is_one() {
    let (stable, next, proxy) = named("").await;
    let ask = ask::get("/cart?a=1")
        .host("shop.test")
        .field("x-user", "ann");
    assert_eq!(proxy.ask(&ask).await.text(), "stable");
    resulted(&proxy, "sent", 1).await;
    let (request, copy) = (stable.request(), next.request());
    assert_eq!(copy.first_line(), "GET /cart?a=1 HTTP/1.1");
    assert_eq!(copy.field("host"), Some("shop.test"));
    assert_eq!(copy.field("x-user"), Some("ann"));
    assert_eq!(copy.field("x-request-id"), request.field("x-request-id"));
    assert_eq!(copy.field("x-tidegate-mirror"), Some("1"));
    assert_eq!(request.field("x-tidegate-mirror"), None);
}

#[tokio::test]
async fn what_a_client_says_of_mirrors_reaches_nobody() {
    let (stable, next, proxy) = named("").await;
    for name in ["x-tidegate-mirror", "X_Tidegate_Mirror"] {
        proxy.ask(&ask::get("/").field(name, "forged")).await;
    }
    resulted(&proxy, "sent", 2).await;
    for request in stable.requests() {
        assert!(!request.head.contains("forged"), "{}", request.head);
    }
    for copy in next.requests() {
        assert_eq!(copy.field("x-tidegate-mirror"), Some("1"));
    }
}

#[tokio::test]
async fn copies_of_a_route_have_its_treatment() {
    let pair = Pair::start().await;
    let keys = "mirror = { variant = \"canary\" }\nassignment_headers = \"request\"\n\
                rewrite = { prefix = \"/app\", host = \"inner.test\" }\nmatch = { path = \"/shop\" }\n\
                request_headers = { set = { x-env = \"prod\" }, remove = [\"x-debug\"] }";
    let proxy = proxy::start(&pair.split([1, 0], keys)).await;
    proxy
        .ask(&ask::get("/shop/cart").field("x-debug", "1"))
        .await;
    resulted(&proxy, "sent", 1).await;
    let copy = pair.canary.request();
    assert_eq!(copy.target(), "/app/cart");
    assert_eq!(copy.field("host"), Some("inner.test"));
    assert_eq!(copy.field("x-env"), Some("prod"));
    assert_eq!(copy.field("x-debug"), None);
    assert_eq!(copy.field("x-tidegate-variant"), Some("canary"));
    assert_eq!(
        pair.stable.request().field("x-tidegate-variant"),
        Some("stable")
    );
}

#[tokio::test]
async fn a_body_is_copied_whole_however_it_is_framed() {
    let (stable, next) = (origin::echo().await, origin::echo().await);
    let keys = ", methods = [\"PUT\"]";
    let proxy = proxy::start(&beside(stable.address, next.address, keys)).await;
    let mut client = proxy.connect().await;
    let body = vec![b'a'; 64 << 10];
    let put = ask::method("PUT", "/").body(body.clone());
    assert!(client.ask(&put).await.body == body);
    resulted(&proxy, "sent", 1).await;
    client
        .wire
        .send("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    stable.received(2).await;
    client
        .wire
        .send("5\r\n, two\r\n0\r\nx-sum: 1\r\n\r\n")
        .await;
    assert_eq!(client.answer("PUT").await.text(), "one, two");
    resulted(&proxy, "sent", 2).await;
    let copies = next.requests();
    assert!(copies[0].body == body);
    assert_eq!(copies[0].field("content-length"), Some("65536"));
    assert_eq!(copies[1].text(), "one, two");
    assert_eq!(copies[1].field("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn a_body_that_is_too_large_passes_and_is_not_copied() {
    let (stable, next) = (origin::echo().await, origin::echo().await);
    let keys = ", methods = [\"PUT\"], body = \"1KiB\"";
    let proxy = proxy::start(&beside(stable.address, next.address, keys)).await;
    let mut client = proxy.connect().await;
    // One that says so, one that goes on by the kernel's own way, and one of chunks.
    for length in [1025, 4 << 20] {
        let body = vec![b'a'; length];
        assert!(
            client
                .ask(&ask::method("PUT", "/").body(body.clone()))
                .await
                .body
                == body
        );
    }
    resulted(&proxy, "dropped_body", 2).await;
    let chunk = format!("400\r\n{}\r\n", "b".repeat(1024));
    let head = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client
        .wire
        .send(format!("{head}{chunk}1\r\nc\r\n0\r\n\r\n"))
        .await;
    assert_eq!(client.answer("PUT").await.body.len(), 1025);
    resulted(&proxy, "dropped_body", 3).await;
    client.wire.send(format!("{head}{chunk}0\r\n\r\n")).await;
    assert_eq!(client.answer("PUT").await.body.len(), 1024);
    resulted(&proxy, "sent", 1).await;
    assert_eq!(next.n_requests(), 1);
}

#[tokio::test]
async fn only_methods_that_are_named_are_copied() {
    let (_stable, next, proxy) = named("").await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        proxy.ask(&ask::method(method, "/").body("x")).await;
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        proxy.ask(&ask::method(method, "/")).await;
    }
    resulted(&proxy, "sent", 3).await;
    let mut methods: Vec<_> = next
        .requests()
        .iter()
        .map(|copy| copy.method().to_owned())
        .collect();
    methods.sort();
    assert_eq!(methods, ["GET", "HEAD", "OPTIONS"]);
}

#[tokio::test]
async fn what_goes_to_the_variant_itself_is_not_copied_to_it() {
    let pair = Pair::start().await;
    let keys = "mirror = { variant = \"canary\" }\nforce = { header = \"x-variant\" }";
    let proxy = proxy::start(&pair.split([1, 0], keys)).await;
    let forced = ask::get("/forced").field("x-variant", "canary");
    assert_eq!(proxy.ask(&forced).await.text(), "canary");
    assert_eq!(proxy.get("/").await.text(), "stable");
    resulted(&proxy, "sent", 1).await;
    let targets: Vec<_> = pair
        .canary
        .requests()
        .iter()
        .map(|one| one.target().to_owned())
        .collect();
    assert_eq!(targets, ["/forced", "/"]);
}

#[tokio::test]
async fn a_variant_that_is_off_gets_no_copies() {
    let pair = Pair::start().await;
    let on = pair.split([1, 0], "mirror = { variant = \"canary\" }");
    let off = on.clone().variant_keys("canary", "state = \"off\"");
    let proxy = proxy::start(&off).await;
    proxy.get("/off").await;
    let status = proxy.status().await;
    assert_eq!(status["routes"]["shop"]["mirror"]["active"], false);
    proxy.reload(&on).await;
    proxy.get("/on").await;
    resulted(&proxy, "sent", 1).await;
    assert_eq!(pair.canary.request().target(), "/on");
}

#[tokio::test]
async fn tunnels_are_not_copied() {
    let (stable, next) = (origin::websocket().await, origin::websocket().await);
    let proxy = proxy::start(&beside(stable.address, next.address, "").http2_too()).await;
    let mut client = proxy.connect().await;
    client
        .wire
        .send(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer("GET").await.status, 101);
    assert_eq!(next.n_connections(), 0);
    let results = results(&proxy).await;
    let results = results.as_object().expect("results");
    assert!(results.values().all(|n| n == 0), "{results:?}");
}

#[tokio::test]
async fn the_same_users_are_copied_and_more_of_them_with_a_greater_part() {
    let pair = Pair::start().await;
    let config = |percent: &str| {
        let keys = format!(
            "sticky = {{ keys = [\"header:x-user\"] }}\n\
             mirror = {{ variant = \"canary\", percent = {percent} }}"
        );
        pair.split([1, 0], &keys)
    };
    let proxy = proxy::start(&config("20")).await;
    let mut before: Vec<String> = Vec::new();
    let mut n_sent = 0;
    for percent in ["20", "20.0", "60.5"] {
        proxy.reload(&config(percent)).await;
        let seen = pair.canary.n_requests();
        let mut client = proxy.connect().await;
        for user in 0..50 {
            let ask = ask::get("/").field("x-user", user.to_string());
            assert_eq!(client.ask(&ask).await.text(), "stable");
        }
        let of_all = |results: &Value| {
            let counts = results.as_object().expect("results").values();
            counts.filter_map(Value::as_u64).sum::<u64>()
        };
        let total = of_all(&results(&proxy).await);
        resulted(&proxy, "sent", total).await;
        let copies = pair.canary.requests().split_off(seen);
        assert_eq!(copies.len() as u64, total - n_sent);
        n_sent = total;
        let mut users: Vec<_> = copies
            .iter()
            .map(|copy| copy.field("x-user").expect("a user").to_owned())
            .collect();
        users.sort();
        assert!(
            before.iter().all(|user| users.contains(user)),
            "{before:?} {users:?}"
        );
        let is_more = percent == "60.5";
        assert_eq!(before.len() < users.len(), is_more || before.is_empty());
        before = users;
    }
    assert!((15..50).contains(&before.len()), "{before:?}");
}

#[tokio::test]
async fn without_a_key_the_part_is_exact() {
    let (_stable, next, proxy) = named(", percent = 12.5").await;
    // One worker draws for one connection.
    let mut client = proxy.connect().await;
    for _ in 0..80 {
        client.get("/").await;
    }
    wait::until("the copies", async || next.n_requests() >= 8).await;
    let n = next.n_requests();
    assert!((8..=13).contains(&n), "{n}");
}

#[tokio::test]
async fn a_request_that_does_not_get_through_is_not_copied() {
    let refusing = origin::refusing();
    let next = origin::answering("next").await;
    let keys = ", methods = [\"PUT\", \"GET\"]";
    let proxy = proxy::start(&beside(refusing.address, next.address, keys)).await;
    assert_eq!(proxy.get("/").await.status, 502);
    resulted(&proxy, "dropped_incomplete", 1).await;
    let stable = origin::echo().await;
    proxy
        .reload(&beside(stable.address, next.address, keys))
        .await;
    let mut client = proxy.connect().await;
    let ask: Ask = ask::method("PUT", "/half").body("half of it");
    let bytes = ask.http1();
    client.wire.send(&bytes[..bytes.len() - 1]).await;
    stable
        .got("half of a body", |bytes| bytes.ends_with(b"half of i"))
        .await;
    drop(client);
    resulted(&proxy, "dropped_incomplete", 2).await;
    assert_eq!(next.n_connections(), 0);
}

#[tokio::test]
async fn numbers_of_a_mirror_outlive_a_reload() {
    let (stable, next, proxy) = named("").await;
    proxy.get("/").await;
    resulted(&proxy, "sent", 1).await;
    proxy
        .reload(&beside(
            stable.address,
            next.address,
            ", percent = 100.0, timeout = \"1s\"",
        ))
        .await;
    proxy.get("/").await;
    resulted(&proxy, "sent", 2).await;
    assert_eq!(next.n_requests(), 2);
}

#[tokio::test]
async fn a_copied_request_says_so_in_the_log_and_before() {
    let (_stable, _next, proxy) = named("").await;
    proxy.get("/").await;
    proxy.ask(&ask::post("/", "x")).await;
    let mut lines = Vec::new();
    wait::until("two lines", async || {
        let text = proxy.process.stdout();
        lines = text
            .split_inclusive('\n')
            .map(str::to_owned)
            .collect::<Vec<_>>();
        lines.iter().filter(|line| line.ends_with('\n')).count() == 2
    })
    .await;
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        (&lines[0]["mirror"], &lines[1]["mirror"]),
        (&"next".into(), &Value::Null)
    );
    for (method, copied) in [("GET", true), ("POST", false)] {
        let path = format!("/api/v1/explain?url=http://a/&method={method}");
        let explained = proxy.get_admin(&path).await.json();
        assert_eq!(explained["mirror"]["upstream"], "next", "{explained}");
        assert_eq!(explained["mirror"]["copied"], copied, "{explained}");
    }
}
