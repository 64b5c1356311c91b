//! Mirrors of routes, as they are written and refused.

use std::time::Duration;

use crate::config::MirrorConfig;
use crate::config::tests::{config, refused};
use crate::proxy::Compare;

/// A route with a split, and an upstream beside it.
const ROUTE: &str = "[upstream.a]\nendpoints = [\"127.0.0.1:1\"]\n\
                     [upstream.b]\nendpoints = [\"127.0.0.1:2\"]\n\
                     [route.shop]\nmatch = { path = \"/shop\" }\n\
                     split.stable = { upstream = \"a\", weight = 1 }\n\
                     split.canary = { upstream = \"b\", weight = 0 }\n";

fn read(mirror: &str) -> MirrorConfig {
    let config = config(&format!("{ROUTE}mirror = {{ {mirror} }}\n"));
    config.routes["shop"].mirror.clone().unwrap()
}

#[test]
fn who_gets_the_copies_is_enough() {
    let default = MirrorConfig {
        variant: Some("canary".to_owned()),
        upstream: "b".to_owned(),
        percent: 100.0,
        methods: ["GET", "HEAD", "OPTIONS"].map(str::to_owned).to_vec(),
        timeout: Duration::from_secs(5),
        concurrent: 100,
        body_bytes: 64 << 10,
        compare: None,
    };
    assert_eq!(read("variant = \"canary\""), default);
    let beside = read("upstream = \"b\", compare = false");
    assert_eq!((beside.variant, &*beside.upstream), (None, "b"));
}

#[test]
fn all_of_it_can_be_said() {
    let written = read(
        "variant = \"canary\", percent = 0.25, methods = [\"POST\", \"BREW\"], timeout = \"1m\", \
         concurrent = 1024, body = \"1MiB\", compare = true",
    );
    assert_eq!(written.percent, 0.25);
    assert_eq!(written.methods, ["POST", "BREW"]);
    assert_eq!(written.timeout, Duration::from_secs(60));
    assert_eq!((written.concurrent, written.body_bytes), (1024, 1 << 20));
    let compare = |names: &[&str], body| {
        let headers = names.iter().map(|name| name.as_bytes().into());
        Some(Compare {
            headers: headers.collect(),
            body,
        })
    };
    assert_eq!(written.compare, compare(&["content-type"], true));
    let of = |compare: &str| read(&format!("upstream = \"b\", compare = {{ {compare} }}")).compare;
    assert_eq!(of(""), compare(&["content-type"], true));
    assert_eq!(
        of("headers = [\"ETag\"], body = false"),
        compare(&["etag"], false)
    );
}

#[test]
fn what_copies_nothing_or_everything_is_refused() {
    #[track_caller]
    fn check(mirror: &str, problem: &str) {
        refused(&format!("{ROUTE}mirror = {{ {mirror} }}\n"), &[problem]);
    }
    check(
        "percent = 5",
        "9:1 route.shop.mirror: leads nowhere; a variant or an upstream belongs here",
    );
    check(
        "variant = \"canary\", upstream = \"a\"",
        "9:32 route.shop.mirror.upstream: there is a variant already; copies go to one of the two",
    );
    check(
        "variant = \"canery\"",
        "9:22 route.shop.mirror.variant: there is no variant \"canery\", did you mean \"canary\"?",
    );
    check(
        "variant = \"canary\", percent = 100.5",
        "9:42 route.shop.mirror.percent: 100.5 is not a number from 0 to 100",
    );
    check(
        "variant = \"canary\", methods = []",
        "9:42 route.shop.mirror.methods: empty; at least one method belongs here",
    );
    check(
        "variant = \"canary\", methods = [\"GET IT\"]",
        "9:43 route.shop.mirror.methods[0]: \"GET IT\" is not a method",
    );
    check(
        "variant = \"canary\", concurrent = 0",
        "9:45 route.shop.mirror.concurrent: 0 is not a whole number from 1 to 1024",
    );
    check(
        "variant = \"canary\", compare = 1",
        "9:42 route.shop.mirror.compare: 1 is not true, false or a table such as \
         { headers = [\"content-type\"], body = false }",
    );
    check(
        "variant = \"canary\", compare = { headers = [\"a b\"] }",
        "9:55 route.shop.mirror.compare.headers[0]: \"a b\" is not the name of a header",
    );
}

#[test]
fn a_route_that_answers_by_itself_has_no_mirror() {
    let text = "[route.a]\nmatch = { path = \"/a\" }\nrespond = { body = \"hello\" }\n\
                mirror = { upstream = \"a\" }\n";
    refused(
        text,
        &["4:1 route.a.mirror: has no effect on a route that answers by itself"],
    );
}
