//! Limits of a route: how many requests it takes in a time, in all or of each key, and how many at
//! once.
//!
//! A rate is a token bucket, kept as the one moment at which it will be full again (the generic cell
//! rate algorithm; ITU-T I.371): taking a token moves that moment on, and nothing needs to be filled.
//! Buckets are shared by all workers, so that a rate is that of the instance; routes without one share
//! nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::message::RequestHead;
use crate::split::Key;

/// Keys of one limit that are known at most: 64 of 24 bytes and more each are some megabytes. Buckets
/// that are full again are forgotten first; beyond that somebody's is, who then begins with a full one.
const MAX_KEYS: usize = 64 * 2048;

/// Parts of the table of keys, so that workers seldom wait for each other.
const PARTS: usize = 64;

/// How often a part that has no room is looked through for what can be forgotten.
const SWEEP: u64 = 1_000_000_000;

/// How many requests there may be in a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rate {
    /// How many; not 0.
    pub requests: u32,
    /// In what time; not 0.
    pub per: Duration,
    /// How many may come at once; not 0.
    pub burst: u32,
    /// Whose requests are counted together: the first of these that a request has tells. Empty are
    /// all; so are all that have none of these.
    pub keys: Vec<Key>,
}

impl Rate {
    /// Nanoseconds between two requests at this rate.
    fn interval(&self) -> u64 {
        let nanos = self.per.as_nanos() / u128::from(self.requests.max(1));
        u64::try_from(nanos).unwrap_or(u64::MAX).max(1)
    }

    /// Takes a token out of a bucket that will be full at `full_at`, `now`: when it will be full after
    /// that, or in how many nanoseconds there is a token again.
    fn take(&self, full_at: u64, now: u64) -> Result<u64, u64> {
        let interval = self.interval();
        let next = full_at.max(now).saturating_add(interval);
        let room = interval.saturating_mul(u64::from(self.burst));
        match (next - now).checked_sub(room) {
            None | Some(0) => Ok(next),
            Some(wait) => Err(wait),
        }
    }
}

/// A request that came too early.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limited {
    /// After what time there is a token again.
    pub wait: Duration,
    /// Which of the limits of the route it was, from 1.
    pub number: usize,
    /// How many requests there may be.
    pub requests: u32,
    /// In what time.
    pub per: Duration,
}

/// A rate with its buckets.
#[derive(Debug)]
pub struct RateLimit {
    rate: Rate,
    /// The bucket of all, where there are no keys.
    full_at: AtomicU64,
    /// The buckets by key, where there are.
    parts: Box<[Mutex<Part>]>,
    /// Chosen by chance, so that nobody can choose keys that share a bucket.
    seed: u64,
    n_refused: AtomicU64,
}

/// A part of the buckets.
#[derive(Debug, Default)]
struct Part {
    full_at: HashMap<u64, u64>,
    swept_at: u64,
}

impl Part {
    /// Makes room for one more.
    fn make_room(&mut self, now: u64) {
        if self.full_at.len() < MAX_KEYS / PARTS {
            return;
        }
        if now.saturating_sub(self.swept_at) >= SWEEP {
            self.swept_at = now;
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        if self.full_at.len() >= MAX_KEYS / PARTS
            && let Some(&any) = self.full_at.keys().next()
        {
            self.full_at.remove(&any);
        }
    }
}

impl RateLimit {
    /// Makes one whose buckets are full.
    pub fn new(rate: Rate, seed: u64) -> Self {
        let n_parts = if rate.keys.is_empty() { 0 } else { PARTS };
        Self {
            rate,
            full_at: AtomicU64::new(0),
            parts: (0..n_parts).map(|_| Mutex::default()).collect(),
            seed,
            n_refused: AtomicU64::new(0),
        }
    }

    /// Makes one of which each has a bucket of their own, by what [`RateLimit::take_for`] is told.
    pub fn of_each(rate: Rate, seed: u64) -> Self {
        let mut limit = Self::new(rate, seed);
        limit.parts = (0..PARTS).map(|_| Mutex::default()).collect();
        limit
    }

    /// Takes a token for somebody, whoever they are.
    ///
    /// # Errors
    /// When there is none: after what time there will be one.
    pub fn take_for(&self, who: &[u8]) -> Result<(), Duration> {
        let taken = if self.parts.is_empty() {
            self.take_of_all(now())
        } else {
            self.take_of(xxh3_64_with_seed(who, self.seed), now())
        };
        if taken.is_err() {
            self.n_refused.fetch_add(1, Ordering::Relaxed);
        }
        taken.map_err(Duration::from_nanos)
    }

    /// The rate.
    pub fn rate(&self) -> &Rate {
        &self.rate
    }

    /// How many requests came too early.
    pub fn n_refused(&self) -> u64 {
        self.n_refused.load(Ordering::Relaxed)
    }

    /// How many keys are known.
    pub fn n_keys(&self) -> usize {
        let sizes = self.parts.iter().map(|part| {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.full_at.len()
        });
        sizes.sum()
    }

    /// Takes a token for a request; else tells in how many nanoseconds there is one.
    fn take(&self, request: &RequestHead, client: IpAddr, now: u64) -> Result<(), u64> {
        let taken = if self.parts.is_empty() {
            self.take_of_all(now)
        } else {
            self.take_of(self.key(request, client), now)
        };
        if taken.is_err() {
            self.n_refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    fn take_of_all(&self, now: u64) -> Result<(), u64> {
        let order = Ordering::Relaxed;
        let mut wait = 0;
        let taken = self.full_at.fetch_update(order, order, |full_at| {
            self.rate
                .take(full_at, now)
                .map_err(|left| wait = left)
                .ok()
        });
        taken.map(|_| ()).map_err(|_| wait)
    }

    fn take_of(&self, key: u64, now: u64) -> Result<(), u64> {
        let part = &self.parts[(key >> 32) as usize % self.parts.len()];
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = part.full_at.get_mut(&key) {
            *full_at = self.rate.take(*full_at, now)?;
            return Ok(());
        }
        part.make_room(now);
        part.full_at.insert(key, self.rate.take(0, now)?);
        Ok(())
    }

    /// What tells whose request it is; of all that have no key it is the same.
    fn key(&self, request: &RequestHead, client: IpAddr) -> u64 {
        let keys = self.rate.keys.iter().enumerate();
        let found = keys.filter_map(|(n, key)| Some((n as u64, key.of(request, client)?)));
        let mut found = found.map(|(n, key)| xxh3_64_with_seed(key.as_bytes(), self.seed ^ n));
        found.next().unwrap_or(0)
    }
}

/// What a route takes.
#[derive(Debug, Default)]
pub struct RouteLimits {
    /// Its rates, in their order.
    pub rates: Vec<Arc<RateLimit>>,
    /// How many requests may be under way at once, and those that are.
    pub requests: Option<(u32, Arc<AtomicU32>)>,
}

impl RouteLimits {
    /// Takes a token of each rate for a request.
    ///
    /// # Errors
    /// With the first rate that has none.
    pub fn take(&self, request: &RequestHead, client: IpAddr) -> Result<(), Limited> {
        if self.rates.is_empty() {
            return Ok(());
        }
        let now = now();
        for (n, limit) in self.rates.iter().enumerate() {
            limit.take(request, client, now).map_err(|wait| Limited {
                wait: Duration::from_nanos(wait),
                number: n + 1,
                requests: limit.rate.requests,
                per: limit.rate.per,
            })?;
        }
        Ok(())
    }

    /// Counts a request as under way until what is given is dropped.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub(crate) fn begin(&self) -> Result<Option<UnderWay>, Full> {
        let Some((limit, count)) = &self.requests else {
            return Ok(None);
        };
        let more = |n: u32| (n < *limit).then(|| n + 1);
        let order = Ordering::Relaxed;
        match count.fetch_update(order, order, more) {
            Ok(_) => Ok(Some(UnderWay(Arc::clone(count)))),
            Err(_) => Err(Full),
        }
    }
}

/// There are as many requests as there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Full;

/// A request that is counted as under way until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<AtomicU32>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Nanoseconds of the process's own clock.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, proptest};

    use crate::message::RequestHead;
    use crate::proxy::rate_limit::{MAX_KEYS, Rate, RateLimit};
    use crate::split::Key;

    const SECOND: u64 = 1_000_000_000;

    fn rate(requests: u32, burst: u32, keys: &[&str]) -> Rate {
        Rate {
            requests,
            per: Duration::from_secs(1),
            burst,
            keys: keys
                .iter()
                .map(|key| key.parse().unwrap())
                .collect::<Vec<Key>>(),
        }
    }

    fn client(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(n))
    }

    fn with_key(value: &str) -> RequestHead {
        let mut request = RequestHead::default();
        request.append_field(b"x-api-key", value.as_bytes());
        request
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_the_rate() {
        let limit = RateLimit::new(rate(10, 3, &[]), 0);
        let request = RequestHead::default();
        let take = |now| limit.take(&request, client(1), now);
        for _ in 0..3 {
            assert_eq!(take(SECOND), Ok(()));
        }
        assert_eq!(take(SECOND), Err(SECOND / 10));
        assert_eq!(take(SECOND + SECOND / 20), Err(SECOND / 20));
        assert_eq!(take(SECOND + SECOND / 10), Ok(()));
        assert!(take(SECOND + SECOND / 10).is_err());
        // However long nobody comes, it holds no more than the burst.
        for _ in 0..3 {
            assert_eq!(take(100 * SECOND), Ok(()));
        }
        assert!(take(100 * SECOND).is_err());
        assert_eq!(limit.n_refused(), 4);
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own_and_those_without_share_one() {
        let limit = RateLimit::new(rate(1, 1, &["header:x-api-key"]), 7);
        let (a, b, none) = (with_key("a"), with_key("b"), RequestHead::default());
        assert_eq!(limit.take(&a, client(1), 1), Ok(()));
        assert_eq!(limit.take(&b, client(1), 1), Ok(()));
        assert!(limit.take(&a, client(2), 1).is_err());
        assert_eq!(limit.take(&none, client(1), 1), Ok(()));
        assert!(
            limit.take(&none, client(2), 1).is_err(),
            "to leave it out is no way round"
        );
        assert_eq!(limit.n_keys(), 3);
        let fallback = RateLimit::new(rate(1, 1, &["header:x-api-key", "client_ip"]), 7);
        for n in 0..3 {
            assert_eq!(fallback.take(&none, client(n), 1), Ok(()), "{n}");
        }
    }

    #[test]
    fn keys_without_end_take_no_memory_without_end() {
        let limit = RateLimit::new(rate(1, 1, &["client_ip"]), 7);
        let request = RequestHead::default();
        for n in 0..2 * MAX_KEYS as u32 {
            assert_eq!(limit.take(&request, client(n), 1), Ok(()));
        }
        assert!(limit.n_keys() <= MAX_KEYS);
        // Those whose bucket is full again are forgotten, and not those who have just come.
        for n in 0..1000 {
            assert_eq!(limit.take(&request, client(n), 10 * SECOND), Ok(()));
        }
        for n in 0..1000 {
            assert!(limit.take(&request, client(n), 10 * SECOND).is_err(), "{n}");
        }
    }

    proptest! {
        #[test]
        fn no_time_has_more_than_its_rate_and_one_burst(
            steps in vec(0_u64..300_000_000, 1..200),
            requests in 1_u32..50,
            burst in 1_u32..20,
        ) {
            let limit = RateLimit::new(rate(requests, burst, &[]), 0);
            let request = RequestHead::default();
            let mut now = SECOND;
            let mut taken = Vec::new();
            for passes in steps {
                now += passes;
                if limit.take(&request, client(1), now).is_ok() {
                    taken.push(now);
                }
            }
            for (n, from) in taken.iter().enumerate() {
                for (more, to) in taken[n..].iter().enumerate() {
                    let seconds = (to - from) as f64 / SECOND as f64;
                    let most = f64::from(burst) + f64::from(requests) * seconds + 1e-6;
                    prop_assert!((more + 1) as f64 <= most + 1e-3);
                }
            }
        }
    }
}
