//! Notices: what lies in the store's outbox goes to the sinks, and what was told is taken out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tracing::warn;

use crate::config::NotifyConfig;
use crate::notify::{Deliverer, Edge, Event, Outbox, Severity, Sink, SinkStats, Work, Written};
use crate::outbound::{Client, trust};
use crate::store::{Actor, ActorKind, Commit, CommitError, Draft, OUTBOX, Object, Store, Via};

/// How many entries that nobody needs any more are taken out of the outbox at a time: each time is a
/// record of its own.
const SWEPT: usize = 256;

/// How often the head of the audit log is told, so that who keeps what was told can find out later
/// that the log was cut.
const ANCHOR: Duration = Duration::from_secs(60 * 60);

/// How long attempts that are under way may go on when everything ends.
const GRACE: Duration = Duration::from_secs(2);

/// The sinks of an instance.
pub(in crate::control) struct Notices {
    store: Store,
    cluster: String,
    deliverer: Deliverer,
    anchored_at: Option<SystemTime>,
}

impl Notices {
    /// Makes it; without sinks nobody is told.
    pub(in crate::control) fn new(store: Store, cluster: String) -> Self {
        Self {
            deliverer: Deliverer::start(outbox(&store), Edge::real()),
            store,
            cluster,
            anchored_at: None,
        }
    }

    /// Tells these sinks from now on, and no others.
    pub(in crate::control) async fn apply(&self, config: &[NotifyConfig]) {
        let mut sinks = Vec::with_capacity(config.len());
        for notify in config {
            let client = if notify.url.is_secure() {
                match trust(notify.ca.clone(), None) {
                    Ok(connector) => Client::secured(connector),
                    Err(error) => {
                        // Each attempt says so, too, and goes on until somebody mends it.
                        warn!(sink = notify.name, %error, "nobody is trusted");
                        Client::plain()
                    }
                }
            } else {
                Client::plain()
            };
            sinks.push(Sink {
                name: notify.name.clone(),
                kind: notify.kind.clone(),
                url: notify.url.clone(),
                events: notify.events.clone(),
                labels: notify.labels.clone(),
                timeout: notify.timeout,
                client,
            });
        }
        self.deliverer.apply(sinks).await;
    }

    /// How each sink is doing.
    pub(in crate::control) fn stats(&self) -> Vec<SinkStats> {
        self.deliverer.stats()
    }

    /// Takes out what was told, and tells the head of the log when it is time, or at once after a
    /// release has come to its end.
    pub(in crate::control) async fn look_after(&mut self, has_ended: bool, now: SystemTime) {
        if let Err(error) = self.sweep(now).await {
            warn!(%error, "the outbox cannot be swept");
        }
        let is_due = self.anchored_at.is_none_or(|before| {
            now.duration_since(before)
                .is_ok_and(|since| ANCHOR <= since)
        });
        let somebody_listens = !self.deliverer.stats().is_empty();
        if somebody_listens && (is_due || has_ended) {
            self.anchored_at = Some(now);
            if let Err(error) = self.anchor(now).await {
                warn!(%error, "the head of the audit log cannot be told");
            }
        }
    }

    async fn sweep(&self, now: SystemTime) -> Result<(), CommitError> {
        let settled = self.deliverer.settled();
        let mut told = self.store.list(OUTBOX);
        told.retain(|(_, entry)| entry.revision <= settled);
        if told.len() < SWEPT {
            return Ok(());
        }
        let object = Object::new("store", "outbox");
        let mut draft = Draft::new(system(), "outbox.sweep", object);
        draft.reason = Some(format!(
            "{} events were told to all who are to be told",
            told.len()
        ));
        let commit = Commit::new(now, draft);
        let commit = told
            .into_iter()
            .fold(commit, |commit, (key, _)| commit.delete(key));
        self.store.commit(commit).await.map(|_| ())
    }

    async fn anchor(&self, now: SystemTime) -> Result<(), CommitError> {
        let head = self.store.head();
        let mut event = Event::new(now, "audit.anchor", Severity::Info, &self.cluster);
        event.detail = Some(head.to_string());
        event.data.insert("seq".into(), json!(head.seq));
        event.data.insert("hash".into(), json!(head.to_string()));
        let Ok(event) = serde_json::to_value(event) else {
            return Ok(());
        };
        let mut draft = Draft::new(system(), "audit.anchor", Object::new("store", "history"));
        draft.after = Some(Value::String(head.to_string()));
        self.store
            .commit(Commit::new(now, draft).event(event))
            .await
            .map(|_| ())
    }

    /// Ends: what was not told is told after the next start.
    pub(in crate::control) async fn end(&self) {
        self.deliverer.end(GRACE).await;
    }
}

fn system() -> Actor {
    Actor::new(ActorKind::System, "tidegate", Via::Start)
}

fn outbox(store: &Store) -> Outbox {
    let (reading, noted, noting) = (store.clone(), store.clone(), store.clone());
    Outbox {
        last: store.watch(),
        after: Box::new(move |after, most| {
            let mut found: Vec<Written> = reading
                .list(OUTBOX)
                .into_iter()
                .filter(|(_, entry)| after < entry.revision)
                .map(|(key, entry)| Written {
                    seq: entry.revision,
                    id: key.trim_start_matches(OUTBOX).to_owned(),
                    event: entry.value,
                })
                .collect();
            found.sort_unstable_by_key(|written| written.seq);
            found.truncate(most);
            found
        }),
        noted: Box::new(move |key| noted.noted(key)),
        note: Box::new(move |key, value| {
            let store = noting.clone();
            Work::new(async move {
                let noted = store.note(&key, value).await;
                noted.map_err(|error| error.to_string())
            })
        }),
    }
}

/// The sinks, shared with who shows how they are doing.
pub(in crate::control) type Shared = Arc<tokio::sync::Mutex<Notices>>;
