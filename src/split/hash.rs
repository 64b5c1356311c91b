//! Hashing a key for a variant, and the exact comparison of what comes out.
//!
//! Weighted rendezvous: each variant gets a random but repeatable *delay* `L = -ln u` for the key, and
//! the variant with the greatest `weight / L` has the key. That is a race in which a runner's speed is
//! its weight: exponentially distributed delays make each one's chance to win exactly its share.
//! Changing one weight leaves all other delays alone, so nobody moves but to or from that variant.

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::split::ln::ln;
use crate::split::spec::MAX_NAME_BYTES;

/// Keys up to this size are hashed in one piece on the stack: longer ones are rare.
const STACK_KEY_BYTES: usize = 255;
/// Where the key begins on the stack: behind the longest name and its zero byte.
const KEY_START: usize = MAX_NAME_BYTES + 1;

/// A key that is hashed for one variant after another.
pub(in crate::split) struct KeyHasher<'a> {
    seed: u64,
    key: &'a [u8],
    buffer: [u8; KEY_START + STACK_KEY_BYTES],
}

impl<'a> KeyHasher<'a> {
    /// Lays the key out, so that for each variant only its name is copied.
    pub(in crate::split) fn new(seed: u64, key: &'a [u8]) -> Self {
        let mut buffer = [0; KEY_START + STACK_KEY_BYTES];
        if let Some(place) = buffer[KEY_START..].get_mut(..key.len()) {
            place.copy_from_slice(key);
        }
        Self { seed, key, buffer }
    }

    /// XXH3-64 of a variant's name, a zero byte and the key. `prefix` is the name with its zero byte.
    pub(in crate::split) fn hash(&mut self, prefix: &[u8]) -> u64 {
        if self.key.len() <= STACK_KEY_BYTES {
            let start = KEY_START - prefix.len();
            self.buffer[start..KEY_START].copy_from_slice(prefix);
            return xxh3_64_with_seed(&self.buffer[start..KEY_START + self.key.len()], self.seed);
        }
        let mut hasher = Xxh3::with_seed(self.seed);
        hasher.update(prefix);
        hasher.update(self.key);
        hasher.digest()
    }

    /// The delay of the variant with this prefix.
    pub(in crate::split) fn delay(&mut self, prefix: &[u8]) -> Delay {
        Delay::of(self.hash(prefix))
    }
}

/// `-ln u` of a hash, in units of 2⁻⁵⁸, rounded down.
///
/// As a whole number, so that two scores `weight / delay` are compared exactly, by cross products
/// that fit into 128 bits. Quotients of floating point numbers are rounded, and a rounded comparison
/// could turn when all weights are multiplied by the same factor. The largest delay, `54 · ln 2`, is
/// below 2⁶⁴ units.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::split) struct Delay(u64);

/// How many units of a [`Delay`] are one.
const UNITS: f64 = (1_u64 << 58) as f64;

impl Delay {
    /// The delay that a hash stands for. `u` is the middle of one of 2⁵³ equal parts of 0 to 1; in
    /// the upper half, where a half is beyond the precision, it is rounded to even, so the very last
    /// part gives 1 and the delay 0, which no other delay can beat.
    pub(in crate::split) fn of(hash: u64) -> Self {
        let u = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        Self((-ln(u) * UNITS) as u64)
    }

    /// The delay as `-ln u`.
    pub(in crate::split) fn value(self) -> f64 {
        self.0 as f64 / UNITS
    }
}

/// A weight over a delay. The greatest has the key.
#[derive(Clone, Copy, Debug)]
pub(in crate::split) struct Score {
    /// The weight, which is not zero.
    pub(in crate::split) weight: u32,
    /// The delay.
    pub(in crate::split) delay: Delay,
}

impl Score {
    /// True when this one is surely greater; of equal scores neither is.
    ///
    /// Both sides grow by the same factor when all weights do, so scaling never changes the answer.
    pub(in crate::split) fn beats(self, other: Self) -> bool {
        u128::from(self.weight) * u128::from(other.delay.0)
            > u128::from(other.weight) * u128::from(self.delay.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use xxhash_rust::xxh3::xxh3_64_with_seed;

    use crate::split::hash::{Delay, KeyHasher, Score};

    proptest! {
        #[test]
        fn a_key_of_any_length_has_the_hash_of_its_concatenation(
            seed in any::<u64>(),
            name in "[a-z]{1,64}",
            key in vec(any::<u8>(), 0..600),
        ) {
            let prefix = [name.as_bytes(), b"\0"].concat();
            let whole = [&prefix[..], &key].concat();
            let mut hasher = KeyHasher::new(seed, &key);
            // A name that was hashed before leaves nothing behind.
            hasher.hash(b"some-other-and-longer-name\0");
            prop_assert_eq!(hasher.hash(&prefix), xxh3_64_with_seed(&whole, seed));
        }

        #[test]
        fn a_common_factor_never_changes_which_score_is_greater(
            a in (1_u32..1000, any::<u64>()),
            b in (1_u32..1000, any::<u64>()),
            factor in 1_u32..1000,
        ) {
            let score = |(weight, hash): (u32, u64), factor: u32| Score {
                weight: weight * factor,
                delay: Delay::of(hash),
            };
            prop_assert_eq!(
                score(a, 1).beats(score(b, 1)),
                score(a, factor).beats(score(b, factor))
            );
        }
    }

    #[test]
    fn the_extreme_hashes_have_the_extreme_delays() {
        assert_eq!(Delay::of(u64::MAX), Delay(0));
        assert!((Delay::of(0).value() - 54.0 * 2.0_f64.ln()).abs() < 1e-12);
        assert!(Delay::of(u64::MAX - (1 << 13)).0 > 0);
        let first = Score {
            weight: 1,
            delay: Delay::of(u64::MAX),
        };
        let second = Score {
            weight: 1_000_000,
            delay: Delay::of(u64::MAX - (1 << 13)),
        };
        assert!(first.beats(second) && !second.beats(first) && !first.beats(first));
    }
}
