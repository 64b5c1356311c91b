//! Reads `[ofrep]`: who may evaluate flags from elsewhere, and how much of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, SystemTime};

use http::Uri;

use crate::config::admin::{ADMIN_TOKEN, AdminConfig, TokenSecret, token_secret};
use crate::config::guard::usual_retry;
use crate::config::moment::moment;
use crate::config::rate_limit;
use crate::config::reader::{Table, Value};
use crate::config::settings::{Balance, Config, Protocol, UpstreamConfig, UpstreamTimeouts};
use crate::config::upstream::POOL_IDLE;
use crate::proxy::Rate;
use crate::upstream::{EndpointSpec, UpstreamLimits};

/// The upstream that routes with `ofrep = true` lead to; no name in a file has a colon.
pub const OFREP_UPSTREAM: &str = "tidegate:ofrep";

/// How long nothing may come in a stream of events: they are kept alive far more often.
const SILENCE: Duration = Duration::from_secs(3600);

/// The largest request unless told otherwise: a context has a few dozen keys.
const BODY: u64 = 64 << 10;

/// What may be set as the largest request: a request without a context has a few bytes, and a larger
/// one than this is no context.
const BODIES: RangeInclusive<u64> = 1 << 10..=16 << 20;

/// How many origins may be named.
const MAX_ORIGINS: usize = 256;

/// What stands for every origin.
const ANY: &str = "*";

/// What belongs where an origin is (RFC 6454, section 6.2).
const ORIGIN: &str = "\"*\" or an origin as browsers send it, such as \"https://shop.example.com\" or \
                      \"http://localhost:3000\"";

/// Who may evaluate flags by OFREP, and how much of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OfrepConfig {
    /// The origins whose pages may, as browsers send them; `*` alone is every one.
    pub allowed_origins: Vec<String>,
    /// The largest body of a request, in bytes.
    pub max_body: u64,
    /// How often each token, or each address without one, may; `None` is without bound.
    pub rate: Option<Rate>,
    /// What is seen without a token; `None` is nothing.
    pub anonymous: Option<OfrepScope>,
    /// Whether changes are told in streams of events.
    pub stream: bool,
    /// The tokens by their names.
    pub tokens: BTreeMap<String, OfrepToken>,
}

impl Default for OfrepConfig {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            max_body: BODY,
            rate: None,
            anonymous: Some(OfrepScope::Client),
            stream: true,
            tokens: BTreeMap::new(),
        }
    }
}

/// A token, and what is seen with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OfrepToken {
    /// Which flags.
    pub scope: OfrepScope,
    /// How it is recognised.
    pub secret: TokenSecret,
    /// From when on it is not valid any more, if it does not last.
    pub expires: Option<SystemTime>,
}

/// Which flags are seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OfrepScope {
    /// All of them.
    Server,
    /// Those that are `client_visible`.
    Client,
}

impl OfrepScope {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Server, Self::Client];

    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

impl Config {
    /// Lets routes with `ofrep = true` lead to a UNIX socket at which flags are evaluated.
    pub fn serve_ofrep_at(&mut self, socket: &Path) {
        let upstream = UpstreamConfig {
            endpoints: vec![EndpointSpec::Unix(socket.into())],
            balance: Balance::default(),
            protocol: Protocol::Http1,
            timeouts: UpstreamTimeouts {
                body: SILENCE,
                ..UpstreamTimeouts::default()
            },
            pool_idle: POOL_IDLE,
            tls: None,
            proxy_protocol: None,
            health: None,
            outlier: None,
            slow_start: None,
            limits: UpstreamLimits::default(),
            breaker: None,
            retry: usual_retry(),
        };
        self.upstreams.insert(OFREP_UPSTREAM.to_owned(), upstream);
    }

    /// True where a route leads to where flags are evaluated.
    pub fn has_ofrep_route(&self) -> bool {
        self.routes.values().any(|route| route.ofrep)
    }
}

/// Reads it; its tokens are none of those of the control plane.
pub(crate) fn read(root: &mut Table<'_>, admin: &AdminConfig) -> OfrepConfig {
    let mut ofrep = OfrepConfig::default();
    root.section("ofrep", |table| {
        table.set("allowed_origins", &mut ofrep.allowed_origins, origins);
        table.set("max_body", &mut ofrep.max_body, |value| value.size(BODIES));
        table.set("rate_limit", &mut ofrep.rate, |value| {
            value.table(rate_limit::one)?.map(Some)
        });
        table.set("anonymous", &mut ofrep.anonymous, |value| {
            let [server, client] = OfrepScope::ALL.map(|scope| (scope.name(), Some(scope)));
            value.choice(&[("none", None), client, server])
        });
        table.set("stream", &mut ofrep.stream, Value::boolean);
        if let Some(section) = table.optional("tokens") {
            ofrep.tokens = tokens(&section, admin);
        }
    });
    ofrep
}

fn tokens(section: &Value<'_>, admin: &AdminConfig) -> BTreeMap<String, OfrepToken> {
    // What is in a file that is not looked at is not known.
    let is_known = |secret: &TokenSecret| secret.file().is_none() || section.reads_files();
    let own = admin.token.iter().map(|secret| (ADMIN_TOKEN, secret));
    let others = admin.tokens.iter();
    let others = others.map(|(name, token)| (name.as_str(), &token.secret));
    let mut known: BTreeMap<[u8; 32], String> = own
        .chain(others)
        .filter(|(_, secret)| is_known(secret))
        .map(|(name, secret)| (*secret.sha256(), format!("the token {name} of [admin]")))
        .collect();
    let tokens = section.names(|name, value| {
        let token = value.table(token)??;
        // Who comes with a secret that two tokens have could be either.
        if is_known(&token.secret) {
            let hash = *token.secret.sha256();
            if let Some(other) = known.insert(hash, format!("the token {name}")) {
                value.refuse_key(format!("has the same secret as {other}"));
                return None;
            }
        }
        Some(token)
    });
    let tokens = tokens.into_iter();
    tokens.map(|(name, token)| (name.into(), token)).collect()
}

fn token(table: &mut Table<'_>) -> Option<OfrepToken> {
    let scope = table.required("scope", "\"server\" or \"client\"");
    let scope =
        scope.and_then(|value| value.choice(&OfrepScope::ALL.map(|scope| (scope.name(), scope))));
    let secret = token_secret(table);
    let expires = table.maybe("expires", moment);
    Some(OfrepToken {
        scope: scope?,
        secret: secret?,
        expires: expires?,
    })
}

fn origins(value: &Value<'_>) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut any = None;
    let origins = value.list(
        "a list of origins such as [\"https://shop.example.com\"]",
        |value| {
            let text = value.parsed(ORIGIN, Some)?;
            if text == ANY {
                any = Some(value.clone());
            } else if let Err(why) = check_origin(text) {
                match why {
                    None => value.is_not(ORIGIN),
                    Some(why) => value.refuse(format!("{} {why}", value.shown())),
                }
                return None;
            }
            if !seen.insert(text) {
                value.refuse(format!("{} stands there twice", value.shown()));
                return None;
            }
            Some(text.to_owned())
        },
    )?;
    if let Some(any) = any.filter(|_| origins.len() > 1) {
        any.refuse("is every origin; the others say nothing beside it");
        return None;
    }
    if MAX_ORIGINS < origins.len() {
        value.refuse(format!("are more than {MAX_ORIGINS}"));
        return None;
    }
    Some(origins)
}

/// Holds that browsers send a text as an origin, letter by letter; why they do not, if it is worth
/// telling.
fn check_origin(text: &str) -> Result<(), Option<&'static str>> {
    let (scheme, rest) = text.split_once("://").ok_or(None)?;
    if rest.contains(['/', '?', '#']) {
        return Err(Some(
            "has a path: an origin ends with its host, or with its port",
        ));
    }
    if text.contains(|letter: char| letter.is_ascii_uppercase()) {
        return Err(Some("has capital letters, and browsers send small ones"));
    }
    let uri: Uri = text.parse().map_err(|_| None)?;
    let authority = uri.authority().ok_or(None)?;
    let (host, port) = (authority.host(), authority.port_u16());
    let is_plain = match port {
        Some(port) => rest == format!("{host}:{port}"),
        None => rest == host,
    };
    if !is_plain || host.is_empty() || host.contains('*') {
        return Err(None);
    }
    match (scheme, port) {
        ("https", Some(443)) | ("http", Some(80)) => Err(Some(
            "names the port that its scheme has by itself, and browsers leave that out",
        )),
        _ => Ok(()),
    }
}
