//! Which rule serves: segments, schedules, and what splits divide by.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::SystemTime;

use serde_json::{Value as Json, json};

use crate::flag::tests::{
    answer, at, bucket_by, flags, known, known_at, rule, ruled, split, user, variant, weights,
};
use crate::flag::{Context, FlagSpec, Flags, RuleSpec, Serve};
use crate::segment::{Attribute, Value};

#[test]
fn the_first_rule_that_serves_decides() {
    let spec = ruled(vec![
        rule(&["country eq DE"], variant("on")),
        rule(&["country in DE|FR"], variant("off")),
        rule(&["plan eq beta"], split(1, 0)),
        RuleSpec::new(split(0, 1)),
    ]);
    let flags = flags(&[("f", spec)]);
    for (context, expected) in [
        (json!({"country": "DE"}), "on TARGETING_MATCH rule 0"),
        (json!({"country": "FR"}), "off TARGETING_MATCH rule 1"),
        (
            json!({"plan": "beta", "targetingKey": "u"}),
            "on TARGETING_MATCH rule 2",
        ),
        (json!({"targetingKey": "u"}), "off SPLIT rule 3"),
        (json!({"country": "IT"}), "off DEFAULT default"),
    ] {
        assert_eq!(
            answer(&flags, "f", &known(context.clone())),
            expected,
            "{context}"
        );
    }
}

#[test]
fn a_rule_holds_from_its_first_moment_to_before_its_last() {
    #[track_caller]
    fn check(from: Option<u64>, to: Option<u64>, now: u64, holds: bool) {
        let spec = ruled(vec![RuleSpec {
            from: from.map(at),
            to: to.map(at),
            ..RuleSpec::new(variant("on"))
        }]);
        let flags = flags(&[("f", spec)]);
        let expected = if holds {
            "on DEFAULT rule 0"
        } else {
            "off DEFAULT default"
        };
        assert_eq!(answer(&flags, "f", &known_at(now, json!({}))), expected);
    }
    for (now, holds) in [(9, false), (10, true), (19, true), (20, false)] {
        check(Some(10), Some(20), now, holds);
    }
    for (now, holds) in [(9, false), (10, true), (1 << 40, true)] {
        check(Some(10), None, now, holds);
    }
    for (now, holds) in [(0, true), (9, true), (10, false)] {
        check(None, Some(10), now, holds);
    }
    check(None, None, 0, true);
}

/// Who has `on` of a flag that divides in halves, of a hundred contexts.
fn cohort(flags: &Flags, context: impl Fn(usize) -> Json) -> BTreeSet<usize> {
    let with = (0..100).filter(|n| flags.evaluate(0, &known(context(*n))).name == "on");
    with.collect()
}

#[test]
fn a_rule_divides_by_what_it_names() {
    let by = |attribute: &str| {
        flags(&[(
            "f",
            ruled(vec![RuleSpec {
                bucket_by: bucket_by(attribute),
                ..RuleSpec::new(split(1, 1))
            }]),
        )])
    };
    let by_key = flags(&[("f", ruled(vec![RuleSpec::new(split(1, 1))]))]);
    let expected = cohort(&by_key, |n| json!({"targetingKey": n.to_string()}));
    assert!((30..70).contains(&expected.len()), "{}", expected.len());
    for (attribute, context) in [
        ("org_id", json!({"org_id": "KEY", "targetingKey": "u"})),
        ("header:x-user", json!({"header:x-user": "KEY"})),
        ("cookie:uid", json!({"cookie:uid": "KEY"})),
        ("query:u", json!({"query:u": "KEY"})),
        ("path", json!({"path": "KEY"})),
        ("method", json!({"method": "KEY"})),
        ("host", json!({"host": "KEY"})),
        ("targetingKey", json!({"targetingKey": "KEY"})),
    ] {
        let text = context.to_string();
        let of = |n: usize| serde_json::from_str(&text.replace("KEY", &n.to_string())).unwrap();
        assert_eq!(cohort(&by(attribute), of), expected, "{attribute}");
    }
    // A number is its text.
    assert_eq!(cohort(&by("org_id"), |n| json!({"org_id": n})), expected);
}

#[test]
fn an_address_is_one_client_as_for_routes() {
    let spec = ruled(vec![RuleSpec {
        bucket_by: bucket_by("client_ip"),
        ..RuleSpec::new(split(1, 1))
    }]);
    let by_client = flags(&[("f", spec)]);
    let by_key = flags(&[("f", ruled(vec![RuleSpec::new(split(1, 1))]))]);
    let expected = cohort(&by_key, |n| json!({"targetingKey": format!("192.0.2.{n}")}));
    let plain = cohort(&by_client, |n| json!({"client_ip": format!("192.0.2.{n}")}));
    let mapped = cohort(
        &by_client,
        |n| json!({"client_ip": format!("::ffff:192.0.2.{n}")}),
    );
    assert_eq!((&plain, &mapped), (&expected, &expected));

    let network = cohort(
        &by_client,
        |n| json!({"client_ip": format!("2001:db8::{n:x}")}),
    );
    assert!(network.is_empty() || network.len() == 100);
}

#[test]
fn without_anything_to_divide_by_a_rule_is_passed_over_and_counted() {
    let spec = FlagSpec {
        default: variant("on"),
        ..ruled(vec![
            RuleSpec {
                bucket_by: bucket_by("org_id"),
                ..RuleSpec::new(split(0, 1))
            },
            RuleSpec {
                bucket_by: bucket_by("client_ip"),
                ..RuleSpec::new(split(0, 1))
            },
            RuleSpec::new(split(0, 1)),
        ])
    };
    let flags = flags(&[("f", spec)]);
    for (context, missing, name) in [
        (json!({}), 3, "on"),
        (json!({"org_id": "", "targetingKey": ""}), 3, "on"),
        (json!({"org_id": null, "targetingKey": null}), 3, "on"),
        (json!({"org_id": ["a"]}), 3, "on"),
        (json!({"org_id": {"id": "a"}}), 3, "on"),
        (json!({"client_ip": "nobody"}), 3, "on"),
        (json!({"client_ip": "192.0.2.1"}), 1, "off"),
        (json!({"org_id": false}), 0, "off"),
        (json!({"org_id": 0}), 0, "off"),
        (json!({"targetingKey": "u"}), 2, "off"),
    ] {
        let evaluation = flags.evaluate(0, &known(context.clone()));
        assert_eq!(
            (evaluation.buckets_missing, evaluation.name),
            (missing, name),
            "{context}"
        );
    }
}

/// Somebody whose every key is empty, as a request may send it.
struct Empty;

impl Context for Empty {
    fn value(&self, _: &Attribute) -> Option<Value<'_>> {
        Some(Value::Text(Cow::Borrowed(b"")))
    }

    fn targeting_key(&self) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(b""))
    }

    fn now(&self) -> SystemTime {
        at(0)
    }
}

#[test]
fn all_who_send_an_empty_key_are_not_one_user() {
    for by in [None, bucket_by("org_id"), bucket_by("client_ip")] {
        let spec = ruled(vec![RuleSpec {
            bucket_by: by,
            ..RuleSpec::new(split(1, 0))
        }]);
        assert_eq!(
            answer(&flags(&[("f", spec)]), "f", &Empty),
            "off DEFAULT default"
        );
    }
}

#[test]
fn a_split_that_is_not_reached_is_not_missed() {
    let spec = ruled(vec![
        rule(&["country eq DE"], split(1, 1)),
        RuleSpec {
            to: Some(at(0)),
            ..RuleSpec::new(split(1, 1))
        },
    ]);
    let evaluated = flags(&[("f", spec)]);
    assert_eq!(evaluated.evaluate(0, &known(json!({}))).buckets_missing, 0);
    let german = known(json!({"country": "DE"}));
    assert_eq!(evaluated.evaluate(0, &german).buckets_missing, 1);
}

#[test]
fn a_salt_of_its_own_chooses_other_users_and_a_shared_one_the_same() {
    let salted = |flag: Option<&str>, rule: Option<&str>| {
        let spec = FlagSpec {
            salt: flag.map(str::to_owned),
            ..ruled(vec![RuleSpec {
                salt: rule.map(str::to_owned),
                ..RuleSpec::new(split(1, 1))
            }])
        };
        let flags = flags(&[("f", spec)]);
        let with = (0..200).filter(|n| flags.evaluate(0, &user(&n)).name == "on");
        with.collect::<Vec<_>>()
    };
    let own = salted(None, None);
    assert_eq!(salted(Some("f"), None), own);
    assert_eq!(salted(Some("x"), Some("f")), own);
    let shared = salted(Some("shared"), None);
    assert_ne!(shared, own);
    assert_eq!(salted(None, Some("shared")), shared);
}

#[test]
fn rules_are_called_by_their_names_or_their_numbers() {
    let spec = ruled(vec![
        RuleSpec {
            name: Some("ramp".to_owned()),
            ..RuleSpec::new(Serve::Split(weights(&[("on", 1)])))
        },
        RuleSpec::new(variant("on")),
    ]);
    let flags = flags(&[("f", spec)]);
    assert_eq!(
        (&*flags.rule_name(0, 0), &*flags.rule_name(0, 1)),
        ("ramp", "rule 2")
    );
}
