//! One address of an upstream, and what is known of it by all workers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::upstream::Place;

/// How long an endpoint that could not be connected to is left alone: long enough that a dead
/// one costs one attempt a second, short enough that one that came back is found at once.
const REFUSED: Duration = Duration::from_secs(1);

/// Identities are never used twice in a process, so a pool is never taken for another's.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One address of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    id: u64,
    address: SocketAddr,
    /// The host name that led to it, if one did.
    host: Option<Arc<str>>,
    /// Milliseconds of the process's clock until which it is left alone; 0 when it is not.
    refused_until: AtomicU64,
    /// True once nothing names it any more.
    retired: AtomicBool,
}

impl Endpoint {
    /// Makes an endpoint that nothing is known of.
    pub fn new(place: &Place) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            address: place.address,
            host: place.host.clone(),
            refused_until: AtomicU64::new(0),
            retired: AtomicBool::new(false),
        }
    }

    /// Its identity in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
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
        self.refused_until.load(Ordering::Relaxed) <= now
    }
}

/// Milliseconds of the process's own clock, at least 1.
pub(crate) fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

#[cfg(test)]
mod tests {
    use crate::upstream::endpoint::now;
    use crate::upstream::{Endpoint, Place};

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
}
