//! What an instance and its successor say to each other, and how sockets go along.
//!
//! Over a pair of UNIX sockets that keep messages apart (`SOCK_SEQPACKET`), each message JSON. Both
//! sides may be of different versions, so that fields and kinds of messages are only ever added.
//! Whoever ends closes its side, and the other one sees that.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

/// How many descriptors one message may carry: Linux allows 253 (`SCM_MAX_FD`).
pub(crate) const MAX_SOCKETS: usize = 128;

/// The longest message: the complaint about a configuration where everything is wrong, cut there.
const MAX_MESSAGE: usize = 64 * 1024;

/// What is said.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// To the successor: the sockets that come along were a listener's.
    Listener {
        /// Its name.
        name: String,
        /// Its address in the configuration.
        configured: String,
        /// True where the file of a UNIX socket is to be taken away at the end.
        #[serde(default)]
        owns_file: bool,
    },
    /// To the successor: the socket that comes along is that of the admin listener.
    Admin {
        /// Its address in the configuration.
        configured: SocketAddr,
    },
    /// To the successor: these were all. With it come the counts that it goes on with.
    All {
        /// Upgrades that went well before this one.
        succeeded: u64,
        /// Upgrades that failed.
        failed: u64,
    },
    /// From the successor: it has all that it needs, and waits.
    Ready,
    /// From the successor: it ends, for this reason.
    Failed(String),
    /// To the successor: it serves from now on.
    Go,
}

/// One side of the conversation.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Makes both sides, closed on exec.
    ///
    /// # Errors
    /// When no descriptors are left.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(one), Self(other)))
    }

    /// Takes the side that somebody gave to this process.
    pub(crate) fn of(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Waits no longer than this for the other side, in either direction.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(time))?;
        set_socket_timeout(&self.0, Timeout::Send, Some(time))?;
        Ok(())
    }

    /// Says something, with at most [`MAX_SOCKETS`] sockets.
    ///
    /// # Errors
    /// When the other side has gone, or reads nothing in time (`WouldBlock`).
    pub(crate) fn say(&self, said: &Said, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(said)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !along.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("more sockets than a message carries"));
        }
        loop {
            // Whoever has gone must not end this process by a signal.
            let flags = SendFlags::NOSIGNAL;
            match sendmsg(&self.0, &[IoSlice::new(&text)], &mut along, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Hears what the other side says, with the sockets that come along, which are closed on exec;
    /// `None` when it has gone.
    ///
    /// # Errors
    /// When it says nothing in time (`WouldBlock`), or what nobody understands.
    pub(crate) fn hear(&self) -> io::Result<Option<(Said, Vec<OwnedFd>)>> {
        let mut text = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut along = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            let into = &mut [IoSliceMut::new(&mut text)];
            match recvmsg(&self.0, into, &mut along, RecvFlags::CMSG_CLOEXEC) {
                Ok(message) => break message,
                Err(Errno::INTR) => {}
                // It has gone without reading what it was told.
                Err(Errno::CONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        let sockets = along.drain().flat_map(|along| match along {
            RecvAncillaryMessage::ScmRights(sockets) => sockets.collect(),
            _ => Vec::new(),
        });
        let sockets: Vec<OwnedFd> = sockets.collect();
        if message.bytes == 0 {
            return Ok(None);
        }
        // Descriptors that there was no room for are lost, and their clients with them.
        let cut = ReturnFlags::CTRUNC | ReturnFlags::TRUNC;
        if message.flags.intersects(cut) {
            return Err(io::Error::other("a message was cut"));
        }
        Ok(Some((
            serde_json::from_slice(&text[..message.bytes])?,
            sockets,
        )))
    }
}

impl Said {
    /// The reason for an end, cut where a message ends.
    pub(crate) fn failed(mut why: String) -> Self {
        // Quotes and line ends take two bytes, and control characters six.
        why.truncate(why.floor_char_boundary(MAX_MESSAGE / 8));
        Self::Failed(why)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use crate::control::upgrade::channel::{Channel, MAX_SOCKETS, Said};

    #[test]
    fn what_is_said_is_heard_with_the_sockets() {
        let (here, there) = Channel::pair().unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Said::Listener {
            name: "http".to_owned(),
            configured: address.to_string(),
            owns_file: false,
        };
        let many = vec![socket.as_fd(); MAX_SOCKETS];
        here.say(&listener, &many).unwrap();
        here.say(&Said::Go, &[]).unwrap();
        let (said, sockets) = there.hear().unwrap().unwrap();
        assert_eq!((said, sockets.len()), (listener, MAX_SOCKETS));
        for socket in sockets {
            assert_eq!(TcpListener::from(socket).local_addr().unwrap(), address);
        }
        let (said, sockets) = there.hear().unwrap().unwrap();
        assert_eq!((said, sockets.len()), (Said::Go, 0));
    }

    #[test]
    fn the_end_of_the_other_side_is_seen() {
        let (here, there) = Channel::pair().unwrap();
        there.say(&Said::Ready, &[]).unwrap();
        drop(there);
        assert!(matches!(here.hear().unwrap(), Some((Said::Ready, _))));
        assert!(here.hear().unwrap().is_none());
        assert!(here.say(&Said::Go, &[]).is_err());
    }

    #[test]
    fn the_other_sides_silence_ends() {
        let (here, _there) = Channel::pair().unwrap();
        here.wait_at_most(Duration::from_millis(1)).unwrap();
        let error = here.hear().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_reason_of_any_length_can_be_said() {
        for letter in ['\u{1}', 'ä', '"'] {
            let (here, there) = Channel::pair().unwrap();
            let why: String = std::iter::repeat_n(letter, 1_000_001).collect();
            here.say(&Said::failed(why), &[]).unwrap();
            let said = there.hear().unwrap();
            assert!(matches!(said, Some((Said::Failed(why), _)) if !why.is_empty()));
        }
    }
}
