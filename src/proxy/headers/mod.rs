//! What changes in a head on its way through (RFC 9110, section 7.6).
//!
//! Fields that belong to one connection end here, in both directions; where a request comes from is
//! told anew, unless the proxy in front is trusted; everything else goes on byte for byte and in
//! its order. A head is written into a [`Sink`], so that HTTP/1 and HTTP/2 get the same.

mod edits;
mod forwarded;
mod request;
mod response;
mod sink;
#[cfg(test)]
mod tests;

use crate::message::{Field, Known};

pub(crate) use edits::OwnField;
pub use edits::{FieldEdits, owner_in_requests, owner_in_responses};
pub use request::{RequestEdit, Rewritten, write_request};
pub(crate) use request::{asks_for_upgrade, check_request, http2_request};
pub use response::{ResponseEdit, write_response};
pub(crate) use response::{is_shared, names_upgrade, write_response_fields};
pub(crate) use sink::Sink;

/// The names in a head's Connection fields, besides those that we know what they mean.
#[derive(Debug, Default)]
struct Named<'a> {
    names: Vec<&'a [u8]>,
}

impl<'a> Named<'a> {
    /// Those in these Connection fields.
    fn of(connection: impl Iterator<Item = Field<'a>>) -> Self {
        let mut names = Vec::new();
        for field in connection {
            for name in field.value.split(|&byte| byte == b',') {
                let name = name.trim_ascii();
                // What is dropped anyway, and what a client must not be able to have dropped.
                let known = Known::of(name);
                let plain = matches!(known, Known::Other)
                    && !name.eq_ignore_ascii_case(b"close")
                    && !name.eq_ignore_ascii_case(b"authorization")
                    && !name.is_empty();
                if plain {
                    names.push(name);
                }
            }
        }
        Self { names }
    }

    fn has(&self, field: &Field<'_>) -> bool {
        !self.names.is_empty() && self.names.iter().any(|name| field.is(name))
    }
}

pub(crate) fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}
