//! Every operator on what a JSON context may have.

use serde_json::{Value as Json, json};

use crate::flag::tests::{answer, flags, known, rule, ruled, variant};
use crate::segment::Operator;

/// Holds that a condition on `a` is true of these values, and false of those.
#[track_caller]
fn check(condition: &str, holds: Json, fails: Json) {
    let attribute = condition.split(' ').next().unwrap();
    let flags = flags(&[("f", ruled(vec![rule(&[condition], variant("on"))]))]);
    let (Json::Array(holds), Json::Array(fails)) = (holds, fails) else {
        panic!("lists of values belong here");
    };
    for (values, expected) in [
        (holds, "on TARGETING_MATCH rule 0"),
        (fails, "off DEFAULT default"),
    ] {
        for value in values {
            let context = known(json!({attribute: value}));
            assert_eq!(
                answer(&flags, "f", &context),
                expected,
                "{condition}: {value}"
            );
        }
    }
}

#[test]
fn every_operator_is_tried_here() {
    let source = include_str!("segments.rs");
    for operator in Operator::ALL {
        let tried = format!("\"a {} ", operator.name());
        assert!(source.contains(&tried), "{tried}");
    }
}

#[test]
fn texts_numbers_and_booleans_are_equal_as_texts() {
    check(
        "a eq x",
        json!(["x"]),
        json!(["X", "", 1, true, null, {}, {"x": 1}]),
    );
    check(
        "a eq 5",
        json!([5, 5.0, "5"]),
        json!(["5.0", 5.5, -5, "05"]),
    );
    check("a eq 1.5", json!([1.5, "1.5"]), json!([1, "1.50"]));
    check(
        "a eq true",
        json!([true, "true"]),
        json!([false, 1, "TRUE"]),
    );
    check(
        "a eq 9007199254740993",
        json!([9_007_199_254_740_993_i64]),
        json!([9_007_199_254_740_992_i64]),
    );
    check(
        "a eq 18446744073709551615",
        json!([u64::MAX]),
        json!([u64::MAX - 1]),
    );
    check("a eq 0", json!([0, -0.0, 0.0]), json!(["-0", false]));
    check("a eq 100000000000000000000", json!([1e20]), json!([1e21]));
    check("a ne x", json!(["y", "", 1, false]), json!(["x", null, {}]));
    check(
        "a in 1|two|true",
        json!([1, "two", true]),
        json!([2, "one", null]),
    );
    check(
        "a not_in 1|two",
        json!([2, "one", true]),
        json!([1, "two", null]),
    );
}

#[test]
fn parts_of_texts_are_found() {
    check("a contains b.c", json!(["ab.cd"]), json!(["abxcd", 1]));
    check("a contains 23", json!([1234]), json!([2.3]));
    check("a starts_with ab", json!(["abc"]), json!(["xab", ""]));
    check(
        "a ends_with @example.com",
        json!(["me@example.com"]),
        json!(["me@example.com.evil"]),
    );
    check(
        "a matches [a-c]+|[0-9]{3}",
        json!(["abc", 123]),
        json!(["abcd", 1234, "", null]),
    );
}

#[test]
fn numbers_are_compared_as_numbers_however_they_are_given() {
    check(
        "a lt 10",
        json!([9, 9.99, "9", -1e3, "1e0"]),
        json!([10, "10", "x", "", true, null]),
    );
    check("a le 10", json!([10, 10.0, "10.0"]), json!([10.1, "NaN"]));
    check(
        "a gt 10",
        json!([10.1, 100, "1e2", u64::MAX, 1e300]),
        json!([10, "inf", {}]),
    );
    check("a ge 10", json!([10, "11"]), json!([9, "9 apples"]));
    check("a ge 0.000001", json!([1e-6]), json!([1e-7]));
}

#[test]
fn versions_are_ordered_as_semver_orders_them() {
    check(
        "a semver_eq 2.0.0",
        json!(["2.0.0", "2.0.0+b"]),
        json!(["2.0.1", "2", 2]),
    );
    check(
        "a semver_lt 2.0.0",
        json!(["2.0.0-rc.1", "1.9.9"]),
        json!(["2.0.0"]),
    );
    check(
        "a semver_le 2.0.0",
        json!(["2.0.0", "0.0.1"]),
        json!(["2.0.1-a"]),
    );
    check(
        "a semver_gt 1.9.0",
        json!(["1.10.0"]),
        json!(["1.9.0", 1.95]),
    );
    check(
        "a semver_ge 1.10.0",
        json!(["1.10.0", "2.0.0"]),
        json!(["1.9.0", "v2.0.0"]),
    );
}

#[test]
fn addresses_are_compared_as_addresses() {
    check(
        "a cidr 10.0.0.0/8|2001:db8::/32",
        json!(["10.1.2.3", "::ffff:10.0.0.1", "2001:db8::1"]),
        json!(["11.0.0.1", 10, ""]),
    );
    check(
        "client_ip eq 10.0.0.1",
        json!(["10.0.0.1", "::ffff:10.0.0.1"]),
        json!(["10.0.0.2", "x"]),
    );
    check(
        "client_ip ne 10.0.0.1",
        json!(["10.0.0.2", "::1"]),
        json!(["10.0.0.1", "x", null]),
    );
    check(
        "client_ip in 10.0.0.1|::1",
        json!(["0:0::1"]),
        json!(["::2"]),
    );
    check(
        "client_ip not_in 10.0.0.1|::1",
        json!(["::2"]),
        json!(["::1", "nobody"]),
    );
    check(
        "client_ip cidr 10.0.0.0/8",
        json!(["10.1.2.3"]),
        json!(["11.1.2.3"]),
    );
}

#[test]
fn dates_are_moments() {
    check(
        "a before 2026-11-24T09:00:00Z",
        json!(["2026-11-24", "2026-11-24T09:59:59+01:00"]),
        json!(["2026-11-24T09:00:00Z", 2025, "soon"]),
    );
    check(
        "a after 2026-11-24",
        json!(["2026-11-24T00:00:00.1Z"]),
        json!(["2026-11-24"]),
    );
}

#[test]
fn what_is_null_or_an_object_is_missing() {
    check(
        "a exists ",
        json!(["", 0, false, [], [null]]),
        json!([null, {}, {"b": 1}]),
    );
    check("a exists not", json!([null, {}]), json!(["", 0, false, []]));
}

#[test]
fn a_list_holds_a_condition_when_one_element_does() {
    check(
        "a eq x",
        json!([["x"], ["y", "x"], [null, "x"]]),
        json!([[], ["y"], [["x"]], [{"x": 1}]]),
    );
    check("a in 1|2", json!([[3, 2]]), json!([[3, "4"]]));
    check("a contains b", json!([["a", "abc"]]), json!([["a", "c"]]));
    check("a lt 10", json!([[20, 5]]), json!([[20, "x"]]));
    check(
        "a semver_ge 2.0.0",
        json!([["1.0.0", "2.0.0"]]),
        json!([["1.0.0"]]),
    );
    check(
        "a cidr 10.0.0.0/8",
        json!([["11.0.0.1", "10.0.0.1"]]),
        json!([["11.0.0.1"], []]),
    );
    check(
        "a before 2026-01-01",
        json!([["2027-01-01", "2025-01-01"]]),
        json!([["2027-01-01"]]),
    );
    check("a matches b+", json!([["a", "bb"]]), json!([["a", "ab"]]));
    check(
        "client_ip eq 10.0.0.1",
        json!([["11.0.0.1", "10.0.0.1"]]),
        json!([["11.0.0.1"]]),
    );
}

#[test]
fn a_list_is_different_when_all_its_elements_are() {
    check(
        "a ne x",
        json!([["y", "z"], [], ["y", null]]),
        json!([["y", "x"], ["x"]]),
    );
    check("a not_in x|y", json!([["z", 1]]), json!([["z", "y"]]));
    check(
        "client_ip ne 10.0.0.1",
        json!([["10.0.0.2"]]),
        json!([["10.0.0.2", "10.0.0.1"], ["x"]]),
    );
}

#[test]
fn what_a_request_has_may_be_passed_by_its_name() {
    check("header:x-plan eq beta", json!(["beta"]), json!(["free"]));
    check("cookie:plan eq beta", json!(["beta"]), json!(["free"]));
    check("query:plan eq beta", json!(["beta"]), json!(["free"]));
    check("method eq GET", json!(["GET"]), json!(["get"]));
    check("path starts_with /shop", json!(["/shop/1"]), json!(["/"]));
    check(
        "host eq Shop.Example",
        json!(["shop.example", "SHOP.example", "shop.example."]),
        json!(["example"]),
    );
    check("targetingKey eq u", json!(["u"]), json!(["v", null]));
}

#[test]
fn a_key_with_dots_is_that_key_and_no_path() {
    check(
        "user.plan eq beta",
        json!(["beta"]),
        json!([{"plan": "beta"}]),
    );
    let flags = flags(&[("f", ruled(vec![rule(&["user.plan exists"], variant("on"))]))]);
    let nested = known(json!({"user": {"plan": "beta"}}));
    assert_eq!(answer(&flags, "f", &nested), "off DEFAULT default");
}
