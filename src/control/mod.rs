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
mod flags;
mod follow;
mod handle;
mod health;
mod inherit;
mod kept;
mod mirror;
mod ofrep;
mod overload;
mod releases;
mod reload;
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

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{interval, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::config::watch::{Change, Watcher};
use crate::config::{Config, LastGood, Loaded, Problem};
use crate::control::build::Builder;
use crate::control::handle::{Request, Shared};
use crate::control::health::Checker;
use crate::control::kept::ToKeep;
use crate::control::overload::Guard;
use crate::control::releases::Plane;
use crate::control::resolver::{Done, Resolver};
use crate::control::retired::Retired;
use crate::control::sockets::Sockets;
use crate::control::upgrade::{ASKING, Offer};
use crate::listener::Worker;
use crate::proxy::Snapshot;
use crate::store::Via;
use crate::telemetry::Telemetry;

pub use flags::FlagsOfRoute;
pub use handle::{Applied, Control, Live, Outcome, Rejected, StandsIn};
pub use inherit::Inherited;
pub use kept::last_good;
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
    /// The release plane, once there is a store.
    plane: Option<Plane>,
    /// What tells applications when a schedule of a flag begins or ends.
    schedules: Option<AbortOnDropHandle<()>>,
    /// What was made to fit last: the revision of what is kept, and the generation.
    conformed: (u64, u64),
    /// The copy of what is live that is still to be kept.
    to_keep: Option<ToKeep>,
}

/// What is needed to begin.
pub struct Start {
    /// The configuration file.
    pub path: PathBuf,
    /// It, loaded; or the last good one, where it is refused.
    pub loaded: Loaded,
    /// Why that is obeyed instead, if it is.
    pub stands_in: Option<StandsIn>,
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
            stands_in,
            telemetry,
            n_workers,
            watcher: (watcher, changes),
            inherited,
        } = start;
        let end = CancellationToken::new();
        let mut builder = Builder::new(Arc::clone(&telemetry), n_workers, end.clone())
            .map_err(|message| refused(&path, "", message))?;
        let mut resolver = Resolver::new(&loaded.config.resolver);
        let (_, resolved) = resolver.first(&loaded.config).await;
        let locate = |rejected: Rejected| rejected.located(&loaded.texts);
        let written = Arc::new(evaluating(&mut builder, loaded.config, &path)?);
        let file = Arc::new(releases::file(&written));
        let plane = releases::open(&written, &path).await?;
        // What was decided before holds from the first request on.
        let overlay = Arc::new(releases::foresee(plane.as_ref(), &file));
        let config = releases::obeyed(&written, &overlay);
        let snapshot = builder
            .build(&config, None, &resolver, &path)
            .map_err(locate)?;
        let mut sockets = Sockets::new(n_workers, Arc::clone(&telemetry), inherited);
        let plan = sockets.plan(&config, &path).map_err(locate)?;
        let config_sha256 = hex(&loaded.sha256);
        watcher.set_sources(loaded.sources.clone());
        tell_warnings(&loaded.warnings);
        let live = Live {
            generation: snapshot.generation,
            applied_at: SystemTime::now(),
            snapshot: Arc::new(snapshot),
            config,
            written,
            file,
            overlay,
            warnings: loaded.warnings,
            stands_in: stands_in.map(Arc::new),
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
        let is_good = live.stands_in.is_none();
        if !is_good {
            telemetry.recorder().config_rejected();
        }
        let to_keep = (is_good && plane.is_some()).then(|| {
            let copy = LastGood::new(loaded.texts, &path, live.applied_at);
            ToKeep::new(copy)
        });
        let pointer = Arc::new(ArcSwap::new(Arc::clone(&live.snapshot)));
        if let Some(plane) = &plane {
            plane
                .conform(&live.file, &live.config_sha256, Via::Start)
                .await;
        }
        let shared = Arc::new(Shared {
            desk: ArcSwapOption::new(plane.as_ref().map(|plane| Arc::new(plane.desk().clone()))),
            obeyed: watch::Sender::new(0),
            live: ArcSwap::from_pointee(live),
            draining: AtomicBool::new(false),
            listeners: Mutex::default(),
            names: Mutex::default(),
            upgrades: Mutex::default(),
            overload: Arc::clone(builder.overload()),
            telemetry: Arc::clone(&telemetry),
            uses: tokio::sync::Mutex::default(),
            ofrep: builder.ofrep().service().clone(),
            end,
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
                plane,
                schedules: None,
                conformed: (0, 0),
                to_keep,
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
        controller.builder.ofrep().follow(&live);
        let ofrep = controller.shared.ofrep.clone();
        let following = tokio::spawn(async move { ofrep.follow_schedules().await });
        controller.schedules = Some(AbortOnDropHandle::new(following));
        controller.guard.follow(&live.config.overload);
        controller.sockets.set_workers(workers);
        controller.commit_sockets(sockets, None);
        controller.checker.follow(&live.snapshot);
        controller.resolved(resolved);
        controller.show();
        if let Some(plane) = &mut controller.plane {
            plane.start(Arc::clone(&controller.shared));
        }
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
        self.keep_copy().await;
        loop {
            tokio::select! {
                () = resumed(&mut self.held) => {
                    self.held = None;
                    self.resume_releases().await;
                }
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
                        // The successor is to have it; if there is none in the end, it is opened again.
                        if let Some(plane) = &mut self.plane {
                            plane.close().await;
                        }
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
                () = releases::changed(&mut self.plane), if self.held.is_none() => self.follow_releases().await,
                _ = days.tick() => {
                    let snapshot = &self.shared.live.load().snapshot;
                    certificates::warn_of_due(snapshot, SystemTime::now());
                }
                _ = samples.tick(), if self.guard.is_on() => {
                    self.guard.look(self.sockets.n_connections(), &self.telemetry);
                }
                _ = looks.tick() => {
                    self.retired.sweep();
                    if self.held.is_none() {
                        self.follow_releases().await;
                        self.keep_copy().await;
                    }
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

/// A configuration whose routes that answer evaluations lead to where they are made.
fn evaluating(
    builder: &mut Builder,
    mut config: Config,
    path: &std::path::Path,
) -> Result<Config, Rejected> {
    let served = builder.ofrep().serve(&mut config);
    served.map_err(|error| refused(path, "ofrep", format!("no socket for it: {error}")))?;
    Ok(config)
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
