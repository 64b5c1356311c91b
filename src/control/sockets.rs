//! The listening sockets: which are kept, which are new, which are given up.
//!
//! A plan binds what is new and changes nothing; a commit hands the sockets to the workers. A socket
//! stays with its address: a listener that gets another name keeps it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use crate::config::{Config, ListenerConfig, ShutdownConfig, with_causes};
use crate::control::{Inherited, Rejected, refused};
use crate::listener::{Bound, Command, Drain, Gate, Worker, adopt, bind};
use crate::telemetry::Telemetry;

/// A listener as it is now.
#[derive(Clone, Debug)]
pub struct ListenerStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The address that it is bound to.
    pub address: SocketAddr,
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
struct Open {
    /// The address in the configuration, which may have port 0.
    configured: SocketAddr,
    bound: Arc<Bound>,
    gate: Arc<Gate>,
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

    /// All sockets, by listener: its name and its address in the configuration.
    ///
    /// # Errors
    /// When no descriptors are left.
    pub(crate) fn all(&self) -> io::Result<Vec<(String, SocketAddr, Vec<OwnedFd>)>> {
        let open = self.open.iter().map(|(name, open)| {
            let sockets = open.bound.sockets.iter();
            let sockets = sockets.map(|socket| Ok(socket.try_clone()?.into()));
            let sockets: io::Result<_> = sockets.collect();
            Ok((name.to_string(), open.configured, sockets?))
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

    /// Binds what is new. What is planned and not committed is closed again.
    pub(crate) fn plan(&mut self, config: &Config, path: &Path) -> Result<Plan, Rejected> {
        let mut inherited = std::mem::take(&mut self.inherited);
        let by_address: HashMap<SocketAddr, (&Arc<str>, &Open)> = self
            .open
            .iter()
            .filter(|(_, open)| open.configured.port() != 0)
            .map(|(name, open)| (open.configured, (name, open)))
            .collect();
        let mut listeners = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, listener) in &config.listeners {
            let name: Arc<str> = name.as_str().into();
            let same = self
                .open
                .get(&name)
                .filter(|open| open.configured == listener.address);
            let renamed = by_address.get(&listener.address).map(|&(_, open)| open);
            let planned = match same {
                Some(open) => Ok((
                    Arc::clone(&open.bound),
                    Arc::clone(&open.gate),
                    Handover::Kept,
                )),
                None => self.sockets(&name, listener, renamed, &mut inherited),
            };
            match planned {
                Ok((bound, gate, handover)) => {
                    let open = Open {
                        configured: listener.address,
                        bound,
                        gate,
                    };
                    listeners.insert(name, (open, handover, listener.clone()));
                }
                Err(message) => {
                    let key = format!("listener.{name}.address");
                    problems.extend(refused(path, &key, message).problems);
                }
            }
        }
        if problems.is_empty() {
            inherited.close_rest();
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
    ) -> Result<(Arc<Bound>, Arc<Gate>, Handover), String> {
        let failed = |error: &dyn std::error::Error| with_causes(error);
        let passed = inherited.listener(name, listener.address);
        let bound = match (renamed, passed.map_err(|error| failed(&error))?) {
            (Some(open), _) => Arc::clone(&open.bound),
            (None, Some(sockets)) => {
                let adopted = adopt(sockets, self.n_workers);
                Arc::new(adopted.map_err(|error| format!("the socket that was passed: {error}"))?)
            }
            (None, None) => {
                let bound = bind(listener.address, self.n_workers);
                Arc::new(bound.map_err(|error| failed(&error))?)
            }
        };
        let shares = bound.shares(self.n_workers);
        let shares = shares.map_err(|error| format!("cannot be handed to the workers: {error}"))?;
        let stats = self.telemetry.registry().listener(name);
        let gate = Gate::new(stats, limit(listener));
        Ok((bound, Arc::new(gate), Handover::New(shares)))
    }

    /// Hands sockets to the workers and gives up those that are no more.
    pub(crate) fn commit(&mut self, plan: Plan, shutdown: &ShutdownConfig) -> Vec<ListenerStatus> {
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
            statuses.push(ListenerStatus {
                name: Arc::clone(&name),
                address: open.bound.address,
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
                address: open.bound.address,
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

/// How many connections a listener may have.
fn limit(listener: &ListenerConfig) -> usize {
    listener.max_connections.unwrap_or(usize::MAX)
}
