//! The controller over a real store: what is kept, told, and found again after a crash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tempfile::TempDir;

use crate::release::analysis::{Bad, Counters, Reading, Seen};
use crate::release::command::Command;
use crate::release::controller::{Controller, Counted, World, conform};
use crate::release::desk::{Board, Desk, DeskError};
use crate::release::ledger::{Cause, Ledger};
use crate::release::look::{RouteSeen, Rules};
use crate::release::overlay::Weights;
use crate::release::percent::Percent;
use crate::release::reconcile::File;
use crate::release::role::Roles;
use crate::release::state::{Phase, State};
use crate::release::step::Endpoints;
use crate::release::strategy::Requirement;
use crate::release::tests::fixture::{file, later, percent, spec, weight};
use crate::store::{Actor, ActorKind, ConfigOrigin, Order, Query, Record, Settings, Store, Via};

/// An instance: a store, a controller, a file, and requests that go where the weights say.
pub(in crate::release::tests) struct Instance {
    pub(in crate::release::tests) ledger: Ledger,
    pub(in crate::release::tests) desk: Desk,
    controller: Controller,
    file: Arc<File>,
    pub(in crate::release::tests) seconds: u64,
    /// Requests so far, and bad ones, of stable and of the candidate.
    counts: [[f64; 2]; 2],
    /// The part of the candidate's requests that are bad.
    pub(in crate::release::tests) bad: f64,
    /// How much of stable is there.
    pub(in crate::release::tests) stable: Endpoints,
}

/// A variant that is all there.
const TWO: Endpoints = Endpoints {
    available: 2,
    total: 2,
};

impl Instance {
    pub(in crate::release::tests) async fn start(path: &Path, file: File, seconds: u64) -> Self {
        let opened = Store::open(Settings::new(path, "test", "here")).unwrap();
        let ledger = Ledger::new(opened.store, "test".into());
        let board = Arc::new(ArcSwap::from_pointee(Board::default()));
        let instance = Self {
            desk: Desk::new(ledger.clone(), Arc::clone(&board)),
            controller: Controller::new(ledger.clone(), board),
            ledger,
            file: Arc::new(file),
            seconds,
            counts: [[0.0; 2]; 2],
            bad: 0.0,
            stable: TWO,
        };
        instance.conform().await;
        instance
    }

    async fn conform(&self) {
        let config = ConfigOrigin {
            sha256: "f11e".into(),
            revision: None,
        };
        let now = later(self.seconds);
        conform(&self.ledger, &self.file, &config, Via::Start, now)
            .await
            .unwrap();
    }

    pub(in crate::release::tests) fn state(&self) -> State {
        self.ledger.read().known.releases["r"].clone()
    }

    /// What the data plane obeys: a function of the file and of what is kept, and of nothing else.
    pub(in crate::release::tests) fn served(&self) -> Weights {
        let page = self.ledger.read();
        let overlay = page.known.overlay(&self.file, later(self.seconds));
        overlay.routes.get("shop").map_or_else(
            || self.file.weights["shop"].clone(),
            |route| route.weights.clone(),
        )
    }

    /// A second with a thousand requests.
    pub(in crate::release::tests) async fn tick(&mut self) {
        self.seconds += 1;
        let served = self.served();
        let sum: u32 = served.values().sum();
        for (arm, variant) in ["v1", "v2"].into_iter().enumerate() {
            let requests = 1000.0 * f64::from(served[variant]) / f64::from(sum);
            self.counts[arm][0] += requests;
            self.counts[arm][1] += requests * if arm == 1 { self.bad } else { 0.0 };
        }
        let counters = |[requests, bad]: [f64; 2]| Counters {
            requests,
            bad: BTreeMap::from([(Bad::ServerError, bad)]),
            latency: vec![requests, 0.0],
        };
        let [baseline, candidate] = self.counts.map(counters);
        let page = self.ledger.read();
        let overlay = page.known.overlay(&self.file, later(self.seconds));
        let world = World {
            file: Arc::clone(&self.file),
            rules: Arc::new(Rules::default()),
            routes: BTreeMap::from([(
                "shop".to_owned(),
                RouteSeen {
                    obeyed: overlay.routes.get("shop").cloned(),
                    variants: BTreeMap::from([
                        ("v1".to_owned(), self.stable),
                        ("v2".to_owned(), TWO),
                    ]),
                },
            )]),
            counted: BTreeMap::from([(
                "r".to_owned(),
                Counted {
                    candidate: candidate.clone(),
                    source: Seen::Reading(Reading {
                        candidate,
                        baseline,
                        slice: None,
                        mirrored: None,
                        bounds: Arc::from([1.0]),
                    }),
                },
            )]),
            tests: Vec::new(),
            config: None,
            generation: 1,
        };
        self.controller
            .tick(&Arc::new(world), later(self.seconds))
            .await;
    }

    pub(in crate::release::tests) async fn until(&mut self, what: impl Fn(&State) -> bool) {
        for _ in 0..2000 {
            if what(&self.state()) {
                return;
            }
            self.tick().await;
        }
        panic!("it never came to that: {:?}", self.state());
    }

    pub(in crate::release::tests) fn cause(&self) -> Cause {
        Cause {
            actor: Actor::new(ActorKind::Local, "ana", Via::Api),
            reason: "because".into(),
            at: later(self.seconds),
            config: None,
            evidence: None,
            request_id: None,
            ticket: None,
        }
    }

    pub(in crate::release::tests) async fn command(
        &self,
        command: &Command,
    ) -> Result<State, DeskError> {
        let cause = self.cause();
        let asked = self
            .desk
            .command("r", command, &Roles::every(), None, &cause)
            .await;
        asked.map(|(state, _)| state)
    }

    pub(in crate::release::tests) fn records(&self) -> Vec<Record> {
        let query = Query {
            order: Order::Oldest,
            ..Query::default()
        };
        self.ledger.store().records(&query).unwrap()
    }
}

pub(in crate::release::tests) fn wished() -> File {
    let mut spec = spec("r", "v1", "v2");
    spec.strategy.steps = vec![
        weight(5.0, Requirement::NoRegression),
        weight(50.0, Requirement::Proven),
        weight(100.0, Requirement::NotFailed),
    ];
    file(&[("v1", 100), ("v2", 0)], &[spec])
}

#[tokio::test]
async fn a_healthy_candidate_is_promoted_and_every_transition_has_one_record_and_one_event() {
    let folder = TempDir::new().unwrap();
    let mut instance = Instance::start(folder.path(), wished(), 0).await;
    instance.until(|state| state.phase == Phase::Promoted).await;
    assert_eq!(instance.served()["v2"], 10_000);
    let records = instance.records();
    let transitions: Vec<&Record> = records
        .iter()
        .filter(|record| record.event.is_some())
        .collect();
    let actions = transitions.iter().map(|record| record.action.as_str());
    let moved: Vec<&str> = actions
        .filter(|action| *action != "release.hold" && *action != "release.go")
        .collect();
    assert_eq!(
        moved,
        [
            "release.create",
            "release.start",
            "release.step",
            "release.step",
            "release.promote"
        ]
    );
    // What is told has the identity of its record.
    for record in transitions {
        assert!(
            instance
                .ledger
                .store()
                .get(&format!("outbox/{}", record.id))
                .is_some()
        );
    }
    // It moved no faster than its steps allow.
    assert!(180 <= instance.seconds, "{}", instance.seconds);
}

#[tokio::test]
async fn a_candidate_that_turns_bad_loses_everything_within_seconds() {
    let folder = TempDir::new().unwrap();
    let mut instance = Instance::start(folder.path(), wished(), 0).await;
    instance.until(|state| state.weight == percent(50.0)).await;
    for _ in 0..10 {
        instance.tick().await;
    }
    let began = instance.seconds;
    instance.bad = 0.05;
    instance.until(|state| state.phase == Phase::Aborted).await;
    assert!(
        instance.seconds - began <= 10,
        "{} s",
        instance.seconds - began
    );
    assert_eq!(
        instance.served(),
        Weights::from([("v1".into(), 100), ("v2".into(), 0)])
    );
    let records = instance.records();
    let abort = records
        .iter()
        .find(|record| record.action == "release.abort")
        .unwrap();
    let reason = abort.reason.as_deref().unwrap_or_default();
    assert!(reason.contains("`errors` failed"), "{reason}");
    assert!(abort.evidence.is_some());
    // It stays where it is, whatever time passes.
    for _ in 0..100 {
        instance.tick().await;
        instance.conform().await;
    }
    assert_eq!(instance.state().phase, Phase::Aborted);
}

#[tokio::test]
async fn a_crash_at_any_moment_resumes_the_same_step_with_the_same_weights() {
    let mut folder = TempDir::new().unwrap();
    let mut instance = Instance::start(folder.path(), wished(), 0).await;
    let mut n_crashes = 0;
    while instance.state().phase.is_active() {
        for _ in 0..7 {
            instance.tick().await;
        }
        let (state, served) = (instance.state(), instance.served());
        let (seconds, counts) = (instance.seconds, instance.counts);
        // What is on the disk is all that is left; the process that was goes on without a say.
        let image = image_of(folder.path());
        instance = Instance::start(image.path(), wished(), seconds).await;
        folder = image;
        assert_eq!((&instance.state(), &instance.served()), (&state, &served));
        // The counters of the process that is gone are gone.
        instance.counts = [[0.0; 2]; 2];
        assert_ne!(counts, instance.counts);
        n_crashes += 1;
        assert!(n_crashes < 200, "it came to an end");
    }
    assert_eq!(instance.state().phase, Phase::Promoted);
    assert!(10 < n_crashes, "{n_crashes}");
}

/// A copy of a store, as a crash would leave it.
fn image_of(folder: &Path) -> TempDir {
    let image = TempDir::new().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, image.path().join(path.file_name().unwrap())).unwrap();
    }
    image
}

#[tokio::test]
async fn a_command_is_kept_with_who_gave_it_and_refused_where_it_makes_no_sense() {
    let folder = TempDir::new().unwrap();
    let mut instance = Instance::start(folder.path(), wished(), 0).await;
    instance.until(|state| state.step == Some(0)).await;
    instance.command(&Command::Pause).await.unwrap();
    for _ in 0..200 {
        instance.tick().await;
    }
    assert_eq!(instance.state().step, Some(0), "it is paused");
    instance.command(&Command::Resume).await.unwrap();
    instance.until(|state| state.step == Some(1)).await;
    let state = instance.command(&Command::Abort).await.unwrap();
    assert_eq!((state.phase, state.weight), (Phase::Aborted, Percent::NONE));
    assert!(matches!(
        instance.command(&Command::Abort).await,
        Err(DeskError::Refused(_))
    ));
    let records = instance.records();
    let last = records.last().unwrap();
    assert_eq!(
        (last.action.as_str(), last.actor.id.as_str()),
        ("release.abort", "ana")
    );
    assert_eq!(last.reason.as_deref(), Some("because"));
}

#[tokio::test]
async fn the_line_stops_what_moves_forward_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let mut instance = Instance::start(folder.path(), wished(), 0).await;
    instance.until(|state| state.step == Some(0)).await;
    instance.desk.line(true, &instance.cause()).await.unwrap();
    for _ in 0..200 {
        instance.tick().await;
    }
    assert_eq!(instance.state().step, Some(0));
    assert!(instance.command(&Command::Skip).await.is_err());
    instance.desk.line(false, &instance.cause()).await.unwrap();
    instance.until(|state| state.step == Some(1)).await;
    instance.desk.line(true, &instance.cause()).await.unwrap();
    let state = instance.command(&Command::Abort).await.unwrap();
    assert_eq!(state.phase, Phase::Aborted);
}

#[tokio::test]
async fn what_was_asked_since_the_last_look_counts_at_once() {
    let folder = TempDir::new().unwrap();
    let mut instance = Instance::start(folder.path(), wished(), 0).await;
    instance.until(|state| state.step == Some(0)).await;
    instance.command(&Command::Pause).await.unwrap();
    assert!(instance.command(&Command::Skip).await.is_err());
    for _ in 0..3 {
        instance.tick().await;
    }
    instance.command(&Command::Resume).await.unwrap();
    let state = instance.command(&Command::Skip).await.unwrap();
    assert_eq!(state.step, Some(1));
}

#[tokio::test]
async fn weights_are_set_where_no_release_decides_about_them() {
    let folder = TempDir::new().unwrap();
    let mut instance =
        Instance::start(folder.path(), file(&[("v1", 100), ("v2", 0)], &[]), 0).await;
    // What is configured is known once somebody has looked.
    instance.tick_without_release().await;
    let half = Weights::from([("v1".into(), 1), ("v2".into(), 1)]);
    let cause = instance.cause();
    instance
        .desk
        .set_weights("shop", Some(&half), None, None, &cause)
        .await
        .unwrap();
    assert_eq!(instance.served(), half);
    let stale = instance
        .desk
        .set_weights("shop", Some(&half), None, Some(1), &cause)
        .await;
    assert!(matches!(stale, Err(DeskError::Changed(_))));
    instance
        .desk
        .set_weights("shop", None, None, None, &cause)
        .await
        .unwrap();
    assert_eq!(instance.served()["v2"], 0);
    let nobody = Weights::from([("v9".into(), 1)]);
    let unknown = instance
        .desk
        .set_weights("shop", Some(&nobody), None, None, &cause)
        .await;
    assert!(matches!(unknown, Err(DeskError::Unknown { .. })));
}

impl Instance {
    async fn tick_without_release(&mut self) {
        let world = World {
            file: Arc::clone(&self.file),
            ..World::default()
        };
        self.controller
            .tick(&Arc::new(world), SystemTime::UNIX_EPOCH)
            .await;
    }
}

#[tokio::test]
async fn a_tick_does_not_hide_what_a_reload_has_shown_meanwhile() {
    let folder = TempDir::new().unwrap();
    let mut instance = Instance::start(folder.path(), wished(), 0).await;
    let show = |generation| {
        let world = Arc::new(World {
            generation,
            ..World::default()
        });
        let releases = BTreeMap::new();
        let board = Board { world, releases };
        instance.desk.shared_board().store(Arc::new(board));
    };
    show(2);
    instance.tick().await;
    let board = instance.desk.board();
    assert_eq!(
        board.world.generation, 2,
        "it was computed from the one before"
    );
    assert!(
        board.releases.contains_key("r"),
        "and what it decided counts"
    );
    instance
        .desk
        .shared_board()
        .store(Arc::new(Board::default()));
    instance.tick().await;
    assert_eq!(instance.desk.board().world.generation, 1);
}
