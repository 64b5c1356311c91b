//! What each stream waits for, and what has come for it.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, Waker, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};
use tokio::io::ReadBuf;
use tokio::io::unix::AsyncFd;

use crate::ring::kernel::{BUFFER_BYTES, Done, Kernel, Kind};
use crate::ring::slot::{Reading, Slot, note};

/// Bytes of writes that are taken while others are being sent.
const NEXT_BYTES: usize = 16 * 1024;

/// Writes of so many bytes are made by a call: copying them costs more than that.
const DIRECT_BYTES: usize = 16 * 1024;

/// Reads by a call that bring less than this show that the ring is better again.
const BULK_BYTES: usize = 4 * 1024;

/// Send buffers kept for reuse, and the largest that is worth keeping.
const N_SPARE: usize = 256;
const SPARE_BYTES: usize = 2 * NEXT_BYTES;

/// The ring of a thread with its streams.
pub(crate) struct Driver {
    kernel: Kernel,
    slots: Vec<Slot>,
    free: Vec<u32>,
    spare: Vec<Vec<u8>>,
    /// Sockets of which the kernel may yet be asked something by number.
    closing: Vec<TcpStream>,
    done: Vec<(u32, Done)>,
    /// Who makes the next turn.
    waker: Option<Waker>,
}

impl Driver {
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            slots: Vec::new(),
            free: Vec::new(),
            spare: Vec::new(),
            closing: Vec::new(),
            done: Vec::new(),
            waker: None,
        }
    }

    /// Something that is ready to read when something is done. Needs a tokio runtime.
    pub(crate) fn ready(&self) -> io::Result<AsyncFd<RawFd>> {
        self.kernel.ready()
    }

    /// Wakes this one as soon as there is something to submit.
    pub(crate) fn wake_by(&mut self, waker: &Waker) {
        self.waker = Some(waker.clone());
    }

    /// Submits what was asked for, and deals with what is done.
    pub(crate) fn turn(&mut self) {
        let mut done = std::mem::take(&mut self.done);
        loop {
            let is_submitted = self.kernel.turn(&mut done);
            if is_submitted {
                self.closing.clear();
            }
            for (slot, what) in done.drain(..) {
                self.settle(slot, what);
            }
            if !is_submitted || !self.kernel.has_work() {
                break;
            }
        }
        self.done = done;
    }

    /// There is something to submit.
    fn asked(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Makes a slot for a socket that does not block.
    pub(crate) fn open(&mut self, socket: TcpStream) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer descriptors than that")
        });
        let it = &mut self.slots[slot as usize];
        it.socket = Some(socket);
        it.is_nonblocking = true;
        slot
    }

    /// The socket of a stream.
    pub(crate) fn socket(&self, slot: u32) -> io::Result<&TcpStream> {
        let socket = self.slots[slot as usize].socket.as_ref();
        socket.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// True when what is read comes in large pieces.
    pub(crate) fn is_bulk(&self, slot: u32) -> bool {
        self.slots[slot as usize].is_bulk
    }

    /// Gives the socket of a stream back, non-blocking, if the kernel is asked for nothing and has
    /// nothing to tell.
    pub(crate) fn leave(&mut self, slot: u32) -> Option<TcpStream> {
        let it = &mut self.slots[slot as usize];
        let is_idle = it.reading == Reading::Nothing && !it.is_sending && !it.waits_for_room;
        let has_news = it.chunk.is_some()
            || it.has_ended
            || it.read_error.is_some()
            || it.write_error.is_some();
        if !is_idle || has_news {
            return None;
        }
        it.set_nonblocking(true).ok()?;
        it.read_error = Some(Errno::NOTCONN);
        it.write_error = Some(Errno::NOTCONN);
        it.socket.take()
    }

    /// Ends a stream. What of it is under way is left off; the socket closes with the next turn.
    pub(crate) fn close(&mut self, slot: u32) {
        let it = &mut self.slots[slot as usize];
        let socket = it.socket.take();
        it.reader = None;
        it.writer = None;
        it.next = Vec::new();
        let chunk = it.chunk.take();
        let kinds = [
            (it.reading == Reading::Receive, Kind::Receive),
            (it.reading == Reading::Readable, Kind::Readable),
            (it.is_sending, Kind::Send),
            (it.waits_for_room, Kind::Writable),
        ];
        if let Some((lent, _)) = chunk {
            self.kernel.give_back(lent);
        }
        for (_, kind) in kinds.into_iter().filter(|(is_under_way, _)| *is_under_way) {
            self.kernel.cancel(slot, kind);
        }
        self.closing.extend(socket);
        self.asked();
        self.release(slot);
    }

    /// Makes the slot of a stream that is no more free, once the kernel is through with it.
    fn release(&mut self, slot: u32) {
        let it = &mut self.slots[slot as usize];
        if it.socket.is_some()
            || it.reading != Reading::Nothing
            || it.is_sending
            || it.waits_for_room
        {
            return;
        }
        *it = Slot::default();
        self.free.push(slot);
    }

    fn settle(&mut self, slot: u32, what: Done) {
        let it = &mut self.slots[slot as usize];
        match what {
            Done::Received(outcome) => {
                it.reading = Reading::Nothing;
                match outcome {
                    Ok(Some(lent)) if it.socket.is_none() => self.kernel.give_back(lent),
                    Ok(Some(lent)) if lent.len > 0 => it.chunk = Some((lent, 0)),
                    Ok(Some(lent)) => {
                        it.has_ended = true;
                        self.kernel.give_back(lent);
                    }
                    Ok(None) => it.has_ended = true,
                    Err(error) => match Errno::from_io_error(&error) {
                        // No buffer is left: the reader gets it by itself.
                        Some(Errno::NOBUFS) => {
                            it.is_bulk = true;
                            if it.socket.is_some() && it.reader.is_none() {
                                self.await_bytes(slot);
                            }
                        }
                        Some(Errno::CANCELED | Errno::INTR | Errno::AGAIN) => {}
                        errno => it.read_error = Some(errno.unwrap_or(Errno::IO)),
                    },
                }
                self.wake_reader(slot);
            }
            Done::Readable => {
                it.reading = Reading::Nothing;
                it.is_drained = false;
                self.wake_reader(slot);
            }
            Done::Sent(outcome, bytes) => self.sent(slot, outcome, bytes),
            Done::Writable => {
                it.waits_for_room = false;
                it.is_full = false;
                self.wake_writer(slot);
            }
        }
    }

    fn sent(&mut self, slot: u32, outcome: io::Result<usize>, mut bytes: Vec<u8>) {
        let it = &mut self.slots[slot as usize];
        it.is_sending = false;
        match outcome {
            Ok(n) => {
                bytes.drain(..n.min(bytes.len()));
            }
            Err(error) => {
                it.write_error = Some(Errno::from_io_error(&error).unwrap_or(Errno::IO));
                bytes.clear();
                it.next.clear();
            }
        }
        if bytes.is_empty() {
            std::mem::swap(&mut bytes, &mut it.next);
        }
        // Of a stream that is no more nothing may be sent: its descriptor may be another's.
        let is_left = it.socket.is_some() && !bytes.is_empty();
        if is_left && it.set_nonblocking(false).is_ok() {
            it.is_sending = true;
            self.kernel.send(slot, it.fd(), bytes);
        } else {
            if is_left {
                it.write_error = Some(Errno::IO);
            }
            self.keep(bytes);
        }
        let next = &mut self.slots[slot as usize].next;
        if next.is_empty() && next.capacity() > 0 {
            let next = std::mem::take(next);
            self.keep(next);
        }
        self.wake_writer(slot);
    }

    /// Keeps a buffer for the next write.
    fn keep(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && buffer.capacity() <= SPARE_BYTES && self.spare.len() < N_SPARE {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Reads what has come, or has it told when something comes.
    pub(crate) fn poll_read(
        &mut self,
        slot: u32,
        context: &Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let it = &mut self.slots[slot as usize];
        if let Some((lent, at)) = &mut it.chunk {
            let bytes = &self.kernel.bytes(lent)[*at..];
            let n = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..n]);
            *at += n;
            if *at == lent.len {
                it.is_bulk = lent.len == BUFFER_BYTES;
                it.is_drained = false;
                if let Some((lent, _)) = it.chunk.take() {
                    self.kernel.give_back(lent);
                }
            }
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = it.read_error {
            return Poll::Ready(Err(error.into()));
        }
        if it.has_ended {
            return Poll::Ready(Ok(()));
        }
        if it.reading == Reading::Nothing
            && it.is_bulk
            && !it.is_drained
            && let Some(socket) = &it.socket
        {
            let wanted = buffer.remaining();
            match recv(socket, buffer.initialize_unfilled(), RecvFlags::DONTWAIT) {
                Ok((n, _)) => {
                    buffer.advance(n);
                    it.has_ended = n == 0;
                    it.is_drained = n < wanted;
                    it.is_bulk = n >= BULK_BYTES.min(wanted);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => {
                    it.read_error = Some(error);
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
        note(&mut it.reader, context);
        self.await_bytes(slot);
        Poll::Pending
    }

    /// Has it told when something comes.
    pub(crate) fn await_bytes(&mut self, slot: u32) {
        let it = &mut self.slots[slot as usize];
        if it.reading != Reading::Nothing || it.chunk.is_some() {
            return;
        }
        if !it.is_bulk && it.set_nonblocking(false).is_err() {
            it.is_bulk = true;
        }
        if it.is_bulk {
            it.reading = Reading::Readable;
            self.kernel.tell_readable(slot, it.fd());
        } else {
            it.reading = Reading::Receive;
            self.kernel.receive(slot, it.fd());
        }
        self.asked();
    }

    /// True while nothing has come and nothing failed, as far as was told.
    pub(crate) fn is_silent(&mut self, slot: u32) -> bool {
        let it = &self.slots[slot as usize];
        it.reading != Reading::Nothing && it.write_error.is_none()
    }

    /// Writes what there is room for.
    pub(crate) fn poll_write(
        &mut self,
        slot: u32,
        context: &Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n_bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        let it = &mut self.slots[slot as usize];
        if let Some(error) = it.write_error {
            return Poll::Ready(Err(error.into()));
        }
        if it.is_sending {
            let n = (NEXT_BYTES - it.next.len()).min(n_bytes);
            if n == 0 && n_bytes > 0 {
                note(&mut it.writer, context);
                return Poll::Pending;
            }
            copy(slices, n, &mut it.next);
            return Poll::Ready(Ok(n));
        }
        if n_bytes < DIRECT_BYTES && it.set_nonblocking(false).is_ok() {
            if n_bytes > 0 {
                it.is_sending = true;
                let fd = it.fd();
                let mut bytes = self.spare.pop().unwrap_or_default();
                copy(slices, n_bytes, &mut bytes);
                self.kernel.send(slot, fd, bytes);
                self.asked();
            }
            return Poll::Ready(Ok(n_bytes));
        }
        if !it.is_full
            && let Some(socket) = &it.socket
        {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags) {
                Ok(n) => {
                    it.is_full = n < n_bytes;
                    return Poll::Ready(Ok(n));
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => {
                    it.write_error = Some(error);
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
        self.await_room(slot, context);
        Poll::Pending
    }

    fn await_room(&mut self, slot: u32, context: &Context<'_>) {
        let it = &mut self.slots[slot as usize];
        note(&mut it.writer, context);
        if !it.waits_for_room {
            it.waits_for_room = true;
            self.kernel.tell_writable(slot, it.fd());
            self.asked();
        }
    }

    /// Ready when a write by a call is worth a try: all that was written before has left.
    pub(crate) fn poll_writable(
        &mut self,
        slot: u32,
        context: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(slot, context))?;
        if self.slots[slot as usize].is_full {
            self.await_room(slot, context);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes by a call that finds the socket non-blocking.
    pub(crate) fn try_write(
        &mut self,
        slot: u32,
        write: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.slots[slot as usize].set_nonblocking(true)?;
        let outcome = write(self.socket(slot)?.as_fd());
        if let Err(error) = &outcome {
            self.slots[slot as usize].is_full = error.kind() == io::ErrorKind::WouldBlock;
        }
        outcome
    }

    /// Ready when all that was written has left.
    pub(crate) fn poll_sent(&mut self, slot: u32, context: &Context<'_>) -> Poll<io::Result<()>> {
        let it = &mut self.slots[slot as usize];
        if let Some(error) = it.write_error {
            return Poll::Ready(Err(error.into()));
        }
        if it.is_sending {
            note(&mut it.writer, context);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn wake_reader(&mut self, slot: u32) {
        if let Some(waker) = self.slots[slot as usize].reader.take() {
            waker.wake();
        }
        self.release(slot);
    }

    fn wake_writer(&mut self, slot: u32) {
        if let Some(waker) = self.slots[slot as usize].writer.take() {
            waker.wake();
        }
        self.release(slot);
    }
}

/// Copies the first `n` bytes of the slices.
fn copy(slices: &[IoSlice<'_>], n: usize, to: &mut Vec<u8>) {
    let mut left = n;
    for slice in slices {
        let n = slice.len().min(left);
        to.extend_from_slice(&slice[..n]);
        left -= n;
    }
}
