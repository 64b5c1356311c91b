//! The crew: what the workers know of each other, so that connections are spread evenly.
//!
//! Which worker accepts a connection is the kernel's choice, by a hash of its addresses. Of many
//! connections each worker gets about as many; of a few that live long, such as those of a balancer
//! that speaks HTTP/2, one worker may get all, and all other cores wait. So a worker that has
//! accepted a connection and has clearly more than another hands it over to the one with the fewest.
//!
//! What is shared for that is written when a connection begins and when it ends, never by a request;
//! each worker's number has cache lines of its own.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use crate::listener::{Permit, Settings};
use crate::telemetry::stats::ListenerStats;

/// The number of a worker that takes no more: it is about to end, or does not listen yet.
const AWAY: usize = usize::MAX / 2;

/// The workers of a process.
#[derive(Debug)]
pub struct Crew {
    members: Box<[Member]>,
}

/// One worker, as the others know it. Processors fetch two lines at a time.
#[derive(Debug)]
#[repr(align(128))]
struct Member {
    /// How many connections it has; from [`AWAY`] on it takes no more.
    n_connections: AtomicUsize,
    hands: OnceLock<mpsc::UnboundedSender<Arrival>>,
}

/// A connection that was accepted, and that no worker waits for yet.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Non-blocking.
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    /// Where it came to, if that is known.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) listener: Arc<str>,
    /// The listener's settings when it came: the last ones, where it is given up meanwhile.
    pub(crate) settings: Arc<Settings>,
    pub(crate) stats: Arc<ListenerStats>,
    pub(crate) permit: Permit,
    pub(crate) seat: Seat,
}

/// A connection's place among those of its worker; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Seat {
    crew: Arc<Crew>,
    worker: usize,
}

impl Crew {
    /// Makes a crew of so many workers, none of which has begun.
    pub fn new(n_workers: usize) -> Arc<Self> {
        let members = (0..n_workers.max(1)).map(|_| Member {
            n_connections: AtomicUsize::new(AWAY),
            hands: OnceLock::new(),
        });
        Arc::new(Self {
            members: members.collect(),
        })
    }

    /// How many connections each worker has.
    pub fn n_connections(&self) -> Vec<usize> {
        let members = self.members.iter();
        let counts = members.map(|member| member.n_connections.load(Ordering::Relaxed));
        counts.map(|n| n % AWAY).collect()
    }

    /// How many connections there are.
    pub(crate) fn n_open(&self) -> usize {
        let members = self.members.iter();
        let counts = members.map(|member| member.n_connections.load(Ordering::Relaxed));
        counts.map(|n| n % AWAY).sum()
    }

    /// A worker begins; gives what others will hand to it. Once for each.
    pub(crate) fn join(&self, worker: usize) -> mpsc::UnboundedReceiver<Arrival> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let member = &self.members[worker];
        if member.hands.set(sender).is_ok() {
            member.n_connections.fetch_sub(AWAY, Ordering::Relaxed);
        }
        receiver
    }

    /// A worker takes no more connections of others.
    pub(crate) fn leave(&self, worker: usize) {
        self.members[worker]
            .n_connections
            .fetch_add(AWAY, Ordering::Relaxed);
    }

    /// A place for a connection that a worker has just accepted, with it or with another one.
    pub(crate) fn seat(self: &Arc<Self>, accepted_by: usize) -> Seat {
        let counts = self.members.iter();
        let counts = counts.map(|member| member.n_connections.load(Ordering::Relaxed));
        self.seat_at(choose(counts, accepted_by))
    }

    /// A place with a worker.
    fn seat_at(self: &Arc<Self>, worker: usize) -> Seat {
        let member = &self.members[worker];
        member.n_connections.fetch_add(1, Ordering::Relaxed);
        Seat {
            crew: Arc::clone(self),
            worker,
        }
    }

    /// Hands a connection to the worker that it has its place with. Gives back one that has its
    /// place `here`; or gets it there, as the other one has ended.
    pub(crate) fn hand(self: &Arc<Self>, arrival: Arrival, here: usize) -> Option<Arrival> {
        let worker = arrival.seat.worker;
        if worker == here {
            return Some(arrival);
        }
        let Some(hands) = self.members[worker].hands.get() else {
            return Some(arrival);
        };
        let mut refused = hands.send(arrival).err()?.0;
        refused.seat = self.seat_at(here);
        Some(refused)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crew.members[self.worker]
            .n_connections
            .fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who serves a connection that one worker has accepted: the first of those with the fewest, where
/// the one that accepted it has more than these by an eighth; with few connections, by any.
///
/// Handing over costs a few system calls, and with many connections an eighth is less than chance
/// makes of it anyway.
fn choose(counts: impl Iterator<Item = usize> + Clone, accepted_by: usize) -> usize {
    let Some(own) = counts.clone().nth(accepted_by).filter(|&own| own > 0) else {
        return accepted_by;
    };
    match counts.enumerate().min_by_key(|&(_, count)| count) {
        Some((least, count)) if own > count + count / 8 && count < AWAY => least,
        _ => accepted_by,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, proptest};
    use proptest::sample::Index;

    use crate::listener::crew::{AWAY, Crew, choose};

    #[track_caller]
    fn check(counts: &[usize], accepted_by: usize, expected: usize) {
        assert_eq!(choose(counts.iter().copied(), accepted_by), expected);
    }

    #[test]
    fn few_connections_are_spread_evenly() {
        check(&[0, 0], 1, 1);
        check(&[0, 1], 1, 0);
        check(&[1, 1], 1, 1);
        check(&[7, 1, 0, 0], 0, 2);
    }

    #[test]
    fn a_little_unevenness_among_many_is_left_to_chance() {
        check(&[109, 100], 0, 0);
        check(&[113, 100], 0, 1);
    }

    #[test]
    fn a_worker_that_leaves_gets_none() {
        check(&[9, AWAY], 0, 0);
        check(&[9, AWAY + 1, 3], 0, 2);
        check(&[AWAY + 9, AWAY], 0, 0);
    }

    #[test]
    fn a_place_counts_until_it_is_dropped_and_only_with_those_who_are_there() {
        let crew = Crew::new(2);
        let _first = crew.join(0);
        let one = crew.seat(0);
        let other = crew.seat(0);
        assert_eq!((one.worker, other.worker), (0, 0), "nobody else is there");
        let _second = crew.join(1);
        let third = crew.seat(0);
        assert_eq!(third.worker, 1);
        drop(third);
        let third = crew.seat(0);
        crew.leave(1);
        assert_eq!((third.worker, crew.seat(0).worker), (1, 0));
        assert_eq!(Arc::strong_count(&crew), 4);
    }

    proptest! {
        #[test]
        fn however_the_kernel_chooses_nobody_has_an_eighth_more_than_another(
            n_workers in 1_usize..10,
            accepted in vec(any::<Index>(), 0..400),
        ) {
            let mut counts = vec![0_usize; n_workers];
            for accepted_by in accepted {
                let worker = choose(counts.iter().copied(), accepted_by.index(n_workers));
                counts[worker] += 1;
                let least = *counts.iter().min().unwrap();
                let most = *counts.iter().max().unwrap();
                prop_assert!(most <= least + least / 8 + 1, "{:?}", counts);
            }
        }
    }
}
