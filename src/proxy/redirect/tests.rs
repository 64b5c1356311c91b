//! Where clients are sent, and what no location ever is.

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

use crate::message::{RequestHead, Scheme};
use crate::proxy::redirect::{Nowhere, Redirect};
use crate::route::{Match, MatchSpec, PathRewrite, PathSpec, RewriteSpec};

fn request(authority: &str, target: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.authority = head.append(authority.as_bytes());
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    head.path = head.append(path.as_bytes());
    head.query = query.map(|query| head.append(query.as_bytes()));
    head
}

/// One that keeps everything.
fn keeping() -> Redirect {
    Redirect {
        status: 302,
        scheme: None,
        host: None,
        port: None,
        path: None,
        query: true,
    }
}

fn rewrite(caught: &str, spec: RewriteSpec) -> Option<PathRewrite> {
    rewrite_of(PathSpec::Prefix(caught.to_owned()), spec)
}

fn rewrite_of(caught: PathSpec, spec: RewriteSpec) -> Option<PathRewrite> {
    let rule = Match::new(MatchSpec {
        path: Some(caught),
        ..MatchSpec::default()
    });
    Some(PathRewrite::new(spec, &rule.unwrap()).unwrap())
}

fn located(redirect: &Redirect, head: &RequestHead, scheme: Scheme) -> Result<String, Nowhere> {
    let mut out = b"before".to_vec();
    redirect.locate(head, scheme, &mut out)?;
    Ok(String::from_utf8(out.split_off(6)).unwrap())
}

#[track_caller]
fn check(redirect: &Redirect, authority: &str, target: &str, expected: &str) {
    let location = located(redirect, &request(authority, target), Scheme::Http);
    assert_eq!(location.as_deref(), Ok(expected), "{authority}{target}");
}

#[test]
fn what_is_not_named_is_kept() {
    let host = Redirect {
        host: Some("www.example.com".to_owned()),
        ..keeping()
    };
    check(
        &host,
        "example.com",
        "/a%20b?c=d",
        "http://www.example.com/a%20b?c=d",
    );
    check(
        &host,
        "example.com:8080",
        "/",
        "http://www.example.com:8080/",
    );
    check(&host, "example.com:80", "/", "http://www.example.com/");
    check(&host, "", "/a", "http://www.example.com/a");
    let path = Redirect {
        path: rewrite("/", RewriteSpec::Path("/new".to_owned())),
        ..keeping()
    };
    check(
        &path,
        "Example.com:81",
        "/old?a",
        "http://Example.com:81/new?a",
    );
    check(
        &path,
        "[2001:db8::1]:81",
        "/old",
        "http://[2001:db8::1]:81/new",
    );
    check(&path, "[2001:db8::1]", "/old", "http://[2001:db8::1]/new");
    let without_query = Redirect {
        query: false,
        ..path
    };
    check(
        &without_query,
        "example.com",
        "/old?a",
        "http://example.com/new",
    );
}

#[test]
fn a_scheme_has_its_own_port_unless_another_is_named() {
    let https = Redirect {
        scheme: Some(Scheme::Https),
        ..keeping()
    };
    check(
        &https,
        "example.com:8080",
        "/x?y",
        "https://example.com/x?y",
    );
    check(&https, "[::1]:8080", "/", "https://[::1]/");
    let ported = Redirect {
        port: Some(8443),
        ..https.clone()
    };
    check(
        &ported,
        "example.com:8080",
        "/",
        "https://example.com:8443/",
    );
    let standard = Redirect {
        port: Some(443),
        ..https
    };
    check(&standard, "example.com", "/", "https://example.com/");
    let port = Redirect {
        port: Some(81),
        ..keeping()
    };
    check(&port, "example.com", "/", "http://example.com:81/");
}

#[test]
fn a_prefix_gives_way_as_it_does_behind_the_proxy() {
    let moved = Redirect {
        path: rewrite("/shop", RewriteSpec::Prefix("/store".to_owned())),
        ..keeping()
    };
    check(&moved, "a.com", "/shop/x?y", "http://a.com/store/x?y");
    check(&moved, "a.com", "//shop//x", "http://a.com/store//x");
    let out = located(&moved, &request("a.com", "/shop/..%2fx"), Scheme::Http);
    assert_eq!(out, Err(Nowhere::LeadsOut));
}

#[test]
fn a_path_that_looks_like_a_host_is_none() {
    let https = Redirect {
        scheme: Some(Scheme::Https),
        ..keeping()
    };
    check(&https, "a.com", "//evil.com/x", "https://a.com//evil.com/x");
    check(&https, "a.com", "/\\evil.com", "https://a.com/%5Cevil.com");
    check(
        &https,
        "a.com",
        "/<a>\"{|}^`?<\\>",
        "https://a.com/%3Ca%3E%22%7B%7C%7D%5E%60?%3C%5C%3E",
    );
    let stripped = Redirect {
        path: rewrite("/shop", RewriteSpec::Prefix("/".to_owned())),
        ..keeping()
    };
    check(
        &stripped,
        "a.com",
        "/shop//evil.com",
        "http://a.com/evil.com",
    );
}

#[test]
fn who_is_there_already_is_sent_nowhere() {
    let https = Redirect {
        scheme: Some(Scheme::Https),
        ..keeping()
    };
    let there = |redirect: &Redirect, authority, target| {
        located(redirect, &request(authority, target), Scheme::Https) == Err(Nowhere::Itself)
    };
    assert!(there(&https, "a.com", "/x?y"));
    assert!(there(&https, "a.com:443", "/"));
    assert!(!there(&https, "a.com:8443", "/"));
    let host = Redirect {
        host: Some("www.a.com".to_owned()),
        ..keeping()
    };
    assert!(there(&host, "WWW.a.com", "/"));
    assert!(!there(&host, "a.com", "/"));
    let port = Redirect {
        port: Some(443),
        ..keeping()
    };
    assert!(there(&port, "a.com", "/"));
    let path = Redirect {
        path: rewrite("/", RewriteSpec::Path("/a".to_owned())),
        query: false,
        ..keeping()
    };
    assert!(there(&path, "a.com", "/a"));
    assert!(!there(&path, "a.com", "/a?b"));
}

#[test]
fn who_names_no_host_cannot_be_sent_anywhere_without_one() {
    let https = Redirect {
        scheme: Some(Scheme::Https),
        ..keeping()
    };
    let nowhere = located(&https, &request("", "/"), Scheme::Http);
    assert_eq!(nowhere, Err(Nowhere::NoHost));
}

fn any_redirect() -> impl Strategy<Value = Redirect> {
    let scheme = select(&[None, Some(Scheme::Http), Some(Scheme::Https)][..]);
    let host = select(&[None, Some("other.example")][..]);
    let port = select(&[None, Some(80), Some(8443)][..]);
    let path = select(vec![
        None,
        rewrite("/", RewriteSpec::Prefix("/new".to_owned())),
        rewrite("/", RewriteSpec::Prefix("/".to_owned())),
        rewrite("/", RewriteSpec::Path("/fixed".to_owned())),
        rewrite_of(
            PathSpec::Regex("/(.*)".to_owned()),
            RewriteSpec::Template("/$1".to_owned()),
        ),
    ]);
    (scheme, host, port, path, any::<bool>()).prop_map(|(scheme, host, port, path, query)| {
        Redirect {
            status: 302,
            scheme,
            host: host.map(str::to_owned),
            port,
            path,
            query,
        }
    })
}

proptest! {
    #[test]
    fn a_location_is_a_url_of_the_host_that_was_meant(
        redirect in any_redirect(),
        // Whatever a head may have in its target.
        target in "/([!-\"$->@-~]|/|\\\\|%0[dDaA]){0,24}(\\?[!-\"$-~]{0,12})?",
        authority in select(&["a.example", "a.example:8080", "[::1]:81", "[::1]"][..]),
        scheme in select(&[Scheme::Http, Scheme::Https][..]),
    ) {
        let Ok(location) = located(&redirect, &request(authority, &target), scheme) else {
            return Ok(());
        };
        prop_assert!(!location.starts_with('/'), "{}", location);
        prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{}", location);
        prop_assert!(!location.contains(['\\', '"', '<', '>']), "{}", location);
        let url: http::Uri = location.parse().unwrap();
        let expected = redirect.host.as_deref().unwrap_or(match authority {
            "a.example:8080" => "a.example",
            "[::1]:81" => "[::1]",
            other => other,
        });
        prop_assert_eq!(url.host(), Some(expected));
        prop_assert_eq!(url.scheme_str(), Some(redirect.scheme.unwrap_or(scheme).name()));
    }
}
