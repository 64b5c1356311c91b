//! A table against a naive one that tries every route.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::LazyLock;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use proptest::test_runner::Config;
use proptest::{collection, option};
use regex::Regex;

use crate::message::{RequestHead, Scheme};
use crate::route::tests::{exact, field, request};
use crate::route::{Match, MatchSpec, PathSpec, Table, ValueSpec};

const HOSTS: [&str; 6] = [
    "a.com",
    "b.a.com",
    "c.b.a.com",
    "*.a.com",
    "*.b.a.com",
    "*.com",
];
const NETWORKS: [&str; 4] = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "::/0"];
const CLIENTS: [&str; 4] = ["10.0.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1"];
const ASKED: [&str; 6] = ["a.com", "b.a.com", "c.b.a.com", "d.c.b.a.com", "x.org", ""];
const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/a/b/a", "/b", "/ab"];
const REGEXES: [&str; 4] = ["/a.*", "/[ab]+", "/.*b", ".*/a"];
static COMPILED: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    let compile = |text| (text, Regex::new(&format!("^({text})$")).unwrap());
    REGEXES.map(compile).into()
});

fn any_match() -> impl Strategy<Value = MatchSpec> {
    let hosts = collection::vec(select(HOSTS.as_slice()).prop_map(str::to_owned), 0..3);
    let path = prop_oneof![
        select(PATHS.as_slice()).prop_map(|path| PathSpec::Exact(path.to_owned())),
        select(PATHS.as_slice()).prop_map(|path| PathSpec::Prefix(path.to_owned())),
        select(REGEXES.as_slice()).prop_map(|path| PathSpec::Regex(path.to_owned())),
    ];
    let value = prop_oneof![
        Just(exact("1")),
        Just(exact("2")),
        Just(ValueSpec::Present),
        Just(ValueSpec::Absent),
    ];
    let methods = prop_oneof![Just(vec![]), Just(vec!["GET".to_owned()])];
    let header = option::of(value.clone().prop_map(|value| field("x-h", value)));
    let query = option::of(value.prop_map(|value| field("q", value)));
    let clients = collection::vec(select(NETWORKS.as_slice()), 0..3);
    let scheme = option::weighted(0.3, any_scheme());
    (
        hosts,
        option::of(path),
        methods,
        header,
        query,
        clients,
        scheme,
    )
        .prop_map(
            |(hosts, path, methods, header, query, clients, scheme)| MatchSpec {
                hosts,
                path,
                methods,
                headers: header.into_iter().collect(),
                query: query.into_iter().collect(),
                clients: clients.iter().map(|text| text.parse().unwrap()).collect(),
                scheme,
            },
        )
}

fn any_scheme() -> impl Strategy<Value = Scheme> {
    prop_oneof![Just(Scheme::Http), Just(Scheme::Https)]
}

fn any_request() -> impl Strategy<Value = (RequestHead, IpAddr, Scheme)> {
    let method = select(["GET", "POST"].as_slice());
    let host = select(ASKED.as_slice());
    let path = "(/|/a|/b|/ab){1,4}";
    let value = select(["", "1", "2", "3"].as_slice());
    let client = select(CLIENTS.as_slice());
    let scheme = any_scheme();
    (method, host, path, value.clone(), value, client, scheme).prop_map(
        |(method, host, path, header, query, client, scheme)| {
            let target = match query {
                "" => path,
                query => format!("{path}?q={query}"),
            };
            let head = match header {
                "" => request(method, host, &target, &[]),
                header => request(method, host, &target, &[("X-H", header)]),
            };
            (head, client.parse().unwrap(), scheme)
        },
    )
}

/// How specific a route's match is for a request; `None` when it does not match. Slow and plain.
fn rank(
    spec: &MatchSpec,
    request: &RequestHead,
    client: IpAddr,
    scheme: Scheme,
) -> Option<impl Ord + use<>> {
    if spec.scheme.is_some_and(|only| only != scheme) {
        return None;
    }
    let by_scheme = spec.scheme.is_some();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (host, mut path) = (text(request.host()), text(request.path()));
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    let value_holds = |value: Option<&[u8]>, test: &ValueSpec| match test {
        ValueSpec::Exact(exact) => value == Some(exact.as_bytes()),
        ValueSpec::Present => value.is_some(),
        ValueSpec::Absent => value.is_none(),
        ValueSpec::Regex(_) => unreachable!("not made by any_match"),
    };
    let by_host = match &spec.hosts[..] {
        [] => Some((0, 0)),
        hosts => hosts
            .iter()
            .filter_map(|pattern| match pattern.strip_prefix('*') {
                None => (*pattern == host).then_some((2, 0)),
                Some(suffix) => host.ends_with(suffix).then_some((1, suffix.len())),
            })
            .max(),
    }?;
    let (by_path, regex) = match &spec.path {
        None => ((0, 0), None),
        Some(PathSpec::Exact(exact)) => (*exact == path).then_some(((3, 0), None))?,
        Some(PathSpec::Prefix(prefix)) if prefix == "/" => ((0, 0), None),
        Some(PathSpec::Prefix(prefix)) => format!("{path}/")
            .starts_with(&format!("{prefix}/"))
            .then_some(((2, prefix.len()), None))?,
        Some(PathSpec::Regex(pattern)) => COMPILED
            .iter()
            .any(|(text, regex)| text == pattern && regex.is_match(&path))
            .then(|| ((1, 0), Some((pattern.len(), Reverse(pattern.clone())))))?,
    };
    let conditions_hold = (spec.methods.is_empty()
        || spec.methods.contains(&text(request.method())))
        && spec
            .headers
            .iter()
            .all(|header| value_holds(request.field(b"x-h"), &header.value))
        && spec
            .query
            .iter()
            .all(|query| value_holds(request.query_value(b"q"), &query.value))
        && (spec.clients.is_empty() || spec.clients.iter().any(|it| it.contains(&client)));
    let n_conditions = spec.methods.len()
        + spec.headers.len()
        + spec.query.len()
        + usize::from(!spec.clients.is_empty());
    conditions_hold.then_some((by_scheme, by_host, by_path, n_conditions, regex))
}

proptest! {
    #![proptest_config(Config::with_cases(128))]

    #[test]
    fn a_table_finds_what_trying_every_route_finds(
        specs in collection::vec(any_match(), 1..16),
        requests in collection::vec(any_request(), 64),
        reverse in any::<bool>(),
    ) {
        // Routes that tie with one before them are left out, as an operator would have to.
        let mut kept: Vec<(MatchSpec, Match)> = Vec::new();
        for spec in specs {
            let rule = Match::new(spec.clone()).unwrap();
            kept.push((spec, rule));
            let routes = kept.iter().map(|(_, rule)| (String::new(), rule.clone(), ()));
            if Table::build(routes.collect()).is_err() {
                kept.pop();
            }
        }
        if reverse {
            kept.reverse();
        }
        let routes = kept.iter().enumerate().map(|(index, (_, rule))| {
            (index.to_string(), rule.clone(), index)
        });
        let table = Table::build(routes.collect()).unwrap();
        for (request, client, scheme) in requests {
            let ranks: Vec<_> = kept
                .iter()
                .enumerate()
                .filter_map(|(index, (spec, _))| rank(spec, &request, client, scheme).map(|rank| (rank, index)))
                .collect();
            let best = ranks.iter().map(|(rank, _)| rank).max();
            let n_best = ranks.iter().filter(|(rank, _)| Some(rank) == best).count();
            let expected = ranks.iter().find(|(rank, _)| Some(rank) == best).map(|(_, index)| *index);
            prop_assert_eq!(table.find(&request, client, scheme).copied(), expected, "{:?}", request.target());
            // No request may see two routes of one rank: that is what ties are refused for.
            prop_assert!(n_best <= 1, "{} routes of one rank", n_best);
        }
    }
}
