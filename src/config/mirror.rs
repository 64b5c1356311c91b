//! Reads `mirror` of a route: what of its requests is copied, and where to.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, Method};

use crate::config::listener::WAIT;
use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::config::route::RouteConfig;
use crate::proxy::Compare;
use crate::split::State;

/// Methods whose requests are copied unless told otherwise: those that change nothing (RFC 9110,
/// section 9.2.1). PUT and DELETE may be repeated as well, but a copy that comes late would undo what
/// came after its request.
pub(crate) const METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Headers that are compared unless told otherwise.
const HEADERS: [&str; 1] = ["content-type"];

/// How long a copy may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How many copies of a route may be under way at a time unless told otherwise.
const CONCURRENT: usize = 100;

/// How many there may be: as many as of all routes.
const MOST_CONCURRENT: RangeInclusive<u64> = 1..=1024;

/// How many bytes of a body are kept unless told otherwise.
const BODY: usize = 64 << 10;

/// How many there may be, so that all copies at a time hold no more than a GiB.
const MOST_BODY: RangeInclusive<u64> = 0..=1 << 20;

/// What of a route's requests is copied, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorConfig {
    /// The variant of the route that gets the copies, if it is one.
    pub variant: Option<String>,
    /// The upstream that gets them: the variant's, or another one.
    pub upstream: String,
    /// The part of the requests that is copied, 0 to 100.
    pub percent: f64,
    /// The methods of requests that are copied; at least one.
    pub methods: Vec<String>,
    /// How long a copy may take, from its sending to the end of its answer.
    pub timeout: Duration,
    /// How many copies may be under way at a time, over all workers.
    pub concurrent: usize,
    /// How large a request's body may be, in bytes; what is larger is not copied.
    pub body_bytes: usize,
    /// What of the answers is compared, if they are.
    pub compare: Option<Compare>,
}

impl MirrorConfig {
    /// A mirror of everything to a variant, compared in everything, as if nothing else was said.
    pub fn to(variant: &str, upstream: &str) -> Self {
        Self {
            variant: Some(variant.to_owned()),
            upstream: upstream.to_owned(),
            percent: 100.0,
            methods: METHODS.map(str::to_owned).to_vec(),
            timeout: TIMEOUT,
            concurrent: CONCURRENT,
            body_bytes: BODY,
            compare: Some(everything()),
        }
    }
}

/// Reads it; `None` when a problem was recorded. `route` is the one that it is of, as far as that is
/// known.
pub(crate) fn read(
    value: &Value<'_>,
    route: Option<&RouteConfig>,
    known_upstreams: &BTreeSet<&str>,
) -> Option<MirrorConfig> {
    value.table(|table| {
        let to = target(table, route, known_upstreams);
        let mut percent = 100.0;
        table.set("percent", &mut percent, Value::percent);
        let mut methods = METHODS.map(str::to_owned).to_vec();
        table.set("methods", &mut methods, self::methods);
        let mut timeout = TIMEOUT;
        table.set("timeout", &mut timeout, |value| value.duration(&WAIT));
        let mut concurrent = CONCURRENT;
        table.set("concurrent", &mut concurrent, |value| {
            usize::try_from(value.whole(MOST_CONCURRENT)?).ok()
        });
        let mut body_bytes = BODY;
        table.set("body", &mut body_bytes, |value| {
            usize::try_from(value.size(MOST_BODY)?).ok()
        });
        let mut compare = None;
        table.set("compare", &mut compare, read_compare);
        let (variant, upstream) = to?;
        Some(MirrorConfig {
            variant,
            upstream,
            percent,
            methods,
            timeout,
            concurrent,
            body_bytes,
            compare,
        })
    })?
}

/// Reads where copies go: to a variant, with its upstream, or to an upstream.
fn target(
    table: &mut Table<'_>,
    route: Option<&RouteConfig>,
    known_upstreams: &BTreeSet<&str>,
) -> Option<(Option<String>, String)> {
    let variant = table.optional("variant");
    let upstream = table.optional("upstream");
    match (variant, upstream) {
        (Some(variant), None) => {
            let name = variant.parsed("the name of a variant", Some)?;
            let route = route?;
            if !route.has_split {
                variant.refuse_key("the route has no split; an upstream can be given here");
                return None;
            }
            let variants = &route.split_spec.variants;
            let Some(n) = variants.iter().position(|known| known.name == name) else {
                let hint = near::hint(name, variants.iter().map(|known| known.name.as_str()));
                variant.refuse(format!("there is no variant {}{hint}", variant.shown()));
                return None;
            };
            if variants[n].state == State::Off {
                variant.warn("this variant is off: it gets no copies either");
            }
            Some((Some(name.to_owned()), route.upstreams[n].clone()))
        }
        (None, Some(upstream)) => {
            let name = upstream.parsed("the name of an upstream", Some)?;
            if !known_upstreams.contains(name) {
                let hint = near::hint(name, known_upstreams.iter().copied());
                upstream.refuse(format!("there is no upstream {}{hint}", upstream.shown()));
                return None;
            }
            let mut goes_there = route.iter().flat_map(|route| &route.upstreams);
            if goes_there.all(|own| own == name) && route.is_some() {
                upstream.warn("all requests of the route go there themselves: none is copied");
            }
            Some((None, name.to_owned()))
        }
        (Some(_), Some(upstream)) => {
            upstream.refuse_key("there is a variant already; copies go to one of the two");
            None
        }
        (None, None) => {
            table.refuse("leads nowhere; a variant or an upstream belongs here");
            None
        }
    }
}

/// Reads the methods of requests that are copied.
pub(crate) fn methods(value: &Value<'_>) -> Option<Vec<String>> {
    let what = "a list of methods such as [\"GET\", \"HEAD\"]";
    let methods = value.list(what, |value| value.parsed("a method", method))?;
    if methods.is_empty() {
        value.refuse("empty; at least one method belongs here");
        return None;
    }
    Some(methods)
}

/// Reads what is compared: everything, nothing, or what a table says.
fn read_compare(value: &Value<'_>) -> Option<Option<Compare>> {
    let mut compare = everything();
    if let Some(all) = value.as_boolean() {
        return Some(all.then_some(compare));
    }
    if !value.is_table() {
        value.is_not(
            "true, false or a table such as { headers = [\"content-type\"], body = false }",
        );
        return None;
    }
    value.table(|table| {
        table.set("headers", &mut compare.headers, |value| {
            let what = "a list of names such as [\"content-type\"]";
            value.list(what, |value| value.parsed("the name of a header", header))
        });
        table.set("body", &mut compare.body, Value::boolean);
        Some(Some(compare))
    })?
}

/// All that is compared unless told otherwise.
fn everything() -> Compare {
    Compare {
        headers: HEADERS.map(|name| name.as_bytes().into()).to_vec(),
        body: true,
    }
}

fn method(text: &str) -> Option<String> {
    Method::from_bytes(text.as_bytes()).ok()?;
    Some(text.to_owned())
}

fn header(text: &str) -> Option<Box<[u8]>> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok()?;
    Some(name.as_str().as_bytes().into())
}
