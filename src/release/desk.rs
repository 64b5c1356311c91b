//! The desk where people and programs ask for something: commands of releases, weights, freezes, the
//! line. Each is answered when it is kept.

mod flags;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use thiserror::Error;

use crate::flag::Use;
use crate::release::analysis::Report;
use crate::release::command::{Command, Context, Refusal, obey};
use crate::release::controller::World;
use crate::release::flags::FlagRefusal;
use crate::release::freeze;
use crate::release::gate::GateState;
use crate::release::hold::Reason;
use crate::release::ledger::{Cause, Ledger, Page};
use crate::release::look::{killed, seen_of};
use crate::release::overlay::{Override, Weights, left_by};
use crate::release::reconcile::{Change, Effect};
use crate::release::role::Roles;
use crate::release::spec::Spec;
use crate::release::state::{Origin, Said, State};
use crate::release::step::{Endpoints, GateSeen};
use crate::store::{Commit, CommitError, Committed};

/// How often something is tried again when somebody else was first.
const TRIES: usize = 4;

/// What the last tick made of a release.
#[derive(Clone, Debug)]
pub struct Told {
    /// What the analysis says.
    pub report: Option<Report>,
    /// Since when every instance obeys what was decided.
    pub acknowledged: Option<SystemTime>,
    /// When the least time of the step is over.
    pub until: Option<SystemTime>,
    /// How the gates on its way stand, in their order.
    pub gates: Vec<(String, GateState)>,
}

/// What the last tick saw and made of it.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// What goes on.
    pub world: Arc<World>,
    /// By the release's identity.
    pub releases: BTreeMap<String, Told>,
}

/// Why something is refused.
#[derive(Debug, Error)]
pub enum DeskError {
    /// There is no such thing.
    #[error("there is no {kind} `{name}`")]
    Unknown {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("there is a release `{0}` already")]
    Exists(String),
    /// The route has a release that is not over.
    #[error("the route `{route}` has the release `{release}`, which is not over")]
    Busy {
        /// The route.
        route: String,
        /// The release.
        release: String,
    },
    /// The weights make no sense.
    #[error("{0}")]
    Weights(String),
    /// It is not what it was when it was looked at.
    #[error("it has changed: its revision is {0}")]
    Changed(u64),
    /// The release cannot do that.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The freeze cannot be overridden.
    #[error(transparent)]
    Freeze(#[from] freeze::OverrideError),
    /// The flag cannot do that.
    #[error(transparent)]
    Flag(#[from] FlagRefusal),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] CommitError),
}

/// Where one asks.
#[derive(Clone)]
pub struct Desk {
    ledger: Ledger,
    board: Arc<ArcSwap<Board>>,
    uses: Arc<ArcSwap<BTreeMap<String, Use>>>,
}

impl Desk {
    /// Makes it.
    pub fn new(ledger: Ledger, board: Arc<ArcSwap<Board>>) -> Self {
        Self {
            ledger,
            board,
            uses: Arc::default(),
        }
    }

    /// What is kept.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Where the controller puts what it makes of releases.
    pub fn shared_board(&self) -> Arc<ArcSwap<Board>> {
        Arc::clone(&self.board)
    }

    /// What the last tick saw and made of it.
    pub fn board(&self) -> Arc<Board> {
        self.board.load_full()
    }

    /// Asks something of a release; gives what it is then.
    ///
    /// # Errors
    /// When it is refused; then nothing has changed.
    pub async fn command(
        &self,
        id: &str,
        command: &Command,
        roles: &Roles,
        revision: Option<u64>,
        cause: &Cause,
    ) -> Result<(State, Committed), DeskError> {
        self.repeat(revision, |page| {
            let state = page
                .known
                .releases
                .get(id)
                .ok_or_else(|| unknown("release", id))?;
            expect(page, &crate::release::keys::release(id), revision)?;
            let board = self.board();
            let context = context(&board, page, state, roles, cause);
            let next = obey(command, state, &context)?;
            let file = board.world.file.weights.get(&next.spec.route);
            let left = file.and_then(|file| left_by(&next, file, cause.at));
            let change = Change {
                action: command.action(),
                reason: cause.reason.clone(),
                effect: Effect::Release(Box::new(next.clone()), left),
            };
            Ok((next, self.ledger.commit(page, &change, cause.clone())))
        })
        .await
    }

    /// Makes a release that the file does not have.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(
        &self,
        spec: &Spec,
        cause: &Cause,
    ) -> Result<(State, Committed), DeskError> {
        self.repeat(None, |page| {
            if page.known.releases.contains_key(&spec.id) {
                return Err(DeskError::Exists(spec.id.clone()));
            }
            if let Some(active) = page.known.active(&spec.route) {
                return Err(DeskError::Busy {
                    route: spec.route.clone(),
                    release: active.spec.id.clone(),
                });
            }
            let weights = self.weights_in_file(&spec.route)?;
            for variant in [&spec.stable, &spec.candidate] {
                if !weights.contains_key(variant) {
                    return Err(unknown("variant", variant));
                }
            }
            let by = cause.actor.id.clone();
            let mut state = State::new(spec.clone(), Origin::Api, by, cause.at);
            state.file_weights = weights;
            let change = Change {
                action: "release.create",
                reason: cause.reason.clone(),
                effect: Effect::Release(Box::new(state.clone()), None),
            };
            Ok((state, self.ledger.commit(page, &change, cause.clone())))
        })
        .await
    }

    /// Sets the weights of a route at run time; with none the file's hold again.
    ///
    /// # Errors
    /// When a release decides about them, or they make no sense.
    pub async fn set_weights(
        &self,
        route: &str,
        weights: Option<&Weights>,
        expires: Option<SystemTime>,
        revision: Option<u64>,
        cause: &Cause,
    ) -> Result<Committed, DeskError> {
        self.repeat(revision, |page| {
            let file = self.weights_in_file(route)?;
            expect(page, &crate::release::keys::weights(route), revision)?;
            let owner = page
                .known
                .active(route)
                .filter(|state| state.phase.owns_weights());
            if let Some(owner) = owner {
                return Err(DeskError::Busy {
                    route: route.to_owned(),
                    release: owner.spec.id.clone(),
                });
            }
            let set = match weights {
                None => None,
                Some(weights) => {
                    check_weights(weights, &file)?;
                    Some(Override {
                        weights: weights.clone(),
                        basis: file,
                        by: cause.actor.id.clone(),
                        reason: cause.reason.clone(),
                        at: cause.at,
                        expires,
                        release: None,
                    })
                }
            };
            let change = Change {
                action: if set.is_some() {
                    "weights.set"
                } else {
                    "weights.clear"
                },
                reason: cause.reason.clone(),
                effect: Effect::Override(route.to_owned(), set),
            };
            Ok(((), self.ledger.commit(page, &change, cause.clone())))
        })
        .await
        .map(|((), committed)| committed)
    }

    /// Stops everything that moves forward, or lets it go on.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn line(&self, stop: bool, cause: &Cause) -> Result<Committed, DeskError> {
        self.repeat(None, |page| {
            let said = stop.then(|| Said {
                by: cause.actor.id.clone(),
                reason: cause.reason.clone(),
                at: cause.at,
            });
            Ok(((), self.ledger.line(page, said, cause.clone())))
        })
        .await
        .map(|((), committed)| committed)
    }

    /// Lets a freeze not hold for one release, or for all, until some time.
    ///
    /// # Errors
    /// When it is not allowed, or the freeze is not configured.
    pub async fn override_freeze(
        &self,
        name: &str,
        scope: freeze::Scope,
        until: SystemTime,
        roles: &Roles,
        cause: &Cause,
    ) -> Result<Committed, DeskError> {
        self.repeat(None, |page| {
            let board = self.board();
            let mut freezes = board.world.rules.freezes.iter();
            let freeze = freezes.find(|freeze| freeze.name == name);
            let freeze = freeze.ok_or_else(|| unknown("freeze", name))?;
            let who = (cause.actor.id.as_str(), roles);
            let times = (cause.at, until);
            let passed = freeze::Override::new(freeze, scope.clone(), who, &cause.reason, times)?;
            let release = match &scope {
                freeze::Scope::Release(id) => {
                    let state = page.known.releases.get(id);
                    Some(state.ok_or_else(|| unknown("release", id))?)
                }
                freeze::Scope::Everything => None,
            };
            let commit = self.ledger.freeze_passed(page, &passed, release, cause);
            Ok(((), commit))
        })
        .await
        .map(|((), committed)| committed)
    }

    fn weights_in_file(&self, route: &str) -> Result<Weights, DeskError> {
        let board = self.board();
        let weights = board.world.file.weights.get(route).cloned();
        weights.ok_or_else(|| unknown("route with variants", route))
    }

    /// Reads, decides and writes, again where somebody else was first.
    async fn repeat<T>(
        &self,
        revision: Option<u64>,
        decide: impl Fn(&Page) -> Result<(T, Commit), DeskError>,
    ) -> Result<(T, Committed), DeskError> {
        let mut tries = 0;
        loop {
            let page = self.ledger.read();
            let (decided, commit) = decide(&page)?;
            tries += 1;
            match self.ledger.keep(&page, commit).await {
                Err(CommitError::Conflict { .. }) if revision.is_none() && tries < TRIES => {}
                outcome => return Ok((decided, outcome?)),
            }
        }
    }
}

fn unknown(kind: &'static str, name: &str) -> DeskError {
    DeskError::Unknown {
        kind,
        name: name.to_owned(),
    }
}

fn expect(page: &Page, key: &str, revision: Option<u64>) -> Result<(), DeskError> {
    match revision {
        Some(revision) if revision != page.revision(key) => {
            Err(DeskError::Changed(page.revision(key)))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_weights(weights: &Weights, file: &Weights) -> Result<(), DeskError> {
    if let Some(name) = weights.keys().find(|name| !file.contains_key(*name)) {
        return Err(unknown("variant", name));
    }
    if weights.values().all(|&weight| weight == 0) {
        return Err(DeskError::Weights(
            "one weight at least has to be more than 0".into(),
        ));
    }
    if let Some(weight) = weights.values().find(|&&weight| 1_000_000 < weight) {
        return Err(DeskError::Weights(format!("{weight} is over 1000000")));
    }
    Ok(())
}

/// What a command is judged by.
fn context(board: &Board, page: &Page, state: &State, roles: &Roles, cause: &Cause) -> Context {
    let spec = &state.spec;
    let told = board.releases.get(&spec.id);
    let route = board.world.routes.get(&spec.route);
    let stable = route.and_then(|route| route.variants.get(&spec.stable));
    let report = told.and_then(|told| told.report.as_ref());
    let meets_gates = state.review.change_type(spec.change).meets_gates();
    let strategy = &spec.strategy;
    let steps = strategy.steps.iter().skip(state.step.unwrap_or_default());
    let gates = steps
        .filter_map(|step| step.gate.as_deref())
        .filter(|_| meets_gates);
    let seen = gates.map(|gate| {
        let rules = &board.world.rules;
        let judged = rules.gate_named(gate, page, state, report, cause.at);
        let closed = || GateSeen::Waiting("it is not configured".into());
        (gate.to_owned(), judged.map_or_else(closed, seen_of))
    });
    let gate = spec.strategy.gate(state.step).filter(|_| meets_gates);
    let gate = gate.filter(|name| {
        let judged = board
            .world
            .rules
            .gate_named(name, page, state, report, cause.at);
        judged.is_none_or(|judged| seen_of(judged) != GateSeen::Open)
    });
    let holds = holds(board, page, state, (gate, cause.at));
    Context {
        actor: cause.actor.id.clone(),
        roles: roles.clone(),
        reason: cause.reason.clone(),
        holds,
        gates: seen.collect(),
        configured: board.world.rules.gates.clone(),
        now: cause.at,
        stable: stable.copied().unwrap_or(Endpoints::default()),
        wished: board.world.file.releases.get(&spec.id).cloned(),
        file_weights: board
            .world
            .file
            .weights
            .get(&spec.route)
            .cloned()
            .unwrap_or_default(),
    }
}

/// What holds a release now: what the last tick found, but for what is known at once. `gate` is the
/// one before what comes next, if it is not open.
fn holds(
    board: &Board,
    page: &Page,
    state: &State,
    (gate, now): (Option<&str>, SystemTime),
) -> Vec<Reason> {
    let world = &board.world;
    let frozen = world.rules.frozen(page, state, &world.file, now);
    let mut holds: Vec<Reason> = frozen
        .into_iter()
        .map(|(freeze, _)| Reason::Freeze(freeze))
        .collect();
    holds.extend(gate.map(|gate| Reason::Approval(gate.to_owned())));
    let known = [
        (Reason::Manual, state.paused.is_some()),
        (Reason::StopTheLine, page.line.is_some()),
        (Reason::FlagKilled, killed(page, &state.spec).is_some()),
        (Reason::ConfigConflict, state.conflict.is_some()),
        (Reason::StateLost, state.state_lost),
    ];
    let found = state.holds.iter().map(|hold| &hold.reason);
    let found = found.filter(|reason| {
        !matches!(reason, Reason::Freeze(_) | Reason::Approval(_))
            && known.iter().all(|(known, _)| known != *reason)
    });
    holds.extend(found.cloned());
    let known = known.into_iter();
    holds.extend(known.filter_map(|(reason, holds)| holds.then_some(reason)));
    holds
}
