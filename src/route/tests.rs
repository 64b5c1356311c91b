//! What routes promise, by example and against a naive table that tries every route.

mod naive;

use std::net::{IpAddr, Ipv4Addr};

use crate::message::{RequestHead, Scheme};
use crate::route::{FieldSpec, Match, MatchError, MatchSpec, PathSpec, Table, Tie, ValueSpec};

/// Who asks where it does not matter.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn request(method: &str, host: &str, target: &str, headers: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    head.method = head.append(method.as_bytes());
    head.authority = head.append(host.as_bytes());
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    head.path = head.append(path.as_bytes());
    head.query = query.map(|query| head.append(query.as_bytes()));
    for (name, value) in headers {
        head.append_field(name.as_bytes(), value.as_bytes());
    }
    head
}

fn field(name: &str, value: ValueSpec) -> FieldSpec {
    FieldSpec {
        name: name.to_owned(),
        value,
    }
}

fn exact(value: &str) -> ValueSpec {
    ValueSpec::Exact(value.to_owned())
}

/// `host` may be empty for any; a path that begins with `=` is exact, with `~` a regular expression.
fn spec(host: &str, path: &str) -> MatchSpec {
    let path = match (path.strip_prefix('='), path.strip_prefix('~')) {
        _ if path.is_empty() => None,
        (Some(path), _) => Some(PathSpec::Exact(path.to_owned())),
        (_, Some(path)) => Some(PathSpec::Regex(path.to_owned())),
        _ => Some(PathSpec::Prefix(path.to_owned())),
    };
    MatchSpec {
        hosts: host.split_whitespace().map(str::to_owned).collect(),
        path,
        ..MatchSpec::default()
    }
}

fn build(specs: Vec<(&str, MatchSpec)>) -> Result<Table<String>, Vec<Tie>> {
    let route = |(name, spec): (&str, MatchSpec)| {
        let rule = Match::new(spec).unwrap();
        (name.to_owned(), rule, name.to_owned())
    };
    Table::build(specs.into_iter().map(route).collect())
}

#[track_caller]
fn check(table: &Table<String>, host: &str, target: &str, expected: &str) {
    let found = table.find(&request("GET", host, target, &[]), CLIENT, Scheme::Http);
    assert_eq!(found.map_or("", |name| name), expected, "{host} {target}");
}

#[test]
fn the_more_specific_host_wins_wherever_it_stands() {
    let mut routes = vec![
        ("any", spec("", "/")),
        ("below", spec("*.example.com", "/")),
        ("deep", spec("*.b.example.com", "/")),
        ("exact", spec("a.b.example.com", "/")),
        ("address", spec("[::1]", "/")),
    ];
    for _ in 0..routes.len() {
        routes.rotate_left(1);
        let table = build(routes.clone()).unwrap();
        check(&table, "A.b.example.com:8080", "/", "exact");
        check(&table, "a.b.example.com.", "/", "exact");
        check(&table, "x.b.example.com", "/", "deep");
        check(&table, "x.y.b.example.com", "/", "deep");
        check(&table, "b.example.com", "/", "below");
        check(&table, "example.com", "/", "any");
        check(&table, ".example.com", "/", "any");
        check(&table, "xexample.com", "/", "any");
        check(&table, "[0:0::1]:443", "/", "address");
        check(&table, "", "/", "any");
    }
}

#[test]
fn an_exact_path_beats_a_prefix_beats_a_regular_expression_beats_any_path() {
    let table = build(vec![
        ("any", spec("", "/")),
        ("assets", spec("", "/assets/")),
        ("icons", spec("", "/assets/icons")),
        ("logo", spec("", "=/assets/icons/logo")),
        ("number", spec("", "~/[0-9]+")),
        ("number-or-asset", spec("", "~/[0-9]+|/assets.*")),
    ])
    .unwrap();
    check(&table, "", "/assets/icons/logo", "logo");
    check(&table, "", "/assets/icons/logo/", "icons");
    check(&table, "", "/assets/icons", "icons");
    check(&table, "", "/assets/icons/", "icons");
    check(&table, "", "/assets/iconsx", "assets");
    check(&table, "", "/assets", "assets");
    check(&table, "", "/assetsx", "number-or-asset");
    check(&table, "", "/12", "number-or-asset");
    check(&table, "", "/12/x", "any");
    check(&table, "", "/", "any");
    check(&table, "", "*", "any");
}

#[test]
fn a_route_is_not_evaded_by_writing_its_path_in_another_way() {
    let table = build(vec![("any", spec("", "/")), ("admin", spec("", "/admin"))]).unwrap();
    for path in [
        "/admin",
        "/%61dmin/x",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/x/%2e%2E//admin/",
    ] {
        check(&table, "", path, "admin");
    }
    for path in ["/admin%2Fx", "/adminx", "/Admin", "/admin/..", "/x?/admin"] {
        check(&table, "", path, "any");
    }
}

#[test]
fn a_route_whose_conditions_fail_leaves_the_request_to_a_less_specific_one() {
    let beta = MatchSpec {
        headers: vec![field("X-Beta", exact("1"))],
        ..spec("a.com", "=/x")
    };
    let table = build(vec![
        ("beta", beta),
        (
            "prefix",
            MatchSpec {
                methods: vec!["GET".into()],
                ..spec("a.com", "/x")
            },
        ),
        ("below", spec("*.com", "/x/y")),
        ("any", spec("", "/")),
    ])
    .unwrap();
    let find = |method, target, headers: &[_]| {
        table
            .find(
                &request(method, "a.com", target, headers),
                CLIENT,
                Scheme::Http,
            )
            .unwrap()
            .as_str()
    };
    assert_eq!(find("POST", "/x", &[("x-beta", "1")]), "beta");
    assert_eq!(
        find("GET", "/x", &[("x-beta", "2"), ("x-beta", "1")]),
        "prefix"
    );
    assert_eq!(find("POST", "/x/y", &[]), "below");
    assert_eq!(find("POST", "/x", &[]), "any");
    assert_eq!(find("GET", "/z", &[]), "any");
}

#[test]
fn a_condition_on_a_header_or_a_query_parameter_tells_present_from_absent_from_equal() {
    for (value, with_none, with_1, with_12) in [
        (exact("1"), false, true, false),
        (ValueSpec::Present, false, true, true),
        (ValueSpec::Absent, true, false, false),
        (ValueSpec::Regex("1.?".into()), false, true, true),
        (ValueSpec::Regex("1".into()), false, true, false),
    ] {
        let by_header = build(vec![(
            "r",
            MatchSpec {
                headers: vec![field("X-A", value.clone())],
                ..MatchSpec::default()
            },
        )])
        .unwrap();
        let by_query = build(vec![(
            "r",
            MatchSpec {
                query: vec![field("a", value.clone())],
                ..MatchSpec::default()
            },
        )])
        .unwrap();
        for (n, expected) in [("", with_none), ("1", with_1), ("12", with_12)] {
            let (headers, target) = match n {
                "" => (vec![], "/?b".to_owned()),
                n => (vec![("x-a", n)], format!("/?xa&a={n}&a=3")),
            };
            let request = request("GET", "", &target, &headers);
            assert_eq!(
                by_header.find(&request, CLIENT, Scheme::Http).is_some(),
                expected,
                "{value:?} {n}"
            );
            assert_eq!(
                by_query.find(&request, CLIENT, Scheme::Http).is_some(),
                expected,
                "{value:?} {n}"
            );
        }
    }
}

fn from(networks: &[&str]) -> MatchSpec {
    MatchSpec {
        clients: networks.iter().map(|text| text.parse().unwrap()).collect(),
        ..spec("", "/x")
    }
}

#[test]
fn a_route_may_be_for_clients_of_some_networks() {
    let table = build(vec![
        ("inner", from(&["10.0.0.0/8", "2001:db8::/32"])),
        ("outer", spec("", "/x")),
    ])
    .unwrap();
    let asked = request("GET", "", "/x", &[]);
    for (client, expected) in [
        ("10.9.9.9", "inner"),
        ("::ffff:10.9.9.9", "inner"),
        ("2001:db8::7", "inner"),
        ("11.0.0.1", "outer"),
        ("2001:db9::7", "outer"),
    ] {
        let found = table.find(&asked, client.parse().unwrap(), Scheme::Http);
        assert_eq!(found.unwrap(), expected, "{client}");
    }
}

#[test]
fn a_route_for_one_scheme_goes_before_all_for_both() {
    let plain = |host: &str, path: &str| MatchSpec {
        scheme: Some(Scheme::Http),
        ..spec(host, path)
    };
    let table = build(vec![
        ("shop", spec("shop.com", "=/cart")),
        ("to-https", plain("", "/")),
        ("challenge", plain("", "/.well-known/acme-challenge")),
        ("old", plain("old.com", "=/only")),
    ])
    .unwrap();
    let find = |scheme, host, path| {
        let found = table.find(&request("GET", host, path, &[]), CLIENT, scheme);
        found.map_or("", |name| name)
    };
    assert_eq!(find(Scheme::Http, "shop.com", "/cart"), "to-https");
    assert_eq!(find(Scheme::Https, "shop.com", "/cart"), "shop");
    let challenge = "/.well-known/acme-challenge/x";
    assert_eq!(find(Scheme::Http, "shop.com", challenge), "challenge");
    assert_eq!(find(Scheme::Https, "shop.com", challenge), "");
    assert_eq!(find(Scheme::Http, "old.com", "/only"), "old");
    assert_eq!(find(Scheme::Http, "old.com", "/other"), "to-https");
}

#[track_caller]
fn check_tie(first: MatchSpec, second: MatchSpec, ties: bool) {
    let table = build(vec![("a", first.clone()), ("b", second.clone())]);
    assert_eq!(table.is_err(), ties, "{first:?} {second:?}");
    let table = build(vec![("a", second), ("b", first)]);
    assert_eq!(table.is_err(), ties);
}

#[test]
fn two_routes_that_nothing_orders_are_refused() {
    check_tie(spec("a.com", "/x"), spec("A.com.", "/x/"), true);
    check_tie(spec("", "/"), spec("", ""), true);
    check_tie(spec("*.a.com b.com", "/"), spec("c.com b.com", "/"), true);
    check_tie(spec("", "~/x"), spec("", "~/x"), true);

    check_tie(spec("a.com", "/x"), spec("*.com", "/x"), false);
    check_tie(spec("", "/x"), spec("", "=/x"), false);
    check_tie(spec("", "~/x"), spec("", "~/[x]"), false);
    check_tie(spec("", "~/x"), spec("", "/x"), false);

    let with = |field: FieldSpec| MatchSpec {
        headers: vec![field],
        ..spec("", "/")
    };
    let one = with(field("a", exact("1")));
    check_tie(one.clone(), spec("", "/"), false);
    check_tie(one.clone(), with(field("A", exact("2"))), false);
    check_tie(one.clone(), with(field("a", ValueSpec::Absent)), false);
    check_tie(
        one.clone(),
        with(field("a", ValueSpec::Regex("[2-9]".into()))),
        false,
    );
    check_tie(
        one.clone(),
        with(field("a", ValueSpec::Regex("[0-9]".into()))),
        true,
    );
    check_tie(one.clone(), with(field("a", ValueSpec::Present)), true);
    check_tie(one.clone(), with(field("b", exact("1"))), true);
    check_tie(
        one.clone(),
        MatchSpec {
            query: vec![field("a", exact("1"))],
            ..spec("", "/")
        },
        true,
    );

    let methods = |methods: &[&str]| MatchSpec {
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
        ..spec("", "/")
    };
    check_tie(methods(&["GET"]), methods(&["POST", "PUT"]), false);
    check_tie(methods(&["GET", "PUT"]), methods(&["POST", "PUT"]), true);
    check_tie(methods(&["GET"]), one.clone(), true);

    let inner = from(&["10.0.0.0/8"]);
    check_tie(inner.clone(), spec("", "/x"), false);
    check_tie(inner.clone(), from(&["11.0.0.0/8", "::/0"]), false);
    check_tie(inner.clone(), from(&["11.0.0.0/8", "10.1.0.0/16"]), true);
    let one = MatchSpec {
        path: inner.path.clone(),
        ..one
    };
    check_tie(inner, one, true);

    let by = |scheme| MatchSpec {
        scheme: Some(scheme),
        ..spec("", "/")
    };
    check_tie(by(Scheme::Http), by(Scheme::Http), true);
    check_tie(by(Scheme::Http), by(Scheme::Https), false);
    check_tie(by(Scheme::Http), spec("", "/"), false);
}

#[test]
fn a_tie_names_both_routes_their_host_and_their_path() {
    let ties = build(vec![
        ("shop", spec("a.com *.b.com", "/x/")),
        ("blog", spec("*.b.com", "/x")),
        ("other", spec("", "/")),
    ])
    .unwrap_err();
    assert_eq!(ties.len(), 1);
    assert_eq!(
        ties[0].to_string(),
        "routes `blog` and `shop` could both catch one request (*.b.com, path /x/) and neither is more specific"
    );
}

#[test]
fn what_nothing_could_match_is_refused() {
    let refuse = |spec: MatchSpec| Match::new(spec).unwrap_err();
    let headers = |headers: Vec<FieldSpec>| MatchSpec {
        headers,
        ..MatchSpec::default()
    };
    let query = |query: Vec<FieldSpec>| MatchSpec {
        query,
        ..MatchSpec::default()
    };
    for (error, part) in [
        (refuse(spec("a..b", "/")), "hosts"),
        (refuse(spec("", "x")), "path"),
        (refuse(spec("", "~(")), "path"),
        (
            refuse(MatchSpec {
                methods: vec!["GE T".into()],
                ..spec("", "/")
            }),
            "methods",
        ),
        (
            refuse(headers(vec![field("x y", ValueSpec::Present)])),
            "headers",
        ),
        (refuse(headers(vec![field("x", exact(" 1"))])), "headers"),
        (
            refuse(headers(vec![field("x", ValueSpec::Regex("(".into()))])),
            "headers",
        ),
        (
            refuse(query(vec![field("a=b", ValueSpec::Present)])),
            "query",
        ),
        (refuse(query(vec![field("a", exact("x y"))])), "query"),
    ] {
        assert_eq!(error.part(), part, "{error}");
    }
    assert_eq!(
        refuse(headers(vec![
            field("X", exact("1")),
            field("x", ValueSpec::Absent)
        ])),
        MatchError::HeaderRepeated { name: "x".into() }
    );
}
