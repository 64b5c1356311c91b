//! The release plane of an instance: the store, what routes obey instead of the file, and the task
//! that looks after releases.
//!
//! The file is made to fit what is kept by the one writer alone, so that nobody compares with a file
//! that is not obeyed any more. The task decides about releases; what it decides comes back to the
//! writer as a change of the store.

mod accounts;
mod gauges;
mod notices;
mod overlay;
mod trials;
mod uses;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::config::{Config, OnStateLost, ReleasesConfig, with_causes};
use crate::control::handle::{Rejected, Shared};
use crate::control::{Live, refused};
use crate::release::aftermath::is_watched;
use crate::release::controller::{Controller, conform};
use crate::release::desk::{Board, Desk};
use crate::release::flags::{FlagInFile, target};
use crate::release::ledger::{Ledger, Page};
use crate::release::overlay::Overlay;
use crate::release::reconcile::{File, reconcile};
use crate::release::state::State;
use crate::store::{Condition, ConfigOrigin, OpenError, Settings, Store, Via};

pub(in crate::control) use crate::control::releases::overlay::obeyed;
pub(crate) use crate::control::releases::uses::Uses;

use crate::control::releases::gauges::Gauges;
use crate::control::releases::notices::Notices;
use crate::control::releases::trials::Trials;

/// How often releases are looked at: a hard stop is to act within seconds.
const TICK: Duration = Duration::from_secs(1);

/// The release plane.
pub(in crate::control) struct Plane {
    ledger: Ledger,
    desk: Desk,
    changes: watch::Receiver<u64>,
    /// True when the history of the store cannot be trusted.
    is_broken: bool,
    task: Option<AbortOnDropHandle<()>>,
    shared: Option<Arc<Shared>>,
    notices: notices::Shared,
}

impl Plane {
    async fn open(config: &ReleasesConfig) -> Result<Self, OpenError> {
        let settings = Settings::new(&config.store.path, &config.cluster, replica());
        let path = settings.path.clone();
        let opening = tokio::task::spawn_blocking(move || Store::open(settings));
        let opened = opening.await.map_err(|error| OpenError::Io {
            path,
            source: std::io::Error::other(error),
        })??;
        match &opened.condition {
            Condition::New | Condition::Whole => {}
            Condition::Torn { bytes } => {
                info!(
                    bytes,
                    "the last write of the store was not finished, and was taken away"
                );
            }
            Condition::Broken { seq, why } => {
                warn!(
                    seq,
                    why, "the history of the store is broken: releases hold"
                );
            }
        }
        let notices = Notices::new(opened.store.clone(), config.cluster.clone());
        // Before anything is committed: nobody misses the first event.
        notices.apply(&config.notify).await;
        let notices = Arc::new(Mutex::new(notices));
        let ledger = Ledger::new(opened.store, config.cluster.clone());
        let board = Arc::new(ArcSwap::from_pointee(Board::default()));
        Ok(Self {
            desk: Desk::new(ledger.clone(), board),
            changes: ledger.store().watch(),
            ledger,
            is_broken: matches!(opened.condition, Condition::Broken { .. }),
            task: None,
            shared: None,
            notices,
        })
    }

    /// Where people and programs ask for something.
    pub(in crate::control) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// What routes are going to obey with this file, once it is made to fit what is kept.
    pub(in crate::control) fn foresee(&self, file: &File, now: SystemTime) -> Overlay {
        let mut known = self.ledger.read().known.clone();
        for change in reconcile(file, &known.clone(), now) {
            known.apply(&change);
        }
        known.overlay(file, now)
    }

    /// What routes obey with this file.
    pub(in crate::control) fn overlay(&self, file: &File, now: SystemTime) -> Overlay {
        self.ledger.read().known.overlay(file, now)
    }

    /// Makes what is kept fit the file; what cannot be kept yet is tried again later.
    pub(in crate::control) async fn conform(&self, file: &File, config_sha256: &str, via: Via) {
        let config = ConfigOrigin {
            sha256: config_sha256.to_owned(),
            revision: None,
        };
        if let Err(error) = conform(&self.ledger, file, &config, via, SystemTime::now()).await {
            warn!(%error, "what the file says of releases cannot be kept yet");
        }
    }

    /// Tells these sinks from now on, and no others.
    pub(in crate::control) async fn tell(&self, config: &ReleasesConfig) {
        self.notices.lock().await.apply(&config.notify).await;
    }

    /// Whether something that was set has run out and is still kept.
    pub(in crate::control) fn has_expired(&self, now: SystemTime) -> bool {
        self.ledger.read().known.has_expired(now)
    }

    /// The revision of what is kept.
    pub(in crate::control) fn revision(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Shows those who ask what is live, before it is looked at the next time.
    pub(in crate::control) fn show(&self, live: &Live) {
        let page = self.ledger.read();
        let watched = watched(&page, SystemTime::now());
        let world = Arc::new(world::world(live, watched, Vec::new()));
        let releases = self.desk.board().releases.clone();
        let board = Board { world, releases };
        self.desk.shared_board().store(Arc::new(board));
    }

    /// Starts to look after releases.
    pub(in crate::control) fn start(&mut self, shared: Arc<Shared>) {
        self.show(&shared.live.load());
        let controller = Controller::new(self.ledger.clone(), self.desk.shared_board());
        self.shared = Some(Arc::clone(&shared));
        let (desk, is_broken) = (self.desk.clone(), self.is_broken);
        let notices = Arc::clone(&self.notices);
        let task = tokio::spawn(run(controller, desk, shared, notices, is_broken));
        self.task = Some(AbortOnDropHandle::new(task));
    }

    /// Gives the store back, so that another process can have it.
    pub(in crate::control) async fn close(&mut self) {
        self.task = None;
        if let Some(shared) = &self.shared {
            uses::end(shared, SystemTime::now()).await;
        }
        self.notices.lock().await.end().await;
        let store = self.ledger.store().clone();
        // What cannot be finished is lost with the process anyway.
        let _closed = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

/// Opens the store, if the configuration has one.
///
/// # Errors
/// When it cannot be used, by this process at this time.
pub(in crate::control) async fn open(
    config: &Config,
    path: &Path,
) -> Result<Option<Plane>, Rejected> {
    let releases = &config.releases;
    if !releases.has_store {
        return Ok(None);
    }
    let plane = Plane::open(releases).await;
    let plane = plane.map_err(|error| refused(path, "store", with_causes(&error)))?;
    if plane.is_broken && releases.store.on_state_lost == OnStateLost::RefuseToStart {
        let why = "its history is broken, and it is told to refuse to start then: see \
                   `tidegate audit verify`";
        return Err(refused(path, "store", why.to_owned()));
    }
    Ok(Some(plane))
}

/// What routes are going to obey with a file.
pub(in crate::control) fn foresee(plane: Option<&Plane>, file: &File) -> Overlay {
    plane.map_or_else(Overlay::default, |plane| {
        plane.foresee(file, SystemTime::now())
    })
}

/// Keeps what is known of the use of flags and is not kept yet.
pub(in crate::control) async fn note_uses(shared: &Shared) {
    uses::end(shared, SystemTime::now()).await;
}

/// Waits until something that is kept changes.
pub(in crate::control) async fn changed(plane: &mut Option<Plane>) {
    if let Some(plane) = plane
        && plane.changes.changed().await.is_ok()
    {
        plane.changes.borrow_and_update();
        return;
    }
    std::future::pending::<()>().await;
}

/// Looks after releases, each second.
async fn run(
    mut controller: Controller,
    desk: Desk,
    shared: Arc<Shared>,
    notices: notices::Shared,
    is_broken: bool,
) {
    if is_broken && let Err(error) = controller.distrust(SystemTime::now()).await {
        warn!(%error, "releases cannot be held");
    }
    let ledger = desk.ledger().clone();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trials = Trials::new();
    let mut gauges = Gauges::default();
    loop {
        ticks.tick().await;
        let live = shared.live.load_full();
        let page = ledger.read();
        let active = page.known.releases.values();
        let active = active.filter(|state| state.phase.is_active());
        let tests = trials.follow(&live, active);
        let world = world::world(&live, watched(&page, SystemTime::now()), tests);
        let n_active = active_in(&page);
        controller.tick(&Arc::new(world), SystemTime::now()).await;
        uses::look_after(&shared, &desk, SystemTime::now()).await;
        let has_ended = active_in(&ledger.read()) < n_active;
        let sinks = {
            let mut notices = notices.lock().await;
            notices.look_after(has_ended, SystemTime::now()).await;
            notices.stats()
        };
        if let Some(desk) = shared.desk.load_full() {
            let now = SystemTime::now();
            let live = shared.live.load_full();
            let told = (&sinks[..], &shared.ofrep);
            shared
                .telemetry
                .set_plane(gauges.look(&live, &desk, told, now).await);
        }
    }
}

/// The releases that are looked at: those that are not over, and those that the hard stops look back at.
fn watched(page: &Page, now: SystemTime) -> impl Iterator<Item = &State> {
    let releases = page.known.releases.values();
    releases.filter(move |state| state.phase.is_active() || is_watched(state, now))
}

fn active_in(page: &Page) -> usize {
    let releases = page.known.releases.values();
    releases.filter(|state| state.phase.is_active()).count()
}

/// What a file says that the release plane obeys.
pub(in crate::control) fn file(config: &Config) -> File {
    let weights = config.routes.iter().filter_map(|(name, route)| {
        let weights = overlay::weights(route)?;
        Some((name.clone(), weights))
    });
    let specs = &config.flags.specs;
    let of_flags = specs
        .iter()
        .map(|(name, spec)| (target(name), spec.roll_out()));
    let flags = specs
        .iter()
        .map(|(name, spec)| (name.clone(), FlagInFile::of(name, spec)));
    File {
        weights: weights.chain(of_flags).collect(),
        flags: flags.collect(),
        releases: config.releases.specs.clone(),
    }
}

/// The name of this machine, for the records.
fn replica() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
