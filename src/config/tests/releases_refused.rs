//! Every kind of problem with releases, strategies, gates and freezes, as it is told.

use crate::config::tests::releases::ROUTE;
use crate::config::tests::{BASE, checked, refused};

/// Checks what is said of a text with a route before it; lines count from its own beginning.
#[track_caller]
pub(in crate::config::tests) fn check(text: &str, expected: &[&str]) {
    let n_before = ROUTE.lines().count();
    let expected: Vec<String> = expected
        .iter()
        .map(|line| {
            let (number, rest) = line.split_once(':').unwrap();
            let number: usize = number.parse().unwrap();
            format!("{}:{rest}", number + n_before)
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    refused(&format!("{ROUTE}{text}"), &expected);
}

/// A release with these keys; its strategy is on line 5.
fn release(keys: &str) -> String {
    format!(
        "[release.a]\nroute = \"shop\"\nstable = \"v1\"\ncandidate = \"v2\"\n\
         strategy = {{ kind = \"blue-green\" }}\n{keys}\n"
    )
}

/// What is warned of in a text with a route and a base, without the file.
fn warnings(text: &str) -> Vec<String> {
    let checked = checked(&format!("{ROUTE}{text}{BASE}"));
    assert!(checked.config.is_ok(), "{:?}", checked.config);
    let warnings = checked.warnings.iter();
    let said = warnings.map(|it| format!("{}: {}", it.key, it.message));
    said.collect()
}

#[test]
fn a_release_names_what_there_is() {
    check(
        "[release.\"a b\"]\n[release.a]\nroute = \"shpo\"\nstable = \"v1\"\ncandidate = \"v2\"\n\
         strategy = \"s\"\n",
        &[
            "1:10 release.\"a b\": \"a b\" is not an identity of 1 to 128 letters, digits, \"-\", \
             \"_\", \".\" and \"+\"",
            "3:9 release.a.route: there is no route \"shpo\", did you mean \"shop\"?",
            "6:12 release.a.strategy: there is no strategy \"s\"",
        ],
    );
    check(
        "[release.a]\n",
        &[
            "1:10 release.a.route: missing; the name of a route, or `flag` with that of a flag, \
             belongs here",
            "1:10 release.a.stable: missing; the name of a variant of the route belongs here",
            "1:10 release.a.candidate: missing; the name of a variant of the route belongs here",
            "1:10 release.a.strategy: missing; the name of a strategy, or a strategy, belongs here",
        ],
    );
    check(
        &release(
            "after = [\"b\", \"a-1\"]\n[release.a-2]\nroute = \"shop\"\nstable = \"v1\"\ncandidate = \"v2\"\nstrategy = { kind = \"blue-green\" }",
        ),
        &[
            "6:10 release.a.after[0]: there is no release \"b\"",
            "6:15 release.a.after[1]: there is no release \"a-1\", did you mean \"a-2\"?",
        ],
    );
}

#[test]
fn a_release_moves_traffic_between_two_variants_of_a_split() {
    let release = |stable: &str, candidate: &str, route: &str| {
        format!(
            "[release.a]\nroute = \"{route}\"\nstable = \"{stable}\"\ncandidate = \"{candidate}\"\n\
             strategy = {{ kind = \"blue-green\" }}\n"
        )
    };
    check(
        &release("v1", "v3", "shop"),
        &["4:13 release.a.candidate: route shop has no variant \"v3\", did you mean \"v1\"?"],
    );
    check(
        &release("v1", "v1", "shop"),
        &["4:13 release.a.candidate: is the stable variant, too: there is nothing to move"],
    );
    let plain = "[route.plain]\nmatch = { path = \"/plain\" }\nupstream = \"base\"\n";
    check(
        &format!("{}{plain}", release("v1", "v2", "plain")),
        &[
            "2:9 release.a.route: route plain has no split: a release moves traffic from one of its \
             variants to another",
        ],
    );
    let three = "[route.three]\nmatch = { path = \"/three\" }\n[route.three.split]\n\
                 v1 = { upstream = \"base\", weight = 8 }\nv2 = { upstream = \"base\", weight = 0 }\n\
                 v3 = { upstream = \"base\", weight = 2 }\n";
    check(
        &format!("{}{three}", release("v1", "v2", "three")),
        &[
            "2:9 release.a.route: variant v3 of route three has a weight of 2, and a release gives \
             all traffic to stable and candidate; 0 belongs there while there is a release",
        ],
    );
}

#[test]
fn what_is_said_of_a_release_has_its_form() {
    check(
        &release(
            "commit_time = 2026-11-20\nnot_before = \"soon\"\nchange = { type = \"normale\", risk = \
             \"huge\", ticket = \"\" }\nnotes = \" \"\nprocedure = 5\nauthor = \"\"\nrework_of = \"a b\"\nstart = \"later\"",
        ),
        &[
            "6:15 release.a.commit_time: 2026-11-20 is not a moment: a date with a time and an offset, \
             such as 2026-11-24T09:00:00Z or 2026-11-24T10:00:00+01:00",
            "7:14 release.a.not_before: \"soon\" is not a moment: a date with a time and an offset, \
             such as 2026-11-24T09:00:00Z or 2026-11-24T10:00:00+01:00",
            "8:19 release.a.change.type: \"normale\" is not \"standard\" or \"normal\" or \
             \"emergency\", did you mean \"normal\"?",
            "8:37 release.a.change.risk: \"huge\" is not \"low\" or \"medium\" or \"high\"",
            "8:54 release.a.change.ticket: \"\" is not a text",
            "9:9 release.a.notes: is empty; leave it out, or say something",
            "10:13 release.a.procedure: 5 is not a text or { file = \"…\" }",
            "11:10 release.a.author: \"\" is not a text",
            "12:13 release.a.rework_of: \"a b\" is not the identity of a release",
            "13:9 release.a.start: \"later\" is not \"auto\" or \"manual\"",
        ],
    );
}

#[test]
fn no_release_waits_for_itself() {
    let release = |id: &str, after: &str| {
        format!(
            "[release.{id}]\nroute = \"shop\"\nstable = \"v1\"\ncandidate = \"v2\"\n\
             strategy = {{ kind = \"blue-green\" }}\nafter = {after}\n"
        )
    };
    check(
        &release("a", "[\"a\"]"),
        &["6:9 release.a.after: it would wait for itself: a → a"],
    );
    let circle = [
        release("a", "[\"b\"]"),
        release("b", "[\"d\", \"c\"]"),
        release("c", "[\"b\"]"),
        release("d", "[]"),
    ];
    check(
        &circle.concat(),
        &["12:9 release.b.after: it would wait for itself: b → c → b"],
    );
}

#[test]
fn a_strategy_is_checked() {
    check(
        "[strategy.s]\nkind = \"canry\"\nsalt = \"shared:\"\non_deadline = \"abort\"\n\
         min_healthy = { endpoints = 0, percent = 101 }\nrequires = [\"notes\", \"notes\", \"plan\"]\n\
         share = 5\nsteps = [{ weight = 100, for = \"1m\" }]\nanalysis = 5\n",
        &[
            "2:8 strategy.s.kind: \"canry\" is not \"canary\" or \"blue-green\" or \"mirror-first\" or \
             \"ab\", did you mean \"canary\"?",
            "3:8 strategy.s.salt: \"shared:\" is not \"release\", \"route\" or \"shared:\" and a name",
            "4:1 strategy.s.on_deadline: has no effect without a deadline",
            "5:29 strategy.s.min_healthy.endpoints: 0 is not a whole number from 1 to 100000",
            "5:42 strategy.s.min_healthy.percent: 101 is not a number from 0 to 100",
            "6:22 strategy.s.requires[1]: \"notes\" is named twice",
            "6:31 strategy.s.requires[2]: \"plan\" is not \"notes\" or \"rollback_plan\" or \
             \"procedure\" or \"ticket\"",
            "7:1 strategy.s.share: there are steps already, which say all of it",
            "9:12 strategy.s.analysis: 5 is not a table, or false for no analysis",
        ],
    );
    check(
        "[strategy.s]\nkind = \"ab\"\nbake = \"1m\"\n[strategy.t]\nkind = \"blue-green\"\nshare = 5\n\
         gate = \"g\"\n[gate.g]\n",
        &[
            "1:11 strategy.s.for: missing; how long at least, such as \"20m\", belongs here",
            "3:1 strategy.s.bake: goes with kind = \"blue-green\"",
            "6:1 strategy.t.share: goes with kind = \"ab\"",
            "7:1 strategy.t.gate: has no effect without preview; start_gate is before the switch",
        ],
    );
}

#[test]
fn an_analysis_is_checked() {
    check(
        "[strategy.s]\nkind = \"blue-green\"\n[strategy.s.analysis]\nsource = \"fleet\"\n\
         interval = \"1ms\"\nalpha = 0\nbeta_pass = 0.6\nbaseline = \"v3\"\non_insufficient = \"go\"\n",
        &[
            "4:10 strategy.s.analysis.source: there is no source of metrics \"fleet\": this version has \
             \"local\" alone, what the proxy counts itself",
            "5:12 strategy.s.analysis.interval: \"1ms\" is not a duration from 1s to 1h, such as \
             \"250ms\", \"2s\" or \"5m\"",
            "6:9 strategy.s.analysis.alpha: 0 is not a number from 0.000000001 to 0.5",
            "7:13 strategy.s.analysis.beta_pass: 0.6 is not a number from 0.000000001 to 0.5",
            "8:12 strategy.s.analysis.baseline: \"v3\" is not \"stable\" or \"slice\"",
            "9:19 strategy.s.analysis.on_insufficient: \"go\" is not \"hold\" or \"rollback\" or \
             \"pass\"",
        ],
    );
    let passing =
        "[strategy.s]\nkind = \"blue-green\"\nanalysis = { on_insufficient = \"pass\" }\n";
    let release = |change: &str| {
        let release = release(&format!("change = {{ type = \"{change}\" }}"));
        release.replace("{ kind = \"blue-green\" }", "\"s\"")
    };
    check(
        &format!("{}{passing}", release("normal")),
        &[
            "5:12 release.a.strategy: goes on where too little was seen (on_insufficient = \"pass\"), \
             which only a change of the type \"standard\" may",
        ],
    );
    assert_eq!(
        warnings(&format!("{}{passing}", release("standard"))),
        [""; 0]
    );
}

#[test]
fn gates_are_checked() {
    check(
        "[gate.a]\nroles = [\"Admin\", \"sre\", \"sre\"]\napprovals = -1\nexpires = \"0s\"\n\
         on_timeout = \"pass\"\ncriteria = [\"note\", \"verdict>=good\", \"check:\", \"release:x\"]\n\
         [gate.b]\napprovals = 0\n[gate.c]\napprovals = 0\nroles = [\"sre\"]\ncriteria = [\"notes\"]\n",
        &[
            "2:10 gate.a.roles[0]: \"Admin\" is no role: did you mean \"admin\"?",
            "2:26 gate.a.roles[2]: \"sre\" is named twice",
            "3:13 gate.a.approvals: -1 is not a whole number from 0 to 100",
            "4:11 gate.a.expires: \"0s\" is not a duration from 1ms to 400d, such as \"250ms\", \"2s\" \
             or \"5m\"",
            "5:14 gate.a.on_timeout: \"pass\" is not \"hold\" or \"abort\"",
            "6:13 gate.a.criteria[0]: \"note\" is no criterion: verdict>=no-regression, \
             verdict>=proven, notes, rollback_plan, procedure, ticket, check:NAME or release:ID",
            "6:21 gate.a.criteria[1]: \"good\" is no verdict that a gate can ask for: no-regression or \
             proven",
            "6:38 gate.a.criteria[2]: \"check:\" needs a name after the colon, such as check:smoke or \
             release:payments-5.1.0",
            "6:48 gate.a.criteria[3]: there is no release \"x\"",
            "7:7 gate.b: asks for nothing: neither approvals nor criteria; it would always be open",
            "11:1 gate.c.roles: have no effect on a gate that asks for no approvals",
        ],
    );
}

#[test]
fn freezes_are_checked() {
    check(
        "[freeze.a]\n[freeze.b]\nkind = \"deny\"\nfrom = 2027-01-03T00:00:00Z\nto = \
         2026-12-20T00:00:00Z\ntz = \"UTC\"\nblocks = []\nroutes = [\"shpo\", \"a*b\"]\n[freeze.c]\n\
         kind = \"allow\"\nweekly = { days = [\"mo\"], from = \"9:00\", to = \"16:00\" }\n\
         tz = \"Europe/Berlino\"\n[freeze.d]\nkind = \"allow\"\nfrom = 2027-01-03\n\
         weekly = { days = [], from = \"09:00\", to = \"16:00\" }\n[freeze.e]\nkind = \"allow\"\n\
         weekly = { days = [], from = \"09:00\", to = \"16:00\" }\ntz = \"UTC\"\n",
        &[
            "1:9 freeze.a.kind: missing; \"deny\" or \"allow\" belongs here",
            "1:9 freeze.a: is at no time; from and to, or weekly, belong here",
            "5:6 freeze.b.to: a window that begins at 2027-01-03T00:00:00Z ends before that, at \
             2026-12-20T00:00:00Z",
            "6:1 freeze.b.tz: has no effect without weekly: moments have an offset of their own",
            "7:10 freeze.b.blocks: empty, which would stop nothing; without the key it is all of them",
            "8:11 freeze.b.routes[0]: there is no route \"shpo\", did you mean \"shop\"?",
            "8:19 freeze.b.routes[1]: \"a*b\" has a star before its end: a pattern is \"*\", a name or \
             a beginning such as \"shop-*\"",
            "11:20 freeze.c.weekly.days[0]: \"mo\" is not \"mon\" or \"tue\" or \"wed\" or \"thu\" or \
             \"fri\" or \"sat\" or \"sun\", did you mean \"mon\"?",
            "11:34 freeze.c.weekly.from: \"9:00\" is no time: HH:MM from 00:00 to 24:00",
            "12:6 freeze.c.tz: \"Europe/Berlino\" is no time zone of the IANA database, such as \
             Europe/Berlin or UTC",
            "13:9 freeze.d.tz: missing; a time zone such as \"Europe/Berlin\" belongs here",
            "15:1 freeze.d.from: there is weekly already; a freeze has one of the two",
            "19:1 freeze.e.weekly: a weekly window needs days such as [\"mon\", \"fri\"]",
        ],
    );
}

#[test]
fn a_store_is_checked() {
    refused(
        "[store]\nkind = \"etcd\"\npath = \"\"\non_state_lost = \"go-on\"\n[cluster]\nid = \" \"\n",
        &[
            "2:8 store.kind: \"etcd\" is not there yet: this version keeps its state in files of its \
             own; \"file\" belongs here",
            "3:8 store.path: \"\" is not a path",
            "4:17 store.on_state_lost: \"go-on\" is not \"hold\" or \"refuse-to-start\"",
            "6:6 cluster.id: \" \" is not a text",
        ],
    );
    refused(
        "[store]\nkind = \"sqlite\"\n",
        &["2:8 store.kind: \"sqlite\" is not \"file\""],
    );
}

#[test]
fn what_is_hardly_meant_is_warned_of() {
    let strategy = "[strategy.s]\nkind = \"blue-green\"\n";
    assert_eq!(
        warnings(&format!(
            "{strategy}[gate.g]\n[freeze.f]\nkind = \"deny\"\nto = 2026-12-20T00:00:00Z\nroutes = [\"pay-*\"]\n"
        )),
        [
            "strategy.s: no release names it",
            "gate.g: nothing asks for it",
            "freeze.f.routes[0]: no route is called so",
        ]
    );
    let requires = "strategy = { kind = \"blue-green\", requires = [\"notes\", \"ticket\"] }";
    let release = release("").replace("strategy = { kind = \"blue-green\" }", requires);
    assert_eq!(
        warnings(&release),
        ["release.a.strategy: requires notes and ticket, without which the release will not start"]
    );
    let text = format!("{ROUTE}{}{BASE}", self::release("")).replace("weight = 0", "weight = 5");
    let warned = checked(&text).warnings;
    assert_eq!(
        warned[0].to_string(),
        "/etc/tidegate/t.toml:7:13 release.a.candidate: has a weight in route shop already; while \
         there is a release, that decides which share it gets, beginning with 0"
    );
}
