//! Restarts and crashes: nothing is lost, and nothing is told again without need.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use crate::notify::fixture::{Shelf, Theatre, answered, sink, webhook};
use crate::notify::tests::{GRACE, well};
use crate::notify::{Deliverer, Edge, Event, GIVEN_UP_AFTER, Kind, Sink, Work, Written};

#[tokio::test(start_paused = true)]
async fn a_restart_tells_nothing_twice() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    for round in 0..3 {
        let deliverer = Deliverer::start(shelf.outbox(), theatre.edge(well));
        deliverer.apply(vec![webhook("hook")]).await;
        let seq = shelf.happens(theatre.now(), "release.step");
        shelf.settled("hook", seq).await;
        deliverer.end(GRACE).await;
        assert_eq!(theatre.ids("hook").len(), round + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_was_not_written_means_the_same_event_again() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let n_notes = AtomicUsize::new(0);
    // The note of where the sink begins is kept; all others are lost.
    let outbox = shelf.outbox_losing(move || n_notes.fetch_add(1, Ordering::Relaxed) != 0);
    let deliverer = Deliverer::start(outbox, theatre.edge(well));
    deliverer.apply(vec![webhook("hook")]).await;
    shelf.happens(theatre.now(), "release.step");
    theatre.sent_to("hook", 1).await;
    deliverer.end(GRACE).await;

    let deliverer = Deliverer::start(shelf.outbox(), theatre.edge(well));
    deliverer.apply(vec![webhook("hook")]).await;
    shelf.settled("hook", 1).await;
    assert_eq!(theatre.ids("hook"), ["id-1", "id-1"]);
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn an_active_alert_is_sent_at_once_after_a_restart_and_resolved_later() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let oncall = || vec![sink("oncall", Kind::Alertmanager, &["release.held"])];
    let deliverer = Deliverer::start(shelf.outbox(), theatre.edge(well));
    deliverer.apply(oncall()).await;
    shelf.happens(theatre.now(), "release.held");
    shelf.settled("oncall", 1).await;
    deliverer.end(GRACE).await;

    let deliverer = Deliverer::start(shelf.outbox(), theatre.edge(well));
    deliverer.apply(oncall()).await;
    let sent = theatre.sent_to("oncall", 2).await;
    assert_eq!(sent[1].second, 0);
    assert_eq!(sent[1].body, sent[0].body);
    shelf.happens(theatre.now(), "release.promoted");
    let sent = theatre.sent_to("oncall", 3).await;
    assert_eq!(sent[2].body[0]["endsAt"], sent[2].body[0]["startsAt"]);
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_the_sink_does_not_want_any_more_is_resolved() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    let oncall = |pattern| vec![sink("oncall", Kind::Alertmanager, &[pattern])];
    let deliverer = Deliverer::start(shelf.outbox(), theatre.edge(well));
    deliverer.apply(oncall("release.held")).await;
    shelf.happens(theatre.now(), "release.held");
    theatre.sent_to("oncall", 1).await;
    sleep(Duration::from_secs(10)).await;
    deliverer.apply(oncall("release.failed")).await;
    let sent = theatre.sent_to("oncall", 2).await;
    assert_eq!(sent[1].second, 10);
    assert_eq!(sent[1].body[0]["endsAt"], "1970-01-01T00:00:10.000Z");
    deliverer.end(GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_its_history_begins_anew() {
    let (shelf, theatre) = (Shelf::new(), Theatre::new());
    shelf.write_place("hook", 1000);
    let deliverer = Deliverer::start(shelf.outbox(), theatre.edge(well));
    deliverer.apply(vec![webhook("hook")]).await;
    shelf.happens(theatre.now(), "release.step");
    theatre.sent_to("hook", 1).await;
    assert_eq!(theatre.ids("hook"), ["id-1"]);
    deliverer.end(GRACE).await;
}

/// What happens in the story of a property test.
#[derive(Clone, Debug)]
enum Act {
    /// So many events are committed.
    Happen(u8),
    /// So many more requests are sent, at most, before the next act.
    Go(u8),
    /// The process dies; of the notes it wrote last, so many are lost. It starts again.
    Crash(u8),
    /// The process ends and starts again.
    Restart,
    /// Half a day goes by.
    Wait,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..4_u8).prop_map(Act::Happen),
        4 => (1..8_u8).prop_map(Act::Go),
        2 => (0..3_u8).prop_map(Act::Crash),
        1 => Just(Act::Restart),
        1 => Just(Act::Wait),
    ]
}

/// What became of a request: when it began, and how it was or would have been answered.
#[derive(Clone)]
struct Asked {
    sink: String,
    id: String,
    status: StatusCode,
}

/// A deliverer that is killed and started again, and all that its sinks were asked.
struct Story {
    shelf: Shelf,
    theatre: Theatre,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// How requests are answered, in turns: mostly well.
    dice: Arc<Vec<u8>>,
    is_healthy: Arc<AtomicBool>,
    is_dead: Arc<AtomicBool>,
    deliverer: Option<Deliverer>,
    n_dropped: BTreeMap<String, u64>,
}

impl Story {
    fn new(dice: Vec<u8>) -> Self {
        Self {
            shelf: Shelf::new(),
            theatre: Theatre::new(),
            asked: Arc::default(),
            dice: Arc::new(dice),
            is_healthy: Arc::default(),
            is_dead: Arc::default(),
            deliverer: None,
            n_dropped: BTreeMap::new(),
        }
    }

    fn sinks() -> Vec<Sink> {
        vec![
            webhook("all"),
            sink("failures", Kind::Webhook { key: None }, &["release.failed"]),
        ]
    }

    /// The world: a request takes a second, but what is asked is decided when it begins, as if the
    /// answer were lost when somebody dies in between.
    fn edge(&self) -> Edge {
        let (theatre, asked) = (self.theatre.clone(), Arc::clone(&self.asked));
        let (dice, is_healthy) = (Arc::clone(&self.dice), Arc::clone(&self.is_healthy));
        Edge {
            ask: Box::new(move |sink, outgoing| {
                let body = theatre.record(&sink, &outgoing);
                let mut asked = asked.lock().unwrap();
                let status = match dice[asked.len() % dice.len()] {
                    _ if is_healthy.load(Ordering::Relaxed) => StatusCode::OK,
                    0..5 => StatusCode::OK,
                    5..9 => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::BAD_REQUEST,
                };
                asked.push(Asked {
                    sink: sink.name.clone(),
                    id: body["id"].as_str().unwrap().to_owned(),
                    status,
                });
                Work::new(async move {
                    sleep(Duration::from_secs(1)).await;
                    answered(status)
                })
            }),
            ..self.theatre.edge(well)
        }
    }

    async fn begin(&mut self) {
        let is_dead = Arc::new(AtomicBool::new(false));
        self.is_dead = Arc::clone(&is_dead);
        let outbox = self
            .shelf
            .outbox_losing(move || is_dead.load(Ordering::Relaxed));
        let deliverer = Deliverer::start(outbox, self.edge());
        deliverer.apply(Self::sinks()).await;
        self.deliverer = Some(deliverer);
    }

    async fn end(&mut self, grace: Duration) {
        let deliverer = self.deliverer.take().unwrap();
        deliverer.end(grace).await;
        for stats in deliverer.stats() {
            *self.n_dropped.entry(stats.sink).or_default() += stats.dropped;
        }
    }

    async fn act(&mut self, act: &Act) {
        match act {
            Act::Happen(n) => {
                for i in 0..*n {
                    let kinds = ["release.step", "release.failed"];
                    let kind = kinds[usize::from(i) % 2];
                    self.shelf.happens(self.theatre.now(), kind);
                }
            }
            Act::Go(n) => {
                let enough = self.asked.lock().unwrap().len() + usize::from(*n);
                let going = self.theatre.sent_in_all(enough);
                // There may be nothing to send.
                let _ = timeout(Duration::from_secs(60 * 60), going).await;
            }
            Act::Crash(n_lost) => {
                self.is_dead.store(true, Ordering::Relaxed);
                self.end(Duration::ZERO).await;
                self.shelf.lose_notes(*n_lost);
                self.begin().await;
            }
            Act::Restart => {
                self.end(GRACE).await;
                self.begin().await;
            }
            Act::Wait => sleep(GIVEN_UP_AFTER / 2).await,
        }
    }

    /// Plays to a good end, in which every sink is well.
    async fn play(&mut self, acts: &[Act]) {
        self.begin().await;
        for act in acts {
            self.act(act).await;
        }
        self.is_healthy.store(true, Ordering::Relaxed);
        let settling = async {
            while self.deliverer.as_ref().unwrap().settled() < self.shelf.last() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let settled = timeout(GIVEN_UP_AFTER, settling).await;
        settled.expect("a sink that is well is told all there is");
        self.end(GRACE).await;
    }

    /// What a sink was asked about an event.
    fn asked_about(&self, sink: &str, id: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        let asked = asked
            .iter()
            .filter(|asked| asked.sink == sink && asked.id == id);
        asked.cloned().collect()
    }

    fn check(&self, acts: &[Act]) {
        for sink in Self::sinks() {
            let mut n_lost = 0;
            let wanted = self.shelf.written().into_iter().filter(|written| {
                let event = serde_json::from_value(written.event.clone());
                sink.wants(&event.unwrap())
            });
            for Written { id, event, .. } in wanted {
                let asked = self.asked_about(&sink.name, &id);
                let n_taken = asked
                    .iter()
                    .filter(|asked| asked.status.is_success())
                    .count();
                let was_refused = asked
                    .iter()
                    .any(|asked| asked.status == StatusCode::BAD_REQUEST);
                if n_taken == 0 {
                    n_lost += 1;
                    let at: Event = serde_json::from_value(event).unwrap();
                    let age = self.theatre.now().duration_since(at.at).unwrap();
                    let was_given_up = was_refused || GIVEN_UP_AFTER <= age;
                    assert!(was_given_up, "{id} never reached {}", sink.name);
                }
                if !acts.iter().any(|act| matches!(act, Act::Crash(_))) {
                    assert!(n_taken <= 1, "{id} reached {} again", sink.name);
                }
            }
            let n_dropped = self.n_dropped.get(&sink.name).copied().unwrap_or_default();
            assert!(
                n_lost <= n_dropped,
                "{n_lost} of {} lost, {n_dropped} counted",
                sink.name
            );
        }
    }
}

proptest! {
    #[test]
    fn every_event_reaches_each_sink_that_wants_it_or_is_counted_as_dropped(
        acts in prop::collection::vec(act(), 0..24),
        dice in prop::collection::vec(0..10_u8, 1..40),
    ) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let mut story = Story::new(dice);
            story.play(&acts).await;
            story.check(&acts);
        });
    }
}
