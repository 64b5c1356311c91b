//! Hashing a key for a variant, and the exact comparison of what comes out.
//!
//! Weighted rendezvous: each variant gets a random but repeatable *delay* `L = -ln u` for the key, and
//! the variant with the least *time* `L / weight` has the key. That is a race in which a runner's
//! speed is its weight: exponentially distributed delays make each one's chance to win exactly its
//! share. Changing one weight leaves all other delays alone, so nobody moves but to or from that
//! variant.
//!
//! The key is hashed once; a variant's own hash is made of that and of its name's by a few
//! multiplications, which are as good as a second hash of everything: the tests hold that the hashes
//! of two variants know nothing of each other. Who wins is nearly always plain from bounds of the
//! times that need no logarithm, see [`Bounds`].

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::split::ln::ln;

/// A well-mixed number for a number, another one for each (the finalizer of SplitMix64; Steele, Lea,
/// Flood, "Fast splittable pseudorandom number generators", 2014).
#[inline]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The hash of a variant's name: what tells it from the others for every key.
#[derive(Clone, Copy, Debug)]
pub(in crate::split) struct NameHash(u64);

impl NameHash {
    /// XXH3-64 of the name.
    pub(in crate::split) fn new(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()))
    }
}

/// The hash of a key under a salt, for one variant after another.
#[derive(Clone, Copy, Debug)]
pub(in crate::split) struct KeyHash(u64);

impl KeyHash {
    /// XXH3-64 of the key; the seed is the hash of the salt.
    #[inline]
    pub(in crate::split) fn new(seed: u64, key: &[u8]) -> Self {
        Self(xxh3_64_with_seed(key, seed))
    }

    /// The key's hash for the variant of this name.
    #[inline]
    pub(in crate::split) fn of(self, name: NameHash) -> u64 {
        mix(self.0 ^ name.0)
    }

    /// The slice that the key is in.
    #[inline]
    pub(in crate::split) fn slice(self) -> u8 {
        slice_of(self.0)
    }

    /// The key's delay for the variant of this name.
    pub(in crate::split) fn delay(self, name: NameHash) -> Delay {
        Delay::of(self.of(name))
    }
}

/// One of 16 slices for a key's hash or a point of the draw, which knows nothing of who has that key or
/// point: it is a hash for one more name, which no variant has.
#[inline]
pub(in crate::split) fn slice_of(hash: u64) -> u8 {
    /// XXH3-64 of nothing: every name has at least one letter.
    const NAME: u64 = 0x2D06_8005_38D3_94C2;
    (mix(hash ^ NAME) >> 60) as u8
}

/// The number in 0 to 1 that a hash stands for: the middle of one of 2⁵³ equal parts. In the upper
/// half, where a half is beyond the precision, it is rounded to even, so the very last part gives 1.
#[inline]
fn unit(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// `-ln u` of a hash, in units of 2⁻⁵⁸, rounded down.
///
/// As a whole number, so that two scores `weight / delay` are compared exactly, by cross products
/// that fit into 128 bits. Quotients of floating point numbers are rounded, and a rounded comparison
/// could turn when all weights are multiplied by the same factor. The largest delay, `54 · ln 2`, is
/// below 2⁶⁴ units; the least, of the very last part, is 0, which no other delay can beat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::split) struct Delay(u64);

/// How many units of a [`Delay`] are one.
const UNITS: f64 = (1_u64 << 58) as f64;

impl Delay {
    /// The delay that a hash stands for.
    pub(in crate::split) fn of(hash: u64) -> Self {
        Self((-ln(unit(hash)) * UNITS) as u64)
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

/// Between what the time `delay / weight` lies: a score's inverse, without a logarithm.
///
/// They decide nothing by themselves: where two overlap, the scores are compared. So who has a key
/// does not depend on how good they are, and platforms cannot disagree.
#[derive(Clone, Copy, Debug)]
pub(in crate::split) struct Bounds {
    pub(in crate::split) low: f64,
    pub(in crate::split) high: f64,
}

/// `ln m` for `m` in 1 to 2, as a polynomial in `m − 1`: the first terms of its Chebyshev series.
const LN: [f64; 5] = [
    6.94e-5,
    0.996_261_9,
    -0.466_442_4,
    0.218_665_5,
    -0.055_459_3,
];
/// More than that is off anywhere, and than what the roundings after it can add: those of a time are
/// some 2⁻⁵⁰ of it, and a delay is below 38.
const LN_ERROR: f64 = 7.5e-5;

impl Bounds {
    /// The bounds of the time of a hash, for one over the weight.
    #[inline]
    pub(in crate::split) fn of(hash: u64, per_weight: f64) -> Self {
        const MANTISSA: u64 = (1 << 52) - 1;
        const ONE: u64 = 1023 << 52;
        let bits = unit(hash).to_bits();
        let exponent = ((bits >> 52) as i64 - 1023) as f64;
        let f = f64::from_bits(bits & MANTISSA | ONE) - 1.0;
        let square = f * f;
        let ln = (LN[0] + LN[1] * f) + (LN[2] + LN[3] * f + LN[4] * square) * square;
        let delay = -(exponent * std::f64::consts::LN_2 + ln);
        Self {
            low: (delay - LN_ERROR) * per_weight,
            high: (delay + LN_ERROR) * per_weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use crate::split::hash::{Bounds, Delay, KeyHash, LN_ERROR, NameHash, Score};

    proptest! {
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

        #[test]
        fn a_time_lies_between_its_bounds(hash in any::<u64>(), shift in 0_u32..64, weight in 1_u32..=1_000_000) {
            let hash: u64 = hash >> shift;
            for hash in [hash, !hash] {
                let bounds = Bounds::of(hash, 1.0 / f64::from(weight));
                let time = Delay::of(hash).value() / f64::from(weight);
                prop_assert!(bounds.low < time && time < bounds.high, "{} {:?}", time, bounds);
            }
        }
    }

    #[test]
    fn the_bounds_hold_with_room_all_over_an_octave() {
        for n in 0..1_000_000_u64 {
            // From a half to one, where ln is all there is.
            let hash = 1 << 63 | n << 43;
            let bounds = Bounds::of(hash, 1.0);
            let middle = f64::midpoint(bounds.low, bounds.high);
            let error = (middle - Delay::of(hash).value()).abs();
            assert!(error < 0.95 * LN_ERROR, "{hash:x}: {error}");
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

    /// How far counts are from being all the same, in standard deviations of the chi-squared
    /// distribution.
    fn unevenness(counts: &[u32]) -> f64 {
        let expected = counts.iter().sum::<u32>() as f64 / counts.len() as f64;
        let squares = counts
            .iter()
            .map(|&n| (f64::from(n) - expected).powi(2) / expected);
        let freedom = counts.len() as f64 - 1.0;
        (squares.sum::<f64>() - freedom) / (2.0 * freedom).sqrt()
    }

    /// Holds that the hashes of keys for three variants fall evenly into the cells of a cube.
    #[track_caller]
    fn check_independent(seed: u64, names: [&str; 3]) {
        const N_KEYS: u32 = 400_000;
        let names = names.map(NameHash::new);
        let mut counts = vec![0_u32; 16 * 16 * 16];
        for n in 0..N_KEYS {
            let key = KeyHash::new(seed, n.to_string().as_bytes());
            let cell = names
                .iter()
                .fold(0, |cell, &name| cell << 4 | key.of(name) >> 60);
            counts[cell as usize] += 1;
        }
        let off = unevenness(&counts);
        assert!(off.abs() < 5.0, "{names:?}: {off}");
    }

    #[test]
    fn the_hashes_of_variants_know_nothing_of_each_other() {
        check_independent(0, ["stable", "canary", "beta"]);
        check_independent(1, ["a", "b", "c"]);
        check_independent(0, ["v1", "v2", "v3"]);
        check_independent(u64::MAX, ["variant-10", "variant-11", "variant-12"]);
    }

    #[test]
    fn a_slice_is_a_hash_for_a_name_that_no_variant_has() {
        let name = NameHash::new("");
        for n in 0..100_u64 {
            let key = KeyHash::new(n, &n.to_be_bytes());
            assert_eq!(u64::from(key.slice()), key.of(name) >> 60);
        }
        check_independent(0, ["", "stable", "canary"]);
        check_independent(7, ["", "a", "b"]);
    }

    #[test]
    fn the_hashes_of_two_salts_know_nothing_of_each_other() {
        let name = NameHash::new("canary");
        let mut counts = vec![0_u32; 64 * 64];
        for n in 0..400_000_u32 {
            let key = n.to_string();
            let [one, other] = [1, 2].map(|seed| KeyHash::new(seed, key.as_bytes()).of(name) >> 58);
            counts[(one << 6 | other) as usize] += 1;
        }
        let off = unevenness(&counts);
        assert!(off.abs() < 5.0, "{off}");
    }
}
