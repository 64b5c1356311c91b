//! What a receiver did not take yet.
//!
//! Bytes are written as they come; those that the socket does not take are kept, and whoever writes
//! brings nothing more until they are gone: the receiver sets the pace.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::http1::buffer::{give_buffer, take_buffer};
use crate::http1::connection::poll_write_rest;

/// Bytes on their way to a receiver.
#[derive(Debug)]
pub(crate) struct Spill {
    /// Those that it did not take, from `at` on.
    bytes: Vec<u8>,
    at: usize,
    flushed: bool,
    /// Bytes written so far; who waits for progress watches it.
    written: u64,
}

impl Default for Spill {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            at: 0,
            flushed: true,
            written: 0,
        }
    }
}

impl Spill {
    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Counts bytes that went to the receiver by another way.
    pub(crate) fn count(&mut self, n: usize) {
        self.written += n as u64;
    }

    /// True while bytes are kept.
    pub(crate) fn is_holding(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// True when nothing is kept, here or in the stream below.
    pub(crate) fn is_through(&self) -> bool {
        self.bytes.is_empty() && self.flushed
    }

    /// Writes once; what the receiver does not take is kept.
    pub(crate) fn write<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
        to: &mut W,
    ) -> io::Result<()> {
        let mut written = 0;
        if self.bytes.is_empty() && first.len() + second.len() > 0 {
            written = match poll_write_rest(to, context, first, second, 0) {
                Poll::Ready(result) => result?,
                Poll::Pending => 0,
            };
            self.written += written as u64;
            self.flushed = false;
        }
        if written < first.len() + second.len() {
            let from_first = first.get(written..).unwrap_or_default();
            let from_second = &second[written.saturating_sub(first.len()).min(second.len())..];
            self.hold(from_first);
            self.hold(from_second);
        }
        Ok(())
    }

    /// Keeps bytes to be written later.
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() == 0 {
            self.bytes = take_buffer();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes what was kept, and flushes what the stream below keeps.
    pub(crate) fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        while self.at < self.bytes.len() {
            let n = ready!(poll_write_rest(to, context, &self.bytes, &[], self.at))?;
            self.at += n;
            self.written += n as u64;
            self.flushed = false;
        }
        if !self.bytes.is_empty() {
            give_buffer(std::mem::take(&mut self.bytes));
            self.at = 0;
        }
        if !self.flushed {
            ready!(Pin::new(to).poll_flush(context))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        give_buffer(std::mem::take(&mut self.bytes));
    }
}
