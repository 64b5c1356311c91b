//! Who asks, and which flags they may see.
//!
//! A token comes by `Authorization: Bearer …` or by `X-API-Key`. One that is sent has to be right,
//! also where none is needed: whoever sends one means to be somebody. What has another scheme is
//! not for us; a site may have its own passwords before everything.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::ofrep::settings::{Scope, Settings};

/// The field by which a token may come, too.
const API_KEY: &str = "x-api-key";

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::ofrep) struct Caller {
    /// The name of their token, if they have one.
    pub(in crate::ofrep) token: Option<String>,
    /// What they may see.
    pub(in crate::ofrep) scope: Scope,
}

/// Why somebody may not ask.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(in crate::ofrep) enum Refusal {
    /// There is no token.
    #[error("a token is required: Authorization: Bearer … or X-API-Key: …")]
    Missing,
    /// The token is none of ours.
    #[error("the token is not valid")]
    Wrong,
    /// The token was one.
    #[error("the token is not valid any more")]
    Expired,
    /// The ticket of a stream is none of ours, or has run out.
    #[error("the ticket is not valid, or not any more: ask for all flags, which brings a new one")]
    Ticket,
    /// No token could let anybody in.
    #[error("no token is configured, and nobody may ask without one")]
    Closed,
}

impl Caller {
    /// Who sends a request with these fields.
    ///
    /// # Errors
    /// When they may not ask at all.
    pub(in crate::ofrep) fn of(
        settings: &Settings,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Self, Refusal> {
        let sent = bearer(headers).or_else(|| Some(headers.get(API_KEY)?.as_bytes()));
        if let Some(sent) = sent {
            return recognise(settings, sent, now);
        }
        match settings.anonymous {
            Some(scope) => Ok(Self { token: None, scope }),
            None if settings.tokens.is_empty() => Err(Refusal::Closed),
            None => Err(Refusal::Missing),
        }
    }

    /// Everybody who may ask.
    pub(in crate::ofrep) fn all(settings: &Settings) -> impl Iterator<Item = Self> {
        let anonymous = settings.anonymous.map(|scope| Self { token: None, scope });
        let known = settings.tokens.iter().map(|(name, token)| Self {
            token: Some(name.clone()),
            scope: token.scope,
        });
        anonymous.into_iter().chain(known)
    }

    /// True while they may still ask, and see what they could.
    pub(in crate::ofrep) fn may_still(&self, settings: &Settings, now: SystemTime) -> bool {
        match &self.token {
            None => settings.anonymous == Some(self.scope),
            Some(name) => settings.tokens.get(name).is_some_and(|token| {
                token.scope == self.scope && token.expires.is_none_or(|expires| now < expires)
            }),
        }
    }
}

/// Compares what was sent with all tokens, whether one is found or not, so that the time that takes
/// tells nothing.
fn recognise(settings: &Settings, sent: &[u8], now: SystemTime) -> Result<Caller, Refusal> {
    let sent: [u8; 32] = Sha256::digest(sent).into();
    let mut found = Err(Refusal::Wrong);
    for (name, token) in &settings.tokens {
        if bool::from(token.sha256.ct_eq(&sent)) {
            found = match token.expires {
                Some(expires) if expires <= now => Err(Refusal::Expired),
                _ => Ok(Caller {
                    token: Some(name.clone()),
                    scope: token.scope,
                }),
            };
        }
    }
    found
}

/// The token of `Authorization: Bearer …`; the scheme's case does not matter
/// (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' ').as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::HeaderMap;
    use sha2::{Digest, Sha256};

    use crate::ofrep::caller::{Caller, Refusal};
    use crate::ofrep::settings::{Scope, Settings, Token};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn settings(anonymous: Option<Scope>) -> Settings {
        let token = |secret: &str, scope, expires| Token {
            sha256: Sha256::digest(secret).into(),
            scope,
            expires,
        };
        Settings {
            anonymous,
            tokens: [
                ("backend", token("s-secret", Scope::Server, None)),
                ("old", token("o-secret", Scope::Server, Some(at(100)))),
                ("web", token("c-secret", Scope::Client, None)),
            ]
            .map(|(name, token)| (name.to_owned(), token))
            .into(),
            ..Settings::default()
        }
    }

    #[track_caller]
    fn check(
        settings: &Settings,
        fields: &[(&'static str, &str)],
        now: SystemTime,
        expected: Result<(Option<&str>, Scope), Refusal>,
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let caller = Caller::of(settings, &headers, now);
        let expected = expected.map(|(token, scope)| Caller {
            token: token.map(str::to_owned),
            scope,
        });
        assert_eq!(caller, expected, "{fields:?}");
    }

    #[test]
    fn a_token_comes_as_a_bearer_or_as_an_api_key_and_has_a_scope() {
        let settings = settings(None);
        let server = Ok((Some("backend"), Scope::Server));
        let client = Ok((Some("web"), Scope::Client));
        check(
            &settings,
            &[("authorization", "Bearer s-secret")],
            at(1),
            server,
        );
        check(
            &settings,
            &[("authorization", "bearer  s-secret ")],
            at(1),
            server,
        );
        check(&settings, &[("x-api-key", "s-secret")], at(1), server);
        check(
            &settings,
            &[("authorization", "Bearer c-secret")],
            at(1),
            client,
        );
        check(&settings, &[("x-api-key", "c-secret")], at(1), client);
    }

    #[test]
    fn a_wrong_token_is_refused_also_where_none_is_needed() {
        for anonymous in [None, Some(Scope::Client)] {
            let settings = settings(anonymous);
            for wrong in ["Bearer s-secre", "Bearer s-secret2", "Bearer "] {
                let sent = [("authorization", wrong)];
                check(&settings, &sent, at(1), Err(Refusal::Wrong));
            }
            check(&settings, &[("x-api-key", "")], at(1), Err(Refusal::Wrong));
        }
    }

    #[test]
    fn a_token_is_valid_until_it_expires() {
        let settings = settings(Some(Scope::Client));
        let sent = [("x-api-key", "o-secret")];
        check(&settings, &sent, at(99), Ok((Some("old"), Scope::Server)));
        check(&settings, &sent, at(100), Err(Refusal::Expired));
    }

    #[test]
    fn without_a_token_it_is_as_configured() {
        for scope in [Scope::Client, Scope::Server] {
            check(&settings(Some(scope)), &[], at(1), Ok((None, scope)));
            // A site's own password is not a token.
            let basic = [("authorization", "Basic dTpw")];
            check(&settings(Some(scope)), &basic, at(1), Ok((None, scope)));
        }
        check(&settings(None), &[], at(1), Err(Refusal::Missing));
        let closed = Settings {
            anonymous: None,
            ..Settings::default()
        };
        check(&closed, &[], at(1), Err(Refusal::Closed));
    }

    #[test]
    fn whoever_lost_their_token_or_its_scope_may_not_go_on() {
        let mut settings = settings(Some(Scope::Client));
        let all: Vec<Caller> = Caller::all(&settings).collect();
        let may = |settings: &Settings, now| -> Vec<bool> {
            let callers = all.iter();
            callers
                .map(|caller| caller.may_still(settings, now))
                .collect()
        };
        // Anonymous, backend, old, web.
        assert_eq!(may(&settings, at(99)), [true, true, true, true]);
        assert_eq!(may(&settings, at(100)), [true, true, false, true]);
        settings.tokens.remove("web");
        settings.tokens.get_mut("backend").unwrap().scope = Scope::Client;
        settings.anonymous = None;
        assert_eq!(may(&settings, at(99)), [false, false, true, false]);
    }
}
