//! What splits promise about users, over many thousands of keys.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use crate::split::{Split, SplitError, SplitSpec, State, VariantSpec};

/// Makes a split with the salt `shop` of `name=weight`, where a weight `off` is 10 with the state off.
pub(in crate::split) fn spec(variants: &str) -> SplitSpec {
    let variants = variants.split_whitespace().map(|variant| {
        let (name, weight) = variant.split_once('=').unwrap();
        VariantSpec {
            name: name.to_owned(),
            weight: weight.parse().unwrap_or(10),
            state: match weight {
                "off" => State::Off,
                _ => State::On,
            },
        }
    });
    SplitSpec {
        salt: "shop".to_owned(),
        variants: variants.collect(),
        rules: Vec::new(),
        sticky: None,
        force: None,
    }
}

pub(in crate::split) fn split(variants: &str) -> Split {
    Split::new(spec(variants)).unwrap()
}

/// A repeatable series of numbers that look random (SplitMix64).
pub(in crate::split) fn noise(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// So many keys of each kind that real users have: sequential numbers, UUIDs, IPv4 addresses.
fn populations(n_keys: u64) -> [(&'static str, Vec<String>); 3] {
    let uuid = |n: u64| {
        let (high, low) = (noise(2 * n), noise(2 * n + 1));
        let [a, b, c] = [high >> 32, high >> 16 & 0xffff, high & 0xfff];
        let [d, e] = [low >> 48 & 0x3fff | 0x8000, low & 0xffff_ffff_ffff];
        format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
    };
    let address = |n: u64| format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
    [
        ("numbers", (0..n_keys).map(|n| n.to_string()).collect()),
        ("uuids", (0..n_keys).map(uuid).collect()),
        ("addresses", (0..n_keys).map(address).collect()),
    ]
}

/// The variant that a key has.
fn holder(split: &Split, key: &[u8]) -> Option<usize> {
    split.division.by_hash(split.hash(key), |_| true)
}

/// The name of the variant that a key has.
pub(in crate::split) fn assigned<'a>(split: &'a Split, key: &str) -> &'a str {
    let variant = holder(split, key.as_bytes()).unwrap();
    &split.variants()[variant].name
}

/// How many keys go from which variant to which other one between two splits.
fn moves<'a>(
    before: &'a Split,
    after: &'a Split,
    keys: &[String],
) -> BTreeMap<(&'a str, &'a str), usize> {
    let mut moves = BTreeMap::new();
    for key in keys {
        let (from, to) = (assigned(before, key), assigned(after, key));
        if from != to {
            *moves.entry((from, to)).or_default() += 1;
        }
    }
    moves
}

/// Holds a count of keys near to what is expected, within five standard deviations.
#[track_caller]
fn check_near(n: usize, of: usize, share: f64, what: &str) {
    let expected = of as f64 * share;
    let tolerance = 5.0 * (expected * (1.0 - share)).sqrt() + 1.0;
    assert!(
        (n as f64 - expected).abs() <= tolerance,
        "{what}: {n} instead of {expected} ± {tolerance}"
    );
}

#[test]
fn every_variant_has_its_share_of_users() {
    const N_KEYS: u64 = 200_000;
    for (kind, keys) in populations(N_KEYS) {
        for variants in [
            "stable=95 canary=5",
            "a=1 b=1",
            "a=1000 b=1",
            "a=80 b=15 c=5",
            "a=7 b=0 c=off d=3",
        ] {
            let split = split(variants);
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for key in &keys {
                *counts.entry(assigned(&split, key)).or_default() += 1;
            }
            for (index, variant) in split.variants().iter().enumerate() {
                let n = counts.get(&*variant.name).copied().unwrap_or_default();
                let what = format!("{kind}, {variants}: {}", variant.name);
                check_near(n, keys.len(), split.share(None, index), &what);
            }
        }
    }
}

/// Changes one weight, and holds that users move only to or only from its variant, and no more of
/// them than the shares demand.
#[track_caller]
fn check_one_weight(before: &str, after: &str, changed: &str, grows: bool, ideal: f64) {
    let (before_split, after_split) = (split(before), split(after));
    for (kind, keys) in populations(50_000) {
        let moves = moves(&before_split, &after_split, &keys);
        for &(from, to) in moves.keys() {
            let end = if grows { to } else { from };
            assert_eq!(end, changed, "{kind}, {before} → {after}: {from} → {to}");
        }
        let what = format!("{kind}, {before} → {after}");
        check_near(moves.values().sum(), keys.len(), ideal, &what);
    }
}

#[test]
fn a_change_of_one_weight_moves_only_as_many_users_as_it_must() {
    check_one_weight(
        "stable=95 canary=5",
        "stable=95 canary=10",
        "canary",
        true,
        10.0 / 105.0 - 0.05,
    );
    check_one_weight(
        "stable=100 canary=5",
        "stable=100 canary=10",
        "canary",
        true,
        10.0 / 110.0 - 5.0 / 105.0,
    );
    check_one_weight(
        "stable=1 canary=0",
        "stable=1 canary=1",
        "canary",
        true,
        0.5,
    );
    check_one_weight(
        "stable=90 canary=10",
        "stable=90 canary=0",
        "canary",
        false,
        0.1,
    );
    check_one_weight("a=80 b=15 c=5", "a=80 b=0 c=5", "b", false, 0.15);
    check_one_weight(
        "a=80 b=15 c=5",
        "a=80 b=30 c=5",
        "b",
        true,
        30.0 / 115.0 - 0.15,
    );
}

#[test]
fn a_new_variant_takes_its_share_and_moves_nobody_else() {
    check_one_weight("a=90 b=10", "a=90 b=10 c=10", "c", true, 10.0 / 110.0);
    check_one_weight("a=90 b=10 c=10", "a=90 b=10", "c", false, 10.0 / 110.0);
    check_one_weight(
        "a=90 b=10 c=10",
        "a=90 b=10 c=off",
        "c",
        false,
        10.0 / 110.0,
    );
}

#[test]
fn two_weights_changed_against_each_other_move_hardly_more_than_they_must() {
    let keys = &populations(100_000)[0].1;
    let of_two = split("stable=95 canary=5");
    check_near(
        moves(&of_two, &split("stable=90 canary=10"), keys)
            .values()
            .sum(),
        keys.len(),
        0.05,
        "two",
    );

    let (before, after) = (split("c1=5 c2=5 stable=90"), split("c1=10 c2=5 stable=85"));
    let moved: usize = moves(&before, &after, keys).values().sum();
    assert!(moved as f64 <= 0.056 * keys.len() as f64, "{moved}");
}

#[test]
fn scaling_and_re_ordering_move_nobody() {
    let before = split("a=80 b=15 c=5");
    for after in [
        "a=16 b=3 c=1",
        "c=5 a=80 b=15",
        "b=3000 c=1000 a=16000",
        "a=720720 b=135135 c=45045",
        "a=80 b=15 c=5 d=0 0=off",
    ] {
        for (kind, keys) in populations(50_000) {
            assert_eq!(
                moves(&before, &split(after), &keys),
                BTreeMap::new(),
                "{kind}, {after}"
            );
        }
    }
}

#[test]
fn a_failing_variant_moves_its_own_users_only_and_gives_them_back() {
    let split = split("a=80 b=15 c=5 d=0");
    let keys = &populations(50_000)[1].1;
    let without = self::split("a=80 c=5 d=0");
    let mut n_moved = 0;
    for key in keys {
        let (chosen, served) = split.hashed(None, key.as_bytes(), |variant| variant != 1);
        assert_eq!(split.variants()[chosen].name, assigned(&split, key));
        let served = &split.variants()[served.unwrap()].name;
        if chosen == 1 {
            n_moved += 1;
            // Whoever is left without it has what a split without it would give.
            assert_eq!(served, assigned(&without, key));
        } else {
            assert_eq!(served, assigned(&split, key));
        }
    }
    check_near(n_moved, keys.len(), 0.15, "moved");
}

#[test]
fn splits_of_one_salt_and_division_move_the_same_users_and_other_salts_others() {
    let shop = split("stable=80 canary=20");
    let same = Split::new(spec("canary=1 stable=4")).unwrap();
    let other = Split::new(SplitSpec {
        salt: "blog".to_owned(),
        ..spec("stable=80 canary=20")
    })
    .unwrap();
    let keys = &populations(50_000)[2].1;
    let mut n_both = 0;
    for key in keys {
        assert_eq!(assigned(&shop, key), assigned(&same, key));
        n_both +=
            usize::from(assigned(&shop, key) == "canary" && assigned(&other, key) == "canary");
    }
    check_near(n_both, keys.len(), 0.04, "canary in both");
}

#[test]
fn of_equal_scores_the_smaller_name_wins() {
    // Of all variants without a weight in common only one is left: it has everybody.
    let only = split("b=1 a=0 c=off");
    assert_eq!(assigned(&only, "x"), "b");
    // A real tie cannot be found by trying, so the scores themselves are asked.
    let twins = split("b=2 a=2");
    assert_eq!(twins.division.candidates[0].variant, 1);
}

proptest! {
    #[test]
    fn a_user_whose_variant_grows_stays(
        weights in vec(0_u32..=1000, 2..8),
        grown in any::<proptest::sample::Index>(),
        by in 1_u32..1000,
        salt in "[a-z]{0,8}",
        keys in vec(any::<u64>(), 100),
    ) {
        let grown = grown.index(weights.len());
        let with = |weights: &[u32]| SplitSpec {
            salt: salt.clone(),
            ..spec(&weights.iter().enumerate().map(|(n, weight)| format!("v{n}={weight} ")).collect::<String>())
        };
        let mut more = weights.clone();
        more[grown] += by;
        let after = Split::new(with(&more)).unwrap();
        let Ok(before) = Split::new(with(&weights)) else {
            return Ok(());
        };
        for key in keys {
            let key = key.to_le_bytes();
            let (from, to) = (holder(&before, &key), holder(&after, &key));
            prop_assert!(to == from || to == Some(grown));
        }
    }

    #[test]
    fn scaling_and_rotating_any_weights_moves_nobody(
        weights in vec(0_u32..=1000, 2..8),
        factor in 1_u32..=1000,
        by in 0_usize..8,
        keys in vec(any::<u64>(), 100),
    ) {
        let named: Vec<_> = weights.iter().enumerate().collect();
        let mut turned = named.clone();
        turned.rotate_left(by % named.len());
        let text = |named: &[(usize, &u32)], factor: u32| -> String {
            named.iter().map(|(n, weight)| format!("v{n}={} ", *weight * factor)).collect()
        };
        let Ok(before) = Split::new(spec(&text(&named, 1))) else {
            return Ok(());
        };
        let after = split(&text(&turned, factor));
        for key in keys {
            let key = key.to_string();
            prop_assert_eq!(assigned(&before, &key), assigned(&after, &key));
        }
    }

    #[test]
    fn a_key_moves_exactly_where_its_explanation_says(key in any::<u64>(), weights in vec(1_u32..=1000, 2..5)) {
        let key = key.to_le_bytes();
        let text = |weights: &[u32]| -> String {
            weights.iter().enumerate().map(|(n, weight)| format!("v{n}={weight} ")).collect()
        };
        let split = split(&text(&weights));
        let explanation = split.explain(None, &key);
        prop_assert_eq!(Some(explanation.chosen), holder(&split, &key));
        for (variant, standing) in explanation.variants.iter().enumerate() {
            let flip = standing.flip.unwrap();
            if !(2.0..1e6 - 2.0).contains(&flip.weight) {
                continue;
            }
            let others: u32 = weights.iter().sum::<u32>() - weights[variant];
            prop_assert!((flip.share - flip.weight / (flip.weight + f64::from(others))).abs() < 1e-12);
            prop_assert!((standing.share - split.share(None, variant)).abs() < 1e-12);
            for (weight, has_it) in [(flip.weight.floor() - 1.0, false), (flip.weight.ceil() + 1.0, true)] {
                let mut changed = weights.clone();
                changed[variant] = weight as u32;
                let chosen = holder(&self::split(&text(&changed)), &key);
                prop_assert_eq!(chosen == Some(variant), has_it);
            }
        }
    }
}

#[test]
fn with_two_variants_the_flip_share_is_the_same_for_both_ends() {
    let explanation = split("stable=95 canary=5").explain(None, b"42");
    let [stable, canary] = &explanation.variants[..] else {
        panic!("two variants");
    };
    let share = canary.delay / (canary.delay + stable.delay);
    assert!((canary.flip.unwrap().share - share).abs() < 1e-12);
    assert!((stable.flip.unwrap().share - (1.0 - share)).abs() < 1e-12);
    assert_eq!(explanation.chosen, usize::from(share < 0.05));
}

#[test]
fn a_key_cannot_flip_to_a_variant_that_is_off_nor_away_from_the_only_one() {
    let explanation = split("a=5 b=0 c=off").explain(None, b"42");
    let flips: Vec<_> = explanation
        .variants
        .iter()
        .map(|standing| standing.flip.is_some())
        .collect();
    assert_eq!(flips, [false, true, false]);
    assert_eq!(explanation.chosen, 0);
}

#[test]
fn a_split_that_nobody_can_have_meant_is_refused() {
    let refuse = |variants: &str| Split::new(spec(variants)).unwrap_err();
    assert_eq!(refuse(""), SplitError::NoVariants);
    assert_eq!(refuse("a=0 b=0"), SplitError::AllZero);
    assert_eq!(refuse("a=0"), SplitError::AllZero);
    assert_eq!(
        refuse("a=1 a=2"),
        SplitError::NameRepeated { name: "a".into() }
    );
    assert_eq!(
        refuse("a=1000001"),
        SplitError::Weight {
            name: "a".into(),
            weight: 1_000_001
        }
    );
    for name in ["", "ü", "a;b", &"a".repeat(65)] {
        assert_eq!(
            refuse(&format!("{name}=1")),
            SplitError::Name { name: name.into() }
        );
    }
    assert!(Split::new(spec("a=1000000 b=0")).is_ok());
}
