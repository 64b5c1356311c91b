//! Any routes and any requests: the table finds what trying every route finds, in whatever order
//! the routes were given, and no request sees two routes of one rank.
//!
//! The input is a text: a line for each route, an empty line, and a line for each request. A route
//! is words, such as `h=*.a.com ^/a m=GET H=x:1 Q=q c=10.0.0.0/8 s=http`, where `=/a` is an exact
//! path, `^/a` a prefix, `~/a.*` a regular expression, and a condition's value is a text, `~` and a
//! regular expression, nothing for "there is one", or `!` for "there is none". A request is such as
//! `GET /a?q=1 b.a.com 10.0.0.1 http x:1`.

mod naive;

use std::net::IpAddr;

use tidegate::http1::codec::read_request;
use tidegate::message::{Limits, RequestHead, Scheme};
use tidegate::route::{FieldSpec, Match, MatchSpec, PathSpec, Table, ValueSpec};

use crate::statement::routes::naive::rank;

/// Lines of an input that are looked at: a table is made anew for each route.
const MOST_ROUTES: usize = 12;
const MOST_REQUESTS: usize = 12;

/// The longest regular expression: what it takes to compile one is bounded, but not small.
const MOST_REGEX_BYTES: usize = 40;

pub(in crate::statement) fn holds(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let (routes, requests) = text.split_once("\n\n").unwrap_or((text, ""));
    // Routes that nothing matches, or that tie with one before them, are left out.
    let mut kept: Vec<(MatchSpec, Match)> = Vec::new();
    for line in routes.lines().take(MOST_ROUTES) {
        let Some(spec) = route(line) else {
            continue;
        };
        let Ok(rule) = Match::new(spec.clone()) else {
            continue;
        };
        kept.push((spec, rule));
        if table(&kept, |index| index).is_none() {
            kept.pop();
        }
    }
    let n_routes = kept.len();
    let forward = table(&kept, |index| index).expect("each route was tried");
    kept.reverse();
    let backward = table(&kept, |index| n_routes - 1 - index).expect("order does not matter");
    kept.reverse();

    for line in requests.lines().take(MOST_REQUESTS) {
        let Some((head, client, scheme)) = request(line) else {
            continue;
        };
        let ranks = kept.iter().enumerate();
        let ranks: Vec<_> = ranks
            .filter_map(|(index, (spec, _))| Some((rank(spec, &head, client, scheme)?, index)))
            .collect();
        let best = ranks.iter().map(|(rank, _)| rank).max();
        let mut first = ranks.iter().filter(|(rank, _)| Some(rank) == best);
        let expected = first.next().map(|&(_, index)| index);
        assert_eq!(first.count(), 0, "several routes of one rank: {line}");
        let found = [&forward, &backward].map(|table| table.find(&head, client, scheme).copied());
        assert_eq!(found, [expected; 2], "{line}");
    }
}

/// A table of these routes, each of which leads to the number of its place.
fn table(kept: &[(MatchSpec, Match)], number: impl Fn(usize) -> usize) -> Option<Table<usize>> {
    let routes = kept.iter().enumerate().map(|(index, (_, rule))| {
        let number = number(index);
        (number.to_string(), rule.clone(), number)
    });
    Table::build(routes.collect()).ok()
}

/// Reads a line that says what a route catches.
fn route(line: &str) -> Option<MatchSpec> {
    let mut spec = MatchSpec::default();
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        match word.split_at_checked(2)? {
            ("h=", host) => spec.hosts.push(host.to_owned()),
            ("m=", method) => spec.methods.push(method.to_owned()),
            ("H=", header) => spec.headers.push(field(header)?),
            ("Q=", query) => spec.query.push(field(query)?),
            ("c=", network) => spec.clients.push(network.parse().ok()?),
            ("s=", scheme) => spec.scheme = Some(scheme_of(scheme)?),
            _ => spec.path = Some(path(word)?),
        }
    }
    Some(spec)
}

fn path(word: &str) -> Option<PathSpec> {
    let (kind, path) = word.split_at_checked(1)?;
    match kind {
        "=" => Some(PathSpec::Exact(path.to_owned())),
        "^" => Some(PathSpec::Prefix(path.to_owned())),
        "~" => regex(path).map(PathSpec::Regex),
        _ => None,
    }
}

fn field(word: &str) -> Option<FieldSpec> {
    let (name, value) = word.split_once(':').unwrap_or((word, ""));
    let value = match (value, value.strip_prefix('~')) {
        ("", _) => ValueSpec::Present,
        ("!", _) => ValueSpec::Absent,
        (_, Some(pattern)) => ValueSpec::Regex(regex(pattern)?),
        (text, None) => ValueSpec::Exact(text.to_owned()),
    };
    let name = name.to_owned();
    Some(FieldSpec { name, value })
}

fn regex(pattern: &str) -> Option<String> {
    (pattern.len() <= MOST_REGEX_BYTES && !pattern.contains('{')).then(|| pattern.to_owned())
}

/// Reads a line that says what a client asks for; `None` where it is no request that is served.
fn request(line: &str) -> Option<(RequestHead, IpAddr, Scheme)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, host, client, scheme, fields @ ..] = &words[..] else {
        return None;
    };
    let fields: Vec<String> = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let fields = fields.concat();
    let text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    let mut head = RequestHead::default();
    read_request(text.as_bytes(), &Limits::default(), &mut head).ok()?;
    Some((head, client.parse().ok()?, scheme_of(scheme)?))
}

fn scheme_of(word: &str) -> Option<Scheme> {
    match word {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        _ => None,
    }
}
