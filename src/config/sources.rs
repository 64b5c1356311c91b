//! What a configuration is read from: the files, and the patterns that may lead to more of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::pattern::Pattern;

/// What a configuration is read from. When any of it changes, another look is due.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sources {
    files: BTreeSet<PathBuf>,
    patterns: BTreeSet<Pattern>,
}

impl Sources {
    /// Begins with one file.
    pub fn of(file: PathBuf) -> Self {
        Self {
            files: BTreeSet::from([file]),
            patterns: BTreeSet::new(),
        }
    }

    /// Adds a file, whether it is there or not.
    pub(crate) fn add_file(&mut self, file: PathBuf) {
        self.files.insert(file);
    }

    /// Adds a pattern, whether it matches something or not.
    pub(crate) fn add_pattern(&mut self, pattern: Pattern) {
        self.patterns.insert(pattern);
    }

    /// Adds all of another.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.files.extend(other.files.iter().cloned());
        self.patterns.extend(other.patterns.iter().cloned());
    }

    /// The files: configuration, certificates, keys, secrets, pages; each once, in order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// True when the file is one of them.
    pub fn has(&self, file: &Path) -> bool {
        self.files.contains(file)
    }

    /// The patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter()
    }
}
