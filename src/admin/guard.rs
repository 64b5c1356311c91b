//! Who may come in, and as whom. It decides from the head alone.
//!
//! The danger on a loopback port is not the network but a browser on the same machine: a page
//! anywhere can send requests to `127.0.0.1`, and by DNS rebinding it can even read the answers. So
//! without a token a request must name this machine as its `Host`, and must not come from another
//! origin. A request with the right token needs no such check: a browser does not have the token.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error as ThisError;

use crate::admin::actor::Actor;
use crate::admin::fault::Code;
use crate::config::{ADMIN_TOKEN, AdminConfig, TokenSecret};
use crate::release::role::{Permission, Role};

/// What a request needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::admin) enum Needs {
    /// Nothing: it only wants to know whether the instance lives or is ready, and the probes of
    /// container platforms carry no token.
    Nothing,
    /// Somebody to whom this is allowed.
    May(Permission),
    /// Somebody who may look. Whether they may do it is for what it is done to to say: gates and
    /// freezes name roles of their own.
    Known,
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
    /// Its token is not valid any more.
    #[error("the token is not valid any more")]
    TokenExpired,
    /// It comes by the network, and no token is configured that could let it in.
    #[error("this listener is not on loopback, and no token is configured")]
    TokenUnset,
}

impl Needs {
    /// What has to be allowed to who asks; nothing where anybody may.
    pub(in crate::admin) fn permission(self) -> Option<Permission> {
        match self {
            Self::Nothing => None,
            Self::May(permission) => Some(permission),
            Self::Known => Some(Permission::View),
        }
    }
}

impl Refusal {
    /// What it is called.
    pub(in crate::admin) fn code(self) -> Code {
        match self {
            Self::HostMissing => Code::HostMissing,
            Self::HostForeign => Code::HostForeign,
            Self::OriginForeign => Code::OriginForeign,
            Self::TokenMissing => Code::TokenMissing,
            Self::TokenWrong => Code::TokenWrong,
            Self::TokenExpired => Code::TokenExpired,
            Self::TokenUnset => Code::TokenUnset,
        }
    }
}

/// What the listener is bound to, and the tokens that let somebody in.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) struct Guard<'a> {
    bound: SocketAddr,
    config: &'a AdminConfig,
}

impl<'a> Guard<'a> {
    /// Makes the guard of a listener.
    pub(in crate::admin) fn new(bound: SocketAddr, config: &'a AdminConfig) -> Self {
        Self { bound, config }
    }

    /// Lets a request in or refuses it. Whether who asks has the role that is needed is not looked
    /// at.
    ///
    /// # Errors
    /// When nobody knows who asks, and what is needed is more than nothing.
    pub(in crate::admin) fn admit(
        &self,
        needs: Needs,
        uri: &Uri,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Actor, Refusal> {
        let has_tokens = self.config.token.is_some() || !self.config.tokens.is_empty();
        if has_tokens && let Some(sent) = bearer(headers) {
            return self.recognise(sent, now);
        }
        if needs == Needs::Nothing {
            return Ok(Actor::local());
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
        if has_tokens {
            return Err(Refusal::TokenMissing);
        }
        if !self.bound.ip().is_loopback() {
            return Err(Refusal::TokenUnset);
        }
        Ok(Actor::local())
    }

    /// Compares what was sent with all tokens, whether one is found or not, so that the time that
    /// takes tells nothing.
    fn recognise(&self, sent: &str, now: SystemTime) -> Result<Actor, Refusal> {
        let sent: [u8; 32] = Sha256::digest(sent).into();
        let is = |secret: &TokenSecret| bool::from(secret.sha256().ct_eq(&sent));
        let mut found = Err(Refusal::TokenWrong);
        if self.config.token.as_ref().is_some_and(is) {
            found = Ok(Actor::token(ADMIN_TOKEN, [Role::Admin]));
        }
        for (name, token) in &self.config.tokens {
            if is(&token.secret) {
                found = match token.expires {
                    Some(expires) if expires <= now => Err(Refusal::TokenExpired),
                    _ => Ok(Actor::token(name, token.roles.clone())),
                };
            }
        }
        found
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
