//! One address of an upstream, and what is known of it by all workers.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::{TcpStream, UnixStream};

use crate::message::Address;
use crate::upstream::outlier::Record;
use crate::upstream::shortage::told_apart;
use crate::upstream::{Outlier, Place};

/// How long an endpoint that could not be connected to is left alone: long enough that a dead
/// one costs one attempt a second, short enough that one that came back is found at once.
const REFUSED: Duration = Duration::from_secs(1);

/// What whoever serves at a UNIX socket is called, where a name is needed.
const THIS_MACHINE: &str = "localhost";

/// What is stored of health.
const UNCHECKED: u8 = 0;
const UNHEALTHY: u8 = 1;

/// The least part of its share that an endpoint gets which begins slowly.
const LEAST_WARMTH: f64 = 0.1;

/// Identities are never used twice in a process, so a pool is never taken for another's.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One address of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    id: u64,
    address: Address,
    /// The host name that led to it, if one did.
    host: Option<Arc<str>>,
    /// Milliseconds of the process's clock until which it is left alone; 0 when it is not.
    refused_until: AtomicU64,
    /// What checks say: 0 nothing, else one more than whether it is healthy.
    health: AtomicU8,
    /// What was wrong with it in the last check that failed, and when that was.
    trouble: Mutex<Option<(String, SystemTime)>>,
    /// How it fares with requests.
    record: Record,
    /// Since when it is back, or will be, in milliseconds of the process's clock; 0 once it has its
    /// whole share.
    back_since: AtomicU64,
    /// True once nothing names it any more.
    retired: AtomicBool,
}

/// What checks say of an endpoint.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Health {
    /// Whether it is healthy; `None` while no check has ended.
    pub is_healthy: Option<bool>,
    /// What was wrong with it in the last check that failed, and when that was.
    pub trouble: Option<(String, SystemTime)>,
}

impl Endpoint {
    /// Makes an endpoint that nothing is known of.
    pub fn new(place: &Place) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            address: place.address.clone(),
            host: place.host.clone(),
            refused_until: AtomicU64::new(0),
            health: AtomicU8::new(UNCHECKED),
            trouble: Mutex::default(),
            record: Record::default(),
            back_since: AtomicU64::new(0),
            retired: AtomicBool::new(false),
        }
    }

    /// Its identity in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The name that it is to prove by TLS, unless one is configured; without one it is its address.
    pub fn tls_name(&self) -> Option<&str> {
        match self.address {
            Address::Tcp(_) => self.host.as_deref(),
            Address::Unix(_) => Some(THIS_MACHINE),
        }
    }

    /// What it is called in a `Host` of our own.
    pub fn authority(&self) -> String {
        match (&self.address, &self.host) {
            (Address::Tcp(address), Some(host)) => format!("{host}:{}", address.port()),
            (Address::Tcp(address), None) => address.to_string(),
            (Address::Unix(_), _) => THIS_MACHINE.to_owned(),
        }
    }

    /// Connects to it. Heads and bodies leave in as few pieces as can be; waiting for more helps
    /// nobody.
    ///
    /// # Errors
    /// When it does not take the connection.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        match &self.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address)
                    .await
                    .map_err(|error| told_apart(error, *address))?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                // From here on it is a descriptor like another, to be read and written.
                let stream = OwnedFd::from(stream.into_std()?);
                TcpStream::from_std(stream.into())
            }
        }
    }

    /// The host name that led to it; `None` when the configuration gives the address.
    pub fn host(&self) -> Option<&Arc<str>> {
        self.host.as_ref()
    }

    /// Notes that nothing names it any more: no connection with it is to wait for another request.
    /// What is under way goes on.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// True once nothing names it any more.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Notes that it could not be connected to.
    pub fn refused(&self) {
        let until = now() + REFUSED.as_millis() as u64;
        self.refused_until.store(until, Ordering::Relaxed);
    }

    /// Notes that it could be connected to.
    pub fn connected(&self) {
        if self.was_refused() {
            self.refused_until.store(0, Ordering::Relaxed);
        }
    }

    /// Notes what checks say of its health; `None` when they say nothing any more.
    pub fn set_health(&self, is_healthy: Option<bool>) {
        let health = is_healthy.map_or(UNCHECKED, |is_healthy| UNHEALTHY + u8::from(is_healthy));
        let before = self.health.swap(health, Ordering::Relaxed);
        if before == UNHEALTHY && health != UNHEALTHY {
            self.is_back();
        }
        if is_healthy == Some(true) {
            // Whoever answers can be connected to.
            self.connected();
        }
    }

    /// Notes what was wrong with it in a check.
    pub fn check_failed(&self, trouble: String) {
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((trouble, SystemTime::now()));
    }

    /// What checks say of it.
    pub fn health(&self) -> Health {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        Health {
            is_healthy: match self.health.load(Ordering::Relaxed) {
                UNCHECKED => None,
                health => Some(health != UNHEALTHY),
            },
            trouble: trouble.clone(),
        }
    }

    /// Notes that a request failed, or a connection for one, in a way that counts; tells for how long
    /// it is left alone, if it is for this one.
    pub(crate) fn failed(&self, rule: &Outlier) -> Option<Duration> {
        let now = now();
        let ejected_for = self.record.failed(rule, now)?;
        let back = now.saturating_add(ejected_for.as_millis() as u64);
        self.back_since.store(back, Ordering::Relaxed);
        Some(ejected_for)
    }

    /// Notes that it is new among others, or back, so that it may begin slowly.
    pub(crate) fn is_back(&self) {
        self.back_since.store(now(), Ordering::Relaxed);
    }

    /// The part of its share that it gets while it begins slowly, where that takes `slow_start`.
    pub fn warmth(&self, slow_start: Option<Duration>) -> Option<f64> {
        let since = self.back_since.load(Ordering::Relaxed);
        if since == 0 {
            return None;
        }
        let passed = Duration::from_millis(now().saturating_sub(since));
        let warmth = slow_start.and_then(|whole| warmth(passed, whole));
        if warmth.is_none() {
            // Unless it has just come back once more.
            let order = Ordering::Relaxed;
            let _again = self.back_since.compare_exchange(since, 0, order, order);
        }
        warmth
    }

    /// Notes that a request went well.
    pub(crate) fn fared_well(&self) {
        self.record.fared_well(now);
    }

    /// Takes back that it is left alone for failures, as nobody counts them any more.
    pub(crate) fn forgive(&self) {
        if self.ejected_for().is_some() {
            self.is_back();
        }
        self.record.forgive();
    }

    /// For how long it is left alone because requests failed, if it is.
    pub fn ejected_for(&self) -> Option<Duration> {
        let now = now();
        let until = self.record.ejected_until(now)?;
        Some(Duration::from_millis(until - now))
    }

    /// True when something was wrong with it lately, or it is new: then it has to be asked whether it
    /// would be tried.
    pub fn is_suspect(&self) -> bool {
        self.was_refused()
            || self.health.load(Ordering::Relaxed) == UNHEALTHY
            || self.record.is_marked()
            || self.back_since.load(Ordering::Relaxed) != 0
    }

    /// True when the last attempt to connect failed, however long ago.
    pub fn was_refused(&self) -> bool {
        self.refused_until.load(Ordering::Relaxed) != 0
    }

    /// True when it would be tried now.
    pub fn is_available_now(&self) -> bool {
        self.is_available(now())
    }

    /// True when it would be tried at `now`.
    pub(crate) fn is_available(&self, now: u64) -> bool {
        self.record.ejected_until(now).is_none() && self.is_better_than_none(now)
    }

    /// True when it would be tried at `now` if there were no other: it may be ejected.
    pub(crate) fn is_better_than_none(&self, now: u64) -> bool {
        self.health.load(Ordering::Relaxed) != UNHEALTHY
            && self.refused_until.load(Ordering::Relaxed) <= now
    }
}

/// The part of its share that an endpoint gets which is back for some time, where the whole takes
/// longer; never so little that nobody would find out how it fares.
fn warmth(passed: Duration, whole: Duration) -> Option<f64> {
    (passed < whole).then(|| passed.div_duration_f64(whole).max(LEAST_WARMTH))
}

/// Milliseconds of the process's own clock, at least 1.
pub(crate) fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use crate::upstream::endpoint::{now, warmth};
    use crate::upstream::{Endpoint, Failures, Health, Outlier, Place};

    #[test]
    fn an_endpoint_that_refused_is_left_alone_for_a_second() {
        let endpoint = Endpoint::new(&Place::from(([127, 0, 0, 1], 1)));
        assert!(endpoint.is_available(now()));
        endpoint.refused();
        assert!(!endpoint.is_available(now()));
        assert!(endpoint.is_available(now() + 1_000));
        endpoint.connected();
        assert!(endpoint.is_available(now()));
    }

    #[test]
    fn an_endpoint_that_is_back_begins_slowly() {
        let of = |passed| warmth(Duration::from_secs(passed), Duration::from_secs(30));
        assert_eq!(of(0), Some(0.1));
        assert_eq!(of(15), Some(0.5));
        assert_eq!(of(30), None);
        let endpoint = Endpoint::new(&Place::from(([127, 0, 0, 1], 1)));
        let long = Some(Duration::from_secs(1000));
        assert_eq!(endpoint.warmth(long), None);
        endpoint.set_health(Some(true));
        assert_eq!(endpoint.warmth(long), None, "it was never away");
        endpoint.set_health(Some(false));
        endpoint.set_health(Some(true));
        assert_eq!(endpoint.warmth(long), Some(0.1));
        assert!(endpoint.is_suspect());
        // Where nothing begins slowly, it has its share at once.
        assert_eq!(endpoint.warmth(None), None);
        assert!(!endpoint.is_suspect());
    }

    #[test]
    fn an_ejection_that_is_taken_back_ends_at_once() {
        let endpoint = Endpoint::new(&Place::from(([127, 0, 0, 1], 1)));
        let hour = Duration::from_secs(3600);
        let rule = Outlier {
            failures: 1,
            on: Failures::default(),
            ejection: hour,
            max_ejection: hour,
        };
        assert_eq!(endpoint.failed(&rule), Some(hour));
        assert!(endpoint.ejected_for().is_some() && !endpoint.is_available(now()));
        endpoint.forgive();
        assert!(endpoint.ejected_for().is_none() && endpoint.is_available(now()));
        // It begins slowly from now on, and not from when the ejection would have ended.
        let since = endpoint.back_since.load(Ordering::Relaxed);
        assert!(since <= now());
    }

    #[test]
    fn an_endpoint_is_left_alone_while_checks_say_that_it_is_unhealthy() {
        let endpoint = Endpoint::new(&Place::from(([127, 0, 0, 1], 1)));
        assert_eq!(endpoint.health(), Health::default());
        for (health, is_available) in [
            (Some(false), false),
            (Some(true), true),
            (Some(false), false),
            (None, true),
        ] {
            endpoint.set_health(health);
            assert_eq!(endpoint.health().is_healthy, health);
            assert_eq!(endpoint.is_available(now()), is_available);
            assert_eq!(endpoint.warmth(None), None);
            assert_eq!(endpoint.is_suspect(), !is_available);
        }
        endpoint.refused();
        endpoint.set_health(Some(true));
        assert!(endpoint.is_available(now()), "it was just spoken with");
    }
}
