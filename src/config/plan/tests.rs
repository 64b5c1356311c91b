//! What a plan tells of two configurations.

use serde_json::json;

use crate::config::plan::{Plan, Users};
use crate::config::tests::config;

const UPSTREAMS: &str = "[upstream.v1]\nendpoints = [\"127.0.0.1:1\"]\n\
                         [upstream.v2]\nendpoints = [\"127.0.0.1:2\"]\n";

fn plan(old: &str, new: &str) -> Plan {
    let text = |text: &str| format!("{UPSTREAMS}{text}");
    Plan::new(&config(&text(old)), &config(&text(new)))
}

/// A route that keeps users by a header, with these further keys and variants.
fn route(keys: &str, variants: &str) -> String {
    format!(
        "[route.shop]\nsticky = {{ keys = [\"header:x-user\"] }}\n{keys}\n[route.shop.split]\n{variants}\n"
    )
}

fn weights(stable: u32, canary: u32) -> String {
    format!(
        "stable = {{ upstream = \"v1\", weight = {stable} }}\n\
         canary = {{ upstream = \"v2\", weight = {canary} }}"
    )
}

/// The changes, a line each: key, old and new.
fn lines(plan: &Plan) -> Vec<String> {
    let value = |value: &Option<serde_json::Value>| {
        value.as_ref().map_or("-".to_owned(), ToString::to_string)
    };
    let changes = plan.changes.iter();
    let lines = changes.map(|it| format!("{} {} {}", it.key, value(&it.old), value(&it.new)));
    lines.collect()
}

#[track_caller]
fn check_users(old: &str, new: &str, moved: f64, elsewhere: f64, anew: Option<&str>) {
    let plan = plan(old, new);
    let [division] = &plan.divisions[..] else {
        panic!("{plan:?}");
    };
    let Users::Sticky {
        moved: found,
        elsewhere: found_elsewhere,
        anew: found_anew,
        flows,
    } = &division.users
    else {
        panic!("{plan:?}");
    };
    assert!((found - moved).abs() < 1e-9, "{plan:?}");
    assert!((found_elsewhere - elsewhere).abs() < 1e-9, "{plan:?}");
    assert_eq!(*found_anew, anew);
    assert!((flows.iter().map(|flow| flow.share).sum::<f64>() - moved).abs() < 1e-9);
}

#[test]
fn the_same_configuration_in_another_order_changes_nothing() {
    let old = route("", &weights(95, 5));
    let plan = plan(&format!("[shutdown]\ndelay = \"5s\"\n{old}"), &old);
    assert!(plan.is_empty(), "{plan:?}");
    assert!(plan.divisions.is_empty() && plan.effects.is_empty() && plan.restart.is_empty());
}

#[test]
fn a_change_of_weights_is_told_with_shares_and_the_users_that_move() {
    let plan = plan(&route("", &weights(95, 5)), &route("", &weights(90, 10)));
    assert_eq!(
        lines(&plan),
        [
            "route.shop.split.canary.weight 5 10",
            "route.shop.split.stable.weight 95 90"
        ]
    );
    assert_eq!(
        serde_json::to_value(&plan.divisions).unwrap(),
        json!([{
            "route": "shop",
            "variants": [
                {
                    "name": "canary",
                    "upstream": { "old": "v2", "new": "v2" },
                    "weight": { "old": 5, "new": 10 },
                    "share": { "old": 0.05, "new": 0.1 },
                    "state": { "old": "on", "new": "on" },
                },
                {
                    "name": "stable",
                    "upstream": { "old": "v1", "new": "v1" },
                    "weight": { "old": 95, "new": 90 },
                    "share": { "old": 0.95, "new": 0.9 },
                    "state": { "old": "on", "new": "on" },
                },
            ],
            "users": {
                "kind": "sticky",
                "moved": 0.05,
                "elsewhere": 0.05,
                "flows": [{ "from": "stable", "to": "canary", "share": 0.05 }],
            },
        }])
    );
    assert_eq!(plan.effects, []);
}

#[test]
fn users_move_by_weights_names_salt_and_keys() {
    let old = route("", &weights(95, 5));
    check_users(&old, &route("", &weights(19, 0)), 0.05, 0.05, None);
    // The same ratio is no other division, only other weights.
    check_users(&old, &route("", &weights(19, 1)), 0.0, 0.0, None);
    // Off is like a weight of 0.
    let off = weights(95, 5).replace("weight = 5", "weight = 5, state = \"off\"");
    check_users(&old, &route("", &off), 0.05, 0.05, None);
    // Another name is another variant, and only some come to it and so to the same upstream.
    let renamed = weights(95, 5).replace("canary", "next");
    check_users(&old, &route("", &renamed), 0.1 / 1.05, 0.095 / 1.05, None);
    // Another upstream behind the same name moves nobody between variants, and everybody on it.
    let led = weights(95, 5).replace("\"v2\"", "\"v1\"");
    check_users(&old, &route("", &led), 0.0, 0.05, None);
    let anew = 2.0 * 0.95 * 0.05;
    let salt = route("salt = \"other\"", &weights(95, 5));
    check_users(&old, &salt, anew, anew, Some("the salt is another"));
    let keys = old.replace("x-user", "x-id");
    let reason = "they are told apart by other keys";
    check_users(&old, &keys, anew, anew, Some(reason));
}

#[test]
fn without_stickiness_there_are_no_users() {
    let drawn = |stable, canary| {
        let route = route("", &weights(stable, canary));
        route.replace("sticky = { keys = [\"header:x-user\"] }\n", "")
    };
    let users = |old: &str, new: &str| plan(old, new).divisions[0].users.clone();
    assert_eq!(users(&drawn(95, 5), &drawn(90, 10)), Users::Drawn);
    let sticky = route("", &weights(90, 10));
    assert_eq!(users(&drawn(95, 5), &sticky), Users::Begin);
    assert_eq!(users(&sticky, &drawn(90, 10)), Users::End);
}

#[test]
fn pinned_users_stay_unless_their_pins_end() {
    let pins = |epoch, variants: &str| {
        let pin = format!(
            "sticky = {{ mode = \"pin\", epoch = {epoch}, secret = \"0123456789abcdef\" }}"
        );
        route("", variants).replace("sticky = { keys = [\"header:x-user\"] }", &pin)
    };
    let users = |old: &str, new: &str| plan(old, new).divisions[0].users.clone();
    let pinned = |lost: &[&str], anew| Users::Pinned {
        lost: lost.iter().map(|&name| name.to_owned()).collect(),
        anew,
    };
    let old = pins(1, &weights(95, 5));
    assert_eq!(users(&old, &pins(1, &weights(100, 0))), pinned(&[], None));
    let off = weights(95, 5).replace("weight = 5", "weight = 5, state = \"off\"");
    assert_eq!(users(&old, &pins(1, &off)), pinned(&["canary"], None));
    assert_eq!(
        users(&old, &pins(2, &weights(95, 5))),
        pinned(&[], Some("the epoch is another"))
    );
    let by_hash = route("", &weights(95, 5));
    let anew = 2.0 * 0.95 * 0.05;
    check_users(&old, &by_hash, anew, anew, Some("the mode is another"));
}

#[test]
fn each_segment_has_its_own_division() {
    let rules = |canary: u32| {
        format!(
            "[segment.beta]\nall = [{{ attr = \"header:x-beta\", op = \"exists\" }}]\n{}\
             [[route.shop.rule]]\nsegment = \"beta\"\nweights = {{ canary = {canary}, stable = 50 }}\n",
            route("", &weights(95, 5))
        )
    };
    let without = route("", &weights(95, 5));
    let told = |old: &str, new: &str| {
        let plan = plan(old, new);
        let [division] = &plan.divisions[..] else {
            panic!("{plan:?}");
        };
        assert_eq!(division.segment.as_deref(), Some("beta"));
        match &division.users {
            Users::Sticky { moved, .. } => *moved,
            other => panic!("{other:?}"),
        }
    };
    assert!((told(&rules(50), &rules(150)) - 0.25).abs() < 1e-9);
    // Without a rule its requests obey the route.
    assert!((told(&without, &rules(50)) - 0.45).abs() < 1e-9);
    assert!((told(&rules(50), &without) - 0.45).abs() < 1e-9);
}

#[test]
fn whole_things_and_single_keys_are_told_apart() {
    let old = format!(
        "[upstream.old]\nendpoints = [\"127.0.0.1:3\"]\n{}",
        route("", &weights(1, 0))
    );
    let new = "[shutdown]\ntimeout = \"1m\"\n[route.shop]\nupstream = \"v1\"\n\
               request_headers.set = { \"x-a.b\" = \"1\" }\n";
    let told = lines(&plan(&old, new));
    assert!(
        told[0].starts_with("upstream.old {\"endpoints\":[\"127.0.0.1:3\"]"),
        "{told:?}"
    );
    assert!(told[0].ends_with(" -"), "{told:?}");
    let expected = [
        "route.shop.upstream - \"v1\"",
        "route.shop.request_headers - {\"set\":{\"x-a.b\":\"1\"},\"add\":{},\"remove\":[]}",
        "shutdown.timeout \"30s\" \"1m\"",
    ];
    for line in expected {
        assert!(told.iter().any(|told| told == line), "{line}: {told:?}");
    }
    let other = new.replace("= \"1\" }", "= \"2\" }");
    assert_eq!(
        lines(&plan(new, &other)),
        ["route.shop.request_headers.set.\"x-a.b\" \"1\" \"2\""]
    );
}

#[test]
fn what_happens_to_connections_is_told() {
    let listener = |name: &str, port: u16, keys: &str| {
        format!("[listener.{name}]\naddress = \"127.0.0.1:{port}\"\n{keys}\n")
    };
    let upstream =
        |endpoints: &str, keys: &str| format!("[upstream.u]\nendpoints = [{endpoints}]\n{keys}\n");
    let old = [
        listener("a", 1, ""),
        listener("b", 2, ""),
        upstream("\"127.0.0.1:8\", \"127.0.0.1:9\"", ""),
        "[upstream.w]\nendpoints = [\"127.0.0.1:7\"]\n".to_owned(),
    ]
    .concat();
    let new = [
        listener("b", 3, ""),
        listener("c", 4, ""),
        upstream("\"127.0.0.1:9\"", "tls = {}"),
        "[upstream.w]\nendpoints = [\"127.0.0.1:7\"]\nprotocol = \"h2\"\n".to_owned(),
    ]
    .concat();
    let effects = plan(&old, &new).effects;
    let told: Vec<String> = effects
        .iter()
        .map(|it| format!("{}: {}", it.key, it.message))
        .collect();
    assert_eq!(
        told,
        [
            "listener.b.address: 127.0.0.1:3 is listened on; 127.0.0.1:2 takes no new connection, \
             and those that are open drain",
            "listener.c: 127.0.0.1:4 is listened on",
            "listener.a: 127.0.0.1:1 takes no new connection; those that are open drain",
            "upstream.u.tls: connections with its endpoints are made anew",
            "upstream.u.endpoints: 127.0.0.1:8 gets no new request; what runs there finishes",
            "upstream.w.protocol: connections with its endpoints are made anew",
        ]
    );
}

#[test]
fn what_needs_a_restart_is_told() {
    let new = "[runtime]\nworkers = 3\nio = \"io_uring\"\n[metrics]\nbuckets = [1]\n[admin]\naddress = \"127.0.0.1:1\"\n";
    let expected = [
        "runtime.workers",
        "runtime.io",
        "metrics.buckets",
        "admin.address",
    ];
    assert_eq!(plan("", new).restart, expected);
}

/// A release with this identity and these keys, of a route with two variants.
fn release(id: &str, keys: &str) -> String {
    format!(
        "{}[release.\"{id}\"]\nroute = \"shop\"\nstable = \"stable\"\ncandidate = \"canary\"\n{keys}\n",
        route("", &weights(100, 0))
    )
}

/// The effects, a line each.
fn effects(old: &str, new: &str) -> Vec<String> {
    let effects = plan(old, new).effects;
    let told = effects
        .iter()
        .map(|it| format!("{}: {}", it.key, it.message));
    told.collect()
}

#[test]
fn releases_that_would_begin_and_end_are_told() {
    let none = route("", &weights(100, 0));
    let swap = "strategy = { kind = \"blue-green\" }";
    let one = release("shop-2.4.0", swap);
    assert_eq!(
        effects(&none, &one),
        [
            "release.\"shop-2.4.0\": starts as soon as nothing speaks against it: route shop, from \
             stable to canary"
        ]
    );
    assert_eq!(
        effects(&one, &release("b", &format!("{swap}\nstart = \"manual\""))),
        [
            "release.b: waits for somebody to start it: route shop, from stable to canary",
            "release.\"shop-2.4.0\": is aborted if it is under way: route shop goes back to stable",
        ]
    );
    let steps = "strategy = { steps = [{ weight = 100, bake = \"1m\" }] }";
    assert_eq!(
        effects(&one, &release("shop-2.4.0", steps)),
        [
            "release.\"shop-2.4.0\": the kind of its strategy is another: a conflict if it is under \
             way"
        ]
    );
    assert_eq!(
        effects(
            &one,
            &release("shop-2.4.0", &format!("{swap}\nauthor = \"ana\""))
        ),
        [""; 0]
    );
    let back = one
        .replace("stable = \"stable\"", "stable = \"canary\"")
        .replace("candidate = \"canary\"", "candidate = \"stable\"");
    assert_eq!(
        effects(&one, &back),
        [
            "release.\"shop-2.4.0\": canary gives everything back if it is under way, and stable \
             takes its place"
        ]
    );
}

#[test]
fn a_store_is_opened_at_the_start_alone() {
    let restart = |old: &str, new: &str| plan(old, new).restart;
    let store = "[store]\n";
    assert_eq!(restart("", store), ["store"]);
    assert_eq!(restart(store, "[store]\npath = \"other\"\n"), ["store"]);
    assert_eq!(
        restart(store, "[store]\n[cluster]\nid = \"b\"\n"),
        ["cluster.id"]
    );
    assert_eq!(restart("", "[cluster]\nid = \"b\"\n"), [""; 0]);
    assert_eq!(restart(store, ""), [""; 0]);
    let lost = "[store]\non_state_lost = \"refuse-to-start\"\n";
    assert_eq!(restart(store, lost), [""; 0]);
}

#[test]
fn no_secret_is_told() {
    let token = |token: &str| format!("[admin]\ntoken = \"{token}\"\n");
    let plan = plan("", &token("open-sesame"));
    assert_eq!(lines(&plan), ["admin.token - \"[redacted-secret]\""]);
}
