//! The watches on folders, and how the files look now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tracing::{debug, warn};

use crate::config::sources::Sources;
use crate::config::watch::chain::Interest;
use crate::config::watch::signal::Signal;

/// How often the way is followed anew because it has changed meanwhile.
const MAX_ROUNDS: usize = 4;

/// How a file looks from outside; a change of its content changes this.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// How all files look from outside, and those that match; `None` is a file that is not there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Looks(BTreeMap<PathBuf, Option<Look>>);

impl Looks {
    /// Looks at all files, through their links.
    pub(crate) fn of(sources: &Sources) -> Self {
        let look = |file: &Path| {
            let metadata = fs::metadata(file).ok()?;
            Some(Look {
                device: metadata.dev(),
                inode: metadata.ino(),
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            })
        };
        let named = sources.files().map(Path::to_path_buf);
        let matches = sources.patterns().filter_map(|pattern| pattern.look().ok());
        let matching = matches.flat_map(|matches| matches.files);
        let matching = matching.map(|it| it.at);
        let all: BTreeSet<PathBuf> = named.chain(matching).collect();
        let looks = all.into_iter().map(|file| {
            let look = look(&file);
            (file, look)
        });
        Self(looks.collect())
    }
}

/// The watches that are set.
pub(crate) struct Armed {
    /// `None` where the system gives no watches: polling has to do then.
    watcher: Option<RecommendedWatcher>,
    /// Each folder with the device and inode that the watch is on.
    folders: BTreeMap<PathBuf, (u64, u64)>,
    signal: Arc<Signal>,
}

impl Armed {
    /// Begins without any watch; what happens later is told to `signal`.
    pub(crate) fn new(signal: Arc<Signal>) -> Self {
        let events = Arc::clone(&signal);
        let watcher = notify::recommended_watcher(move |event| events.take_in(event))
            .inspect_err(|error| warn!(%error, "no file watching, polling instead"))
            .ok();
        Self {
            watcher,
            ..Self::polling(signal)
        }
    }

    /// Begins without any watch, for good.
    pub(crate) fn polling(signal: Arc<Signal>) -> Self {
        Self {
            watcher: None,
            folders: BTreeMap::new(),
            signal,
        }
    }

    /// Forgets the watches on folders that went away: what is there now is another folder, even
    /// if it has the old one's inode.
    pub(crate) fn forget(&mut self, folders: &BTreeSet<PathBuf>) {
        for folder in folders {
            if self.folders.remove(folder).is_some() {
                self.unwatch(folder);
            }
        }
    }

    /// Sets the watches that the sources need now and takes away the others. True when there was
    /// anything to set: what happened before in that folder was not seen.
    pub(crate) fn arm(&mut self, sources: &Sources) -> bool {
        let mut has_changed = false;
        for _ in 0..MAX_ROUNDS {
            let interest = Interest::of(sources);
            let folders = interest.folders.clone();
            // First the names, then the watches: no event may come too early to be understood.
            self.signal.attend_to(interest);
            if !self.watch_only(&folders) {
                break;
            }
            has_changed = true;
        }
        has_changed
    }

    /// Watches these folders and no others; true when one of them was not watched before.
    fn watch_only(&mut self, folders: &BTreeSet<PathBuf>) -> bool {
        let gone: Vec<PathBuf> = self
            .folders
            .keys()
            .filter(|folder| !folders.contains(*folder))
            .cloned()
            .collect();
        for folder in gone {
            self.folders.remove(&folder);
            self.unwatch(&folder);
        }
        let mut has_changed = false;
        for folder in folders {
            let Ok(metadata) = fs::metadata(folder) else {
                continue;
            };
            let identity = (metadata.dev(), metadata.ino());
            let before = self.folders.insert(folder.clone(), identity);
            if before == Some(identity) {
                continue;
            }
            if before.is_some() {
                self.unwatch(folder);
            }
            has_changed = true;
            if let Some(watcher) = &mut self.watcher
                && let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive)
            {
                // Such as no permission to read it; polling finds what happens there.
                debug!(folder = %folder.display(), %error, "folder not watched");
            }
        }
        has_changed
    }

    fn unwatch(&mut self, folder: &Path) {
        if let Some(watcher) = &mut self.watcher {
            // It may be gone together with its folder.
            let _ = watcher.unwatch(folder);
        }
    }
}
