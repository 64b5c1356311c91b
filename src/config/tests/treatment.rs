//! What a route does to requests and responses: what is read and what is refused.

use std::fs;
use std::time::Duration;

use crate::config::tests::{config, refused};
use crate::config::{HeaderText, TreatmentConfig, load};
use crate::route::RewriteSpec;

#[test]
fn edits_of_headers_are_read() {
    let config = config(
        "[route.r]\nupstream = \"base\"\n\
         request_headers = { set = { X-Env = \"prod\" }, add = { x-tag = \"a b\" }, remove = [\"X-Debug\"] }\n\
         response_headers = { set = { x-secret = { file = \"s\" }, x-empty = \"\" } }\n",
    );
    let treatment = &config.routes["r"].treatment;
    let plain = |text: &str| HeaderText::Plain(text.to_owned());
    let request = &treatment.request_headers;
    assert_eq!(request.set, [("x-env".to_owned(), plain("prod"))]);
    assert_eq!(request.add, [("x-tag".to_owned(), plain("a b"))]);
    assert_eq!(request.remove, ["x-debug"]);
    let response = &treatment.response_headers;
    assert_eq!(response.set[0], ("x-empty".to_owned(), plain("")));
    assert!(matches!(&response.set[1].1, HeaderText::Secret(_)));
    assert!(response.remove.is_empty());
}

#[test]
fn fields_that_have_an_owner_are_not_edited() {
    refused(
        "[route.r]\nupstream = \"base\"\n[route.r.request_headers]\nremove = [\"Content-Length\"]\n\
         set = { host = \"a\", connection = \"close\", x-request-id = \"1\" }\n\
         add = { x-forwarded-for = \"1.2.3.4\", via = \"x\", cookie = \"a=1\" }\n\
         [route.r.response_headers]\nset = { date = \"now\", transfer-encoding = \"gzip\" }\n",
        &[
            "4:11 route.r.request_headers.remove[0]: content-length cannot be edited: it says where \
             the message ends, which tidegate does",
            "5:9 route.r.request_headers.set.host: host cannot be edited: rewrite = { host = \"…\" } \
             sets the host",
            "5:21 route.r.request_headers.set.connection: connection cannot be edited: it belongs to \
             one connection and goes no further",
            "5:43 route.r.request_headers.set.x-request-id: x-request-id cannot be edited: \
             trace.request_id names it, and tidegate tells the request's id in it",
            "6:9 route.r.request_headers.add.x-forwarded-for: x-forwarded-for cannot be edited: \
             tidegate tells it; the listener's trusted_proxies say whom to believe",
            "6:38 route.r.request_headers.add.via: via cannot be edited: tidegate tells it, and finds \
             loops by it",
            "6:49 route.r.request_headers.add.cookie: a request has one field with all cookies; set \
             can replace it",
            "8:9 route.r.response_headers.set.date: date cannot be edited: whoever makes an answer \
             dates it",
            "8:23 route.r.response_headers.set.transfer-encoding: transfer-encoding cannot be edited: \
             it says where the message ends, which tidegate does",
        ],
    );
    // Without ids of requests that name is as good as any.
    config(
        "[trace]\nrequest_id = \"off\"\n[route.r]\nupstream = \"base\"\n\
         request_headers = { set = { x-request-id = \"1\" } }\n",
    );
}

#[test]
fn a_header_has_one_edit_and_a_value_that_can_be_sent() {
    let text =
        "is not a text of visible ASCII characters without space around it, or { file = \"…\" }";
    refused(
        "[route.r]\nupstream = \"base\"\n[route.r.request_headers]\nremove = [\"X-A\", \"x b\", 1]\n\
         set = { x-a = \"1\", x-c = \" 1\", x-d = \"a\\r\\nHost: b\", x-e = 1, x-f = \"é\" }\n\
         add = { x-g = { flie = \"a\" }, X-c = \"1\" }\n",
        &[
            "4:18 route.r.request_headers.remove[1]: \"x b\" is not the name of a header",
            "4:25 route.r.request_headers.remove[2]: 1 is not a string",
            "5:9 route.r.request_headers.set.x-a: x-a has another edit already; one name, one edit",
            &format!("5:26 route.r.request_headers.set.x-c: \" 1\" {text}"),
            &format!("5:38 route.r.request_headers.set.x-d: \"a\\r\\nHost: b\" {text}"),
            &format!("5:60 route.r.request_headers.set.x-e: 1 {text}"),
            &format!("5:69 route.r.request_headers.set.x-f: \"é\" {text}"),
            "6:9 route.r.request_headers.add.x-g.file: missing; the path of a file with the secret \
             belongs here",
            "6:17 route.r.request_headers.add.x-g.flie: unknown key, did you mean file? (known here: \
             file)",
            "6:31 route.r.request_headers.add.X-c: x-c has another edit already; one name, one edit",
        ],
    );
}

#[test]
fn a_header_may_have_its_value_from_a_file_that_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    let text = "[listener.http]\naddress = \"127.0.0.1:0\"\n[upstream.a]\nendpoints = [\"127.0.0.1:1\"]\n\
                [route.r]\nupstream = \"a\"\n\
                request_headers = { set = { authorization = { file = \"key\" }, x-token = \"abc\" } }\n";
    fs::write(&file, text).unwrap();
    fs::write(folder.path().join("key"), "Bearer a-b-c\n").unwrap();
    let loaded = load(&file).unwrap();
    assert!(loaded.sources.has(&folder.path().join("key")));
    let set = &loaded.config.routes["r"].treatment.request_headers.set;
    assert_eq!(set[0].1.expose(), "Bearer a-b-c");
    let effective = loaded.config.effective();
    let shown = &effective["route"]["r"]["request_headers"]["set"];
    let path = folder.path().join("key").display().to_string();
    assert_eq!(shown["authorization"]["file"], path);
    assert_eq!(shown["x-token"], "[redacted-secret]");
    assert!(!format!("{:?}", loaded.config).contains("a-b-c"));

    fs::write(folder.path().join("key"), "Bearer\ta\n").unwrap();
    let problems = load(&file).unwrap_err().to_string();
    assert!(
        problems.ends_with("is not 1 to 8192 visible ASCII characters and spaces"),
        "{problems}"
    );
}

#[test]
fn timeouts_and_limits_of_a_route_are_read() {
    let config = config(
        "[route.r]\nupstream = \"base\"\ntimeouts = { response = \"5s\", tunnel = \"2h\" }\n\
         limits = { body = \"1MiB\" }\n[route.s]\nupstream = \"base\"\nmatch = { path = \"/s\" }\n",
    );
    let treatment = &config.routes["r"].treatment;
    assert_eq!(treatment.timeouts.response, Some(Duration::from_secs(5)));
    assert_eq!(treatment.timeouts.body, None);
    assert_eq!(treatment.timeouts.tunnel, Some(Duration::from_secs(7200)));
    assert_eq!(treatment.body_bytes, Some(1 << 20));
    assert_eq!(config.routes["s"].treatment, TreatmentConfig::default());
    let duration = "is not a duration from 1ms to 400d, such as \"250ms\", \"2s\" or \"5m\"";
    refused(
        "[route.r]\nupstream = \"base\"\ntimeouts = { response = \"0s\", connect = \"1s\" }\n\
         limits = { body = 5, head = \"1KiB\" }\n",
        &[
            &format!("3:25 route.r.timeouts.response: \"0s\" {duration}"),
            "3:31 route.r.timeouts.connect: unknown key (known here: response, body, tunnel)",
            "4:19 route.r.limits.body: 5 is not a size from 0B to 1048576TiB, such as \"512B\", \"64KiB\" or \
             \"1MiB\"",
            "4:22 route.r.limits.head: unknown key (known here: body, requests)",
        ],
    );
}

#[test]
fn rewrites_are_read() {
    let config = config(
        "[route.a]\nupstream = \"base\"\nmatch = { path = \"/a\" }\nrewrite = { prefix = \"/\", host = \"h:81\" }\n\
         [route.b]\nupstream = \"base\"\nmatch = { path_regex = '/b/(.*)' }\nrewrite = { regex_path = '/$1' }\n",
    );
    let a = &config.routes["a"].treatment;
    assert_eq!(a.host.as_deref(), Some("h:81"));
    let spec = |name: &str| {
        let path = config.routes[name].treatment.path.as_ref();
        path.map(|path| path.spec().clone())
    };
    assert_eq!(spec("a"), Some(RewriteSpec::Prefix("/".to_owned())));
    assert_eq!(spec("b"), Some(RewriteSpec::Template("/$1".to_owned())));
    assert_eq!(config.routes["b"].treatment.host, None);
}

#[test]
fn rewrites_are_checked_against_what_the_route_catches() {
    refused(
        "[route.a]\nupstream = \"base\"\nmatch = { path_exact = \"/a\" }\nrewrite = { prefix = \"/b\" }\n\
         [route.b]\nupstream = \"base\"\nmatch = { path = \"/b\" }\nrewrite = { regex_path = \"/$1\" }\n\
         [route.c]\nupstream = \"base\"\nmatch = { path_regex = \"/c/(.*)\" }\nrewrite = { regex_path = \"/$2\" }\n\
         [route.d]\nupstream = \"base\"\nmatch = { path = \"/d\" }\nrewrite = {}\n\
         [route.e]\nupstream = \"base\"\nmatch = { path = \"/e\" }\nrewrite = { path = \"e\", prefix = \"/\" }\n\
         [route.f]\nupstream = \"base\"\nmatch = { path = \"/f\" }\nrewrite = { host = \"a b\", port = 1 }\n",
        &[
            "4:22 route.a.rewrite.prefix: there is no prefix to replace: the route catches paths in \
             another way; `path` takes the place of all of it",
            "8:26 route.b.rewrite.regex_path: there are no groups: the route has no path_regex",
            "12:26 route.c.rewrite.regex_path: path_regex has no group `2`",
            "16:1 route.d.rewrite: empty; a prefix, a path, a regex_path or a host belongs here",
            "20:13 route.e.rewrite.path: only one of prefix, path and regex_path can be given",
            "24:20 route.f.rewrite.host: \"a b\" is not a host such as \"shop.internal\" or \
             \"shop.internal:8080\"",
            "24:27 route.f.rewrite.port: unknown key (known here: prefix, path, regex_path, host)",
        ],
    );
}
