//! Attempts that are denied, as records. Few of them are kept: whoever is denied over and over must
//! not push what was done out of the history. The others are counted in the next that is kept.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::time::Instant;
use tracing::warn;

use crate::admin::Served;
use crate::admin::actor::{Actor, Via};
use crate::admin::fault::Fault;
use crate::admin::mutation::Mutation;
use crate::store::{self, ActorKind, Commit, Draft, Object};

/// What records call it.
const ACTION: &str = "access.denied";

/// How many attempts of one actor are kept one after the other …
const AT_ONCE: u32 = 5;
/// … and in which time there is room for one more.
const ONE_EACH: Duration = Duration::from_secs(10);
/// The same of all together whom nobody knows: who has no token can have any number of addresses.
const STRANGER_ONE_EACH: Duration = Duration::from_secs(60);

/// The most actors that are told apart: there are hardly more tokens.
const MOST_ACTORS: usize = 1000;

/// Characters of a path that are kept.
const MOST_PATH: usize = 200;

/// The attempts of late.
#[derive(Clone, Debug, Default)]
pub(in crate::admin) struct Denials(Arc<Mutex<HashMap<String, Bucket>>>);

/// What was tried.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) struct Attempt<'a> {
    /// The action, if it is one that there is.
    pub(in crate::admin) action: Option<&'static str>,
    /// The method.
    pub(in crate::admin) method: &'a str,
    /// The path.
    pub(in crate::admin) path: &'a str,
    /// From where.
    pub(in crate::admin) peer: Option<IpAddr>,
    /// By what, as far as they say.
    pub(in crate::admin) via: Via,
}

impl Denials {
    /// Keeps an attempt of a request that was not let in, if there is room for it.
    pub(in crate::admin) fn of(
        &self,
        served: &Served,
        actor: Option<&Actor>,
        attempt: &Attempt<'_>,
        fault: &Fault,
    ) {
        let Some(before) = self.take(actor) else {
            return;
        };
        let by = actor.map_or_else(|| stranger(attempt), store::Actor::from);
        let what = attempt.action.unwrap_or("nothing that there is");
        let mut draft = Draft::new(by, ACTION, Object::new("access", what));
        let path: String = attempt.path.chars().take(MOST_PATH).collect();
        draft.after = Some(json!({
            "code": fault.code().name(),
            "why": fault.detail(),
            "method": attempt.method,
            "path": path,
            "not_recorded_before": before,
        }));
        keep(served, draft);
    }

    /// Keeps an attempt that was let in and is not for who asked, if there is room for it.
    pub(in crate::admin) fn of_mutation(
        &self,
        served: &Served,
        mutation: &Mutation,
        fault: &Fault,
    ) {
        let Some(before) = self.take(Some(&mutation.actor)) else {
            return;
        };
        let object = Object::new("access", mutation.action);
        let mut draft = Draft::new((&mutation.actor).into(), ACTION, object);
        draft.reason.clone_from(&mutation.reason);
        draft.request_id = Some(mutation.request_id.clone());
        draft.after = Some(json!({
            "code": fault.code().name(),
            "why": fault.detail(),
            "not_recorded_before": before,
        }));
        keep(served, draft);
    }

    /// How many of an actor were not kept since the last that was; none where this is not, either.
    fn take(&self, actor: Option<&Actor>) -> Option<u64> {
        let (name, one_each) = match actor {
            Some(actor) => (actor.to_string(), ONE_EACH),
            None => (String::new(), STRANGER_ONE_EACH),
        };
        let now = Instant::now();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if MOST_ACTORS <= buckets.len() && !buckets.contains_key(&name) {
            buckets.retain(|_, bucket| now < bucket.at + one_each * AT_ONCE);
        }
        let fresh = Bucket::new(now);
        buckets.entry(name).or_insert(fresh).take(one_each, now)
    }
}

fn stranger(attempt: &Attempt<'_>) -> store::Actor {
    let via = match attempt.via {
        Via::Api => store::Via::Api,
        Via::Cli => store::Via::Cli,
    };
    let mut actor = store::Actor::new(ActorKind::User, "unknown", via);
    actor.addr = attempt.peer;
    actor
}

fn keep(served: &Served, draft: Draft) {
    let Some(desk) = served.admin.control.desk() else {
        return;
    };
    served.tasks.spawn(async move {
        let commit = Commit::new(SystemTime::now(), draft);
        if let Err(error) = desk.ledger().store().commit(commit).await {
            warn!(%error, "a denied attempt cannot be kept");
        }
    });
}

/// The room of one actor: it fills while nothing is tried.
#[derive(Debug)]
struct Bucket {
    left: u32,
    at: Instant,
    not_kept: u64,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self {
            left: AT_ONCE,
            at: now,
            not_kept: 0,
        }
    }

    fn take(&mut self, one_each: Duration, now: Instant) -> Option<u64> {
        let more = now.duration_since(self.at).as_millis() / one_each.as_millis();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if 0 < more {
            self.left = self.left.saturating_add(more).min(AT_ONCE);
            self.at += one_each.checked_mul(more).unwrap_or_default();
        }
        if self.left == 0 {
            self.not_kept += 1;
            return None;
        }
        if self.left == AT_ONCE {
            self.at = now;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.not_kept))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use crate::admin::denied::{AT_ONCE, Bucket, ONE_EACH};

    #[test]
    fn a_few_are_kept_then_one_each_while_and_the_others_are_counted() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        for _ in 0..AT_ONCE {
            assert_eq!(bucket.take(ONE_EACH, start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(bucket.take(ONE_EACH, start + ONE_EACH / 2), None);
        }
        assert_eq!(bucket.take(ONE_EACH, start + ONE_EACH), Some(7));
        assert_eq!(bucket.take(ONE_EACH, start + ONE_EACH), None);
        let much_later = start + Duration::from_secs(3600);
        for n in 0..AT_ONCE {
            let expected = Some(u64::from(n == 0));
            assert_eq!(bucket.take(ONE_EACH, much_later), expected);
        }
        assert_eq!(bucket.take(ONE_EACH, much_later), None);
    }
}
