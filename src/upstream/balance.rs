//! Balancing: which endpoint of an upstream gets the next attempt.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::split::{Key, mix};
use crate::upstream::rendezvous::Rendezvous;
use crate::upstream::{Pool, endpoint};

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Balance {
    /// The one of two drawn at random with fewer requests in flight (Mitzenmacher, "The power of
    /// two choices in randomized load balancing", 2001).
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// The one that has the request's key, by hash: the first of these that the request has. A
    /// request with none goes to the less busy of two.
    ConsistentHash(Arc<[Key]>),
}

/// One worker's state of balancing over one upstream.
#[derive(Debug)]
pub(crate) struct Picker {
    counter: Cell<u64>,
}

impl Picker {
    /// Makes one; workers start at different places, so that they do not all begin with the first.
    pub(crate) fn new(worker: usize) -> Self {
        Self {
            counter: Cell::new(worker as u64),
        }
    }

    /// Picks among the pools whose endpoints are available; not `tried` while there is another.
    pub(crate) fn pick<'a>(
        &self,
        balance: &Balance,
        pools: &'a [Rc<Pool>],
        tried: Option<&Rc<Pool>>,
    ) -> Option<&'a Rc<Pool>> {
        let counter = self.counter.get().wrapping_add(1);
        self.counter.set(counter);
        // The common case first: nothing to leave out.
        if tried.is_none() && pools.iter().all(|pool| !pool.endpoint().is_suspect()) {
            return choose(balance, counter, pools.len(), |index| &pools[index]);
        }
        let now = endpoint::now();
        let available: Vec<&Rc<Pool>> = pools
            .iter()
            .filter(|pool| pool.endpoint().is_available(now))
            .collect();
        // Those that begin slowly are left out now and then, while others are there.
        let takes_part = |pool: &Rc<Pool>| {
            let random = scramble(counter ^ pool.endpoint().id().rotate_left(32));
            pool.takes_part((random >> 11) as f64 / (1_u64 << 53) as f64)
        };
        let partakers = available.iter().copied().filter(|pool| takes_part(pool));
        let partakers: Vec<&Rc<Pool>> = partakers.collect();
        let usable = if partakers.is_empty() {
            available
        } else {
            partakers
        };
        let others: Vec<&Rc<Pool>> = usable
            .iter()
            .copied()
            .filter(|pool| tried.is_none_or(|tried| !Rc::ptr_eq(pool, tried)))
            .collect();
        let candidates = if others.is_empty() { usable } else { others };
        choose(balance, counter, candidates.len(), |index| {
            candidates[index]
        })
    }

    /// Picks among the pools whose endpoints may be ejected, in turns; not `tried` while there is
    /// another.
    pub(crate) fn pick_ejected<'a>(
        &self,
        pools: &'a [Rc<Pool>],
        tried: Option<&Rc<Pool>>,
    ) -> Option<&'a Rc<Pool>> {
        let start = self.counter.get() as usize;
        let now = endpoint::now();
        let in_turns = (0..pools.len()).map(|n| &pools[start.wrapping_add(n) % pools.len()]);
        let mut usable = in_turns.filter(|pool| pool.endpoint().is_better_than_none(now));
        let first = usable.next()?;
        let is_tried = |pool: &&Rc<Pool>| tried.is_some_and(|tried| Rc::ptr_eq(pool, tried));
        if !is_tried(&first) {
            return Some(first);
        }
        Some(usable.next().unwrap_or(first))
    }
}

/// Picks the pool whose endpoint has a key, among the available; not `tried` while there is another.
pub(crate) fn pick_by_key<'a>(
    key: u64,
    rendezvous: &Rendezvous,
    pools: &'a [Rc<Pool>],
    tried: Option<&Rc<Pool>>,
) -> Option<&'a Rc<Pool>> {
    let is_usable = |index: usize| {
        let (pool, endpoint) = (&pools[index], pools[index].endpoint());
        // A key stays with its endpoint, however slowly that begins.
        !endpoint.is_suspect() || (pool.takes_part(0.0) && endpoint.is_available_now())
    };
    let is_tried = |index: usize| tried.is_some_and(|tried| Rc::ptr_eq(&pools[index], tried));
    let found = rendezvous
        .find(key, |index| !is_tried(index) && is_usable(index))
        .or_else(|| rendezvous.find(key, is_usable));
    found.map(|index| &pools[index])
}

/// Chooses among `n` pools.
fn choose<'a>(
    balance: &Balance,
    counter: u64,
    n: usize,
    pool: impl Fn(usize) -> &'a Rc<Pool>,
) -> Option<&'a Rc<Pool>> {
    match (n, balance) {
        (0, _) => None,
        (1, _) => Some(pool(0)),
        (_, Balance::RoundRobin) => Some(pool((counter % n as u64) as usize)),
        (_, Balance::LeastRequest | Balance::ConsistentHash(_)) => {
            let random = scramble(counter);
            let one = ((u64::from(random as u32) * n as u64) >> 32) as usize;
            let other = (((random >> 32) * (n as u64 - 1)) >> 32) as usize;
            let other = if other >= one { other + 1 } else { other };
            let (one, other) = (pool(one), pool(other));
            Some(if other.in_flight() < one.in_flight() {
                other
            } else {
                one
            })
        }
    }
}

/// A well-mixed number for a counter.
fn scramble(counter: u64) -> u64 {
    mix(counter.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::telemetry::stats::UpstreamStats;
    use crate::upstream::balance::{Picker, pick_by_key};
    use crate::upstream::rendezvous::Rendezvous;
    use crate::upstream::{
        Balance, Budget, Endpoint, Guard, OtherVariant, Place, Pool, Protocol, Retry, RetryKinds,
        Settings, Timeouts, UpstreamLimits,
    };

    #[test]
    fn an_endpoint_that_begins_slowly_gets_a_part_of_its_share_and_all_where_it_is_alone() {
        let pools = pools(4);
        let settings = Settings {
            balance: Balance::LeastRequest,
            protocol: Protocol::Http1,
            timeouts: Timeouts {
                connect: Duration::from_secs(1),
                response: Duration::from_secs(1),
                body: Duration::from_secs(1),
            },
            idle: Duration::from_secs(1),
            pool: 1,
            tls: None,
            health: None,
            outlier: None,
            slow_start: Some(Duration::from_secs(10_000)),
            limits: UpstreamLimits::default(),
            breaker: None,
            retry: Retry {
                attempts: 1,
                on: RetryKinds::default(),
                other_variant: OtherVariant::Never,
                budget: Budget {
                    share: 0.2,
                    per_second: 10,
                },
            },
            proxy_protocol: None,
        };
        pools.iter().for_each(|pool| pool.obey(&settings));
        pools[0].endpoint().is_back();
        // A tenth of a share: in 0.9 of the choices there are three, in 0.1 four.
        let expected = 40_000.0 * 0.1 / 4.0;
        for balance in [Balance::LeastRequest, Balance::RoundRobin] {
            let counts = counts(&balance, &pools, 40_000);
            let off = (counts[0] as f64 - expected).abs();
            assert!(off < 0.15 * expected, "{counts:?}");
            assert!(
                counts[1..].iter().all(|&count| count > 12_000),
                "{counts:?}"
            );
        }
        let others = pools[1..].iter().map(|pool| pool.endpoint());
        others.for_each(|endpoint| endpoint.refused());
        assert_eq!(counts(&Balance::LeastRequest, &pools, 100), [100, 0, 0, 0]);
    }

    fn pools(n: u16) -> Vec<Rc<Pool>> {
        (0..n)
            .map(|port| {
                let endpoint = Arc::new(Endpoint::new(&Place::from(([127, 0, 0, 1], port))));
                let stats = Arc::new(UpstreamStats::new("u".into(), 1));
                let guard = Arc::new(Guard::new(stats));
                Rc::new(Pool::new(endpoint, Protocol::Http1, guard, 0, None))
            })
            .collect()
    }

    fn counts(balance: &Balance, pools: &[Rc<Pool>], n: usize) -> Vec<usize> {
        let picker = Picker::new(0);
        let mut counts = vec![0; pools.len()];
        for _ in 0..n {
            let picked = picker.pick(balance, pools, None).expect("one is available");
            let at = pools.iter().position(|pool| Rc::ptr_eq(pool, picked));
            counts[at.expect("it is one of them")] += 1;
        }
        counts
    }

    #[test]
    fn round_robin_gives_everyone_the_same() {
        assert_eq!(
            counts(&Balance::RoundRobin, &pools(3), 300),
            [100, 100, 100]
        );
    }

    #[test]
    fn least_request_is_even_while_nothing_is_in_flight() {
        for count in counts(&Balance::LeastRequest, &pools(4), 40_000) {
            assert!((9_500..10_500).contains(&count), "{count}");
        }
    }

    #[test]
    fn least_request_avoids_the_busy_one() {
        let pools = pools(2);
        pools[0].begin();
        assert_eq!(counts(&Balance::LeastRequest, &pools, 100), [0, 100]);
    }

    #[test]
    fn a_key_whose_endpoint_refused_or_was_tried_goes_to_the_runner_up() {
        let pools = pools(5);
        let addresses = pools.iter().map(|pool| pool.endpoint().address());
        let rendezvous = Rendezvous::new(addresses);
        let pick = |key: u64, tried: Option<&Rc<Pool>>| {
            let picked = pick_by_key(key, &rendezvous, &pools, tried);
            Rc::clone(picked.expect("one is available"))
        };
        for key in 0..100 {
            let first = pick(key, None);
            let second = pick(key, Some(&first));
            assert!(!Rc::ptr_eq(&first, &second));
            first.endpoint().refused();
            assert!(Rc::ptr_eq(&pick(key, None), &second));
            first.endpoint().connected();
            assert!(Rc::ptr_eq(&pick(key, None), &first));
        }
        // One that is back is asked once more than others, and has its keys at once.
        let first = pick(0, None);
        first.endpoint().is_back();
        assert!(Rc::ptr_eq(&pick(0, None), &first));
        assert!(!first.endpoint().is_suspect());
        // The one that was tried is better than none, and one that refuses is not.
        let last = pick(0, None);
        let others = pools.iter().filter(|pool| !Rc::ptr_eq(pool, &last));
        others.for_each(|pool| pool.endpoint().refused());
        assert!(Rc::ptr_eq(&pick(0, Some(&last)), &last));
        last.endpoint().refused();
        assert!(pick_by_key(0, &rendezvous, &pools, None).is_none());
    }

    #[test]
    fn an_endpoint_that_refused_is_not_picked_while_another_is_there() {
        let pools = pools(2);
        pools[1].endpoint().refused();
        assert_eq!(counts(&Balance::LeastRequest, &pools, 100), [100, 0]);
        assert_eq!(counts(&Balance::RoundRobin, &pools, 100), [100, 0]);
    }

    #[test]
    fn one_that_was_tried_is_not_picked_while_another_is_there() {
        let pools = pools(2);
        for _ in 0..100 {
            let picked = Picker::new(0).pick(&Balance::RoundRobin, &pools, Some(&pools[0]));
            assert!(picked.is_some_and(|picked| Rc::ptr_eq(picked, &pools[1])));
        }
        let alone = &pools[..1];
        assert!(
            Picker::new(0)
                .pick(&Balance::RoundRobin, alone, Some(&pools[0]))
                .is_some()
        );
    }
}
