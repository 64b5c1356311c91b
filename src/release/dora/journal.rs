//! What the journal says of deployments: its records of releases, as the transitions that the figures
//! are measured of.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::release::dora::{Figures, Incident, Stage, Transition, Window, measure};
use crate::release::keys;
use crate::release::readiness::ChangeType;
use crate::release::state::{Phase, State};
use crate::release::tally::By;
use crate::store::{Order, Query, ReadError, Record, Store};

/// How far back figures look at most; what is older is forgotten.
pub const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How many records are read at a time.
const PAGE: usize = 1000;

/// The transitions of the last 90 days, as far as the journal was read.
#[derive(Debug, Default)]
pub struct Journal {
    read_up_to: u64,
    transitions: Vec<Transition>,
}

impl Journal {
    /// Reads what was written since the last time. Blocks while it reads.
    ///
    /// # Errors
    /// When the history cannot be read; what was read before it is kept.
    pub fn follow(&mut self, store: &Store, now: SystemTime) -> Result<(), ReadError> {
        let last = *store.watch().borrow();
        let horizon = now.checked_sub(LONGEST);
        while self.read_up_to < last {
            let records = store.records(&Query {
                since: Some(self.read_up_to + 1),
                until: Some(last),
                not_before: horizon,
                object_kind: Some("release".to_owned()),
                limit: PAGE,
                order: Order::Oldest,
                ..Query::default()
            })?;
            self.read_up_to = records.last().map_or(last, |record| record.seq);
            self.transitions
                .extend(records.iter().filter_map(transition));
        }
        self.transitions
            .retain(|transition| horizon.is_none_or(|horizon| horizon <= transition.at));
        Ok(())
    }

    /// The transitions, in the order in which they happened.
    pub fn transitions(&self) -> &[Transition] {
        &self.transitions
    }

    /// The figures of the time before `now`, of all routes.
    pub fn figures(&self, incidents: &[Incident], length: Duration, now: SystemTime) -> Figures {
        let window = Window::last(length, now);
        measure(&self.transitions, incidents, window, None)
    }
}

/// The transition that a record tells of, if it is one from one stage to another.
pub fn transition(record: &Record) -> Option<Transition> {
    let key = keys::release(&record.object.id);
    let mut changes = record.changes.iter();
    let change = changes.find(|change| change.key == key)?;
    let state = State::deserialize(change.value.as_ref()?).ok()?;
    let before = Phase::deserialize(&record.before.as_ref()?["phase"]).ok()?;
    let (from, to) = (stage(before), stage(state.phase));
    if from == to {
        return None;
    }
    let by = By::of(record.actor.kind, record.evidence.as_ref(), state.phase);
    let is_back = matches!(to, Stage::RolledBack | Stage::Aborted);
    let spec = &state.spec;
    Some(Transition {
        release: spec.id.clone(),
        route: spec.route.clone(),
        at: record.at,
        from,
        to,
        commit_time: spec.commit_time,
        first_bad_at: state.first_bad_at.filter(|_| is_back),
        // The one instance there is obeys what is kept as soon as it is.
        stable_at: is_back.then_some(record.at),
        cause: by.name().to_owned(),
        rework_of: spec.rework_of.clone(),
        unplanned: state.review.change_type(spec.change) == ChangeType::Emergency,
    })
}

fn stage(phase: Phase) -> Stage {
    match phase {
        Phase::Pending => Stage::Waiting,
        Phase::Preview | Phase::Progressing => Stage::Partial,
        Phase::Baking => Stage::Full,
        Phase::Promoted => Stage::Promoted,
        Phase::RolledBack => Stage::RolledBack,
        Phase::Aborted => Stage::Aborted,
        Phase::Superseded | Phase::Cancelled => Stage::Withdrawn,
    }
}
