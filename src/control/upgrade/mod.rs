//! Upgrades: another process takes over, with all sockets, while this one brings to an end what it
//! has begun.
//!
//! The successor is the program at the path that this one was started by, with the same arguments, so
//! a file that was replaced is the new version. It is given every listening socket, reads the
//! configuration, makes everything that can fail, says that it is ready, and waits for the word. Only
//! then does this process stop accepting. Until the word is given all that can happen is that the
//! successor ends, or is ended; then this one serves on as if nothing had been. No client sees any of
//! it: the queues of the sockets belong to both.

mod channel;
mod predecessor;
mod successor;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tracing::{error, info};

use crate::config::with_causes;
use crate::control::Control;
use crate::control::handle::Request;
use crate::control::upgrade::successor::{Answer, Estate, Successor, hand_over};
use crate::listener::SocketFile;
use crate::telemetry::Telemetry;

pub(crate) use channel::Said;
pub use predecessor::Predecessor;
pub use successor::{UpgradeError, note_program};

/// How many may wait to be told that they have to wait.
pub(crate) const ASKING: usize = 16;

/// An upgrade that went well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Upgraded {
    /// The process that serves now.
    pub pid: u32,
    /// From the start of the successor to its readiness.
    pub took: Duration,
}

/// The last upgrade that this instance knows of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpgradeStatus {
    /// What became of it.
    pub state: UpgradeState,
    /// Since when that is so.
    pub at: SystemTime,
}

/// All upgrades, also those of the instances before this one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct History {
    pub(crate) last: Option<UpgradeStatus>,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// What became of an upgrade.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UpgradeState {
    /// A successor is about to get ready.
    Starting,
    /// The successor did not get ready, and this instance serves on.
    Failed(String),
    /// This instance is the successor.
    Succeeded,
}

/// Where the outcome of an upgrade goes.
pub(crate) type Reply = oneshot::Sender<Result<Upgraded, UpgradeError>>;

/// The sockets of all listeners, from the one who knows them. Reloads wait as long as it is there:
/// they could bind what the successor binds.
pub(crate) struct Offer {
    /// Whose they are, and the sockets.
    pub(crate) listeners: Vec<(Said, Vec<OwnedFd>)>,
    /// The files of UNIX sockets, which go to whoever has the sockets.
    pub(crate) files: Vec<Arc<SocketFile>>,
    /// Dropped, it lets reloads go on.
    pub(crate) hold: Hold,
}

/// As long as it is there, no reload begins.
type Hold = oneshot::Sender<()>;

/// What came of an attempt.
type Outcome = Result<(Upgraded, Hold), UpgradeError>;

/// What carries out upgrades, one at a time.
pub struct Upgrades {
    control: Control,
    telemetry: Arc<Telemetry>,
    admin: (SocketAddr, TcpListener),
    asked: mpsc::Receiver<Reply>,
    attempt: Option<Attempt>,
    /// Held for good once another process serves: this one binds nothing more.
    hold: Option<Hold>,
}

/// One that is under way.
struct Attempt {
    outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    /// Who waits for it.
    reply: Reply,
}

impl Upgrades {
    pub(crate) fn new(
        control: Control,
        telemetry: Arc<Telemetry>,
        asked: mpsc::Receiver<Reply>,
        admin: (SocketAddr, TcpListener),
    ) -> Self {
        Self {
            control,
            telemetry,
            admin,
            asked,
            attempt: None,
            hold: None,
        }
    }

    /// Goes on counting where another instance has ended.
    pub(crate) fn follow(&self, predecessor: &Predecessor) {
        let mut history = self.control.history();
        history.succeeded = predecessor.succeeded + 1;
        history.failed = predecessor.failed;
        history.note(UpgradeState::Succeeded);
        let recorder = self.telemetry.recorder();
        recorder.upgrades(history.succeeded, history.failed);
    }

    /// Carries out whatever is asked for until another process serves; gives its number. What fails is
    /// told and counted. It may be dropped and called again.
    pub async fn succeeded(&mut self) -> u32 {
        loop {
            let outcome = match &mut self.attempt {
                Some(attempt) => {
                    tokio::select! {
                        outcome = &mut attempt.outcome => outcome,
                        Some(reply) = self.asked.recv() => {
                            info!("an upgrade is under way already");
                            let _heard = reply.send(Err(UpgradeError::UnderWay));
                            continue;
                        }
                    }
                }
                None => {
                    // Somebody always could: the control plane itself holds a sender.
                    if let Some(reply) = self.asked.recv().await {
                        self.begin(reply);
                    }
                    continue;
                }
            };
            let outcome = self.ended(outcome);
            let upgraded = outcome.as_ref().ok().copied();
            if let Some(attempt) = self.attempt.take() {
                // Who asked may have gone.
                let _heard = attempt.reply.send(outcome);
            }
            if let Some(upgraded) = upgraded {
                return upgraded.pid;
            }
        }
    }

    fn begin(&mut self, reply: Reply) {
        info!("upgrade begins");
        self.control.history().note(UpgradeState::Starting);
        let admin = self
            .admin
            .1
            .try_clone()
            .map(|socket| (self.admin.0, socket));
        let control = self.control.clone();
        self.attempt = Some(Attempt {
            outcome: Box::pin(async move {
                let (configured, socket) = admin.map_err(UpgradeError::Talk)?;
                attempt(&control, configured, socket).await
            }),
            reply,
        });
    }

    fn ended(&mut self, outcome: Outcome) -> Result<Upgraded, UpgradeError> {
        match outcome {
            Ok((upgraded, hold)) => {
                info!(pid = upgraded.pid, took = ?upgraded.took, "another process serves now");
                self.hold = Some(hold);
                Ok(upgraded)
            }
            Err(error) => {
                let why = with_causes(&error);
                error!(error = %why, "upgrade failed; this process serves on");
                self.telemetry.recorder().upgrades(0, 1);
                let mut history = self.control.history();
                history.failed += 1;
                history.note(UpgradeState::Failed(why));
                Err(error)
            }
        }
    }
}

impl History {
    pub(crate) fn note(&mut self, state: UpgradeState) {
        self.last = Some(UpgradeStatus {
            state,
            at: SystemTime::now(),
        });
    }
}

impl Control {
    /// Lets another process take over; answers when that serves, or does not.
    ///
    /// # Errors
    /// When it does not; then this one serves on.
    pub async fn upgrade(&self) -> Result<Upgraded, UpgradeError> {
        let (reply, answer) = oneshot::channel();
        if self.upgrades.send(reply).await.is_err() {
            return Err(UpgradeError::Ending);
        }
        answer.await.unwrap_or(Err(UpgradeError::Ending))
    }

    /// Asks for the same without waiting for what becomes of it.
    pub fn begin_upgrade(&self) {
        let (reply, _answer) = oneshot::channel();
        if self.upgrades.try_send(reply).is_err() {
            info!("no upgrade now: others have asked already, or this process is about to end");
        }
    }

    /// The last upgrade, if there was one.
    pub fn last_upgrade(&self) -> Option<UpgradeStatus> {
        self.history().last.clone()
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        let history = self.shared.upgrades.lock();
        history.unwrap_or_else(PoisonError::into_inner)
    }

    /// The sockets of all listeners.
    async fn offer(&self) -> Result<Offer, UpgradeError> {
        let (reply, answer) = oneshot::channel();
        // One that has ended drops the reply.
        let _sent = self.requests.send(Request::HandOver(reply)).await;
        let offer = answer.await.map_err(|_| UpgradeError::Ending)?;
        offer.map_err(UpgradeError::Talk)
    }
}

/// Tries once. Dropped, it leaves nothing behind.
async fn attempt(control: &Control, configured: SocketAddr, admin: TcpListener) -> Outcome {
    let began = Instant::now();
    if std::process::id() == 1 {
        return Err(UpgradeError::FirstProcess);
    }
    let offer = control.offer().await?;
    let History {
        succeeded, failed, ..
    } = *control.history();
    let mut estate = Estate {
        sockets: vec![(Said::Admin { configured }, vec![admin.into()])],
        succeeded,
        failed,
    };
    estate.sockets.extend(offer.listeners);
    let within = control.live().config.upgrade.timeout;
    let (mut successor, channel) = Successor::start()?;
    let talking = spawn_blocking(move || {
        let answer = hand_over(&channel, &estate, within);
        (channel, answer)
    });
    let lost = |_| UpgradeError::Talk(std::io::Error::other("talking to it panicked"));
    let (channel, answer) = talking.await.map_err(lost)?;
    match answer? {
        Answer::Ready => successor.go(&channel)?,
        Answer::Gone => return Err(successor.ended()),
    }
    for file in &offer.files {
        file.leave();
    }
    let upgraded = Upgraded {
        pid: successor.pid(),
        took: began.elapsed(),
    };
    Ok((upgraded, offer.hold))
}
