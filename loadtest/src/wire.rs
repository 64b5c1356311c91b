//! The few calls to the kernel that both ends make: epoll, and reads and writes that never wait.

use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, OwnedFd};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How many events one wait may bring.
const EVENTS: usize = 512;

/// One epoll, and room for its events.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    /// Makes one that watches nothing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
        })
    }

    /// Watches a listening socket: level-triggered, because an accept loop may stop early.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch_listener(&self, listener: impl AsFd, token: u64) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token);
        Ok(epoll::add(
            &self.epoll,
            listener,
            data,
            epoll::EventFlags::IN,
        )?)
    }

    /// Watches a connection: edge-triggered in both directions, so that it is registered once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch(&self, stream: impl AsFd, token: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        Ok(epoll::add(
            &self.epoll,
            stream,
            epoll::EventData::new_u64(token),
            flags,
        )?)
    }

    /// Waits for events; after `limit` with none, for which `None` means for ever.
    ///
    /// # Errors
    /// The kernel's, an interruption excepted.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs() as i64,
            tv_nsec: i64::from(limit.subsec_nanos()),
        });
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The number of events that the last wait brought.
    pub fn n_events(&self) -> usize {
        self.events.len()
    }

    /// The token of the event at `index`, and whether the other side has stopped sending.
    pub fn event(&self, index: usize) -> (u64, bool) {
        let event = self.events[index];
        let ended = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        let flags = event.flags;
        (event.data.u64(), flags.intersects(ended))
    }
}

/// What a read brought.
pub enum Got {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The other side has finished.
    End,
}

/// Reads what is there.
///
/// # Errors
/// When the connection is broken.
pub fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Got> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return Ok(Got::End),
            Ok(n) => return Ok(Got::Bytes(n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Got::Nothing),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes what the kernel takes now; says how much that was.
///
/// # Errors
/// When the connection is broken.
pub fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match stream.write(&bytes[done..]) {
            Ok(n) => done += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
