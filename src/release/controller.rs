//! The controller: looks at every release each second, decides, and keeps what was decided.
//!
//! What it decides is kept before it is obeyed, and obeyed before anybody is told. It holds nothing
//! that is not in the store but what was seen since the last time it was noted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use serde_json::Value;
use tracing::{info, warn};

use crate::release::aftermath::{self, Aftermath, is_watched, still_serves};
use crate::release::analysis::{self, CheckVerdict, Counters, Report};
use crate::release::desk::{Board, Told};
use crate::release::gate::GateState;
use crate::release::hold::{self, Hold};
use crate::release::ledger::{Cause, Ledger, Page};
use crate::release::look::{self, RouteSeen, Rules, Since};
use crate::release::overlay::left_by;
use crate::release::percent::Percent;
use crate::release::reconcile::{Change, Effect, File, reconcile};
use crate::release::state::{Asked, Phase, State};
use crate::release::step::{Decision, Move, allowed, decide, required};
use crate::release::strategy::Requirement;
use crate::release::test::TestResult;
use crate::release::watched::Watched;
use crate::store::{Actor, ActorKind, CommitError, ConfigOrigin, Via};

/// What goes on, as the control plane sees it.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// What the file says.
    pub file: Arc<File>,
    /// What is configured for all releases.
    pub rules: Arc<Rules>,
    /// Routes that releases are about, by name.
    pub routes: BTreeMap<String, RouteSeen>,
    /// What was counted of releases, by identity.
    pub counted: BTreeMap<String, Counted>,
    /// What came of tests.
    pub tests: Vec<Tested>,
    /// The configuration that is obeyed.
    pub config: Option<ConfigOrigin>,
    /// Its number.
    pub generation: u64,
}

/// What was counted of a release.
#[derive(Clone, Debug)]
pub struct Counted {
    /// By the source that its analysis asks.
    pub source: analysis::Seen,
    /// Of the candidate, on this instance.
    pub candidate: Counters,
}

/// What came of a test.
#[derive(Clone, Debug)]
pub struct Tested {
    /// The release.
    pub release: String,
    /// Which attempt.
    pub attempt: u32,
    /// The test.
    pub name: String,
    /// What came of it.
    pub result: TestResult,
}

/// Looks, decides and keeps.
pub struct Controller {
    ledger: Ledger,
    board: Arc<ArcSwap<Board>>,
    watched: BTreeMap<String, Watched>,
}

impl Controller {
    /// Makes it; what it makes of releases it puts on the board.
    pub fn new(ledger: Ledger, board: Arc<ArcSwap<Board>>) -> Self {
        Self {
            ledger,
            board,
            watched: BTreeMap::new(),
        }
    }

    /// Holds every release that is not over, because what was decided before may be lost.
    ///
    /// # Errors
    /// When that cannot be kept.
    pub async fn distrust(&self, now: SystemTime) -> Result<(), CommitError> {
        let page = self.ledger.read();
        for state in page
            .known
            .releases
            .values()
            .filter(|state| state.phase.is_active())
        {
            let mut state = state.clone();
            state.state_lost = true;
            let reason = "the history of the store is broken".to_owned();
            let world = World::default();
            self.keep(&page, "release.hold", reason, state, &world, (None, now))
                .await?;
        }
        Ok(())
    }

    /// Looks at every release once.
    pub async fn tick(&mut self, world: &Arc<World>, now: SystemTime) {
        let page = self.ledger.read();
        self.watched
            .retain(|id, _| page.known.releases.contains_key(id));
        let mut board = Board {
            world: Arc::clone(world),
            releases: BTreeMap::new(),
        };
        for (id, state) in &page.known.releases {
            if state.phase.is_active() {
                let told = self.look_after(&page, state, world, now).await;
                board.releases.insert(id.clone(), told);
            } else if is_watched(state, now)
                && still_serves(
                    state,
                    &page.known,
                    &world.file,
                    world.routes.get(&state.spec.route),
                )
            {
                self.look_back(&page, state, world, now).await;
            } else {
                self.watched.remove(id);
            }
        }
        // A reload may have shown something newer meanwhile; what became of releases is of now.
        self.board.rcu(|shown| {
            let mut next = board.clone();
            if board.world.generation < shown.world.generation {
                next.world = Arc::clone(&shown.world);
            }
            next
        });
    }

    /// Looks at a release, and does what is decided about it.
    async fn look_after(
        &mut self,
        page: &Page,
        state: &State,
        world: &World,
        now: SystemTime,
    ) -> Told {
        let id = &state.spec.id;
        let watched = self
            .watched
            .entry(id.clone())
            .or_insert_with(|| Watched::resume(&self.ledger, id));
        watched.follow(state);
        let none = RouteSeen::default();
        let route = world.routes.get(&state.spec.route).unwrap_or(&none);
        watched.acknowledge(state, route, world.counted.get(id), now);
        watched.judge(state, world.counted.get(id), now);
        let candidate = route.variants.get(&state.spec.candidate);
        watched.miss(
            candidate.is_none_or(|endpoints| endpoints.available == 0),
            now,
        );
        let mut state = state.clone();
        let mut news = None;
        let results = world.tests.iter();
        for tested in
            results.filter(|tested| tested.release == *id && tested.attempt == state.attempt)
        {
            if state.tests.get(&tested.name) != Some(&tested.result) {
                state
                    .tests
                    .insert(tested.name.clone(), tested.result.clone());
                news = Some((
                    "release.test",
                    format!("{}: {}", tested.name, tested.result.detail),
                ));
            }
        }
        if let Some(gate) = state.spec.strategy.gate(state.step).map(str::to_owned)
            && !state.asked.contains_key(&gate)
        {
            state.asked.insert(gate.clone(), Asked { at: now });
            news = Some(("release.gate.ask", format!("the gate `{gate}` is asked")));
        }
        let unwritable = self.ledger.store().writable().err();
        let since = watched.since(unwritable);
        let seen = world
            .rules
            .look(page, &state, route, &since, (&world.file, now));
        let decision = decide(&state, &seen, now);
        let told = Told {
            report: since.report.clone(),
            acknowledged: since.acknowledged,
            until: decision.until,
            gates: gates(&world.rules, page, &state, since.report.as_ref(), now),
        };
        watched.note(&self.ledger, id, now).await;
        let outcome = self
            .act(page, state, news, decision, world, (&since, now))
            .await;
        if let Err(error) = outcome
            && !matches!(error, CommitError::Conflict { .. })
        {
            warn!(release = id, %error, "what was decided cannot be kept");
        }
        told
    }

    /// Looks at a release that is promoted, while it can be rolled back at once.
    async fn look_back(&mut self, page: &Page, state: &State, world: &World, now: SystemTime) {
        let id = &state.spec.id;
        let watched = self
            .watched
            .entry(id.clone())
            .or_insert_with(|| Watched::resume(&self.ledger, id));
        let report = watched.look_back(state, world.counted.get(id), now);
        watched.note(&self.ledger, id, now).await;
        let Some(report) = report else {
            return;
        };
        let route = world.routes.get(&state.spec.route);
        let stable = route.and_then(|route| route.variants.get(&state.spec.stable));
        let decision = aftermath::decide(state, &report, stable.copied().unwrap_or_default());
        let mut state = state.clone();
        let (action, reason) = match decision {
            Aftermath::Stay => return,
            Aftermath::RollBack(cause) => {
                state.end(Phase::RolledBack, cause.clone(), now);
                ("release.rollback", cause)
            }
            Aftermath::Alarm(what) => {
                state.alarm = Some(what.clone());
                ("release.alarm", what)
            }
        };
        state.first_bad_at = state.first_bad_at.or(Some(now));
        let evidence = serde_json::to_value(&report).ok();
        let kept = self
            .keep(page, action, reason, state, world, (evidence, now))
            .await;
        if let Err(error) = kept
            && !matches!(error, CommitError::Conflict { .. })
        {
            warn!(release = id, %error, "what was decided cannot be kept");
        }
    }

    /// Keeps what was decided.
    async fn act(
        &self,
        page: &Page,
        mut state: State,
        news: Option<(&'static str, String)>,
        decision: Decision,
        world: &World,
        (since, now): (&Since, SystemTime),
    ) -> Result<(), CommitError> {
        let report = since.report.as_ref();
        let evidence = || report.and_then(|report| serde_json::to_value(report).ok());
        if report.is_some_and(is_worse) && state.first_bad_at.is_none() {
            state.first_bad_at = Some(now);
        }
        match decision.next {
            Move::Abort(cause) => {
                state.end(Phase::Aborted, cause.clone(), now);
                let action = "release.abort";
                return self
                    .keep(page, action, cause, state, world, (evidence(), now))
                    .await;
            }
            Move::Promote => {
                let cause = "every step was taken".to_owned();
                state.end(Phase::Promoted, cause.clone(), now);
                let action = "release.promote";
                return self
                    .keep(page, action, cause, state, world, (evidence(), now))
                    .await;
            }
            Move::Enter(step) => {
                let action = if state.step.is_none() {
                    let file = world.file.weights.get(&state.spec.route);
                    state.file_weights = file.cloned().unwrap_or_default();
                    "release.start"
                } else {
                    "release.step"
                };
                // What was not asked of the analysis is no reason.
                let asked = report.filter(|_| required(&state) != Requirement::NotFailed);
                let reason = asked.map_or_else(|| "nothing holds it".to_owned(), look::text);
                state.enter(step, Percent::NONE, now);
                let route = world.routes.get(&state.spec.route);
                let candidate = route.and_then(|route| route.variants.get(&state.spec.candidate));
                state.weight = allowed(&state, candidate.copied().unwrap_or_default());
                return self
                    .keep(page, action, reason, state, world, (evidence(), now))
                    .await;
            }
            Move::Stay => {}
        }
        let holds = hold::carry(&state.holds, decision.holds, now);
        let (action, reason) = if decision.weight != state.weight && state.phase.owns_weights() {
            let reason = format!("{} instead of {}", decision.weight, state.weight);
            state.weight = decision.weight;
            ("release.weight", reason)
        } else if hold::same_reasons(&holds, &state.holds) {
            match news {
                Some(news) => news,
                None => return Ok(()),
            }
        } else if holds.is_empty() {
            ("release.go", "nothing holds it any more".to_owned())
        } else {
            ("release.hold", reasons(&holds))
        };
        state.holds = holds;
        self.keep(page, action, reason, state, world, (evidence(), now))
            .await
    }

    async fn keep(
        &self,
        page: &Page,
        action: &'static str,
        reason: String,
        state: State,
        world: &World,
        (evidence, now): (Option<Value>, SystemTime),
    ) -> Result<(), CommitError> {
        let (release, place) = (&state.spec.id, state.place());
        info!(%release, action, reason, place, "release");
        let cause = Cause {
            actor: Actor::new(ActorKind::Controller, "controller", Via::Analysis),
            reason: reason.clone(),
            at: now,
            config: world.config.clone(),
            evidence,
            request_id: None,
            ticket: None,
        };
        let file = world.file.weights.get(&state.spec.route);
        let left = file.and_then(|file| left_by(&state, file, now));
        let change = Change {
            action,
            reason,
            effect: Effect::Release(Box::new(state), left),
        };
        self.ledger.write(page, &change, cause).await.map(|_| ())
    }
}

/// Makes what is kept fit a file that is loaded, and drops what has run out.
///
/// # Errors
/// The first that could not be kept; what was kept before it stays.
pub async fn conform(
    ledger: &Ledger,
    file: &File,
    config: &ConfigOrigin,
    via: Via,
    now: SystemTime,
) -> Result<(), CommitError> {
    for change in reconcile(file, &ledger.read().known, now) {
        let cause = Cause {
            actor: Actor::new(ActorKind::File, config.sha256.clone(), via),
            reason: change.reason.clone(),
            at: now,
            config: Some(config.clone()),
            evidence: None,
            request_id: None,
            ticket: None,
        };
        info!(
            action = change.action,
            reason = change.reason,
            "obeying the file"
        );
        ledger.write(&ledger.read(), &change, cause).await?;
    }
    Ok(())
}

/// Whether something speaks against the candidate: the first time it does is when it went wrong.
fn is_worse(report: &Report) -> bool {
    let mut checks = report.checks.iter().filter(|check| !check.dry_run);
    checks.any(|check| check.verdict == CheckVerdict::Fail || 1.0 < check.ln_e)
}

fn reasons(holds: &[Hold]) -> String {
    let told: Vec<String> = holds
        .iter()
        .map(|hold| format!("{}: {}", hold.reason, hold.detail))
        .collect();
    told.join("; ")
}

/// How the gates on a release's way stand.
fn gates(
    rules: &Rules,
    page: &Page,
    state: &State,
    report: Option<&Report>,
    now: SystemTime,
) -> Vec<(String, GateState)> {
    let strategy = &state.spec.strategy;
    let first = strategy
        .start_gate
        .as_deref()
        .filter(|_| state.step.is_none());
    let steps = strategy.steps.iter().skip(state.step.unwrap_or_default());
    let names = first
        .into_iter()
        .chain(steps.filter_map(|step| step.gate.as_deref()));
    let mut gates: Vec<(String, GateState)> = Vec::new();
    for name in names {
        let is_new = gates.iter().all(|(known, _)| known != name);
        if let Some(state) = rules
            .gate_named(name, page, state, report, now)
            .filter(|_| is_new)
        {
            gates.push((name.to_owned(), state));
        }
    }
    gates
}
