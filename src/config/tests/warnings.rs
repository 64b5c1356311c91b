//! What is allowed and hardly meant.

use crate::config::tests::{BASE, checked};

const ROUTE: &str = "[route.base]\nupstream = \"base\"\n";

#[track_caller]
fn warned(text: &str, expected: &[&str]) {
    let checked = checked(&format!("{text}{BASE}{ROUTE}"));
    checked.config.unwrap();
    let said: Vec<String> = checked
        .warnings
        .iter()
        .map(|warning| warning.to_string().replace("/etc/tidegate/t.toml:", ""))
        .collect();
    assert_eq!(said, expected, "{text}");
}

#[test]
fn an_upstream_that_nobody_uses_is_warned_of() {
    warned(
        "[upstream.a]\nendpoints = [\"127.0.0.1:1\"]\n",
        &["1:11 upstream.a: no route leads here"],
    );
    warned("", &[]);
}

#[test]
fn a_segment_that_nobody_uses_is_warned_of() {
    let segment = "[segment.a]\nall = [{ attr = \"client_ip\", op = \"eq\", value = \"::1\" }]\n";
    let unused = "1:10 segment.a: neither a route nor a flag has a rule for it";
    warned(segment, &[unused]);
    let flag = "[flag.x]\nrules = [{ segment = \"a\", serve = \"on\" }]\n";
    warned(&format!("{segment}{flag}"), &[]);
    let split = "[route.a]\nmatch = { path = \"/a\" }\n\
                 split.x = { upstream = \"base\", weight = 1 }\n\
                 split.y = { upstream = \"base\", weight = 0 }\n";
    let rule = "[[route.a.rule]]\nsegment = \"a\"\nweights = { y = 1 }\n";
    warned(&format!("{segment}{split}{rule}"), &[]);
}

#[test]
fn a_rule_of_variants_that_are_off_is_warned_of() {
    warned(
        "[segment.a]\nall = [{ attr = \"client_ip\", op = \"eq\", value = \"::1\" }]\n\
         [route.a]\nmatch = { path = \"/a\" }\nsplit.x = { upstream = \"base\", weight = 1 }\n\
         split.y = { upstream = \"base\", weight = 0, state = \"off\" }\n\
         [[route.a.rule]]\nsegment = \"a\"\nweights = { y = 1 }\n",
        &[
            "9:1 route.a.rule[0].weights: every variant that has a weight here is off, so the rule is \
             passed over",
        ],
    );
}

#[test]
fn a_split_that_divides_nothing_is_warned_of() {
    warned(
        "[route.a]\nmatch = { path = \"/a\" }\nsplit.x = { upstream = \"base\", weight = 1 }\n",
        &["3:1 route.a.split: one variant alone divides nothing; `upstream = …` says the same"],
    );
}

#[test]
fn an_idle_time_that_endpoints_do_not_share_is_warned_of() {
    let text = |idle: &str| format!("[upstream.base.timeouts]\nidle = \"{idle}\"\n",);
    let before = "[upstream.base]\nendpoints = [\"127.0.0.1:9000\"]\n";
    let checked = checked(&format!("{}{}{ROUTE}", text("61s"), BASE));
    checked.config.unwrap();
    assert_eq!(checked.warnings.len(), 1, "{before}");
    assert_eq!(checked.warnings[0].key, "upstream.base.timeouts.idle");
    assert_eq!(checked.warnings[0].line, 2);
    warned(&text("60s"), &[]);
}

#[test]
fn whoever_trusts_everybody_is_warned() {
    let place = "[listener.a]\naddress = \"127.0.0.1:1\"\ntrusted_proxies = ";
    warned(
        &format!("{place}[\"10.0.0.0/8\", \"::/0\"]\n"),
        &[
            "3:34 listener.a.trusted_proxies[1]: every client can claim any address: this trusts everybody",
        ],
    );
}

#[test]
fn more_connections_than_files_are_warned_of() {
    let text = "[listener.a]\naddress = \"127.0.0.1:1\"\nlimits.connections = ";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    warned(&format!("{text}1\n"), &[]);
    let Some(limit) = limit.filter(|&limit| limit < 100_000_000) else {
        return;
    };
    warned(
        &format!("{text}{limit}\n"),
        &[&format!(
            "3:22 listener.a.limits.connections: {limit} connections need twice as many open \
             files, and this machine allows {limit}"
        )],
    );
}

#[test]
fn beside_problems_there_are_no_warnings() {
    let checked = checked(&format!("[runtime]\nworkers = -1\n{BASE}"));
    assert!(checked.config.is_err());
    assert!(checked.warnings.is_empty());
}
