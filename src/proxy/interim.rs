//! Answers of 1xx, which come before the one that counts.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::http1::{Connection, PumpError};
use crate::proxy::trouble::Trouble;
use crate::tls::Stream;

/// Answers of 1xx before the final one: no server needs more than a few, and they are kept until
/// the client has taken them.
const MAX: u32 = 100;

/// How long a client that waits for the upstream's word before it sends its body is left waiting;
/// then it is told to go on. Servers that know nothing of 100 never say it.
pub(crate) const CONTINUE: Duration = Duration::from_secs(1);

/// The answers of 1xx of one attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interim {
    n: u32,
    /// How many bytes of their heads a client of HTTP/1 has taken.
    sent: usize,
}

impl Interim {
    /// Counts one.
    ///
    /// # Errors
    /// When there is no end of them.
    pub(crate) fn count(&mut self) -> Result<(), Trouble> {
        self.n += 1;
        if self.n > MAX {
            return Err(Trouble::Endless);
        }
        Ok(())
    }

    /// How many bytes of them the client has taken; once it has any, no other attempt may answer it.
    pub(crate) fn sent(self) -> usize {
        self.sent
    }

    /// Writes what the client has not taken of their heads. Not taken yet is no trouble: it goes
    /// out before the final head at the latest.
    ///
    /// # Errors
    /// When the client is gone.
    pub(crate) fn flush(
        &mut self,
        context: &mut Context<'_>,
        heads: &[u8],
        client: &mut Connection<Stream>,
    ) -> Result<(), Trouble> {
        if self.sent == heads.len() {
            return Ok(());
        }
        match client.poll_write_both(context, heads, &[], &mut self.sent) {
            Poll::Ready(Err(error)) => Err(Trouble::Download(PumpError::Write(error))),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}

/// Tells a client to send its body, when the upstream has said nothing.
pub(crate) fn write_continue(heads: &mut Vec<u8>) {
    heads.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
}
