//! Who decides before whom, and the reason that is told.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::json;

use crate::flag::tests::{
    answer, flags, known, needing, ruled, set, specs, split, user, variant, weights,
};
use crate::flag::{
    Cause, FlagSpec, FlagValue, Flags, Kind, Ramp, Reason, RuleSpec, Runtime, Serve,
};

/// A flag that everything says something of: a rule, a default and an off variant of their own.
fn full() -> FlagSpec {
    FlagSpec {
        kind: Kind::String,
        variants: ["off", "default", "override", "ramp", "rule"]
            .map(|name| (name.to_owned(), FlagValue::String(name.to_uppercase())))
            .into(),
        default: variant("default"),
        ..ruled(vec![RuleSpec::new(variant("rule"))])
    }
}

fn all_set() -> Runtime {
    Runtime {
        killed: true,
        enabled: Some(false),
        serve: Some(variant("override")),
        release: Some(Ramp {
            weights: weights(&[("ramp", 1)]),
            salt: None,
        }),
    }
}

#[track_caller]
fn check(runtime: Runtime, expected: &str) {
    assert_eq!(answer(&set(&full(), runtime), "f", &user("u")), expected);
}

#[test]
fn a_kill_goes_before_all() {
    check(all_set(), "off DISABLED killed");
}

#[test]
fn a_disabled_flag_obeys_nothing_else() {
    let killed = false;
    check(
        Runtime {
            killed,
            ..all_set()
        },
        "off DISABLED disabled",
    );
}

#[test]
fn an_override_goes_before_releases_and_rules() {
    let set = Runtime {
        killed: false,
        enabled: None,
        ..all_set()
    };
    check(set, "override STATIC override");
}

#[test]
fn a_release_goes_before_the_rules_for_everybody() {
    let set = Runtime {
        killed: false,
        enabled: None,
        serve: None,
        ..all_set()
    };
    check(set, "ramp SPLIT release");
}

#[test]
fn a_flag_of_which_nothing_is_set_obeys_its_file() {
    check(Runtime::default(), "rule DEFAULT rule 0");
}

#[test]
fn what_is_enabled_at_run_time_goes_before_what_the_file_says() {
    for (file, runtime, expected) in [
        (true, None, "off STATIC default"),
        (true, Some(false), "off DISABLED disabled"),
        (false, None, "off DISABLED disabled"),
        (false, Some(true), "off STATIC default"),
    ] {
        let spec = FlagSpec {
            enabled: file,
            ..FlagSpec::switch()
        };
        let flags = set(
            &spec,
            Runtime {
                enabled: runtime,
                ..Runtime::default()
            },
        );
        assert_eq!(
            answer(&flags, "f", &user("u")),
            expected,
            "{file} {runtime:?}"
        );
        assert_eq!(flags.is_enabled(0), runtime.unwrap_or(file));
    }
}

#[test]
fn a_prerequisite_that_is_not_met_goes_before_an_override() {
    let written = specs(&[("f", needing(&["other"])), ("other", FlagSpec::switch())]);
    let runtime = Runtime {
        serve: Some(variant("on")),
        ..Runtime::default()
    };
    let runtime = BTreeMap::from([("f".to_owned(), runtime)]);
    let flags = Flags::new(&written, &runtime).unwrap();
    assert_eq!(
        answer(&flags, "f", &user("u")),
        "off DISABLED prerequisite other"
    );
}

#[test]
fn a_default_is_static_only_where_nothing_else_could_answer() {
    let plain = FlagSpec::switch();
    assert_eq!(
        answer(&flags(&[("f", plain)]), "f", &user("u")),
        "off STATIC default"
    );

    let ruled = ruled(vec![RuleSpec {
        to: Some(SystemTime::UNIX_EPOCH),
        ..RuleSpec::new(variant("on"))
    }]);
    assert_eq!(
        answer(&flags(&[("f", ruled)]), "f", &user("u")),
        "off DEFAULT default"
    );

    let divided = FlagSpec {
        default: split(0, 1),
        ..FlagSpec::switch()
    };
    let divided = flags(&[("f", divided)]);
    assert_eq!(answer(&divided, "f", &user("u")), "off SPLIT default");
    assert_eq!(
        answer(&divided, "f", &known(json!({}))),
        "off DEFAULT default"
    );
}

#[test]
fn a_default_that_cannot_divide_gives_the_off_variant() {
    let spec = FlagSpec {
        default: split(1, 0),
        ..FlagSpec::switch()
    };
    let flags = flags(&[("f", spec)]);
    let somebody = known(json!({}));
    let evaluation = flags.evaluate(0, &somebody);
    assert_eq!((evaluation.name, evaluation.buckets_missing), ("off", 1));
    assert_eq!(flags.evaluate(0, &user("u")).name, "on");
}

#[test]
fn an_override_may_divide_and_leaves_those_whom_it_cannot_to_the_rules() {
    let spec = ruled(vec![RuleSpec::new(variant("on"))]);
    let runtime = Runtime {
        serve: Some(split(0, 1)),
        ..Runtime::default()
    };
    let flags = set(&spec, runtime.clone());
    assert!(flags.is_overridden(0));
    assert_eq!(answer(&flags, "f", &user("u")), "off SPLIT override");
    let somebody = known(json!({}));
    assert_eq!(answer(&flags, "f", &somebody), "on DEFAULT rule 0");
    assert_eq!(flags.evaluate(0, &somebody).buckets_missing, 1);

    let flags = set(&FlagSpec::switch(), runtime);
    assert_eq!(answer(&flags, "f", &somebody), "off DEFAULT default");
}

#[test]
fn an_answer_has_all_that_is_told_of_it() {
    let flags = set(&full(), Runtime::default());
    let evaluation = flags.evaluate(0, &user("u"));
    assert_eq!(evaluation.flag, 0);
    assert_eq!(flags.variants(0)[evaluation.variant], "rule");
    assert_eq!(flags.value(0, evaluation.variant), evaluation.value);
    assert_eq!(*evaluation.value, FlagValue::String("RULE".to_owned()));
    assert_eq!(evaluation.reason, Reason::Default);
    assert_eq!(evaluation.cause, Cause::Rule(0));
    assert_eq!(flags.rule_name(0, 0), "rule 1");
    assert_eq!(flags.variants(0)[flags.off_variant(0)], "off");
    assert_eq!((flags.position("f"), flags.position("g")), (Some(0), None));
    assert_eq!(
        (flags.name(0), flags.len(), flags.is_empty()),
        ("f", 1, false)
    );
    assert!(Flags::default().is_empty());
}

#[test]
fn what_a_changed_flag_cannot_obey_is_left_out_and_told() {
    let flags = set(
        &FlagSpec::switch(),
        Runtime {
            killed: true,
            enabled: Some(true),
            serve: Some(variant("blue")),
            release: Some(Ramp {
                weights: weights(&[("on", 0)]),
                salt: None,
            }),
        },
    );
    assert!(flags.is_killed(0) && !flags.is_overridden(0) && !flags.is_rolled_out(0));
    let told: Vec<String> = flags.ignored().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "flag `f`: the override: `blue` is not a variant; there are off, on",
            "flag `f`: the weights of the release: all weights are 0; at least one must be more",
        ]
    );

    let gone = BTreeMap::from([("gone".to_owned(), Runtime::default())]);
    let flags = Flags::new(&specs(&[("f", FlagSpec::switch())]), &gone).unwrap();
    assert!(flags.ignored().is_empty());
    assert_eq!(answer(&flags, "f", &user("u")), "off STATIC default");
}

#[test]
fn reasons_have_the_names_of_openfeature() {
    let names = Reason::ALL.map(Reason::name);
    let expected = [
        "STATIC",
        "DEFAULT",
        "TARGETING_MATCH",
        "SPLIT",
        "DISABLED",
        "UNKNOWN",
    ];
    assert_eq!(names, expected);
}

#[test]
fn all_weight_on_one_variant_is_still_a_split() {
    let spec = ruled(vec![RuleSpec::new(Serve::Split(weights(&[("on", 1)])))]);
    assert_eq!(
        answer(&flags(&[("f", spec)]), "f", &user("u")),
        "on SPLIT rule 0"
    );
}
