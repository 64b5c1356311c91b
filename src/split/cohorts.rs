//! Cohorts: who belongs to which of several names, by nothing but salt, names, weights and a key.

use xxhash_rust::xxh3::xxh3_64;

use crate::split::division::Division;
use crate::split::hash::KeyHash;
use crate::split::spec::{SplitError, SplitSpec, State, VariantSpec};

/// A division of keys among names, without a route around it.
///
/// It is the hash of a [`Split`](crate::split::Split) and nothing else: with its salt, its names
/// and its weights a key gets the same name here as a request with that key gets there.
#[derive(Clone, Debug)]
pub struct Cohorts {
    seed: u64,
    division: Division,
}

impl Cohorts {
    /// Prepares the division of keys among these names. Their order means nothing to who gets what.
    ///
    /// # Errors
    /// Where a split would refuse the same names and weights.
    pub fn new(salt: &str, weights: &[(&str, u32)]) -> Result<Self, SplitError> {
        let variants = weights.iter().map(|&(name, weight)| VariantSpec {
            name: name.to_owned(),
            weight,
            state: State::On,
        });
        let spec = SplitSpec {
            salt: salt.to_owned(),
            variants: variants.collect(),
            rules: Vec::new(),
            sticky: None,
            force: None,
        };
        spec.check()?;
        let weights: Vec<u32> = weights.iter().map(|&(_, weight)| weight).collect();
        Ok(Self {
            seed: xxh3_64(salt.as_bytes()),
            division: Division::new(&spec.variants, &weights),
        })
    }

    /// The name that a key has, by its place.
    pub fn of(&self, key: &[u8]) -> usize {
        let (chosen, _) = self.division.hashed(KeyHash::new(self.seed, key), |_| true);
        chosen
    }

    /// A name's part of all keys, 0 to 1.
    pub fn share(&self, name: usize) -> f64 {
        self.division.share(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use crate::split::{Cohorts, Split, SplitError, SplitSpec, State, VariantSpec};

    proptest! {
        #[test]
        fn a_key_has_the_same_name_as_in_a_split(
            weights in btree_map("[a-z0-9._-]{1,10}", 1_u32..=1_000_000, 1..12),
            salt in "[ -~]{0,12}",
            keys in vec(vec(any::<u8>(), 0..40), 50),
        ) {
            let split = Split::new(SplitSpec {
                salt: salt.clone(),
                // In another order.
                variants: weights.iter().rev().map(|(name, &weight)| VariantSpec {
                    name: name.clone(),
                    weight,
                    state: State::On,
                }).collect(),
                rules: Vec::new(),
                sticky: None,
                force: None,
            }).unwrap();
            let weights: Vec<_> = weights.iter().map(|(name, &weight)| (name.as_str(), weight)).collect();
            let cohorts = Cohorts::new(&salt, &weights).unwrap();
            for key in keys {
                let (variant, _) = split.hashed(None, &key, |_| true);
                let (name, _) = weights[cohorts.of(&key)];
                prop_assert_eq!(name, &split.variants()[variant].name);
            }
        }
    }

    #[test]
    fn a_share_is_a_weight_over_their_sum() {
        let cohorts = Cohorts::new("s", &[("a", 1), ("b", 0), ("c", 3)]).unwrap();
        let shares = [0, 1, 2].map(|name| cohorts.share(name));
        assert_eq!(shares, [0.25, 0.0, 0.75]);
        assert!((0..1000_u32).all(|n| cohorts.of(&n.to_be_bytes()) != 1));
    }

    #[test]
    fn what_a_split_refuses_is_refused() {
        let refuse = |weights: &[(&str, u32)]| Cohorts::new("s", weights).unwrap_err();
        assert_eq!(refuse(&[]), SplitError::NoVariants);
        assert_eq!(refuse(&[("a", 0)]), SplitError::AllZero);
        let name = "a".to_owned();
        assert_eq!(
            refuse(&[("a", 1), ("a", 1)]),
            SplitError::NameRepeated { name }
        );
        let name = "a b".to_owned();
        assert_eq!(refuse(&[("a b", 1)]), SplitError::Name { name });
    }
}
