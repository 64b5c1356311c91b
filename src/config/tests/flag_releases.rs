//! Releases of flags: what is read and what is refused.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use crate::config::release_of;
use crate::config::tests::{BASE, checked, config, read, refused};
use crate::release::spec::FLAG;
use crate::release::strategy::Action;

const FLAG_A: &str = "[flag.a]\nrules = [{ split = { on = 10, off = 90 } }]\n";
const SHOP: &str = "[route.shop]\nupstream = \"base\"\n";

/// A release of the flag `a`, with a strategy of its own on line 5.
fn release(strategy: &str) -> String {
    format!(
        "[release.r]\nflag = \"a\"\nstable = \"off\"\ncandidate = \"on\"\nstrategy = {{ {strategy} }}\n"
    )
}

/// Steps without an analysis.
const PLAIN: &str = "steps = [{ weight = 100, for = \"1m\" }], analysis = false";

#[test]
fn a_release_rolls_out_a_flag() {
    let text = format!("{}{FLAG_A}", release(PLAIN));
    let first = config(&text);
    let spec = &first.releases.specs["r"];
    assert_eq!(spec.route, format!("{FLAG}a"));
    assert_eq!(spec.flag(), Some("a"));
    assert_eq!((&*spec.stable, &*spec.candidate), ("off", "on"));
    assert!(
        matches!(spec.strategy.steps[..], [ref step] if matches!(step.action, Action::Weight(_)))
    );
    let effective = first.effective();
    assert_eq!(effective["release"]["r"]["flag"], "a");
    assert!(effective["release"]["r"]["route"].is_null());
    let written = toml::to_string(&effective).unwrap();
    assert_eq!(read(&written).unwrap().effective(), effective);
    let of_route = "[route.a.split]\non = { upstream = \"base\", weight = 0 }\n\
                    off = { upstream = \"base\", weight = 1 }\n\
                    [release.r]\nroute = \"a\"\nstable = \"off\"\ncandidate = \"on\"\n\
                    strategy = { kind = \"blue-green\" }\n";
    assert_eq!(config(of_route).releases.specs["r"].flag(), None);
}

#[test]
fn a_release_of_a_flag_is_judged_by_the_routes_that_serve_it() {
    let judged = release("steps = [{ weight = 5, for = \"1m\" }, { weight = 100, for = \"1m\" }]");
    let injected =
        format!("[flag.a]\ninject = {{ header = \"x-a\", routes = [\"shop\"] }}\n{SHOP}{judged}");
    let config = config(&injected);
    assert_eq!(config.releases.specs["r"].strategy.analysis.checks.len(), 3);
    assert_eq!(config.routes_of_flag("a"), BTreeSet::from(["shop"]));
    assert_eq!(config.routes_of_flag("b"), BTreeSet::new());
    let asked = format!(
        "[flag.a]\n[segment.s]\nall = [{{ attr = \"flag:a\", op = \"eq\", value = \"on\" }}]\n\
         [route.shop.split]\nx = {{ upstream = \"base\", weight = 1 }}\ny = {{ upstream = \"base\", weight = 0 }}\n\
         [[route.shop.rule]]\nsegment = \"s\"\nweights = {{ y = 1 }}\n{judged}"
    );
    let config = self::config(&asked);
    assert_eq!(config.routes_of_flag("a"), BTreeSet::from(["shop"]));
    refused(
        &format!("{judged}{FLAG_A}"),
        &[
            "5:12 release.r.strategy: has checks (errors, hard-stop, p95), and no route serves flag a \
             that could be looked at: neither its inject.routes nor the segment of a route's rule \
             names one; `analysis = false` goes without",
        ],
    );
}

#[test]
fn a_release_of_a_flag_names_what_there_is() {
    let release = |keys: &str| format!("[release.r]\n{keys}\nstrategy = {{ {PLAIN} }}\n");
    for (keys, problem) in [
        (
            "flag = \"aa\"\nstable = \"off\"\ncandidate = \"on\"",
            "2:8 release.r.flag: there is no flag \"aa\", did you mean \"a\"?",
        ),
        (
            "flag = \"a\"\nstable = \"of\"\ncandidate = \"on\"",
            "3:10 release.r.stable: flag a has no variant \"of\", did you mean \"off\"?",
        ),
        (
            "flag = \"a\"\nstable = \"on\"\ncandidate = \"on\"",
            "4:13 release.r.candidate: is the stable variant, too: there is nothing to move",
        ),
        (
            "flag = \"a\"\nroute = \"shop\"\nstable = \"off\"\ncandidate = \"on\"",
            "2:1 release.r.flag: there is a route already; a release moves one of the two",
        ),
        (
            "flag = \"a\"\ncandidate = \"on\"",
            "1:10 release.r.stable: missing; the name of a variant of the flag belongs here",
        ),
        (
            "stable = \"off\"\ncandidate = \"on\"",
            "1:10 release.r.route: missing; the name of a route, or `flag` with that of a flag, \
             belongs here",
        ),
        (
            "flag = \"c\"\nstable = \"off\"\ncandidate = \"on\"",
            "2:8 release.r.flag: variant maybe of flag c has a weight of 5, and a release gives all \
             traffic to stable and candidate; 0 belongs there while there is a release",
        ),
        (
            "flag = \"d\"\nstable = \"off\"\ncandidate = \"on\"",
            "2:8 release.r.flag: the first rule of flag d that is for everybody has a time of its own, \
             and a release decides about it at all times; it has no `from` and no `to` while there is \
             a release",
        ),
    ] {
        let flags = "[flag.c]\nvariants = { on = true, off = false, maybe = false }\n\
                     rules = [{ split = { off = 90, maybe = 5, on = 5 } }]\n\
                     [flag.d]\nrules = [{ split = { on = 1 }, to = 2099-01-01 }, { split = { on = 1 } }]\n";
        refused(
            &format!("{}{FLAG_A}{flags}{SHOP}", release(keys)),
            &[problem],
        );
    }
}

#[test]
fn a_flag_has_nothing_that_a_strategy_for_upstreams_asks_for() {
    let none = "for which there has to be an upstream; a flag has weights alone";
    let steps = "steps = [{ preview = true, match = { headers = { x-a = \"1\" } } }, \
                 { mirror = 10, for = \"1m\" }, { weight = 100, for = \"1m\" }], analysis = false";
    refused(
        &format!("{}{FLAG_A}", release(steps)),
        &[
            &format!("5:12 release.r.strategy: step 1 is a preview, {none}"),
            &format!("5:12 release.r.strategy: step 2 is a mirror, {none}"),
        ],
    );
    let swap = "kind = \"blue-green\", preview = true, match = { host = \"a.example.com\" }, analysis = false";
    refused(
        &format!("{}{FLAG_A}", release(swap)),
        &[&format!(
            "5:12 release.r.strategy: step 1 is a preview, {none}"
        )],
    );
    refused(
        &format!(
            "{}{FLAG_A}",
            release(&format!("{PLAIN}, min_healthy = {{ endpoints = 2 }}"))
        ),
        &["5:12 release.r.strategy: asks for endpoints (min_healthy), and a flag has none"],
    );
    let smoke = "check.smoke = { kind = \"http\", requests = [{ path = \"/\" }] }";
    refused(
        &format!("{}{FLAG_A}", release(&format!("{PLAIN}, {smoke}"))),
        &[
            "5:12 release.r.strategy: its check smoke is of the kind \"http\", which asks an endpoint, \
             and a flag has none; \"webhook\" asks others",
        ],
    );
    let copies = "check.copies = { kind = \"mismatch\", max = 0.01 }";
    refused(
        &format!(
            "{}{FLAG_A}",
            release(&format!(
                "steps = [{{ weight = 100, for = \"1m\" }}], {copies}"
            ))
        ),
        &[
            "5:12 release.r.strategy: its check copies is of the kind \"mismatch\", which compares \
             answers to copies, and nothing of a flag is copied",
            "5:12 release.r.strategy: has checks (copies), and no route serves flag a that could be \
             looked at: neither its inject.routes nor the segment of a route's rule names one; \
             `analysis = false` goes without",
        ],
    );
    let ci = "check.ci = { kind = \"webhook\", url = \"http://ci.internal/\" }";
    config(&format!("{}{FLAG_A}", release(&format!("{PLAIN}, {ci}"))));
    let ab = "kind = \"ab\", for = \"1d\", analysis = false";
    config(&format!("{}{FLAG_A}", release(ab)));
    // The same strategy may move routes.
    let named = "[release.r]\nflag = \"a\"\nstable = \"off\"\ncandidate = \"on\"\nstrategy = \"s\"\n\
         [strategy.s]\nsteps = [{ mirror = 10, for = \"1m\" }, { weight = 100, for = \"1m\" }]\nanalysis = false\n";
    refused(
        &format!("{named}{FLAG_A}"),
        &[&format!(
            "5:12 release.r.strategy: step 1 is a mirror, {none}"
        )],
    );
}

#[test]
fn a_flag_that_is_not_enabled_gives_nobody_the_candidate() {
    let text = format!("{}[flag.a]\nenabled = false\n{BASE}", release(PLAIN));
    let warnings = checked(&text).warnings;
    assert!(
        warnings[0]
            .to_string()
            .ends_with("release.r.flag: flag a is not enabled: nobody would get the candidate"),
        "{warnings:?}"
    );
}

#[test]
fn a_release_of_a_flag_can_be_made_at_run_time() {
    let config = config(FLAG_A);
    let keys = json!({
        "flag": "a",
        "stable": "off",
        "candidate": "on",
        "strategy": { "kind": "blue-green", "analysis": false },
    });
    let keys = keys.as_object().unwrap();
    let spec = release_of("r", keys, &config, &BTreeSet::new()).unwrap();
    assert_eq!(spec.flag(), Some("a"));
    let mut unknown = keys.clone();
    unknown.insert("flag".to_owned(), json!("b"));
    let problems = release_of("r", &unknown, &config, &BTreeSet::new()).unwrap_err();
    assert_eq!(problems[0].file, PathBuf::new());
    assert_eq!(
        (&*problems[0].key, &*problems[0].message),
        ("release.r.flag", "there is no flag \"b\"")
    );
}

#[test]
fn a_freeze_may_be_of_flags() {
    let freeze = |routes: &str| {
        format!(
            "[freeze.f]\nkind = \"deny\"\nto = 2099-01-01T00:00:00Z\nroutes = {routes}\n{FLAG_A}"
        )
    };
    let config = config(&freeze("[\"flag:a\", \"flag:*\"]"));
    let freeze_f = &config.releases.rules.freezes[0];
    assert!(freeze_f.routes[0].matches("flag:a") && !freeze_f.routes[0].matches("a"));
    refused(
        &freeze("[\"flag:aa\"]"),
        &["4:11 freeze.f.routes[0]: there is no flag \"flag:aa\", did you mean \"flag:a\"?"],
    );
}
