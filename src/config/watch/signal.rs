//! What the system's events mean, and how they reach the watching task.
//!
//! Events are folded into one value, so that any number of them takes no memory. What happens to
//! names that do not matter is dropped at once: the folder may hold a busy log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind, RenameMode};
use tokio::sync::Notify;

use crate::config::watch::chain::Interest;

/// What has happened since somebody last asked.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Seen {
    /// Something that is complete by nature: a rename, a new link, a close after writing.
    pub(crate) complete: bool,
    /// Something that may be the first of several: a write, a removal, a new file.
    pub(crate) partial: bool,
    /// The folders that went away, and the watches on them too.
    pub(crate) lost: BTreeSet<PathBuf>,
}

/// The way from the events' thread to the watching task.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    interest: Interest,
    seen: Seen,
    /// The names to which something partial happened, and nothing complete after it.
    unfinished: BTreeSet<PathBuf>,
}

impl Signal {
    /// Takes in what one event tells.
    pub(crate) fn take_in(&self, event: notify::Result<Event>) {
        let mut state = self.lock();
        match event {
            Ok(event) => state.note(&event),
            // Events were lost: anything may have happened.
            Err(_) => state.seen.partial = true,
        }
        if state.seen != Seen::default() {
            self.wake.notify_one();
        }
    }

    /// Waits until something has happened.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// What has happened since this was last asked.
    pub(crate) fn seen(&self) -> Seen {
        std::mem::take(&mut self.lock().seen)
    }

    /// True while a file that matters may be half-written.
    pub(crate) fn has_unfinished(&self) -> bool {
        !self.lock().unfinished.is_empty()
    }

    /// Takes all files as finished: it was quiet long enough.
    pub(crate) fn finish(&self) {
        self.lock().unfinished.clear();
    }

    /// Says which names matter from now on.
    pub(crate) fn attend_to(&self, interest: Interest) {
        let mut state = self.lock();
        state.unfinished.retain(|name| interest.has(name));
        state.interest = interest;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, event: &Event) {
        self.seen.partial |= event.need_rescan();
        let paths = event.paths.iter().map(PathBuf::as_path);
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                paths.for_each(|path| self.complete(path));
            }
            // Reading changes nothing, and we read ourselves.
            EventKind::Access(_) => {}
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => {
                for path in paths {
                    self.partial(path);
                    if self.interest.folders.contains(path) {
                        self.seen.lost.insert(path.to_path_buf());
                    }
                }
            }
            EventKind::Modify(ModifyKind::Name(_)) => {
                // Of a pair, the second is the new name.
                let last = event.paths.len().saturating_sub(1);
                for (n, path) in paths.enumerate() {
                    if n == last {
                        self.complete(path);
                    } else {
                        self.partial(path);
                    }
                }
            }
            EventKind::Create(_) => {
                for path in paths {
                    if self.interest.has(path) && path.is_symlink() {
                        self.complete(path);
                    } else {
                        self.partial(path);
                    }
                }
            }
            EventKind::Modify(_) | EventKind::Any | EventKind::Other => {
                paths.for_each(|path| self.partial(path));
            }
        }
    }

    fn complete(&mut self, path: &Path) {
        if self.interest.has(path) {
            self.unfinished.remove(path);
            self.seen.complete = true;
        }
    }

    fn partial(&mut self, path: &Path) {
        if self.interest.has(path) {
            self.seen.partial = true;
            // A folder is never half-written, only what is in it.
            if !self.interest.folders.contains(path) {
                self.unfinished.insert(path.to_path_buf());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use notify::event::{
        AccessKind, AccessMode, CreateKind, DataChange, Event, EventKind, Flag, MetadataKind,
        ModifyKind, RemoveKind, RenameMode,
    };

    use crate::config::watch::chain::Interest;
    use crate::config::watch::signal::{Seen, Signal};

    const WRITE: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const REMOVE: EventKind = EventKind::Remove(RemoveKind::File);

    const fn name(mode: RenameMode) -> EventKind {
        EventKind::Modify(ModifyKind::Name(mode))
    }

    fn interest(names: &[&str]) -> Interest {
        Interest {
            names: names.iter().map(PathBuf::from).collect(),
            folders: BTreeSet::from([PathBuf::from("/c"), PathBuf::from("/")]),
            ..Interest::default()
        }
    }

    fn signal() -> Signal {
        let signal = Signal::default();
        signal.attend_to(interest(&["/c/f", "/c/key", "/c"]));
        signal
    }

    fn happen(signal: &Signal, kind: EventKind, paths: &[&str]) {
        let mut event = Event::new(kind);
        event.paths = paths.iter().map(PathBuf::from).collect();
        signal.take_in(Ok(event));
    }

    /// What is seen after one event, and whether a file may be half-written then.
    #[track_caller]
    fn check(kind: EventKind, paths: &[&str], complete: bool, partial: bool) {
        let signal = signal();
        happen(&signal, kind, paths);
        let seen = signal.seen();
        assert_eq!((seen.complete, seen.partial), (complete, partial));
        assert_eq!(signal.has_unfinished(), partial);
        assert_eq!(signal.seen(), Seen::default());
    }

    #[test]
    fn a_close_after_writing_is_complete() {
        check(CLOSE, &["/c/f"], true, false);
        check(CLOSE, &["/c/log"], false, false);
    }

    #[test]
    fn a_rename_is_complete_at_its_new_name() {
        check(name(RenameMode::To), &["/c/f"], true, false);
        check(name(RenameMode::Both), &["/c/tmp", "/c/f"], true, false);
        check(name(RenameMode::Both), &["/c/f", "/c/f~"], false, true);
        check(name(RenameMode::From), &["/c/f"], false, true);
        check(name(RenameMode::To), &["/c/other"], false, false);
    }

    #[test]
    fn writes_and_removals_are_partial() {
        check(WRITE, &["/c/f"], false, true);
        check(WRITE, &["/c/log"], false, false);
        let metadata = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        check(metadata, &["/c/f"], false, true);
        check(EventKind::Create(CreateKind::File), &["/c/f"], false, true);
        check(REMOVE, &["/c/f"], false, true);
    }

    #[test]
    fn reading_is_nothing() {
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        check(open, &["/c/f"], false, false);
    }

    #[test]
    fn what_is_begun_is_finished_by_its_own_completion_only() {
        let signal = signal();
        happen(&signal, WRITE, &["/c/f"]);
        happen(&signal, CLOSE, &["/c/key"]);
        assert!(signal.has_unfinished());
        happen(&signal, CLOSE, &["/c/f"]);
        assert!(!signal.has_unfinished());
        happen(&signal, WRITE, &["/c/f"]);
        assert!(signal.has_unfinished());
        signal.finish();
        assert!(!signal.has_unfinished());
    }

    #[test]
    fn what_matters_no_more_is_not_waited_for() {
        let signal = signal();
        happen(&signal, REMOVE, &["/c/key"]);
        signal.attend_to(interest(&["/c/f"]));
        assert!(!signal.has_unfinished());
    }

    #[test]
    fn a_folder_that_goes_away_takes_its_watch_with_it() {
        for kind in [
            EventKind::Remove(RemoveKind::Folder),
            name(RenameMode::From),
        ] {
            let signal = signal();
            happen(&signal, kind, &["/c"]);
            assert_eq!(signal.seen().lost, BTreeSet::from([PathBuf::from("/c")]));
        }
    }

    #[test]
    fn an_overflow_may_hide_anything() {
        let signal = signal();
        signal.take_in(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(signal.seen().partial);
    }
}
