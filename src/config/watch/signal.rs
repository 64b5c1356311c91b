//! What the system's events mean, and how they reach the watching task.
//!
//! Events are folded into one value, so that any number of them takes no memory. What happens to
//! names that do not matter is dropped at once: the folder may hold a busy log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind, RenameMode};
use tokio::sync::Notify;

use crate::config::watch::chain::Interest;

/// What has happened since somebody last asked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
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
}

impl Signal {
    /// Takes in what one event tells.
    pub(crate) fn take_in(&self, event: notify::Result<Event>) {
        let mut state = self.lock();
        let seen = match event {
            Ok(event) => classify(&event, &state.interest),
            // Events were lost: anything may have happened.
            Err(_) => Seen {
                partial: true,
                ..Seen::default()
            },
        };
        if seen == Seen::default() {
            return;
        }
        state.seen.complete |= seen.complete;
        state.seen.partial |= seen.partial;
        state.seen.lost.extend(seen.lost);
        drop(state);
        self.wake.notify_one();
    }

    /// Waits until something has happened.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// What has happened since this was last asked.
    pub(crate) fn seen(&self) -> Seen {
        std::mem::take(&mut self.lock().seen)
    }

    /// Says which names matter from now on.
    pub(crate) fn attend_to(&self, interest: Interest) {
        self.lock().interest = interest;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn classify(event: &Event, interest: &Interest) -> Seen {
    let mut seen = Seen {
        partial: event.need_rescan(),
        ..Seen::default()
    };
    let matters = |path: &Path| interest.names.contains(path);
    let any_matters = || event.paths.iter().any(|path| matters(path));
    let folders = || {
        let paths = event.paths.iter();
        paths
            .filter(|path| interest.folders.contains(*path))
            .cloned()
            .collect()
    };
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => seen.complete = any_matters(),
        // Reading changes nothing, and we read ourselves.
        EventKind::Access(_) => {}
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            seen.partial |= any_matters();
            seen.lost = folders();
        }
        EventKind::Modify(ModifyKind::Name(_)) => {
            // Of a pair, the second is the new name.
            seen.complete = event.paths.last().is_some_and(|path| matters(path));
            seen.partial |= any_matters();
        }
        EventKind::Create(_) => {
            seen.complete = event
                .paths
                .iter()
                .any(|path| matters(path) && path.is_symlink());
            seen.partial |= any_matters();
        }
        EventKind::Remove(_) => {
            seen.partial |= any_matters();
            seen.lost = folders();
        }
        EventKind::Modify(_) | EventKind::Any | EventKind::Other => seen.partial |= any_matters(),
    }
    seen
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
    use crate::config::watch::signal::{Seen, classify};

    /// What was seen: complete, partial.
    fn seen(complete: bool, partial: bool) -> Seen {
        Seen {
            complete,
            partial,
            lost: BTreeSet::new(),
        }
    }

    #[track_caller]
    fn check(kind: EventKind, paths: &[&str], expected: &Seen) {
        let interest = Interest {
            names: BTreeSet::from([PathBuf::from("/c/f"), PathBuf::from("/c")]),
            folders: BTreeSet::from([PathBuf::from("/c"), PathBuf::from("/")]),
        };
        let mut event = Event::new(kind);
        event.paths = paths.iter().map(PathBuf::from).collect();
        assert_eq!(&classify(&event, &interest), expected, "{event:?}");
    }

    #[test]
    fn a_close_after_writing_is_complete() {
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        check(close, &["/c/f"], &seen(true, false));
        check(close, &["/c/log"], &seen(false, false));
    }

    #[test]
    fn a_rename_is_complete_at_its_new_name() {
        let name = |mode| EventKind::Modify(ModifyKind::Name(mode));
        check(name(RenameMode::To), &["/c/f"], &seen(true, true));
        check(
            name(RenameMode::Both),
            &["/c/tmp", "/c/f"],
            &seen(true, true),
        );
        check(
            name(RenameMode::Both),
            &["/c/f", "/c/f~"],
            &seen(false, true),
        );
        check(name(RenameMode::From), &["/c/f"], &seen(false, true));
        check(name(RenameMode::To), &["/c/other"], &seen(false, false));
    }

    #[test]
    fn writes_and_removals_are_partial() {
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        check(data, &["/c/f"], &seen(false, true));
        check(data, &["/c/log"], &seen(false, false));
        let metadata = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        check(metadata, &["/c/f"], &seen(false, true));
        check(
            EventKind::Create(CreateKind::File),
            &["/c/f"],
            &seen(false, true),
        );
        check(
            EventKind::Remove(RemoveKind::File),
            &["/c/f"],
            &seen(false, true),
        );
    }

    #[test]
    fn reading_is_nothing() {
        check(
            EventKind::Access(AccessKind::Open(AccessMode::Any)),
            &["/c/f"],
            &seen(false, false),
        );
    }

    #[test]
    fn a_folder_that_goes_away_takes_its_watch_with_it() {
        let from = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        for kind in [EventKind::Remove(RemoveKind::Folder), from] {
            let lost = Seen {
                lost: BTreeSet::from([PathBuf::from("/c")]),
                ..seen(false, true)
            };
            check(kind, &["/c"], &lost);
        }
    }

    #[test]
    fn an_overflow_may_hide_anything() {
        let event = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(classify(&event, &Interest::default()), seen(false, true));
    }
}
