//! The handle that everybody else has: to ask, to wait, and to read what is live.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Problem, Problems, Sources, Texts};
use crate::control::releases::{self, Uses};
use crate::control::resolver::NameStatus;
use crate::control::sockets::ListenerStatus;
use crate::control::upgrade::{self, History, Offer};
use crate::listener::Overload;
use crate::message::Address;
use crate::ofrep::Service;
use crate::proxy::Snapshot;
use crate::release::desk::Desk;
use crate::release::overlay::Overlay;
use crate::release::reconcile::File;
use crate::telemetry::Telemetry;
use crate::upstream::Name;

/// What is live: the configuration and the snapshot that was made of it.
#[derive(Debug)]
pub struct Live {
    /// The snapshot's number.
    pub generation: u64,
    /// The SHA-256 of the configuration's files, in hexadecimal digits.
    pub config_sha256: String,
    /// When it became live.
    pub applied_at: SystemTime,
    /// What the data plane obeys.
    pub snapshot: Arc<Snapshot>,
    /// The configuration that is obeyed: that of the file, with the weights of releases and people.
    pub config: Arc<Config>,
    /// The configuration as the file has it.
    pub written: Arc<Config>,
    /// What of it the release plane obeys.
    pub file: Arc<File>,
    /// What is obeyed instead.
    pub overlay: Arc<Overlay>,
    /// What is not wrong with it, but hardly meant.
    pub warnings: Vec<Problem>,
    /// What it is obeyed instead of, where it is the last good configuration.
    pub stands_in: Option<Arc<StandsIn>>,
    /// The hash over the file and all that it names.
    pub(crate) files_sha256: [u8; 32],
    /// What it was read from.
    pub(crate) sources: Sources,
}

/// Why the last good configuration is obeyed instead of the file.
#[derive(Clone, Debug)]
pub struct StandsIn {
    /// When that was applied.
    pub kept_at: SystemTime,
    /// What is wrong with the file.
    pub problems: Vec<Problem>,
}

/// What a reload did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It made another configuration live.
    Applied,
    /// The same bytes were live already.
    Unchanged,
}

/// A reload that was carried out.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// The generation that is live.
    pub generation: u64,
    /// What was done.
    pub outcome: Outcome,
    /// From the start of reading to being live.
    pub took: Duration,
}

/// A reload that was refused; what was live is live.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// All that is wrong.
    pub problems: Vec<Problem>,
}

impl Rejected {
    /// Gives each problem that has none its place in the files.
    pub(crate) fn located(self, texts: &Texts) -> Self {
        let problems = self.problems.into_iter();
        Self {
            problems: problems.map(|problem| texts.locate(problem)).collect(),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl From<Problems> for Rejected {
    fn from(problems: Problems) -> Self {
        Self {
            problems: problems.into_vec(),
        }
    }
}

/// What the one writer may be asked for.
pub(crate) enum Request {
    /// To reload, and tell what came of it.
    Reload(oneshot::Sender<Result<Applied, Rejected>>),
    /// To give the sockets of all listeners.
    HandOver(oneshot::Sender<io::Result<Offer>>),
}

/// The handle that everybody else has.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) upgrades: mpsc::Sender<upgrade::Reply>,
}

/// What the handle reads and the one writer writes.
pub(crate) struct Shared {
    pub(crate) live: ArcSwap<Live>,
    /// Where one asks something of releases, once there is a store.
    pub(crate) desk: ArcSwapOption<Desk>,
    /// The revision of what is kept that routes obey.
    pub(crate) obeyed: watch::Sender<u64>,
    pub(crate) draining: AtomicBool,
    pub(crate) listeners: Mutex<Vec<ListenerStatus>>,
    pub(crate) names: Mutex<HashMap<Name, NameStatus>>,
    pub(crate) upgrades: Mutex<History>,
    pub(crate) overload: Arc<Overload>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) uses: tokio::sync::Mutex<Uses>,
    /// What answers applications that ask for flags.
    pub(crate) ofrep: Service,
    /// What goes on without an end stops here.
    pub(crate) end: CancellationToken,
}

impl Control {
    /// What is live now.
    pub fn live(&self) -> Arc<Live> {
        self.shared.live.load_full()
    }

    /// Reloads the configuration; answers when it is live, or refused.
    ///
    /// # Errors
    /// All that is wrong with it; what was live goes on.
    pub async fn reload(&self) -> Result<Applied, Rejected> {
        let (reply, answer) = oneshot::channel();
        let ended = || Rejected {
            problems: vec![Problem {
                file: PathBuf::new(),
                line: 0,
                column: 0,
                key: String::new(),
                message: "tidegate is shutting down".into(),
            }],
        };
        if self.requests.send(Request::Reload(reply)).await.is_err() {
            return Err(ended());
        }
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Where one asks something of releases; none where no store is configured.
    pub fn desk(&self) -> Option<Arc<Desk>> {
        self.shared.desk.load_full()
    }

    /// Waits until routes obey what was kept up to a revision.
    pub async fn obeys(&self, revision: u64) {
        let mut obeyed = self.shared.obeyed.subscribe();
        // The other side is there as long as this is.
        let _obeyed = obeyed.wait_for(|obeyed| revision <= *obeyed).await;
    }

    /// Keeps what is known of the use of flags and is not kept yet: to be called before the end.
    pub async fn note_uses(&self) {
        releases::note_uses(&self.shared).await;
    }

    /// What answers applications that ask for flags.
    pub fn ofrep(&self) -> &Service {
        &self.shared.ofrep
    }

    /// The checks of readiness, by name; ready is when none fails.
    pub fn readiness(&self) -> Vec<(&'static str, Result<(), String>)> {
        let draining = self.shared.draining.load(Ordering::SeqCst);
        vec![
            ("config", Ok(())),
            (
                "listeners",
                if self.listeners().is_empty() {
                    Err("no listener".into())
                } else {
                    Ok(())
                },
            ),
            (
                "draining",
                if draining {
                    Err("shutting down".into())
                } else {
                    Ok(())
                },
            ),
        ]
    }

    /// Says from now on that this instance is not ready.
    pub fn start_draining(&self) {
        self.shared.draining.store(true, Ordering::SeqCst);
        self.shared.end.cancel();
    }

    /// The listeners, and how many connections each has.
    pub fn listeners(&self) -> Vec<ListenerStatus> {
        self.shared
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(ListenerStatus::now)
            .collect()
    }

    /// Whether anything new is taken on, and what decides that.
    pub fn overload(&self) -> &Overload {
        &self.shared.overload
    }

    /// How the names of endpoints fare, of those that were looked up.
    pub fn names(&self) -> HashMap<Name, NameStatus> {
        self.shared
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The address that a listener is bound to.
    pub fn listener_addresses(&self) -> Vec<(Arc<str>, Address)> {
        self.listeners()
            .into_iter()
            .map(|listener| (listener.name, listener.address))
            .collect()
    }
}
