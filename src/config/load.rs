//! From a file to a configuration: read, check, look for the files that it names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use crate::config::disk;
use crate::config::listener::NamedFile;
use crate::config::problem::{Lines, Problem, Problems};
use crate::config::reader::{Disk, Document, expand};
use crate::config::sections;
use crate::config::settings::Config;

/// The largest file that is read, in bytes: a configuration of 10 000 routes is a fifth of it, and
/// a path that leads to a device ends here.
const MAX_FILE: u64 = 16 << 20;

/// A configuration with all that was read to get it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is not wrong with it, but hardly meant.
    pub warnings: Vec<Problem>,
    /// The text of the file.
    pub text: String,
    /// The SHA-256 of the file.
    pub sha256: [u8; 32],
    /// The SHA-256 over the file and all files that it names: equal when nothing has changed.
    pub files_sha256: [u8; 32],
    /// The file and all files that it names: certificates, keys, secrets.
    pub files: Vec<PathBuf>,
}

/// Loads the configuration in a file.
///
/// # Errors
/// All that is wrong with it.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let bytes = disk::read(path, MAX_FILE).map_err(|error| {
        Problems::of_file(path.to_path_buf(), format!("cannot be read: {error}"))
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(text, path),
        Err(error) => Err(not_utf8(path, &error)),
    }
}

/// Loads a configuration from its text, as if it had come from the file `path`; the files that it
/// names are read from disk.
///
/// # Errors
/// All that is wrong with it.
pub fn parse(text: String, path: &Path) -> Result<Loaded, Problems> {
    let mut files = Files::of(path, &text);
    let checked = check(
        &text,
        path,
        Disk::Read,
        &|name| std::env::var_os(name),
        |named| {
            for NamedFile { value, path } in named {
                match disk::read(&path, MAX_FILE) {
                    Ok(bytes) => files.add(path, Some(Sha256::digest(&bytes).into())),
                    Err(error) => {
                        value.refuse(format!("{} cannot be read: {error}", path.display()));
                        files.add(path, None);
                    }
                }
            }
        },
    );
    for (path, sha256) in checked.secrets {
        files.add(path, sha256);
    }
    let config = match checked.config {
        Ok(config) => config,
        Err(problems) => return Err(problems.with_files(files.paths)),
    };
    Ok(Loaded {
        config,
        warnings: checked.warnings,
        sha256: Sha256::digest(&text).into(),
        files_sha256: files.hash.finalize().into(),
        files: files.paths,
        text,
    })
}

/// A text that was checked.
pub(crate) struct Checked {
    /// The configuration, or all that is wrong with it.
    pub(crate) config: Result<Config, Problems>,
    /// What is not wrong with it, but hardly meant; only of a configuration that holds.
    pub(crate) warnings: Vec<Problem>,
    /// The files that hold secrets, and the SHA-256 of each that could be read.
    pub(crate) secrets: Vec<(PathBuf, Option<[u8; 32]>)>,
}

/// Reads and checks a text; `variable` knows the environment, and `look` is given the files that
/// the text names besides secrets, and may record problems.
pub(crate) fn check(
    text: &str,
    path: &Path,
    disk: Disk,
    variable: &dyn Fn(&str) -> Option<OsString>,
    look: impl for<'d> FnOnce(Vec<NamedFile<'d>>),
) -> Checked {
    let document = Document::new(path, text, disk);
    let (mut entries, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        document.problem(at, "", error.message());
    }
    // Beside a syntax error, what could be read may not be what was meant.
    let config = if errors.is_empty() {
        expand(&document, entries.get_mut(), variable);
        document.root(entries.get_ref(), |root| sections::read(root, look))
    } else {
        None
    };
    let found = document.into_found();
    let config = match (Problems::new(found.problems), config) {
        (None, Some(config)) => Ok(config),
        (Some(problems), _) => Err(problems),
        (None, None) => Err(Problems::of_file(
            path.to_path_buf(),
            String::from("cannot be understood"),
        )),
    };
    Checked {
        warnings: if config.is_ok() {
            found.warnings
        } else {
            Vec::new()
        },
        secrets: found.secrets,
        config,
    }
}

/// The files that a configuration is made of.
struct Files {
    paths: Vec<PathBuf>,
    hash: Sha256,
}

impl Files {
    fn of(path: &Path, text: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(Sha256::digest(text));
        Self {
            paths: vec![path.to_path_buf()],
            hash,
        }
    }

    /// Adds a file with the hash of what is in it, if that can be read.
    fn add(&mut self, path: PathBuf, sha256: Option<[u8; 32]>) {
        self.hash.update(sha256.unwrap_or_default());
        if !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }
}

/// The one problem of a file that is no text.
fn not_utf8(path: &Path, error: &FromUtf8Error) -> Problems {
    let valid = error.utf8_error().valid_up_to();
    let bytes = error.as_bytes();
    let text = String::from_utf8_lossy(&bytes[..valid]);
    let (line, column) = Lines::new(&text).position(valid);
    Problems::of(Problem {
        file: path.to_path_buf(),
        line,
        column,
        key: String::new(),
        message: format!("byte 0x{:02x} is not UTF-8", bytes[valid]),
    })
}
