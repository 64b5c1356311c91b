//! What nobody can have meant, and where it is told to be.

use std::collections::BTreeMap;

use crate::flag::tests::{
    at, bucket_by, flags, needing, problems, rule, ruled, split, variant, weights,
};
use crate::flag::{
    Fault, FlagSpec, FlagValue, Inject, Kind, Part, Place, Prerequisite, RuleSpec, Serve,
};

/// Holds that this is all that is wrong with a flag.
#[track_caller]
fn check(spec: &FlagSpec, place: &Place, message: &str) {
    let problems = spec.problems();
    let [problem] = &problems[..] else {
        panic!("{problems:?}");
    };
    assert_eq!(
        (&problem.place, &*problem.fault.to_string()),
        (place, message)
    );
    assert_eq!(spec.check().unwrap_err(), *problem);
}

fn with_variants(kind: Kind, variants: &[(&str, FlagValue)]) -> FlagSpec {
    let variants = variants
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    FlagSpec {
        kind,
        variants: variants.collect(),
        ..FlagSpec::switch()
    }
}

#[test]
fn a_flag_has_variants() {
    let problems = with_variants(Kind::Boolean, &[]).problems();
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "the variants: empty; at least one variant belongs here",
            "the off variant: `off` is not a variant; there is none",
            "the default: `off` is not a variant; there is none",
        ]
    );
}

#[test]
fn values_are_of_the_kind_of_the_flag() {
    let values = [
        FlagValue::Boolean(true),
        FlagValue::String("x".to_owned()),
        FlagValue::Integer(1),
        FlagValue::Float(1.0),
        FlagValue::Object(serde_json::Map::new()),
    ];
    for kind in Kind::ALL {
        let fine = values.iter().find(|value| value.kind() == kind).unwrap();
        for value in &values {
            let spec = with_variants(kind, &[("off", fine.clone()), ("x", value.clone())]);
            if value.kind() == kind {
                assert_eq!(spec.check(), Ok(()));
                continue;
            }
            let message = format!(
                "not {}, as the values of a flag of type {kind} are",
                kind.takes()
            );
            check(&spec, &Place::Variant("x".to_owned()), &message);
        }
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let off = ("off", FlagValue::Float(0.0));
        let spec = with_variants(Kind::Float, &[off, ("x", FlagValue::Float(number))]);
        check(
            &spec,
            &Place::Variant("x".to_owned()),
            "not a finite number",
        );
    }
}

#[test]
fn a_variant_has_a_name() {
    for name in ["", "a b", "ü", "a/b", &"x".repeat(65)] {
        let off = ("off", FlagValue::Boolean(false));
        let spec = with_variants(Kind::Boolean, &[off, (name, FlagValue::Boolean(true))]);
        let message = format!(
            "`{name}` is not the name of a variant: 1 to 64 letters, digits, `-`, `_` or `.`"
        );
        check(&spec, &Place::Variant(name.to_owned()), &message);
    }
}

#[test]
fn a_flag_has_a_name() {
    for name in ["", "a b", "ü", "a/b", "a:b", &"x".repeat(129)] {
        let [problem] = &problems(&[(name, FlagSpec::switch())])[..] else {
            panic!("{name}");
        };
        assert!(
            problem.contains("the flag: not the name of a flag: 1 to 128"),
            "{problem}"
        );
    }
    for name in ["a", "new-checkout", "checkout-2.4.0+eu_1", &"x".repeat(128)] {
        assert_eq!(problems(&[(name, FlagSpec::switch())]), [""; 0]);
    }
}

#[test]
fn what_is_served_is_a_variant() {
    let message = "`blue` is not a variant; there are off, on";
    let blue = || variant("blue");
    let off_variant = "blue".to_owned();
    check(
        &FlagSpec {
            off_variant,
            ..FlagSpec::switch()
        },
        &Place::OffVariant,
        message,
    );
    check(
        &FlagSpec {
            default: blue(),
            ..FlagSpec::switch()
        },
        &Place::Default,
        message,
    );
    let second = ruled(vec![
        rule(&["a eq b"], variant("on")),
        RuleSpec::new(blue()),
    ]);
    check(&second, &Place::Rule(1, Part::Serve), message);
    let split = Serve::Split(weights(&[("blue", 1), ("on", 1)]));
    check(
        &ruled(vec![RuleSpec::new(split)]),
        &Place::Rule(0, Part::Serve),
        message,
    );
}

#[test]
fn weights_are_not_too_large_and_not_all_zero() {
    let divided = |weights: &[(&str, u32)]| {
        let weights = weights
            .iter()
            .map(|&(name, weight)| (name.to_owned(), weight));
        Serve::Split(weights.collect())
    };
    for (weights, message) in [
        (
            &[][..],
            "empty; at least one variant with its weight belongs here",
        ),
        (
            &[("on", 0), ("off", 0)],
            "all weights are 0; at least one must be more",
        ),
        (&[("on", 0)], "all weights are 0; at least one must be more"),
        (
            &[("on", 1_000_001), ("off", 1)],
            "weight 1000001 of `on` is over 1000000",
        ),
    ] {
        let default = divided(weights);
        check(
            &FlagSpec {
                default,
                ..FlagSpec::switch()
            },
            &Place::Default,
            message,
        );
        let spec = ruled(vec![RuleSpec::new(divided(weights))]);
        check(&spec, &Place::Rule(0, Part::Serve), message);
    }
    flags(&[("f", ruled(vec![RuleSpec::new(split(0, 1_000_000))]))]);
}

#[test]
fn a_fault_of_a_split_names_its_key() {
    let weights = BTreeMap::from([("blue".to_owned(), 1), ("on".to_owned(), 2_000_000)]);
    let problems = ruled(vec![RuleSpec::new(Serve::Split(weights))]).problems();
    let keys: Vec<_> = problems.iter().map(|it| it.fault.variant()).collect();
    assert_eq!(keys, [Some("blue"), Some("on")]);
    assert_eq!(Fault::AllZero.variant(), None);
}

#[test]
fn a_salt_is_not_empty() {
    let message = "empty; without a salt the name of the flag is it";
    let salt = Some(String::new());
    let flag = FlagSpec {
        salt: salt.clone(),
        ..FlagSpec::switch()
    };
    check(&flag, &Place::Salt, message);
    let rule = RuleSpec {
        salt,
        ..RuleSpec::new(split(1, 1))
    };
    check(&ruled(vec![rule]), &Place::Rule(0, Part::Salt), message);
}

#[test]
fn a_rule_holds_at_some_time() {
    for to in [10, 9] {
        let rule = RuleSpec {
            from: Some(at(10)),
            to: Some(at(to)),
            ..RuleSpec::new(variant("on"))
        };
        let message = "`to` is not after `from`, so the rule never holds";
        check(&ruled(vec![rule]), &Place::Rule(0, Part::To), message);
    }
}

#[test]
fn a_rule_is_asked_sometimes() {
    let on = || RuleSpec::new(variant("on"));
    let message = "never asked: rule 1 before it serves everybody always";
    let spec = ruled(vec![on(), rule(&["a eq b"], variant("off"))]);
    check(&spec, &Place::Rule(1, Part::Whole), message);
    let scheduled = RuleSpec {
        from: Some(at(1)),
        ..on()
    };
    let divided = RuleSpec::new(split(1, 1));
    let targeted = rule(&["a eq b"], variant("on"));
    flags(&[("f", ruled(vec![scheduled, divided, targeted, on()]))]);
}

#[test]
fn a_rule_divides_by_what_tells_users_apart() {
    let rule = RuleSpec {
        bucket_by: bucket_by("flag:other"),
        ..RuleSpec::new(split(1, 1))
    };
    let place = &Place::Rule(0, Part::BucketBy);
    check(
        &ruled(vec![rule]),
        place,
        "`flag:other` tells no users apart",
    );
}

#[test]
fn rules_have_names_of_their_own() {
    let named = |name: Option<&str>| RuleSpec {
        name: name.map(str::to_owned),
        ..RuleSpec::new(split(1, 1))
    };
    let spec = ruled(vec![
        named(None),
        named(Some("ramp")),
        named(None),
        named(Some("ramp")),
    ]);
    check(
        &spec,
        &Place::Rule(3, Part::Name),
        "rule 2 has this name already",
    );
}

#[test]
fn a_flag_is_needed_once() {
    let mut spec = needing(&["b", "c", "b"]);
    spec.prerequisites[2] = Prerequisite {
        flag: "b".to_owned(),
        variant: "off".to_owned(),
    };
    let message = "prerequisite 1 is about flag `b` already";
    check(&spec, &Place::PrerequisiteFlag(2), message);
}

#[test]
fn a_header_has_a_name() {
    let inject = |header: &str| FlagSpec {
        inject: Some(Inject {
            header: header.to_owned(),
            routes: vec!["shop".to_owned()],
        }),
        ..FlagSpec::switch()
    };
    assert_eq!(inject("x-flag").check(), Ok(()));
    check(
        &inject("x flag"),
        &Place::InjectHeader,
        "`x flag` is not the name of a header",
    );
}

#[test]
fn all_problems_of_all_flags_are_told_with_their_places() {
    let a = FlagSpec {
        default: variant("blue"),
        ..needing(&["gone"])
    };
    let b = ruled(vec![RuleSpec::new(split(0, 0))]);
    assert_eq!(
        problems(&[("a", a), ("b", b), ("c", FlagSpec::switch())]),
        [
            "flag `a`: the default: `blue` is not a variant; there are off, on",
            "flag `a`: prerequisite 1: there is no flag `gone`",
            "flag `b`: rule 1, what it serves: all weights are 0; at least one must be more",
        ]
    );
}
