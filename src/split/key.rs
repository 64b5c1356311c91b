//! Keys: what of a request tells who is asking.

use std::fmt;
use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::HeaderName;
use thiserror::Error;

use crate::message::RequestHead;

/// A place in a request where the key may be.
///
/// As text: `header:x-user-id`, `cookie:session`, `query:user`, `client_ip`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Key {
    /// The first value of the header of this name.
    Header(String),
    /// The value of the first cookie of this name.
    Cookie(String),
    /// The value of the first query parameter of this name, as sent.
    Query(String),
    /// The client's address.
    ClientIp,
}

impl Key {
    /// The key itself, if the request has one here. An empty value is none: all who send it would
    /// be one user.
    pub fn of<'a>(&'a self, request: &'a RequestHead, client: IpAddr) -> Option<HashKey<'a>> {
        let sent = match self {
            Self::Header(name) => request.field(name.as_bytes()),
            Self::Cookie(name) => request.cookie(name.as_bytes()),
            Self::Query(name) => request.query_value(name.as_bytes()),
            Self::ClientIp => return Some(HashKey::Client(ClientKey::new(client))),
        };
        sent.filter(|value| !value.is_empty()).map(HashKey::Sent)
    }

    /// Tells what is wrong with the name in it.
    pub(in crate::split) fn check(&self) -> Result<(), KeyError> {
        match self {
            Self::Header(name) | Self::Cookie(name) if !is_token(name) => Err(KeyError::Name {
                key: self.to_string(),
            }),
            Self::Query(name) if !is_query_name(name) => Err(KeyError::Name {
                key: self.to_string(),
            }),
            Self::Header(_) | Self::Cookie(_) | Self::Query(_) | Self::ClientIp => Ok(()),
        }
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = match text.split_once(':') {
            None if text == "client_ip" => Self::ClientIp,
            Some(("header", name)) => Self::Header(name.to_owned()),
            Some(("cookie", name)) => Self::Cookie(name.to_owned()),
            Some(("query", name)) => Self::Query(name.to_owned()),
            _ => {
                return Err(KeyError::Kind {
                    key: text.to_owned(),
                });
            }
        };
        key.check()?;
        Ok(key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(formatter, "header:{name}"),
            Self::Cookie(name) => write!(formatter, "cookie:{name}"),
            Self::Query(name) => write!(formatter, "query:{name}"),
            Self::ClientIp => formatter.write_str("client_ip"),
        }
    }
}

/// Why a text is not a [`Key`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the field is the text")]
pub enum KeyError {
    /// It begins with none of the known kinds.
    #[error("`{key}` is not `header:…`, `cookie:…`, `query:…` or `client_ip`")]
    Kind { key: String },
    /// Nothing can have that name.
    #[error("`{key}` has a name that cannot be sent")]
    Name { key: String },
}

/// True for a token (RFC 9110, section 5.6.2): the name of a header or of a cookie.
pub(in crate::split) fn is_token(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// True for what may stand before the `=` of a query parameter.
pub(in crate::split) fn is_query_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'=' | b'&' | b'#'))
}

/// The bytes that are hashed for a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HashKey<'a> {
    /// They stand in the request.
    Sent(&'a [u8]),
    /// They are the client's address.
    Client(ClientKey),
}

impl HashKey<'_> {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sent(bytes) => bytes,
            Self::Client(client) => client.as_bytes(),
        }
    }
}

/// The longest text of an IPv6 address.
const ADDRESS_BYTES: usize = 39;

/// A client's address as a key: the text of an IPv4 address; of an IPv6 address that of its /64
/// network, which is one household or machine, in canonical form (RFC 5952) without the length, such
/// as `2001:db8:1:2::`. An IPv4 address that is mapped into IPv6 is the IPv4 address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientKey {
    text: [u8; ADDRESS_BYTES],
    n_bytes: usize,
}

impl ClientKey {
    /// The key of an address.
    pub fn new(address: IpAddr) -> Self {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        };
        let mut text = [0; ADDRESS_BYTES];
        let mut rest = &mut text[..];
        write!(rest, "{network}").expect("39 bytes hold every address");
        let n_bytes = ADDRESS_BYTES - rest.len();
        Self { text, n_bytes }
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.n_bytes]
    }
}

#[cfg(test)]
mod tests {
    use crate::split::key::{ClientKey, Key, KeyError};

    #[test]
    fn a_key_is_read_and_written_as_text() {
        for text in ["header:x-user-id", "cookie:sid", "query:u", "client_ip"] {
            assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
        }
        for text in ["", "x", "client_ip:", "Header:x", "headers:x"] {
            assert!(
                matches!(text.parse::<Key>(), Err(KeyError::Kind { .. })),
                "{text}"
            );
        }
        for text in ["header:", "header:a b", "cookie:a=b", "query:", "query:a&b"] {
            assert!(
                matches!(text.parse::<Key>(), Err(KeyError::Name { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn a_client_is_its_ipv4_address_or_its_ipv6_network() {
        for (address, key) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:0:0:1::1", "2001:0:0:1::"),
            (
                "1111:2222:3333:4444:5555:6666:7777:8888",
                "1111:2222:3333:4444::",
            ),
            ("::1", "::"),
            ("255.255.255.255", "255.255.255.255"),
        ] {
            let client = ClientKey::new(address.parse().unwrap());
            assert_eq!(client.as_bytes(), key.as_bytes(), "{address}");
        }
    }
}
