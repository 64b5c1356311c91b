//! Retries: what came to nothing is tried again where that does no harm, and no more often than it may.

use h2::Reason;

use crate::support::ask::{self, Ask};
use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::http2;
use crate::support::http2_origin;
use crate::support::message::Message;
use crate::support::metrics::Metrics;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy};

const UNAVAILABLE: &str = "HTTP/1.1 503 Not Now\r\ncontent-length: 4\r\n\r\nsick";

/// What an endpoint may do instead of answering.
#[derive(Clone, Copy, Debug)]
enum Ill {
    Says503,
    Resets,
    IsSilent,
}

impl Ill {
    /// The word by which it is followed by another attempt.
    fn word(self) -> &'static str {
        match self {
            Self::Says503 => "503",
            Self::Resets => "reset",
            Self::IsSilent => "timeout",
        }
    }

    /// What the client is told of it otherwise.
    fn status(self) -> u16 {
        match self {
            Self::Says503 => 503,
            Self::Resets => 502,
            Self::IsSilent => 504,
        }
    }

    /// What the retry is counted as.
    fn cause(self) -> &'static str {
        match self {
            Self::Says503 => "status",
            Self::Resets => "reset",
            Self::IsSilent => "timeout",
        }
    }

    async fn http1(self) -> Origin {
        origin::serving(move |mut conversation| async move {
            while conversation.request().await.is_some() {
                match self {
                    Self::Says503 => conversation.send(UNAVAILABLE).await,
                    Self::Resets => return conversation.reset(),
                    Self::IsSilent => {}
                }
            }
        })
        .await
    }

    async fn http2(self) -> Origin {
        http2_origin::serving(move |mut turn| async move {
            turn.whole().await;
            match self {
                Self::Says503 => {
                    turn.head(503, &[]);
                    turn.last_data(b"sick").await;
                }
                Self::Resets => turn.reset(Reason::INTERNAL_ERROR),
                Self::IsSilent => {
                    turn.reset_by_peer().await;
                }
            }
        })
        .await
    }
}

const ALL: [Ill; 3] = [Ill::Says503, Ill::Resets, Ill::IsSilent];

/// An upstream of these that get requests in turns, with settings for its retries.
fn among(origins: &[&Origin], protocol: &str, retry: &str) -> Config {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let keys = format!(
        "balance = \"round_robin\"\nprotocol = \"{protocol}\"\ntimeouts.response = \"200ms\"\n\
         retry = {retry}"
    );
    config::new()
        .upstream_with("only", &addresses, &keys)
        .route("all", "upstream = \"only\"")
        .http2_too()
}

/// Asks by both protocols.
async fn both(proxy: &Proxy, ask: &Ask) -> [Message; 2] {
    let http2 = http2::begin(client::tcp(proxy.http()).await).await;
    [proxy.ask(ask).await, http2.ask(ask).await]
}

fn retries(metrics: &Metrics, cause: &str, result: &str) -> f64 {
    let labels = [("cause", cause), ("result", result)];
    metrics.sum("tidegate_retries_total", &labels)
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again_unless_that_is_said() {
    for ill in ALL {
        for (origin, protocol) in [(ill.http1().await, "http/1.1"), (ill.http2().await, "h2")] {
            let proxy = proxy::start(&among(&[&origin], protocol, "{ attempts = 3 }")).await;
            for answer in both(&proxy, &ask::get("/")).await {
                assert_eq!(answer.status, ill.status(), "{ill:?} {protocol}");
            }
            assert_eq!(origin.n_requests(), 2, "{ill:?} {protocol}");
        }
    }
}

#[tokio::test]
async fn what_is_named_is_tried_again_at_another_endpoint() {
    for ill in ALL {
        let good = origin::answering("good").await;
        let good_2 = http2_origin::answering("good").await;
        for (origin, good, protocol) in [
            (ill.http1().await, &good, "http/1.1"),
            (ill.http2().await, &good_2, "h2"),
        ] {
            let retry = format!("{{ on = [\"{}\"] }}", ill.word());
            let proxy = proxy::start(&among(&[&origin, good], protocol, &retry)).await;
            let n_times = 6;
            for _ in 0..n_times {
                for answer in both(&proxy, &ask::get("/")).await {
                    assert_eq!(answer.text(), "good", "{ill:?} {protocol}");
                }
            }
            let n_retries = origin.n_requests();
            assert!(n_retries >= n_times - 2, "{n_retries} {ill:?} {protocol}");
            assert_eq!(good.n_requests(), 2 * n_times, "{ill:?} {protocol}");
            proxy
                .counted("the retries", |metrics| {
                    retries(metrics, ill.cause(), "success") == n_retries as f64
                })
                .await;
        }
    }
}

#[tokio::test]
async fn what_does_harm_when_it_is_done_twice_is_done_once() {
    for ill in ALL {
        for (origin, protocol) in [(ill.http1().await, "http/1.1"), (ill.http2().await, "h2")] {
            let retry = format!("{{ on = [\"{}\"] }}", ill.word());
            let proxy = proxy::start(&among(&[&origin], protocol, &retry)).await;
            for answer in both(&proxy, &ask::post("/", "body")).await {
                assert_eq!(answer.status, ill.status(), "{ill:?} {protocol}");
            }
            assert_eq!(origin.n_requests(), 2, "{ill:?} {protocol}");
        }
    }
}

#[tokio::test]
async fn there_are_no_more_attempts_than_there_may_be_and_the_last_answer_is_passed_on() {
    for (origin, protocol) in [
        (Ill::Says503.http1().await, "http/1.1"),
        (Ill::Says503.http2().await, "h2"),
    ] {
        let retry = "{ attempts = 2, on = [\"503\"] }";
        let proxy = proxy::start(&among(&[&origin], protocol, retry)).await;
        for answer in both(&proxy, &ask::get("/")).await {
            assert_eq!((answer.status, answer.text()), (503, "sick".to_owned()));
            assert_eq!(answer.field("proxy-status"), None, "it is the upstream's");
        }
        assert_eq!(origin.n_requests(), 6, "{protocol}");
        proxy
            .counted("all attempts", |metrics| {
                metrics.sum("tidegate_upstream_attempts_total", &[("result", "success")]) == 6.0
                    && retries(metrics, "status", "failure") == 2.0
                    && retries(metrics, "status", "success") == 2.0
                    && metrics.sum("tidegate_requests_total", &[("code", "503")]) == 2.0
            })
            .await;
    }
}

#[tokio::test]
async fn a_body_that_is_there_whole_goes_again_and_another_does_not() {
    for protocol in ["http/1.1", "h2"] {
        for (length, goes_again) in [(10, true), (60_000, true), (300_000, false)] {
            let ill = match protocol {
                "h2" => Ill::Says503.http2().await,
                _ => Ill::Says503.http1().await,
            };
            let echo = match protocol {
                "h2" => http2_origin::echo().await,
                _ => origin::echo().await,
            };
            let retry = "{ on = [\"503\"] }";
            let proxy = proxy::start(&among(&[&ill, &echo], protocol, retry)).await;
            let body = vec![b'x'; length];
            let ask = ask::method("PUT", "/").body(body.clone());
            let mut n_refused = 0;
            for _ in 0..4 {
                for answer in both(&proxy, &ask).await {
                    match answer.status {
                        200 => assert!(answer.body == body, "{protocol} {length}"),
                        503 => n_refused += 1,
                        other => panic!("{other}"),
                    }
                }
            }
            assert_eq!(
                n_refused == 0,
                goes_again,
                "{protocol} {length}: {n_refused}"
            );
        }
    }
}

#[tokio::test]
async fn retries_are_no_more_than_their_budget() {
    let origin = Ill::Says503.http1().await;
    let retry = "{ on = [\"503\"], budget = { percent = 10, per_second = 1 } }";
    let proxy = proxy::start(&among(&[&origin], "http/1.1", retry)).await;
    let mut client = proxy.connect().await;
    for _ in 0..200 {
        assert_eq!(client.get("/").await.text(), "sick");
    }
    // A tenth of all attempts, what ten seconds keep, and what comes in meanwhile.
    let n_retries = origin.n_requests() - 200;
    assert!((25..=45).contains(&n_retries), "{n_retries}");
    proxy
        .counted("what was too much", |metrics| {
            retries(metrics, "status", "budget_exhausted") == (200 - n_retries) as f64
        })
        .await;
}

#[tokio::test]
async fn without_a_retry_of_what_was_not_sent_a_client_is_told() {
    let refusing = origin::refusing();
    let good = origin::answering("good").await;
    let config = config::new()
        .upstream_with(
            "only",
            &[refusing.address, good.address],
            "balance = \"round_robin\"\nretry = { on = [] }",
        )
        .route("all", "upstream = \"only\"");
    let proxy = proxy::start(&config).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(proxy.get("/").await.status);
    }
    assert!(statuses.contains(&502), "{statuses:?}");
    assert!(statuses.contains(&200), "{statuses:?}");
}

fn split(canary: &Origin, stable: &Origin, retry: &str) -> Config {
    let keys = format!("timeouts.response = \"200ms\"\nretry = {retry}");
    config::new()
        .upstream_with("canary", &[canary.address], &keys)
        .upstream("stable", &[stable.address])
        .split_route(
            "shop",
            "force = { header = \"x-variant\" }",
            &[("canary", 1), ("stable", 1)],
        )
        .http2_too()
}

#[tokio::test]
async fn another_variant_may_answer_and_the_failure_stays_with_the_one_that_was_chosen() {
    for ill in ALL {
        let (canary, stable) = (ill.http1().await, origin::answering("stable").await);
        let retry = format!(
            "{{ on = [\"{}\"], other_variant = \"idempotent\" }}",
            ill.word()
        );
        let proxy = proxy::start(&split(&canary, &stable, &retry)).await;
        for _ in 0..5 {
            for answer in both(&proxy, &ask::get("/")).await {
                assert_eq!(answer.text(), "stable", "{ill:?}");
            }
        }
        let n_failed = canary.n_requests();
        assert!((2..=8).contains(&n_failed), "{n_failed}");
        proxy
            .counted("whose failures they are", |metrics| {
                let of = |variant, outcome| [("variant", variant), ("outcome", outcome)];
                let name = "tidegate_request_duration_seconds_count";
                metrics.sum(name, &of("canary", "failure")) == n_failed as f64
                    && metrics.sum(name, &of("canary", "success")) == 0.0
                    && metrics.sum(name, &of("stable", "failure")) == 0.0
                    && metrics.sum("tidegate_failovers_total", &[("from", "canary")])
                        == n_failed as f64
            })
            .await;
        // Who asks for a variant gets that one.
        let forced = ask::get("/").field("x-variant", "canary");
        assert_eq!(proxy.ask(&forced).await.status, ill.status());
        // What does harm when it is done twice stays where it is.
        let mut statuses = Vec::new();
        for _ in 0..8 {
            statuses.push(proxy.ask(&ask::post("/", "x")).await.status);
        }
        assert!(statuses.contains(&ill.status()), "{ill:?} {statuses:?}");
    }
}

#[tokio::test]
async fn what_was_certainly_not_processed_may_go_to_another_variant_whatever_it_is() {
    let refusing = origin::refusing();
    let stable = origin::answering("stable").await;
    for (other_variant, is_told) in [("unsent", false), ("never", true)] {
        let retry = format!("retry = {{ other_variant = \"{other_variant}\" }}");
        let config = config::new()
            .upstream_with("canary", &[refusing.address], &retry)
            .upstream("stable", &[stable.address])
            .split_route(
                "shop",
                "on_unavailable = \"error\"",
                &[("canary", 1), ("stable", 1)],
            );
        let proxy = proxy::start(&config).await;
        let mut statuses = Vec::new();
        for _ in 0..8 {
            statuses.push(proxy.ask(&ask::post("/", "x")).await.status);
        }
        // The first one finds that nobody is there; those after it know.
        assert_eq!(statuses.contains(&502), is_told, "{statuses:?}");
        assert!(statuses.contains(&503), "{statuses:?}");
    }
}
