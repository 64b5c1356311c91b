//! Flags: what is read of them, and what is hardly meant.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::config::tests::{BASE, checked, config, read};
use crate::flag::{FlagValue, Kind, Prerequisite, Serve};
use crate::segment::Attribute;

const BETA: &str = "[segment.beta]\nall = [{ attr = \"plan\", op = \"eq\", value = \"beta\" }]\n";
const SHOP: &str = "[route.shop]\nupstream = \"base\"\n";

/// What is warned of in a text with [`BASE`] and [`SHOP`] behind it, without places in lines.
#[track_caller]
fn warnings(text: &str) -> Vec<String> {
    let checked = checked(&format!("{text}{BASE}{SHOP}"));
    checked.config.unwrap();
    let warnings = checked.warnings.iter();
    warnings
        .map(|warning| format!("{}: {}", warning.key, warning.message))
        .collect()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn split(weights: &[(&str, u32)]) -> Serve {
    let weights = weights
        .iter()
        .map(|(name, weight)| ((*name).to_owned(), *weight));
    Serve::Split(weights.collect())
}

#[test]
fn a_flag_that_says_nothing_is_a_switch_that_is_off() {
    let config = config("[flag.new-checkout]\n");
    let flag = &config.flags.specs["new-checkout"];
    assert_eq!(flag.kind, Kind::Boolean);
    let expected = BTreeMap::from([
        ("off".to_owned(), FlagValue::Boolean(false)),
        ("on".to_owned(), FlagValue::Boolean(true)),
    ]);
    assert_eq!(flag.variants, expected);
    assert_eq!(flag.off_variant, "off");
    assert_eq!(flag.default, Serve::Variant("off".to_owned()));
    assert!(flag.enabled && flag.kill_switch);
    assert!(!flag.client_visible && !flag.permanent);
    assert_eq!(
        (&flag.salt, &flag.inject, flag.rules.len()),
        (&None, &None, 0)
    );
    assert_eq!(config.flags.built.len(), 1);
    assert_eq!(config.flags.unused_after, Duration::from_secs(30 * 86_400));
    assert_eq!(
        config.flags.constant_after,
        Duration::from_secs(30 * 86_400)
    );
}

#[test]
fn every_key_of_a_flag_is_read() {
    let config = config(&format!(
        r##"
{BETA}
[flags]
unused_after = "10d"
constant_after = "20d"
context = {{ country = "header:x-country", targetingKey = "cookie:uid", "geo.ip" = "client_ip" }}

[flag."colour.v2"]
type = "string"
description = "What colour\nit has."
owner = "team-shop"
tags = ["ui", "colour"]
created = 1970-01-02
expires = "2099-01-01T00:00:00+01:00"
enabled = false
kill_switch = false
client_visible = true
variants = {{ blue = "#00f", red = "#f00", none = "" }}
default_variant = "blue"
off_variant = "none"
salt = "colours"
prerequisites = [{{ flag = "ui", variant = "on" }}]
inject = {{ header = "X-Colour", routes = ["shop"] }}

[[flag."colour.v2".rules]]
name = "beta"
segment = "beta"
serve = "red"

[[flag."colour.v2".rules]]
split = {{ red = 10, blue = 90 }}
bucket_by = "org_id"
salt = "orgs"
from = 1970-01-03
to = 2099-01-01T00:00:00Z

[[flag."colour.v2".rules]]
split = {{ red = 1 }}
bucket_by = "targetingKey"

[flag.ui]

[route.shop]
upstream = "base"
"##
    ));
    let context = &config.flags.context;
    assert_eq!(
        context["country"],
        Attribute::Header("x-country".to_owned())
    );
    assert_eq!(context["targetingKey"], Attribute::Cookie("uid".to_owned()));
    assert_eq!(context["geo.ip"], Attribute::ClientIp);
    assert_eq!(config.flags.unused_after, Duration::from_secs(10 * 86_400));
    assert_eq!(
        config.flags.constant_after,
        Duration::from_secs(20 * 86_400)
    );
    let flag = &config.flags.specs["colour.v2"];
    assert_eq!(flag.kind, Kind::String);
    assert_eq!(flag.description.as_deref(), Some("What colour\nit has."));
    assert_eq!(flag.owner.as_deref(), Some("team-shop"));
    assert_eq!(flag.tags, ["ui", "colour"]);
    assert_eq!(flag.created, Some(at(86_400)));
    assert_eq!(flag.expires, Some(at(4_070_905_200)));
    assert!(!flag.enabled && !flag.kill_switch && flag.client_visible);
    assert_eq!(flag.variants["red"], FlagValue::String("#f00".to_owned()));
    assert_eq!(flag.default, Serve::Variant("blue".to_owned()));
    assert_eq!(flag.off_variant, "none");
    assert_eq!(flag.salt.as_deref(), Some("colours"));
    let prerequisite = Prerequisite {
        flag: "ui".to_owned(),
        variant: "on".to_owned(),
    };
    assert_eq!(flag.prerequisites, [prerequisite]);
    let inject = flag.inject.as_ref().unwrap();
    assert_eq!(
        (&*inject.header, &inject.routes[..]),
        ("x-colour", &["shop".to_owned()][..])
    );
    let [beta, orgs, users] = &flag.rules[..] else {
        panic!("{:?}", flag.rules);
    };
    assert_eq!(beta.name.as_deref(), Some("beta"));
    assert_eq!(beta.segment.as_ref().unwrap().0, "beta");
    assert_eq!(beta.serve, Serve::Variant("red".to_owned()));
    assert_eq!(orgs.serve, split(&[("blue", 90), ("red", 10)]));
    assert_eq!(
        orgs.bucket_by,
        Some(Attribute::Context("org_id".to_owned()))
    );
    assert_eq!(orgs.salt.as_deref(), Some("orgs"));
    assert_eq!(orgs.from, Some(at(2 * 86_400)));
    assert_eq!(orgs.to, Some(at(4_070_908_800)));
    assert_eq!((&users.bucket_by, &users.name), (&None, &None));
}

#[test]
fn a_value_is_of_the_type_of_its_flag() {
    let config = config(
        "[flag.n]\ntype = \"integer\"\nvariants = { a = -5, b = 0x10, c = \"${NUMBER:-1}\" }\n\
         default_variant = \"a\"\n\
         [flag.f]\ntype = \"float\"\nvariants = { a = 1, b = 0.5, c = -2e3 }\ndefault_variant = \"a\"\n\
         [flag.o]\ntype = \"object\"\ndefault_variant = \"a\"\n\
         [flag.o.variants]\na = { n = 1, f = 1.0, list = [true, \"x\", { y = [] }], at = 2026-11-24 }\nb = {}\n",
    );
    let value = |flag: &str, variant: &str| config.flags.specs[flag].variants[variant].clone();
    assert_eq!(value("n", "a"), FlagValue::Integer(-5));
    assert_eq!(value("n", "b"), FlagValue::Integer(16));
    assert_eq!(value("n", "c"), FlagValue::Integer(17));
    assert_eq!(value("f", "a"), FlagValue::Float(1.0));
    assert_eq!(value("f", "c"), FlagValue::Float(-2000.0));
    let object = json!({ "n": 1, "f": 1.0, "list": [true, "x", { "y": [] }], "at": "2026-11-24" });
    assert_eq!(value("o", "a").to_json(), object);
    // Only a boolean flag has a variant that is off by itself.
    assert_eq!(config.flags.specs["n"].off_variant, "a");
    assert_eq!(
        config.flags.specs["n"].default,
        Serve::Variant("a".to_owned())
    );
}

#[test]
fn a_variant_that_is_called_off_is_the_default_and_that_of_a_killed_flag() {
    let config = config(
        "[flag.a]\nvariants = { new = true, old = false }\ndefault_variant = \"old\"\n\
         [flag.b]\nvariants = { on = true, off = false, maybe = false }\ndefault_variant = \"on\"\n\
         [flag.c]\ntype = \"string\"\nvariants = { on = \"v2\", off = \"v1\" }\n",
    );
    // Without one it is the default variant that a killed flag has.
    assert_eq!(config.flags.specs["a"].off_variant, "old");
    let b = &config.flags.specs["b"];
    assert_eq!(
        (&*b.off_variant, &b.default),
        ("off", &Serve::Variant("on".to_owned()))
    );
    let c = &config.flags.specs["c"];
    assert_eq!(
        (&*c.off_variant, &c.default),
        ("off", &Serve::Variant("off".to_owned()))
    );
}

#[test]
fn a_segment_asks_for_flags_and_for_keys_of_a_context() {
    let config = config(
        "[flag.a]\n[flag.b]\nrules = [{ segment = \"s\", serve = \"on\" }]\n\
         [segment.s]\nall = [{ attr = \"flag:a\", op = \"in\", values = [\"on\"] }, \
         { attr = \"user.plan\", op = \"exists\" }]\n",
    );
    let conditions = &config.segments["s"].spec.any[0];
    assert_eq!(conditions[0].attribute, Attribute::Flag("a".to_owned()));
    let plan = Attribute::Context("user.plan".to_owned());
    assert_eq!(conditions[1].attribute, plan);
}

#[test]
fn where_there_is_a_flag_there_is_a_store() {
    assert!(!config("").releases.has_store);
    assert!(config("[flag.a]\n").releases.has_store);
}

#[test]
fn what_is_effective_of_flags_is_the_same_again() {
    let text = format!(
        r#"
{BETA}
[flags]
unused_after = "10d"
context = {{ plan = "header:x-plan", "a.b" = "query:b" }}
[flag."a.b+c"]
type = "float"
variants = {{ one = 1, half = 0.5 }}
default_variant = "one"
expires = 2099-01-01
prerequisites = [{{ flag = "o", variant = "x" }}]
inject = {{ header = "x-a", routes = ["shop"] }}
rules = [
  {{ name = "beta", segment = "beta", serve = "half" }},
  {{ split = {{ one = 1, half = 3 }}, bucket_by = "header:x-org", salt = "s", from = 2026-11-24T09:00:00Z }},
]
[flag.o]
type = "object"
variants = {{ x = {{ text = "$${{HOME}}", n = 1, f = 2.0, list = [1, 2] }} }}
default_variant = "x"
[flag.plain]
[ofrep]
allowed_origins = ["https://shop.example.com"]
anonymous = "none"
rate_limit = {{ rate = "10/m", burst = 5 }}
stream = false
max_body = "1KiB"
{SHOP}"#
    );
    let first = config(&text).effective();
    let written = toml::to_string(&first).unwrap();
    let again = read(&written).unwrap().effective();
    assert_eq!(first, again);
    let flag = &first["flag"]["a.b+c"];
    assert_eq!(flag["variants"], json!({ "half": 0.5, "one": 1.0 }));
    assert_eq!(flag["expires"], "2099-01-01T00:00:00Z");
    assert_eq!(flag["rules"][1]["split"], json!({ "half": 3, "one": 1 }));
    assert_eq!(first["flag"]["plain"]["kill_switch"], true);
    assert_eq!(first["flag"]["o"]["variants"]["x"]["text"], "$${HOME}");
    assert_eq!(first["flags"]["context"]["a.b"], "query:b");
    assert_eq!(
        first["ofrep"]["rate_limit"],
        json!({ "rate": "10/m", "burst": 5 })
    );
}

#[test]
fn a_flag_that_is_over_or_cannot_be_is_warned_of() {
    assert_eq!(
        warnings(
            "[flag.a]\nexpires = 2020-01-01\n[flag.b]\nexpires = 2020-01-01\npermanent = true\n\
             [flag.c]\nexpires = 2099-01-01\n"
        ),
        [
            "flag.a.expires: is over: the flag was to be gone by then",
            "flag.b.expires: has no effect on a flag that is permanent",
        ]
    );
}

#[test]
fn a_number_that_programs_in_javascript_take_for_another_is_warned_of() {
    let flag = |number: &str| {
        warnings(&format!(
            "[flag.a]\ntype = \"integer\"\nvariants = {{ x = {number} }}\ndefault_variant = \"x\"\n"
        ))
    };
    let said = "flag.a.variants.x: beyond 2^53 programs in JavaScript take it for another number";
    assert_eq!(flag("9007199254740992"), [said]);
    assert_eq!(flag("-9223372036854775808"), [said]);
    assert_eq!(flag("-9007199254740991"), [""; 0]);
}

#[test]
fn what_requests_are_asked_for_and_do_not_have_is_warned_of() {
    let split = "[route.a]\nmatch = { path = \"/a\" }\nsplit.x = { upstream = \"base\", weight = 1 }\n\
                 split.y = { upstream = \"base\", weight = 0 }\n\
                 rule = [{ segment = \"s\", weights = { y = 1 } }]\n";
    let segment = |conditions: &str| format!("{split}[segment.s]\nall = [{conditions}]\n");
    let plan = "{ attr = \"plan\", op = \"eq\", value = \"beta\" }";
    assert_eq!(
        warnings(&segment(plan)),
        [
            "route.a.rule[0].segment: asks requests for \"plan\", which they do not have: \
             flags.context does not say what it is of a request"
        ]
    );
    assert_eq!(
        warnings(&segment("{ attr = \"clientip\", op = \"exists\" }")),
        [
            "route.a.rule[0].segment: asks requests for \"clientip\", which they do not have: \
             flags.context does not say what it is of a request, did you mean \"client_ip\"?"
        ]
    );
    let mapped = "[flags]\ncontext = { plan = \"header:x-plan\" }\n";
    assert_eq!(warnings(&format!("{}{mapped}", segment(plan))), [""; 0]);
    let key = "{ attr = \"targetingKey\", op = \"exists\" }";
    assert_eq!(warnings(&segment(key)), [""; 0]);
    // What a flag asks for is asked for, too.
    let flags = "[flag.f]\nprerequisites = [{ flag = \"g\", variant = \"on\" }]\n\
                 [flag.g]\nrules = [{ split = { on = 1, off = 1 }, bucket_by = \"org\" }]\n";
    let asked = segment("{ attr = \"flag:f\", op = \"eq\", value = \"on\" }");
    assert_eq!(
        warnings(&format!("{asked}{flags}")),
        [
            "route.a.rule[0].segment: asks requests for \"org\" for flag g, which they do not have: \
             flags.context does not say what it is of a request"
        ]
    );
    // An application may send anything.
    assert_eq!(warnings(flags), [""; 0]);
    assert_eq!(
        warnings(&format!(
            "[flag.h]\nrules = [{{ segment = \"beta\", serve = \"on\" }}]\n\
             inject = {{ header = \"x-h\", routes = [\"shop\"] }}\n{BETA}"
        )),
        [
            "flag.h.inject: asks requests for \"plan\", which they do not have: flags.context does \
             not say what it is of a request"
        ]
    );
}
