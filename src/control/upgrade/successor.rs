//! The side of an upgrade that is there already: a successor is started, given all sockets, and
//! either gets ready in time or is ended.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use thiserror::Error;
use tracing::warn;

use crate::control::upgrade::channel::{Channel, MAX_SOCKETS, Said};
use crate::control::upgrade::predecessor::VARIABLE;

/// Why this instance serves on.
#[derive(Debug, Error)]
pub enum UpgradeError {
    /// Another one has begun and is not at its end.
    #[error("an upgrade is under way already")]
    UnderWay,
    /// This instance is about to end, or has a successor already.
    #[error("this instance is about to end")]
    Ending,
    /// With this process all others of its container end, a successor among them.
    #[error(
        "this is process 1 of its container, which ends with it: replace the container instead"
    )]
    FirstProcess,
    /// The program could not be started.
    #[error("{} cannot be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It was not ready in time.
    #[error("the new process was not ready after {0:?}, and was ended")]
    TooSlow(Duration),
    /// It said why it cannot serve.
    #[error("the new process does not start: {0}")]
    Refused(String),
    /// It ended without a word, or is no tidegate that knows of this.
    #[error("the new process ended before it was ready: {0}")]
    Ended(String),
    /// It could not be told, or was not understood.
    #[error("the new process cannot be talked to: {0}")]
    Talk(#[source] io::Error),
}

/// By what this process was started: looked at once, as long as it is what is there.
#[derive(Clone, Debug)]
struct Origin {
    /// As it was typed, which may lead to another file today.
    name: OsString,
    /// The file, where it was then.
    file: Option<PathBuf>,
}

static ORIGIN: OnceLock<Origin> = OnceLock::new();

/// Takes note of the program that runs, before anybody can replace its file.
pub fn note_program() {
    ORIGIN.get_or_init(|| Origin {
        name: env::args_os().next().unwrap_or_default(),
        file: env::current_exe().ok(),
    });
}

/// What a successor is given.
#[derive(Debug, Default)]
pub(crate) struct Estate {
    /// Who each part is for, with its sockets.
    pub(crate) sockets: Vec<(Said, Vec<OwnedFd>)>,
    /// Upgrades that went well before.
    pub(crate) succeeded: u64,
    /// Upgrades that failed before.
    pub(crate) failed: u64,
}

/// A successor that is started. Dropped before it serves, it is ended.
#[derive(Debug)]
pub(crate) struct Successor {
    child: Child,
    serves: bool,
}

impl Successor {
    /// Starts one, as this process was started; gives the way to talk to it, too.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start() -> Result<(Self, Channel), UpgradeError> {
        let (channel, theirs) = Channel::pair().map_err(UpgradeError::Talk)?;
        let theirs = OwnedFd::from(theirs);
        note_program();
        let origin = ORIGIN.get().expect("it was noted");
        let named = PathBuf::from(&origin.name);
        let spawned = match (spawn(&named, origin, &theirs), &origin.file) {
            // It was started by a name that leads nowhere.
            (Err(error), Some(file)) if error.kind() == io::ErrorKind::NotFound => {
                spawn(file, origin, &theirs)
            }
            (spawned, _) => spawned,
        };
        let child = spawned.map_err(|source| UpgradeError::Start {
            program: named,
            source,
        })?;
        let successor = Self {
            child,
            serves: false,
        };
        Ok((successor, channel))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it serve. From here on it is nobody's to end.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn go(&mut self, channel: &Channel) -> Result<(), UpgradeError> {
        if channel.say(&Said::Go, &[]).is_err() {
            return Err(self.ended());
        }
        self.serves = true;
        Ok(())
    }

    /// How it ended, of one that has gone.
    pub(crate) fn ended(&mut self) -> UpgradeError {
        // It may still be there, and only have closed its side.
        self.end();
        UpgradeError::Ended(match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        })
    }

    fn end(&mut self) {
        // A zombie cannot be killed, and need not be.
        self.child.kill().unwrap_or_default();
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.serves {
            self.end();
            if let Err(error) = self.child.wait() {
                warn!(%error, "the new process cannot be waited for");
            }
        }
    }
}

fn spawn(program: &PathBuf, origin: &Origin, channel: &OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(program);
    command
        .arg0(&origin.name)
        .args(env::args_os().skip(1))
        .env(VARIABLE, std::process::id().to_string())
        .stdin(Stdio::from(channel.try_clone()?));
    // Those are about descriptors of this process.
    for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        command.env_remove(variable);
    }
    command.spawn()
}

/// Gives a successor all there is, and waits until it is ready. This blocks.
///
/// # Errors
/// When it is not ready in time, refuses, or ends; what became of it is not known here.
pub(crate) fn hand_over(
    channel: &Channel,
    estate: &Estate,
    within: Duration,
) -> Result<Answer, UpgradeError> {
    let talk = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock => UpgradeError::TooSlow(within),
        _ => UpgradeError::Talk(error),
    };
    channel.wait_at_most(within).map_err(talk)?;
    match pass(channel, estate) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(talk(error)),
        // If it has closed its side, what it said before tells why.
        Ok(()) | Err(_) => answer(channel.hear().map_err(talk)?),
    }
}

/// What a successor answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// It is ready.
    Ready,
    /// Nothing; it has gone.
    Gone,
}

fn answer(heard: Option<(Said, Vec<OwnedFd>)>) -> Result<Answer, UpgradeError> {
    match heard {
        Some((Said::Ready, _)) => Ok(Answer::Ready),
        Some((Said::Failed(why), _)) => Err(UpgradeError::Refused(why)),
        Some(_) => Err(UpgradeError::Talk(io::Error::other(
            "it says what it should not",
        ))),
        None => Ok(Answer::Gone),
    }
}

fn pass(channel: &Channel, estate: &Estate) -> io::Result<()> {
    for (said, sockets) in &estate.sockets {
        let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
        for some in sockets.chunks(MAX_SOCKETS) {
            channel.say(said, some)?;
        }
    }
    let all = Said::All {
        succeeded: estate.succeeded,
        failed: estate.failed,
    };
    channel.say(&all, &[])
}
