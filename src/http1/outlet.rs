//! A body on its way to an HTTP/1 peer from what is no socket, such as an HTTP/2 stream.

use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::http1::buffer::with_encode;
use crate::http1::codec::{write_chunk_head, write_last_chunk};
use crate::http1::spill::Spill;
use crate::http1::{Outgoing, PumpError};

/// A head or data of so few bytes is copied behind what stands before it: one plain write costs
/// less than a gathering one.
const COPY_BYTES: usize = 4 * 1024;

/// Carries one body to a socket, piece by piece.
#[derive(Debug)]
pub struct Outlet {
    outgoing: Outgoing,
    spill: Spill,
    body_bytes: u64,
}

impl Outlet {
    /// Makes one for a body that is written so.
    pub fn new(outgoing: Outgoing) -> Self {
        Self {
            outgoing,
            spill: Spill::default(),
            body_bytes: 0,
        }
    }

    /// Bytes of body so far, without framing.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// A number that grows with each step forward.
    pub fn progress(&self) -> u64 {
        self.spill.written() + self.body_bytes
    }

    /// True when the receiver is what it waits for.
    pub fn is_waiting_to_write(&self) -> bool {
        !self.spill.is_through()
    }

    /// Writes `head` and `data` behind it, and with `end` the end of the body with these trailers
    /// (raw field lines; they go with chunks only). What the socket does not take is kept.
    ///
    /// # Errors
    /// When the receiver fails.
    pub fn write<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        head: &[u8],
        data: &[u8],
        end: Option<&[u8]>,
        to: &mut W,
    ) -> Result<(), PumpError> {
        self.body_bytes += data.len() as u64;
        let is_plain = head.is_empty() || data.is_empty() || data.len() > COPY_BYTES;
        let wrote = if self.outgoing == Outgoing::Raw && is_plain {
            self.spill.write(context, head, data, to)
        } else {
            with_encode(|out| {
                out.extend_from_slice(head);
                match self.outgoing {
                    Outgoing::Raw => out.extend_from_slice(data),
                    Outgoing::Chunked => {
                        if !data.is_empty() {
                            write_chunk_head(out, data.len());
                            out.extend_from_slice(data);
                            out.extend_from_slice(b"\r\n");
                        }
                        if let Some(trailers) = end {
                            write_last_chunk(out, trailers);
                        }
                    }
                }
                self.spill.write(context, out, &[], to)
            })
        };
        wrote.map_err(PumpError::Write)
    }

    /// Writes what was kept; ready when nothing is.
    ///
    /// # Errors
    /// When the receiver fails.
    pub fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<Result<(), PumpError>> {
        self.spill.poll(context, to).map_err(PumpError::Write)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use crate::http1::{Outgoing, Outlet};

    fn written(outgoing: Outgoing, pieces: &[(&str, Option<&str>)]) -> String {
        let mut outlet = Outlet::new(outgoing);
        let mut out = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        let mut head = "head\r\n\r\n";
        for (data, end) in pieces {
            let end = end.map(str::as_bytes);
            outlet
                .write(
                    &mut context,
                    head.as_bytes(),
                    data.as_bytes(),
                    end,
                    &mut out,
                )
                .unwrap();
            head = "";
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_body_of_known_length_is_written_as_it_is() {
        let pieces = [("he", None), ("llo", Some(""))];
        assert_eq!(written(Outgoing::Raw, &pieces), "head\r\n\r\nhello");
    }

    #[test]
    fn another_is_written_in_chunks_with_its_trailers() {
        let pieces = [("he", None), ("", None), ("llo", Some("x: 1\r\n"))];
        assert_eq!(
            written(Outgoing::Chunked, &pieces),
            "head\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nx: 1\r\n\r\n"
        );
        assert_eq!(
            written(Outgoing::Chunked, &[("", Some(""))]),
            "head\r\n\r\n0\r\n\r\n"
        );
    }
}
