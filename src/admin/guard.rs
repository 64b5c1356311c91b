//! Who may ask what of the admin API. It decides from the head alone.
//!
//! The danger on a loopback port is not the network but a browser on the same machine: a page
//! anywhere can send requests to `127.0.0.1`, and by DNS rebinding it can even read the answers. So
//! without a token a request must name this machine as its `Host`, and must not come from another
//! origin. A request with the right token needs no such check: a browser does not have the token.

use std::fmt::{Display, Formatter};
use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error as ThisError;

/// A token, held as its SHA-256 so that a comparison takes the same time whatever was sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) struct Token([u8; 32]);

impl Token {
    /// Makes it from the token's text.
    pub(in crate::admin) fn new(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    fn is(&self, text: &str) -> bool {
        self.0.ct_eq(&Self::new(text).0).into()
    }
}

/// What a request wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::admin) enum Access {
    /// To know whether the instance lives or is ready: open to whoever reaches the port, because
    /// the probes of container platforms carry no token.
    Probe,
    /// To read or to change.
    Full,
}

/// Who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::admin) enum Actor {
    /// Somebody on this machine, where no token is configured.
    Local,
    /// Somebody who has the token.
    Token,
}

impl Display for Actor {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Token => "token",
        })
    }
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub(in crate::admin) enum Refusal {
    /// It has no `Host`.
    #[error("the request has no Host")]
    HostMissing,
    /// Its `Host` is a name that is not ours.
    #[error("this Host is not served here: ask by IP address or as localhost")]
    HostForeign,
    /// It comes from a web page of somebody else.
    #[error("requests from another origin are refused")]
    OriginForeign,
    /// It has no token.
    #[error("a token is required: Authorization: Bearer …")]
    TokenMissing,
    /// It has another token.
    #[error("the token is not valid")]
    TokenWrong,
    /// It comes by the network, and no token is configured that could let it in.
    #[error("this listener is not on loopback, and no token is configured")]
    TokenUnset,
}

impl Refusal {
    /// The status for the client.
    pub(in crate::admin) fn status(self) -> StatusCode {
        match self {
            Self::HostMissing => StatusCode::BAD_REQUEST,
            Self::HostForeign => StatusCode::MISDIRECTED_REQUEST,
            Self::OriginForeign | Self::TokenUnset => StatusCode::FORBIDDEN,
            Self::TokenMissing | Self::TokenWrong => StatusCode::UNAUTHORIZED,
        }
    }
}

/// What the listener is bound to and the token it asks for.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) struct Guard {
    bound: SocketAddr,
    token: Option<Token>,
}

impl Guard {
    /// Makes the guard of a listener.
    pub(in crate::admin) fn new(bound: SocketAddr, token: Option<Token>) -> Self {
        Self { bound, token }
    }

    /// Lets a request in or refuses it.
    ///
    /// # Errors
    /// When it may not have what it wants.
    pub(in crate::admin) fn admit(
        &self,
        wanted: Access,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Actor, Refusal> {
        if let Some(token) = &self.token
            && let Some(sent) = bearer(headers)
        {
            return if token.is(sent) {
                Ok(Actor::Token)
            } else {
                Err(Refusal::TokenWrong)
            };
        }
        if wanted == Access::Probe {
            return Ok(Actor::Local);
        }
        let host = authority(uri, headers)?;
        if !self.is_here(&host) {
            return Err(Refusal::HostForeign);
        }
        if let Some(origin) = headers.get(ORIGIN)
            && !is_same_origin(origin.as_bytes(), &host)
        {
            return Err(Refusal::OriginForeign);
        }
        if self.token.is_some() {
            return Err(Refusal::TokenMissing);
        }
        if !self.bound.ip().is_loopback() {
            return Err(Refusal::TokenUnset);
        }
        Ok(Actor::Local)
    }

    /// A name can be made to point anywhere; an address and `localhost` cannot.
    fn is_here(&self, host: &Authority) -> bool {
        let host = host.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok()
            || bare == self.bound.ip().to_string()
    }
}

/// The authority that a request names: of its target if that has one, else its `Host`
/// (RFC 9112, section 3.2.2).
fn authority(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refusal> {
    if let Some(authority) = uri.authority() {
        return Ok(authority.clone());
    }
    let mut hosts = headers.get_all(HOST).into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            Authority::try_from(host.as_bytes()).map_err(|_| Refusal::HostForeign)
        }
        (None, _) => Err(Refusal::HostMissing),
        (Some(_), Some(_)) => Err(Refusal::HostForeign),
    }
}

fn is_same_origin(origin: &[u8], host: &Authority) -> bool {
    Uri::try_from(origin)
        .ok()
        .and_then(|origin| origin.authority().cloned())
        .is_some_and(|origin| origin == *host)
}

/// The token of `Authorization: Bearer …`; the scheme's case does not matter
/// (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Uri};

    use crate::admin::guard::{Access, Actor, Guard, Refusal, Token};

    #[track_caller]
    fn check(guard: &Guard, fields: &[(&'static str, &str)], expected: Result<Actor, Refusal>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let uri = Uri::from_static("/api/v1/status");
        assert_eq!(guard.admit(Access::Full, &uri, &headers), expected);
    }

    fn local() -> Guard {
        Guard::new("127.0.0.1:9900".parse().unwrap(), None)
    }

    fn with_token(bound: &str) -> Guard {
        Guard::new(bound.parse().unwrap(), Some(Token::new("s3cret")))
    }

    #[test]
    fn on_loopback_everyone_who_names_this_machine_is_local() {
        for host in [
            "127.0.0.1:9900",
            "localhost:9900",
            "LOCALHOST",
            "[::1]:9900",
            "10.1.2.3",
        ] {
            check(&local(), &[("host", host)], Ok(Actor::Local));
        }
    }

    #[test]
    fn a_name_that_could_be_rebound_is_misdirected() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:9900",
            "localhost.evil.example",
            "a b",
        ] {
            check(&local(), &[("host", host)], Err(Refusal::HostForeign));
        }
        check(&local(), &[], Err(Refusal::HostMissing));
        let twice = [("host", "localhost"), ("host", "localhost")];
        check(&local(), &twice, Err(Refusal::HostForeign));
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let host = ("host", "127.0.0.1:9900");
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:9901",
            "http://localhost:9900",
        ] {
            check(
                &local(),
                &[host, ("origin", origin)],
                Err(Refusal::OriginForeign),
            );
        }
        let own = ("origin", "http://127.0.0.1:9900");
        check(&local(), &[host, own], Ok(Actor::Local));
    }

    #[test]
    fn a_configured_token_is_asked_for_everywhere() {
        for bound in ["127.0.0.1:9900", "0.0.0.0:9900"] {
            let guard = with_token(bound);
            let host = ("host", "127.0.0.1:9900");
            check(&guard, &[host], Err(Refusal::TokenMissing));
            for wrong in ["Bearer s3cre", "Bearer s3cret2", "bearer  "] {
                check(
                    &guard,
                    &[host, ("authorization", wrong)],
                    Err(Refusal::TokenWrong),
                );
            }
            check(
                &guard,
                &[host, ("authorization", "Basic s3cret")],
                Err(Refusal::TokenMissing),
            );
            check(
                &guard,
                &[host, ("authorization", "bearer s3cret")],
                Ok(Actor::Token),
            );
        }
    }

    #[test]
    fn the_right_token_may_ask_by_any_name() {
        let named = [
            ("host", "proxy.internal"),
            ("authorization", "Bearer s3cret"),
        ];
        check(&with_token("0.0.0.0:9900"), &named, Ok(Actor::Token));
    }

    #[test]
    fn off_loopback_nobody_gets_in_without_a_token() {
        let guard = Guard::new("0.0.0.0:9900".parse().unwrap(), None);
        check(
            &guard,
            &[("host", "10.1.2.3:9900")],
            Err(Refusal::TokenUnset),
        );
    }

    #[test]
    fn a_probe_needs_neither_host_nor_token() {
        let uri = Uri::from_static("/livez");
        let guard = with_token("0.0.0.0:9900");
        let asked = guard.admit(Access::Probe, &uri, &HeaderMap::new());
        assert_eq!(asked, Ok(Actor::Local));
    }
}
