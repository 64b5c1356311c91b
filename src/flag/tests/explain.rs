//! What each line of the order of decision says.

use std::collections::BTreeMap;

use proptest::prelude::{any, prop_assert_eq, proptest};
use serde_json::json;

use crate::flag::tests::{
    at, flags, known, known_at, needing, released, rule, ruled, segment, set, specs, split, user,
    variant, weights,
};
use crate::flag::{
    Cause, FlagSpec, Flags, JsonContext, Line, Outcome, Ramp, RuleSpec, Runtime, Step,
};

/// A line as text, with what it said.
fn told(step: &Step<'_>) -> String {
    let line = match &step.line {
        Line::Kill => "kill".to_owned(),
        Line::Disable => "disable".to_owned(),
        Line::Prerequisite { flag, wants, has } => format!("{flag} wants {wants}, has {has}"),
        Line::Override => "override".to_owned(),
        Line::Rule { name, groups, .. } => {
            let conditions = groups.iter().flatten();
            let held = conditions.map(|it| format!(" [{}: {}]", it.condition, it.holds));
            format!("{name}{}", held.collect::<String>())
        }
        Line::Release => "release".to_owned(),
        Line::Default => "default".to_owned(),
    };
    format!("{line}: {:?}", step.outcome)
}

#[track_caller]
fn check(flags: &Flags, context: &JsonContext, expected: &[&str]) {
    let steps = flags.explain(0, context);
    assert_eq!(steps.iter().map(told).collect::<Vec<_>>(), expected);
}

#[test]
fn every_rule_tells_why_it_did_not_serve() {
    let soon = RuleSpec {
        name: Some("soon".to_owned()),
        from: Some(at(20)),
        ..RuleSpec::new(variant("on"))
    };
    let over = RuleSpec {
        to: Some(at(10)),
        ..RuleSpec::new(variant("on"))
    };
    let spec = ruled(vec![
        soon,
        over,
        rule(&["country in DE|FR", "plan eq beta"], variant("on")),
        RuleSpec::new(split(1, 1)),
        RuleSpec::new(variant("on")),
    ]);
    check(
        &flags(&[("f", spec)]),
        &known_at(10, json!({"country": "DE"})),
        &[
            "kill: NotSet",
            "disable: NotSet",
            "override: NotSet",
            &format!("soon: {:?}", Outcome::NotBefore(at(20))),
            &format!("rule 2: {:?}", Outcome::NotSince(at(10))),
            "rule 3 [country in DE, FR: true] [plan eq beta: false]: SegmentFails",
            "rule 4: NoBucketKey",
            "rule 5: Decided { variant: \"on\", reason: Default }",
            "default: NotAsked",
        ],
    );
}

#[test]
fn conditions_are_told_of_rules_that_are_not_asked_too() {
    let spec = ruled(vec![
        rule(&["a eq 1"], variant("on")),
        rule(&["b eq 1"], variant("off")),
    ]);
    check(
        &flags(&[("f", spec)]),
        &known(json!({"a": 1, "b": 1})),
        &[
            "kill: NotSet",
            "disable: NotSet",
            "override: NotSet",
            "rule 1 [a eq 1: true]: Decided { variant: \"on\", reason: TargetingMatch }",
            "rule 2 [b eq 1: true]: NotAsked",
            "default: NotAsked",
        ],
    );
}

#[test]
fn prerequisites_tell_what_they_want_and_have() {
    let flags = flags(&[
        ("a", needing(&["b", "c"])),
        ("b", needing(&[])),
        ("c", FlagSpec::switch()),
    ]);
    check(
        &flags,
        &user("u"),
        &[
            "kill: NotSet",
            "disable: NotSet",
            "b wants on, has on: Met",
            "c wants on, has off: Decided { variant: \"off\", reason: Disabled }",
            "override: NotAsked",
            "default: NotAsked",
        ],
    );
}

#[test]
fn a_killed_flag_is_not_asked_further() {
    let runtime = Runtime {
        killed: true,
        enabled: Some(false),
        ..Runtime::default()
    };
    check(
        &set(&FlagSpec::switch(), runtime),
        &user("u"),
        &[
            "kill: Decided { variant: \"off\", reason: Disabled }",
            "disable: NotAsked",
            "override: NotAsked",
            "default: NotAsked",
        ],
    );
}

#[test]
fn a_release_is_a_line_and_its_rules_are_replaced() {
    let spec = ruled(vec![
        rule(&["a eq 1"], variant("off")),
        RuleSpec::new(split(0, 1)),
        rule(&["b eq 1"], variant("off")),
    ]);
    check(
        &released(&spec, 1, 0, None),
        &user("u"),
        &[
            "kill: NotSet",
            "disable: NotSet",
            "override: NotSet",
            "rule 1 [a eq 1: false]: SegmentFails",
            "rule 2: Replaced",
            "rule 3 [b eq 1: false]: Replaced",
            "release: Decided { variant: \"on\", reason: Split }",
            "default: NotAsked",
        ],
    );
}

#[test]
fn a_flag_in_a_segment_is_told_as_a_condition() {
    let a = RuleSpec {
        segment: segment(&["flag:b eq on"]),
        ..RuleSpec::new(variant("on"))
    };
    let steps = flags(&[("a", ruled(vec![a])), ("b", needing(&[]))]);
    let told: Vec<String> = steps.explain(0, &user("u")).iter().map(told).collect();
    let expected =
        "rule 1 [flag:b eq on: true]: Decided { variant: \"on\", reason: TargetingMatch }";
    assert_eq!(told[3], expected);
}

proptest! {
    #[test]
    fn the_line_that_decided_is_the_answer(
        killed in any::<bool>(), enabled in any::<Option<bool>>(),
        over in 0_usize..3, release in any::<bool>(), needs in any::<bool>(),
        country in any::<Option<bool>>(), keyed in any::<bool>(), default in any::<bool>(),
    ) {
        let spec = FlagSpec {
            prerequisites: needing(if needs { &["g"] } else { &[] }).prerequisites,
            default: if default { split(1, 1) } else { variant("on") },
            ..ruled(vec![
                rule(&["country eq DE"], split(1, 3)),
                RuleSpec { to: Some(at(0)), ..RuleSpec::new(variant("on")) },
                RuleSpec::new(split(1, 1)),
            ])
        };
        let runtime = Runtime {
            killed,
            enabled,
            serve: [None, Some(variant("on")), Some(split(1, 1))][over].clone(),
            release: release.then(|| Ramp { weights: weights(&[("on", 1), ("off", 2)]), salt: None }),
        };
        let runtime = BTreeMap::from([("f".to_owned(), runtime)]);
        let flags = Flags::new(&specs(&[("f", spec), ("g", FlagSpec::switch())]), &runtime).unwrap();
        let mut context = json!({});
        if let Some(german) = country {
            context["country"] = json!(if german { "DE" } else { "FR" });
        }
        if keyed {
            context["targetingKey"] = json!("u");
        }
        let context = known(context);
        let answer = flags.evaluate(0, &context);
        let steps = flags.explain(0, &context);
        let decided: Vec<_> = steps.iter().filter(|step| step.outcome.is_decisive()).collect();
        prop_assert_eq!(decided.len(), 1);
        let expected = Outcome::Decided { variant: answer.name, reason: answer.reason };
        prop_assert_eq!(decided[0].outcome, expected);
        let cause = match &decided[0].line {
            Line::Kill => Cause::Killed,
            Line::Disable => Cause::Disabled,
            Line::Prerequisite { flag, .. } => Cause::Prerequisite(flag),
            Line::Override => Cause::Override,
            Line::Rule { rule, .. } => Cause::Rule(*rule),
            Line::Release => Cause::Release,
            Line::Default => Cause::Default,
        };
        prop_assert_eq!(cause, answer.cause);
        let missing = steps.iter().filter(|step| step.outcome == Outcome::NoBucketKey).count();
        // A default that cannot divide decides nevertheless.
        let by_default = usize::from(cause == Cause::Default && default && !keyed);
        prop_assert_eq!(missing + by_default, answer.buckets_missing as usize);
    }
}
