//! Consistent hashing: a key has the same endpoint on every worker, every instance, and tomorrow.
//!
//! Rendezvous hashing (Thaler, Ravishankar, "Using name-based mappings to increase hit rates", 1998):
//! each endpoint has a score for the key, made of its address and the key alone, and the greatest
//! one has the key. So the order of endpoints means nothing; one that goes gives its keys to their
//! runners-up, evenly, and one that comes takes its own from all others: no other key moves. A table
//! such as Maglev's is found in one step, but it moves other keys, too, and has to be as large as it
//! is to be even; a score takes about a nanosecond, so a hundred endpoints are a tenth of a
//! microsecond.

use xxhash_rust::xxh3::xxh3_64;

use crate::split::mix;

/// What endpoints are known by, in their order; made once for a set of them.
#[derive(Debug)]
pub(in crate::upstream) struct Rendezvous {
    seeds: Box<[u64]>,
}

impl Rendezvous {
    /// Prepares for the endpoints at these addresses.
    pub(in crate::upstream) fn new(addresses: impl Iterator<Item: ToString>) -> Self {
        let seeds = addresses.map(|address| xxh3_64(address.to_string().as_bytes()));
        Self {
            seeds: seeds.collect(),
        }
    }

    /// The endpoint that has a key, among those that may; of two at one address the first.
    pub(in crate::upstream) fn find(&self, key: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let first = self.best(key, |_| true)?;
        if may(first) {
            return Some(first);
        }
        self.best(key, may)
    }

    fn best(&self, key: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best: Option<(usize, u64)> = None;
        for (index, seed) in self.seeds.iter().enumerate() {
            let score = mix(seed ^ key);
            if best.is_none_or(|(_, best)| score > best) && may(index) {
                best = Some((index, score));
            }
        }
        best.map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::SocketAddr;

    use proptest::collection::{btree_set, vec};
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
    use proptest::sample::Index;
    use xxhash_rust::xxh3::xxh3_64;

    use crate::upstream::rendezvous::Rendezvous;

    fn addresses(
        n: impl Into<proptest::collection::SizeRange>,
    ) -> impl Strategy<Value = Vec<SocketAddr>> {
        btree_set(any::<SocketAddr>(), n).prop_map(|set| set.into_iter().collect())
    }

    /// The address that has a key.
    fn holder(
        addresses: &[SocketAddr],
        key: u64,
        down: &BTreeSet<SocketAddr>,
    ) -> Option<SocketAddr> {
        let rendezvous = Rendezvous::new(addresses.iter().copied());
        let found = rendezvous.find(key, |index| !down.contains(&addresses[index]));
        found.map(|index| addresses[index])
    }

    fn keys(n: u32) -> impl Iterator<Item = u64> {
        (0..n).map(|n| xxh3_64(format!("user-{n}").as_bytes()))
    }

    proptest! {
        #[test]
        fn the_order_of_endpoints_means_nothing(
            before in addresses(1..20),
            swaps in vec(any::<(Index, Index)>(), 0..20),
            key in any::<u64>(),
        ) {
            let mut after = before.clone();
            for (one, other) in swaps {
                after.swap(one.index(before.len()), other.index(before.len()));
            }
            let none = BTreeSet::new();
            prop_assert_eq!(holder(&before, key, &none), holder(&after, key, &none));
        }

        #[test]
        fn only_the_keys_of_an_endpoint_that_goes_move(
            all in addresses(2..20),
            gone in any::<Index>(),
            keys in vec(any::<u64>(), 1..200),
        ) {
            let gone = all[gone.index(all.len())];
            let rest: Vec<_> = all.iter().copied().filter(|&one| one != gone).collect();
            let none = BTreeSet::new();
            for key in keys {
                let (before, after) = (holder(&all, key, &none), holder(&rest, key, &none));
                prop_assert!(before == after || before == Some(gone));
                // One that is unavailable is one that is not there, and nobody else moves for it.
                prop_assert_eq!(holder(&all, key, &BTreeSet::from([gone])), after);
            }
        }

        #[test]
        fn somebody_has_a_key_as_long_as_anybody_may(
            all in addresses(0..20),
            down in vec(any::<Index>(), 0..20),
            key in any::<u64>(),
        ) {
            let down: BTreeSet<_> = down
                .iter()
                .filter(|_| !all.is_empty())
                .map(|one| all[one.index(all.len())])
                .collect();
            let found = holder(&all, key, &down);
            prop_assert_eq!(found.is_some(), down.len() < all.len());
            prop_assert!(found.is_none_or(|found| !down.contains(&found)));
        }
    }

    #[test]
    fn endpoints_have_equal_shares_also_of_what_one_that_goes_leaves() {
        let all: Vec<_> = (1..=10)
            .map(|host| SocketAddr::from(([10, 0, 0, host], 9000)))
            .collect();
        let rendezvous = Rendezvous::new(all.iter().copied());
        let (mut counts, mut inherited) = ([0; 10], [0; 10]);
        for key in keys(100_000) {
            let first = rendezvous.find(key, |_| true).expect("there are ten");
            counts[first] += 1;
            if first == 3 {
                inherited[rendezvous.find(key, |one| one != 3).expect("nine are left")] += 1;
            }
        }
        for (index, (count, inherited)) in counts.into_iter().zip(inherited).enumerate() {
            assert!((9_600..10_400).contains(&count), "{index}: {count}");
            let expected = if index == 3 { 0..1 } else { 980..1_250 };
            assert!(expected.contains(&inherited), "{index}: {inherited}");
        }
    }

    #[test]
    fn the_answer_is_the_same_in_every_process_of_every_version() {
        let all: Vec<SocketAddr> = ["10.0.0.1:9000", "10.0.0.2:9000", "[fd00::3]:9000"]
            .map(|text| text.parse().expect("an address"))
            .to_vec();
        let none = BTreeSet::new();
        let holders: Vec<_> = ["alice", "bob", "carol", "dave", "erin", "frank"]
            .iter()
            .map(|user| holder(&all, xxh3_64(user.as_bytes()), &none).unwrap())
            .collect();
        assert_eq!(holders, [all[2], all[1], all[0], all[1], all[0], all[0]]);
    }
}
