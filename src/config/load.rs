//! From a file to a configuration: read, check, look for the files that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use crate::config::listener::NamedFile;
use crate::config::problem::{Lines, Problem, Problems};
use crate::config::process;
use crate::config::reader::{Document, Table};
use crate::config::secret::Secret;
use crate::config::settings::{Config, ListenerConfig};
use crate::config::unit::write_size;
use crate::config::{listener, route, upstream};

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
    let config = check(&text, path, |document_files, config| {
        for (value, path) in document_files {
            match read_file(&path) {
                Ok(bytes) => {
                    hash.update(Sha256::digest(&bytes));
                    if config.admin.token_file.as_ref() == Some(&path) {
                        match token_in(&bytes) {
                            Some(token) => config.admin.token = Some(token),
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
    })?;
    Ok(Loaded {
        config,
        sha256: Sha256::digest(&text).into(),
        files_sha256: hash.finalize().into(),
        files,
        text,
    })
}

/// Reads and checks a text; `look` is given the files that it names and may record problems.
pub(crate) fn check(
    text: &str,
    path: &Path,
    look: impl for<'d> FnOnce(Vec<NamedFile<'d>>, &mut Config),
) -> Result<Config, Problems> {
    let document = Document::new(path, text);
    let (entries, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        document.problem(at, "", error.message());
    }
    // Beside a syntax error, what could be read may not be what was meant.
    let config = errors.is_empty().then(|| {
        document.root(entries.get_ref(), |root| {
            let mut files = Vec::new();
            let mut config = sections(root, &mut files);
            look(files, &mut config);
            config
        })
    });
    match (Problems::new(document.into_problems()), config) {
        (None, Some(config)) => Ok(config),
        (Some(problems), _) => Err(problems),
        (None, None) => Err(Problems::of_file(
            path.to_path_buf(),
            String::from("is not TOML"),
        )),
    }
}

/// Reads all sections; what has problems is left out or has its default.
fn sections<'d>(root: &mut Table<'d>, files: &mut Vec<NamedFile<'d>>) -> Config {
    let runtime = process::runtime(root);
    let listeners = listeners(root, files);
    let mut known_upstreams = BTreeSet::new();
    let mut upstreams = BTreeMap::new();
    if let Some(value) = root.optional("upstream") {
        // An upstream with problems is no unknown upstream.
        value.entries(|name, _| known_upstreams.insert(name).then_some(()));
        upstreams = value
            .names(|_, value| upstream::read(value))
            .into_iter()
            .map(|(name, upstream)| (name.to_owned(), upstream))
            .collect();
    }
    let mut routes = BTreeMap::new();
    if let Some(value) = root.optional("route") {
        routes = value
            .names(|name, value| route::read(name, value, &known_upstreams))
            .into_iter()
            .map(|(name, route)| (name.to_owned(), route))
            .collect();
    }
    let shutdown = process::shutdown(root);
    let access_log = process::access_log(root);
    let admin = process::admin(root, files);
    let metrics = process::metrics(root);
    Config {
        runtime,
        listeners,
        upstreams,
        routes,
        shutdown,
        access_log,
        admin,
        metrics,
    }
}

fn listeners<'d>(
    root: &mut Table<'d>,
    files: &mut Vec<NamedFile<'d>>,
) -> BTreeMap<String, ListenerConfig> {
    let Some(value) = root.required("listener", "at least one [listener.NAME]") else {
        return BTreeMap::new();
    };
    let mut addresses: BTreeMap<SocketAddr, &str> = BTreeMap::new();
    let mut n_listeners = 0;
    let listeners: BTreeMap<String, ListenerConfig> = value
        .names(|name, value| {
            n_listeners += 1;
            let listener = listener::read(value, files)?;
            if listener.address.port() != 0
                && let Some(other) = addresses.insert(listener.address, name)
            {
                value.refuse_key(format!(
                    "{} is the address of listener {other} already",
                    listener.address
                ));
            }
            Some(listener)
        })
        .into_iter()
        .map(|(name, listener)| (name.to_owned(), listener))
        .collect();
    if value.is_table() && n_listeners == 0 {
        value.refuse_key("empty; at least one [listener.NAME] belongs here");
    }
    listeners
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
