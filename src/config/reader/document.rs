//! The files that are being read as one document, and what was found wrong with them so far.
//!
//! A place in any of them is one number: each file has its stretch of numbers behind that of the
//! file before. So a value need not be told which file it is from, and the order of places is that
//! in which the files were read.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_spanned::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::config::locate::Texts;
use crate::config::problem::{Lines, Problem};
use crate::config::reader::shape::Shape;
use crate::config::reader::trail::Trail;
use crate::config::reader::{Table, Value};
use crate::tls::Inspector;

/// The most files that a configuration may be made of: one for each route of a very large one.
pub(crate) const MAX_FILES: usize = 10_000;

/// The most that the environment may add to a configuration, in bytes: a quarter of what a file may
/// have.
const MAX_ADDED: usize = 16 << 20;

/// Whether the files that a configuration names are looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Disk {
    /// They are read.
    Read,
    /// They are taken to be there and right.
    Ignore,
}

/// Files that are being read, with what was found wrong so far.
pub(crate) struct Document {
    disk: Disk,
    /// The files in the order in which they were read. There is room for as many as there may be,
    /// so that one can be added while others are borrowed.
    texts: Box<[OnceCell<Text>]>,
    n_texts: Cell<usize>,
    /// How much the environment may still add.
    pub(in crate::config::reader) left: Cell<usize>,
    state: RefCell<State>,
    /// Looks at certificates, once there are any.
    inspector: OnceCell<Inspector>,
    /// What the values may be, where somebody listens.
    shape: Option<RefCell<Shape>>,
}

/// One of the files.
pub(crate) struct Text {
    /// Its path.
    pub(crate) path: PathBuf,
    /// What is in it.
    pub(crate) text: String,
    /// The place where it begins.
    pub(crate) start: usize,
    /// Known as soon as somebody asks.
    lines: OnceCell<Lines>,
}

/// What was found, with its places.
#[derive(Default)]
struct State {
    problems: Vec<(usize, Problem)>,
    warnings: Vec<(usize, Problem)>,
    contents: Vec<(PathBuf, Option<[u8; 32]>)>,
    /// Where the environment could not be put in: whatever else is said of these values follows.
    unexpanded: BTreeSet<usize>,
}

/// What was found while a document was read.
#[derive(Debug)]
pub(crate) struct Found {
    /// What is wrong with it, in the order of the files.
    pub(crate) problems: Vec<Problem>,
    /// What is not wrong, but hardly meant; in the order of the files.
    pub(crate) warnings: Vec<Problem>,
    /// The files that hold what values are, and the SHA-256 of each that could be read.
    pub(crate) contents: Vec<(PathBuf, Option<[u8; 32]>)>,
}

impl Document {
    /// Begins without a file.
    pub(crate) fn new(disk: Disk) -> Self {
        Self {
            disk,
            texts: (0..MAX_FILES).map(|_| OnceCell::new()).collect(),
            n_texts: Cell::new(0),
            left: Cell::new(MAX_ADDED),
            state: RefCell::default(),
            inspector: OnceCell::new(),
            shape: None,
        }
    }

    /// Begins without a file, looks at no file that is named, and listens to what values may be
    /// besides what was heard of before.
    pub(crate) fn listening(before: Shape) -> Self {
        Self {
            shape: Some(RefCell::new(before)),
            ..Self::new(Disk::Ignore)
        }
    }

    /// Adds a file; `None` when there are [`MAX_FILES`] already.
    pub(crate) fn add(&self, path: PathBuf, text: String) -> Option<&Text> {
        let n = self.n_texts.get();
        // One place behind the end of a file is still its own.
        let start = match n.checked_sub(1).and_then(|last| self.texts[last].get()) {
            Some(last) => last.start + last.text.len() + 1,
            None => 0,
        };
        let place = self.texts.get(n)?;
        self.n_texts.set(n + 1);
        Some(place.get_or_init(|| Text {
            path,
            text,
            start,
            lines: OnceCell::new(),
        }))
    }

    /// The files so far, in the order in which they were added.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Text> {
        self.texts.iter().map_while(OnceCell::get)
    }

    /// Records a problem at a place.
    pub(crate) fn problem(&self, at: usize, key: &str, message: impl Into<String>) {
        let problem = self.at(at, key, message.into());
        let mut state = self.state.borrow_mut();
        if !state.unexpanded.contains(&at) {
            state.problems.push((at, problem));
        }
    }

    /// Records that the environment could not be put into a value.
    pub(in crate::config::reader) fn unexpanded(&self, at: usize, key: &str, message: String) {
        self.problem(at, key, message);
        self.state.borrow_mut().unexpanded.insert(at);
    }

    /// Records a warning at a place.
    pub(crate) fn warning(&self, at: usize, key: &str, message: impl Into<String>) {
        let warning = self.at(at, key, message.into());
        self.state.borrow_mut().warnings.push((at, warning));
    }

    /// Records a file that holds what a value is, and the SHA-256 of it if it could be read.
    pub(in crate::config::reader) fn read_file(&self, path: PathBuf, sha256: Option<[u8; 32]>) {
        self.state.borrow_mut().contents.push((path, sha256));
    }

    /// Reads all files as one table, the root of all keys.
    pub(crate) fn root<'d, T>(
        &'d self,
        entries: &'d DeTable<'d>,
        read: impl FnOnce(&mut Table<'d>) -> T,
    ) -> T {
        let mut table = Table::new(self, None, 0, entries);
        let result = read(&mut table);
        table.refuse_unknown();
        result
    }

    /// The value of a key of the root.
    pub(crate) fn value<'d>(
        &'d self,
        key: &'d Spanned<DeString<'d>>,
        value: &'d Spanned<DeValue<'d>>,
    ) -> Value<'d> {
        Value {
            document: self,
            trail: Trail::key(None, key.get_ref()),
            key_at: key.span().start,
            spanned: value,
        }
    }

    /// True while nothing is wrong.
    pub(crate) fn is_fine(&self) -> bool {
        self.state.borrow().problems.is_empty()
    }

    /// Whether the files that it names are looked at.
    pub(crate) fn disk(&self) -> Disk {
        self.disk
    }

    /// What looks at certificates; nothing where files are not looked at.
    pub(in crate::config::reader) fn inspector(&self) -> Option<&Inspector> {
        match self.disk {
            Disk::Read => {}
            Disk::Ignore => return None,
        }
        let begin = || Inspector::new(SystemTime::now());
        Some(self.inspector.get_or_init(begin))
    }

    /// The file that a place is in.
    pub(crate) fn text_at(&self, at: usize) -> &Text {
        let texts = &self.texts[..self.n_texts.get()];
        let begins_later = |text: &OnceCell<Text>| text.get().is_none_or(|text| at < text.start);
        let n = texts.partition_point(|text| !begins_later(text));
        let text = n.checked_sub(1).and_then(|n| texts[n].get());
        text.expect("a place is in one of the files, of which there is one")
    }

    /// A place as people write it: `conf.d/shop.toml:14:12`.
    pub(crate) fn place(&self, at: usize) -> String {
        let Problem {
            file, line, column, ..
        } = self.at(at, "", String::new());
        format!("{}:{line}:{column}", file.display())
    }

    /// Resolves a path that is named at a place: relative to the file itself.
    pub(crate) fn resolve(&self, at: usize, path: &str) -> PathBuf {
        match self.text_at(at).path.parent() {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    /// All that was found; afterwards it is as if nothing had been.
    pub(crate) fn take_found(&self) -> Found {
        let State {
            mut problems,
            mut warnings,
            contents,
            unexpanded: _,
        } = self.state.take();
        // Stable sorts: at one place, what was found first comes first.
        problems.sort_by_key(|(at, _)| *at);
        warnings.sort_by_key(|(at, _)| *at);
        Found {
            problems: once(problems),
            warnings: warnings.into_iter().map(|(_, warning)| warning).collect(),
            contents,
        }
    }

    /// Tells what the value at the end of a trail may be, or what the root may be.
    pub(in crate::config::reader) fn tell(
        &self,
        trail: Option<&Trail<'_>>,
        tell: impl FnOnce(&mut Shape),
    ) {
        if let Some(shape) = &self.shape {
            let mut root = shape.borrow_mut();
            tell(match trail {
                Some(trail) => trail.shape(&mut root),
                None => &mut root,
            });
        }
    }

    /// The files.
    pub(crate) fn into_texts(self) -> Texts {
        let texts = self.texts.into_iter().map_while(OnceCell::into_inner);
        Texts::new(texts.map(|text| (text.path, text.text)).collect())
    }

    /// What the root may be, as far as somebody has listened.
    pub(crate) fn into_shape(self) -> Shape {
        self.shape.map(RefCell::into_inner).unwrap_or_default()
    }

    fn at(&self, at: usize, key: &str, message: String) -> Problem {
        let text = self.text_at(at);
        let lines = text.lines.get_or_init(|| Lines::new(&text.text));
        let (line, column) = lines.position(&text.text, at - text.start);
        Problem {
            file: text.path.clone(),
            line,
            column,
            key: in_one_line(key.to_owned()),
            message: in_one_line(message),
        }
    }
}

impl Text {
    /// What stands at these places.
    pub(in crate::config::reader) fn get(&self, places: Range<usize>) -> Option<&str> {
        let start = places.start.checked_sub(self.start)?;
        let end = places.end.checked_sub(self.start)?;
        self.text.get(start..end)
    }
}

/// Problems, which are in the order of their places, without those that were told already: the parser
/// of TOML stumbles several times over some things.
fn once(problems: Vec<(usize, Problem)>) -> Vec<Problem> {
    let mut once: Vec<(usize, Problem)> = Vec::with_capacity(problems.len());
    for problem in problems {
        let mut here = once.iter().rev().take_while(|(at, _)| *at == problem.0);
        if !here.any(|told| *told == problem) {
            once.push(problem);
        }
    }
    once.into_iter().map(|(_, problem)| problem).collect()
}

/// A text of which no line break or other control character is left: a problem is one line, also for
/// a terminal.
fn in_one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line
}
