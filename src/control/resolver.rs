//! The resolver: it asks for every name again and again, and knows what the last answers were.
//!
//! It is no task of its own: the controller waits on it among other things, so that what it finds
//! and what a reload changes never meet. Look-ups run beside, only so many at once; they end with
//! it. A name that nothing names any more is forgotten.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::pending;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, info, warn};

use crate::config::{Config, ResolverConfig};
use crate::control::chance::random;
use crate::message::Address;
use crate::telemetry::stats::Resolution;
use crate::upstream::{
    Answer, Client, EndpointSpec, LookupError, Name, Place, ResolverSettings, Schedule,
};

/// How many names are looked up at once: many enough that a thousand of which some are never
/// answered get their turn within seconds, few enough that name servers are not flooded.
const AT_ONCE: usize = 64;

/// What is known of how a name fares.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NameStatus {
    /// When it was last resolved.
    pub resolved_at: Option<SystemTime>,
    /// What is wrong with it since, and when that was last seen; a name that was resolved may have
    /// a part that was not.
    pub error: Option<(String, SystemTime)>,
}

/// A look-up that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) name: Name,
    pub(crate) result: Resolution,
    pub(crate) status: NameStatus,
    /// True when the name leads elsewhere than before.
    pub(crate) changed: bool,
}

/// All names, with what is known of them.
pub(crate) struct Resolver {
    client: Arc<Client>,
    schedule: Schedule,
    names: HashMap<Name, Entry>,
    /// When each name is to be asked for that is not being asked for.
    due: BTreeSet<(Instant, Name)>,
    running: JoinSet<Result<Answer, LookupError>>,
    asked: HashMap<task::Id, (Name, u64)>,
    n_entries: u64,
}

/// One name.
struct Entry {
    /// Tells it from one of the same name that was forgotten.
    id: u64,
    /// The last good answer.
    answer: Answer,
    status: NameStatus,
    /// Whom it was last asked of.
    asked_of: Option<Arc<Client>>,
    /// True once a look-up has ended, however.
    is_settled: bool,
    n_failures: u32,
}

/// What there was before a reload, should it be refused.
pub(crate) struct Before {
    client: Arc<Client>,
    schedule: Schedule,
}

impl Resolver {
    pub(crate) fn new(config: &ResolverConfig) -> Self {
        Self {
            client: Arc::new(Client::new(settings(config))),
            schedule: schedule(config),
            names: HashMap::new(),
            due: BTreeSet::new(),
            running: JoinSet::new(),
            asked: HashMap::new(),
            n_entries: 0,
        }
    }

    /// Looks up the names that are new in a configuration, so that who asks first finds where they
    /// lead; a name that is not answered for in time is waited for no longer. Gives what there was
    /// before, and the look-ups that ended meanwhile, those of other names among them.
    pub(crate) async fn first(&mut self, config: &Config) -> (Before, Vec<Done>) {
        let before = self.prepare(config);
        let names = names(config);
        let until = Instant::now() + config.resolver.timeout;
        let mut resolved = Vec::new();
        while self.is_waiting_for(&names)
            && let Ok(done) = timeout_at(until, self.next()).await
        {
            resolved.push(done);
        }
        (before, resolved)
    }

    /// Begins to look up the names of a configuration that are not known yet.
    fn prepare(&mut self, config: &Config) -> Before {
        let before = Before {
            client: Arc::clone(&self.client),
            schedule: self.schedule,
        };
        let settings = settings(&config.resolver);
        let other_client = *self.client.settings() != settings;
        if other_client {
            self.client = Arc::new(Client::new(settings));
        }
        self.schedule = schedule(&config.resolver);
        let now = Instant::now();
        for name in names(config) {
            if let Some(entry) = self.names.get_mut(&name) {
                // Other name servers may know what these did not.
                if other_client && entry.status.resolved_at.is_none() {
                    entry.is_settled = false;
                    self.due.retain(|(_, due)| *due != name);
                    self.due.insert((now, name));
                }
                continue;
            }
            self.n_entries += 1;
            let entry = Entry {
                id: self.n_entries,
                answer: Answer::default(),
                status: NameStatus::default(),
                asked_of: None,
                is_settled: false,
                n_failures: 0,
            };
            self.names.insert(name.clone(), entry);
            self.due.insert((now, name));
        }
        before
    }

    /// True while a look-up that was begun for these names has not ended.
    fn is_waiting_for(&self, names: &BTreeSet<Name>) -> bool {
        let unsettled = |name| self.names.get(name).is_some_and(|entry| !entry.is_settled);
        names.iter().any(unsettled)
    }

    /// Obeys the configuration that was prepared, and forgets all other names.
    pub(crate) fn commit(&mut self, config: &Config, before: &Before) {
        self.keep(&names(config));
        let now = Instant::now();
        for (name, entry) in &mut self.names {
            let of = entry.asked_of.as_ref();
            if of.is_none_or(|of| Arc::ptr_eq(of, &self.client)) && before.schedule == self.schedule
            {
                continue;
            }
            // What was asked of others is asked again, and their late answers count no more.
            self.n_entries += 1;
            entry.id = self.n_entries;
            self.due.retain(|(_, due)| due != name);
            self.due.insert((now, name.clone()));
        }
    }

    /// Goes back to the configuration that is live.
    pub(crate) fn roll_back(&mut self, live: &Config, before: Before) {
        self.client = before.client;
        self.schedule = before.schedule;
        self.keep(&names(live));
    }

    /// True for the names of the configuration.
    pub(crate) fn knows(&self, name: &Name) -> bool {
        self.names.contains_key(name)
    }

    fn keep(&mut self, names: &BTreeSet<Name>) {
        self.names.retain(|name, _| names.contains(name));
        self.due.retain(|(_, name)| names.contains(name));
    }

    /// Where the endpoints of an upstream are, as far as is known; no address twice.
    pub(crate) fn places(&self, specs: &[EndpointSpec]) -> Vec<Place> {
        let mut seen: HashSet<Address> = HashSet::new();
        let places = specs.iter().flat_map(|spec| match spec.name() {
            None => Answer::default().places(spec),
            Some(name) => self
                .names
                .get(&name)
                .map(|entry| entry.answer.places(spec))
                .unwrap_or_default(),
        });
        places
            .filter(|place| seen.insert(place.address.clone()))
            .collect()
    }

    /// Waits for the next look-up to end, and begins those whose time comes meanwhile. Nothing is
    /// lost when it is not awaited to its end.
    pub(crate) async fn next(&mut self) -> Done {
        loop {
            self.ask();
            let first = self.due.first().map(|(at, _)| *at);
            let wake = first.filter(|_| self.running.len() < AT_ONCE);
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => {
                    if let Some(done) = self.ended(ended) {
                        return done;
                    }
                }
                () = until(wake) => {}
            }
        }
    }

    /// Begins the look-ups whose time has come.
    fn ask(&mut self) {
        let now = Instant::now();
        while self.running.len() < AT_ONCE
            && self.due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, name)) = self.due.pop_first()
        {
            let Some(entry) = self.names.get_mut(&name) else {
                continue;
            };
            let (client, last) = (Arc::clone(&self.client), entry.answer.clone());
            entry.asked_of = Some(Arc::clone(&self.client));
            let asked = (name.clone(), entry.id);
            let task = self
                .running
                .spawn(async move { client.look_up(&name, &last).await });
            self.asked.insert(task.id(), asked);
        }
    }

    /// Notes what came of a look-up; none when its name was forgotten meanwhile.
    fn ended(
        &mut self,
        ended: Result<(task::Id, Result<Answer, LookupError>), JoinError>,
    ) -> Option<Done> {
        let (task, answer) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), Err(LookupError::Failed(error.to_string()))),
        };
        let (name, id) = self.asked.remove(&task)?;
        let entry = self.names.get_mut(&name).filter(|entry| entry.id == id)?;
        entry.is_settled = true;
        let random = random();
        let now = SystemTime::now();
        let (result, changed, pause) = match answer {
            Ok(answer) => {
                let changed = answer.differs(&entry.answer);
                let n_addresses = answer.n_addresses();
                if changed || entry.n_failures > 0 {
                    info!(%name, n_addresses, changed, "name resolved");
                }
                let pause = self.schedule.after_answer(answer.ttl, random);
                entry.n_failures = 0;
                entry.status.resolved_at = Some(now);
                entry.status.error = answer
                    .trouble
                    .as_ref()
                    .map(|error| (error.to_string(), now));
                entry.answer = answer;
                (Resolution::Success, changed, pause)
            }
            Err(error) => {
                entry.n_failures = entry.n_failures.saturating_add(1);
                if entry.n_failures == 1 {
                    warn!(%name, %error, "name not resolved; what it led to before stays");
                } else {
                    debug!(%name, %error, n_failures = entry.n_failures, "name not resolved");
                }
                entry.status.error = Some((error.to_string(), now));
                let pause = self.schedule.after_failure(entry.n_failures, random);
                (error.result(), false, pause)
            }
        };
        let status = entry.status.clone();
        self.due.insert((Instant::now() + pause, name.clone()));
        Some(Done {
            name,
            result,
            status,
            changed,
        })
    }
}

/// All names in a configuration.
fn names(config: &Config) -> BTreeSet<Name> {
    let specs = config
        .upstreams
        .values()
        .flat_map(|upstream| &upstream.endpoints);
    specs.filter_map(EndpointSpec::name).collect()
}

fn settings(config: &ResolverConfig) -> ResolverSettings {
    ResolverSettings {
        nameservers: config.nameservers.clone(),
        timeout: config.timeout,
    }
}

fn schedule(config: &ResolverConfig) -> Schedule {
    Schedule {
        min: config.min_ttl,
        max: config.max_ttl,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
