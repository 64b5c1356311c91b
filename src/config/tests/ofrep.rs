//! OFREP: what is read and what is refused.

use std::path::Path;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::config::tests::{config, read, refused};
use crate::config::{OFREP_UPSTREAM, OfrepConfig, OfrepScope};

/// Of "test".
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

#[test]
fn without_a_section_flags_for_clients_are_there_for_everybody_but_pages() {
    let ofrep = config("").ofrep;
    assert_eq!(ofrep, OfrepConfig::default());
    assert_eq!(ofrep.anonymous, Some(OfrepScope::Client));
    assert_eq!(
        (ofrep.max_body, ofrep.stream, ofrep.rate),
        (65_536, true, None)
    );
    assert!(ofrep.allowed_origins.is_empty() && ofrep.tokens.is_empty());
}

#[test]
fn every_key_is_read() {
    let config = config(&format!(
        "[ofrep]\nallowed_origins = [\"https://shop.example.com\", \"http://localhost:3000\", \
         \"http://[::1]:3000\", \"capacitor://localhost\"]\nmax_body = \"1MiB\"\nanonymous = \"none\"\n\
         stream = false\nrate_limit = {{ rate = \"600/m\" }}\n\
         [ofrep.tokens.shop]\nscope = \"server\"\nsha256 = \"{HASH}\"\nexpires = 1970-01-02\n\
         [ofrep.tokens.web]\nscope = \"client\"\nsecret = \"open-sesame\"\n"
    ));
    let ofrep = &config.ofrep;
    assert_eq!(ofrep.allowed_origins.len(), 4);
    assert_eq!(
        (ofrep.max_body, ofrep.anonymous, ofrep.stream),
        (1 << 20, None, false)
    );
    let rate = ofrep.rate.as_ref().unwrap();
    assert_eq!(
        (rate.requests, rate.per, rate.burst),
        (600, Duration::from_secs(60), 600)
    );
    assert!(rate.keys.is_empty());
    let expected: [u8; 32] = Sha256::digest("test").into();
    let [shop, web] = ["shop", "web"].map(|name| &ofrep.tokens[name]);
    assert_eq!(
        (shop.scope, shop.secret.sha256()),
        (OfrepScope::Server, &expected)
    );
    assert_eq!((web.scope, web.expires), (OfrepScope::Client, None));
    let day = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
    assert_eq!(shop.expires, Some(day));
    let shown = format!("{ofrep:?} {}", config.effective()["ofrep"]);
    assert!(
        !shown.contains(HASH) && !shown.contains("open-sesame"),
        "{shown}"
    );
    assert!(shown.contains("[redacted-secret]"), "{shown}");
}

#[test]
fn everybody_may_ask() {
    let ofrep = config("[ofrep]\nallowed_origins = [\"*\"]\nanonymous = \"server\"\n").ofrep;
    assert_eq!(ofrep.allowed_origins, ["*"]);
    assert_eq!(ofrep.anonymous, Some(OfrepScope::Server));
}

#[test]
fn an_origin_is_what_browsers_send() {
    let what = "is not \"*\" or an origin as browsers send it, such as \"https://shop.example.com\" or \
                \"http://localhost:3000\"";
    for (origin, why) in [
        ("shop.example.com", what),
        ("https://", what),
        ("https://*.example.com", what),
        ("https://ana@example.com", what),
        ("https://example.com:", what),
        ("https://example.com:99999", what),
        ("https://a b", what),
        (
            "https://example.com/",
            "has a path: an origin ends with its host, or with its port",
        ),
        (
            "https://example.com/shop",
            "has a path: an origin ends with its host, or with its port",
        ),
        (
            "https://Example.com",
            "has capital letters, and browsers send small ones",
        ),
        (
            "https://example.com:443",
            "names the port that its scheme has by itself, and browsers leave that out",
        ),
        (
            "http://example.com:80",
            "names the port that its scheme has by itself, and browsers leave that out",
        ),
    ] {
        refused(
            &format!("[ofrep]\nallowed_origins = [\"{origin}\"]\n"),
            &[&format!(
                "2:20 ofrep.allowed_origins[0]: \"{origin}\" {why}"
            )],
        );
    }
    refused(
        "[ofrep]\nallowed_origins = [\"http://a\", \"*\", \"http://b\"]\n",
        &["2:32 ofrep.allowed_origins[1]: is every origin; the others say nothing beside it"],
    );
    refused(
        "[ofrep]\nallowed_origins = [\"http://a\", \"http://a\"]\n",
        &["2:32 ofrep.allowed_origins[1]: \"http://a\" stands there twice"],
    );
    refused(
        "[ofrep]\nallowed_origins = \"*\"\n",
        &[
            "2:19 ofrep.allowed_origins: \"*\" is not a list of origins such as \
             [\"https://shop.example.com\"]",
        ],
    );
}

#[test]
fn the_keys_are_checked() {
    refused(
        "[ofrep]\nmax_body = \"1B\"\nanonymous = \"all\"\nstream = 1\nrate_limit = \"100/s\"\n",
        &[
            "2:12 ofrep.max_body: \"1B\" is not a size from 1KiB to 16MiB, such as \"512B\", \"64KiB\" \
             or \"1MiB\"",
            "3:13 ofrep.anonymous: \"all\" is not \"none\" or \"client\" or \"server\"",
            "4:10 ofrep.stream: 1 is not true or false",
            "5:14 ofrep.rate_limit: \"100/s\" is not a table",
        ],
    );
    refused(
        "[ofrep]\nrate_limit = { rate = \"100\", keys = [\"client_ip\"] }\n",
        &[
            "2:23 ofrep.rate_limit.rate: \"100\" is not a number of requests and a time, such as \
             \"100/s\", \"600/m\" or \"5000/h\"",
            "2:30 ofrep.rate_limit.keys: unknown key (known here: rate, burst)",
        ],
    );
}

#[test]
fn a_token_has_a_scope_and_a_secret_of_its_own() {
    refused(
        "[ofrep.tokens.a]\n[ofrep.tokens.b]\nscope = \"sever\"\nsecret = \"short\"\n",
        &[
            "1:15 ofrep.tokens.a.scope: missing; \"server\" or \"client\" belongs here",
            "1:15 ofrep.tokens.a: neither secret nor sha256: one of the two says how it is recognised",
            "3:9 ofrep.tokens.b.scope: \"sever\" is not \"server\" or \"client\", did you mean \
             \"server\"?",
            "4:10 ofrep.tokens.b.secret: the text is not 8 to 4096 visible ASCII characters",
        ],
    );
    let token = |name: &str| {
        format!("[ofrep.tokens.{name}]\nscope = \"client\"\nsecret = \"open-sesame\"\n")
    };
    refused(
        &format!("{}{}", token("a"), token("b")),
        &["4:15 ofrep.tokens.b: has the same secret as the token a"],
    );
    refused(
        &format!("{}[admin]\ntoken = \"open-sesame\"\n", token("a")),
        &["1:15 ofrep.tokens.a: has the same secret as the token admin of [admin]"],
    );
    refused(
        &format!(
            "{}[admin.tokens.ana]\nroles = [\"viewer\"]\nsecret = \"open-sesame\"\n",
            token("a")
        ),
        &["1:15 ofrep.tokens.a: has the same secret as the token ana of [admin]"],
    );
}

#[test]
fn a_route_may_lead_to_flags() {
    let text = "[route.flags]\nmatch = { path = \"/ofrep/v1\" }\nofrep = true\n\
                rate_limit = [{ rate = \"10/s\" }]\naccess = { allow = [\"10.0.0.0/8\"] }\n\
                limits = { body = \"1KiB\" }\nresponse_headers = { set = { x-a = \"1\" } }\n";
    let mut config = config(text);
    let route = &config.routes["flags"];
    assert!(route.ofrep && !route.has_split && route.direct.is_none());
    assert_eq!(route.upstreams, [OFREP_UPSTREAM]);
    assert!(config.has_ofrep_route());
    let effective = config.effective();
    assert_eq!(effective["route"]["flags"]["ofrep"], true);
    let written = toml::to_string(&effective).unwrap();
    assert_eq!(read(&written).unwrap().effective(), effective);
    // Where it leads to is known while it runs, and no part of the file.
    config.serve_ofrep_at(Path::new("/run/tidegate/ofrep.sock"));
    let upstream = &config.upstreams[OFREP_UPSTREAM];
    assert_eq!(
        upstream.endpoints[0].to_string(),
        "unix:/run/tidegate/ofrep.sock"
    );
    assert_eq!(config.effective(), effective);
    assert!(!self::config("").has_ofrep_route());
}

#[test]
fn a_route_to_flags_leads_nowhere_else() {
    let elsewhere = "leads elsewhere, and the route leads to flags; it does one of the two";
    let none = "has no effect on a route that leads to flags";
    refused(
        "[route.a]\nofrep = true\nupstream = \"base\"\nredirect = { path = \"/\" }\nrespond = {}\n\
         salt = \"a\"\nsticky = { keys = [\"client_ip\"] }\nmirror = { upstream = \"base\" }\n\
         tunnels_on_off = \"cut\"\nrule = []\n\
         [route.b]\nmatch = { path = \"/b\" }\nofrep = false\n\
         [route.c]\nmatch = { path = \"/c\" }\nofrep = \"yes\"\n\
         [route.d]\nmatch = { path = \"/d\" }\nofrep = true\nsplit.x = { upstream = \"base\", weight = 1 }\n",
        &[
            &format!("3:1 route.a.upstream: {elsewhere}"),
            &format!("4:1 route.a.redirect: {elsewhere}"),
            &format!("5:1 route.a.respond: {elsewhere}"),
            &format!("6:1 route.a.salt: {none}"),
            &format!("7:1 route.a.sticky: {none}"),
            &format!("8:1 route.a.mirror: {none}"),
            &format!("9:1 route.a.tunnels_on_off: {none}"),
            &format!("10:1 route.a.rule: {none}"),
            "13:9 route.b.ofrep: false says nothing; leave it out",
            "16:9 route.c.ofrep: \"yes\" is not true or false",
            &format!("20:1 route.d.split: {elsewhere}"),
        ],
    );
    refused(
        "[upstream.\"tidegate:ofrep\"]\nendpoints = [\"127.0.0.1:1\"]\n",
        &[
            "1:11 upstream.\"tidegate:ofrep\": \"tidegate:ofrep\" is not a name of 1 to 64 letters, \
             digits, \"-\" and \"_\"",
        ],
    );
}
