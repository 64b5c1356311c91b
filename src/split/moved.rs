//! Who moves: the share of users that another division sends to another variant, exactly.
//!
//! A user's delays `L` are independent and exponentially distributed with rate 1, one for each name.
//! Under the weights `w` the variant with the least `L / w` has the user, under the weights `v` that
//! with the least `L / v`. Both of them together: let `u = w / v` for each variant. Users go from
//! `i` to `j` only where `u_j < u_i`, and integrating the joint density over all delays leaves
//!
//! ```text
//! P(i → j) = w_i v_j ∫ du / G(u)²   from u_j to u_i,   where G(u) = Σ max(w_k, u v_k)
//! ```
//!
//! `G` is linear between two neighbouring `u`, so the integral is a sum of fractions of whole numbers.
//! Splits with different salts know nothing of each other: there it is the product of both shares.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::split::Split;

/// The users that a change sends from one variant to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The name of the variant that they leave.
    pub from: String,
    /// The name of the variant that they come to.
    pub to: String,
    /// How many they are of all users, 0 to 1, and never 0.
    pub share: f64,
}

/// A variant before and after: of each weight, 0 where it is not there or off.
struct Pair<'s> {
    name: &'s str,
    before: u64,
    after: u64,
}

impl Pair<'_> {
    /// Compares `before / after` exactly; over 0 it is greater than anything.
    fn ratio(&self, other: &Self) -> Ordering {
        (self.before * other.after).cmp(&(other.before * self.after))
    }
}

impl Split {
    /// The users that move when `after` takes this split's place while all variants are available,
    /// by the names of the variants. Their sum is the share of users that move at all. Those of a
    /// segment obeyed the rule `rule` and will obey `rule_after`; none is the weights of the route.
    ///
    /// Both splits tell users apart by the same keys; otherwise see [`Split::moved_anew`].
    pub fn moved(&self, rule: Option<usize>, after: &Self, rule_after: Option<usize>) -> Vec<Flow> {
        if self.seed != after.seed {
            return self.moved_anew(rule, after, rule_after);
        }
        let mut pairs = self.pairs(rule, after, rule_after);
        pairs.sort_by(Pair::ratio);
        let pieces: Vec<f64> = (1..pairs.len()).map(|n| piece(&pairs, n)).collect();
        let mut flows = Vec::new();
        for (n, to) in pairs.iter().enumerate() {
            let mut integral = 0.0;
            for (from, piece) in pairs[n + 1..].iter().zip(&pieces[n..]) {
                integral += piece;
                let share = from.before as f64 * to.after as f64 * integral;
                flows.push(flow(from, to, share));
            }
        }
        sorted(flows)
    }

    /// The users that move when all are assigned anew: by other keys, or with another salt.
    pub fn moved_anew(
        &self,
        rule: Option<usize>,
        after: &Self,
        rule_after: Option<usize>,
    ) -> Vec<Flow> {
        let pairs = self.pairs(rule, after, rule_after);
        let total = self.division_of(rule).total();
        let all = total as f64 * after.division_of(rule_after).total() as f64;
        let flows = pairs.iter().flat_map(|from| {
            let others = pairs.iter().filter(|to| to.name != from.name);
            others.map(|to| flow(from, to, from.before as f64 * to.after as f64 / all))
        });
        sorted(flows.collect())
    }

    /// All variants that have a weight before or after.
    fn pairs<'s>(
        &'s self,
        rule: Option<usize>,
        after: &'s Self,
        rule_after: Option<usize>,
    ) -> Vec<Pair<'s>> {
        let mut weights: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for candidate in &self.division_of(rule).candidates {
            let name = self.variants[candidate.variant].name.as_str();
            weights.entry(name).or_default().0 = candidate.weight.into();
        }
        for candidate in &after.division_of(rule_after).candidates {
            let name = after.variants[candidate.variant].name.as_str();
            weights.entry(name).or_default().1 = candidate.weight.into();
        }
        let pairs = weights.into_iter().map(|(name, (before, after))| Pair {
            name,
            before,
            after,
        });
        pairs.collect()
    }
}

/// The integral of `1 / G²` from the ratio of the pair before the `n`th to the ratio of that.
///
/// Up to the one all pairs count with `after`, from the other on with `before`, so `G(u) = a + b u`,
/// and the integral from `p` to `q` is `(q − p) / (G(p) G(q))`. Expanded by what the ratios are over,
/// that is a fraction of whole numbers, also where the last ratio is over 0.
fn piece(pairs: &[Pair<'_>], n: usize) -> f64 {
    let (low, high) = (&pairs[n - 1], &pairs[n]);
    let a: u64 = pairs[n..].iter().map(|pair| pair.before).sum();
    let b: u64 = pairs[..n].iter().map(|pair| pair.after).sum();
    let difference = high.before * low.after - low.before * high.after;
    let at = |pair: &Pair<'_>| {
        let value =
            u128::from(a) * u128::from(pair.after) + u128::from(b) * u128::from(pair.before);
        value as f64
    };
    if difference == 0 {
        return 0.0;
    }
    difference as f64 / at(low) / at(high)
}

fn flow(from: &Pair<'_>, to: &Pair<'_>, share: f64) -> Flow {
    Flow {
        from: from.name.to_owned(),
        to: to.name.to_owned(),
        share,
    }
}

/// The flows that are something, by their names.
fn sorted(mut flows: Vec<Flow>) -> Vec<Flow> {
    flows.retain(|flow| flow.share > 0.0);
    flows.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
    flows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use crate::split::moved::Flow;
    use crate::split::tests::{assigned, noise, spec, split};
    use crate::split::{Split, SplitSpec};

    fn total(flows: &[Flow]) -> f64 {
        flows.iter().map(|flow| flow.share).sum()
    }

    /// Holds the flows against what becomes of 200 000 keys, within five standard deviations.
    #[track_caller]
    fn check_simulated(before: &Split, after: &Split, flows: &[Flow]) {
        const N_KEYS: u64 = 200_000;
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for flow in flows {
            counts.insert((&flow.from, &flow.to), 0);
        }
        for n in 0..N_KEYS {
            let key = noise(n).to_string();
            let (from, to) = (assigned(before, &key), assigned(after, &key));
            if from != to {
                *counts.entry((from, to)).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), flows.len(), "{counts:?} {flows:?}");
        for (flow, (way, &n)) in flows.iter().zip(&counts) {
            assert_eq!((flow.from.as_str(), flow.to.as_str()), *way);
            let expected = N_KEYS as f64 * flow.share;
            let tolerance = 5.0 * (expected * (1.0 - flow.share)).sqrt() + 1.0;
            let off = (n as f64 - expected).abs();
            assert!(
                off <= tolerance,
                "{way:?}: {n} instead of {expected} ± {tolerance}"
            );
        }
    }

    /// Two divisions, the share of users that moves between them, and how much of it leaves variants
    /// whose own share does not shrink.
    #[track_caller]
    fn check(before: &str, after: &str, moved: f64, needless: f64) {
        let (before, after) = (split(before), split(after));
        let flows = before.moved(None, &after, None);
        assert!((total(&flows) - moved).abs() < 1e-12, "{flows:?}");
        let share = |split: &Split, name: &str| {
            let mut variants = split.variants().iter();
            let variant = variants.position(|variant| variant.name == name);
            variant.map_or(0.0, |variant| split.share(None, variant))
        };
        let does_not_shrink =
            |flow: &&Flow| share(&before, &flow.from) <= share(&after, &flow.from);
        let left: f64 = flows
            .iter()
            .filter(does_not_shrink)
            .map(|flow| flow.share)
            .sum();
        assert!((left - needless).abs() < 1e-12, "{flows:?}");
        check_simulated(&before, &after, &flows);
    }

    #[test]
    fn as_many_users_move_as_a_simulation_finds() {
        check("stable=95 canary=5", "stable=90 canary=10", 0.05, 0.0);
        check(
            "stable=100 canary=5",
            "stable=100 canary=10",
            10.0 / 110.0 - 5.0 / 105.0,
            0.0,
        );
        check("stable=95 canary=5", "stable=19 canary=1", 0.0, 0.0);
        check("stable=80 canary=20", "canary=20 stable=80", 0.0, 0.0);
        check("a=80 b=15 c=5", "a=80 b=0 c=5", 0.15, 0.0);
        check("a=90 b=10", "a=90 b=10 c=10", 10.0 / 110.0, 0.0);
        // 5 % would do; what is needless goes from c2, which keeps its share, and to it.
        let needless = 1.0 / 420.0;
        check(
            "c1=5 c2=5 stable=90",
            "c1=10 c2=5 stable=85",
            0.05 + needless,
            needless,
        );
        for (before, after) in [
            ("a=1 b=2 c=3 d=4", "a=4 b=3 c=2 d=1"),
            ("a=1000000 b=1 c=7 d=0", "a=1 b=999983 c=7 e=3"),
        ] {
            let (before, after) = (split(before), split(after));
            check_simulated(&before, &after, &before.moved(None, &after, None));
        }
    }

    #[test]
    fn what_is_off_or_renamed_loses_its_users_to_all_others() {
        check("stable=95 canary=5", "stable=95 canary=off", 0.05, 0.0);
        check("blue=1", "green=1", 1.0, 0.0);
        // A third has the same variant before and after.
        check("a=50 b=50", "a=50 c=50", 2.0 / 3.0, 1.0 / 6.0);
        let flows = split("a=50 b=50").moved(None, &split("a=50 c=50"), None);
        let of = |from: &str, to: &str| {
            let flow = flows.iter().find(|flow| flow.from == from && flow.to == to);
            flow.map_or(0.0, |flow| flow.share)
        };
        assert!((of("b", "a") - 1.0 / 6.0).abs() < 1e-12, "{flows:?}");
        assert!((of("a", "c") - 1.0 / 6.0).abs() < 1e-12, "{flows:?}");
        assert!((of("b", "c") - 1.0 / 3.0).abs() < 1e-12, "{flows:?}");
    }

    #[test]
    fn another_salt_assigns_everybody_anew() {
        let before = split("stable=95 canary=5");
        let after = Split::new(SplitSpec {
            salt: "other".to_owned(),
            ..spec("stable=90 canary=10")
        })
        .unwrap();
        let flows = before.moved(None, &after, None);
        assert_eq!(flows, before.moved_anew(None, &after, None));
        assert!((total(&flows) - (0.95 * 0.1 + 0.05 * 0.9)).abs() < 1e-12);
        check_simulated(&before, &after, &flows);
    }

    fn text(weights: &[u32]) -> String {
        let variants = weights.iter().enumerate();
        variants
            .map(|(n, weight)| format!("v{n}={weight} "))
            .collect()
    }

    proptest! {
        #[test]
        fn what_leaves_and_what_comes_is_the_difference_of_the_shares(
            weights in vec((0_u32..=1_000_000, 0_u32..=1_000_000), 1..8),
        ) {
            let (before, after): (Vec<u32>, Vec<u32>) = weights.into_iter().unzip();
            let (Ok(before), Ok(after)) = (Split::new(spec(&text(&before))), Split::new(spec(&text(&after)))) else {
                return Ok(());
            };
            let flows = before.moved(None, &after, None);
            let mut stay = 0.0;
            for (n, variant) in before.variants().iter().enumerate() {
                let sum = |flows: Vec<&Flow>| flows.iter().map(|flow| flow.share).sum::<f64>();
                let out = sum(flows.iter().filter(|flow| flow.from == variant.name).collect());
                let into = sum(flows.iter().filter(|flow| flow.to == variant.name).collect());
                prop_assert!((before.share(None, n) - out + into - after.share(None, n)).abs() < 1e-12);
                // Who stays has the least delay under both, and that is known by itself.
                let (w, v) = (f64::from(variant.weight), f64::from(after.variants()[n].weight));
                if w > 0.0 && v > 0.0 {
                    let both = before.variants().iter().zip(after.variants());
                    let all: f64 = both.map(|(k, l)| {
                        f64::from(k.weight).max(f64::from(l.weight) * w / v)
                    }).sum();
                    stay += w / all;
                    prop_assert!((before.share(None, n) - out - w / all).abs() < 1e-12);
                }
            }
            prop_assert!((total(&flows) + stay - 1.0).abs() < 1e-12);
        }

        #[test]
        fn a_change_of_one_weight_moves_only_to_it_or_only_from_it(
            weights in vec(1_u32..=1000, 2..8), to in 0_u32..=1000,
        ) {
            let mut changed = weights.clone();
            changed[0] = to;
            let (before, after) = (split(&text(&weights)), split(&text(&changed)));
            let flows = before.moved(None, &after, None);
            let difference = (before.share(None, 0) - after.share(None, 0)).abs();
            prop_assert!((total(&flows) - difference).abs() < 1e-12);
            for flow in flows {
                prop_assert_eq!(if weights[0] < to { flow.to } else { flow.from }, "v0");
            }
        }

        #[test]
        fn another_scale_moves_nobody(weights in vec(1_u32..=1000, 1..8), factor in 1_u32..=1000) {
            let scaled: Vec<u32> = weights.iter().map(|weight| weight * factor).collect();
            prop_assert_eq!(split(&text(&weights)).moved(None, &split(&text(&scaled)), None), []);
        }
    }
}
