//! The one writer: from configuration to what the data plane obeys.
//!
//! A reload loads and checks the file, *prepares* (builds the snapshot, binds sockets, reads
//! certificates: anything may fail, and nothing has changed) and then *commits* (stores the pointer,
//! tells the workers: nothing can fail). One task does it, so two reloads never meet. Everybody else
//! holds a [`Control`]: it asks, waits, and reads what is live.

mod build;
mod certificates;
mod chance;
mod direct;
mod follow;
mod handle;
mod health;
mod inherit;
mod mirror;
mod overload;
mod resolver;
mod retired;
mod route_limits;
mod secure;
mod shown;
mod sockets;
mod tunnels;
mod treatment;
mod upgrade;

use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, interval_at};
use tracing::{error, info, warn};

use crate::config::plan::needs_restart;
use crate::config::watch::{Change, Watcher};
use crate::config::{self, Config, Loaded, Problem, Sources};
use crate::control::build::Builder;
use crate::control::handle::{Request, Shared};
use crate::control::health::Checker;
use crate::control::overload::Guard;
use crate::control::resolver::{Done, Resolver};
use crate::control::retired::Retired;
use crate::control::sockets::Sockets;
use crate::control::upgrade::{ASKING, Offer};
use crate::listener::Worker;
use crate::proxy::Snapshot;
use crate::telemetry::Telemetry;

pub use handle::{Applied, Control, Live, Outcome, Rejected};
pub use inherit::Inherited;
pub use resolver::NameStatus;
pub use sockets::ListenerStatus;
pub use upgrade::{
    Predecessor, UpgradeError, UpgradeState, UpgradeStatus, Upgraded, Upgrades, note_program,
};

/// How often availability is looked at for the gauges of the variants.
const LOOK: Duration = Duration::from_secs(1);

/// How often the histograms off the hot path are emptied into their buckets.
const UPKEEP_LOOKS: u32 = 5;

/// How many reloads may be asked for while one is under way; more wait to ask.
const REQUESTS: usize = 16;

/// The task that writes.
pub struct Controller {
    path: PathBuf,
    shared: Arc<Shared>,
    /// What the workers read.
    pointer: Arc<ArcSwap<Snapshot>>,
    builder: Builder,
    resolver: Resolver,
    checker: Checker,
    sockets: Sockets,
    telemetry: Arc<Telemetry>,
    watcher: Watcher,
    changes: mpsc::Receiver<Change>,
    requests: mpsc::Receiver<Request>,
    /// Told when reloads may go on, while another process takes over.
    held: Option<oneshot::Receiver<()>>,
    retired: Retired,
    guard: Guard,
}

/// What is needed to begin.
pub struct Start {
    /// The configuration file.
    pub path: PathBuf,
    /// It, loaded.
    pub loaded: Loaded,
    /// Everything that is counted.
    pub telemetry: Arc<Telemetry>,
    /// How many workers there will be.
    pub n_workers: usize,
    /// The watcher, which was started before the file was loaded.
    pub watcher: (Watcher, mpsc::Receiver<Change>),
    /// Sockets that others have bound.
    pub inherited: Inherited,
}

/// A controller that has prepared the first configuration; its workers do not exist yet.
pub struct Prepared {
    controller: Controller,
    control: Control,
    sockets: sockets::Plan,
    upgrades: mpsc::Receiver<upgrade::Reply>,
    /// The look-ups that ended meanwhile.
    resolved: Vec<Done>,
}

impl Prepared {
    /// Prepares the first configuration: everything that can fail.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub async fn new(start: Start) -> Result<Self, Rejected> {
        let began = Instant::now();
        let Start {
            path,
            loaded,
            telemetry,
            n_workers,
            watcher: (watcher, changes),
            inherited,
        } = start;
        let mut builder = Builder::new(Arc::clone(&telemetry), n_workers)
            .map_err(|message| refused(&path, "", message))?;
        let mut resolver = Resolver::new(&loaded.config.resolver);
        let (_, resolved) = resolver.first(&loaded.config).await;
        let locate = |rejected: Rejected| rejected.located(&loaded.texts);
        let snapshot = builder
            .build(&loaded.config, None, &resolver, &path)
            .map_err(locate)?;
        let mut sockets = Sockets::new(n_workers, Arc::clone(&telemetry), inherited);
        let plan = sockets.plan(&loaded.config, &path).map_err(locate)?;
        let config_sha256 = hex(&loaded.sha256);
        watcher.set_sources(loaded.sources.clone());
        tell_warnings(&loaded.warnings);
        let live = Live {
            generation: snapshot.generation,
            applied_at: SystemTime::now(),
            snapshot: Arc::new(snapshot),
            config: Arc::new(loaded.config),
            warnings: loaded.warnings,
            files_sha256: loaded.files_sha256,
            sources: loaded.sources,
            config_sha256,
        };
        telemetry.recorder().config_applied(
            live.generation,
            &live.config_sha256,
            began.elapsed(),
            live.applied_at,
        );
        let pointer = Arc::new(ArcSwap::new(Arc::clone(&live.snapshot)));
        let shared = Arc::new(Shared {
            live: ArcSwap::from_pointee(live),
            draining: AtomicBool::new(false),
            listeners: Mutex::default(),
            names: Mutex::default(),
            upgrades: Mutex::default(),
            overload: Arc::clone(builder.overload()),
        });
        let guard = Guard::new(Arc::clone(builder.overload()));
        let (requests, received) = mpsc::channel(REQUESTS);
        let (upgrades, asked) = mpsc::channel(ASKING);
        let control = Control {
            shared: Arc::clone(&shared),
            requests,
            upgrades,
        };
        Ok(Self {
            controller: Controller {
                path,
                shared,
                pointer,
                builder,
                resolver,
                checker: Checker::new(),
                sockets,
                telemetry,
                watcher,
                changes,
                requests: received,
                held: None,
                retired: Retired::default(),
                guard,
            },
            control,
            sockets: plan,
            upgrades: asked,
            resolved,
        })
    }

    /// What the workers are to obey.
    pub fn pointer(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.controller.pointer)
    }

    /// Commits: the workers begin to accept. The admin listener, with its address in the
    /// configuration, is what goes to a successor besides.
    pub fn commit(
        self,
        workers: Arc<Vec<Worker>>,
        admin: (SocketAddr, TcpListener),
        predecessor: Option<&Predecessor>,
    ) -> (Control, Controller, Upgrades) {
        let Self {
            mut controller,
            control,
            sockets,
            upgrades,
            resolved,
        } = self;
        let live = controller.shared.live.load_full();
        let now = tokio::time::Instant::now();
        controller.builder.switches().turn(&live.config, now);
        controller.guard.follow(&live.config.overload);
        controller.sockets.set_workers(workers);
        controller.commit_sockets(sockets, None);
        controller.checker.follow(&live.snapshot);
        controller.resolved(resolved);
        controller.show();
        let telemetry = Arc::clone(&controller.telemetry);
        let upgrades = Upgrades::new(control.clone(), telemetry, upgrades, admin);
        if let Some(predecessor) = predecessor {
            upgrades.follow(predecessor);
        }
        (control, controller, upgrades)
    }
}

impl Controller {
    /// Obeys the watcher and whoever asks, until nobody can ask any more.
    pub async fn run(mut self) {
        let mut looks = interval(LOOK);
        let mut samples = Guard::ticks();
        // What is due at the start, or when a configuration is loaded, is a warning of that.
        let first = tokio::time::Instant::now() + certificates::LOOK;
        let mut days = interval_at(first, certificates::LOOK);
        let mut n_looks = 0_u32;
        let mut available = self.availability();
        loop {
            tokio::select! {
                () = resumed(&mut self.held) => self.held = None,
                change = self.changes.recv(), if self.held.is_none() => {
                    let Some(change) = change else { return };
                    info!(kind = ?change.kind, "configuration changed on disk");
                    // What is wrong was logged; the next change is a new chance.
                    let _refused = self.reload().await;
                }
                request = self.requests.recv(), if self.held.is_none() => match request {
                    Some(Request::Reload(reply)) => {
                        let outcome = self.reload().await;
                        // Who asked may have gone; the reload is done all the same.
                        let _heard = reply.send(outcome);
                    }
                    Some(Request::HandOver(reply)) => {
                        let (hold, held) = oneshot::channel();
                        self.held = Some(held);
                        let files = self.sockets.files();
                        let offer = self.sockets.all().map(|listeners| Offer {
                            listeners,
                            files,
                            hold,
                        });
                        // Where nobody takes it, nothing is held.
                        let _taken = reply.send(offer);
                    }
                    None => return,
                },
                done = self.resolver.next() => self.resolved(vec![done]),
                _ = days.tick() => {
                    let snapshot = &self.shared.live.load().snapshot;
                    certificates::warn_of_due(snapshot, SystemTime::now());
                }
                _ = samples.tick(), if self.guard.is_on() => {
                    self.guard.look(self.sockets.n_connections(), &self.telemetry);
                }
                _ = looks.tick() => {
                    self.retired.sweep();
                    n_looks = n_looks.wrapping_add(1);
                    if n_looks.is_multiple_of(UPKEEP_LOOKS) {
                        self.telemetry.upkeep();
                    }
                    let now = self.availability();
                    if now != available {
                        available = now;
                        self.show();
                    }
                }
            }
        }
    }

    /// Loads, prepares and commits.
    async fn reload(&mut self) -> Result<Applied, Rejected> {
        let began = Instant::now();
        let outcome = self.try_reload(began).await;
        if let Err(rejected) = &outcome {
            self.telemetry.recorder().config_rejected();
            for problem in &rejected.problems {
                error!(%problem, "configuration refused");
            }
        }
        outcome
    }

    async fn try_reload(&mut self, began: Instant) -> Result<Applied, Rejected> {
        let path = self.path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&path))
            .await
            .map_err(|_| refused(&self.path, "", "loading it panicked".into()))?
            .inspect_err(|problems| self.watch_also(problems.sources()))?;
        let read_in = began.elapsed();
        let live = self.shared.live.load_full();
        // What is refused from here on may be mended in any of its files.
        self.watch_also(&loaded.sources);
        if loaded.files_sha256 == live.files_sha256 {
            self.telemetry
                .recorder()
                .config_unchanged(SystemTime::now());
            return Ok(Applied {
                generation: live.generation,
                outcome: Outcome::Unchanged,
                took: began.elapsed(),
            });
        }
        let locate = |rejected: Rejected| rejected.located(&loaded.texts);
        self.refuse_restarts(&live.config, &loaded.config)
            .map_err(locate)?;
        let (before, resolved) = self.resolver.first(&loaded.config).await;
        let (snapshot, plan) = match self.prepare(&loaded.config, &live).map_err(locate) {
            Ok(prepared) => prepared,
            Err(rejected) => {
                self.resolver.roll_back(&live.config, before);
                self.resolved(resolved);
                return Err(rejected);
            }
        };
        let prepared_in = began.elapsed() - read_in;
        // From here on nothing can fail.
        self.resolver.commit(&loaded.config, &before);
        self.watcher.set_sources(loaded.sources.clone());
        let next = Arc::new(Live {
            generation: snapshot.generation,
            config_sha256: hex(&loaded.sha256),
            applied_at: SystemTime::now(),
            snapshot: Arc::new(snapshot),
            config: Arc::new(loaded.config),
            warnings: loaded.warnings,
            files_sha256: loaded.files_sha256,
            sources: loaded.sources,
        });
        self.pointer.store(Arc::clone(&next.snapshot));
        self.builder
            .switches()
            .turn(&next.config, tokio::time::Instant::now());
        self.guard.follow(&next.config.overload);
        follow::retire(&live.snapshot, &next.snapshot);
        follow::forgive(&next.snapshot);
        self.shared.live.store(Arc::clone(&next));
        self.commit_sockets(plan, Some(&live.config));
        self.checker.follow(&next.snapshot);
        self.resolved(resolved);
        let took = began.elapsed();
        self.telemetry.recorder().config_applied(
            next.generation,
            &next.config_sha256,
            took,
            next.applied_at,
        );
        self.show();
        self.retired.add(live);
        tell_warnings(&next.warnings);
        let generation = next.generation;
        info!(
            generation,
            ?read_in,
            ?prepared_in,
            ?took,
            "configuration applied"
        );
        Ok(Applied {
            generation: next.generation,
            outcome: Outcome::Applied,
            took,
        })
    }

    /// Builds and binds what another configuration needs.
    fn prepare(
        &mut self,
        config: &Config,
        live: &Live,
    ) -> Result<(Snapshot, sockets::Plan), Rejected> {
        let snapshot =
            self.builder
                .build(config, Some(&live.snapshot), &self.resolver, &self.path)?;
        let plan = self.sockets.plan(config, &self.path)?;
        Ok((snapshot, plan))
    }

    /// Watches what is live and, besides, what was refused was read from: a certificate that was
    /// missing may arrive later.
    fn watch_also(&self, sources: &Sources) {
        let mut all = self.shared.live.load().sources.clone();
        all.extend(sources);
        self.watcher.set_sources(all);
    }

    /// Refuses what only a restart can change, rather than obey a part of a file.
    fn refuse_restarts(&self, old: &Config, new: &Config) -> Result<(), Rejected> {
        let problems: Vec<_> = needs_restart(old, new)
            .into_iter()
            .flat_map(|key| {
                let message =
                    "a change of this needs a restart, or `tidegate upgrade`, which loses no \
                               connection; nothing was applied"
                        .into();
                refused(&self.path, key, message).problems
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Rejected { problems })
        }
    }

    fn commit_sockets(&mut self, plan: sockets::Plan, old: Option<&Config>) {
        let live = self.shared.live.load_full();
        let shutdown = old.map_or(&live.config.shutdown, |old| &old.shutdown);
        let statuses = self.sockets.commit(plan, shutdown);
        *self
            .shared
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = statuses;
    }

    /// Which endpoints are available, as a number for each upstream to compare.
    fn availability(&self) -> Vec<u64> {
        let live = self.shared.live.load();
        live.snapshot
            .upstreams
            .iter()
            .map(|upstream| upstream.availability())
            .collect()
    }

    /// Tells the metrics what is live.
    fn show(&self) {
        let live = self.shared.live.load_full();
        self.telemetry
            .registry()
            .set_live(shown::shown(&live), tokio::time::Instant::now());
    }
}

/// Waits until reloads may go on, if they are held.
async fn resumed(held: &mut Option<oneshot::Receiver<()>>) {
    match held {
        // Nobody says anything: it is the end of the other side that counts.
        Some(held) => drop(held.await),
        None => pending().await,
    }
}

fn tell_warnings(warnings: &[Problem]) {
    for warning in warnings {
        warn!(%warning, "configuration warning");
    }
}

/// A refusal with one problem that has no place in the file.
fn refused(path: &std::path::Path, key: &str, message: String) -> Rejected {
    Rejected {
        problems: vec![Problem {
            file: path.to_path_buf(),
            line: 0,
            column: 0,
            key: key.into(),
            message,
        }],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
