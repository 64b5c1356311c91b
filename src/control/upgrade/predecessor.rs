//! The successor's side of an upgrade: what it is given, and what it says.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use rustix::process::getppid;
use rustix::stdio::{dup2_stdin, stdin};
use tracing::warn;

use crate::control::inherit::{Inherited, Meant, Passed};
use crate::control::upgrade::channel::{Channel, Said};
use crate::listener::local_address;

/// The variable that tells a successor that it is one: the number of the process that started it. Its
/// standard input is then its side of the conversation.
pub(crate) const VARIABLE: &str = "TIDEGATE_SUCCEEDS";

/// The instance that this one replaces.
#[derive(Debug)]
pub struct Predecessor {
    channel: Channel,
    /// How many upgrades there were, before this one.
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

impl Predecessor {
    /// Hears from the instance that started this process, if one did to be replaced, and takes all
    /// that it passes on.
    ///
    /// # Errors
    /// When what it says is not understood.
    pub fn hear(inherited: &mut Inherited) -> io::Result<Option<Self>> {
        let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
        // A child of this process may still have the variable.
        if parent.is_none() || std::env::var(VARIABLE).ok() != parent {
            return Ok(None);
        }
        if !socket_type(stdin()).is_ok_and(|kind| kind == SocketType::SEQPACKET) {
            return Ok(None);
        }
        let channel = Channel::of(stdin().try_clone_to_owned()?);
        let nothing = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        dup2_stdin(nothing.as_fd())?;
        let gone = || io::Error::other("the instance before has gone");
        loop {
            let (said, sockets) = channel.hear()?.ok_or_else(gone)?;
            let mut has_file = false;
            let meant = match said {
                Said::Listener {
                    name,
                    configured,
                    owns_file,
                } => {
                    has_file = owns_file;
                    let configured = configured.parse().map_err(io::Error::other)?;
                    Meant::Listener { name, configured }
                }
                Said::Admin { configured } => Meant::Admin { configured },
                Said::All { succeeded, failed } => {
                    return Ok(Some(Self {
                        channel,
                        succeeded,
                        failed,
                    }));
                }
                Said::Ready | Said::Failed(_) | Said::Go => {
                    return Err(io::Error::other(
                        "the instance before says what it should not",
                    ));
                }
            };
            inherited.add(passed(meant, has_file, sockets)?);
        }
    }

    /// Says that all is there which is needed to serve, and waits until it may.
    ///
    /// One that has gone says nothing more: then nobody serves, and this instance may.
    ///
    /// # Errors
    /// When it says something else.
    pub fn ready(&self) -> io::Result<()> {
        if let Err(error) = self.channel.say(&Said::Ready, &[]) {
            warn!(%error, "the instance before has gone");
            return Ok(());
        }
        match self.channel.hear()? {
            Some((Said::Go, _)) | None => Ok(()),
            Some(_) => Err(io::Error::other(
                "the instance before says what it should not",
            )),
        }
    }

    /// Says why this process ends.
    pub fn failed(&self, why: String) {
        // Where nobody hears it, nobody misses it.
        let _heard = self.channel.say(&Said::failed(why), &[]);
    }
}

fn passed(meant: Meant, owns_file: bool, sockets: Vec<OwnedFd>) -> io::Result<Passed> {
    let sockets: Vec<_> = sockets.into_iter().map(TcpListener::from).collect();
    let first = sockets
        .first()
        .ok_or_else(|| io::Error::other("no socket came along"))?;
    Ok(Passed {
        meant,
        address: local_address(first)?,
        owns_file,
        sockets,
    })
}
