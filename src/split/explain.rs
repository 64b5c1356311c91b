//! Explaining: why a key has its variant, and what would move it.

use crate::split::Split;
use crate::split::hash::{Delay, NameHash};
use crate::split::spec::State;

/// Why a key has its variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The variant that the key has while all are available.
    pub chosen: usize,
    /// How each variant stands for the key, in the order of the split.
    pub variants: Vec<Standing>,
}

/// How a variant stands for a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Its weight.
    pub weight: u32,
    /// Whether it may be used at all.
    pub state: State,
    /// Its part of all assignments, 0 to 1.
    pub share: f64,
    /// `-ln u` of the key's hash for it: the smaller, the more the key leans to it.
    pub delay: f64,
    /// Its weight over its delay; the key has the variant where that is greatest.
    pub score: f64,
    /// Where the key would move to this variant, or away from it if it is the chosen one. `None`
    /// when no weight could do that: it is off, or alone.
    pub flip: Option<Flip>,
}

/// The point at which a key moves to a variant: above it the key is there, below it elsewhere, as
/// long as the weights of the other variants stay as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flip {
    /// The variant's weight at that point; not a whole number, and maybe larger than any weight.
    pub weight: f64,
    /// The variant's share at that point, 0 to 1. Of two variants a and b it is
    /// `delay_a / (delay_a + delay_b)`, whatever their weights.
    pub share: f64,
}

impl Split {
    /// Explains which variant a key has by the weights of a rule, or of the route, while all are
    /// available, and why.
    pub fn explain(&self, rule: Option<usize>, key: &[u8]) -> Explanation {
        let division = self.division_of(rule);
        let hash = self.hash(key);
        let delays: Vec<Delay> = self
            .variants
            .iter()
            .map(|variant| hash.delay(NameHash::new(&variant.name)))
            .collect();
        let score = |variant: usize| f64::from(division.weight(variant)) / delays[variant].value();
        let variants = (0..self.variants.len())
            .map(|index| {
                let variant = &self.variants[index];
                let rivals = division
                    .candidates
                    .iter()
                    .filter(|rival| rival.variant != index);
                let best = rivals
                    .clone()
                    .map(|rival| score(rival.variant))
                    .fold(0.0, f64::max);
                let others: f64 = rivals.map(|rival| f64::from(rival.weight)).sum();
                let delay = delays[index].value();
                let weight = best * delay;
                let usable = variant.state == State::On || !division.is_open;
                Standing {
                    weight: division.weight(index),
                    state: variant.state,
                    share: division.share(index),
                    delay,
                    score: score(index),
                    flip: (usable && others > 0.0 && weight.is_finite()).then(|| Flip {
                        weight,
                        share: weight / (weight + others),
                    }),
                }
            })
            .collect();
        Explanation {
            chosen: division.hashed(hash, |_| true).0,
            variants,
        }
    }
}
