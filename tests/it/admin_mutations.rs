//! What every mutation of the admin API comes with: a reason, a condition, a key. The reload stands
//! for all of them.

use rustix::process::{Signal, kill_process};

use crate::binary_upgrade::{hang, start_copy};
use crate::support::ask::{self, Ask};
use crate::support::client;
use crate::support::command;
use crate::support::config::{self, Config};
use crate::support::heirs;
use crate::support::message::Message;
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

const RELOAD: &str = "/api/v1/config/reload";

fn reload(body: &str) -> Ask {
    ask::post(RELOAD, body).field("content-type", "application/json")
}

async fn start() -> (Config, Proxy) {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let proxy = proxy::start(&config).await;
    (config, proxy)
}

/// The same configuration with another number in it.
fn changed(config: &Config, n: u32) -> String {
    let limit = format!("limits = {{ connections = {n} }}");
    config.clone().http(&limit).text()
}

#[track_caller]
fn is_problem(answer: &Message, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let content_type = answer.field("content-type");
    assert_eq!(content_type, Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status);
}

#[tokio::test]
async fn the_log_tells_who_has_it_reload_and_why() {
    let (_, proxy) = start().await;
    let body = "{\"reason\": \"more for the canary\", \"ticket\": \"CHG-7\"}";
    assert_eq!(proxy.ask_admin(reload(body)).await.status, 200);
    let log = proxy.process.stderr();
    let line = log.lines().find(|line| line.contains("reload asked for"));
    let line = line.expect("a line of it");
    for part in ["user:local", "more for the canary", "CHG-7"] {
        assert!(line.contains(part), "{line}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_it_should_be_changes_nothing_and_is_told_where() {
    let (config, proxy) = start().await;
    proxy::replace(&proxy.file(), changed(&config, 1000));
    proxy.live_after(1).await;
    let generation = proxy.generation().await;
    let at = async |body: &str, status, code| {
        let answer = proxy.ask_admin(reload(body)).await;
        is_problem(&answer, status, code);
        answer.json()
    };
    let syntax = at("{\n\"reason\": }", 400, "body_malformed").await;
    let detail = syntax["detail"].as_str().expect("words");
    assert!(detail.contains("line 2 column 11"), "{detail}");
    let short = at("{\"reason\": \"no\"}", 422, "body_invalid").await;
    assert_eq!(short["pointer"], "/reason");
    let unknown = at("{\"raeson\": \"a typo\"}", 422, "body_invalid").await;
    assert_eq!(unknown["pointer"], "/raeson");
    at("[]", 422, "body_invalid").await;
    let form = ask::post(RELOAD, "reason=x").field("content-type", "text/plain");
    is_problem(&proxy.ask_admin(form).await, 415, "media_type_unsupported");
    let large = reload(&" ".repeat(64 * 1024 + 1));
    is_problem(&proxy.ask_admin(large).await, 413, "body_too_large");
    // Its length is not announced, and it is longer all the same.
    let head = format!(
        "POST {RELOAD} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
        proxy.admin()
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let chunks = format!("{head}{chunk}1\r\n \r\n0\r\n\r\n");
    let mut client = client::connect(proxy.admin()).await;
    client.wire.send(chunks).await;
    is_problem(&client.answer("POST").await, 413, "body_too_large");
    assert_eq!(proxy.generation().await, generation);
}

#[tokio::test]
async fn a_reload_of_another_configuration_than_the_one_that_was_seen_is_refused() {
    let (config, proxy) = start().await;
    let etag = async || {
        let answer = proxy.get_admin("/api/v1/config").await;
        answer.field("etag").expect("an ETag").to_owned()
    };
    let reload_if = async |condition: &str| {
        proxy
            .ask_admin(reload("").field("if-match", condition))
            .await
    };
    let seen = etag().await;
    assert_eq!(reload_if(&seen).await.status, 200);
    assert_eq!(reload_if(&format!("\"0\", {seen}")).await.status, 200);
    proxy.reload_text(&changed(&config, 1000)).await;
    is_problem(&reload_if(&seen).await, 412, "precondition_failed");
    let weak = format!("W/{}", etag().await);
    is_problem(&reload_if(&weak).await, 412, "precondition_failed");
    is_problem(&reload_if("2").await, 400, "if_match_malformed");
    assert_eq!(reload_if("*").await.status, 200);
    assert_eq!(reload_if(&etag().await).await.status, 200);
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_does_nothing_again() {
    let (config, proxy) = start().await;
    let body = "{\"reason\": \"a first time\"}";
    let with = async |key: &str, body: &str| {
        let ask = reload(body).field("idempotency-key", key);
        proxy.ask_admin(ask).await
    };
    let first = with("\"one\"", body).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.field("idempotency-replayed"), None);
    let again = with("\"one\"", body).await;
    assert_eq!((again.status, again.text()), (200, first.text()));
    assert_eq!(again.field("idempotency-replayed"), Some("true"));
    let asked = |log: &str| log.matches("reload asked for").count();
    assert_eq!(asked(&proxy.process.stderr()), 1);
    let other = with("\"one\"", "{\"reason\": \"a second time\"}").await;
    is_problem(&other, 422, "idempotency_key_reused");
    let malformed = with("", body).await;
    is_problem(&malformed, 400, "idempotency_key_malformed");
    // What was refused is told again, too.
    proxy::replace(&proxy.file(), "nonsense");
    let refused = with("two", body).await;
    is_problem(&refused, 422, "config_invalid");
    proxy::replace(&proxy.file(), changed(&config, 1000));
    let again = with("two", body).await;
    assert_eq!((again.status, again.text()), (422, refused.text()));
    assert_eq!(with("three", body).await.status, 200);
}

#[tokio::test]
async fn a_reload_is_brought_to_its_end_when_who_asked_has_gone() {
    let (_, proxy) = start().await;
    let ask = reload("").field("idempotency-key", "lost");
    let ask = ask.host(proxy.admin().to_string());
    let mut gone = client::connect(proxy.admin()).await;
    gone.wire.send(ask.http1()).await;
    drop(gone);
    // Who asks again may come while it is under way, and before or after it.
    let mut told = None;
    wait::until("the answer that was lost", async || {
        let answer = proxy.ask_admin(ask.clone()).await;
        let is_told = answer.status == 200;
        assert!(is_told || answer.status == 409, "{}", answer.text());
        told = Some(answer);
        is_told
    })
    .await;
    let log = proxy.process.stderr();
    assert_eq!(log.matches("reload asked for").count(), 1, "{log}");
    assert_eq!(told.expect("an answer").json()["generation"], 1);
}

#[tokio::test]
async fn the_same_key_is_refused_while_its_request_is_under_way() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).section("[upgrade]\ntimeout = \"10m\"");
    let proxy = start_copy(&config).await;
    let mut heirs = heirs::of(&proxy);
    // Reloads wait while a successor starts, and this one never gets ready.
    let hanging = hang(&proxy, &mut heirs).await;
    let ask = reload("").field("idempotency-key", "one");
    let ask = ask.host(proxy.admin().to_string());
    let [mut one, mut other] = [
        client::connect(proxy.admin()).await,
        client::connect(proxy.admin()).await,
    ];
    one.wire.send(ask.http1()).await;
    other.wire.send(ask.http1()).await;
    let (refused, mut waiting) = tokio::select! {
        answer = one.answer("POST") => (answer, other),
        answer = other.answer("POST") => (answer, one),
    };
    is_problem(&refused, 409, "request_under_way");
    kill_process(hanging, Signal::KILL).expect("a process that runs");
    assert_eq!(waiting.answer("POST").await.status, 200);
}

#[tokio::test]
async fn the_command_line_gives_a_reason() {
    let (_, proxy) = start().await;
    let url = proxy.admin_url();
    let reload =
        async |reason: &str| command::run(&["reload", "--admin", &url, "--reason", reason]).await;
    let done = reload("more for the canary").await;
    assert_eq!(done.code, 0, "{done:?}");
    let log = proxy.process.stderr();
    let line = log.lines().find(|line| line.contains("reload asked for"));
    let line = line.expect("a line of it");
    for part in ["more for the canary", "via=\"cli\""] {
        assert!(line.contains(part), "{line}");
    }
    let refused = reload("no").await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("3 to 1000 characters"),
        "{refused:?}"
    );
}
