//! Routes, splits and what they catch: what is read and what is refused.

use crate::config::tests::{config, refused};
use crate::config::{ONLY_VARIANT, OnUnavailable};
use crate::message::Scheme;
use crate::route::PathSpec;
use crate::split::State;

const STABLE: &str = "[route.r.split.stable]\nupstream = \"base\"\nweight = 1\n";

#[test]
fn a_route_has_an_upstream_or_a_split() {
    refused(
        "[route.r]\n",
        &[
            "1:8 route.r: leads nowhere; an upstream, a split, a redirect, a respond or ofrep belongs here",
        ],
    );
    refused(
        &format!("[route.r]\nupstream = \"bass\"\n{STABLE}"),
        &[
            "2:1 route.r.upstream: there is a split already; one of the two leads on",
            "2:12 route.r.upstream: there is no upstream \"bass\", did you mean \"base\"?",
        ],
    );
    let config = config("[route.r]\nupstream = \"base\"\n");
    let route = &config.routes["r"];
    assert!(!route.has_split);
    assert_eq!(route.split_spec.variants[0].name, ONLY_VARIANT);
    assert_eq!(route.upstreams, ["base"]);
}

#[test]
fn what_is_for_splits_is_refused_without_one() {
    let none = "has no effect on a route without a split";
    refused(
        "[route.r]\nupstream = \"base\"\nsticky = { cookie = true }\nforce = { header = \"x\" }\n\
         salt = \"s\"\non_unavailable = \"error\"\n",
        &[
            &format!("3:1 route.r.sticky: {none}"),
            &format!("4:1 route.r.force: {none}"),
            &format!("5:1 route.r.salt: {none}"),
            &format!("6:1 route.r.on_unavailable: {none}"),
        ],
    );
}

#[test]
fn a_weight_is_always_given_and_a_whole_number() {
    refused(
        "[route.r.split]\na = { upstream = \"base\" }\nb = { upstream = \"base\", weight = 1.0 }\n\
         c = { upstream = \"base\", weight = 1_000_001 }\nd = { upstream = \"base\", weight = \"5\" }\n\
         e = { upstream = \"base\", wieght = 5 }\nf = {}\n",
        &[
            "2:1 route.r.split.a.weight: missing; a whole number from 0 to 1000000 belongs here",
            "3:35 route.r.split.b.weight: 1.0 is not a whole number from 0 to 1000000",
            "4:35 route.r.split.c.weight: 1_000_001 is not a whole number from 0 to 1000000",
            "5:35 route.r.split.d.weight: \"5\" is not a whole number from 0 to 1000000",
            "6:1 route.r.split.e.weight: missing; a whole number from 0 to 1000000 belongs here",
            "6:26 route.r.split.e.wieght: unknown key, did you mean weight? (known here: upstream, \
             weight, state)",
            "7:1 route.r.split.f.upstream: missing; the name of an upstream belongs here",
            "7:1 route.r.split.f.weight: missing; a whole number from 0 to 1000000 belongs here",
        ],
    );
}

#[test]
fn a_split_leads_somewhere() {
    refused(
        "[route.r.split]\n",
        &["1:10 route.r.split: empty; a split has at least one variant"],
    );
    refused(
        "[route.r.split]\na = { upstream = \"base\", weight = 0 }\n",
        &["1:10 route.r.split: all weights are 0; at least one must be more"],
    );
    refused(
        "[route.r.split]\na = { upstream = \"base\", weight = 0 }\nb = { upstream = \"base\", weight = 0 }\n",
        &["1:10 route.r.split: all weights are 0; at least one must be more"],
    );
    refused(
        "[route.r.split]\na = { upstream = \"base\", weight = 1, state = \"off\" }\n",
        &["1:10 route.r.split: all variants are off; at least one must be on"],
    );
    refused(
        "[route.r.split]\na = { upstream = \"base\", weight = 1, state = \"off\" }\n\
         b = { upstream = \"base\", weight = 0 }\n",
        &["1:10 route.r.split: all variants that are on have weight 0; at least one needs more"],
    );
    refused(
        "[route.r.split]\na = { upstream = \"base\", weight = 1, state = \"of\" }\n",
        &["2:46 route.r.split.a.state: \"of\" is not \"on\" or \"off\", did you mean \"off\"?"],
    );
}

#[test]
fn an_upstream_with_problems_is_not_unknown() {
    refused(
        "[upstream.a]\nendpoints = [1]\n[route.r]\nupstream = \"a\"\n",
        &["2:14 upstream.a.endpoints[0]: 1 is not a string"],
    );
}

#[test]
fn a_split_is_read() {
    let config = config(
        "[route.r]\nsalt = \"s\"\non_unavailable = \"error\"\n\
         sticky = { keys = [\"client_ip\"], cookie = { name = \"who\", max_age = \"30d\" } }\n\
         force = { header = \"x-variant\", query = \"variant\" }\n\
         [route.r.split]\nb = { upstream = \"base\", weight = 95 }\n\
         a = { upstream = \"base\", weight = 0, state = \"off\" }\n",
    );
    let route = &config.routes["r"];
    assert!(route.has_split);
    assert_eq!(route.on_unavailable, OnUnavailable::Error);
    assert_eq!(route.split_spec.salt, "s");
    let variants: Vec<_> = route
        .split_spec
        .variants
        .iter()
        .map(|variant| (variant.name.as_str(), variant.weight, variant.state))
        .collect();
    assert_eq!(variants, [("a", 0, State::Off), ("b", 95, State::On)]);
    let sticky = route.split_spec.sticky.as_ref().unwrap();
    let cookie = sticky.cookie.as_ref().unwrap();
    assert_eq!(cookie.name, "who");
    assert_eq!(cookie.max_age.unwrap().as_secs(), 30 * 86_400);
    let force = route.split_spec.force.as_ref().unwrap();
    assert_eq!(force.header.as_deref(), Some("x-variant"));
    assert_eq!(force.cookie, None);
}

#[test]
fn a_salt_is_the_routes_name_unless_given() {
    assert_eq!(config(STABLE).routes["r"].split_spec.salt, "r");
    refused(
        &format!("[route.r]\nsalt = \"\"\n{STABLE}"),
        &["2:8 route.r.salt: \"\" is not a text"],
    );
}

#[test]
fn stickiness_is_checked() {
    let key = "is not \"header:NAME\", \"cookie:NAME\", \"query:NAME\" or \"client_ip\"";
    refused(
        &format!(
            "[route.r.sticky]\nkeys = [\"header:\", \"ip\", \"header:a b\", 3]\ncookie = \"yes\"\n{STABLE}"
        ),
        &[
            &format!("2:9 route.r.sticky.keys[0]: \"header:\" {key}"),
            &format!("2:20 route.r.sticky.keys[1]: \"ip\" {key}"),
            &format!("2:26 route.r.sticky.keys[2]: \"header:a b\" {key}"),
            &format!("2:40 route.r.sticky.keys[3]: 3 {key}"),
            "3:10 route.r.sticky.cookie: \"yes\" is not true, false or { name = \"…\", max_age = \"…\" }",
        ],
    );
    refused(
        &format!("[route.r]\nsticky = {{ cookie = false }}\n{STABLE}"),
        &["2:1 route.r.sticky: neither keys nor a cookie: nobody would stay anywhere"],
    );
    refused(
        &format!("[route.r.sticky.cookie]\nname = \"a;b\"\nmax_age = \"1500ms\"\n{STABLE}"),
        &[
            "2:8 route.r.sticky.cookie.name: \"a;b\" is not the name of a cookie",
            "3:11 route.r.sticky.cookie.max_age: \"1500ms\" is not a whole number of seconds",
        ],
    );
}

#[test]
fn forcing_is_checked() {
    refused(
        &format!("[route.r]\nforce = {{}}\n{STABLE}"),
        &["2:1 route.r.force: empty; a header, a cookie or a query parameter belongs here"],
    );
    refused(
        &format!(
            "[route.r]\nforce = {{ header = \"x y\", cookie = 1, query = \"a&b\" }}\n{STABLE}"
        ),
        &[
            "2:20 route.r.force.header: \"x y\" is not the name of a header",
            "2:36 route.r.force.cookie: 1 is not the name of a cookie",
            "2:47 route.r.force.query: \"a&b\" is not the name of a query parameter",
        ],
    );
}

#[test]
fn each_part_of_a_match_has_its_own_problem() {
    refused(
        "[route.r]\nupstream = \"base\"\n[route.r.match]\nhosts = [\"a.com\", \"a b\", 1]\n\
         path_exact = \"/a\"\npath = \"/b\"\nmethods = []\nheaders = { a = 1, b = {} }\n",
        &[
            "4:26 route.r.match.hosts[2]: 1 is not a string",
            "5:1 route.r.match.path_exact: only one of path, path_exact and path_regex can be given",
            "7:11 route.r.match.methods: empty, which would match nothing; without the key it matches \
             all",
            "8:17 route.r.match.headers.a: 1 is not a text, true, false or { regex = \"…\" }",
            "8:20 route.r.match.headers.b.regex: missing; a regular expression belongs here",
        ],
    );
    refused(
        "[route.r]\nupstream = \"base\"\n[route.r.match]\nhosts = [\"a.com\", \"a b\", \"*.*.b\"]\n\
         path = \"b\"\nmethods = [\"G T\"]\n",
        &[
            "4:19 route.r.match.hosts[1]: `a b` is not a host: a host has only letters, digits, \
             hyphens and underscores between dots",
            "4:26 route.r.match.hosts[2]: `*.*.b` is not a host: a wildcard stands only for whole labels \
             at the beginning, as in `*.example.com`",
            "5:8 route.r.match.path: `b` is not a path to match: a path begins with `/`",
            "6:12 route.r.match.methods[0]: `G T` is not a method",
        ],
    );
}

#[test]
fn networks_of_clients_are_checked() {
    let network = "is not a network such as \"10.0.0.0/8\" or an IP address";
    refused(
        "[route.r]\nupstream = \"base\"\nmatch = { client_ip = [\"10.0.0.1/8\", \"all\", 1] }\n\
         [route.s]\nupstream = \"base\"\nmatch = { client_ip = [], path = \"/x\" }\n",
        &[
            "3:24 route.r.match.client_ip[0]: \"10.0.0.1/8\" has bits set beyond its prefix, did you \
             mean \"10.0.0.0/8\"?",
            &format!("3:38 route.r.match.client_ip[1]: \"all\" {network}"),
            &format!("3:45 route.r.match.client_ip[2]: 1 {network}"),
            "6:23 route.s.match.client_ip: empty, which would match nothing; without the key it \
             matches all",
        ],
    );
    refused(
        "[route.a]\nupstream = \"base\"\nmatch = { client_ip = [\"10.0.0.0/8\"] }\n\
         [route.b]\nupstream = \"base\"\nmatch = { client_ip = [\"10.1.0.0/16\"] }\n",
        &[
            "4:8 route.b: ties with route a: both catch any host and any path, and neither is more \
             specific",
        ],
    );
    let config = config(
        "[route.a]\nupstream = \"base\"\nmatch = { client_ip = [\"10.0.0.0/8\", \"::1\"] }\n\
         [route.b]\nupstream = \"base\"\nmatch = { client_ip = [\"11.0.0.0/8\"] }\n",
    );
    let networks = &config.routes["a"].match_spec.clients;
    let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
}

#[test]
fn a_scheme_is_http_or_https() {
    refused(
        "[route.r]\nupstream = \"base\"\nmatch = { scheme = \"htp\" }\n",
        &[
            "3:20 route.r.match.scheme: \"htp\" is not \"http\" or \"https\", did you mean \"http\"?",
        ],
    );
    let config = config("[route.r]\nupstream = \"base\"\nmatch = { scheme = \"https\" }\n");
    let scheme = config.routes["r"].match_spec.scheme;
    assert_eq!(scheme, Some(Scheme::Https));
}

#[test]
fn a_match_is_read() {
    let config = config(
        "[route.r]\nupstream = \"base\"\nmatch = { hosts = [\"a.com\"], path_regex = \"/v[0-9]+/.*\", \
         methods = [\"GET\"], headers = { x-beta = true }, query = { a = \"1\" } }\n",
    );
    let spec = &config.routes["r"].match_spec;
    assert_eq!(spec.hosts, ["a.com"]);
    assert_eq!(
        spec.path,
        Some(PathSpec::Regex(String::from("/v[0-9]+/.*")))
    );
    assert_eq!(spec.headers[0].name, "x-beta");
    assert_eq!(spec.query.len(), 1);
}

#[test]
fn routes_that_tie_are_refused() {
    refused(
        "[route.a]\nupstream = \"base\"\nmatch = { hosts = [\"a.com\", \"b.com\"], path = \"/x\" }\n\
         [route.b]\nupstream = \"base\"\nmatch = { hosts = [\"b.com\"], path = \"/x/\" }\n\
         [route.c]\nupstream = \"base\"\nmatch = { hosts = [\"b.com\"] }\n",
        &[
            "4:8 route.b: ties with route a: both catch b.com and path /x/, and neither is more specific",
        ],
    );
    refused(
        "[route.a]\nupstream = \"base\"\n[route.b]\nupstream = \"base\"\n",
        &[
            "3:8 route.b: ties with route a: both catch any host and any path, and neither is more \
           specific",
        ],
    );
}
