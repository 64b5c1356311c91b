//! Chunk extensions: checked byte by byte, and dropped (RFC 9112, section 7.1.1).
//!
//! Nobody uses them, and a proxy may drop them. They are checked all the same, because a parser
//! that skips whatever stands there is what one-character tricks with CR and LF aim at.

use crate::http1::codec::{is_token_char, is_value_char};

/// What may come next within `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extension {
    /// White space after a size: only a semicolon makes it an extension.
    BeforeSemicolon,
    /// A name, after a semicolon.
    BeforeName,
    /// More of a name.
    Name,
    /// White space after a name.
    AfterName,
    /// A value, after an equals sign.
    BeforeValue,
    /// More of a value that is a token.
    Token,
    /// More of a value in quotes.
    Quoted,
    /// The character that a backslash escapes.
    Escaped,
    /// What follows a closing quote.
    AfterQuote,
}

impl Extension {
    /// What comes after this byte, which is not CR; `None` when the byte may not stand here.
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        let is_space = matches!(byte, b' ' | b'\t');
        Some(match self {
            Self::BeforeSemicolon | Self::BeforeName | Self::AfterName | Self::BeforeValue
                if is_space =>
            {
                self
            }
            Self::BeforeSemicolon | Self::AfterQuote if byte == b';' => Self::BeforeName,
            Self::BeforeName | Self::Name if is_token_char(byte) => Self::Name,
            Self::Name | Self::AfterName if byte == b';' => Self::BeforeName,
            Self::Name | Self::AfterName if byte == b'=' => Self::BeforeValue,
            Self::Name if is_space => Self::AfterName,
            Self::BeforeValue if byte == b'"' => Self::Quoted,
            Self::BeforeValue | Self::Token if is_token_char(byte) => Self::Token,
            Self::Token if byte == b';' => Self::BeforeName,
            Self::Token | Self::AfterQuote if is_space => Self::BeforeSemicolon,
            Self::Quoted if byte == b'"' => Self::AfterQuote,
            Self::Quoted if byte == b'\\' => Self::Escaped,
            Self::Quoted | Self::Escaped if is_value_char(byte) => Self::Quoted,
            _ => return None,
        })
    }

    /// True when the line may end here.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::AfterQuote)
    }
}
