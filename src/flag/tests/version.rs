//! Versions: what changes them, and what does not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde_json::json;

use crate::flag::tests::{
    at, bucket_by, flags, needing, rule, ruled, segment, split, variant, weights,
};
use crate::flag::{FlagSpec, FlagValue, Inject, Kind, Prerequisite, RuleSpec, Serve};

/// A flag of which everything can be changed.
fn full() -> FlagSpec {
    FlagSpec {
        rules: vec![
            RuleSpec {
                name: Some("beta".to_owned()),
                ..rule(&["country in DE|FR", "age ge 18"], variant("on"))
            },
            RuleSpec {
                bucket_by: bucket_by("org_id"),
                salt: Some("salt".to_owned()),
                from: Some(at(10)),
                to: Some(at(20)),
                ..RuleSpec::new(split(10, 90))
            },
        ],
        ..needing(&["other"])
    }
}

/// Holds that a change changes the version, or does not.
#[track_caller]
fn check(changes: bool, change: impl FnOnce(&mut FlagSpec)) {
    let before = full();
    let mut after = full();
    change(&mut after);
    assert_ne!(before, after, "nothing was changed");
    assert_eq!(before.version("f") != after.version("f"), changes);
}

#[test]
fn what_decides_changes_the_version() {
    check(true, |it| it.enabled = false);
    check(true, |it| it.off_variant = "on".to_owned());
    check(true, |it| it.default = variant("off"));
    check(true, |it| it.default = split(1, 0));
    check(true, |it| it.salt = Some("x".to_owned()));
    check(true, |it| it.variants = BTreeMap::new());
    check(true, |it| {
        it.variants
            .insert("on".to_owned(), FlagValue::Boolean(false));
    });
    check(true, |it| {
        it.variants
            .insert("more".to_owned(), FlagValue::Boolean(false));
    });
    check(true, |it| it.kind = Kind::String);
    check(true, |it| it.prerequisites.clear());
    check(true, |it| it.prerequisites[0].flag = "more".to_owned());
    check(true, |it| it.prerequisites[0].variant = "off".to_owned());
    check(true, |it| {
        it.prerequisites.push(Prerequisite {
            flag: "more".to_owned(),
            variant: "on".to_owned(),
        });
    });
    check(true, |it| it.rules.reverse());
    check(true, |it| {
        it.rules.pop();
    });
    check(true, |it| it.rules[0].segment = None);
    check(true, |it| {
        it.rules[0].segment = segment(&["country in DE|FR"]);
    });
    check(true, |it| {
        it.rules[0].segment = segment(&["country in DE|IT", "age ge 18"]);
    });
    check(true, |it| {
        it.rules[0].segment = segment(&["country not_in DE|FR", "age ge 18"]);
    });
    check(true, |it| {
        it.rules[0].segment = segment(&["land in DE|FR", "age ge 18"]);
    });
    check(true, |it| {
        it.rules[0].segment = segment(&["country in DE|FR", "age ge 18.5"]);
    });
    check(true, |it| it.rules[0].serve = variant("off"));
    check(true, |it| it.rules[1].serve = split(11, 90));
    check(true, |it| it.rules[1].bucket_by = None);
    check(true, |it| it.rules[1].bucket_by = bucket_by("user_id"));
    check(true, |it| it.rules[1].salt = None);
    check(true, |it| it.rules[1].from = Some(at(11)));
    check(true, |it| it.rules[1].from = None);
    check(true, |it| {
        (it.rules[1].from, it.rules[1].to) = (None, Some(at(10)));
    });
    check(true, |it| it.rules[1].to = None);
}

#[test]
fn what_does_not_decide_leaves_the_version() {
    check(false, |it| it.description = Some("x".to_owned()));
    check(false, |it| it.owner = Some("x".to_owned()));
    check(false, |it| it.tags = vec!["x".to_owned()]);
    check(false, |it| it.created = Some(SystemTime::UNIX_EPOCH));
    check(false, |it| it.expires = Some(SystemTime::UNIX_EPOCH));
    check(false, |it| it.permanent = true);
    check(false, |it| it.kill_switch = true);
    check(false, |it| it.client_visible = true);
    check(false, |it| {
        it.inject = Some(Inject {
            header: "x-flag".to_owned(),
            routes: Vec::new(),
        });
    });
    check(false, |it| it.rules[0].name = None);
    check(false, |it| {
        // The segment is the same under another name.
        it.rules[0].segment.as_mut().unwrap().0 = "renamed".to_owned();
    });
    check(false, |it| {
        it.rules[0].segment = segment(&["country in FR|DE|DE", "age ge 18"]);
    });
    check(false, |it| it.rules[1].serve = split(1, 9));
    check(false, |it| it.salt = Some("f".to_owned()));
}

#[test]
fn a_variant_without_a_weight_is_one_that_is_not_named() {
    let of = |named: &[(&str, u32)]| {
        ruled(vec![RuleSpec::new(Serve::Split(weights(named)))]).version("f")
    };
    assert_eq!(of(&[("on", 5), ("off", 0)]), of(&[("on", 1)]));
    assert_ne!(of(&[("on", 1)]), of(&[("off", 1)]));
}

#[test]
fn one_variant_is_not_a_split() {
    let one = FlagSpec::switch();
    let divided = FlagSpec {
        default: split(0, 1),
        ..FlagSpec::switch()
    };
    assert_ne!(one.version("f"), divided.version("f"));
}

#[test]
fn without_a_salt_the_name_decides() {
    assert_ne!(full().version("f"), full().version("g"));
    let mut salted = full();
    salted.salt = Some("x".to_owned());
    assert_eq!(salted.version("f"), salted.version("g"));
}

#[test]
fn kinds_of_values_are_told_apart() {
    let of = |value: FlagValue| {
        let variants = BTreeMap::from([("on".to_owned(), value)]);
        FlagSpec {
            variants,
            ..FlagSpec::switch()
        }
        .version("f")
    };
    let object = json!({"a": 1, "b": 2});
    let versions = [
        of(FlagValue::Integer(1)),
        of(FlagValue::Float(1.0)),
        of(FlagValue::String("1".to_owned())),
        of(FlagValue::Boolean(true)),
        of(FlagValue::String("true".to_owned())),
        of(FlagValue::of(Kind::Object, &object).unwrap()),
    ];
    let different: BTreeSet<_> = versions.iter().collect();
    assert_eq!(different.len(), versions.len());
}

#[test]
fn a_version_stays_what_it_is_over_releases_of_the_program() {
    // It is kept in stores: if this fails, every override would be taken for one of another flag.
    assert_eq!(full().version("f"), "f067fe4986bd");
    let flags = flags(&[("f", ruled(vec![])), ("g", FlagSpec::switch())]);
    assert_eq!(flags.version(0), FlagSpec::switch().version("f"));
    assert_ne!(flags.version(0), flags.version(1));
}
