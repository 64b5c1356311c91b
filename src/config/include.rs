//! Reading the files that a configuration includes, and those that these include.
//!
//! Each is read once, whoever names it again. What it holds is merged with what was read before; a
//! way back to a file that leads here has no end, and is refused.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_spanned::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::config::disk;
use crate::config::pattern::{Match, Matches, Pattern, Target};
use crate::config::reader::{Disk, Document, MAX_FILES, Value, expand, merge, shift};
use crate::config::sources::Sources;
use crate::config::unit::write_size;

/// The largest file that is read, in bytes: a configuration of 100 000 routes is a third of it, and
/// a path that leads to a device ends here.
pub(crate) const MAX_FILE: u64 = 64 << 20;
/// The most that all files may have together, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// How deep files may include files: deeper than anybody can follow.
const MAX_DEPTH: usize = 8;

/// The key that includes files.
pub(crate) const INCLUDE: &str = "include";
/// What belongs there.
pub(crate) const INCLUDES: &str = "a list of paths and patterns such as [\"conf.d/*.toml\"]";

/// Reads a file and all that it includes.
pub(crate) struct Reading<'d, 'e> {
    document: &'d Document,
    variable: &'e dyn Fn(&str) -> Option<OsString>,
    /// All of them as one table.
    entries: DeTable<'d>,
    /// False as soon as one of them is no TOML.
    is_toml: bool,
    n_bytes: u64,
    /// The files that lead to the one that is being read, and itself: as named, and as they are.
    chain: Vec<(PathBuf, PathBuf)>,
    /// The files that were read, as they are.
    seen: HashSet<PathBuf>,
    sources: Sources,
}

/// A key with its value.
type Entry<'d> = (Spanned<DeString<'d>>, Spanned<DeValue<'d>>);

/// What was read.
pub(crate) struct Read<'d> {
    /// All files as one table; `None` when one of them is no TOML.
    pub(crate) entries: Option<DeTable<'d>>,
    /// The files, and the patterns that led to them or may lead to others.
    pub(crate) sources: Sources,
}

impl<'d, 'e> Reading<'d, 'e> {
    /// Reads what is in the first file and all that it includes; `variable` knows the environment.
    pub(crate) fn of(
        document: &'d Document,
        path: &Path,
        bytes: Vec<u8>,
        variable: &'e dyn Fn(&str) -> Option<OsString>,
    ) -> Read<'d> {
        let mut reading = Self::new(document, path, variable);
        let real = real(path);
        reading.seen.insert(real.clone());
        reading.file(path.to_path_buf(), real, bytes);
        reading.done()
    }

    /// Reads once more what was read before from the first file and all that it includes, in the order
    /// of then, wherever that is now.
    pub(crate) fn again(
        document: &'d Document,
        path: &Path,
        texts: Vec<(PathBuf, String)>,
        variable: &'e dyn Fn(&str) -> Option<OsString>,
    ) -> Read<'d> {
        let mut reading = Self::new(document, path, variable);
        for (path, text) in texts {
            reading.sources.add_file(path.clone());
            // What it includes comes by itself.
            let _include = reading.take(&path, text.into_bytes());
        }
        reading.done()
    }

    fn new(
        document: &'d Document,
        path: &Path,
        variable: &'e dyn Fn(&str) -> Option<OsString>,
    ) -> Self {
        Self {
            document,
            variable,
            entries: DeTable::new(),
            is_toml: true,
            n_bytes: 0,
            chain: Vec::new(),
            seen: HashSet::new(),
            sources: Sources::of(path.to_path_buf()),
        }
    }

    fn done(self) -> Read<'d> {
        Read {
            entries: self.is_toml.then_some(self.entries),
            sources: self.sources,
        }
    }

    /// Takes in a file and all that it includes.
    fn file(&mut self, path: PathBuf, real: PathBuf, bytes: Vec<u8>) {
        if let Some((key, value)) = self.take(&path, bytes) {
            self.chain.push((path, real));
            self.includes(&key, &value);
            self.chain.pop();
        }
    }

    /// Takes in a file, and gives what it includes.
    fn take(&mut self, path: &Path, bytes: Vec<u8>) -> Option<Entry<'d>> {
        self.n_bytes += bytes.len() as u64;
        let (text, error) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                (text, Some((at, error.as_bytes()[at])))
            }
        };
        let text = self.document.add(path.to_path_buf(), text)?;
        if let Some((at, byte)) = error {
            let message = format!("byte 0x{byte:02x} is not UTF-8");
            self.document.problem(text.start + at, "", message);
            self.is_toml = false;
            return None;
        }
        let (table, errors) = DeTable::parse_recoverable(&text.text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            self.document.problem(text.start + at, "", error.message());
        }
        if !errors.is_empty() {
            // Beside a syntax error, what could be read may not be what was meant.
            self.is_toml = false;
            return None;
        }
        let mut table = table.into_inner();
        shift(&mut table, text.start);
        expand(self.document, &mut table, &text.text, self.variable);
        let include = table.remove_entry(INCLUDE);
        merge(self.document, &mut self.entries, table);
        include
    }

    /// Follows an `include`.
    fn includes(&mut self, key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let folder = self.chain.last().and_then(|(path, _)| path.parent());
        let folder = folder.unwrap_or(Path::new("")).to_path_buf();
        let document = self.document;
        document.value(key, value).list(INCLUDES, |value| {
            let text = value.string()?;
            match Target::parse(&folder, text) {
                Ok(Target::File(path)) => self.named(value, path),
                Ok(Target::Files(pattern)) => self.matching(value, pattern),
                Err(what) => value.refuse(format!("{} {what}", value.shown())),
            }
            Some(())
        });
    }

    /// Includes a file that is named.
    fn named(&mut self, value: &Value<'_>, path: PathBuf) {
        match self.document.disk() {
            Disk::Read => {}
            Disk::Ignore => return,
        }
        self.sources.add_file(path.clone());
        if path.is_dir() {
            let pattern = path.join("*.toml");
            value.refuse(format!(
                "{} is a folder; \"{}\" takes the files in it",
                path.display(),
                pattern.display()
            ));
            return;
        }
        let at = path.clone();
        self.one(value, Match { path, at });
    }

    /// Includes the files that match a pattern.
    fn matching(&mut self, value: &Value<'_>, pattern: Pattern) {
        match self.document.disk() {
            Disk::Read => {}
            Disk::Ignore => return,
        }
        let matches = pattern.look();
        self.sources.add_pattern(pattern);
        let Matches { files, dangling } = match matches {
            Ok(matches) => matches,
            Err(error) => {
                return value.refuse(format!("{} cannot be followed: {error}", value.shown()));
            }
        };
        for link in dangling {
            value.warn(format!(
                "{} is a link to nowhere, and left out",
                link.display()
            ));
        }
        for file in files {
            // One that has gone meanwhile matches no more.
            if file.at.exists() {
                self.sources.add_file(file.path.clone());
                self.one(value, file);
            }
        }
    }

    /// Includes a file.
    fn one(&mut self, value: &Value<'_>, file: Match) {
        let Match { path, at } = file;
        let real = real(&at);
        if self.chain.iter().any(|(_, file)| *file == real) {
            let way: Vec<String> = self
                .chain
                .iter()
                .map(|(path, _)| path.display().to_string())
                .collect();
            value.refuse(format!(
                "a circle without an end: {} includes {}",
                way.join(" includes "),
                path.display()
            ));
            return;
        }
        if MAX_DEPTH < self.chain.len() {
            value.refuse(format!(
                "{} would be {} files deep; {MAX_DEPTH} are allowed",
                path.display(),
                self.chain.len()
            ));
            return;
        }
        if !self.seen.insert(real.clone()) {
            return;
        }
        if MAX_FILES < self.seen.len() {
            value.refuse(format!("more than {MAX_FILES} files"));
            return;
        }
        let bytes = match disk::read(&at, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) => {
                value.refuse(format!("{} cannot be read: {error}", path.display()));
                return;
            }
        };
        if MAX_BYTES < self.n_bytes + bytes.len() as u64 {
            value.refuse(format!(
                "with {} all files have more than {} together",
                path.display(),
                write_size(MAX_BYTES)
            ));
            return;
        }
        self.file(path, real, bytes);
    }
}

/// The path of a file without links, as far as it is there; what two names have in common.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}
