//! Hosts: patterns as written in a route, and the host of a request in its plain form.
//!
//! A host is compared without regard to case, without a trailing dot, and never with its port. An
//! IPv6 address is compared in its canonical text (RFC 5952), in brackets.

use std::fmt;
use std::io::Write;
use std::net::Ipv6Addr;

/// The longest host that can be matched: the longest name of the DNS in text.
const MAX_BYTES: usize = 253;
/// The longest label of a DNS name.
const MAX_LABEL: usize = 63;

/// The hosts that a route takes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::route) enum HostPattern {
    /// This host and no other.
    Exact(String),
    /// Every host below this suffix, at any depth; not the suffix itself.
    Below(String),
    /// Any host, or none.
    Any,
}

impl HostPattern {
    /// Reads `example.com`, `*.example.com` or `[2001:db8::1]`; tells what is wrong with others.
    pub(in crate::route) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(address) = text.strip_prefix('[') {
            let address: Ipv6Addr = address
                .strip_suffix(']')
                .ok_or("a port is never part of a host pattern")?
                .parse()
                .map_err(|_| "not an IPv6 address")?;
            return Ok(Self::Exact(format!("[{address}]")));
        }
        let (suffix, below) = match text.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (text, false),
        };
        let name = suffix.strip_suffix('.').unwrap_or(suffix);
        check_name(name)?;
        let name = name.to_ascii_lowercase();
        Ok(if below {
            Self::Below(name)
        } else {
            Self::Exact(name)
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => formatter.write_str(name),
            Self::Below(suffix) => write!(formatter, "*.{suffix}"),
            Self::Any => formatter.write_str("any host"),
        }
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name == "*" {
        return Err("leave `hosts` out to catch any host");
    }
    if name.contains('*') {
        return Err(
            "a wildcard stands only for whole labels at the beginning, as in `*.example.com`",
        );
    }
    if name.contains(':') {
        return Err("a port is never part of a host pattern, and an IPv6 address is in brackets");
    }
    if !name.is_ascii() {
        return Err("write an international name in its ASCII form (`xn--…`)");
    }
    if name.len() > MAX_BYTES {
        return Err("a host has at most 253 bytes");
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return Err("each label of a host has 1 to 63 bytes");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !label.bytes().all(plain) {
            return Err("a host has only letters, digits, hyphens and underscores between dots");
        }
    }
    Ok(())
}

/// Gives the plain form of a request's host to `then`, from a buffer on the stack.
///
/// A host that is too long to be in any table becomes the empty one, which only routes for any host
/// take.
pub(in crate::route) fn with_plain<R>(host: &[u8], then: impl FnOnce(&[u8]) -> R) -> R {
    let mut buffer = [0; MAX_BYTES];
    if let [b'[', address @ .., b']'] = host {
        let parsed = std::str::from_utf8(address)
            .ok()
            .and_then(|address| address.parse::<Ipv6Addr>().ok());
        let Some(address) = parsed else {
            return then(b"");
        };
        let mut rest = &mut buffer[..];
        // The text of an address fits by far; were it cut, it would merely match nothing.
        let _ = write!(rest, "[{address}]");
        let n_left = rest.len();
        return then(&buffer[..MAX_BYTES - n_left]);
    }
    let host = host.strip_suffix(b".").unwrap_or(host);
    let Some(plain) = buffer.get_mut(..host.len()) else {
        return then(b"");
    };
    plain.copy_from_slice(host);
    plain.make_ascii_lowercase();
    then(plain)
}

#[cfg(test)]
mod tests {
    use crate::route::host::{HostPattern, with_plain};

    #[test]
    fn a_pattern_is_read_in_any_case_and_with_a_trailing_dot() {
        let exact = |name: &str| Ok(HostPattern::Exact(name.to_owned()));
        assert_eq!(HostPattern::parse("Example.COM."), exact("example.com"));
        assert_eq!(HostPattern::parse("127.0.0.1"), exact("127.0.0.1"));
        assert_eq!(
            HostPattern::parse("[2001:DB8:0::1]"),
            exact("[2001:db8::1]")
        );
        assert_eq!(
            HostPattern::parse("*.Example.com"),
            Ok(HostPattern::Below("example.com".to_owned()))
        );
    }

    #[test]
    fn a_pattern_that_no_host_could_match_is_refused() {
        for text in [
            "",
            ".",
            "*",
            "*.",
            "a.*.com",
            "*a.com",
            "a.com:80",
            "[::1]:80",
            "::1",
            "[::x]",
            "a..com",
            "a b",
            "a/b",
            "bücher.de",
            &"a".repeat(64),
            &"a.".repeat(128),
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_host_becomes_plain() {
        for (host, plain) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
            ("[nonsense]", ""),
            ("", ""),
            (&"a".repeat(254), ""),
        ] {
            with_plain(host.as_bytes(), |seen| {
                assert_eq!(seen, plain.as_bytes(), "{host}");
            });
        }
    }
}
