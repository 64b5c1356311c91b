//! Picking: among the variants that have a weight, by a key's hash or by a point of the draw, and who
//! stands in for one that is unavailable.

use crate::split::Split;
use crate::split::hash::{KeyHasher, Score};

/// A variant with a weight.
#[derive(Clone, Debug)]
pub(in crate::split) struct Candidate {
    /// The variant.
    pub(in crate::split) variant: usize,
    /// Its weight, which is not zero.
    pub(in crate::split) weight: u32,
    /// The name and a zero byte: what is hashed before the key.
    pub(in crate::split) prefix: Box<[u8]>,
}

impl Split {
    /// The variant that a key has, and the one that serves it.
    pub(in crate::split) fn hashed(
        &self,
        key: &[u8],
        available: impl Fn(usize) -> bool,
    ) -> (usize, Option<usize>) {
        let chosen = self.by_hash(key, |_| true);
        let chosen = chosen.expect("a split has at least one candidate");
        if !self.is_open {
            return (chosen, None);
        }
        if available(chosen) {
            return (chosen, Some(chosen));
        }
        (
            chosen,
            self.by_hash(key, |variant| variant != chosen && available(variant)),
        )
    }

    /// The candidate with the greatest score of those that may be.
    pub(in crate::split) fn by_hash(
        &self,
        key: &[u8],
        may: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if let [only] = &self.candidates[..] {
            return may(only.variant).then_some(only.variant);
        }
        let mut hasher = KeyHasher::new(self.seed, key);
        let mut best: Option<(usize, Score)> = None;
        for candidate in &self.candidates {
            if !may(candidate.variant) {
                continue;
            }
            let score = Score {
                weight: candidate.weight,
                delay: hasher.delay(&candidate.prefix),
            };
            // By name: of equal scores the first stays.
            if best.is_none_or(|(_, best)| score.beats(best)) {
                best = Some((candidate.variant, score));
            }
        }
        best.map(|(variant, _)| variant)
    }

    /// The variant that has this point of the draw, and the one that serves it.
    pub(in crate::split) fn drawn(
        &self,
        point: u64,
        available: impl Fn(usize) -> bool,
    ) -> (usize, Option<usize>) {
        let drawn = by_point(point, self.total, &mut self.candidates.iter());
        let (chosen, rest) = drawn.expect("a split has at least one candidate");
        if !self.is_open {
            return (chosen, None);
        }
        if available(chosen) {
            return (chosen, Some(chosen));
        }
        // Where in its part the point was decides among the others, so each gets its share of it.
        // Each is asked once: an answer that changes in between must not leave the request to nobody.
        let others: Vec<_> = self
            .candidates
            .iter()
            .filter(|other| other.variant != chosen && available(other.variant))
            .collect();
        let total = others.iter().map(|other| u64::from(other.weight)).sum();
        let stand_in = by_point(rest, total, &mut others.into_iter());
        (chosen, stand_in.map(|(variant, _)| variant))
    }
}

/// Divides 0 to 2⁶⁴ among candidates whose weights sum to `total`. Tells in whose part a point lies,
/// and where in that part, again as a point.
fn by_point<'a>(
    point: u64,
    total: u64,
    candidates: &mut impl Iterator<Item = &'a Candidate>,
) -> Option<(usize, u64)> {
    // A fixed point number: 64 bits of fraction.
    let mut left = u128::from(point) * u128::from(total);
    candidates.find_map(|candidate| {
        let part = u128::from(candidate.weight) << 64;
        if left < part {
            let rest = left / u128::from(candidate.weight);
            return Some((candidate.variant, rest as u64));
        }
        left -= part;
        None
    })
}
