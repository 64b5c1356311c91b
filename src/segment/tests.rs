//! What each operator says of which values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::segment::{
    Attribute, ConditionSpec, Operand, Operator, Segment, SegmentError, SegmentSpec, Takes, Value,
};

fn operator(name: &str) -> Operator {
    let found = Operator::ALL.iter().find(|known| known.name() == name);
    *found.unwrap()
}

/// A condition such as `header:a in x|y`.
fn condition(text: &str) -> ConditionSpec {
    let mut words = text.splitn(3, ' ');
    let attribute = words.next().unwrap().parse().unwrap();
    let operator = operator(words.next().unwrap());
    let operand = words.next().unwrap_or_default();
    ConditionSpec {
        attribute,
        operator,
        operand: match operator.takes() {
            Takes::Text | Takes::Moment => Operand::Text(operand.to_owned()),
            Takes::Texts => Operand::Texts(operand.split('|').map(str::to_owned).collect()),
            Takes::Number => Operand::Number(operand.parse().unwrap()),
            Takes::Presence => Operand::Presence(operand != "not"),
        },
    }
}

fn segment(groups: &[&[&str]]) -> Segment {
    let group = |texts: &&[&str]| texts.iter().map(|text| condition(text)).collect();
    Segment::new(&SegmentSpec {
        any: groups.iter().map(group).collect(),
    })
    .unwrap()
}

/// What is known of somebody, by attribute.
fn known<'a>(texts: &'a [(&'a str, &'a str)]) -> impl Fn(&Attribute) -> Option<Value<'a>> {
    let texts: BTreeMap<&str, &str> = texts.iter().copied().collect();
    move |attribute| {
        let text = *texts.get(attribute.to_string().as_str())?;
        Some(match attribute {
            Attribute::ClientIp => Value::Address(text.parse().unwrap()),
            _ => Value::Text(Cow::Borrowed(text.as_bytes())),
        })
    }
}

/// Holds that a condition is true of these values of the attribute, and false of those.
#[track_caller]
fn check(text: &str, holds: &[&str], fails: &[&str]) {
    let segment = segment(&[&[text]]);
    let attribute = text.split(' ').next().unwrap();
    for (values, expected) in [(holds, true), (fails, false)] {
        for value in values {
            let texts = [(attribute, *value)];
            assert_eq!(segment.holds(known(&texts)), expected, "{text}: {value:?}");
        }
    }
}

#[test]
fn texts_are_compared_byte_by_byte() {
    check("header:a eq x", &["x"], &["X", "", "xx"]);
    check("header:a ne x", &["X", "", "xx"], &["x"]);
    check("header:a in x|y", &["x", "y"], &["z", "x|y"]);
    check("header:a not_in x|y", &["z"], &["x", "y"]);
    check("header:a contains b.c", &["ab.cd", "b.c"], &["abxcd", ""]);
    check("header:a starts_with ab", &["ab", "abc"], &["xab", "a"]);
    check(
        "header:a ends_with @x.com",
        &["me@x.com"],
        &["me@x.com.evil", ""],
    );
    check("header:a exists", &["", "x"], &[]);
}

#[test]
fn a_regular_expression_matches_the_whole_value() {
    check(
        "header:a matches [ab]+|c",
        &["ab", "c"],
        &["abc", "xab", "cc", ""],
    );
}

#[test]
fn numbers_are_compared_as_numbers() {
    check(
        "header:a lt 10",
        &["9", "9.99", "-1e3"],
        &["10", "x", "", "0x9", "inf", "-inf", "NaN"],
    );
    check("header:a le 10", &["10", "10.0"], &["10.1"]);
    check("header:a gt 10", &["10.1", "100"], &["10", "9", "1e999"]);
    check("header:a ge 10", &["10", "11"], &["9", "9 ", "11 apples"]);
}

#[test]
fn versions_are_ordered_as_semver_orders_them() {
    check(
        "header:a semver_ge 2.0.0",
        &["2.0.0", "2.0.0+build", "10.0.0"],
        &[
            "2.0.0-rc.1",
            "1.99.99",
            "2",
            "2.0",
            "v2.0.0",
            "02.0.0",
            "",
            "x",
        ],
    );
    check(
        "header:a semver_lt 2.0.0",
        &["2.0.0-rc.1", "1.9.9"],
        &["2.0.0"],
    );
    check(
        "header:a semver_eq 2.0.0+a",
        &["2.0.0", "2.0.0+b"],
        &["2.0.1"],
    );
    check(
        "header:a semver_le 2.0.0",
        &["2.0.0", "0.0.1"],
        &["2.0.1-a"],
    );
    check(
        "header:a semver_gt 1.0.0-alpha.9",
        &["1.0.0-alpha.10", "1.0.0-alpha.beta"],
        &["1.0.0-alpha.1"],
    );
}

#[test]
fn dates_are_moments() {
    check(
        "header:a before 2026-11-24T09:00:00Z",
        &["2026-11-24T09:59:59+01:00", "2026-11-24", "2025-01-01"],
        &[
            "2026-11-24T09:00:00Z",
            "2026-11-25",
            "tomorrow",
            "20251124",
            "",
        ],
    );
    check(
        "header:a after 2026-11-24",
        &["2026-11-24T00:00:01Z"],
        &["2026-11-24"],
    );
}

#[test]
fn an_address_is_compared_as_one() {
    check(
        "client_ip eq ::ffff:10.0.0.1",
        &["10.0.0.1", "::ffff:10.0.0.1"],
        &["10.0.0.2"],
    );
    check("client_ip ne 10.0.0.1", &["10.0.0.2", "::1"], &["10.0.0.1"]);
    check("client_ip in 10.0.0.1|::1", &["10.0.0.1", "::1"], &["::2"]);
    check("client_ip not_in 10.0.0.1|::1", &["::2"], &["::1"]);
    check(
        "client_ip cidr 10.0.0.0/8|2001:db8::/32",
        &["10.9.9.9", "2001:db8::1"],
        &["11.0.0.1"],
    );
    let text = segment(&[&["client_ip ne 10.0.0.1"]]);
    for (sent, expected) in [("10.0.0.2", true), ("::ffff:10.0.0.1", false), ("x", false)] {
        let value = || Some(Value::Text(Cow::Borrowed(sent.as_bytes())));
        assert_eq!(text.holds(|_| value()), expected, "{sent}");
    }
    check(
        "header:a cidr 10.0.0.0/8",
        &["10.1.1.1"],
        &["11.1.1.1", "10.1.1.1 ", "x", ""],
    );
}

#[test]
fn a_host_has_no_upper_case() {
    check("host eq Shop.Example", &["shop.example"], &["example"]);
    check("host ends_with .EXAMPLE", &["shop.example"], &[]);
}

#[test]
fn what_is_missing_meets_no_condition_but_that_it_is_missing() {
    for text in [
        "header:a eq x",
        "header:a ne x",
        "header:a in x",
        "header:a not_in x",
        "header:a contains x",
        "header:a starts_with x",
        "header:a ends_with x",
        "header:a matches .*",
        "header:a lt 1",
        "header:a le 1",
        "header:a gt 1",
        "header:a ge 1",
        "header:a semver_eq 1.0.0",
        "header:a semver_lt 1.0.0",
        "header:a semver_le 1.0.0",
        "header:a semver_gt 1.0.0",
        "header:a semver_ge 1.0.0",
        "header:a cidr 0.0.0.0/0",
        "header:a before 2026-01-01",
        "header:a after 2026-01-01",
        "header:a exists",
        "client_ip ne 10.0.0.1",
    ] {
        assert!(!segment(&[&[text]]).holds(|_| None), "{text}");
    }
    assert!(segment(&[&["header:a exists not"]]).holds(|_| None));
    assert!(!segment(&[&["header:a exists not"]]).holds(known(&[("header:a", "")])));
}

#[test]
fn a_list_holds_what_one_of_its_texts_does_and_differs_when_all_do() {
    let check = |text: &str, texts: &[&str], expected: bool| {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let holds = segment(&[&[text]]).holds(|_| Some(Value::List(&texts)));
        assert_eq!(holds, expected, "{text}: {texts:?}");
    };
    for (text, texts) in [
        ("groups eq x", &["y", "x"][..]),
        ("groups in x|y", &["z", "y"]),
        ("groups contains b", &["a", "abc"]),
        ("groups starts_with b", &["ab", "bc"]),
        ("groups ends_with b", &["bc", "ab"]),
        ("groups matches a+", &["b", "aa"]),
        ("groups lt 10", &["11", "9"]),
        ("groups semver_lt 2.0.0", &["2.0.0", "1.0.0"]),
        ("groups cidr 10.0.0.0/8", &["11.0.0.1", "10.0.0.1"]),
        ("groups before 2026-01-01", &["2027-01-01", "2025-01-01"]),
        ("client_ip eq 10.0.0.1", &["10.0.0.2", "10.0.0.1"]),
    ] {
        check(text, texts, true);
        check(text, &texts[..1], false);
        check(text, &[], false);
    }
    for (text, same, other) in [
        ("groups ne x", "x", "y"),
        ("groups not_in x|y", "y", "z"),
        ("client_ip ne 10.0.0.1", "10.0.0.1", "::1"),
        ("client_ip not_in 10.0.0.1|::2", "::2", "::1"),
    ] {
        check(text, &[other, other], true);
        check(text, &[other, same], false);
        check(text, &[], true);
    }
    check("groups exists", &[], true);
    check("groups exists not", &[], false);
}

#[test]
fn a_segment_tells_how_it_was_written() {
    let text = "header:country in DE|FR";
    let segment = segment(&[&[text], &["plan eq beta"]]);
    assert_eq!(segment.spec().any[0], [condition(text)]);
    assert_eq!(Segment::new(segment.spec()).unwrap(), segment);
}

#[test]
fn a_segment_holds_when_all_conditions_of_any_group_do() {
    let segment = segment(&[
        &["header:country in DE|FR", "cookie:plan eq beta"],
        &["header:email ends_with @example.com"],
    ]);
    for (texts, expected) in [
        (
            &[("header:country", "DE"), ("cookie:plan", "beta")][..],
            true,
        ),
        (&[("header:country", "DE"), ("cookie:plan", "free")], false),
        (&[("header:country", "US"), ("cookie:plan", "beta")], false),
        (&[("header:email", "a@example.com")], true),
        (&[("header:country", "DE")], false),
        (&[], false),
    ] {
        assert_eq!(segment.holds(known(texts)), expected, "{texts:?}");
    }
    let each = segment.each(known(&[("header:country", "DE")]));
    assert_eq!(each, [vec![true, false], vec![false]]);
}

#[test]
fn a_condition_is_told_as_it_was_written() {
    for text in [
        "cookie:plan eq beta",
        "header:a exists",
        "header:a exists not",
        "header:a lt 1.5",
    ] {
        assert_eq!(condition(text).to_string(), text);
    }
    assert_eq!(
        condition("client_ip cidr 10.0.0.0/8|::1/128").to_string(),
        "client_ip cidr 10.0.0.0/8, ::1/128"
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let refuse = |text: &str| condition(text).check().unwrap_err().to_string();
    for (text, message) in [
        ("header:a matches (", "`(` is not a regular expression: "),
        (
            "header:a semver_eq 1.0",
            "`1.0` is not a version of semver.org",
        ),
        ("header:a cidr 10.0.0.0", "`10.0.0.0` is not a network"),
        ("client_ip eq localhost", "`localhost` is not an IP address"),
        ("header:a before yesterday", "`yesterday` is not a date"),
        (
            "header:a contains ",
            "`contains` the empty text holds always",
        ),
        ("client_ip contains 10", "client_ip is an address: `eq`"),
        ("client_ip lt 10", "client_ip is an address: `eq`"),
        ("header:a lt NaN", "only finite numbers"),
    ] {
        let said = refuse(text);
        assert!(said.starts_with(message), "{text}: {said}");
    }
    let wrong = ConditionSpec {
        operand: Operand::Number(1.0),
        ..condition("header:a eq x")
    };
    assert_eq!(wrong.check().unwrap_err().to_string(), "`eq` takes a text");
    let none = ConditionSpec {
        operand: Operand::Texts(Vec::new()),
        ..condition("header:a in x")
    };
    assert_eq!(none.check().unwrap_err(), SegmentError::NoValues);
    let refuse = |any| Segment::new(&SegmentSpec { any }).unwrap_err();
    assert_eq!(refuse(vec![]), SegmentError::Empty);
    assert_eq!(refuse(vec![vec![]]), SegmentError::EmptyGroup);
}

proptest! {
    #[test]
    fn no_value_makes_a_test_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), n in 0..Operator::ALL.len()) {
        let operator = Operator::ALL[n];
        let operand = match operator {
            Operator::Cidr => Operand::Texts(vec!["10.0.0.0/8".to_owned()]),
            Operator::Before | Operator::After => Operand::Text("2026-01-01".to_owned()),
            _ => match operator.takes() {
                Takes::Texts => Operand::Texts(vec!["x".to_owned()]),
                Takes::Number => Operand::Number(1.0),
                Takes::Presence => Operand::Presence(true),
                Takes::Text | Takes::Moment => Operand::Text("1.0.0".to_owned()),
            },
        };
        let spec = ConditionSpec { attribute: Attribute::Host, operator, operand };
        let segment = Segment::new(&SegmentSpec { any: vec![vec![spec]] }).unwrap();
        let value = Value::Text(Cow::Borrowed(&bytes));
        // Asked twice, it says the same.
        prop_assert_eq!(segment.holds(|_| Some(value.clone())), segment.holds(|_| Some(value.clone())));
    }

    #[test]
    fn ordered_operators_are_each_others_opposites(a in -1e6..1e6_f64, b in -1e6..1e6_f64) {
        let text = a.to_string();
        let texts = [("header:a", text.as_str())];
        let holds = |operator: &str| segment(&[&[&format!("header:a {operator} {b}")]]).holds(known(&texts));
        prop_assert_eq!(holds("lt"), !holds("ge"));
        prop_assert_eq!(holds("gt"), !holds("le"));
    }
}
