//! Counts the bytes of a connection: what was read tells that its peer is alive, what was written
//! whether a request has left.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tls::Stream;

/// The bytes of one connection so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    cells: Rc<Cells>,
}

#[derive(Debug, Default)]
struct Cells {
    read: Cell<u64>,
    written: Cell<u64>,
}

impl Meter {
    /// Bytes that have come.
    pub(crate) fn read(&self) -> u64 {
        self.cells.read.get()
    }

    /// Bytes that have left.
    pub(crate) fn written(&self) -> u64 {
        self.cells.written.get()
    }
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub(crate) struct Metered {
    stream: Stream,
    meter: Meter,
}

impl Metered {
    pub(crate) fn new(stream: Stream, meter: &Meter) -> Self {
        Self {
            stream,
            meter: meter.clone(),
        }
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = &written {
            let cell = &self.meter.cells.written;
            cell.set(cell.get() + *n as u64);
        }
        written
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let n = buffer.filled().len() - before;
        let cell = &self.meter.cells.read;
        cell.set(cell.get() + n as u64);
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
