//! From files to a configuration: read, check, look for the files that they name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::disk;
use crate::config::include::{MAX_FILE, Read, Reading};
use crate::config::listener::NamedFile;
use crate::config::locate::Texts;
use crate::config::problem::{Problem, Problems};
use crate::config::reader::{Disk, Document};
use crate::config::sections;
use crate::config::settings::Config;
use crate::config::sources::Sources;

/// A configuration with all that was read to get it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is not wrong with it, but hardly meant.
    pub warnings: Vec<Problem>,
    /// The SHA-256 of the file, or, where it includes others, of all of them one after the other in
    /// the order in which they are read.
    pub sha256: [u8; 32],
    /// The SHA-256 over these files and all that they name: equal when nothing has changed.
    pub files_sha256: [u8; 32],
    /// What it was read from: the files, those that they include, certificates, keys, secrets,
    /// pages.
    pub sources: Sources,
    /// The texts of the files, to find places in them.
    pub texts: Texts,
}

impl Loaded {
    /// Notes what is to be watched besides: what a refused configuration was read from.
    pub fn watch_also(&mut self, sources: &Sources) {
        self.sources.extend(sources);
    }
}

/// Loads the configuration in a file.
///
/// # Errors
/// All that is wrong with it.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let bytes = disk::read(path, MAX_FILE).map_err(|error| {
        Problems::of_file(path.to_path_buf(), format!("cannot be read: {error}"))
    })?;
    loaded(path, |document| {
        Reading::of(document, path, bytes, &variable)
    })
}

/// Loads a configuration from the texts that it was read from before, the file `path` and all that it
/// included; the other files that they name are read from disk.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn again(texts: Vec<(PathBuf, String)>, path: &Path) -> Result<Loaded, Problems> {
    loaded(path, |document| {
        Reading::again(document, path, texts, &variable)
    })
}

/// Loads a configuration from its text, as if it had come from the file `path`; the files that it
/// names are read from disk.
///
/// # Errors
/// All that is wrong with it.
pub fn parse(text: String, path: &Path) -> Result<Loaded, Problems> {
    let bytes = text.into_bytes();
    loaded(path, |document| {
        Reading::of(document, path, bytes, &variable)
    })
}

/// Checks a text as [`load`] does, but looks at nothing besides it: no file that it names, and no
/// environment. Gives the configuration with what is hardly meant in it.
///
/// Nobody else has a use for it, but it is how texts are read that nobody would want to obey: a
/// fuzzer's.
///
/// # Errors
/// All that is wrong with it.
#[doc(hidden)]
pub fn parse_alone(bytes: Vec<u8>, path: &Path) -> Result<(Config, Vec<Problem>), Problems> {
    let checked = check(bytes, path, Disk::Ignore, &|_| None, |_| {});
    checked.config.map(|config| (config, checked.warnings))
}

/// What a variable of the environment is.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn loaded(
    path: &Path,
    read: impl for<'d> FnOnce(&'d Document) -> Read<'d>,
) -> Result<Loaded, Problems> {
    let mut named = Vec::new();
    let checked = check_what(path, Disk::Read, read, |files| {
        for NamedFile { value, path } in files {
            match disk::read(&path, MAX_FILE) {
                Ok(bytes) => named.push((path, Some(Sha256::digest(&bytes).into()))),
                Err(error) => {
                    value.refuse(format!("{} cannot be read: {error}", path.display()));
                    named.push((path, None));
                }
            }
        }
    });
    let mut sources = checked.sources;
    let mut hash = checked.hash;
    named.extend(checked.contents);
    for (path, sha256) in named {
        hash.update(sha256.unwrap_or_default());
        sources.add_file(path);
    }
    match checked.config {
        Ok(config) => Ok(Loaded {
            config,
            warnings: checked.warnings,
            sha256: checked.sha256,
            files_sha256: hash.finalize().into(),
            sources,
            texts: checked.texts,
        }),
        Err(problems) => Err(problems.with_sources(sources)),
    }
}

/// A text that was checked, with all that it includes.
pub(crate) struct Checked {
    /// The configuration, or all that is wrong with it.
    pub(crate) config: Result<Config, Problems>,
    /// What is not wrong with it, but hardly meant; only of a configuration that holds.
    pub(crate) warnings: Vec<Problem>,
    /// The files that hold what values are, and the SHA-256 of each that could be read.
    pub(crate) contents: Vec<(PathBuf, Option<[u8; 32]>)>,
    /// The SHA-256 of all texts, one after the other.
    pub(crate) sha256: [u8; 32],
    /// What the SHA-256 of each, and its path, make together.
    hash: Sha256,
    /// What it was read from: the files and patterns.
    pub(crate) sources: Sources,
    /// The texts of the files.
    texts: Texts,
}

/// Reads and checks a text with all that it includes; `variable` knows the environment, and `look` is
/// given the files that are named and that nobody has read yet, and may record problems.
pub(crate) fn check(
    bytes: Vec<u8>,
    path: &Path,
    disk: Disk,
    variable: &dyn Fn(&str) -> Option<OsString>,
    look: impl for<'d> FnOnce(Vec<NamedFile<'d>>),
) -> Checked {
    check_what(
        path,
        disk,
        |document| Reading::of(document, path, bytes, variable),
        look,
    )
}

/// Checks what is read of the file `path`.
fn check_what(
    path: &Path,
    disk: Disk,
    read: impl for<'d> FnOnce(&'d Document) -> Read<'d>,
    look: impl for<'d> FnOnce(Vec<NamedFile<'d>>),
) -> Checked {
    let document = Document::new(disk);
    let Read { entries, sources } = read(&document);
    let config =
        entries.and_then(|entries| document.root(&entries, |root| sections::read(root, look)));
    let found = document.take_found();
    let config = match (Problems::new(found.problems, sources.clone()), config) {
        (None, Some(config)) => Ok(config),
        (Some(problems), _) => Err(problems),
        (None, None) => Err(Problems::of_file(
            path.to_path_buf(),
            String::from("cannot be understood"),
        )),
    };
    let mut each = Sha256::new();
    let mut only = None;
    for (n, text) in document.texts().enumerate() {
        let own = Sha256::digest(&text.text);
        each.update(Sha256::digest(text.path.as_os_str().as_bytes()));
        each.update(own);
        only = (n == 0).then_some(own);
    }
    // One text alone, as most are, is read no second time.
    let all = only.unwrap_or_else(|| {
        let mut all = Sha256::new();
        document.texts().for_each(|text| all.update(&text.text));
        all.finalize()
    });
    Checked {
        warnings: if config.is_ok() {
            found.warnings
        } else {
            Vec::new()
        },
        contents: found.contents,
        config,
        sha256: all.into(),
        hash: each,
        sources,
        texts: document.into_texts(),
    }
}
