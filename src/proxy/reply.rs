//! A response's head on its way from an HTTP/1 upstream to an HTTP/1 client.

use std::task::Context;

use tokio::io::AsyncWrite;

use crate::http1::codec::{Asked, HeadError, read_response};
use crate::http1::{Incoming, Outgoing, Pump, PumpError, Scratch};
use crate::message::{Framing, Tap, Version};
use crate::proxy::attempt::UPSTREAM_LIMITS;
use crate::proxy::headers::{self, FieldEdits, ResponseEdit};
use crate::proxy::retry::Picky;

/// What the head depends on besides itself.
pub(crate) struct Reply<'a> {
    /// The version of the client's request.
    pub(crate) version: Version,
    /// True when the client's connection closes after the response.
    pub(crate) close: bool,
    /// True when the client asked for another protocol.
    pub(crate) upgrade: bool,
    /// A Set-Cookie field's value that gives the client an identity.
    pub(crate) identity: Option<&'a [u8]>,
    /// What the route changes in the fields.
    pub(crate) fields: Option<&'a FieldEdits>,
    /// How much of what `scratch.downstream` holds already has been sent.
    pub(crate) sent: usize,
    /// Who watches the body.
    pub(crate) tap: &'a Tap,
    /// Whether another attempt is made for some statuses.
    pub(crate) picky: Option<&'a Picky>,
}

/// What became of a head.
pub(crate) enum Passed {
    /// A 1xx: it stands in `scratch.downstream`, and another head follows.
    Interim,
    /// A 101 that nobody had asked for, or that does not say what to change to.
    Unasked,
    /// Another attempt is made in its place; nothing was written.
    Unwanted,
    /// It was written, with what came behind it; the pump carries the rest.
    Final {
        pump: Pump,
        close: bool,
        until_close: bool,
        wrote: Result<(), PumpError>,
    },
}

impl Reply<'_> {
    /// Reads a head and passes it on, with the bytes behind it that belong to its body. Tells what
    /// became of it and how many of those bytes were used.
    ///
    /// # Errors
    /// When it is no head that can be read in one way only; then nothing was written.
    pub(crate) fn pass_on<W: AsyncWrite + Unpin>(
        &self,
        context: &mut Context<'_>,
        scratch: &mut Scratch,
        head: &[u8],
        rest: &[u8],
        to: &mut W,
    ) -> Result<(Passed, usize), HeadError> {
        let asked = Asked::by(scratch.request.method());
        read_response(head, &UPSTREAM_LIMITS, asked, &mut scratch.response)?;
        let response = &scratch.response;
        let out = &mut scratch.downstream;
        if response.is_interim() {
            // HTTP/1.0 knows no 1xx (RFC 9110, section 15.2).
            if self.version == Version::Http11 {
                let edit = ResponseEdit {
                    version: self.version,
                    close: false,
                    framing: Framing::None,
                    set_cookie: None,
                    fields: self.fields,
                };
                headers::write_response(out, response, &edit);
            }
            return Ok((Passed::Interim, 0));
        }
        if response.status == 101 && !(self.upgrade && headers::names_upgrade(response)) {
            return Ok((Passed::Unasked, 0));
        }
        if let Some(picky) = self.picky
            && picky.refuses(response.status)
        {
            return Ok((Passed::Unwanted, 0));
        }
        let (framing, outgoing) = match (response.framing, self.version) {
            // HTTP/1.0 knows no chunks: the body ends with the connection.
            (Framing::Chunked | Framing::UntilClose, Version::Http10) => {
                (Framing::UntilClose, Outgoing::Raw)
            }
            (Framing::Chunked | Framing::UntilClose, _) => (Framing::Chunked, Outgoing::Chunked),
            (framing @ (Framing::None | Framing::Length(_)), _) => (framing, Outgoing::Raw),
        };
        let until_close = framing == Framing::UntilClose;
        let close = self.close || until_close;
        let edit = ResponseEdit {
            version: self.version,
            close,
            framing,
            set_cookie: self
                .identity
                .filter(|_| !headers::is_shared(response, self.fields)),
            fields: self.fields,
        };
        headers::write_response(out, response, &edit);
        let incoming = Incoming::new(response.framing, &UPSTREAM_LIMITS)
            .without_trailers(self.fields.and_then(FieldEdits::dropped));
        let mut pump = Pump::new(incoming, outgoing, None).with_tap(self.tap.clone());
        let (used, wrote) = match pump.start(context, &out[self.sent..], rest, to) {
            Ok(used) => (used, Ok(())),
            Err(error) => (rest.len(), Err(error)),
        };
        let passed = Passed::Final {
            pump,
            close,
            until_close,
            wrote,
        };
        Ok((passed, used))
    }
}
