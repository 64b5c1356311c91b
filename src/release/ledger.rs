//! What the store keeps of releases, with its meaning; and how it is written: each change with its
//! record and its event in one.

mod flags;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

pub use crate::release::ledger::flags::{FlagNews, why_stale};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::error;

use crate::release::event;
use crate::release::freeze;
use crate::release::keys;
use crate::release::readiness::{Exception, Passed};
use crate::release::reconcile::{Change, Effect, Known};
use crate::release::state::{Phase, Said, State, has_ended};
use crate::release::tally::{Counts, Tally};
use crate::store::{
    Actor, Change as Put, Commit, CommitError, Committed, ConfigOrigin, Draft, Expect, Object,
    Store, Urgency,
};

/// What is kept, and the revision of each key that a change may depend on.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Weights and releases.
    pub known: Known,
    /// Who stopped everything, if somebody did.
    pub line: Option<Said>,
    /// Freezes that were overridden.
    pub overridden: Vec<freeze::Override>,
    /// By key.
    revisions: BTreeMap<String, u64>,
}

impl Page {
    /// The revision of a key; 0 where there is none.
    pub fn revision(&self, key: &str) -> u64 {
        self.revisions.get(key).copied().unwrap_or_default()
    }
}

/// Who changes something, why, and in which circumstances.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Who.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// When.
    pub at: SystemTime,
    /// The configuration that is obeyed.
    pub config: Option<ConfigOrigin>,
    /// The numbers that led to it.
    pub evidence: Option<Value>,
    /// The request that asked for it.
    pub request_id: Option<String>,
    /// The ticket that it belongs to elsewhere.
    pub ticket: Option<String>,
}

/// The store, as what is kept of releases.
#[derive(Clone)]
pub struct Ledger {
    store: Store,
    cluster: String,
    /// What was read last, with its revision: it is read far more often than it changes.
    last: Arc<Mutex<(u64, Arc<Page>)>>,
    tally: Tally,
}

impl Ledger {
    /// Makes it; the name of the cluster is what events come from.
    pub fn new(store: Store, cluster: String) -> Self {
        Self {
            store,
            cluster,
            last: Arc::default(),
            tally: Tally::default(),
        }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What was kept since the process began, counted.
    pub fn counts(&self) -> Counts {
        self.tally.read()
    }

    /// Reads all that is kept.
    pub fn read(&self) -> Arc<Page> {
        // Before anything is read: what changes meanwhile is read the next time.
        let revision = *self.store.watch().borrow();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != revision || revision == 0 {
            *last = (revision, Arc::new(self.read_all()));
        }
        Arc::clone(&last.1)
    }

    fn read_all(&self) -> Page {
        let mut page = Page::default();
        let mut revisions = BTreeMap::new();
        page.known.releases = self.all(keys::RELEASES, &mut revisions);
        page.known.overrides = self.all(keys::WEIGHTS, &mut revisions);
        page.known.file = self.all(keys::FILE, &mut revisions);
        page.known.flags = self.all(keys::FLAGS, &mut revisions);
        page.known.flag_file = self.all(keys::FLAG_FILE, &mut revisions);
        let overridden: BTreeMap<String, freeze::Override> =
            self.all(keys::FREEZES, &mut revisions);
        page.overridden = overridden.into_values().collect();
        if let Some(entry) = self.store.get(keys::LINE) {
            revisions.insert(keys::LINE.to_owned(), entry.revision);
            page.line = decode(keys::LINE, entry.value);
        }
        page.revisions = revisions;
        page
    }

    fn all<T: DeserializeOwned>(
        &self,
        prefix: &str,
        revisions: &mut BTreeMap<String, u64>,
    ) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        for (key, entry) in self.store.list(prefix) {
            revisions.insert(key.clone(), entry.revision);
            let name = key.trim_start_matches(prefix).to_owned();
            if let Some(value) = decode(&key, entry.value) {
                all.insert(name, value);
            }
        }
        all
    }

    /// Writes a change that a page was read for, with its record and its event.
    ///
    /// # Errors
    /// When somebody else was first, or the store cannot be written to. What takes traffic toward
    /// stable is obeyed in that case, too, and written later.
    pub async fn write(
        &self,
        page: &Page,
        change: &Change,
        cause: Cause,
    ) -> Result<Committed, CommitError> {
        let pending = match &change.effect {
            Effect::Release(state, _) => {
                let before = page.known.releases.get(&state.spec.id);
                let (by, report) = (cause.actor.kind, cause.evidence.as_ref());
                self.tally.release(before, state, by, report)
            }
            Effect::Override(..) | Effect::Flag(..) => self.tally.any(),
            Effect::File(_) | Effect::FlagFile(_) => self.tally.any(),
        };
        let outcome = self.store.commit(self.commit(page, change, cause)).await;
        pending.end(&outcome);
        outcome
    }

    /// Writes what somebody asked for, and counts it.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub(in crate::release) async fn keep(
        &self,
        page: &Page,
        commit: Commit,
    ) -> Result<Committed, CommitError> {
        let mut releases = commit.changes.iter().filter_map(|put| {
            let is_release = put.key.starts_with(keys::RELEASES);
            decode::<State>(&put.key, put.value.clone().filter(|_| is_release)?)
        });
        let pending = match releases.next_back() {
            Some(state) => {
                let before = page.known.releases.get(&state.spec.id);
                let (by, report) = (commit.draft.actor.kind, commit.draft.evidence.as_ref());
                self.tally.release(before, &state, by, report)
            }
            None => self.tally.any(),
        };
        let outcome = self.store.commit(commit).await;
        pending.end(&outcome);
        outcome
    }

    /// What a change is written as.
    pub(in crate::release) fn commit(&self, page: &Page, change: &Change, cause: Cause) -> Commit {
        let mut puts = Vec::new();
        let (object, before, after, urgency, event) = match &change.effect {
            Effect::Release(state, left) => {
                let id = &state.spec.id;
                puts.push((keys::release(id), Some(value(&**state))));
                if has_ended(state) {
                    let set = left.as_ref().map(value);
                    puts.push((keys::weights(&state.spec.route), set));
                    if let Some((name, kept)) = page.known.without_serve(&state.spec.route) {
                        puts.push(flags::put(&name, &kept));
                    }
                }
                let before = page.known.releases.get(id);
                let urgency = if is_toward_stable(before, state) {
                    Urgency::TowardStable
                } else {
                    Urgency::Durable
                };
                let mut object = Object::new("release", id);
                object.attempt = Some(state.attempt);
                let event = event::of(&self.cluster, change.action, before, state, &cause);
                (object, before.map(summary), summary(state), urgency, event)
            }
            Effect::Override(route, set) => {
                puts.push((keys::weights(route), set.as_ref().map(value)));
                let before = page.known.overrides.get(route).map(value);
                let after = set.as_ref().map(value).unwrap_or_default();
                (
                    Object::new("route", route),
                    before,
                    after,
                    Urgency::TowardStable,
                    None,
                )
            }
            Effect::Flag(name, kept, held) => {
                puts.push(flags::put(name, kept));
                if let Some(state) = held {
                    puts.push((keys::release(&state.spec.id), Some(value(&**state))));
                }
                let before = page.known.flags.get(name);
                (
                    Object::new("flag", name),
                    before.map(value),
                    value(kept),
                    flags::urgency(change.action),
                    flags::event(&self.cluster, name, before, kept, &cause),
                )
            }
            Effect::FlagFile(versions) => {
                puts.extend(flags::in_file(versions));
                let (before, object) = flags::file_before(page, versions);
                let event = flags::file_event(&self.cluster, page, versions, &cause);
                let urgency = Urgency::TowardStable;
                (object, Some(before), value(versions), urgency, event)
            }
            Effect::File(weights) => {
                let mut before = serde_json::Map::new();
                for (route, weights) in weights {
                    puts.push((keys::file(route), weights.as_ref().map(value)));
                    before.insert(route.clone(), value(&page.known.file.get(route)));
                }
                let before = Some(Value::Object(before));
                (
                    Object::new("config", "weights"),
                    before,
                    value(weights),
                    Urgency::TowardStable,
                    None,
                )
            }
        };
        let mut draft = Draft::new(cause.actor, change.action, object);
        draft.reason = Some(cause.reason);
        draft.config = cause.config;
        draft.evidence = cause.evidence;
        draft.request_id = cause.request_id;
        draft.ticket = cause.ticket;
        draft.before = before;
        draft.after = Some(after);
        let expect = puts
            .iter()
            .map(|(key, _)| Expect {
                key: key.clone(),
                revision: page.revision(key),
            })
            .collect();
        let changes = puts.into_iter().filter(|(key, value)| {
            // What is not there need not be taken away.
            value.is_some() || page.revision(key) != 0
        });
        Commit {
            at: cause.at,
            expect,
            changes: changes.map(|(key, value)| Put { key, value }).collect(),
            draft,
            event,
            urgency,
        }
    }

    /// Notes what was seen of a release so far, without history.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn note<T: Serialize>(&self, id: &str, progress: &T) -> Result<(), CommitError> {
        self.store
            .note(&keys::progress(id), Some(value(progress)))
            .await
    }

    /// What was noted of a release.
    pub fn noted<T: DeserializeOwned>(&self, id: &str) -> Option<T> {
        let key = keys::progress(id);
        decode(&key, self.store.noted(&key)?)
    }

    /// Notes what is known of a flag's use, without history; forgets it with `None`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn note_use<T: Serialize>(
        &self,
        flag: &str,
        seen: Option<&T>,
    ) -> Result<(), CommitError> {
        let seen = seen.map(value);
        self.store.note(&keys::flag_use(flag), seen).await
    }

    /// What was noted of the use of all flags, by name; what cannot be read is left out.
    pub fn noted_uses<T: DeserializeOwned>(&self) -> BTreeMap<String, T> {
        let noted = self.store.all_noted(keys::FLAG_USES).into_iter();
        let read = noted.filter_map(|(key, value)| {
            let name = key.strip_prefix(keys::FLAG_USES)?.to_owned();
            Some((name, decode(&key, value)?))
        });
        read.collect()
    }

    /// What lets a freeze not hold is written as; it opens the review of the release that passes it.
    pub(in crate::release) fn freeze_passed(
        &self,
        page: &Page,
        passed: &freeze::Override,
        release: Option<&State>,
        cause: &Cause,
    ) -> Commit {
        let of = match release {
            Some(state) => state.spec.id.as_str(),
            None => "*",
        };
        let key = format!("{}{}/{of}", keys::FREEZES, passed.freeze);
        let object = Object::new("freeze", &passed.freeze);
        let mut draft = Draft::new(cause.actor.clone(), "freeze.override", object);
        draft.reason = Some(cause.reason.clone());
        draft.request_id = cause.request_id.clone();
        draft.ticket = cause.ticket.clone();
        draft.after = Some(value(passed));
        let mut commit = Commit::new(cause.at, draft);
        commit = commit
            .expect(&key, page.revision(&key))
            .put(key, value(passed));
        if let Some(before) = release {
            let mut state = before.clone();
            state.review.add(Exception {
                passed: Passed::Freeze(passed.freeze.clone()),
                actor: passed.actor.clone(),
                reason: passed.reason.clone(),
                at: passed.at,
                spec_hash: None,
            });
            let key = keys::release(&state.spec.id);
            commit = commit
                .expect(&key, page.revision(&key))
                .put(key, value(&state));
            if let Some(event) = event::of(
                &self.cluster,
                "freeze.override",
                Some(before),
                &state,
                cause,
            ) {
                commit = commit.event(event);
            }
        }
        commit
    }

    /// What stops everything that moves forward, or lets it go on, is written as. Stopping is obeyed
    /// although it cannot be written.
    pub(in crate::release) fn line(&self, page: &Page, said: Option<Said>, cause: Cause) -> Commit {
        let action = if said.is_some() {
            "line.stop"
        } else {
            "line.go"
        };
        let mut draft = Draft::new(cause.actor, action, Object::new("line", "line"));
        draft.reason = Some(cause.reason);
        draft.request_id = cause.request_id;
        draft.ticket = cause.ticket;
        draft.before = page.line.as_ref().map(value);
        draft.after = said.as_ref().map(value);
        let mut commit = Commit::new(cause.at, draft);
        commit = commit.expect(keys::LINE, page.revision(keys::LINE));
        match said {
            Some(said) => commit.put(keys::LINE, value(&said)).toward_stable(),
            None => commit.delete(keys::LINE),
        }
    }
}

/// What of a release goes into the audit trail; the rest is kept beside it.
fn summary(state: &State) -> Value {
    let reasons: Vec<String> = state
        .holds
        .iter()
        .map(|hold| hold.reason.to_string())
        .collect();
    json!({
        "phase": state.phase,
        "step": state.step,
        "weight": state.weight,
        "attempt": state.attempt,
        "holds": reasons,
        "spec": state.spec.sha256(),
        "cause": state.cause,
    })
}

/// Whether a change can only take traffic toward stable, or leave it where it is: then it may not
/// fail for want of a disk.
fn is_toward_stable(before: Option<&State>, after: &State) -> bool {
    let Some(before) = before else {
        return false;
    };
    let moved = before.phase != after.phase || before.step != after.step;
    let ended = !after.phase.is_active() && after.phase != Phase::Promoted;
    ended || (!moved && after.weight <= before.weight && before.attempt == after.attempt)
}

fn value<T: Serialize>(what: &T) -> Value {
    // These are plain structures with text for keys: they can always be written.
    serde_json::to_value(what).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(key: &str, value: Value) -> Option<T> {
    match T::deserialize(value) {
        Ok(value) => Some(value),
        Err(error) => {
            error!(key, %error, "what is kept cannot be read");
            None
        }
    }
}
