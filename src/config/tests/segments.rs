//! Segments and the rules that name them: what is read and what is refused.

use crate::config::tests::{BASE, config, read, refused};
use crate::segment::{Operand, Operator};

const SPLIT: &str = "[route.r.split]\nstable = { upstream = \"base\", weight = 9 }\n\
                     canary = { upstream = \"base\", weight = 1 }\n";
const OFFICE: &str = "[segment.office]\nall = [{ attr = \"client_ip\", op = \"cidr\", values = [\"10.0.0.0/8\"] }]\n";

#[test]
fn a_segment_is_read_in_its_long_and_its_short_form() {
    let config = config(&format!(
        "[[segment.long.any]]\nall = [{{ attr = \"header:x-a\", op = \"in\", values = [\"DE\", \"FR\"] }}, \
         {{ attr = \"cookie:plan\", op = \"exists\" }}]\n\
         [[segment.long.any]]\nall = [{{ attr = \"query:n\", op = \"ge\", value = 5 }}, \
         {{ attr = \"header:x-since\", op = \"before\", value = 2026-11-24T09:00:00Z }}]\n\
         {OFFICE}[route.r]\nupstream = \"base\"\n"
    ));
    let long = &config.segments["long"].spec.any;
    assert_eq!((long.len(), long[0].len()), (2, 2));
    assert_eq!(long[0][0].operator, Operator::In);
    assert_eq!(long[0][1].operand, Operand::Presence(true));
    assert_eq!(long[1][0].operand, Operand::Number(5.0));
    assert_eq!(
        long[1][1].operand,
        Operand::Text("2026-11-24T09:00:00Z".to_owned())
    );
    assert_eq!(config.segments["office"].spec.any.len(), 1);
}

#[test]
fn what_is_wrong_with_a_segment_is_told_at_its_place() {
    let condition = |text: &str| format!("[segment.s]\nall = [{{ {text} }}]\n");
    let what = "is not \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"client_ip\", \"method\", \
                \"host\", \"path\", \"flag:NAME\" or a key of the evaluation context such as \"country\"";
    for (text, problem) in [
        (
            "attr = \"a country\", op = \"eq\", value = \"x\"",
            format!("2:17 segment.s.all[0].attr: \"a country\" {what}"),
        ),
        (
            "attr = \"host\", op = \"eq\"",
            "2:8 segment.s.all[0].value: missing; a text belongs here".to_owned(),
        ),
        (
            "attr = \"host\", op = \"in\"",
            "2:8 segment.s.all[0].values: missing; a list of texts belongs here".to_owned(),
        ),
        (
            "attr = \"host\", op = \"eq\", values = [\"x\"], value = \"x\"",
            "2:36 segment.s.all[0].values: `eq` takes one `value`".to_owned(),
        ),
        (
            "attr = \"host\", op = \"in\", value = \"x\", values = [\"x\"]",
            "2:36 segment.s.all[0].value: `in` takes `values`, a list".to_owned(),
        ),
        (
            "attr = \"host\", op = \"in\", values = []",
            "2:45 segment.s.all[0].values: empty; at least one value belongs here".to_owned(),
        ),
        (
            "attr = \"host\", op = \"lt\", value = \"x\"",
            "2:44 segment.s.all[0].value: \"x\" is not a number".to_owned(),
        ),
        (
            "attr = \"host\", op = \"exists\", value = 1",
            "2:48 segment.s.all[0].value: 1 is not true or false".to_owned(),
        ),
        (
            "attr = \"client_ip\", op = \"cidr\", values = [\"10.0.0.0/8\", \"10.0.0.0/33\"]",
            "2:67 segment.s.all[0].values[1]: `10.0.0.0/33` is not a network such as 10.0.0.0/8 or 2001:db8::/32".to_owned(),
        ),
        (
            "attr = \"client_ip\", op = \"contains\", value = \"10\"",
            "2:55 segment.s.all[0].value: client_ip is an address: `eq`, `ne`, `in`, `not_in` and `cidr` apply to it".to_owned(),
        ),
        (
            "attr = \"host\", op = \"semver_lt\", value = \"2\"",
            "2:51 segment.s.all[0].value: `2` is not a version of semver.org such as 1.4.0 or 2.0.0-beta.1".to_owned(),
        ),
        (
            "attr = \"host\", op = \"after\", value = \"soon\"",
            "2:47 segment.s.all[0].value: `soon` is not a date of RFC 3339 such as 2026-11-24 or 2026-11-24T09:00:00Z".to_owned(),
        ),
        (
            "attr = \"host\", op = \"eq\", value = \"x\", not = true",
            "2:49 segment.s.all[0].not: unknown key (known here: attr, op, values, value)".to_owned(),
        ),
    ] {
        refused(&condition(text), &[&problem]);
    }
    let pattern = condition("attr = \"host\", op = \"matches\", value = \"(\"");
    let problems = read(&format!("{pattern}{BASE}")).unwrap_err();
    let said = "2:49 segment.s.all[0].value: `(` is not a regular expression: ";
    assert!(problems.contains(said), "{problems}");
    refused(
        &condition("attr = \"host\", op = \"equals\", value = \"x\""),
        &[
            "2:30 segment.s.all[0].op: \"equals\" is not \"eq\" or \"ne\" or \"in\" or \"not_in\" or \
           \"contains\" or \"starts_with\" or \"ends_with\" or \"matches\" or \"lt\" or \"le\" or \"gt\" or \
           \"ge\" or \"semver_eq\" or \"semver_lt\" or \"semver_le\" or \"semver_gt\" or \"semver_ge\" or \
           \"cidr\" or \"before\" or \"after\" or \"exists\"",
        ],
    );
    refused(
        "[segment.a]\n[segment.b]\nall = []\n[segment.c]\nany = []\n[segment.d]\nany = [{}]\n\
         [segment.e]\nall = [{ attr = \"path\", op = \"exists\" }]\nany = []\n",
        &[
            "1:10 segment.a: empty; `all = […]` or `any = [{ all = […] }]` belongs here",
            "3:7 segment.b.all: empty, which would hold always; at least one condition belongs here",
            "5:7 segment.c.any: empty; at least one group belongs here",
            "7:8 segment.d.any[0].all: missing; a list of conditions belongs here",
            "10:1 segment.e.any: there is `all` already; one of the two says what the segment is",
        ],
    );
}

#[test]
fn a_rule_is_read_with_0_for_who_is_not_named() {
    let config = config(&format!(
        "{OFFICE}{SPLIT}[[route.r.rule]]\nsegment = \"office\"\nweights = {{ canary = 100 }}\n"
    ));
    let spec = &config.routes["r"].split_spec;
    assert_eq!(spec.rules[0].name, "office");
    let names: Vec<_> = spec.variants.iter().map(|variant| &*variant.name).collect();
    assert_eq!(
        (names, &spec.rules[0].weights[..]),
        (vec!["canary", "stable"], &[100, 0][..])
    );
}

#[test]
fn what_is_wrong_with_a_rule_is_told_at_its_place() {
    refused(
        &format!(
            "{OFFICE}{SPLIT}[[route.r.rule]]\nsegment = \"ofice\"\nweights = {{ canary = 0 }}\n\
             [[route.r.rule]]\nsegment = \"office\"\nweights = {{ canari = 1, stable = -1 }}\n\
             [[route.r.rule]]\nsegment = \"office\"\nweights = {{ canary = 1 }}\n[[route.r.rule]]\n"
        ),
        &[
            "7:11 route.r.rule[0].segment: there is no segment \"ofice\", did you mean \"office\"?",
            "8:1 route.r.rule[0].weights: all weights are 0; at least one must be more",
            "11:13 route.r.rule[1].weights.canari: there is no variant \"canari\" in this route, did you mean \"canary\"?",
            "11:34 route.r.rule[1].weights.stable: -1 is not a whole number from 0 to 1000000",
            "12:1 route.r.rule[2]: a rule above has the same segment, so this one would never decide",
            "15:1 route.r.rule[3].segment: missing; the name of a segment belongs here",
            "15:1 route.r.rule[3].weights: missing; the weights of variants belongs here",
        ],
    );
    refused(
        &format!(
            "{OFFICE}[route.r]\nupstream = \"base\"\nrule = [{{ segment = \"office\", weights = {{}} }}]\n"
        ),
        &["5:1 route.r.rule: has no effect on a route without a split"],
    );
}

#[test]
fn a_segment_with_problems_is_not_unknown() {
    refused(
        &format!(
            "[segment.s]\nall = 1\n{SPLIT}[[route.r.rule]]\nsegment = \"s\"\nweights = {{ canary = 1 }}\n"
        ),
        &[
            "2:7 segment.s.all: 1 is not a list of conditions such as [{ attr = \"header:x-plan\", op = \"eq\", value = \"beta\" }]",
        ],
    );
}
