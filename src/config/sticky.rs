//! Reads a route's `sticky` and `force`.

use std::time::Duration;

use http::HeaderName;

use crate::config::reader::{Table, Value};
use crate::split::{Force, IdentityCookie, Key, Sticky};

/// What may key a user.
const KEY: &str = "\"header:NAME\", \"cookie:NAME\", \"query:NAME\" or \"client_ip\"";
/// The longest life of a cookie: browsers cut it to 400 days (RFC 6265bis, section 5.5).
const MAX_AGE: Duration = Duration::from_secs(400 * 86_400);

/// Reads what keeps users where they are; `None` when a problem was recorded.
pub(crate) fn read(value: &Value<'_>) -> Option<Sticky> {
    value.table(|table| {
        let mut keys = Some(Vec::new());
        if let Some(value) = table.optional("keys") {
            keys = read_keys(&value);
        }
        let mut cookie = Some(None);
        if let Some(value) = table.optional("cookie") {
            cookie = identity_cookie(&value);
        }
        let sticky = Sticky {
            keys: keys?,
            cookie: cookie?,
        };
        if sticky.keys.is_empty() && sticky.cookie.is_none() {
            table.refuse("neither keys nor a cookie: nobody would stay anywhere");
            return None;
        }
        Some(sticky)
    })?
}

/// Reads what tells users apart; `None` when a problem was recorded.
pub(crate) fn read_keys(value: &Value<'_>) -> Option<Vec<Key>> {
    value.list("a list of keys", |value| {
        value.parsed(KEY, |text| text.parse().ok())
    })
}

/// Reads who may choose a variant; `None` when a problem was recorded.
pub(crate) fn read_force(value: &Value<'_>) -> Option<Force> {
    value.table(|table| {
        let header = name(table, "header", "the name of a header");
        let cookie = name(table, "cookie", "the name of a cookie");
        let query = name(table, "query", "the name of a query parameter");
        let force = Force {
            header: header?,
            cookie: cookie?,
            query: query?,
        };
        if force == Force::default() {
            table.refuse("empty; a header, a cookie or a query parameter belongs here");
            return None;
        }
        Some(force)
    })?
}

/// Reads `true`, `false` or a table; the outer `None` is a problem, the inner one is no cookie.
fn identity_cookie(value: &Value<'_>) -> Option<Option<IdentityCookie>> {
    if let Some(is_wanted) = value.as_boolean() {
        return Some(is_wanted.then(IdentityCookie::default));
    }
    if !value.is_table() {
        value.is_not("true, false or { name = \"…\", max_age = \"…\" }");
        return None;
    }
    value
        .table(|table| {
            let name = name(table, "name", "the name of a cookie");
            let mut max_age = Some(None);
            if let Some(value) = table.optional("max_age") {
                max_age = seconds(&value).map(Some);
            }
            let mut cookie = IdentityCookie {
                max_age: max_age?,
                ..IdentityCookie::default()
            };
            if let Some(name) = name? {
                cookie.name = name;
            }
            Some(cookie)
        })?
        .map(Some)
}

/// Reads a duration in whole seconds, which is all that `Max-Age` can say.
fn seconds(value: &Value<'_>) -> Option<Duration> {
    let duration = value.duration(&(Duration::from_secs(1)..=MAX_AGE))?;
    if duration.subsec_nanos() != 0 {
        value.is_not("a whole number of seconds");
        return None;
    }
    Some(duration)
}

/// Reads the name of a thing in a request; the outer `None` is a problem, the inner one is absence.
fn name(table: &mut Table<'_>, key: &'static str, what: &str) -> Option<Option<String>> {
    let Some(value) = table.optional(key) else {
        return Some(None);
    };
    let is_valid = if key == "query" {
        is_query_name
    } else {
        is_token
    };
    value
        .parsed(what, |text| is_valid(text).then(|| text.to_owned()))
        .map(Some)
}

/// True for a token (RFC 9110, section 5.6.2): what names a header or a cookie.
fn is_token(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// True for a name that can stand in a query as it is sent.
fn is_query_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"&=#\"<>".contains(&byte))
}
