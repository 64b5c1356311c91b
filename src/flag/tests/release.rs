//! Flags that a release rolls out.

use serde_json::json;

use crate::flag::tests::{
    answer, at, bucket_by, flags, known, released, rule, ruled, split, user, variant, weights,
};
use crate::flag::{FlagSpec, Flags, RuleSpec, Serve};

#[test]
fn a_release_stands_in_for_all_from_the_first_rule_without_a_segment_on() {
    let spec = FlagSpec {
        default: variant("off"),
        ..ruled(vec![
            rule(&["plan eq staff"], variant("off")),
            RuleSpec::new(split(0, 1)),
            rule(&["plan eq beta"], variant("off")),
        ])
    };
    let flags = released(&spec, 1, 0, None);
    assert!(flags.is_rolled_out(0));
    for (context, expected) in [
        (
            json!({"plan": "staff", "targetingKey": "u"}),
            "off TARGETING_MATCH rule 0",
        ),
        (
            json!({"plan": "beta", "targetingKey": "u"}),
            "on SPLIT release",
        ),
        (json!({"targetingKey": "u"}), "on SPLIT release"),
        // Nothing to divide by: the rules that it stands in for do not come back.
        (json!({"plan": "beta"}), "off DEFAULT default"),
    ] {
        assert_eq!(
            answer(&flags, "f", &known(context.clone())),
            expected,
            "{context}"
        );
    }
    assert_eq!(flags.evaluate(0, &known(json!({}))).buckets_missing, 1);
}

#[test]
fn a_release_of_a_flag_without_such_a_rule_stands_in_for_the_default() {
    let targeted = rule(&["plan eq beta"], variant("off"));
    for rules in [vec![], vec![targeted]] {
        let flags = released(&ruled(rules), 1, 0, None);
        assert_eq!(answer(&flags, "f", &user("u")), "on SPLIT release");
        assert_eq!(
            answer(&flags, "f", &known(json!({}))),
            "off DEFAULT default"
        );
    }
}

#[test]
fn a_release_does_not_wait_for_the_schedule_of_the_rule() {
    let spec = ruled(vec![RuleSpec {
        from: Some(at(1_000)),
        ..RuleSpec::new(split(0, 1))
    }]);
    assert_eq!(
        answer(&released(&spec, 1, 0, None), "f", &user("u")),
        "on SPLIT release"
    );
}

#[test]
fn a_release_divides_by_what_the_rule_divides_by_and_with_its_salt() {
    let with = |salt: Option<&str>, on, off| RuleSpec {
        bucket_by: bucket_by("org_id"),
        salt: salt.map(str::to_owned),
        ..RuleSpec::new(split(on, off))
    };
    let who = |flags: &Flags| {
        let with = (0..200).filter(|n| {
            let context = known(json!({"org_id": n, "targetingKey": "u"}));
            flags.evaluate(0, &context).name == "on"
        });
        with.collect::<Vec<_>>()
    };
    for salt in [None, Some("shared")] {
        let half = who(&flags(&[("f", ruled(vec![with(salt, 1, 1)]))]));
        let spec = ruled(vec![with(salt, 0, 1)]);
        assert_eq!(who(&released(&spec, 1, 1, None)), half);
        let fresh = who(&released(&spec, 1, 1, Some("fresh")));
        assert_ne!(fresh, half);
        let other = ruled(vec![with(Some("fresh"), 1, 1)]);
        assert_eq!(who(&flags(&[("f", other)])), fresh);
    }
}

#[test]
fn a_roll_out_has_the_weights_that_a_release_would_move() {
    #[track_caller]
    fn check(rules: Vec<RuleSpec>, default: Serve, expected: &[(&str, u32)]) {
        let spec = FlagSpec {
            default,
            ..ruled(rules)
        };
        assert_eq!(spec.roll_out(), weights(expected));
    }
    let targeted = || rule(&["a eq b"], split(7, 3));
    check(vec![], variant("off"), &[("off", 100), ("on", 0)]);
    check(vec![], split(10, 90), &[("off", 90), ("on", 10)]);
    check(vec![targeted()], variant("on"), &[("off", 0), ("on", 100)]);
    let ramp = RuleSpec::new(Serve::Split(weights(&[("on", 5)])));
    let last = RuleSpec::new(split(1, 1));
    check(
        vec![targeted(), ramp, last],
        variant("on"),
        &[("off", 0), ("on", 5)],
    );
}
