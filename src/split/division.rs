//! Divisions: weights over the variants of a split, and who is picked by them, by a key's hash or by
//! a point of the draw, with who stands in for one that is unavailable.

use crate::split::hash::{Bounds, KeyHash, NameHash, Score};
use crate::split::spec::{State, VariantSpec};

/// Weights over the variants of a split.
#[derive(Clone, Debug)]
pub(in crate::split) struct Division {
    /// The weight of each variant, in the order of the split.
    weights: Box<[u32]>,
    /// Who may get new assignments, by name. At least one.
    pub(in crate::split) candidates: Vec<Candidate>,
    /// The sum of the candidates' weights.
    total: u64,
    /// False when every variant that has a weight is off: then these are the candidates, so that
    /// somebody is charged, but nobody serves.
    pub(in crate::split) is_open: bool,
}

/// A variant with a weight.
#[derive(Clone, Debug)]
pub(in crate::split) struct Candidate {
    /// The variant.
    pub(in crate::split) variant: usize,
    /// Its weight, which is not zero.
    pub(in crate::split) weight: u32,
    /// One over the weight.
    per_weight: f64,
    /// The hash of its name.
    name: NameHash,
}

impl Division {
    /// Prepares the weights of variants, one for each in their order; one at least is not zero.
    pub(in crate::split) fn new(variants: &[VariantSpec], weights: &[u32]) -> Self {
        let weighted = || {
            let pairs = variants.iter().zip(weights).enumerate();
            pairs.filter(|(_, (_, weight))| **weight > 0)
        };
        let is_open = weighted().any(|(_, (variant, _))| variant.state == State::On);
        let mut candidates: Vec<_> = weighted()
            .filter(|(_, (variant, _))| variant.state == State::On || !is_open)
            .map(|(index, (variant, &weight))| Candidate {
                variant: index,
                weight,
                per_weight: f64::from(weight).recip(),
                name: NameHash::new(&variant.name),
            })
            .collect();
        candidates.sort_by_key(|candidate| &variants[candidate.variant].name);
        Self {
            weights: weights.into(),
            total: candidates
                .iter()
                .map(|candidate| u64::from(candidate.weight))
                .sum(),
            candidates,
            is_open,
        }
    }

    /// A variant's weight.
    pub(in crate::split) fn weight(&self, variant: usize) -> u32 {
        self.weights[variant]
    }

    /// The sum of all weights that count.
    pub(in crate::split) fn total(&self) -> u64 {
        self.total
    }

    /// A variant's part of new assignments, 0 to 1, while all that are on are available.
    pub(in crate::split) fn share(&self, variant: usize) -> f64 {
        let own = self
            .candidates
            .iter()
            .find(|candidate| self.is_open && candidate.variant == variant);
        own.map_or(0.0, |own| f64::from(own.weight) / self.total as f64)
    }

    /// The variant that a key has, and the one that serves it.
    pub(in crate::split) fn hashed(
        &self,
        key: KeyHash,
        available: impl Fn(usize) -> bool,
    ) -> (usize, Option<usize>) {
        let chosen = self.by_hash(key, |_| true);
        let chosen = chosen.expect("a division has at least one candidate");
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
        key: KeyHash,
        may: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if let [only] = &self.candidates[..] {
            return may(only.variant).then_some(only.variant);
        }
        let mut first: Option<(usize, Bounds)> = None;
        let mut second = f64::INFINITY;
        for candidate in &self.candidates {
            let bounds = Bounds::of(key.of(candidate.name), candidate.per_weight);
            if first.is_some_and(|(_, first)| first.low <= bounds.low) {
                if bounds.low < second && may(candidate.variant) {
                    second = bounds.low;
                }
            } else if may(candidate.variant) {
                if let Some((_, former)) = first {
                    second = former.low;
                }
                first = Some((candidate.variant, bounds));
            }
        }
        let (variant, bounds) = first?;
        if bounds.high < second {
            return Some(variant);
        }
        self.by_score(key, bounds.high, may).or(Some(variant))
    }

    /// The candidate with the greatest score of those that may be and whose time may be as short as
    /// this.
    fn by_score(&self, key: KeyHash, time: f64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best: Option<(usize, Score)> = None;
        for candidate in &self.candidates {
            let bounds = Bounds::of(key.of(candidate.name), candidate.per_weight);
            if time < bounds.low || !may(candidate.variant) {
                continue;
            }
            let score = Score {
                weight: candidate.weight,
                delay: key.delay(candidate.name),
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
        let (chosen, rest) = drawn.expect("a division has at least one candidate");
        if !self.is_open {
            return (chosen, None);
        }
        if available(chosen) {
            return (chosen, Some(chosen));
        }
        // Where in its part the point was decides among the others, so each gets its share of it.
        (
            chosen,
            self.by_draw(rest, |variant| variant != chosen && available(variant)),
        )
    }

    /// The variant that has a point when it is divided among those that may be.
    pub(in crate::split) fn by_draw(
        &self,
        point: u64,
        may: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        // Each is asked once: an answer that changes in between must not leave the request to nobody.
        let among: Vec<_> = self
            .candidates
            .iter()
            .filter(|candidate| may(candidate.variant))
            .collect();
        let total = among.iter().map(|one| u64::from(one.weight)).sum();
        by_point(point, total, &mut among.into_iter()).map(|(variant, _)| variant)
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use crate::split::division::{Candidate, Division};
    use crate::split::hash::{Bounds, KeyHash};
    use crate::split::spec::{State, VariantSpec};

    fn division(weights: &[u32]) -> Division {
        let variants = weights.iter().enumerate().map(|(n, &weight)| VariantSpec {
            name: format!("v{n}"),
            weight,
            state: State::On,
        });
        Division::new(&variants.collect::<Vec<_>>(), weights)
    }

    proptest! {
        #[test]
        fn who_has_a_key_is_who_has_the_greatest_score(
            weights in vec(1_u32..=1_000_000, 2..20),
            seed in any::<u64>(),
            keys in vec(any::<[u8; 6]>(), 100),
            gone in 0_usize..20,
        ) {
            let division = division(&weights);
            for key in keys {
                let may = |variant: usize| variant != gone;
                let hash = KeyHash::new(seed, &key);
                prop_assert_eq!(
                    division.by_hash(hash, may),
                    division.by_score(hash, f64::INFINITY, may)
                );
            }
        }
    }

    #[test]
    fn bounds_that_overlap_leave_it_to_the_scores() {
        // Enough variants and keys for some to be too close for the bounds.
        let weights = [10; 64];
        let division = division(&weights);
        let n_close = (0..20_000_u32).filter(|n| {
            let key = n.to_be_bytes();
            let hash = KeyHash::new(7, &key);
            let exact = division.by_score(hash, f64::INFINITY, |_| true);
            assert_eq!(division.by_hash(hash, |_| true), exact, "{n}");
            let bounds =
                |candidate: &Candidate| Bounds::of(hash.of(candidate.name), candidate.per_weight);
            let all = || division.candidates.iter().map(bounds);
            let high = all().map(|bounds| bounds.high).fold(f64::MAX, f64::min);
            all().filter(|bounds| bounds.low <= high).count() > 1
        });
        assert!(n_close.count() > 50);
    }
}
