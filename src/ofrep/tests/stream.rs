//! Streams: what is told, to whom, and until when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use crate::flag::{FlagSpec, Flags, RuleSpec, Runtime, Serve};
use crate::ofrep::tests::{Ask, Notes, World, settings, specs};
use crate::ofrep::{Arrival, Scope, Settings};

/// Somebody who listens.
struct Listener(Body);

impl Listener {
    /// What is told next; `None` at the end.
    async fn hear(&mut self) -> Option<String> {
        let frame = self.0.frame().await?.unwrap();
        let bytes = frame.into_data().unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// What is told before any time has passed.
    async fn hears_nothing(&mut self) {
        let heard = timeout(Duration::from_millis(1), self.hear()).await;
        assert_eq!(heard.ok(), None);
    }
}

/// The number of what was told, if it is a call to ask again.
fn refetch(told: &str) -> Option<u64> {
    let (_, event) = told.rsplit_once("id: ")?;
    let (id, rest) = event.split_once('\n')?;
    let data = rest
        .strip_prefix("event: message\ndata: ")?
        .strip_suffix("\n\n")?;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["type"], "refetchEvaluation");
    assert_eq!(data["etag"], id);
    assert!(data["lastModified"].is_u64());
    id.parse().ok()
}

fn get(path: &str) -> Ask {
    Ask::to(path).method(Method::GET)
}

impl World {
    /// Listens by the ticket of an answer to this.
    async fn listen(&self, ask: Ask) -> Listener {
        let body = self.ask(ask).await.json();
        let uri = body["eventStreams"][0]["endpoint"]["requestUri"].as_str();
        self.listen_to(get(uri.unwrap())).await
    }

    async fn listen_to(&self, ask: Ask) -> Listener {
        let answer = self.begin(ask).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Listener(answer.into_body())
    }

    fn kill(&self, flag: &str) {
        self.set(
            flag,
            Runtime {
                killed: true,
                ..Runtime::default()
            },
        );
    }

    fn open(&self) -> u64 {
        self.service.totals().read().streams
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_to_everybody_at_once() {
    let world = World::new(settings());
    let mut listeners = [
        world.listen(Ask::all()).await,
        world.listen(Ask::all().server()).await,
        world.listen_to(get("/ofrep/v1/stream").server()).await,
        world.listen_to(get("/ofrep/v1/stream")).await,
    ];
    for listener in &mut listeners {
        listener.hear().await.unwrap();
        listener.hears_nothing().await;
    }
    let start = Instant::now();
    world.kill("boolean");
    let mut numbers = Vec::new();
    for listener in &mut listeners {
        numbers.push(refetch(&listener.hear().await.unwrap()).unwrap());
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(
        numbers.windows(2).all(|pair| pair[0] == pair[1]),
        "{numbers:?}"
    );
    world.set("boolean", Runtime::default());
    let next = refetch(&listeners[0].hear().await.unwrap()).unwrap();
    assert!(next > numbers[0]);
}

#[tokio::test(start_paused = true)]
async fn who_has_a_ticket_needs_no_token() {
    let world = World::new(Settings {
        anonymous: None,
        ..settings()
    });
    let mut listener = world.listen(Ask::all().server()).await;
    assert!(listener.hear().await.is_some());
    for path in [
        "/ofrep/v1/stream",
        "/ofrep/v1/stream?t=",
        "/ofrep/v1/stream?t=1.00000000000000000000000000000000",
    ] {
        let answer = world.ask(get(path)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_ticket_is_refused_also_where_none_is_needed() {
    let world = World::new(settings());
    let answer = world.ask(get("/ofrep/v1/stream?t=wrong")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        answer.json()["errorDetails"]
            .as_str()
            .unwrap()
            .contains("ticket")
    );
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_hears_of_what_they_missed_and_of_nothing_else() {
    let world = World::new(settings());
    let first = world.listen(Ask::all()).await.hear().await.unwrap();
    let last = refetch(&first)
        .expect("the service has just begun")
        .to_string();
    let back = || get("/ofrep/v1/stream").header("last-event-id", &last);
    let mut same = world.listen_to(back()).await;
    let beginning = same.hear().await.unwrap();
    assert_eq!(refetch(&beginning), None, "{beginning}");
    assert!(
        beginning.contains(&format!("id: {last}\n\n")),
        "{beginning}"
    );
    world.kill("boolean");
    let mut later = world.listen_to(back()).await;
    assert!(refetch(&later.hear().await.unwrap()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_that_it_lives_by_comments() {
    let world = World::new(settings());
    let mut listener = world.listen(Ask::all()).await;
    listener.hear().await.unwrap();
    let start = Instant::now();
    for n in 1..4 {
        assert_eq!(listener.hear().await.as_deref(), Some(":\n\n"));
        assert_eq!(start.elapsed(), n * Duration::from_secs(15));
    }
}

#[tokio::test(start_paused = true)]
async fn streams_end_at_the_end() {
    let world = World::new(settings());
    let mut listeners = [
        world.listen(Ask::all()).await,
        world.listen(Ask::all()).await,
    ];
    for listener in &mut listeners {
        listener.hear().await.unwrap();
    }
    world.shutdown.cancel();
    for listener in &mut listeners {
        assert_eq!(listener.hear().await, None);
        assert_eq!(listener.hear().await, None);
    }
    assert_eq!(world.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn there_are_as_many_streams_as_there_may_be() {
    let world = World::new(Settings {
        max_streams: 2,
        ..settings()
    });
    let one = world.listen(Ask::all()).await;
    let _other = world.listen(Ask::all()).await;
    assert_eq!(world.open(), 2);
    let answer = world.ask(get("/ofrep/v1/stream")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert_eq!(answer.json()["errorCode"], "GENERAL");
    assert_eq!(world.service.totals().read().streams_refused, 1);
    drop(one);
    assert_eq!(world.open(), 1);
    world.listen(Ask::all()).await;
}

#[tokio::test(start_paused = true)]
async fn streams_that_come_directly_leave_connections_for_others() {
    let direct = World::new(settings());
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(direct.listen_to(get("/ofrep/v1/stream")).await);
    }
    let answer = direct.ask(get("/ofrep/v1/stream")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    // Those that come by the proxy are not among them.
    let proxied = direct.service.router(Arrival::Proxied(Arc::default()));
    let proxied = World {
        router: proxied,
        ..direct
    };
    proxied.listen_to(get("/ofrep/v1/stream")).await;
    open.pop();
    assert_eq!(proxied.open(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_taken_away_ends_its_streams() {
    let world = World::new(settings());
    let mut server = world.listen(Ask::all().server()).await;
    let mut anonymous = world.listen(Ask::all()).await;
    server.hear().await.unwrap();
    anonymous.hear().await.unwrap();
    let mut fewer = settings();
    fewer.tokens.remove("backend");
    world.service.set_settings(fewer.clone());
    world.kill("boolean");
    assert_eq!(server.hear().await, None);
    assert!(anonymous.hear().await.is_some());
    fewer.anonymous = Some(Scope::Server);
    world.service.set_settings(fewer);
    assert_eq!(
        anonymous.hear().await,
        None,
        "it may see something else now"
    );
}

#[tokio::test(start_paused = true)]
async fn without_streams_there_are_none() {
    let world = World::new(settings());
    let mut listener = world.listen(Ask::all()).await;
    listener.hear().await.unwrap();
    world.service.set_settings(Settings {
        stream: false,
        ..settings()
    });
    assert_eq!(listener.hear().await, None);
    let answer = world.ask(get("/ofrep/v1/stream")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_schedule_that_begins_is_a_change_that_nobody_made() {
    let world = World::new(settings());
    let mut listener = world.listen(Ask::all()).await;
    listener.hear().await.unwrap();
    let soon = SystemTime::now() + Duration::from_millis(30);
    let rule = RuleSpec {
        from: Some(soon),
        ..RuleSpec::new(Serve::Variant("on".to_owned()))
    };
    let mut specs = specs();
    let flag = FlagSpec {
        rules: vec![rule],
        client_visible: true,
        ..FlagSpec::switch()
    };
    specs.insert("soon".to_owned(), flag);
    let flags = Flags::new(&specs, &BTreeMap::new()).unwrap();
    let follow = world.service.clone();
    let told = async {
        world.service.set_flags(
            Arc::new(flags),
            Arc::new(Notes::default()),
            SystemTime::now(),
        );
        assert!(refetch(&listener.hear().await.unwrap()).is_some());
        assert!(refetch(&listener.hear().await.unwrap()).is_some());
        let answer = world.one("soon", &serde_json::json!({})).await;
        assert_eq!(
            answer["value"], true,
            "who asks again is told the new answer"
        );
    };
    tokio::select! {
        () = follow.follow_schedules() => unreachable!("it goes on until the end"),
        () = told => {}
    }
}

#[tokio::test]
async fn following_schedules_ends_at_the_end() {
    let world = World::new(settings());
    world.shutdown.cancel();
    world.service.follow_schedules().await;
}
