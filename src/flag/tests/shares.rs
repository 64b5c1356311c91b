//! Who is moved by a change of shares: as few as can be, one way, and alike in flags and routes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::collection::{btree_map, vec};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use crate::flag::tests::{flags, released, ruled, split, user};
use crate::flag::{Evaluation, FlagSpec, FlagValue, Flags, Kind, RuleSpec, Serve};
use crate::message::RequestHead;
use crate::split::{Asked, Draw, Key, Split, SplitSpec, State, Sticky, VariantSpec};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A flag that divides by these weights, which are its variants, too.
fn dividing(weights: &BTreeMap<String, u32>, salt: &str) -> FlagSpec {
    let mut names = weights.keys();
    let values = names
        .clone()
        .map(|it| (it.clone(), FlagValue::String(it.clone())));
    FlagSpec {
        kind: Kind::String,
        variants: values.collect(),
        off_variant: names.next().unwrap().clone(),
        default: Serve::Split(weights.clone()),
        salt: Some(salt.to_owned()),
        ..FlagSpec::switch()
    }
}

/// A route with these variants that keeps users by a header.
fn route(weights: &BTreeMap<String, u32>, salt: &str) -> Split {
    let variants = weights.iter().map(|(name, &weight)| VariantSpec {
        name: name.clone(),
        weight,
        state: State::On,
    });
    Split::new(SplitSpec {
        salt: salt.to_owned(),
        variants: variants.collect(),
        rules: Vec::new(),
        sticky: Some(Sticky {
            keys: vec![Key::Header("x-user".to_owned())],
            ..Sticky::default()
        }),
        force: None,
    })
    .unwrap()
}

/// The variant of a route that a user gets.
fn routed<'s>(split: &'s Split, user: &str) -> &'s str {
    let mut request = RequestHead::default();
    request.append_field(b"x-user", user.as_bytes());
    let draw = Draw::new(1, 0);
    let assignment = split.assign(
        &Asked::plain(&request, CLIENT),
        |_| draw.point(0),
        || 0,
        |_| true,
    );
    &split.variants()[assignment.variant].name
}

/// Whether a user has `on`.
fn has(flags: &Flags, name: &str) -> bool {
    let user = user(name);
    let Evaluation { name, .. } = flags.evaluate(0, &user);
    name == "on"
}

proptest! {
    #[test]
    fn a_flag_and_a_route_of_one_salt_divide_users_alike(
        weights in btree_map("[a-zA-Z0-9._-]{1,12}", 0_u32..=1_000_000, 1..8),
        salt in "[a-z-]{1,12}",
        keys in vec("[ -~]{1,40}", 20),
    ) {
        let mut weights = weights;
        // One at least has a weight.
        *weights.values_mut().next().unwrap() += 1;
        let weights = weights.into_iter().map(|(name, weight)| (name, weight.min(1_000_000)));
        let weights = weights.collect();
        let flags = flags(&[("f", dividing(&weights, &salt))]);
        let split = route(&weights, &salt);
        for key in keys.iter().map(|key| key.trim()).filter(|key| !key.is_empty()) {
            let user = user(key);
            prop_assert_eq!(flags.evaluate(0, &user).name, routed(&split, key), "{:?}", key);
        }
    }

    #[test]
    fn raising_a_percentage_moves_users_one_way_only(
        mut steps in vec(0_u32..=100, 2..6),
        salt in "[a-z]{1,8}",
        seed in any::<u32>(),
    ) {
        steps.sort_unstable();
        let spec = |on: u32| FlagSpec {
            salt: Some(salt.clone()),
            ..ruled(vec![RuleSpec::new(split(on, 100 - on))])
        };
        // Every other step is set by a release over the file's first.
        let first = spec(steps[0]);
        let of_steps = steps.iter().enumerate().map(|(n, &on)| match n % 2 {
            0 => flags(&[("f", spec(on))]),
            _ => released(&first, on, 100 - on, None),
        });
        let of_steps: Vec<_> = of_steps.collect();
        for n in 0..50 {
            let key = format!("{seed}-{n}");
            let had: Vec<bool> = of_steps.iter().map(|flags| has(flags, &key)).collect();
            prop_assert!(had.is_sorted(), "{}: {:?} at {:?}", key, had, steps);
        }
    }

    #[test]
    fn whom_a_weight_is_raised_for_moves_there_or_stays(
        weights in btree_map("[a-z]{1,6}", 1_u32..=1000, 2..6),
        more in 1_u32..=1000,
        seed in any::<u32>(),
    ) {
        let raised = weights.keys().next().unwrap().clone();
        let mut after = weights.clone();
        *after.get_mut(&raised).unwrap() += more;
        let before = flags(&[("f", dividing(&weights, "s"))]);
        let after = flags(&[("f", dividing(&after, "s"))]);
        for n in 0..50 {
            let user = user(&format!("{seed}-{n}"));
            let (from, to) = (before.evaluate(0, &user).name, after.evaluate(0, &user).name);
            prop_assert!(from == to || to == raised, "{} → {} for {}", from, to, raised);
        }
    }

    #[test]
    fn weights_divide_by_their_proportion(on in 0_u32..=1000, off in 1_u32..=1000, by in 1_u32..=1000, key in "[a-z0-9]{1,20}") {
        let of = |on, off| flags(&[("f", ruled(vec![RuleSpec::new(split(on, off))]))]);
        prop_assert_eq!(has(&of(on, off), &key), has(&of(on * by, off * by), &key));
    }
}

#[test]
fn as_many_have_a_variant_as_its_share_says() {
    for (on, expected) in [(0, 0.0), (1, 0.01), (10, 0.1), (50, 0.5), (100, 1.0)] {
        let flags = flags(&[("f", ruled(vec![RuleSpec::new(split(on, 100 - on))]))]);
        let n_on = (0..20_000)
            .filter(|n| has(&flags, &format!("user-{n}")))
            .count();
        // Five standard deviations of the binomial distribution.
        let off = (n_on as f64 - expected * 20_000.0).abs();
        let allowed = 5.0 * (20_000.0 * expected * (1.0 - expected)).sqrt();
        assert!(off <= allowed, "{on} %: {n_on}");
    }
}
