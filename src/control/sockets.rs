//! The listening sockets: which are kept, which are new, which are given up.
//!
//! A plan binds what is new and changes nothing; a commit hands the sockets to the workers. A socket
//! stays with its address: a listener that gets another name keeps it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use crate::config::{Config, ListenerConfig, ShutdownConfig, with_causes};
use crate::control::upgrade::Said;
use crate::control::{Inherited, Rejected, refused};
use crate::listener::{Bound, Command, Drain, Gate, SocketFile, Worker, adopt, bind, bind_unix};
use crate::message::Address;
use crate::telemetry::Telemetry;

/// A listener as it is now.
#[derive(Clone, Debug)]
pub struct ListenerStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The address that it is bound to.
    pub address: Address,
    /// The protocols that it speaks, the preferred one first.
    pub protocols: Vec<&'static str>,
    /// True when it speaks TLS.
    pub tls: bool,
    /// How many connections it has.
    pub connections: usize,
    /// True when it only waits for its connections to end.
    pub draining: bool,
    gate: Arc<Gate>,
}

impl ListenerStatus {
    /// The same with the numbers of now.
    pub(crate) fn now(&self) -> Self {
        Self {
            connections: self.gate.n_open(),
            ..self.clone()
        }
    }
}

/// A listener that is bound.
#[derive(Clone)]
struct Open {
    /// The address in the configuration, which may have port 0.
    configured: Address,
    bound: Arc<Bound>,
    gate: Arc<Gate>,
    /// Of a UNIX socket.
    file: Option<Arc<SocketFile>>,
}

/// All listening sockets.
pub(crate) struct Sockets {
    n_workers: usize,
    telemetry: Arc<Telemetry>,
    workers: Arc<Vec<Worker>>,
    open: BTreeMap<Arc<str>, Open>,
    /// Listeners that were removed and still have connections.
    draining: Vec<ListenerStatus>,
    /// What the first plan finds.
    inherited: Inherited,
}

/// What a commit will do.
pub(crate) struct Plan {
    listeners: BTreeMap<Arc<str>, (Open, Handover, ListenerConfig)>,
}

/// What becomes of a listener's sockets.
enum Handover {
    /// The workers have them.
    Kept,
    /// Each worker gets these.
    New(Vec<Vec<TcpListener>>),
}

impl Sockets {
    pub(crate) fn new(n_workers: usize, telemetry: Arc<Telemetry>, inherited: Inherited) -> Self {
        Self {
            n_workers,
            telemetry,
            workers: Arc::default(),
            open: BTreeMap::new(),
            draining: Vec::new(),
            inherited,
        }
    }

    pub(crate) fn set_workers(&mut self, workers: Arc<Vec<Worker>>) {
        self.workers = workers;
    }

    /// All sockets, by listener.
    ///
    /// # Errors
    /// When no descriptors are left.
    pub(crate) fn all(&self) -> io::Result<Vec<(Said, Vec<OwnedFd>)>> {
        let open = self.open.iter().map(|(name, open)| {
            let sockets = open.bound.sockets.iter();
            let sockets = sockets.map(|socket| Ok(socket.try_clone()?.into()));
            let sockets: io::Result<_> = sockets.collect();
            let listener = Said::Listener {
                name: name.to_string(),
                configured: open.configured.to_string(),
                owns_file: open.file.is_some(),
            };
            Ok((listener, sockets?))
        });
        open.collect()
    }

    /// How many connections there are, those of listeners that are given up included.
    pub(crate) fn n_connections(&self) -> usize {
        let open = self.open.values().map(|open| open.gate.n_open());
        let draining = self.draining.iter();
        open.chain(draining.map(|listener| listener.gate.n_open()))
            .sum()
    }

    /// The files of UNIX sockets.
    pub(crate) fn files(&self) -> Vec<Arc<SocketFile>> {
        let open = self.open.values();
        open.filter_map(|open| open.file.clone()).collect()
    }

    /// Binds what is new. What is planned and not committed is closed again.
    pub(crate) fn plan(&mut self, config: &Config, path: &Path) -> Result<Plan, Rejected> {
        let mut inherited = std::mem::take(&mut self.inherited);
        let by_address: HashMap<&Address, &Open> = self
            .open
            .values()
            .filter(|open| !open.configured.is_any_port())
            .map(|open| (&open.configured, open))
            .collect();
        let mut listeners = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, listener) in &config.listeners {
            let name: Arc<str> = name.as_str().into();
            let same = self
                .open
                .get(&name)
                .filter(|open| open.configured == listener.address);
            let renamed = by_address.get(&listener.address).copied();
            let planned = match same {
                Some(open) => Ok((open.clone(), Handover::Kept)),
                None => self.sockets(&name, listener, renamed, &mut inherited),
            };
            match planned {
                Ok((open, handover)) => {
                    listeners.insert(name, (open, handover, listener.clone()));
                }
                Err(message) => {
                    let key = format!("listener.{name}.address");
                    problems.extend(refused(path, &key, message).problems);
                }
            }
        }
        if problems.is_empty() {
            self.inherited = inherited;
            Ok(Plan { listeners })
        } else {
            Err(Rejected { problems })
        }
    }

    /// Sockets for a listener that has none of this name.
    fn sockets(
        &self,
        name: &Arc<str>,
        listener: &ListenerConfig,
        renamed: Option<&Open>,
        inherited: &mut Inherited,
    ) -> Result<(Open, Handover), String> {
        let failed = |error: &dyn std::error::Error| with_causes(error);
        let passed = inherited.listener(name, &listener.address);
        let (bound, file) = match (renamed, passed.map_err(|error| failed(&error))?) {
            (Some(open), _) => (Arc::clone(&open.bound), open.file.clone()),
            (None, Some(passed)) => {
                let adopted = adopt(passed.sockets, self.n_workers);
                let bound = adopted.map_err(|error| format!("the socket that was passed: {error}"));
                let bound = Arc::new(bound?);
                let file = passed.owns_file.then(|| file(&bound)).flatten();
                // Not before this process serves: until then it is the other one's.
                file.iter().for_each(|file| file.leave());
                (bound, file)
            }
            (None, None) => {
                let bound = match &listener.address {
                    Address::Tcp(address) => bind(*address, self.n_workers),
                    Address::Unix(path) => bind_unix(path, listener.mode),
                };
                let bound = Arc::new(bound.map_err(|error| failed(&error))?);
                let file = file(&bound);
                (bound, file)
            }
        };
        let shares = bound.shares(self.n_workers);
        let shares = shares.map_err(|error| format!("cannot be handed to the workers: {error}"))?;
        let stats = self.telemetry.registry().listener(name);
        let gate = Gate::new(stats, limit(listener));
        let open = Open {
            configured: listener.address.clone(),
            bound,
            gate: Arc::new(gate),
            file,
        };
        Ok((open, Handover::New(shares)))
    }

    /// Hands sockets to the workers and gives up those that are no more.
    pub(crate) fn commit(&mut self, plan: Plan, shutdown: &ShutdownConfig) -> Vec<ListenerStatus> {
        self.inherited.close_rest();
        let mut statuses = Vec::new();
        let mut old = std::mem::take(&mut self.open);
        for (name, (open, handover, listener)) in plan.listeners {
            match handover {
                Handover::Kept => {
                    open.gate.set_limit(limit(&listener));
                    old.remove(&name);
                }
                Handover::New(sockets) => {
                    // One of the same name at another address goes first.
                    if let Some(former) = old.remove(&name) {
                        self.close(&name, &former, shutdown);
                    }
                    info!(listener = %name, address = %open.bound.address, "listening");
                    let stats = self.telemetry.registry().listener(&name);
                    for (worker, sockets) in self.workers.iter().zip(sockets) {
                        worker.tell(Command::Listen {
                            name: Arc::clone(&name),
                            sockets,
                            gate: Arc::clone(&open.gate),
                            stats: Arc::clone(&stats),
                        });
                    }
                }
            }
            if let Some(file) = &open.file {
                file.take_over();
                file.set_mode(listener.mode);
            }
            statuses.push(ListenerStatus {
                name: Arc::clone(&name),
                address: open.bound.address.clone(),
                protocols: listener
                    .protocols
                    .iter()
                    .map(|protocol| protocol.name())
                    .collect(),
                tls: listener.tls.is_some(),
                connections: 0,
                draining: false,
                gate: Arc::clone(&open.gate),
            });
            self.open.insert(name, open);
        }
        for (name, former) in &old {
            self.close(name, former, shutdown);
        }
        self.draining.retain(|listener| listener.gate.n_open() > 0);
        self.draining
            .extend(old.iter().map(|(name, open)| ListenerStatus {
                name: Arc::clone(name),
                address: open.bound.address.clone(),
                protocols: Vec::new(),
                tls: false,
                connections: 0,
                draining: true,
                gate: Arc::clone(&open.gate),
            }));
        statuses.extend(self.draining.iter().cloned());
        statuses
    }

    fn close(&self, name: &Arc<str>, former: &Open, shutdown: &ShutdownConfig) {
        warn!(listener = %name, address = %former.bound.address, "listener removed");
        for worker in self.workers.iter() {
            worker.tell(Command::Close {
                name: Arc::clone(name),
                drain: Some(Drain {
                    spread: shutdown.spread,
                    timeout: shutdown.timeout,
                }),
            });
        }
    }
}

/// The file of a UNIX socket that is to be taken away at the end. One that somebody else took away
/// already is nobody's.
fn file(bound: &Bound) -> Option<Arc<SocketFile>> {
    let file = SocketFile::new(bound.address.unix()?).ok()?;
    Some(Arc::new(file))
}

/// How many connections a listener may have.
fn limit(listener: &ListenerConfig) -> usize {
    listener.max_connections.unwrap_or(usize::MAX)
}
