//! Flags that depend on others: by prerequisites, and by segments that test them.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::json;

use crate::flag::tests::{
    answer, at, condition, flags, known, needing, problems, rule, ruled, segment, specs, user,
    variant,
};
use crate::flag::{Context, Fault, FlagSpec, FlagValue, Flags, RuleSpec, Runtime, faults_in};
use crate::segment::{Attribute, SegmentSpec, Value};

fn on() -> FlagSpec {
    FlagSpec {
        default: variant("on"),
        ..FlagSpec::switch()
    }
}

#[test]
fn a_prerequisite_has_to_have_its_variant() {
    let chain = |c: FlagSpec| flags(&[("a", needing(&["b"])), ("b", needing(&["c"])), ("c", c)]);
    let flags = chain(on());
    assert_eq!(answer(&flags, "a", &user("u")), "on STATIC default");

    let flags = chain(FlagSpec::switch());
    assert_eq!(
        answer(&flags, "b", &user("u")),
        "off DISABLED prerequisite c"
    );
    assert_eq!(
        answer(&flags, "a", &user("u")),
        "off DISABLED prerequisite b"
    );
}

#[test]
fn a_prerequisite_that_is_killed_has_its_off_variant() {
    let written = specs(&[("a", needing(&["b"])), ("b", on())]);
    let killed = Runtime {
        killed: true,
        ..Runtime::default()
    };
    let flags = Flags::new(&written, &BTreeMap::from([("b".to_owned(), killed)])).unwrap();
    assert_eq!(
        answer(&flags, "a", &user("u")),
        "off DISABLED prerequisite b"
    );
}

#[test]
fn a_prerequisite_is_asked_of_the_same_context() {
    let b = ruled(vec![rule(&["country eq DE"], variant("on"))]);
    let flags = flags(&[("a", needing(&["b"])), ("b", b)]);
    let german = known(json!({"country": "DE"}));
    assert_eq!(answer(&flags, "a", &german), "on STATIC default");
    assert_eq!(
        answer(&flags, "a", &user("u")),
        "off DISABLED prerequisite b"
    );
}

#[test]
fn a_segment_may_test_the_variant_of_a_flag() {
    let b = ruled(vec![rule(&["plan eq beta"], variant("on"))]);
    let check = |condition: &str, beta: &str, others: &str| {
        let a = ruled(vec![rule(&[condition], variant("on"))]);
        let flags = flags(&[("a", a), ("b", b.clone())]);
        assert_eq!(
            answer(&flags, "a", &known(json!({"plan": "beta"}))),
            beta,
            "{condition}"
        );
        assert_eq!(answer(&flags, "a", &user("u")), others, "{condition}");
    };
    let (holds, fails) = ("on TARGETING_MATCH rule 0", "off DEFAULT default");
    check("flag:b eq on", holds, fails);
    check("flag:b ne on", fails, holds);
    check("flag:b in on|off", holds, holds);
    check("flag:b not_in off", holds, fails);
    check("flag:b starts_with o", holds, holds);
    check("flag:b matches o.", holds, fails);
    check("flag:b exists ", holds, holds);
    check("flag:b exists not", fails, fails);
}

#[test]
fn circles_are_refused_and_told_as_circles() {
    assert_eq!(
        problems(&[("a", needing(&["b"])), ("b", needing(&["a"]))]),
        ["flag `a`: prerequisite 1: the flag depends on itself: a → b → a"]
    );
    assert_eq!(
        problems(&[("a", needing(&["a"]))]),
        ["flag `a`: prerequisite 1: the flag depends on itself: a → a"]
    );
    let tests = |condition: &str| ruled(vec![rule(&[condition], variant("on"))]);
    assert_eq!(
        problems(&[
            ("c", tests("flag:b eq on")),
            ("a", needing(&["z", "c"])),
            ("b", needing(&["a"])),
            ("z", on()),
        ]),
        ["flag `a`: prerequisite 2: the flag depends on itself: a → c → b → a"]
    );
    assert_eq!(
        problems(&[("a", tests("flag:a ne on"))]),
        ["flag `a`: rule 1, segment: the flag depends on itself: a → a"]
    );
    // Two circles, and flags that lead to them.
    let two = problems(&[
        ("a", needing(&["b", "c"])),
        ("b", needing(&["a"])),
        ("c", needing(&["d"])),
        ("d", needing(&["c"])),
        ("e", needing(&["a", "d"])),
    ]);
    assert_eq!(
        two,
        [
            "flag `a`: prerequisite 1: the flag depends on itself: a → b → a",
            "flag `c`: prerequisite 1: the flag depends on itself: c → d → c",
        ]
    );
}

#[test]
fn a_diamond_is_no_circle() {
    let diamond = [
        ("a", needing(&["b", "c"])),
        ("b", needing(&["d"])),
        ("c", needing(&["d"])),
        ("d", on()),
    ];
    assert_eq!(problems(&diamond), [""; 0]);
    let flags = flags(&diamond);
    assert_eq!(answer(&flags, "a", &user("u")), "on STATIC default");
    let names = |flag: &str| {
        let direct = flags.depends_on(flags.position(flag).unwrap());
        direct.iter().map(|it| flags.name(*it)).collect::<Vec<_>>()
    };
    assert_eq!(names("a"), ["b", "c"]);
    assert_eq!(names("d"), [""; 0]);
}

/// A row of flags in which each needs the next.
fn row(length: usize) -> Vec<(String, FlagSpec)> {
    let name = |n: usize| format!("f{n:05}");
    let flag = |n: usize| {
        let next = name(n + 1);
        let spec = if n + 1 == length {
            on()
        } else {
            needing(&[&next])
        };
        (name(n), spec)
    };
    (0..length).map(flag).collect()
}

#[test]
fn a_row_may_have_32_flags_and_no_more() {
    let longest: BTreeMap<_, _> = row(32).into_iter().collect();
    let flags = Flags::new(&longest, &BTreeMap::new()).unwrap();
    assert_eq!(answer(&flags, "f00000", &user("u")), "on STATIC default");

    let too_long: BTreeMap<_, _> = row(33).into_iter().collect();
    let error = Flags::new(&too_long, &BTreeMap::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "flag `f00000`: the flag: over 32 flags depend on each other in a row"
    );
    // One problem of one row, and no stack that ends.
    let endless: BTreeMap<_, _> = row(20_000).into_iter().collect();
    assert_eq!(Flags::problems(&endless).len(), 1);
    let mut circle = row(20_000);
    circle[19_999].1 = needing(&["f00000"]);
    let circle = circle.into_iter().collect();
    let problems = Flags::problems(&circle);
    assert!(
        matches!(&problems[0].problem().fault, Fault::Circle { circle } if circle.len() == 20_001)
    );
}

/// Counts how often the country is asked for.
struct Counting(Cell<u32>);

impl Context for Counting {
    fn value(&self, _: &Attribute) -> Option<Value<'_>> {
        self.0.set(self.0.get() + 1);
        Some(Value::Text(Cow::Borrowed(b"DE")))
    }

    fn targeting_key(&self) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn now(&self) -> SystemTime {
        at(0)
    }
}

#[test]
fn what_several_depend_on_is_evaluated_once() {
    let d = ruled(vec![rule(&["country eq DE"], variant("on"))]);
    let flags = flags(&[
        ("a", needing(&["b", "c", "d"])),
        ("b", needing(&["d"])),
        ("c", needing(&["d"])),
        ("d", d),
    ]);
    let context = Counting(Cell::new(0));
    assert_eq!(flags.evaluate(0, &context).name, "on");
    assert_eq!(context.0.get(), 1);

    let asking = flags.asking(&context);
    for flag in 0..flags.len() {
        assert_eq!(
            asking.evaluate(flag),
            flags.evaluate(flag, &Counting(Cell::new(0)))
        );
    }
    let asked: Vec<_> = asking.dependencies().collect();
    assert_eq!(asked, [(1, 1), (2, 1), (3, 1)]);
    let context: &dyn Context = &context;
    let alone = flags.asking(context);
    alone.evaluate(3);
    assert_eq!(alone.dependencies().count(), 0);
}

#[test]
fn what_a_segment_says_of_flags_that_are_not_is_found() {
    let specs = specs(&[("a", FlagSpec::switch())]);
    let group = |texts: &[&str]| texts.iter().map(|text| condition(text)).collect();
    let segment = SegmentSpec {
        any: vec![
            group(&["country eq DE", "flag:a eq on"]),
            group(&["flag:gone exists ", "flag:a in on|blue"]),
            group(&["flag:a contains bl"]),
        ],
    };
    let faults = faults_in(&segment, &specs);
    let told: Vec<_> = faults
        .iter()
        .map(|(group, condition, fault)| (*group, *condition, fault.to_string()))
        .collect();
    let unknown = "`blue` is not a variant of flag `a`; there are off, on".to_owned();
    assert_eq!(
        told,
        [
            (1, 0, "there is no flag `gone`".to_owned()),
            (1, 1, unknown)
        ]
    );
}

#[test]
fn flags_that_are_not_are_refused_where_they_are_named() {
    let a = FlagSpec {
        rules: vec![RuleSpec {
            segment: segment(&["flag:gone eq on"]),
            ..RuleSpec::new(variant("on"))
        }],
        ..needing(&["b", "gone"])
    };
    let b = FlagSpec {
        variants: BTreeMap::from([("off".to_owned(), FlagValue::Boolean(false))]),
        ..FlagSpec::switch()
    };
    assert_eq!(
        problems(&[("a", a), ("b", b)]),
        [
            "flag `a`: prerequisite 1: `on` is not a variant of flag `b`; there is off",
            "flag `a`: prerequisite 2: there is no flag `gone`",
            "flag `a`: rule 1, segment: there is no flag `gone`",
        ]
    );
}
