//! Pins and guards on forcing: what is read and what is refused.

use std::time::Duration;

use crate::config::tests::{BASE, checked, config, refused};

const SPLIT: &str = "[route.r.split]\nstable = { upstream = \"base\", weight = 9 }\n\
                     canary = { upstream = \"base\", weight = 1 }\n";
const SECRET: &str = "secret = { file = \"pin\" }";

/// A route `r` with this for its stickiness.
fn sticky(keys: &str) -> String {
    format!("[route.r]\nsticky = {{ {keys} }}\n{SPLIT}")
}

/// A route `r` with this for forcing.
fn force(keys: &str) -> String {
    format!("[route.r]\nforce = {{ {keys} }}\n{SPLIT}")
}

#[test]
fn a_pin_is_read() {
    let read = |keys: &str| {
        let config = config(&sticky(&format!("mode = \"pin\", {SECRET}{keys}")));
        let sticky = config.routes["r"].split_spec.sticky.clone().unwrap();
        (sticky.keys.len(), sticky.pin.unwrap())
    };
    let (n_keys, pin) = read("");
    assert_eq!((n_keys, pin.epoch), (0, 1));
    assert_eq!(pin.cookie.name, "tidegate_pin");
    assert_eq!(pin.cookie.max_age, None);
    let (n_keys, pin) =
        read(", keys = [\"client_ip\"], cookie = { name = \"shop\" }, epoch = 7, max_age = \"7d\"");
    assert_eq!((n_keys, pin.epoch), (1, 7));
    assert_eq!(pin.cookie.name, "shop");
    assert_eq!(pin.cookie.max_age, Some(Duration::from_secs(7 * 86_400)));
}

#[test]
fn what_is_wrong_with_a_pin_is_told_at_its_place() {
    for (keys, problem) in [
        (
            "mode = \"pin\"",
            "2:1 route.r.sticky: pins need a `secret`, the same on all instances, so that nobody can \
             make one; `unsigned = true` does without",
        ),
        (
            "mode = \"pin\", secret = \"fifteen-bytes-..\", unsigned = true",
            "2:55 route.r.sticky.unsigned: there is a secret, so pins are signed",
        ),
        (
            "mode = \"pin\", secret = \"fifteen-bytes-.\"",
            "2:35 route.r.sticky.secret: the text is not 16 to 4096 visible ASCII characters",
        ),
        (
            "mode = \"pin\", unsigned = true, epoch = 0",
            "2:51 route.r.sticky.epoch: 0 is not a whole number from 1 to 4294967295",
        ),
        (
            "mode = \"pin\", unsigned = true, cookie = false",
            "2:52 route.r.sticky.cookie: a pin is a cookie; without one there is nothing to pin by",
        ),
        (
            "mode = \"pin\", unsigned = true, cookie = { max_age = \"1d\" }",
            "2:54 route.r.sticky.cookie.max_age: the age of a pin stands beside its cookie",
        ),
        (
            "mode = \"pinned\", cookie = true",
            "2:19 route.r.sticky.mode: \"pinned\" is not \"hash\" or \"pin\"",
        ),
        (
            "cookie = true, epoch = 1",
            "2:27 route.r.sticky.epoch: is for mode = \"pin\"",
        ),
        (
            "cookie = true, max_age = \"1d\"",
            "2:27 route.r.sticky.max_age: is for mode = \"pin\"",
        ),
    ] {
        refused(&sticky(keys), &[problem]);
    }
}

#[test]
fn pins_that_are_not_signed_are_warned_of() {
    let warned = |keys: &str| {
        let checked = checked(&format!("{}{BASE}", sticky(keys)));
        checked.config.unwrap();
        let warnings = checked.warnings.iter();
        warnings.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warned("mode = \"pin\", unsigned = true"),
        [
            "/etc/tidegate/t.toml:2:37 route.r.sticky.unsigned: anybody can make a pin and so choose a \
          variant, also one of weight 0"
        ]
    );
    assert_eq!(warned(&format!("mode = \"pin\", {SECRET}")), [""; 0]);
}

#[test]
fn routes_of_one_host_that_would_undo_each_others_pins_are_refused() {
    let route = |name: &str, hosts: &str, more: &str| {
        format!(
            "[route.{name}]\nmatch = {{ hosts = [{hosts}], path = \"/{name}\" }}\n\
             sticky = {{ mode = \"pin\", {SECRET} }}\n{more}\n\
             split = {{ x = {{ upstream = \"base\", weight = 1 }}, y = {{ upstream = \"base\", weight = 1 }} }}\n"
        )
    };
    let clash = |line: usize, this: &str, other: &str| {
        format!(
            "{line}:8 route.{this}: pins by the cookie tidegate_pin as route {other} does, on the same \
             host and with another meaning, so each would undo the other's; give one another \
             sticky.cookie.name, or both one salt, epoch and secret and variants of the same names"
        )
    };
    let pair = |a: &str, b: &str| format!("{}{}", route("a", a, ""), route("b", b, ""));
    refused(
        &pair("\"h.com\"", "\"g.com\", \"H.com.\""),
        &[&clash(6, "b", "a")],
    );
    // It is told of the one that takes fewer hosts.
    refused(
        &pair("\"*.h.com\"", "\"x.y.h.com\""),
        &[&clash(6, "b", "a")],
    );
    refused(&pair("\"x.h.com\"", "\"*.com\""), &[&clash(1, "a", "b")]);
    let any = route("b", "", "").replace("hosts = [], ", "");
    refused(
        &format!("{}{any}", route("a", "\"h.com\"", "")),
        &[&clash(1, "a", "b")],
    );
    // Other hosts, or pins of one meaning.
    config(&pair("\"h.com\"", "\"*.h.com\""));
    config(&pair("\"*.a.com\"", "\"*.b.com\""));
    let one_salt = "salt = \"s\"";
    config(&format!(
        "{}{}",
        route("a", "\"h.com\"", one_salt),
        route("b", "\"h.com\"", one_salt)
    ));
    let other_cookie = route("b", "\"h.com\"", "").replace("mode", "cookie.name = \"b\", mode");
    config(&format!("{}{other_cookie}", route("a", "\"h.com\"", "")));
    // One salt is not enough when a variant of the one is none of the other.
    let other_variant = route("b", "\"h.com\"", one_salt).replace("y = { up", "z = { up");
    refused(
        &format!("{}{other_variant}", route("a", "\"h.com\"", one_salt)),
        &[&clash(6, "b", "a")],
    );
}

#[test]
fn guards_on_forcing_are_read() {
    let config = config(&force(
        "header = \"x-variant\", trusted = [\"10.0.0.0/8\"], secret = { file = \"f\" }",
    ));
    let route = &config.routes["r"];
    let force = route.split_spec.force.as_ref().unwrap();
    assert!(force.trusted.contains([10, 0, 0, 1].into()));
    assert!(force.secret.is_some() && route.secrets.force.is_some());
    let effective = config.effective();
    assert_eq!(
        effective["route"]["r"]["force"]["secret"]["file"],
        "/etc/tidegate/f"
    );
}

#[test]
fn what_is_wrong_with_a_guard_is_told_at_its_place() {
    for (keys, problem) in [
        (
            "query = \"v\", secret = \"long-enough\"",
            "2:11 route.r.force.query: a secret in a query ends up in logs and histories; use a \
             header or a cookie",
        ),
        (
            "header = \"Referer\", secret = \"long-enough\"",
            "2:11 route.r.force.header: what it says is logged, and so would be the secret",
        ),
        (
            "cookie = \"v\", secret = \"long;enough\"",
            "2:34 route.r.force.secret: the secret has characters that no cookie can have: \", \
             comma, ; or \\",
        ),
        (
            "cookie = \"v\", secret = \"short\"",
            "2:34 route.r.force.secret: the text is not 8 to 4096 visible ASCII characters",
        ),
        (
            "cookie = \"v\", trusted = []",
            "2:35 route.r.force.trusted: empty, so nobody could force; without the key all can",
        ),
        (
            "cookie = \"v\", trusted = [\"10.0.0.0\"]",
            "2:36 route.r.force.trusted[0]: \"10.0.0.0\" is not a network such as \"10.0.0.0/8\"",
        ),
    ] {
        refused(&force(keys), &[problem]);
    }
    let checked = checked(&format!(
        "{}{BASE}",
        force("cookie = \"v\", trusted = [\"::/0\"]")
    ));
    assert!(
        checked.warnings[0]
            .message
            .contains("keeps nobody from forcing")
    );
}
