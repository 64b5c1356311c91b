//! From a file to a configuration: read, check, look for the files that it names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use crate::config::listener::NamedFile;
use crate::config::problem::{Lines, Problem, Problems};
use crate::config::process;
use crate::config::reader::Document;
use crate::config::secret::Secret;
use crate::config::sections;
use crate::config::settings::{AdminConfig, Config};
use crate::config::unit::write_size;

/// The largest file that is read, in bytes: a configuration of 10 000 routes is a fifth of it, and
/// a path that leads to a device ends here.
const MAX_FILE: u64 = 16 << 20;

/// A configuration with all that was read to get it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The text of the file.
    pub text: String,
    /// The SHA-256 of the file.
    pub sha256: [u8; 32],
    /// The SHA-256 over the file and all files that it names: equal when nothing has changed.
    pub files_sha256: [u8; 32],
    /// The file and all files that it names: certificates, keys, the token.
    pub files: Vec<PathBuf>,
}

/// Loads the configuration in a file.
///
/// # Errors
/// All that is wrong with it.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let bytes = read_file(path).map_err(|error| {
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
    let mut hash = Sha256::new();
    hash.update(Sha256::digest(&text));
    let mut files = vec![path.to_path_buf()];
    let result = check(&text, path, |named, admin| {
        for NamedFile { value, path } in named {
            match read_file(&path) {
                Ok(bytes) => {
                    hash.update(Sha256::digest(&bytes));
                    if admin.token_file.as_ref() == Some(&path) {
                        match token_in(&bytes) {
                            Some(token) => admin.token = Some(token),
                            None => value.refuse(format!(
                                "in {}, {}",
                                path.display(),
                                process::NO_TOKEN
                            )),
                        }
                    }
                }
                Err(error) => {
                    value.refuse(format!("{} cannot be read: {error}", path.display()));
                }
            }
            if !files.contains(&path) {
                files.push(path);
            }
        }
    });
    let config = match result {
        Ok(config) => config,
        Err(problems) => return Err(problems.with_files(files)),
    };
    Ok(Loaded {
        config,
        sha256: Sha256::digest(&text).into(),
        files_sha256: hash.finalize().into(),
        files,
        text,
    })
}

/// Reads and checks a text; `look` is given the files that it names, and may record problems.
pub(crate) fn check(
    text: &str,
    path: &Path,
    look: impl for<'d> FnOnce(Vec<NamedFile<'d>>, &mut AdminConfig),
) -> Result<Config, Problems> {
    let document = Document::new(path, text);
    let (entries, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        document.problem(at, "", error.message());
    }
    // Beside a syntax error, what could be read may not be what was meant.
    let config = if errors.is_empty() {
        document.root(entries.get_ref(), |root| sections::read(root, look))
    } else {
        None
    };
    match (Problems::new(document.into_problems()), config) {
        (None, Some(config)) => Ok(config),
        (Some(problems), _) => Err(problems),
        (None, None) => Err(Problems::of_file(
            path.to_path_buf(),
            String::from("cannot be understood"),
        )),
    }
}

/// Reads a file of a size that a configuration may have.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    if MAX_FILE < bytes.len() as u64 {
        let message = format!("larger than {}", write_size(MAX_FILE));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// The token in a file, without the white space around it.
fn token_in(bytes: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    process::is_token(text).then(|| Secret::new(text.to_owned()))
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
