//! `tidegate top` in pipes: tables and JSON of what happened in between.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::support::ask;
use crate::support::command::{self, Output};
use crate::support::config;
use crate::support::origin;
use crate::support::pair::Pair;
use crate::support::proxy::{self, Proxy};
use crate::support::wait;

/// How often a request begins: often enough for a rate, and seldom enough that local ports, which each
/// connection keeps for a while after its end, do not run out.
const EVERY: Duration = Duration::from_millis(2);

/// Runs `top` while paths are got on and on.
async fn top_of(proxy: &Proxy, arguments: &[&str]) -> Output {
    let get = async || {
        proxy.get("/").await;
    };
    top_during(proxy, arguments, get).await
}

/// Runs `top` while something is done on and on.
async fn top_during(proxy: &Proxy, arguments: &[&str], mut each: impl AsyncFnMut()) -> Output {
    let admin = proxy.admin_url();
    let arguments = [&["top", "--admin", &admin], arguments].concat();
    let traffic = async {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            each().await;
        }
    };
    tokio::select! {
        output = command::run(&arguments) => output,
        () = traffic => unreachable!("it has no end"),
    }
}

/// The objects of an output, one on each line.
fn objects(output: &Output) -> Vec<Value> {
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn it_shows_how_the_traffic_is_divided_as_it_is() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([3, 1], "")).await;
    let output = top_of(&proxy, &["--once", "--interval", "500ms"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let row = output
        .stdout
        .lines()
        .find(|line| line.starts_with("shop  "));
    let words: Vec<_> = row
        .unwrap_or_else(|| panic!("{output:?}"))
        .split_whitespace()
        .collect();
    assert_eq!(words[..6], ["shop", "canary", "canary", "1", "25", "%"]);
    let number = |n: usize| {
        words[n]
            .parse::<f64>()
            .unwrap_or_else(|_| panic!("{words:?}"))
    };
    // A draw is exact to a few requests.
    assert!((20.0..30.0).contains(&number(6)), "{words:?}");
    assert!(number(8) > 1.0, "{words:?}");
    assert_eq!(words.last(), Some(&"on"));
    assert!(!output.stdout.contains('\u{1b}'), "{output:?}");
}

#[tokio::test]
async fn it_tells_who_made_the_failures() {
    let broken = origin::serving(|mut conversation| async move {
        while conversation.request().await.is_some() {
            let answer = "HTTP/1.1 500 Broken\r\ncontent-length: 2\r\n\r\nno";
            conversation.send(answer).await;
        }
    })
    .await;
    let refusing = origin::refusing();
    for (address, by_proxy) in [(broken.address, 0.0), (refusing.address, 1.0)] {
        let proxy = proxy::start(&config::to(address)).await;
        let output = top_of(&proxy, &["--once", "--interval", "2s", "--json"]).await;
        assert_eq!(output.code, 0, "{output:?}");
        let seen = objects(&output);
        assert_eq!(seen.len(), 1, "{output:?}");
        let variant = &seen[0]["routes"]["all"]["variants"]["default"];
        assert!(
            variant["requests_per_second"].as_f64() > Some(1.0),
            "{variant}"
        );
        assert_eq!(variant["failed"], 1.0, "{variant}");
        assert_eq!(variant["failed_by_proxy"], by_proxy, "{variant}");
        assert_eq!(seen[0]["total"]["failed"], 1.0);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_is_a_failure() {
    let cutting = origin::serving(|mut conversation| async move {
        if conversation.request().await.is_some() {
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
            conversation.send(answer).await;
        }
    })
    .await;
    let proxy = proxy::start(&config::to(cutting.address)).await;
    let get = async || {
        let mut client = proxy.connect().await;
        client.wire.send(ask::get("/").http1()).await;
        client.wire.rest().await;
    };
    let arguments = ["--once", "--interval", "2s", "--json"];
    let output = top_during(&proxy, &arguments, get).await;
    let variant = objects(&output)[0]["routes"]["all"]["variants"]["default"].clone();
    assert_eq!(variant["failed"], 1.0, "{variant}");
    assert_eq!(variant["failed_by_proxy"], 0.0, "{variant}");
}

#[tokio::test]
async fn it_prints_so_many_objects_each_on_a_line() {
    let pair = Pair::start().await;
    let proxy = proxy::start(&pair.split([1, 1], "")).await;
    let output = top_of(&proxy, &["-n", "3", "--interval", "200ms", "--json"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let seen = objects(&output);
    assert_eq!(seen.len(), 3, "{output:?}");
    for object in &seen {
        let took = object["interval_seconds"].as_f64();
        assert!(took >= Some(0.1), "{object}");
        let stable = &object["routes"]["shop"]["variants"]["stable"];
        assert!(stable["p99_ms"].as_f64() > Some(0.0), "{stable}");
        assert_eq!(stable["share"], 0.5, "{stable}");
    }
}

#[tokio::test]
async fn routes_can_be_chosen_and_must_exist() {
    let origin = origin::answering("hello").await;
    let config = config::new()
        .upstream("only", &[origin.address])
        .route("a", "match = { path = \"/a\" }\nupstream = \"only\"")
        .route("b", "match = { path = \"/b\" }\nupstream = \"only\"");
    let proxy = proxy::start(&config).await;
    let admin = proxy.admin_url();
    let top = [
        "top",
        "--once",
        "--json",
        "--interval",
        "100ms",
        "--admin",
        &admin,
    ];
    let output = command::run(&[&top[..], &["--route", "b"]].concat()).await;
    let routes = objects(&output)[0]["routes"].clone();
    let names: Vec<_> = routes.as_object().expect("routes").keys().collect();
    assert_eq!(names, ["b"]);
    let output = command::run(&[&top[..], &["--route", "c"]].concat()).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("there is no route c"), "{output:?}");
}

#[tokio::test]
async fn an_instance_that_goes_away_is_waited_for() {
    let pair = Pair::start().await;
    let config = pair.split([1, 1], "");
    let proxy = proxy::start(&config).await;
    let (admin, address) = (proxy.admin_url(), proxy.admin());
    let arguments = ["top", "--json", "--interval", "100ms", "--admin", &admin];
    let mut top = command::start(&arguments);
    let told = |running: &command::Running, what: &str| {
        let shown = running.process.stdout();
        let last = shown.lines().next_back().unwrap_or_default();
        last.contains(what)
    };
    wait::until("numbers", async || told(&top, "\"routes\"")).await;
    drop(proxy);
    wait::until("that it is gone", async || told(&top, "\"error\"")).await;
    let keys = format!("address = \"{address}\"");
    let _again = proxy::start(&config.admin(&keys)).await;
    wait::until("numbers again", async || told(&top, "\"routes\"")).await;
    assert!(top.process.try_exit().is_none());
    top.process.signal(rustix::process::Signal::INT);
    assert_eq!(top.process.exit().await.code, Some(0));
}

#[tokio::test]
async fn who_was_never_reached_is_a_failure() {
    let refusing = origin::refusing();
    let admin = format!("http://{}", refusing.address);
    let output = command::run(&["top", "--admin", &admin]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("cannot connect"), "{output:?}");
    assert_eq!(output.stdout, "");
    for wrong in [
        &["--interval", "10ms"][..],
        &["-n", "0"],
        &["--once", "-n", "2"],
        &["--sort", "size"],
    ] {
        let output = command::run(&[&["top"], wrong].concat()).await;
        assert_eq!(output.code, 2, "{output:?}");
    }
}
