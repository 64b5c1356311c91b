//! What rules promise: who is in a segment has its weights, and nobody else notices.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use crate::message::RequestHead;
use crate::segment::{ConditionSpec, Operand, Operator, Segment, SegmentSpec};
use crate::split::assign_tests::{assign, assign_among, request};
use crate::split::tests::{noise, spec};
use crate::split::{Asked, Draw, Force, Reason, RuleSpec, Split, SplitError, SplitSpec, Sticky};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A rule with these weights for requests whose header `x-plan` is its name.
fn rule(name: &str, weights: &[u32]) -> RuleSpec {
    let condition = ConditionSpec {
        attribute: "header:x-plan".parse().unwrap(),
        operator: Operator::Eq,
        operand: Operand::Text(name.to_owned()),
    };
    let segment = Segment::new(&SegmentSpec {
        any: vec![vec![condition]],
    });
    RuleSpec {
        name: name.to_owned(),
        segment: Arc::new(segment.unwrap()),
        weights: weights.to_vec(),
    }
}

/// A split that is sticky by the header `u`, with rules.
fn ruled(variants: &str, rules: &[(&str, &[u32])]) -> Split {
    Split::new(ruled_spec(variants, rules)).unwrap()
}

fn ruled_spec(variants: &str, rules: &[(&str, &[u32])]) -> SplitSpec {
    SplitSpec {
        rules: rules
            .iter()
            .map(|(name, weights)| rule(name, weights))
            .collect(),
        sticky: Some(Sticky {
            keys: vec!["header:u".parse().unwrap()],
            cookie: None,
            pin: None,
        }),
        ..spec(variants)
    }
}

fn user(key: &str, plan: &str) -> RequestHead {
    request("", &format!("u: {key}\nx-plan: {plan}"))
}

#[test]
fn the_first_rule_whose_segment_holds_has_the_weights() {
    let split = ruled(
        "a=1 b=0 c=0",
        &[("beta", &[0, 1, 0]), ("staff", &[0, 0, 1])],
    );
    for (plan, variant, rule) in [
        ("free", 0, None),
        ("beta", 1, Some(0)),
        ("staff", 2, Some(1)),
    ] {
        let assignment = assign(&split, &user("1", plan));
        assert_eq!(
            (assignment.variant, assignment.rule),
            (variant, rule),
            "{plan}"
        );
        assert_eq!(assignment.reason, Reason::Hash);
    }
    let drawn = assign(&split, &request("", "x-plan: beta"));
    assert_eq!((drawn.variant, drawn.rule), (1, Some(0)));
    assert_eq!(drawn.reason, Reason::Draw);
}

#[test]
fn who_forces_a_variant_is_under_no_rule() {
    let split = Split::new(SplitSpec {
        force: Some(Force {
            header: Some("x-variant".to_owned()),
            ..Force::default()
        }),
        ..ruled_spec("a=1 b=1", &[("beta", &[0, 1])])
    });
    let request = request("", "x-plan: beta\nx-variant: a");
    let assignment = assign(&split.unwrap(), &request);
    assert_eq!((assignment.variant, assignment.rule), (0, None));
}

#[test]
fn a_rule_of_variants_that_are_off_is_passed_over() {
    let rules: &[(&str, &[u32])] = &[("beta", &[0, 1, 0])];
    let split = ruled("a=1 b=off c=0", rules);
    let assignment = assign(&split, &user("1", "beta"));
    assert_eq!((assignment.variant, assignment.rule), (0, None));
    assert!(!split.is_open(0));
}

#[test]
fn where_nobody_of_a_rule_can_serve_those_of_the_route_do() {
    let split = ruled("a=1 b=0 c=0", &[("beta", &[0, 1, 0])]);
    for request in [user("1", "beta"), request("", "x-plan: beta")] {
        let assignment = assign_among(&split, &request, &[0, 2]);
        assert_eq!((assignment.variant, assignment.served), (1, Some(0)));
        assert!(assignment.failover);
        let assignment = assign_among(&split, &request, &[2]);
        assert_eq!((assignment.variant, assignment.served), (1, None));
    }
    // As long as one of the rule's can, it is that one.
    let split = ruled("a=1 b=0 c=0", &[("beta", &[0, 9, 1])]);
    let chosen = assign(&split, &user("1", "beta")).variant;
    let assignment = assign_among(&split, &user("1", "beta"), &[0, 3 - chosen]);
    assert_eq!(assignment.served, Some(3 - chosen));
}

#[test]
fn a_rule_draws_from_its_own_counter_exactly() {
    let split = ruled("a=95 b=5", &[("beta", &[50, 50])]);
    let draws = [Draw::new(1, noise(1)), Draw::new(1, noise(2))];
    let mut n_b = [0.0; 2];
    for n in 0..20_000_u32 {
        // One in three is in the segment, by a pattern that a shared counter would be biased by.
        let plan = if n % 3 == 0 { "beta" } else { "free" };
        let point = |rule: Option<usize>| draws[usize::from(rule.is_some())].point(0);
        let request = request("", &format!("x-plan: {plan}"));
        let assignment = split.assign(&Asked::plain(&request, CLIENT), point, || 0, |_| true);
        n_b[usize::from(plan == "beta")] += assignment.variant as f64;
    }
    assert!((n_b[0] - 13_333.0 * 0.05).abs() < 5.0, "{n_b:?}");
    assert!((n_b[1] - 6_667.0 * 0.5).abs() < 5.0, "{n_b:?}");
}

#[test]
fn a_user_flips_at_the_same_share_within_a_segment() {
    // Whatever the weights of the route are, a user of the segment is where a user of a route with
    // the rule's weights would be.
    let split = ruled("a=95 b=5", &[("beta", &[60, 40])]);
    let plain = ruled("a=60 b=40", &[]);
    for n in 0..2000 {
        let key = n.to_string();
        let within = assign(&split, &user(&key, "beta")).variant;
        assert_eq!(within, assign(&plain, &user(&key, "free")).variant);
        let explained = split.explain(Some(0), key.as_bytes());
        assert_eq!(explained.chosen, within);
        let outside = split.explain(None, key.as_bytes());
        let flip =
            |explanation: &crate::split::Explanation| explanation.variants[1].flip.unwrap().share;
        assert!((flip(&explained) - flip(&outside)).abs() < 1e-12);
    }
}

#[test]
fn two_routes_of_one_salt_move_the_same_users_under_their_rules() {
    let shop = ruled("stable=90 canary=10", &[("beta", &[50, 50])]);
    // Another order, another scale, and a rule of another place.
    let api = Split::new(ruled_spec(
        "canary=1 stable=9",
        &[("x", &[1, 0]), ("beta", &[7, 7])],
    ));
    let api = api.unwrap();
    for n in 0..2000 {
        for plan in ["free", "beta"] {
            let user = user(&n.to_string(), plan);
            let name = |split: &Split| {
                let variant = assign(split, &user).variant;
                split.variants()[variant].name.clone()
            };
            assert_eq!(name(&shop), name(&api), "{n} {plan}");
        }
    }
}

#[test]
fn rules_that_nobody_can_have_meant_are_refused() {
    for (rules, said) in [
        (&[("a", &[0, 0][..])][..], "has no weight but 0"),
        (&[("a", &[1, 1_000_001])], "has a weight over 1000000"),
        (
            &[("a", &[1])],
            "has not as many weights as there are variants",
        ),
        (
            &[("a", &[1, 1]), ("a", &[1, 0])],
            "comes after one of the same segment",
        ),
    ] {
        let error = Split::new(ruled_spec("a=1 b=1", rules)).unwrap_err();
        assert!(matches!(error, SplitError::Rule { .. }));
        assert!(error.to_string().contains(said), "{error}");
    }
}

proptest! {
    #[test]
    fn a_rule_that_grows_moves_users_of_its_segment_only_toward_what_grew(
        weights in vec(0_u32..=1000, 2..6),
        ruled in vec(0_u32..=1000, 6),
        grown in any::<proptest::sample::Index>(),
        by in 1_u32..1000,
        keys in vec(any::<u64>(), 100),
    ) {
        let n = weights.len();
        let grown = grown.index(n);
        let text: String = weights.iter().enumerate().map(|(n, weight)| format!("v{n}={weight} ")).collect();
        let mut more = ruled[..n].to_vec();
        more[grown] += by;
        let spec = |rule: &[u32]| Split::new(ruled_spec(&text, &[("beta", rule)]));
        let (Ok(before), Ok(after)) = (spec(&ruled[..n]), spec(&more)) else {
            return Ok(());
        };
        for key in keys {
            let key = key.to_string();
            let of = |split: &Split, plan: &str| assign_among(split, &user(&key, plan), &(0..n).collect::<Vec<_>>());
            let (from, to) = (of(&before, "beta").variant, of(&after, "beta").variant);
            prop_assert!(to == from || to == grown);
            // Outside nobody moves.
            prop_assert_eq!(of(&before, "free"), of(&after, "free"));
        }
    }
}
