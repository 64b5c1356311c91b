//! The deliverer: who is told, in what order, when again and when no more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::notify::fixture::{BEGIN, Shelf, Theatre, answered, nonsense, sink, webhook};
use crate::notify::{Deliverer, Edge, Event, GIVEN_UP_AFTER, Kind, Labels, Severity, Sink, Work};
use crate::outbound::fixture::{Authority, Endpoint};
use crate::outbound::{Client, SigningKey, trust};

mod restarts;

const GRACE: Duration = Duration::from_secs(30);
const DAY: u64 = GIVEN_UP_AFTER.as_secs();

fn well(_: &Sink, _: &Value) -> StatusCode {
    StatusCode::OK
}

fn at_endpoint(name: &str, kind: Kind, endpoint: &Endpoint) -> Sink {
    Sink {
        url: endpoint.url("/in"),
        ..sink(name, kind, &["release.*"])
    }
}

#[tokio::test]
async fn each_kind_of_sink_is_told_over_http() {
    let endpoint = [
        Endpoint::content().await,
        Endpoint::content().await,
        Endpoint::content().await,
        Endpoint::content().await,
    ];
    let shelf = Shelf::new();
    let deliverer = Deliverer::start(shelf.outbox(), Edge::real());
    let key = Some(SigningKey::new(b"hunter2"));
    let cdevents = Some("production".to_owned());
    deliverer
        .apply(vec![
            at_endpoint("hook", Kind::Webhook { key }, &endpoint[0]),
            at_endpoint("chat", Kind::Slack, &endpoint[1]),
            at_endpoint("bus", Kind::CloudEvents { cdevents }, &endpoint[2]),
            at_endpoint("oncall", Kind::Alertmanager, &endpoint[3]),
        ])
        .await;
    let now = SystemTime::now();
    shelf.happens(now, "audit.anchor");
    shelf.happens(now, "release.failed");
    let promoted = Event {
        artifact: Some("pkg:oci/shop@sha256:12".to_owned()),
        ..Event::new(now, "release.promoted", Severity::Info, "eu")
    };
    shelf.commit(&promoted);

    let hook = endpoint[0].received(2).await;
    assert_eq!(hook[0].method, "POST");
    assert_eq!(hook[0].target, "/in");
    assert_eq!(hook[0].json()["kind"], "release.failed");
    assert_eq!(hook[0].field("idempotency-key"), "id-2");
    assert!(hook[0].field("x-tidegate-signature").starts_with("sha256="));
    let chat = endpoint[1].received(2).await;
    assert_eq!(chat[0].target, "/in");
    let text = "warning: shop-2: failed, back on stable";
    assert_eq!(chat[0].json()["text"], text);
    let bus = endpoint[2].received(4).await;
    let kinds: Vec<&str> = bus.iter().map(|sent| sent.field("ce-type")).collect();
    let expected = [
        "dev.tidegate.release.failed.v1",
        "dev.tidegate.release.promoted.v1",
        "dev.cdevents.service.upgraded.0.3.0",
        "dev.cdevents.service.published.0.3.0",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(bus[3].json()["context"]["id"], "id-3-published");
    let oncall = endpoint[3].received(1).await;
    assert_eq!(oncall[0].target, "/in/api/v2/alerts");
    assert_eq!(oncall[0].field("content-type"), "application/json");
    assert_eq!(
        oncall[0].json()[0]["labels"],
        json!({
            "alertname": "TidegateReleaseFailed",
            "cluster": "eu",
            "release": "shop-2",
            "severity": "warning",
        })
    );
    let settling = async {
        for (sink, seq) in [("hook", 3), ("chat", 3), ("bus", 3), ("oncall", 2)] {
            shelf.settled(sink, seq).await;
        }
    };
    timeout(GRACE, settling).await.expect("all is noted");
    for stats in deliverer.stats() {
        assert_eq!((stats.failed, stats.dropped, stats.waiting), (0, 0, 0));
        let n_sent = if stats.sink == "oncall" { 1 } else { 2 };
        assert_eq!(stats.sent, n_sent, "{stats:?}");
    }
    deliverer.end(GRACE).await;
}

#[tokio::test]
async fn a_sink_with_a_private_authority_is_told() {
    let authority = Authority::new();
    let endpoint = Endpoint::secured(&authority).await;
    let shelf = Shelf::new();
    let deliverer = Deliverer::start(shelf.outbox(), Edge::real());
    let connector = trust(Some(authority.file()), None).unwrap();
    deliverer
        .apply(vec![Sink {
            client: Client::secured(connector),
            ..at_endpoint("hook", Kind::Webhook { key: None }, &endpoint)
        }])
        .await;
    shelf.happens(BEGIN, "release.step");
    assert_eq!(endpoint.received(1).await[0].json()["id"], "id-1");
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_sink_delays_nobody_is_tried_by_schedule_and_given_up_after_a_day() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let edge = theatre.edge(|sink, _| match sink.name.as_str() {
        "dead" => StatusCode::BAD_GATEWAY,
        _ => StatusCode::OK,
    });
    let deliverer = Deliverer::start(shelf.outbox(), edge);
    deliverer
        .apply(vec![webhook("alive"), webhook("dead")])
        .await;
    shelf.happens(theatre.now(), "release.step");
    shelf.happens(
        theatre.now() + Duration::from_secs(2000),
        "release.promoted",
    );
    let alive = theatre.sent_to("alive", 2).await;
    assert_eq!(alive[1].second, 0);

    shelf.settled("dead", 1).await;
    let seconds: Vec<u64> = theatre
        .sent("dead")
        .iter()
        .map(|sent| sent.second)
        .collect();
    assert_eq!(seconds[..11], [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023]);
    let steps = seconds[11..].windows(2);
    assert!(steps.map(|pair| pair[1] - pair[0]).all(|step| step == 600));
    let last = *seconds.last().unwrap();
    assert!((DAY..DAY + 600).contains(&last), "{last}");
    assert!(theatre.ids("dead").iter().all(|id| id == "id-1"));
    let stats = &deliverer.stats()[1];
    assert_eq!((stats.sent, stats.dropped, stats.waiting), (0, 1, 1));
    assert_eq!(stats.failed, seconds.len() as u64);
    assert_eq!(stats.oldest, Some(BEGIN + Duration::from_secs(2000)));
    let trouble = "answered 502 Bad Gateway";
    assert_eq!(stats.trouble.as_deref(), Some(trouble));

    shelf.settled("dead", 2).await;
    assert_eq!(deliverer.stats()[1].dropped, 2);
    assert_eq!(theatre.sent("alive").len(), 2);
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_back_gets_what_it_missed_in_order() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let edge = theatre.edge(move |_, _| match up.load(Ordering::Relaxed) {
        true => StatusCode::ACCEPTED,
        false => StatusCode::SERVICE_UNAVAILABLE,
    });
    let deliverer = Deliverer::start(shelf.outbox(), edge);
    deliverer.apply(vec![webhook("hook")]).await;
    for _ in 0..3 {
        shelf.happens(theatre.now(), "release.step");
    }
    theatre.sent_to("hook", 4).await;
    is_up.store(true, Ordering::Relaxed);
    shelf.settled("hook", 3).await;
    let ids = theatre.ids("hook");
    assert_eq!(ids[ids.len() - 3..], ["id-1", "id-2", "id-3"]);

    // And when it fails again, the schedule begins anew.
    let second = theatre.sent("hook").pop().unwrap().second;
    is_up.store(false, Ordering::Relaxed);
    shelf.happens(theatre.now(), "release.step");
    let sent = theatre.sent_to("hook", ids.len() + 3).await;
    let seconds = sent[ids.len()..].iter().map(|sent| sent.second - second);
    assert_eq!(seconds.collect::<Vec<_>>(), [0, 1, 3]);
    is_up.store(true, Ordering::Relaxed);
    shelf.settled("hook", 4).await;
    let stats = &deliverer.stats()[0];
    assert_eq!((stats.sent, stats.dropped, stats.waiting), (4, 0, 0));
    assert_eq!((&stats.trouble, stats.oldest), (&None, None));
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_cannot_be_read_is_dropped_and_the_next_is_told() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let edge = theatre.edge(|_, body| match body["id"].as_str() {
        Some("id-1") => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    });
    let deliverer = Deliverer::start(shelf.outbox(), edge);
    deliverer.apply(vec![webhook("hook")]).await;
    shelf.happens(theatre.now(), "release.step");
    shelf.commit_value(nonsense());
    shelf.happens(theatre.now(), "release.step");
    shelf.settled("hook", 3).await;
    assert_eq!(theatre.ids("hook"), ["id-1", "id-3"]);
    let stats = &deliverer.stats()[0];
    assert_eq!((stats.sent, stats.failed, stats.dropped), (1, 1, 2));
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_in_parts_goes_on_with_the_part_that_failed() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let failing = AtomicBool::new(true);
    let edge = theatre.edge(move |_, body| {
        let is_second = body["context"]["id"] == "id-1-upgraded";
        match is_second && failing.swap(false, Ordering::Relaxed) {
            true => StatusCode::INTERNAL_SERVER_ERROR,
            false => StatusCode::OK,
        }
    });
    let deliverer = Deliverer::start(shelf.outbox(), edge);
    let cdevents = Some("production".to_owned());
    deliverer
        .apply(vec![sink("bus", Kind::CloudEvents { cdevents }, &["*"])])
        .await;
    shelf.commit(&Event {
        artifact: Some("pkg:oci/shop@sha256:12".to_owned()),
        ..Event::new(theatre.now(), "release.promoted", Severity::Info, "eu")
    });
    shelf.settled("bus", 1).await;
    let sent = theatre.sent("bus");
    let ids = sent.iter().map(|sent| {
        let id = sent.body.get("id").unwrap_or(&sent.body["context"]["id"]);
        id.as_str().unwrap()
    });
    let expected = ["id-1", "id-1-upgraded", "id-1-upgraded", "id-1-published"];
    assert_eq!(ids.collect::<Vec<_>>(), expected);
    assert_eq!(deliverer.stats()[0].sent, 1);
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn an_alert_is_sent_every_minute_until_it_is_over_also_past_a_failure() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let clock = theatre.clone();
    let edge = theatre.edge(move |_, _| {
        let second = clock.now().duration_since(BEGIN).unwrap().as_secs();
        match (120..125).contains(&second) {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::OK,
        }
    });
    let deliverer = Deliverer::start(shelf.outbox(), edge);
    deliverer
        .apply(vec![sink("oncall", Kind::Alertmanager, &["release.held"])])
        .await;
    shelf.happens(theatre.now(), "release.step");
    shelf.happens(theatre.now(), "release.held");
    let sent = theatre.sent_to("oncall", 6).await;
    let seconds: Vec<u64> = sent.iter().map(|sent| sent.second).collect();
    assert_eq!(seconds, [0, 60, 120, 121, 123, 127]);
    assert_eq!(deliverer.stats()[0].alerts, 1);

    let ends = theatre.now();
    shelf.happens(ends, "release.resumed");
    let last = theatre.sent_to("oncall", 7).await.pop().unwrap();
    assert_eq!(last.second, 127);
    let ends = jiff::Timestamp::try_from(ends).unwrap();
    assert_eq!(last.body[0]["endsAt"], format!("{ends:.3}"));
    shelf.settled("oncall", 3).await;
    let stats = &deliverer.stats()[0];
    assert_eq!((stats.sent, stats.failed, stats.alerts), (2, 3, 0));
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_new_is_told_only_what_happens_from_now_on() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    shelf.happens(theatre.now(), "release.step");
    let deliverer = Deliverer::start(shelf.outbox(), theatre.edge(well));
    deliverer.apply(vec![webhook("a")]).await;
    shelf.happens(theatre.now(), "release.step");
    shelf.settled("a", 2).await;
    deliverer.apply(vec![webhook("a"), webhook("b")]).await;
    shelf.happens(theatre.now(), "release.step");
    shelf.settled("a", 3).await;
    shelf.settled("b", 3).await;
    assert_eq!(theatre.ids("a"), ["id-2", "id-3"]);
    assert_eq!(theatre.ids("b"), ["id-3"]);
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_changed_goes_on_at_its_place_and_one_that_is_gone_is_forgotten() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let edge = theatre.edge(|sink, _| match sink.labels.iter().next() {
        None => StatusCode::UNAUTHORIZED,
        Some(_) => StatusCode::OK,
    });
    let deliverer = Deliverer::start(shelf.outbox(), edge);
    deliverer.apply(vec![webhook("a"), webhook("b")]).await;
    shelf.happens(theatre.now(), "release.step");
    theatre.sent_to("a", 1).await;
    assert_eq!(deliverer.settled(), 0);

    let team = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
    let changed = Sink {
        labels: Labels::new(team).unwrap(),
        ..webhook("a")
    };
    deliverer.apply(vec![changed]).await;
    shelf.settled("a", 1).await;
    let last = theatre.sent("a").pop().unwrap();
    assert_eq!(last.body["labels"]["team"], "shop");
    shelf.noting(|notes| notes.keys().eq(["notify/a"])).await;
    assert_eq!(deliverer.settled(), 1);
    let stats = deliverer.stats();
    assert_eq!((stats.len(), stats[0].sent), (1, 1));
    assert!(0 < stats[0].failed, "its counters go on");
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn without_sinks_everything_is_settled() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let deliverer = Deliverer::start(shelf.outbox(), theatre.edge(well));
    shelf.happens(theatre.now(), "release.step");
    assert_eq!(deliverer.settled(), 1);
    assert_eq!(deliverer.stats(), []);
    deliverer.end(GRACE).await;
}

/// A world in which every request begins, and ends when it is told to.
fn slow(theatre: &Theatre, finish: &Arc<Notify>) -> Edge {
    let (theatre_too, finish) = (theatre.clone(), Arc::clone(finish));
    Edge {
        ask: Box::new(move |sink, outgoing| {
            theatre_too.record(&sink, &outgoing);
            let finish = Arc::clone(&finish);
            Work::new(async move {
                finish.notified().await;
                answered(StatusCode::OK)
            })
        }),
        ..theatre.edge(well)
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_lets_a_request_finish_and_begins_no_other() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let finish = Arc::new(Notify::new());
    let deliverer = Deliverer::start(shelf.outbox(), slow(&theatre, &finish));
    deliverer.apply(vec![webhook("hook")]).await;
    shelf.happens(theatre.now(), "release.step");
    shelf.happens(theatre.now(), "release.step");
    theatre.sent_to("hook", 1).await;
    let before = theatre.now();
    tokio::join!(deliverer.end(GRACE), async { finish.notify_one() });
    assert_eq!(theatre.now(), before);
    shelf.settled("hook", 1).await;
    assert_eq!(theatre.sent("hook").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_end_cuts_a_request_that_does_not_finish() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let never = Arc::new(Notify::new());
    let deliverer = Deliverer::start(shelf.outbox(), slow(&theatre, &never));
    deliverer.apply(vec![webhook("hook")]).await;
    shelf.happens(theatre.now(), "release.step");
    theatre.sent_to("hook", 1).await;
    let before = theatre.now();
    deliverer.end(GRACE).await;
    assert_eq!(theatre.now(), before + GRACE);

    // It is told after the next start, with the same id.
    let deliverer = Deliverer::start(shelf.outbox(), theatre.edge(well));
    deliverer.apply(vec![webhook("hook")]).await;
    shelf.settled("hook", 1).await;
    assert_eq!(theatre.ids("hook"), ["id-1", "id-1"]);
    deliverer.end(GRACE).await;
}
