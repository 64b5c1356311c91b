//! The queue to the writer: what waits, and how it is answered.

use std::collections::VecDeque;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::store::commit::{Commit, CommitError, Committed};

/// What waits.
#[derive(Debug, Default)]
pub(in crate::store) struct Queue {
    pub(in crate::store) waiting: VecDeque<Job>,
    pub(in crate::store) is_worked: bool,
    pub(in crate::store) is_closed: bool,
}

/// What somebody waits for.
#[derive(Debug)]
pub(in crate::store) enum Job {
    Commit(Box<Waiting>),
    Save(
        oneshot::Sender<Result<(), CommitError>>,
        OwnedSemaphorePermit,
    ),
}

/// A commit that waits.
#[derive(Debug)]
pub(in crate::store) struct Waiting {
    pub(in crate::store) commit: Commit,
    pub(in crate::store) answer: oneshot::Sender<Result<Committed, CommitError>>,
    /// Its place among those that may wait.
    pub(in crate::store) _place: Option<OwnedSemaphorePermit>,
}

/// Answers commits.
pub(in crate::store) fn answer(
    commits: Vec<Waiting>,
    outcomes: Vec<Result<Committed, CommitError>>,
) {
    for (waiting, outcome) in commits.into_iter().zip(outcomes) {
        let _nobody_waits = waiting.answer.send(outcome);
    }
}

/// What is answered when nobody is left to answer.
pub(in crate::store) fn gone() -> CommitError {
    CommitError::Unavailable("the writer is gone".to_owned())
}
