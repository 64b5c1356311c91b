//! Reads a route's `sticky` and `force`.

use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use crate::config::advice;
use crate::config::reader::{Table, Value};
use crate::config::secret::Secret;
use crate::message::Networks;
use crate::split::{Force, Key, PinSpec, SharedSecret, Sticky, StickyCookie, is_logged};

/// What may key a user.
const KEY: &str = "\"header:NAME\", \"cookie:NAME\", \"query:NAME\" or \"client_ip\"";
/// The longest life of a cookie: browsers cut it to 400 days (RFC 6265bis, section 5.5).
const MAX_AGE: Duration = Duration::from_secs(400 * 86_400);
/// The keys of pins alone.
const PIN_KEYS: [&str; 4] = ["epoch", "secret", "unsigned", "max_age"];
/// The shortest secret that pins are signed with: 128 bits, if they are random.
const MIN_PIN_SECRET: usize = 16;
/// The shortest secret of testers, who are also held up by the network.
const MIN_FORCE_SECRET: usize = 8;
/// The longest secret.
const MAX_SECRET: usize = 4096;

/// How users are kept where they are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Mode {
    /// By the hash of who they are.
    #[default]
    Hash,
    /// By a cookie that names the variant.
    Pin,
}

/// The secrets of a route, with where they are from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DivisionSecrets {
    /// What pins are signed with.
    pub pin: Option<Secret>,
    /// What testers have to know.
    pub force: Option<Secret>,
}

/// Reads what keeps users where they are; `None` when a problem was recorded.
pub(crate) fn read(value: &Value<'_>) -> Option<(Sticky, Option<Secret>)> {
    value.table(|table| {
        let mut mode = Mode::default();
        table.set("mode", &mut mode, |value| {
            value.choice(&[("hash", Mode::Hash), ("pin", Mode::Pin)])
        });
        let mut keys = Some(Vec::new());
        if let Some(value) = table.optional("keys") {
            keys = read_keys(&value);
        }
        match mode {
            Mode::Hash => {
                let cookie = match table.optional("cookie") {
                    Some(value) => cookie(&value, StickyCookie::identity()),
                    None => Some(None),
                };
                for key in PIN_KEYS {
                    table.refuse_key(key, "is for mode = \"pin\"");
                }
                let sticky = Sticky {
                    keys: keys?,
                    cookie: cookie?,
                    pin: None,
                };
                if sticky.keys.is_empty() && sticky.cookie.is_none() {
                    table.refuse("neither keys nor a cookie: nobody would stay anywhere");
                    return None;
                }
                Some((sticky, None))
            }
            Mode::Pin => {
                let pin = pin(table);
                let (pin, secret) = pin?;
                let sticky = Sticky {
                    keys: keys?,
                    cookie: None,
                    pin: Some(pin),
                };
                Some((sticky, secret))
            }
        }
    })?
}

/// Reads how clients are pinned.
fn pin(table: &mut Table<'_>) -> Option<(PinSpec, Option<Secret>)> {
    let mut cookie = Some(StickyCookie::pin());
    if let Some(value) = table.optional("cookie") {
        cookie = pin_cookie(&value);
    }
    let mut max_age = Some(None);
    if let Some(value) = table.optional("max_age") {
        max_age = seconds(&value).map(Some);
    }
    let mut epoch = 1;
    table.set("epoch", &mut epoch, |value| {
        let epoch = value.whole(1..=u64::from(u32::MAX))?;
        u32::try_from(epoch).ok()
    });
    let secret = match table.optional("secret") {
        Some(value) => Some(value.secret(MIN_PIN_SECRET..=MAX_SECRET)?),
        None => None,
    };
    let unsigned = table.optional("unsigned");
    let is_unsigned = match &unsigned {
        Some(value) => value.boolean()?,
        None => false,
    };
    match (&secret, is_unsigned) {
        (None, false) => {
            table.refuse(
                "pins need a `secret`, the same on all instances, so that nobody can make one; \
                 `unsigned = true` does without",
            );
            return None;
        }
        (Some(_), true) => {
            table.refuse_key("unsigned", "there is a secret, so pins are signed");
            return None;
        }
        (Some(_), false) => {}
        (None, true) => {
            if let Some(value) = &unsigned {
                advice::unsigned(value);
            }
        }
    }
    let pin = PinSpec {
        cookie: StickyCookie {
            max_age: max_age?,
            ..cookie?
        },
        epoch,
        secret: secret.as_ref().map(shared),
    };
    Some((pin, secret))
}

/// Reads `true` or a table with a name.
fn pin_cookie(value: &Value<'_>) -> Option<StickyCookie> {
    match value.as_boolean() {
        Some(true) => return Some(StickyCookie::pin()),
        Some(false) => {
            value.refuse("a pin is a cookie; without one there is nothing to pin by");
            return None;
        }
        None if !value.is_table() => {
            value.is_not("true or { name = \"…\" }");
            return None;
        }
        None => {}
    }
    value.table(|table| {
        let name = name(table, "name", "the name of a cookie");
        table.refuse_key("max_age", "the age of a pin stands beside its cookie");
        let mut cookie = StickyCookie::pin();
        if let Some(name) = name? {
            cookie.name = name;
        }
        Some(cookie)
    })?
}

fn shared(secret: &Secret) -> SharedSecret {
    SharedSecret::new(secret.expose().as_bytes())
}

/// Reads what tells users apart; `None` when a problem was recorded.
pub(crate) fn read_keys(value: &Value<'_>) -> Option<Vec<Key>> {
    value.list("a list of keys", |value| {
        value.looks_like(|| "(header|cookie|query):.+|client_ip");
        value.parsed(KEY, |text| text.parse().ok())
    })
}

/// Reads who may choose a variant; `None` when a problem was recorded.
pub(crate) fn read_force(value: &Value<'_>) -> Option<(Force, Option<Secret>)> {
    value.table(|table| {
        let header = name(table, "header", "the name of a header");
        let cookie = name(table, "cookie", "the name of a cookie");
        let query = name(table, "query", "the name of a query parameter");
        let mut trusted = Some(Vec::new());
        if let Some(value) = table.optional("trusted") {
            trusted = networks(&value);
        }
        let secret = table.optional("secret");
        let read = match &secret {
            Some(value) => Some(value.secret(MIN_FORCE_SECRET..=MAX_SECRET)?),
            None => None,
        };
        let force = Force {
            header: header?,
            cookie: cookie?,
            query: query?,
            trusted: Networks::new(trusted?),
            secret: read.as_ref().map(shared),
            preview: None,
        };
        if force.header.is_none() && force.cookie.is_none() && force.query.is_none() {
            table.refuse("empty; a header, a cookie or a query parameter belongs here");
            return None;
        }
        let Some(text) = &read else {
            return Some((force, None));
        };
        let in_query =
            "a secret in a query ends up in logs and histories; use a header or a cookie";
        if force.query.is_some() {
            table.refuse_key("query", in_query);
            return None;
        }
        if force.header.as_deref().is_some_and(is_logged) {
            table.refuse_key(
                "header",
                "what it says is logged, and so would be the secret",
            );
            return None;
        }
        let fits = |byte: u8| !b"\",;\\".contains(&byte);
        if force.cookie.is_some() && !text.expose().bytes().all(fits) {
            if let Some(value) = &secret {
                value.refuse(
                    "the secret has characters that no cookie can have: \", comma, ; or \\",
                );
            }
            return None;
        }
        Some((force, read))
    })?
}

/// Reads the networks of those who may.
fn networks(value: &Value<'_>) -> Option<Vec<IpNet>> {
    let networks = value.list("a list of networks such as [\"10.0.0.0/8\"]", |value| {
        let network = value.parsed("a network such as \"10.0.0.0/8\"", |text| text.parse().ok())?;
        advice::all_trusted(value, network);
        Some(network)
    })?;
    if networks.is_empty() {
        value.refuse("empty, so nobody could force; without the key all can");
        return None;
    }
    Some(networks)
}

/// Reads `true`, `false` or a table; the outer `None` is a problem, the inner one is no cookie.
fn cookie(value: &Value<'_>, default: StickyCookie) -> Option<Option<StickyCookie>> {
    if let Some(is_wanted) = value.as_boolean() {
        return Some(is_wanted.then_some(default));
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
            let mut cookie = StickyCookie {
                max_age: max_age?,
                ..default
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
