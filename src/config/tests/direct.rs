//! What routes answer by themselves: what is read, what is refused and what is warned of.

use std::fs;
use std::path::Path;

use crate::config::tests::{BASE, checked, config, refused};
use crate::config::{Config, DirectConfig, RespondBody, RespondConfig, load};
use crate::message::Scheme;
use crate::proxy::Redirect;
use crate::route::{PathRewrite, RewriteSpec};

fn redirect(config: &Config, route: &str) -> Redirect {
    match &config.routes[route].direct {
        Some(DirectConfig::Redirect(redirect)) => redirect.clone(),
        other => panic!("{other:?}"),
    }
}

fn respond(config: &Config, route: &str) -> RespondConfig {
    match &config.routes[route].direct {
        Some(DirectConfig::Respond(page)) => page.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn redirects_are_read() {
    let config = config(
        "[route.a]\nmatch = { path = \"/a\" }\n\
         redirect = { scheme = \"https\", host = \"b.com\", port = 8443, prefix = \"/b\", query = false, status = 308 }\n\
         [route.b]\nmatch = { path = \"/b\" }\nredirect = { path = \"/c\" }\n",
    );
    let a = redirect(&config, "a");
    assert_eq!(a.scheme, Some(Scheme::Https));
    assert_eq!((a.host.as_deref(), a.port), (Some("b.com"), Some(8443)));
    assert_eq!((a.query, a.status), (false, 308));
    let spec = a.path.as_ref().map(PathRewrite::spec);
    assert_eq!(spec, Some(&RewriteSpec::Prefix("/b".to_owned())));
    let b = redirect(&config, "b");
    assert_eq!((b.scheme, b.host, b.port), (None, None, None));
    assert_eq!((b.query, b.status), (true, 302));
    assert!(config.routes["b"].upstreams.is_empty());
}

#[test]
fn pages_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    let text = format!(
        "{BASE}[route.a]\nmatch = {{ path = \"/a\" }}\n\
         respond = {{ status = 503, file = \"page.HTML\", headers = {{ Retry-After = \"5\" }} }}\n\
         [route.b]\nmatch = {{ path = \"/b\" }}\nrespond = {{ body = \"ö\", content_type = \"text/x\" }}\n\
         [route.c]\nmatch = {{ path = \"/c\" }}\nrespond = {{}}\n\
         [route.d]\nmatch = {{ path = \"/d\" }}\nrespond = {{ file = \"page\" }}\n\
         [route.e]\nupstream = \"base\"\n"
    );
    fs::write(&file, text).unwrap();
    fs::write(folder.path().join("page.HTML"), "<p>soon").unwrap();
    fs::write(folder.path().join("page"), [0xff]).unwrap();
    let loaded = load(&file).unwrap();
    for page in ["page.HTML", "page"] {
        assert!(loaded.sources.has(&folder.path().join(page)), "{page}");
    }
    let a = respond(&loaded.config, "a");
    assert_eq!((a.status, &a.body.bytes()[..]), (503, &b"<p>soon"[..]));
    assert_eq!(a.content_type.as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(a.headers[0].0, "retry-after");
    let b = respond(&loaded.config, "b");
    assert_eq!(b.body, RespondBody::Text("ö".to_owned()));
    assert_eq!((b.status, b.content_type.as_deref()), (200, Some("text/x")));
    let c = respond(&loaded.config, "c");
    assert_eq!(
        (c.status, c.body, c.content_type),
        (200, RespondBody::Empty, None)
    );
    let d = respond(&loaded.config, "d");
    assert_eq!(d.content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(&d.body.bytes()[..], [0xff]);

    // What is in it is a part of the configuration.
    let before = loaded.files_sha256;
    fs::write(folder.path().join("page"), "other").unwrap();
    assert_ne!(load(&file).unwrap().files_sha256, before);
}

#[test]
fn a_page_that_cannot_be_read_is_a_problem_and_may_come() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    let text = format!("[route.a]\nrespond = {{ file = \"page\" }}\n{BASE}");
    fs::write(&file, text).unwrap();
    let root = folder.path().display();
    let refusal = |expected: &str| {
        let problems = load(&file).unwrap_err();
        assert_eq!(problems.to_string(), expected);
        assert!(problems.sources().has(&folder.path().join("page")));
    };
    refusal(&format!(
        "{root}/t.toml:2:20 route.a.respond.file: {root}/page cannot be read: No such file or \
         directory (os error 2)"
    ));
    fs::write(folder.path().join("page"), vec![b'x'; (1 << 20) + 1]).unwrap();
    refusal(&format!(
        "{root}/t.toml:2:20 route.a.respond.file: {root}/page cannot be read: larger than 1MiB"
    ));
    fs::write(folder.path().join("page"), vec![b'x'; 1 << 20]).unwrap();
    load(&file).unwrap();
}

#[test]
fn a_route_does_one_thing() {
    let none = "has no effect on a route that answers by itself";
    refused(
        "[route.a]\nupstream = \"base\"\nredirect = { path = \"/b\" }\nrespond = {}\nsalt = \"s\"\n\
         request_headers = { remove = [\"x\"] }\nrewrite = { path = \"/x\" }\ntimeouts = { body = \"1s\" }\n\
         limits = { body = \"1B\" }\nassignment_headers = \"both\"\ntunnels_on_off = \"cut\"\n",
        &[
            "2:1 route.a.upstream: leads on, and the route answers by itself; it does one of the two",
            "4:1 route.a.respond: there is a redirect already; a route does one of the two",
            &format!("5:1 route.a.salt: {none}"),
            &format!("6:1 route.a.request_headers: {none}"),
            &format!("7:1 route.a.rewrite: {none}"),
            &format!("8:1 route.a.timeouts: {none}"),
            &format!("9:1 route.a.limits: {none}"),
            &format!("10:1 route.a.assignment_headers: {none}"),
            &format!("11:1 route.a.tunnels_on_off: {none}"),
        ],
    );
}

#[test]
fn redirects_are_checked() {
    refused(
        "[route.a]\nmatch = { path = \"/a\" }\nredirect = { status = 308, query = true }\n\
         [route.b]\nmatch = { path = \"/b\" }\n\
         redirect = { scheme = \"ftp\", host = \"a.com:80\", port = 0, query = 1, status = 304, paht = \"/\" }\n\
         [route.c]\nmatch = { path_exact = \"/c\" }\nredirect = { prefix = \"/d\", path = \"/e\" }\n",
        &[
            "3:1 route.a.redirect: leads nowhere else; a scheme, a host, a port or a path belongs here",
            "6:23 route.b.redirect.scheme: \"ftp\" is not \"http\" or \"https\"",
            "6:37 route.b.redirect.host: \"a.com:80\" is not a host without a port, such as \
             \"www.example.com\"",
            "6:56 route.b.redirect.port: 0 is not a whole number from 1 to 65535",
            "6:67 route.b.redirect.query: 1 is not true or false",
            "6:79 route.b.redirect.status: 304 is not 301, 302, 303, 307 or 308",
            "6:84 route.b.redirect.paht: unknown key, did you mean path? (known here: scheme, host, \
             port, prefix, path, regex_path, query, status)",
            "9:23 route.c.redirect.prefix: there is no prefix to replace: the route catches paths in \
             another way; `path` takes the place of all of it",
            "9:29 route.c.redirect.path: only one of prefix, path and regex_path can be given",
        ],
    );
}

#[test]
fn pages_are_checked() {
    refused(
        "[route.a]\nmatch = { path = \"/a\" }\n\
         respond = { status = 100, body = \"a\", file = \"b\", content_type = \"html\" }\n\
         [route.b]\nmatch = { path = \"/b\" }\nrespond = { content_type = \"text/html\" }\n\
         [route.c]\nmatch = { path = \"/c\" }\nrespond = { status = 204, body = \"a\" }\n\
         [route.d]\nmatch = { path = \"/d\" }\nrespond = { status = 304 }\n\
         [route.e]\nmatch = { path = \"/e\" }\n\
         respond = { headers = { content-length = \"1\", Content-Type = \"a/b\", a = \" b\", C = \"1\", c = \"2\", \"d e\" = \"\" } }\n",
        &[
            "3:22 route.a.respond.status: 100 is not a whole number from 200 to 599",
            "3:27 route.a.respond.body: only one of body and file can be given",
            "3:66 route.a.respond.content_type: \"html\" is not a media type such as \"text/html; \
             charset=utf-8\"",
            "6:13 route.b.respond.content_type: there is nothing that it is the type of",
            "9:1 route.c.respond: a response with status 204 says nothing",
            "12:1 route.d.respond: 304 answers a question that nobody here has heard",
            "15:25 route.e.respond.headers.content-length: content-length cannot be set here: it says \
             where the message ends, which tidegate does",
            "15:47 route.e.respond.headers.Content-Type: content-type cannot be set here: content_type \
             says it",
            "15:73 route.e.respond.headers.a: \" b\" is not a text of visible ASCII characters without \
             space around it, or { file = \"…\" }",
            "15:88 route.e.respond.headers.c: c is set already",
            "15:97 route.e.respond.headers.\"d e\": \"d e\" is not the name of a header",
        ],
    );
}

#[track_caller]
fn warned(text: &str, expected: &[&str]) {
    let checked = checked(text);
    let said: Vec<_> = checked.warnings.iter().map(ToString::to_string).collect();
    let said: Vec<_> = said
        .iter()
        .map(|line| line.split_once("t.toml:").unwrap().1)
        .collect();
    assert_eq!(said, expected, "{text}");
}

#[test]
fn a_redirect_to_where_its_requests_come_from_is_warned_of() {
    const TLS: &str = "[listener.https]\naddress = \"127.0.0.1:443\"\n\
                       tls = { certificates = [{ cert = \"a\", key = \"b\" }] }\n";
    const PLAIN: &str = "[listener.http]\naddress = \"127.0.0.1:80\"\n";
    let https = "[route.a]\nredirect = { scheme = \"https\" }\n";
    let says = |by: &str, only: &str| {
        format!(
            "1:8 route.a: what comes by {by} is redirected to where it came, and so answered 508; \
             match = {{ scheme = \"{only}\" }} leaves it out"
        )
    };
    warned(&format!("{https}{PLAIN}{TLS}"), &[&says("https", "http")]);
    warned(&format!("{https}{PLAIN}"), &[]);
    let trusting = format!("{https}{PLAIN}trusted_proxies = [\"10.0.0.0/8\"]\n");
    warned(&trusting, &[&says("https", "http")]);
    let plain = "[route.a]\nmatch = { scheme = \"http\" }\nredirect = { scheme = \"https\" }\n";
    warned(&format!("{plain}{PLAIN}{TLS}"), &[]);
    let ported = "[route.a]\nredirect = { scheme = \"https\", port = 8443 }\n";
    warned(&format!("{ported}{PLAIN}{TLS}"), &[]);
    let host =
        "[route.a]\nmatch = { hosts = [\"a.com\", \"b.com\"] }\nredirect = { host = \"B.com\" }\n";
    warned(
        &format!("{host}{PLAIN}{TLS}"),
        &[&says("http", "https"), &says("https", "http")],
    );
    let other = "[route.a]\nmatch = { hosts = [\"a.com\"] }\nredirect = { host = \"b.com\" }\n";
    warned(&format!("{other}{PLAIN}{TLS}"), &[]);
}

#[test]
fn what_is_effective_of_an_own_answer_is_one_again() {
    let text = "[route.a]\nmatch = { path = \"/a\", scheme = \"http\" }\n\
                redirect = { scheme = \"https\", prefix = \"/b\" }\n\
                response_headers = { remove = [\"x\"] }\n\
                [route.b]\nrespond = { status = 503, file = \"page.html\", headers = { a = \"b\" } }\n\
                [route.c]\nmatch = { path = \"/c\" }\nrespond = { body = \"${A}\" }\n";
    let first = config(text).effective();
    let again = toml::to_string(&first).unwrap();
    let again = checked(&again).config.unwrap().effective();
    assert_eq!(first, again);
    let page = Path::new("/etc/tidegate/page.html").display().to_string();
    assert_eq!(first["route"]["b"]["respond"]["file"], page);
    assert_eq!(first["route"]["a"]["redirect"]["status"], 302);
}
