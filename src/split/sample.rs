//! A sample: a stable part of a route's requests, whichever variant they get.
//!
//! A key belongs to a sample when its hash is below a bound that grows with the part. So the same
//! users stay in it, and a greater part has all users of a smaller one. The hash is another one than
//! that which chooses variants: who is in the sample says nothing of who is on a variant.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::split::mix;

/// What tells the hash of a sample from that of a split with the same salt.
const OWN: u64 = 0x6D69_7272_6F72_2031;

/// A part of the requests of a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sample {
    seed: u64,
    /// The hashes that belong to it are below; 2⁶⁴ are all.
    below: u128,
}

impl Sample {
    /// Makes one of so many percent, 0 to 100, of what has this salt.
    pub fn new(percent: f64, salt: &str) -> Self {
        let share = (percent / 100.0).clamp(0.0, 1.0);
        Self {
            seed: mix(xxh3_64(salt.as_bytes()) ^ OWN),
            below: (share * 2_f64.powi(64)) as u128,
        }
    }

    /// True when whoever has this key belongs to it.
    pub fn has_key(&self, key: &[u8]) -> bool {
        self.has_point(mix(xxh3_64_with_seed(key, self.seed)))
    }

    /// True when a point of a [`Draw`](crate::split::Draw) falls into it: for requests that no key
    /// tells apart.
    pub fn has_point(&self, point: u64) -> bool {
        u128::from(point) < self.below
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use crate::split::sample::Sample;
    use crate::split::{Draw, mix};

    proptest! {
        #[test]
        fn a_greater_sample_has_all_keys_of_a_smaller_one(
            percents in (0.0..=100.0_f64, 0.0..=100.0_f64),
            key in any::<Vec<u8>>(),
            salt in ".{0,16}",
        ) {
            let (low, high) = (percents.0.min(percents.1), percents.0.max(percents.1));
            let [small, large] = [low, high].map(|percent| Sample::new(percent, &salt));
            prop_assert!(!small.has_key(&key) || large.has_key(&key));
            // And it says the same whenever it is asked.
            prop_assert!(small.has_key(&key) == Sample::new(low, &salt).has_key(&key));
        }

        #[test]
        fn nobody_is_in_an_empty_sample_and_everybody_in_a_whole_one(
            key in any::<Vec<u8>>(),
            point in any::<u64>(),
        ) {
            let [none, all] = [0.0, 100.0].map(|percent| Sample::new(percent, "shop"));
            prop_assert!(!none.has_key(&key) && !none.has_point(point));
            prop_assert!(all.has_key(&key) && all.has_point(point));
        }
    }

    #[test]
    fn a_sample_has_its_part_of_the_keys() {
        for (percent, expected) in [(0.1, 100.0), (5.0, 5_000.0), (50.0, 50_000.0)] {
            let sample = Sample::new(percent, "shop");
            let keys = (0..100_000_u32).filter(|n| sample.has_key(format!("user-{n}").as_bytes()));
            let n = keys.count() as f64;
            // Five standard deviations of a fair coin.
            let room = 5.0 * (expected * (1.0 - percent / 100.0)).sqrt();
            assert!((n - expected).abs() < room, "{percent} %: {n}");
        }
    }

    #[test]
    fn a_sample_of_draws_is_exact() {
        let sample = Sample::new(5.0, "shop");
        let draw = Draw::new(1, mix(1));
        let n = (0..10_000)
            .filter(|_| sample.has_point(draw.point(0)))
            .count();
        assert!((495..=505).contains(&n), "{n}");
    }
}
