//! How specific a route is for a request, by the order that the documentation of routes tells: slow
//! and plain, and in no part the table's own.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use regex::bytes::RegexBuilder;
use tidegate::message::{RequestHead, Scheme};
use tidegate::route::{MatchSpec, PathSpec, ValueSpec};

/// How specific a route's match is for a request; `None` when it does not match.
pub(in crate::statement::routes) fn rank(
    spec: &MatchSpec,
    request: &RequestHead,
    client: IpAddr,
    scheme: Scheme,
) -> Option<impl Ord + use<>> {
    if spec.scheme.is_some_and(|only| only != scheme) {
        return None;
    }
    let (host, path) = (plain_host(request.host()), plain_path(request.path()));
    let by_host = match &spec.hosts[..] {
        [] => Some((0, 0)),
        hosts => hosts
            .iter()
            .filter_map(|pattern| match pattern.strip_prefix('*') {
                None => (plain_host(pattern.as_bytes()) == host).then_some((2, 0)),
                Some(suffix) => {
                    let suffix = plain_host(suffix.as_bytes());
                    let is_below = host.len() > suffix.len() && host.ends_with(&suffix);
                    is_below.then_some((1, suffix.len()))
                }
            })
            .max(),
    }?;
    let (by_path, regex) = match &spec.path {
        None => ((0, 0), None),
        Some(PathSpec::Exact(exact)) => (exact.as_bytes() == path).then_some(((3, 0), None))?,
        Some(PathSpec::Prefix(prefix)) if prefix == "/" => ((0, 0), None),
        Some(PathSpec::Prefix(prefix)) => {
            let prefix = format!("{}/", prefix.strip_suffix('/').unwrap_or(prefix));
            let below = [&path[..], b"/"].concat();
            let is_below = below.starts_with(prefix.as_bytes());
            is_below.then_some(((2, prefix.len()), None))?
        }
        Some(PathSpec::Regex(pattern)) => {
            let rank = ((1, 0), Some((pattern.len(), Reverse(pattern.clone()))));
            is_match(pattern, &path).then_some(rank)?
        }
    };
    let methods = &spec.methods;
    let conditions_hold = (methods.is_empty()
        || methods.iter().any(|it| it.as_bytes() == request.method()))
        && spec
            .headers
            .iter()
            .all(|header| value_holds(header_value(request, &header.name), &header.value))
        && spec
            .query
            .iter()
            .all(|query| value_holds(query_value(request, &query.name), &query.value))
        && (spec.clients.is_empty() || spec.clients.iter().any(|it| is_within(it, client)));
    let n_conditions = usize::from(!methods.is_empty())
        + spec.headers.len()
        + spec.query.len()
        + usize::from(!spec.clients.is_empty());
    let by_scheme = spec.scheme.is_some();
    conditions_hold.then_some((by_scheme, by_host, by_path, n_conditions, regex))
}

/// True for a client in a network. An IPv4 address that is mapped into IPv6 is the IPv4 address.
fn is_within(network: &IpNet, client: IpAddr) -> bool {
    let client = client.to_canonical();
    let is_mapped = |address: Ipv4Addr| {
        let mapped = IpAddr::V6(address.to_ipv6_mapped());
        network.prefix_len() >= 96 && network.contains(&mapped)
    };
    network.contains(&client) || matches!(client, IpAddr::V4(address) if is_mapped(address))
}

fn value_holds(value: Option<&[u8]>, test: &ValueSpec) -> bool {
    match (test, value) {
        (ValueSpec::Absent, value) => value.is_none(),
        (_, None) => false,
        (ValueSpec::Present, Some(_)) => true,
        (ValueSpec::Exact(exact), Some(value)) => exact.as_bytes() == value,
        (ValueSpec::Regex(pattern), Some(value)) => is_match(pattern, value),
    }
}

fn header_value<'a>(request: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    let mut fields = request.fields();
    let field = fields.find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))?;
    Some(field.value)
}

fn query_value<'a>(request: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    let query = request.query()?;
    query
        .split(|&byte| byte == b'&')
        .find_map(|pair| match pair.strip_prefix(name.as_bytes())? {
            [] => Some(&b""[..]),
            [b'=', value @ ..] => Some(value),
            _ => None,
        })
}

/// True when a pattern that was accepted matches the whole of a text of bytes.
fn is_match(pattern: &str, text: &[u8]) -> bool {
    let whole = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
        .unicode(false)
        .build();
    whole.is_ok_and(|regex| regex.is_match(text))
}

/// A host in lower case, without a dot at its end; an address in brackets in its shortest form.
fn plain_host(host: &[u8]) -> Vec<u8> {
    let text = str::from_utf8(host).unwrap_or_default();
    let text = match text.strip_prefix('[') {
        Some(address) => {
            let address = address.strip_suffix(']').and_then(|it| it.parse().ok());
            address.map_or_else(String::new, |address: Ipv6Addr| format!("[{address}]"))
        }
        None => text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase(),
    };
    // Longer than any name that can be in a table.
    if text.len() <= 253 {
        text.into()
    } else {
        Vec::new()
    }
}

/// What most servers take a path for: its segments decoded, those that are dots followed, those
/// that are empty left out.
fn plain_path(path: &[u8]) -> Vec<u8> {
    let Some(path) = path.strip_prefix(b"/") else {
        return path.to_vec();
    };
    let mut segments: Vec<Vec<u8>> = Vec::new();
    let mut is_folder = false;
    for segment in path.split(|&byte| byte == b'/').map(decoded) {
        is_folder = matches!(&segment[..], b"" | b"." | b"..");
        match &segment[..] {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut plain = Vec::new();
    for segment in &segments {
        plain.push(b'/');
        plain.extend_from_slice(segment);
    }
    if is_folder || segments.is_empty() {
        plain.push(b'/');
    }
    plain
}

/// A segment whose unreserved characters are decoded, and whose other escapes are in upper case.
fn decoded(segment: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < segment.len() {
        let escape = segment
            .get(at..at + 3)
            .filter(|three| three[0] == b'%' && three[1..].iter().all(u8::is_ascii_hexdigit));
        let Some(escape) = escape else {
            out.push(segment[at]);
            at += 1;
            continue;
        };
        let digits = str::from_utf8(&escape[1..]).expect("two digits");
        let byte = u8::from_str_radix(digits, 16).expect("two digits");
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend(escape.to_ascii_uppercase());
        }
        at += 3;
    }
    out
}
