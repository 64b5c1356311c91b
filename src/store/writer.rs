//! The writer: commits that wait are taken together, written as one, and answered.
//!
//! One thread at a time is at the desk; it is a blocking thread of the runtime, started by the commit
//! that finds nobody there, and it stays until nothing waits. What it has begun ends without it being
//! waited for, so that a caller who gives up leaves nothing half done.

use std::collections::VecDeque;
use std::io::Error;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, JoinHandle};

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task;

use crate::store::Settings;
use crate::store::batch::{Author, Batch, Written};
use crate::store::commit::{Commit, CommitError, Committed, Urgency};
use crate::store::desk::Desk;
use crate::store::disk;
use crate::store::journal::{Journal, Limits};
use crate::store::lock::Lock;
use crate::store::memory::Memory;
use crate::store::notes::Notes;
use crate::store::query::{self, Query, ReadError};
use crate::store::queue::{Job, Queue, Waiting, answer, gone};
use crate::store::record::Record;
use crate::store::recover::Recovered;
use crate::store::retry::{self, Tried};
use crate::store::snapshot;
use crate::store::ulid::Ulids;

/// How many commits wait for the writer at a time; others wait for a place.
const MAX_WAITING: usize = 1024;

/// How many commits are written as one: enough that a fsync is shared, few enough that none waits
/// for long.
const MAX_BATCH: usize = 64;

/// How many records are kept while the disk fails. A release moves towards stable a few times: who
/// makes so many runs in circles.
const MAX_UNWRITTEN: usize = 10_000;

/// What the clones of a store share.
#[derive(Debug)]
pub(in crate::store) struct Shared {
    pub(in crate::store) settings: Settings,
    author: Author,
    memory: RwLock<Memory>,
    queue: Mutex<Queue>,
    places: Arc<Semaphore>,
    desk: Mutex<Desk>,
    retry: Mutex<Option<JoinHandle<()>>>,
    revision: watch::Sender<u64>,
}

impl Shared {
    /// Makes it from what was found.
    pub(in crate::store) fn new(
        settings: Settings,
        lock: Lock,
        recovered: Recovered,
    ) -> Result<Arc<Self>, Error> {
        let limits = Limits {
            bytes: settings.segment_bytes,
            records: settings.segment_records,
            segments: settings.segments_kept,
        };
        disk::remove_unfinished(&settings.path)?;
        let mut journal = Journal::open(settings.path.clone(), limits, recovered.last)?;
        let cleaned = journal.clean();
        let head = recovered.head;
        let memory = Memory {
            state: recovered.state,
            applied: head.clone(),
            journalled: head.clone(),
            unwritten: VecDeque::new(),
            notes: Notes::read(&settings.path)?,
            failing: None,
        };
        let desk = Desk {
            journal,
            ulids: Ulids::default(),
            lock: Some(lock),
            snapshot: recovered.snapshot,
            is_retrying: false,
        };
        let author = Author {
            cluster: settings.cluster.clone(),
            replica: settings.replica.clone(),
        };
        let shared = Arc::new(Self {
            settings,
            author,
            memory: RwLock::new(memory),
            queue: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            desk: Mutex::new(desk),
            retry: Mutex::default(),
            revision: watch::Sender::new(head.seq),
        });
        if let Err(error) = cleaned {
            shared.fails(&mut shared.desk(), &error.to_string());
        }
        Ok(shared)
    }

    /// Makes a commit and waits for it.
    pub(in crate::store) async fn commit(
        self: &Arc<Self>,
        commit: Commit,
    ) -> Result<Committed, CommitError> {
        let place = self.place().await?;
        let (answer, answered) = oneshot::channel();
        self.put(Job::Commit(Box::new(Waiting {
            commit,
            answer,
            _place: Some(place),
        })))?;
        answered.await.unwrap_or(Err(gone()))
    }

    /// Makes a commit, blocking, of which nobody waits for the answer.
    pub(in crate::store) fn tell(self: &Arc<Self>, commit: Commit) {
        let waiting = Waiting {
            commit,
            answer: oneshot::channel().0,
            _place: None,
        };
        self.queue()
            .waiting
            .push_back(Job::Commit(Box::new(waiting)));
        self.work();
    }

    /// Keeps a note and waits for its being written.
    pub(in crate::store) async fn note(
        self: &Arc<Self>,
        key: &str,
        value: Option<Value>,
    ) -> Result<(), CommitError> {
        let place = self.place().await?;
        self.memory_mut().notes.set(key, value)?;
        let (answer, answered) = oneshot::channel();
        self.put(Job::Save(answer, place))?;
        answered.await.unwrap_or(Err(gone()))
    }

    /// Ends it: what waits is written, and the lock is given back.
    pub(in crate::store) fn close(self: &Arc<Self>) {
        self.queue().is_closed = true;
        self.places.close();
        self.work();
        self.finish();
        let retry = self
            .retry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(retry) = retry {
            retry.thread().unpark();
            if retry.thread().id() != thread::current().id() {
                let _ended = retry.join();
            }
        }
    }

    /// What readers see, to read.
    pub(in crate::store) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last record that was applied, from now on.
    pub(in crate::store) fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Whether the last write went through.
    pub(in crate::store) fn writable(&self) -> Result<(), String> {
        if self.queue().is_closed {
            return Err("the store is closed".to_owned());
        }
        self.memory().failing.clone().map_or(Ok(()), Err)
    }

    /// Reads the history.
    pub(in crate::store) fn records(&self, query: &Query) -> Result<Vec<Record>, ReadError> {
        let (last, unwritten) = {
            let memory = self.memory();
            let lines = memory.unwritten.iter();
            let lines: Vec<String> = lines.map(|written| written.line.clone()).collect();
            (memory.journalled.seq, lines)
        };
        query::read(&self.settings.path, query, last, &unwritten)
    }

    /// Tries whether the disk takes a write again, and writes what could not be written.
    pub(in crate::store) fn try_again(self: &Arc<Self>) -> Tried {
        let mut desk = self.desk();
        if desk.lock.is_none() {
            return Tried::Done;
        }
        let tried = self.flush(&mut desk).and_then(|()| desk.journal.probe());
        if let Err(error) = tried {
            self.memory_mut().failing = Some(error.to_string());
            return Tried::Again;
        }
        self.works();
        // Whoever finds a failure from here on starts another thread.
        desk.is_retrying = false;
        Tried::Done
    }

    /// The thread that tries again, if one was started.
    #[cfg(test)]
    pub(in crate::store) fn retrying(&self) -> Option<JoinHandle<()>> {
        self.retry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, CommitError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        place.map_err(|_| CommitError::Closed)
    }

    /// Puts a job into the queue, and somebody to the desk.
    fn put(self: &Arc<Self>, job: Job) -> Result<(), CommitError> {
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(CommitError::Closed);
        }
        queue.waiting.push_back(job);
        if !mem::replace(&mut queue.is_worked, true) {
            drop(queue);
            let worker = Worker {
                shared: Arc::clone(self),
                is_done: false,
            };
            let _ends_by_itself = task::spawn_blocking(move || worker.work());
        }
        Ok(())
    }

    /// Works until nothing waits.
    fn work(self: &Arc<Self>) {
        loop {
            let mut desk = self.desk();
            let jobs: Vec<Job> = {
                let mut queue = self.queue();
                let n_jobs = queue.waiting.len().min(MAX_BATCH);
                queue.is_worked = n_jobs > 0;
                queue.waiting.drain(..n_jobs).collect()
            };
            if jobs.is_empty() {
                return;
            }
            self.serve(&mut desk, jobs);
        }
    }

    fn serve(self: &Arc<Self>, desk: &mut Desk, jobs: Vec<Job>) {
        let mut commits = Vec::new();
        let mut saves = Vec::new();
        for job in jobs {
            match job {
                Job::Commit(waiting) => commits.push(*waiting),
                Job::Save(answer, place) => saves.push((answer, place)),
            }
        }
        if !commits.is_empty() {
            self.write(desk, commits);
        }
        if !saves.is_empty() {
            let notes = self.memory().notes.clone();
            let saved = notes.save(&self.settings.path).map_err(|error| {
                self.fails(desk, &error.to_string());
                CommitError::Unavailable(error.to_string())
            });
            for (answer, _place) in saves {
                let _nobody_waits = answer.send(saved.clone());
            }
        }
        self.tidy_up(desk);
    }

    /// Writes commits as one, or applies those that must be applied without being written.
    fn write(self: &Arc<Self>, desk: &mut Desk, commits: Vec<Waiting>) {
        if let Err(error) = self.flush(desk) {
            return self.write_later(desk, commits, &error);
        }
        let (written, outcomes) = {
            let memory = self.memory();
            let mut batch = Batch::new(&self.author, &memory.state, memory.applied.clone());
            let outcomes = commits.iter().map(|waiting| {
                let id = desk.ulids.next(waiting.commit.at, random());
                batch.add(&waiting.commit, id)
            });
            let outcomes: Vec<_> = outcomes.collect();
            (batch.written, outcomes)
        };
        if let Err(error) = desk.append(written.iter()) {
            return self.write_later(desk, commits, &error);
        }
        if let Some(last) = written.last() {
            let head = last.head();
            let mut memory = self.memory_mut();
            for written in &written {
                memory.state.apply(&written.record);
            }
            memory.applied = head.clone();
            memory.journalled = head;
            drop(memory);
            self.works();
            self.announce();
        }
        answer(commits, outcomes);
    }

    /// Answers commits that the disk did not take.
    fn write_later(self: &Arc<Self>, desk: &mut Desk, commits: Vec<Waiting>, error: &Error) {
        let why = error.to_string();
        self.fails(desk, &why);
        let outcomes = commits.iter().map(|waiting| {
            let id = desk.ulids.next(waiting.commit.at, random());
            self.apply_unwritten(&waiting.commit, id, &why)
        });
        let outcomes: Vec<_> = outcomes.collect();
        self.announce();
        answer(commits, outcomes);
    }

    fn apply_unwritten(
        &self,
        commit: &Commit,
        id: String,
        why: &str,
    ) -> Result<Committed, CommitError> {
        let mut memory = self.memory_mut();
        let mut batch = Batch::new(&self.author, &memory.state, memory.applied.clone());
        let committed = batch.add(commit, id)?;
        let written = batch.written;
        if commit.urgency == Urgency::Durable {
            return Err(CommitError::Unavailable(why.to_owned()));
        }
        if memory.unwritten.len() + written.len() > MAX_UNWRITTEN {
            let why = format!("{why}, and {MAX_UNWRITTEN} records wait for it");
            return Err(CommitError::Unavailable(why));
        }
        for written in written {
            tracing::error!(record = %written.line, %why, "record kept in memory, the disk does not take it");
            memory.state.apply(&written.record);
            memory.applied = written.head();
            memory.unwritten.push_back(written);
        }
        Ok(committed)
    }

    /// Writes what could not be written.
    fn flush(&self, desk: &mut Desk) -> Result<(), Error> {
        loop {
            let part: Vec<Written> = {
                let memory = self.memory();
                memory.unwritten.iter().take(MAX_BATCH).cloned().collect()
            };
            let Some(last) = part.last() else {
                return Ok(());
            };
            desk.append(part.iter())?;
            let mut memory = self.memory_mut();
            memory.unwritten.drain(..part.len());
            memory.journalled = last.head();
            tracing::info!(
                n_records = part.len(),
                seq = last.record.seq,
                "records written late"
            );
        }
    }

    /// Makes a snapshot and removes old segments, when it is time to.
    fn tidy_up(&self, desk: &mut Desk) {
        let folder = &self.settings.path;
        let (head, state) = {
            let memory = self.memory();
            let n_since = memory.journalled.seq.saturating_sub(desk.snapshot);
            let is_due = self.settings.snapshot_every.max(1) <= n_since;
            if !is_due || !memory.unwritten.is_empty() {
                drop(memory);
                return desk.retire(folder);
            }
            (memory.journalled.clone(), memory.state.clone())
        };
        // Also after a failure the next one is made when as many records have been written again: a
        // start then folds some more of them.
        desk.snapshot = head.seq;
        if let Err(error) = snapshot::write(folder, &self.author.cluster, &head, &state) {
            tracing::warn!(folder = %folder.display(), %error, "no snapshot");
        }
        desk.retire(folder);
    }

    fn finish(&self) {
        let mut desk = self.desk();
        if desk.lock.is_none() {
            return;
        }
        if let Err(error) = self.flush(&mut desk) {
            let n_records = self.memory().unwritten.len();
            tracing::error!(n_records, %error, "records lost, the disk does not take them");
        }
        desk.lock = None;
    }

    fn fails(self: &Arc<Self>, desk: &mut Desk, why: &str) {
        let before = self.memory_mut().failing.replace(why.to_owned());
        if before.is_none() {
            tracing::error!(folder = %self.settings.path.display(), %why, "store not writable");
        }
        if desk.is_retrying {
            return;
        }
        match retry::start(self) {
            Ok(thread) => {
                desk.is_retrying = true;
                *self.retry.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
            }
            Err(error) => tracing::error!(%error, "store not tried again until the next write"),
        }
    }

    fn works(&self) {
        if self.memory_mut().failing.take().is_some() {
            tracing::info!(folder = %self.settings.path.display(), "store writable again");
        }
    }

    fn announce(&self) {
        let revision = self.memory().applied.seq;
        self.revision
            .send_if_modified(|last| mem::replace(last, revision) != revision);
    }

    fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::store) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The thread that is at the desk. When it never gets there (the runtime ends) or is thrown out,
/// the desk is free for another.
struct Worker {
    shared: Arc<Shared>,
    is_done: bool,
}

impl Worker {
    fn work(mut self) {
        self.shared.work();
        self.is_done = true;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.is_done {
            self.shared.queue().is_worked = false;
        }
    }
}

fn random() -> u128 {
    let mut bits = [0; 16];
    // Without it identities are still in order; their time tells them apart.
    let _worked = getrandom::fill(&mut bits);
    u128::from_ne_bytes(bits)
}
