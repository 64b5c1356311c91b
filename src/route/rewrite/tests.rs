//! What becomes of paths, and that none of them leads out of where it belongs.

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

use crate::route::path::with_plain;
use crate::route::rewrite::{LeadsOut, PathRewrite, RewriteError, RewriteSpec};
use crate::route::{Match, MatchSpec, PathSpec};

fn rule(path: PathSpec) -> Match {
    Match::new(MatchSpec {
        path: Some(path),
        ..MatchSpec::default()
    })
    .unwrap()
}

fn prefix(caught: &str, new: &str) -> PathRewrite {
    let rule = rule(PathSpec::Prefix(caught.to_owned()));
    PathRewrite::new(RewriteSpec::Prefix(new.to_owned()), &rule).unwrap()
}

fn template(regex: &str, template: &str) -> Result<PathRewrite, RewriteError> {
    let rule = rule(PathSpec::Regex(regex.to_owned()));
    PathRewrite::new(RewriteSpec::Template(template.to_owned()), &rule)
}

fn applied(rewrite: &PathRewrite, path: &str) -> Result<String, LeadsOut> {
    let mut out = b"before".to_vec();
    rewrite.apply(path.as_bytes(), &mut out)?;
    Ok(String::from_utf8(out.split_off(6)).unwrap())
}

#[track_caller]
fn check(caught: &str, new: &str, path: &str, expected: &str) {
    let rewritten = applied(&prefix(caught, new), path);
    assert_eq!(rewritten.as_deref(), Ok(expected), "{caught} {new} {path}");
}

#[test]
fn a_prefix_gives_way_to_another_by_whole_segments() {
    for caught in ["/shop", "/shop/"] {
        check(caught, "/", "/shop/x", "/x");
        check(caught, "/", "/shop", "/");
        check(caught, "/", "/shop/", "/");
        for new in ["/app", "/app/"] {
            check(caught, new, "/shop/x", "/app/x");
            check(caught, new, "/shop", "/app");
            check(caught, new, "/shop/", "/app/");
        }
    }
    check("/", "/app", "/x", "/app/x");
    check("/", "/app", "/", "/app/");
    check("/a/b", "/c/d/e", "/a/b/x/y/", "/c/d/e/x/y/");
}

#[test]
fn what_lies_below_the_prefix_stays_as_it_was_sent() {
    check(
        "/shop",
        "/app",
        "/shop/%41%2fb%2Fc//d/./e",
        "/app/%41%2fb%2Fc//d/./e",
    );
    check("/shop", "/app", "/shop/a/../b", "/app/a/../b");
    check("/shop", "/", "/shop/;v=1/x;y", "/;v=1/x;y");
}

#[test]
fn the_prefix_is_found_in_its_plain_form() {
    check("/shop", "/app", "/%73hop/x", "/app/x");
    check("/shop", "/app", "//shop//x", "/app//x");
    check("/shop", "/", "//shop//x", "/x");
    check("/shop", "/", "//shop//", "/");
    check("/shop", "/app", "/./shop/./x", "/app/./x");
    check("/shop", "/app", "/a/../shop/x", "/app/x");
    check("/shop", "/app", "/a/%2e%2E/shop/x", "/app/x");
    check("/a/b", "/app", "/x/../a/y/../b/z", "/app/z");
    check("/", "/app", "/../../x", "/app/x");
}

#[test]
fn a_path_that_left_the_prefix_and_came_back_begins_where_it_came_back() {
    check("/shop", "/app", "/shop/x/../../shop/y", "/app/y");
    check("/a/b", "/app", "/a/b/c/../../../a/b/d", "/app/d");
    check("/", "/app", "/a/../../b", "/app/b");
}

#[test]
fn a_path_that_some_server_would_follow_out_of_the_prefix_is_refused() {
    for path in [
        "/shop/%2e%2e%2fadmin",
        "/shop/..%2Fadmin",
        "/shop/..%5cadmin",
        "/shop/..\\admin",
        "/shop/x\\..\\..\\admin",
        "/shop/..;/admin",
        "/shop/..;v=1/admin",
        "/shop/x/..;/..;/admin",
        "/shop/%2e.;a/admin",
        "/shop\\..\\admin/../x/../shop/..;",
        "/shop/x/..%2fy",
        "/shop/.%2f/../admin",
        "/shop/;v=1/../admin",
        "/shop/%5c;a%2fb/../admin",
    ] {
        for new in ["/", "/app"] {
            let rewritten = applied(&prefix("/shop", new), path);
            assert_eq!(rewritten, Err(LeadsOut), "{path}");
        }
    }
    check("/shop", "/app", "/shop/x%2fy/../z", "/app/x%2fy/../z");
    check("/shop", "/app", "/shop/;v=1/.x;y", "/app/;v=1/.x;y");
    check("/shop", "/app", "/shop/...%2fy", "/app/...%2fy");
}

#[test]
fn a_whole_path_gives_way_to_another() {
    for caught in [
        PathSpec::Exact("/a".to_owned()),
        PathSpec::Prefix("/a".to_owned()),
        PathSpec::Regex("/a.*".to_owned()),
    ] {
        let spec = RewriteSpec::Path("/maintenance/".to_owned());
        let rewrite = PathRewrite::new(spec, &rule(caught)).unwrap();
        assert_eq!(applied(&rewrite, "/a").as_deref(), Ok("/maintenance/"));
        assert_eq!(rewrite.stripped(), None);
    }
}

#[test]
fn groups_stand_for_what_they_caught() {
    let check = |regex: &str, text: &str, path: &str, expected: &str| {
        let rewritten = applied(&template(regex, text).unwrap(), path);
        assert_eq!(rewritten.as_deref(), Ok(expected), "{regex} {text} {path}");
    };
    check("/v([0-9]+)/(.*)", "/api/$2/v$1", "/v12/a/b", "/api/a/b/v12");
    check("/v(?<n>[0-9]+)/.*", "/${n}0/$n", "/v1/x", "/10/1");
    check("/(a)?(.*)", "/x/$1$2", "/b", "/x/b");
    check("/(.*)", "/$$1/$0", "/b", "/$1/b");
    // They catch the plain form, and what is made of it is in plain form again.
    check("/a/(.*)", "/b/$1", "//%61/./x%2f/../y", "/b/y");
    check("/a(/.*)", "/b/$1", "/a/x", "/b/x");
}

#[test]
fn what_groups_caught_does_not_lead_out_of_what_stands_before_them() {
    let rewrite = template("/a(.*)b", "/app/$1").unwrap();
    assert_eq!(applied(&rewrite, "/a..b"), Err(LeadsOut));
    assert_eq!(applied(&rewrite, "/ax/..b"), Ok("/app/".to_owned()));
    assert_eq!(applied(&rewrite, "/a..%2fb"), Err(LeadsOut));
    let rewrite = template("/(.*)", "/app-$1").unwrap();
    assert_eq!(applied(&rewrite, "/x").as_deref(), Ok("/app-x"));
    assert_eq!(
        applied(&rewrite, "/x%2f..%2f..%2f..").as_deref(),
        Err(&LeadsOut)
    );
}

#[test]
fn what_can_make_no_path_is_refused() {
    let refused = |spec: RewriteSpec, caught: PathSpec| {
        PathRewrite::new(spec, &rule(caught))
            .unwrap_err()
            .to_string()
    };
    let exact = || PathSpec::Exact("/a".to_owned());
    let below = || PathSpec::Prefix("/a".to_owned());
    for (spec, caught, says) in [
        (
            RewriteSpec::Prefix("/b".into()),
            exact(),
            "no prefix to replace",
        ),
        (RewriteSpec::Prefix("b".into()), below(), "begins with `/`"),
        (
            RewriteSpec::Prefix("/b/../c".into()),
            below(),
            "plain form, `/c`",
        ),
        (
            RewriteSpec::Path("/b?c".into()),
            below(),
            "cannot stand in a path",
        ),
        (
            RewriteSpec::Template("/$1".into()),
            below(),
            "no path_regex",
        ),
    ] {
        let message = refused(spec, caught);
        assert!(message.contains(says), "{message}");
    }
    for (text, says) in [
        ("/$2", "no group `2`"),
        ("/$1x", "no group `1x`"),
        ("/${n", "stands for nothing"),
        ("/$", "stands for nothing"),
        ("/${}", "stands for nothing"),
        ("$1", "begins with `/`"),
        ("//$1", "plain form"),
        ("/..$1/../x", "plain form"),
        ("/$1?a=b", "cannot stand in a path"),
    ] {
        let message = template("/(.*)", text).unwrap_err().to_string();
        assert!(message.contains(says), "{text}: {message}");
    }
}

/// The segments of a path as a lenient server reads it: `how` tells whether it takes a backslash,
/// `%2F` and `%5C` for slashes, and whether it cuts segments at `;`.
fn lenient(path: &str, how: [bool; 4]) -> Vec<String> {
    let [backslash, slash, encoded_backslash, cuts] = how;
    let mut text = path.replace("%2e", ".").replace("%2E", ".");
    for (is_slash, what) in [
        (backslash, "\\"),
        (slash, "%2f"),
        (slash, "%2F"),
        (encoded_backslash, "%5c"),
        (encoded_backslash, "%5C"),
    ] {
        if is_slash {
            text = text.replace(what, "/");
        }
    }
    let mut segments: Vec<String> = Vec::new();
    for segment in text.split('/') {
        let name = if cuts {
            segment.split(';').next().unwrap()
        } else {
            segment
        };
        match name {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name.to_owned()),
        }
    }
    segments
}

fn any_path() -> impl Strategy<Value = String> {
    let piece = select(
        &[
            "/", "/", "/", "a", "b", "shop", "%73hop", "..", ".", "%2e", "%2E", "%2f", "%5C", "\\",
            ";", "/shop", "/../",
        ][..],
    );
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// A path that is the root to whoever resolves it, or nothing.
fn any_root() -> impl Strategy<Value = String> {
    let piece = select(
        &[
            "",
            "/",
            "/.",
            "/a/..",
            "/%2e",
            "/shop/x/../..",
            "/shop/%2e%2E",
            "/..",
        ][..],
    );
    proptest::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

fn plain(path: &str) -> String {
    with_plain(path.as_bytes(), |plain| {
        String::from_utf8(plain.to_vec()).unwrap()
    })
}

proptest! {
    #[test]
    fn a_rewritten_path_is_the_new_prefix_and_what_lay_below_the_old(
        root in any_root(),
        below in any_path(),
        new in select(&["/", "/app", "/app/v1"][..]),
        caught in select(&["/shop", "/shop/a"][..]),
        how in any::<[bool; 4]>(),
    ) {
        let path = format!("{root}{caught}{below}");
        let plain_path = plain(&path);
        let inside = plain_path.strip_prefix(caught);
        let Some(inside) = inside.filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            // It left the prefix; the route would not have caught it.
            return Ok(());
        };
        let Ok(rewritten) = applied(&prefix(caught, new), &path) else {
            return Ok(());
        };
        prop_assert!(rewritten.starts_with('/') && !rewritten.starts_with("//"), "{}", rewritten);
        // To a server that reads as we do, it is the same below another prefix.
        let expected = format!("{}{inside}", new.trim_end_matches('/'));
        let expected = if expected.is_empty() { "/".to_owned() } else { expected };
        prop_assert_eq!(plain(&rewritten), expected);
        // And to a lenient one it has not left the new prefix.
        let seen = lenient(&rewritten, how);
        prop_assert!(seen.starts_with(&lenient(new, how)), "{} is {:?}", rewritten, seen);
    }

    #[test]
    fn a_path_of_a_template_stays_below_what_stands_before_its_groups(
        path in any_path(),
        how in any::<[bool; 4]>(),
    ) {
        let rewrite = template("/(.*)", "/app/$1").unwrap();
        if let Ok(rewritten) = applied(&rewrite, &path) {
            let seen = lenient(&rewritten, how);
            prop_assert!(seen.starts_with(&["app".to_owned()]), "{} is {:?}", rewritten, seen);
            prop_assert_eq!(plain(&rewritten), rewritten.as_str());
        }
    }
}
