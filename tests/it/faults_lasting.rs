//! Faults that last, and end: endpoints that die and come back, a canary that is gone, a disk that is
//! full, a file that vanishes. Nothing is lost that was not on the wire when its peer died.

use std::fs;

use tokio::task::JoinSet;

use crate::support::ask;
use crate::support::config;
use crate::support::origin;
use crate::support::proxy::{self, Proxy, replace};
use crate::support::wait;

/// Clients that ask at the same time, and how often each of them does.
const N_CLIENTS: usize = 8;
const N_EACH: usize = 60;

/// Asks again and again, with several clients at a time; all answers must be good ones.
async fn all_are_answered(proxy: &Proxy) {
    let mut clients = JoinSet::new();
    for _ in 0..N_CLIENTS {
        let mut client = proxy.connect().await;
        let address = proxy.http();
        clients.spawn(async move {
            for n in 0..N_EACH {
                let ask = ask::get(&format!("/{n}")).field("u", format!("user-{n}"));
                let answer = client.ask_on(address, &ask).await;
                assert_eq!(answer.status, 200, "{}", answer.head);
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("all are answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_endpoints_one_dies_and_comes_back_and_no_request_is_lost() {
    let [one, other] = [
        origin::answering("one").await,
        origin::answering("other").await,
    ];
    let address = one.address;
    let config = config::new()
        .upstream_with(
            "only",
            &[one.address, other.address],
            "balance = \"round_robin\"",
        )
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    all_are_answered(&proxy).await;
    assert!(one.n_requests() > 0 && other.n_requests() > 0);
    // With requests on their way to it.
    let ((), ()) = tokio::join!(one.stop(), all_are_answered(&proxy));
    all_are_answered(&proxy).await;
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("tidegate_errors_total", &[]), 0.0);
    assert!(metrics.sum("tidegate_retries_total", &[("result", "success")]) > 0.0);
    let code = [("code", "200"), ("source", "upstream")];
    let answered = metrics.sum("tidegate_requests_total", &code);
    assert_eq!(answered, (3 * N_CLIENTS * N_EACH) as f64);
    let one = origin::answering_at(address, "one").await;
    wait::until("it is asked again", async || {
        all_are_answered(&proxy).await;
        one.n_requests() > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_the_canary_dies_and_its_users_are_served_and_it_is_charged() {
    let [stable, canary] = [
        origin::answering("stable").await,
        origin::answering("canary").await,
    ];
    let address = canary.address;
    let config = config::split(
        "sticky = { keys = [\"header:u\"] }",
        &[("stable", 50, stable.address), ("canary", 50, address)],
    );
    let proxy = proxy::start(&config).await;
    all_are_answered(&proxy).await;
    let before = canary.n_requests();
    assert!(before > 0);
    let ((), ()) = tokio::join!(canary.stop(), all_are_answered(&proxy));
    all_are_answered(&proxy).await;
    let metrics = proxy.metrics().await;
    let failed_over = metrics.sum(
        "tidegate_failovers_total",
        &[("from", "canary"), ("to", "stable")],
    );
    assert!(failed_over > 0.0);
    // Whose users they are does not change with who serves them.
    let of = |variant| {
        let labels = [("route", "shop"), ("variant", variant), ("code", "200")];
        metrics.sum("tidegate_requests_total", &labels)
    };
    assert_eq!(of("canary"), 3.0 * before as f64);
    let canary = origin::answering_at(address, "canary").await;
    wait::until("its users are its own again", async || {
        all_are_answered(&proxy).await;
        canary.n_requests() > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_restarts_again_and_again_loses_what_is_on_the_wire_at_most() {
    let mut origin = origin::answering("fine").await;
    let address = origin.address;
    let other = origin::answering("fine").await;
    let config = config::new()
        .upstream("only", &[address, other.address])
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    for _ in 0..5 {
        let restarted = async {
            origin.stop().await;
            origin::answering_at(address, "fine").await
        };
        let (again, ()) = tokio::join!(restarted, all_are_answered(&proxy));
        origin = again;
    }
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("tidegate_errors_total", &[]), 0.0);
}

#[tokio::test]
async fn a_full_disk_loses_lines_of_the_log_and_no_request() {
    let origin = origin::answering("fine").await;
    let config = config::to(origin.address).section("[access_log]\noutput = \"/dev/full\"");
    let proxy = proxy::start(&config).await;
    wait::until("a line that is dropped", async || {
        assert_eq!(proxy.get("/").await.text(), "fine");
        let metrics = proxy.metrics().await;
        metrics.sum("tidegate_access_log_dropped_total", &[]) > 0.0
    })
    .await;
    assert!(proxy.process.stderr().contains("No space left on device"));
    // With room again lines are written again.
    let log = proxy.dir().join("access.log");
    let section = format!("[access_log]\noutput = \"{}\"", log.display());
    let config = config::to(origin.address).section(&section);
    proxy.reload(&config).await;
    assert_eq!(proxy.get("/seen").await.text(), "fine");
    wait::until("a line that is written", async || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("\"path\":\"/seen\""))
    })
    .await;
}

#[tokio::test]
async fn a_configuration_that_vanishes_changes_nothing_and_is_told() {
    let origin = origin::answering("fine").await;
    let config = config::to(origin.address);
    let proxy = proxy::start(&config).await;
    let generation = proxy.generation().await;
    fs::remove_file(proxy.file()).expect("it is there");
    let refused = proxy.ask_reload().await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(proxy.get("/").await.text(), "fine");
    assert_eq!(proxy.generation().await, generation);
    proxy
        .counted("it is told", |metrics| {
            metrics.sum("tidegate_config_last_reload_successful", &[]) == 0.0
                && metrics.sum("tidegate_config_reloads_total", &[("result", "rejected")]) > 0.0
        })
        .await;
    // It is seen when it is there again, without being asked.
    let changed = config.route("more", "match = { path = \"/x\" }\nupstream = \"only\"");
    replace(&proxy.file(), changed.text());
    proxy.live_after(generation).await;
    proxy
        .counted("it is told", |metrics| {
            metrics.sum("tidegate_config_last_reload_successful", &[]) == 1.0
        })
        .await;
}
