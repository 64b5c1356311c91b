//! Attributes: what conditions are about.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use thiserror::Error;

/// Something that has a value, or not, in what a segment is asked about.
///
/// As text: `header:x-country`, `cookie:plan`, `query:utm_source`, `client_ip`, `method`, `host`,
/// `path`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attribute {
    /// The first value of the header of this name.
    Header(String),
    /// The value of the first cookie of this name.
    Cookie(String),
    /// The value of the first query parameter of this name, as sent.
    Query(String),
    /// The client's address.
    ClientIp,
    /// The method, as sent.
    Method,
    /// The host, in lower case and without its port.
    Host,
    /// The path in its plain form, as routes compare it.
    Path,
}

impl Attribute {
    /// What the texts that can be one look like.
    pub const WHAT: &str = "\"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"client_ip\", \
                            \"method\", \"host\" or \"path\"";

    /// True when its value is an address.
    pub(in crate::segment) fn is_address(&self) -> bool {
        matches!(self, Self::ClientIp)
    }
}

impl FromStr for Attribute {
    type Err = AttributeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_token = |name: &str| HeaderName::from_bytes(name.as_bytes()).is_ok();
        let is_query_name = |name: &str| {
            let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b'&' | b'#');
            !name.is_empty() && name.bytes().all(fits)
        };
        let attribute = match text.split_once(':') {
            Some(("header", name)) if is_token(name) => Self::Header(name.to_owned()),
            Some(("cookie", name)) if is_token(name) => Self::Cookie(name.to_owned()),
            Some(("query", name)) if is_query_name(name) => Self::Query(name.to_owned()),
            None if text == "client_ip" => Self::ClientIp,
            None if text == "method" => Self::Method,
            None if text == "host" => Self::Host,
            None if text == "path" => Self::Path,
            _ => {
                return Err(AttributeError {
                    text: text.to_owned(),
                });
            }
        };
        Ok(attribute)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(formatter, "header:{name}"),
            Self::Cookie(name) => write!(formatter, "cookie:{name}"),
            Self::Query(name) => write!(formatter, "query:{name}"),
            Self::ClientIp => formatter.write_str("client_ip"),
            Self::Method => formatter.write_str("method"),
            Self::Host => formatter.write_str("host"),
            Self::Path => formatter.write_str("path"),
        }
    }
}

/// A text that is not an [`Attribute`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not {what}", what = Attribute::WHAT)]
pub struct AttributeError {
    text: String,
}

#[cfg(test)]
mod tests {
    use crate::segment::Attribute;

    #[test]
    fn an_attribute_is_read_and_written_as_text() {
        for text in [
            "header:x-country",
            "cookie:plan",
            "query:utm_source",
            "client_ip",
            "method",
            "host",
            "path",
        ] {
            assert_eq!(text.parse::<Attribute>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "country",
            "header:",
            "header:a b",
            "cookie:a=b",
            "query:a&b",
            "Header:a",
            "method:a",
            "client_ip:",
        ] {
            let error = text.parse::<Attribute>().unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{text}` is not \"header:"))
            );
        }
    }
}
