//! A response's head on its way to a client.

use crate::message::{Field, Framing, Known, ResponseHead, Version};
use crate::proxy::headers::Named;
use crate::proxy::headers::edits::FieldEdits;
use crate::proxy::headers::sink::{Sink, write_number};
use crate::proxy::websocket::PROTOCOL;

/// What a response's head on the client's side depends on besides the head itself.
#[derive(Debug)]
pub struct ResponseEdit<'a> {
    /// The version of the client's request.
    pub version: Version,
    /// True when the connection is closed after it.
    pub close: bool,
    /// How the body goes out.
    pub framing: Framing,
    /// A Set-Cookie field's value to add.
    pub set_cookie: Option<&'a [u8]>,
    /// What the route changes in the fields that came.
    pub fields: Option<&'a FieldEdits>,
}

/// Writes a response's head as it goes to an HTTP/1 client.
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead, edit: &ResponseEdit<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(out, head.status);
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    write_response_fields(out, head, edit);
    out.extend_from_slice(b"\r\n");
}

/// Writes the fields of a response as they go to a client, whichever protocol it speaks.
pub(crate) fn write_response_fields<S: Sink>(
    out: &mut S,
    head: &ResponseHead,
    edit: &ResponseEdit<'_>,
) {
    let filter = ResponseFilter::new(head);
    for field in head.fields() {
        if filter.keeps(&field) && !edit.fields.is_some_and(|edits| edits.drop(field.name)) {
            out.passed(&field, &head.text);
        }
    }
    // Nothing is promised for the final response by an interim one.
    if let Some(edits) = edit.fields.filter(|_| !head.is_interim()) {
        out.added(edits);
    }
    if let Some(cookie) = edit.set_cookie {
        out.field(b"Set-Cookie", cookie);
    }
    match edit.framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(n) => out.length(n),
        Framing::Chunked => out.unsized_body(),
    }
    if head.status == 101 {
        out.upgrade(upgrade(head).unwrap_or_default());
    } else if head.status >= 200 {
        if edit.close {
            out.close();
        } else if edit.version == Version::Http10 {
            out.keep_alive();
        }
    }
}

/// Tells whether a field of a response goes on to the client.
struct ResponseFilter<'a> {
    named: Named<'a>,
    /// True when Content-Length tells of something that is not sent, as in the answer to HEAD.
    keeps_length: bool,
}

impl<'a> ResponseFilter<'a> {
    /// Makes the filter for a response's head.
    fn new(head: &'a ResponseHead) -> Self {
        Self {
            named: Named::of(head.fields.known(&head.text, Known::Connection)),
            keeps_length: head.framing == Framing::None && head.status >= 200 && head.status != 204,
        }
    }

    /// True when the field goes on.
    fn keeps(&self, field: &Field<'_>) -> bool {
        match field.known {
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::ProxyAuthenticate
            | Known::TransferEncoding
            | Known::Te
            | Known::Upgrade => false,
            Known::ContentLength => self.keeps_length,
            Known::Other => !self.named.has(field),
            _ => true,
        }
    }
}

/// True when the response says that it changes to the protocol that was asked for (RFC 9110,
/// section 15.2.2).
pub(crate) fn names_upgrade(head: &ResponseHead) -> bool {
    upgrade(head).is_some_and(|protocol| protocol.eq_ignore_ascii_case(PROTOCOL.as_bytes()))
}

fn upgrade(head: &ResponseHead) -> Option<&[u8]> {
    let mut fields = head.fields.known(&head.text, Known::Upgrade);
    Some(fields.next()?.value)
}

/// True when the response, as it goes to the client, may be stored and given to others, so that it
/// must not carry anybody's identity (RFC 9111, section 5.2.2).
pub(crate) fn is_shared(head: &ResponseHead, edits: Option<&FieldEdits>) -> bool {
    let came = head
        .fields
        .known(&head.text, Known::CacheControl)
        .filter(|field| !edits.is_some_and(|edits| edits.drop(field.name)))
        .map(|field| field.value);
    let added = edits
        .into_iter()
        .flat_map(FieldEdits::added)
        .filter(|field| Known::of(&field.name) == Known::CacheControl)
        .map(|field| &*field.value);
    came.chain(added).any(|value| {
        value.split(|&byte| byte == b',').any(|directive| {
            let directive = directive.trim_ascii();
            directive.eq_ignore_ascii_case(b"public")
                || directive
                    .get(..8)
                    .is_some_and(|start| start.eq_ignore_ascii_case(b"s-maxage"))
        })
    })
}
