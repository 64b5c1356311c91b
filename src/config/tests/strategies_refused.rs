//! Every kind of problem with steps and checks of strategies, as it is told.

use crate::config::tests::releases_refused::check;

/// Checks what is said of the steps of a strategy, one a line from line 3 on.
#[track_caller]
fn check_steps(steps: &[&str], expected: &[&str]) {
    let steps: String = steps.iter().map(|step| format!("{step},\n")).collect();
    check(&format!("[strategy.s]\nsteps = [\n{steps}]\n"), expected);
}

#[test]
fn steps_lead_from_nobody_to_everybody() {
    check_steps(
        &[
            "{ weight = 5, for = \"1m\" }",
            "{ weight = 5, for = \"1m\" }",
        ],
        &["4:1 strategy.s.steps[1]: a weight of 5 is not more than the one before it, 5"],
    );
    check_steps(
        &["{ weight = 99.99, for = \"1m\" }"],
        &[
            "3:1 strategy.s.steps[0]: is the last step and not weight = 100: the release would never end",
        ],
    );
    check_steps(
        &[
            "{ weight = 5, for = \"1m\" }",
            "{ mirror = 5, for = \"1m\" }",
        ],
        &[
            "4:1 strategy.s.steps[1]: comes after a weight, and would take the candidate away from \
             its users; it belongs before the first weight",
        ],
    );
    check(
        "[strategy.s]\nkind = \"mirror-first\"\nsteps = [{ weight = 100, for = \"1m\" }]\n",
        &["1:11 strategy.s: is mirror-first and has no mirror step before its first weight"],
    );
    check(
        "[strategy.s]\nsteps = []\n[strategy.t]\n",
        &[
            "2:9 strategy.s.steps: 0 steps are not from 1 to 100",
            "3:11 strategy.t.steps: missing; a list of steps such as [{ weight = 5, for = \"20m\" }, \
             { weight = 100, bake = \"30m\" }] belongs here",
        ],
    );
}

#[test]
fn a_step_does_one_thing_for_a_time() {
    check_steps(
        &[
            "{}",
            "{ preview = false }",
            "{ preview = true }",
            "{ preview = true, match = { headers = {} } }",
            "{ preview = true, match = { headers = { \"a b\" = \"1\", x = \"\" } }, mirror = 1 }",
            "{ weight = 0, for = \"1m\" }",
            "{ weight = 0.001, for = \"1m\" }",
            "{ weight = 1 }",
            "{ weight = 1, for = \"1m\", bake = \"1m\", methods = [\"GET\"], match = {} }",
            "{ mirror = 101, for = \"0s\", require = \"prove\", gate = \"g\" }",
        ],
        &[
            "3:1 strategy.s.steps[0]: does nothing; preview, mirror or weight belongs here",
            "4:13 strategy.s.steps[1].preview: false says nothing; leave it out",
            "5:1 strategy.s.steps[2].match: missing; what a request has to have, such as { headers = { \
             x-canary = \"1\" } }, belongs here",
            "6:19 strategy.s.steps[3].match: empty: everybody would have that; a host or a \
             field belongs here",
            "7:41 strategy.s.steps[4].match.headers.\"a b\": \"a b\" is not the name of a header",
            "7:58 strategy.s.steps[4].match.headers.x: \"\" is not the value of a header",
            "7:66 strategy.s.steps[4].mirror: there is preview already; a step does one thing",
            "8:12 strategy.s.steps[5].weight: 0 would do nothing",
            "9:12 strategy.s.steps[6].weight: 0.001 is finer than a hundredth of a percent",
            "10:1 strategy.s.steps[7].for: missing; how long at least, such as \"20m\", belongs here",
            "11:27 strategy.s.steps[8].bake: means the same as for, which is there already",
            "11:40 strategy.s.steps[8].methods: has no effect on a step without mirror",
            "11:59 strategy.s.steps[8].match: has no effect on a step without preview",
            "12:12 strategy.s.steps[9].mirror: 101 is not a number from 0 to 100",
            "12:23 strategy.s.steps[9].for: \"0s\" is not a duration from 1ms to 400d, such as \
             \"250ms\", \"2s\" or \"5m\"",
            "12:39 strategy.s.steps[9].require: \"prove\" is not \"not-failed\" or \"no-regression\" \
             or \"proven\", did you mean \"proven\"?",
            "12:55 strategy.s.steps[9].gate: there is no gate \"g\"",
        ],
    );
}

#[test]
fn nobody_waits_for_what_nobody_looks_at() {
    let last = "{ weight = 100, bake = \"1m\" }";
    check(
        &format!(
            "[strategy.s]\nsteps = [{{ weight = 5, for = \"1m\", require = \"proven\" }}, {last}]\n\
             analysis = false\n"
        ),
        &[
            "2:46 strategy.s.steps[0].require: nobody can tell without a check that is more than a \
             dry run",
        ],
    );
    check_steps(
        &[
            "{ preview = true, match = { headers = { x = \"1\" } }, require = \"proven\" }",
            "{ mirror = 5, for = \"1m\", require = \"no-regression\" }",
            last,
        ],
        &[
            "3:64 strategy.s.steps[0].require: nobody can tell in a preview, where the candidate has \
             no users; \"not-failed\" belongs here",
            "4:37 strategy.s.steps[1].require: nobody can tell while requests are mirrored without a \
             check of the kind \"mismatch\"",
        ],
    );
}

#[test]
fn a_gate_can_open_where_it_is_named() {
    let gates = "[gate.g]\ncriteria = [\"verdict>=proven\", \"check:smoke\"]\n";
    check(
        &format!(
            "[strategy.s]\nstart_gate = \"g\"\nsteps = [{{ weight = 100, bake = \"1m\", gate = \
             \"h\" }}]\ncheck.smok = {{ kind = \"webhook\", url = \"http://a/\" }}\n{gates}"
        ),
        &[
            "2:14 strategy.s.start_gate: the gate asks for verdict>=proven, and there is no check that \
             could say so here",
            "2:14 strategy.s.start_gate: the gate asks for check:smoke, and the strategy has no such \
             check, did you mean \"smok\"?",
            "3:46 strategy.s.steps[0].gate: there is no gate \"h\"",
        ],
    );
}

#[test]
fn checks_are_checked() {
    check(
        "[strategy.s]\nkind = \"blue-green\"\n[strategy.s.check]\na = { kind = \"promql\", query = \"x\" }\n\
         b = { kind = \"errors\", max = 5 }\nc = { kind = \"error_rate\", bad = [], fail_ratio = 0.5, \
         fail_abs = 2, quantile = 0.5 }\nd = { kind = \"latency\", quantile = 1 }\n\
         e = { kind = \"absolute\", max = 1, bad = [\"5x\"] }\nf = { bad = [\"5xx\"] }\n",
        &[
            "4:14 strategy.s.check.a.kind: \"promql\" comes with Prometheus as a source of metrics, \
             which this version does not have; error_rate, latency, absolute and mismatch are counted \
             by the proxy itself, and http and webhook ask others",
            "5:14 strategy.s.check.b.kind: \"errors\" is not \"error_rate\" or \"latency\" or \
             \"absolute\" or \"mismatch\" or \"http\" or \"webhook\"",
            "6:34 strategy.s.check.c.bad: empty; at least one way to end badly belongs here",
            "6:51 strategy.s.check.c.fail_ratio: 0.5 is not a number from 1 to 1000",
            "6:67 strategy.s.check.c.fail_abs: 2 is not a number from 0 to 1",
            "6:70 strategy.s.check.c.quantile: unknown key (known here: kind, on_fail, bad, fail_ratio, \
             pass_ratio, fail_abs, pass_abs, dry_run, required)",
            "7:36 strategy.s.check.d.quantile: 1 is not a number from 0.01 to 0.9999",
            "8:32 strategy.s.check.e.max: 1 is not a number from 0.000001 to 0.99",
            "8:42 strategy.s.check.e.bad[0]: \"5x\" is not \"5xx\" or \"timeout\" or \"reset\" or \
             \"4xx\" or \"grpc\", did you mean \"5xx\"?",
            "9:1 strategy.s.check.f.kind: missing; what is looked at, such as \"error_rate\", belongs \
             here",
        ],
    );
    check(
        "[strategy.s]\nkind = \"blue-green\"\nanalysis = false\ncheck.a = { kind = \"latency\" }\n",
        &["4:7 strategy.s.check.a: has no effect with analysis = false"],
    );
    check(
        "[strategy.s]\nkind = \"blue-green\"\ncheck.p95 = { kind = \"webhook\", url = \"http://a/\" }\n",
        &[
            "1:11 strategy.s: its check p95 has the name of one that is there by itself; another name, \
             or analysis = false, belongs here",
        ],
    );
}

#[test]
fn tests_are_checked() {
    check(
        "[strategy.s]\nkind = \"blue-green\"\n[strategy.s.check]\na = { kind = \"webhook\", url = \
         \"ci.internal/x\" }\nb = { kind = \"webhook\", url = \"https://me:pw@ci/\", at = \"start\" }\n\
         c = { kind = \"http\", requests = [{ method = \"a b\", path = \"x\", expect = { status = 99 } \
         }] }\nd = { kind = \"http\", requests = [] }\ne = { kind = \"http\", attempts = 0 }\n",
        &[
            "4:31 strategy.s.check.a.url: \"ci.internal/x\" is not a URL such as \
             \"https://ci.internal/tests\"",
            "5:31 strategy.s.check.b.url: \"https://me:pw@ci/\" is not a URL such as \
             \"https://ci.internal/tests\"",
            "5:57 strategy.s.check.b.at: \"start\" is not \"preview\"",
            "6:45 strategy.s.check.c.requests[0].method: \"a b\" is not a method",
            "6:59 strategy.s.check.c.requests[0].path: \"x\" is not a path such as \"/healthz\"",
            "6:84 strategy.s.check.c.requests[0].expect.status: 99 is not a whole number from 100 to 599",
            "7:33 strategy.s.check.d.requests: 0 requests are not from 1 to 100",
            "8:1 strategy.s.check.e.requests: missing; a list of requests such as [{ path = \
             \"/healthz\", expect = { status = 200 } }] belongs here",
            "8:33 strategy.s.check.e.attempts: 0 is not a whole number from 1 to 1000",
        ],
    );
}
