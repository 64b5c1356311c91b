//! Attributes: what conditions are about.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use thiserror::Error;

/// Something that has a value, or not, in what a segment is asked about.
///
/// As text: `header:x-country`, `cookie:plan`, `query:utm_source`, `client_ip`, `method`, `host`,
/// `path`, `flag:new-checkout`; any other word is a key of the evaluation context, such as
/// `country`.
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
    /// The name of the variant that the flag of this name has.
    Flag(String),
    /// What the evaluation context has under this key.
    Context(String),
}

impl Attribute {
    /// What the texts that can be one look like.
    pub const WHAT: &str = "\"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"client_ip\", \
                            \"method\", \"host\", \"path\", \"flag:NAME\" or a key of the \
                            evaluation context such as \"country\"";

    /// The longest name of a flag: it is an identity and a label.
    pub const MAX_FLAG_BYTES: usize = 128;

    /// True for what may name a flag: 1 to 128 letters, digits, `-`, `_`, `.` or `+`.
    pub fn is_flag_name(name: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        !name.is_empty() && name.len() <= Self::MAX_FLAG_BYTES && name.bytes().all(fits)
    }

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
        let is_context_key = |key: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            !key.is_empty() && key.bytes().all(fits)
        };
        let attribute = match text.split_once(':') {
            Some(("header", name)) if is_token(name) => Self::Header(name.to_owned()),
            Some(("cookie", name)) if is_token(name) => Self::Cookie(name.to_owned()),
            Some(("query", name)) if is_query_name(name) => Self::Query(name.to_owned()),
            None if text == "client_ip" => Self::ClientIp,
            None if text == "method" => Self::Method,
            None if text == "host" => Self::Host,
            None if text == "path" => Self::Path,
            Some(("flag", name)) if Self::is_flag_name(name) => Self::Flag(name.to_owned()),
            None if is_context_key(text) => Self::Context(text.to_owned()),
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
            Self::Flag(name) => write!(formatter, "flag:{name}"),
            Self::Context(key) => formatter.write_str(key),
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
            "flag:new-checkout",
            "flag:checkout-2.4.0+eu",
            "country",
            "user.org_id-2",
            "targetingKey",
        ] {
            assert_eq!(text.parse::<Attribute>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "my country",
            "land\u{e9}",
            "a/b",
            "flag:",
            "flag:a b",
            "Flag:a",
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
