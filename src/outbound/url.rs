//! URLs that are asked: checked once, and shown without what may be a secret.
//!
//! The path and the query of a URL can be a password: an incoming webhook of Slack is one. So
//! neither [`fmt::Debug`] nor [`fmt::Display`] shows more than scheme, host and port, and no error
//! repeats the text.

use std::fmt;
use std::net::Ipv6Addr;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use thiserror::Error;

/// The longest URL, in bytes: servers refuse longer ones.
const MAX_BYTES: usize = 8 << 10;

/// An absolute `http` or `https` URL with a host.
#[derive(Clone, Eq, PartialEq)]
pub struct Url {
    is_secure: bool,
    authority: Authority,
    target: PathAndQuery,
}

/// Why a text is no URL that can be asked. The text itself is not repeated.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum UrlError {
    /// It is not a URL at all.
    #[error("not a URL such as https://host/path")]
    Malformed,
    /// It is longer than servers take.
    #[error("longer than 8192 bytes")]
    TooLong,
    /// It begins with neither `http://` nor `https://`.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// It names a user.
    #[error("user and password have no place in a URL")]
    UserInfo,
    /// It ends with a fragment, which no server ever sees.
    #[error("a fragment (#…) has no place here: it is never sent")]
    Fragment,
}

impl Url {
    /// Reads a URL such as `https://host:8443/path?query`.
    ///
    /// # Errors
    /// When it is none, or one that cannot be asked.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_BYTES {
            return Err(UrlError::TooLong);
        }
        if text.contains('#') {
            return Err(UrlError::Fragment);
        }
        let parts = text
            .parse::<Uri>()
            .map_err(|_| UrlError::Malformed)?
            .into_parts();
        let is_secure = match parts.scheme {
            Some(scheme) if scheme == Scheme::HTTP => false,
            Some(scheme) if scheme == Scheme::HTTPS => true,
            _ => return Err(UrlError::Scheme),
        };
        let authority = parts.authority.ok_or(UrlError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        if !is_askable(&authority) {
            return Err(UrlError::Malformed);
        }
        let target = match parts.path_and_query {
            // RFC 9112, section 3.2.1: a request line's path is never empty.
            Some(target) if target.as_str().starts_with('?') => {
                let target = format!("/{}", target.as_str());
                target.parse().map_err(|_| UrlError::Malformed)?
            }
            Some(target) => target,
            None => PathAndQuery::from_static("/"),
        };
        Ok(Self {
            is_secure,
            authority,
            target,
        })
    }

    /// The URL of something below this one: `http://am:9093/x/` and `/api/v2/alerts` give
    /// `http://am:9093/x/api/v2/alerts`. A query stays where it belongs, at the end.
    ///
    /// # Errors
    /// When `path` is none, or both together are too long.
    pub fn below(&self, path: &str) -> Result<Self, UrlError> {
        let base = self.target.path().trim_end_matches('/');
        let path = path.trim_start_matches('/');
        let query = self.target.query().map(|query| format!("?{query}"));
        let target = format!("{base}/{path}{}", query.unwrap_or_default());
        if target.len() > MAX_BYTES || path.contains(['?', '#']) {
            return Err(UrlError::Malformed);
        }
        Ok(Self {
            target: target.parse().map_err(|_| UrlError::Malformed)?,
            ..self.clone()
        })
    }

    /// Whether it is asked over TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host: a name or an address, an IPv6 one without its brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// The port, which is 80 or 443 when none is named.
    pub fn port(&self) -> u16 {
        let usual = if self.is_secure { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(usual)
    }

    /// What the `Host` field says.
    pub(in crate::outbound) fn authority(&self) -> HeaderValue {
        HeaderValue::from_str(self.authority.as_str())
            .expect("an authority is made of visible ASCII characters")
    }

    /// What the request line names: path and query.
    pub(in crate::outbound) fn target(&self) -> &PathAndQuery {
        &self.target
    }
}

/// Whether there is a host, which is an IPv6 address if it is in brackets, and a port, if one is
/// begun.
fn is_askable(authority: &Authority) -> bool {
    let host = authority.host();
    let in_brackets = host
        .strip_prefix('[')
        .map(|host| host.trim_end_matches(']'));
    let is_host = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty(),
    };
    let rest = authority.as_str().strip_prefix(host);
    let is_port = authority.port_u16().is_some_and(|port| port != 0);
    is_host && (rest == Some("") || is_port)
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}", self.authority)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Url({self}/…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::outbound::url::{Url, UrlError};

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_url_is_taken_apart() {
        #[track_caller]
        fn check(text: &str, is_secure: bool, host: &str, port: u16, target: &str) {
            let url = url(text);
            assert_eq!(url.is_secure(), is_secure);
            assert_eq!((url.host(), url.port()), (host, port));
            assert_eq!(url.target().as_str(), target);
        }
        check("http://am", false, "am", 80, "/");
        check("https://am/a?b=c", true, "am", 443, "/a?b=c");
        check("http://am:9093?b", false, "am", 9093, "/?b");
        check("http://[::1]:9093/a", false, "::1", 9093, "/a");
        check("http://[::1]/a", false, "::1", 80, "/a");
        check("HTTPS://10.0.0.1:1/", true, "10.0.0.1", 1, "/");
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for (text, expected) in [
            ("", UrlError::Malformed),
            ("http://", UrlError::Malformed),
            ("http://a b/", UrlError::Malformed),
            ("http://:80/", UrlError::Malformed),
            ("http://a:99999/", UrlError::Malformed),
            ("http://a:0/", UrlError::Malformed),
            ("http://a:/", UrlError::Malformed),
            ("http://[]/", UrlError::Malformed),
            ("http://[am]/", UrlError::Malformed),
            ("http://[::1]x/", UrlError::Malformed),
            ("am:9093", UrlError::Scheme),
            ("/path", UrlError::Scheme),
            ("ftp://am/", UrlError::Scheme),
            ("http://ana:secret@am/", UrlError::UserInfo),
            ("http://am/#here", UrlError::Fragment),
        ] {
            assert_eq!(Url::parse(text), Err(expected), "{text}");
        }
        let long = format!("http://am/{}", "a".repeat(9000));
        assert_eq!(Url::parse(&long), Err(UrlError::TooLong));
    }

    #[test]
    fn what_is_below_keeps_the_base_and_its_query() {
        let below = |base: &str| {
            let below = url(base).below("/api/v2/alerts").unwrap();
            below.target().as_str().to_owned()
        };
        assert_eq!(below("http://am:9093"), "/api/v2/alerts");
        assert_eq!(below("http://am:9093/x/"), "/x/api/v2/alerts");
        assert_eq!(below("http://am/x?token=1"), "/x/api/v2/alerts?token=1");
        assert!(url("http://am").below("a?b").is_err());
        assert!(url("http://am").below("a b").is_err());
    }

    #[test]
    fn path_and_query_are_never_shown() {
        let url = url("https://hooks.slack.test:444/services/T0/B0/secret?token=secret");
        let shown = format!("{url} {url:?}");
        assert_eq!(
            shown,
            "https://hooks.slack.test:444 Url(https://hooks.slack.test:444/…)"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}", rest in "[a-z0-9:@/?#\\[\\] %.-]{0,40}") {
            let _ = Url::parse(&text);
            if let Ok(url) = Url::parse(&format!("http://{rest}")) {
                prop_assert!(!url.host().is_empty());
                prop_assert_ne!(url.port(), 0);
                let _ = url.authority();
            }
        }
    }
}
