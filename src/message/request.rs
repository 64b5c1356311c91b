//! The head of a request: method, target and fields, whichever protocol it came by.

use crate::message::{Field, Fields, Framing, Known, Span, Version};

/// Whether the downstream connection is encrypted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The head of a request.
///
/// `http1::codec` fills it from bytes, `listener` from an HTTP/2 head; both check before they fill,
/// so everyone behind may rely on it: the method is a token, the authority is valid or empty, the
/// path starts with `/` (or is `*`, or empty for CONNECT), no value holds CR, LF or NUL.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// All bytes that the spans point into.
    pub text: Vec<u8>,
    /// The method, as sent; its case matters.
    pub method: Span,
    /// The target as sent, in any of the four forms of RFC 9112, section 3.2.
    pub target: Span,
    /// The authority (`host` or `host:port`) from an absolute target, `:authority` or `Host`.
    pub authority: Span,
    /// The path, without the query.
    pub path: Span,
    /// The query, without the question mark, if there is one.
    pub query: Option<Span>,
    /// The protocol version.
    pub version: Version,
    /// How the body ends.
    pub framing: Framing,
    /// True when the connection may serve another request after this one, as far as the client
    /// goes (RFC 9112, section 9.3).
    pub keep_alive: bool,
    /// The fields; their bytes lie in `text`.
    pub fields: Fields,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            method: Span::default(),
            target: Span::default(),
            authority: Span::default(),
            path: Span::default(),
            query: None,
            version: Version::Http11,
            framing: Framing::None,
            keep_alive: true,
            fields: Fields::default(),
        }
    }
}

impl RequestHead {
    /// Empties it and keeps its memory for the next one.
    pub fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        let mut fields = std::mem::take(&mut self.fields);
        text.clear();
        fields.clear();
        *self = Self {
            text,
            fields,
            ..Self::default()
        };
    }

    /// Appends bytes to `text` and tells where they lie.
    pub fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        Span::new(start, self.text.len())
    }

    /// Adds a field that did not come in the text itself, as an HTTP/2 head's fields do not.
    pub fn append_field(&mut self, name: &[u8], value: &[u8]) {
        let name = self.append(name);
        let value = self.append(value);
        self.fields.push(&self.text, name, value);
    }

    /// The method's bytes.
    pub fn method(&self) -> &[u8] {
        self.method.of(&self.text)
    }

    /// The target's bytes, as sent.
    pub fn target(&self) -> &[u8] {
        self.target.of(&self.text)
    }

    /// The authority's bytes; empty when there is none (HTTP/1.0 without Host).
    pub fn authority(&self) -> &[u8] {
        self.authority.of(&self.text)
    }

    /// The host alone: the authority without its port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &[u8] {
        let authority = self.authority();
        // The last colon starts the port, unless it stands in the brackets of an address. Names are
        // short: a search by words of bytes would cost more than it saves.
        match authority
            .iter()
            .rposition(|&byte| matches!(byte, b':' | b']'))
        {
            Some(at) if authority[at] == b':' => &authority[..at],
            _ => authority,
        }
    }

    /// The path's bytes.
    pub fn path(&self) -> &[u8] {
        self.path.of(&self.text)
    }

    /// The query's bytes, without the question mark.
    pub fn query(&self) -> Option<&[u8]> {
        self.query.map(|query| query.of(&self.text))
    }

    /// All fields, in their order.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.fields.iter(&self.text)
    }

    /// The value of the first field of this name, in any case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields.find(&self.text, name)
    }

    /// The values of all fields of this kind.
    pub fn known(&self, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.fields
            .known(&self.text, known)
            .map(|field| field.value)
    }

    /// The value of the first query parameter of this name, as sent: nothing is decoded.
    pub fn query_value(&self, name: &[u8]) -> Option<&[u8]> {
        self.query()?.split(|&byte| byte == b'&').find_map(|pair| {
            let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            (&pair[..equals] == name).then(|| pair.get(equals + 1..).unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::message::RequestHead;

    #[test]
    fn a_host_is_the_authority_without_its_port() {
        for (authority, host) in [
            ("example.com", "example.com"),
            ("example.com:8080", "example.com"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("", ""),
        ] {
            let mut head = RequestHead::default();
            head.authority = head.append(authority.as_bytes());
            assert_eq!(head.host(), host.as_bytes(), "{authority}");
        }
    }

    #[test]
    fn a_query_value_is_found_by_its_whole_name() {
        let mut head = RequestHead::default();
        head.query = Some(head.append(b"xa=0&a=1&b&c=x=y"));
        assert_eq!(head.query_value(b"a"), Some(&b"1"[..]));
        assert_eq!(head.query_value(b"b"), Some(&b""[..]));
        assert_eq!(head.query_value(b"c"), Some(&b"x=y"[..]));
        assert_eq!(head.query_value(b"x"), None);
    }
}
