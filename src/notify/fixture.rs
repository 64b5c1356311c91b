//! The vocabulary of tests that notify: a sink, a shelf that stands for the store, and a world
//! whose time is the runtime's and whose sinks answer as they were told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::notify::edge::Edge;
use crate::notify::event::{Event, Severity};
use crate::notify::outbox::{Outbox, Written};
use crate::notify::pattern::Pattern;
use crate::notify::render::Outgoing;
use crate::notify::sink::{Kind, Labels, Sink};
use crate::notify::work::Work;
use crate::outbound::{Answer, Client, OutboundError, Url};

/// When tests begin.
pub(crate) const BEGIN: SystemTime = UNIX_EPOCH;
/// In paused time more than any story takes; a test in real time has a bound of its own.
const PATIENCE: Duration = Duration::from_secs(100 * 60 * 60);

/// A sink that nobody listens at.
pub(crate) fn sink(name: &str, kind: Kind, patterns: &[&str]) -> Sink {
    let patterns = patterns.iter();
    Sink {
        name: name.to_owned(),
        kind,
        url: Url::parse("http://127.0.0.1:9/").unwrap(),
        events: patterns.map(|text| Pattern::parse(text).unwrap()).collect(),
        labels: Labels::default(),
        timeout: Duration::from_secs(10),
        client: Client::plain(),
    }
}

/// A sink of the simplest kind.
pub(crate) fn webhook(name: &str) -> Sink {
    sink(name, Kind::Webhook { key: None }, &["*"])
}

/// What stands for the store: it survives what a test does to a deliverer.
#[derive(Clone)]
pub(crate) struct Shelf {
    entries: Arc<Mutex<Vec<Written>>>,
    notes: Arc<watch::Sender<BTreeMap<String, Value>>>,
    last: Arc<watch::Sender<u64>>,
    /// The notes in the order in which they were written.
    history: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arc::default(),
            notes: Arc::new(watch::Sender::default()),
            last: Arc::new(watch::Sender::new(0)),
            history: Arc::default(),
        }
    }

    /// Commits an event; its id is its place.
    pub(crate) fn commit(&self, event: &Event) -> u64 {
        self.commit_value(serde_json::to_value(event).unwrap())
    }

    /// Commits an event of a kind that happens at a time.
    pub(crate) fn happens(&self, at: SystemTime, kind: &str) -> u64 {
        self.commit(&Event {
            release: Some("shop-2".to_owned()),
            ..Event::new(at, kind, Severity::Warning, "eu")
        })
    }

    pub(crate) fn commit_value(&self, event: Value) -> u64 {
        let seq = *self.last.borrow() + 1;
        let id = format!("id-{seq}");
        self.entries
            .lock()
            .unwrap()
            .push(Written { seq, id, event });
        self.last.send_replace(seq);
        seq
    }

    /// What a deliverer sees of it; what it notes is lost when `lose` says so.
    pub(crate) fn outbox_losing(&self, lose: impl Fn() -> bool + Send + Sync + 'static) -> Outbox {
        let entries = Arc::clone(&self.entries);
        let history = Arc::clone(&self.history);
        let (read, write) = (Arc::clone(&self.notes), Arc::clone(&self.notes));
        Outbox {
            last: self.last.subscribe(),
            after: Box::new(move |after, most| {
                let entries = entries.lock().unwrap();
                let after = entries.iter().filter(|entry| after < entry.seq);
                after.take(most).cloned().collect()
            }),
            noted: Box::new(move |key| read.borrow().get(key).cloned()),
            note: Box::new(move |key, value| {
                if lose() {
                    return Work::new(async { Err("the disk is gone".to_owned()) });
                }
                write.send_modify(|notes| match value {
                    Some(value) => {
                        let mut history = history.lock().unwrap();
                        history.push((key.clone(), value.clone()));
                        notes.insert(key, value);
                    }
                    None => drop(notes.remove(&key)),
                });
                Work::new(async { Ok(()) })
            }),
        }
    }

    pub(crate) fn outbox(&self) -> Outbox {
        self.outbox_losing(|| false)
    }

    /// Loses the latest of the notes, so many of them, but not where a sink began.
    pub(crate) fn lose_notes(&self, n: u8) {
        let mut history = self.history.lock().unwrap();
        for _ in 0..n {
            let latest = history.last().map(|(key, _)| key.clone());
            let Some(key) = latest else { break };
            if history.iter().filter(|(of, _)| *of == key).count() < 2 {
                break;
            }
            history.pop();
            let before = history.iter().rev().find(|(of, _)| *of == key);
            let before = before.map(|(_, value)| value.clone()).unwrap();
            self.notes
                .send_modify(|notes| drop(notes.insert(key, before)));
        }
    }

    /// Notes that a sink has come to a place.
    pub(crate) fn write_place(&self, sink: &str, after: u64) {
        let key = format!("notify/{sink}");
        let place = json!({ "after": after });
        self.notes
            .send_modify(|notes| drop(notes.insert(key, place)));
    }

    /// All that was committed.
    pub(crate) fn written(&self) -> Vec<Written> {
        self.entries.lock().unwrap().clone()
    }

    /// The place of the last of it.
    pub(crate) fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// Waits until it is noted that a sink has come to a place.
    pub(crate) async fn settled(&self, sink: &str, seq: u64) {
        let key = format!("notify/{sink}");
        let is_there = |notes: &BTreeMap<String, Value>| {
            let place = notes.get(&key).and_then(|place| place["after"].as_u64());
            place.is_some_and(|after| seq <= after)
        };
        self.noting(is_there).await;
    }

    /// Waits until the notes are like that.
    pub(crate) async fn noting(&self, are: impl Fn(&BTreeMap<String, Value>) -> bool) {
        let mut notes = self.notes.subscribe();
        let waiting = notes.wait_for(|notes| are(notes));
        let waited = timeout(PATIENCE, waiting).await;
        waited.expect("it is noted").unwrap();
    }
}

/// A request that a sink of the world was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) sink: String,
    /// Seconds after the beginning.
    pub(crate) second: u64,
    pub(crate) body: Value,
}

/// Sinks that answer as they were told, in the runtime's time.
#[derive(Clone)]
pub(crate) struct Theatre {
    begin: Instant,
    sent: Arc<watch::Sender<Vec<Sent>>>,
}

impl Theatre {
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            sent: Arc::new(watch::Sender::default()),
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> SystemTime {
        BEGIN + self.begin.elapsed()
    }

    /// The world of a deliverer: each request is answered with the status that `answer` says.
    pub(crate) fn edge(
        &self,
        answer: impl Fn(&Sink, &Value) -> StatusCode + Send + Sync + 'static,
    ) -> Edge {
        let (clock, theatre) = (self.clone(), self.clone());
        Edge {
            ask: Box::new(move |sink, outgoing| {
                let body = theatre.record(&sink, &outgoing);
                let status = answer(&sink, &body);
                Work::new(async move { answered(status) })
            }),
            now: Box::new(move || clock.now()),
            random: Box::new(|| 0.0),
        }
    }

    /// Notes a request as sent now.
    pub(crate) fn record(&self, sink: &Sink, outgoing: &Outgoing) -> Value {
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        let sent = Sent {
            sink: sink.name.clone(),
            second: self.begin.elapsed().as_secs(),
            body: body.clone(),
        };
        self.sent.send_modify(|all| all.push(sent));
        body
    }

    /// What was sent to a sink.
    pub(crate) fn sent(&self, sink: &str) -> Vec<Sent> {
        let sent = self.sent.borrow();
        let sent = sent.iter().filter(|sent| sent.sink == sink);
        sent.cloned().collect()
    }

    /// The ids of the events that were sent to a sink.
    pub(crate) fn ids(&self, sink: &str) -> Vec<String> {
        let sent = self.sent(sink).into_iter();
        sent.map(|sent| sent.body["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Waits until so many requests were sent to anybody.
    pub(crate) async fn sent_in_all(&self, n: usize) {
        let mut sent = self.sent.subscribe();
        drop(sent.wait_for(|all| n <= all.len()).await.unwrap());
    }

    /// Waits until so many requests were sent to a sink.
    pub(crate) async fn sent_to(&self, sink: &str, n: usize) -> Vec<Sent> {
        let mut sent = self.sent.subscribe();
        let waiting = sent.wait_for(|all| n <= all.iter().filter(|s| s.sink == sink).count());
        let waited = timeout(PATIENCE, waiting).await;
        drop(waited.expect("it is sent").unwrap());
        self.sent(sink)
    }
}

/// An answer of a status.
pub(crate) fn answered(status: StatusCode) -> Result<Answer, OutboundError> {
    Ok(Answer {
        status,
        fields: HeaderMap::new(),
        body: Bytes::new(),
    })
}

/// A body that is no event.
pub(crate) fn nonsense() -> Value {
    json!({ "kind": 7 })
}
