//! The outputs that are open: each once, however many logs write to it.
//!
//! A reload that changes how lines look keeps their output; a tunnel that obeys an older
//! configuration still writes where it began. A signal opens all files anew by their paths, which
//! is how a log is rotated: rename the file, signal, and lines go to a new one.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use metrics::Counter;
use tracing::{info, warn};

use crate::telemetry::access_log::sink::Sink;
use crate::telemetry::access_log::{AccessLog, AccessLogError, Output, Settings};

/// The outputs of a process.
#[derive(Debug)]
pub struct Outputs {
    dropped: Counter,
    open: Mutex<Vec<Open>>,
}

/// An output that is open as long as a log writes to it.
#[derive(Debug)]
struct Open {
    /// `None` is standard output.
    path: Option<PathBuf>,
    sink: Weak<Sink>,
}

impl Outputs {
    /// Makes it without any; `dropped` counts the lines that are dropped.
    pub fn new(dropped: Counter) -> Self {
        Self {
            dropped,
            open: Mutex::default(),
        }
    }

    /// Opens a log; its output only where no other log has it open, and then with a thread that
    /// writes to it.
    ///
    /// # Errors
    /// When the output cannot be opened or the thread cannot be started.
    pub fn open(&self, settings: &Settings) -> Result<AccessLog, AccessLogError> {
        let path = match &settings.output {
            Output::Off => return Ok(AccessLog::new(settings, None)),
            Output::Stdout => None,
            Output::Path(path) => Some(path.clone()),
        };
        let mut open = self.lock();
        let shared = open.iter().find(|open| open.path == path);
        if let Some(sink) = shared.and_then(|open| open.sink.upgrade()) {
            return Ok(AccessLog::new(settings, Some(sink)));
        }
        let file = match &path {
            None => stdout(),
            Some(path) => append(path),
        }?;
        let sink = Sink::start(file, self.dropped.clone()).map_err(AccessLogError::Thread)?;
        let sink = Arc::new(sink);
        open.push(Open {
            path,
            sink: Arc::downgrade(&sink),
        });
        Ok(AccessLog::new(settings, Some(sink)))
    }

    /// Opens all files anew. No line is lost: one that was recorded before stands at the end of
    /// the old file or at the beginning of the new one. A file that cannot be opened is logged,
    /// and lines go on to the old one.
    pub fn reopen(&self) {
        for open in self.lock().iter() {
            let (Some(path), Some(sink)) = (&open.path, open.sink.upgrade()) else {
                continue;
            };
            match append(path) {
                Ok(file) => {
                    sink.replace(file);
                    info!(path = %path.display(), "access log reopened");
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(%error, cause, "access log not reopened");
                }
            }
        }
    }

    /// Those that are open.
    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|open| open.sink.strong_count() > 0);
        open
    }
}

fn stdout() -> Result<File, AccessLogError> {
    // Not `Stdout` itself: it has a buffer and a lock that whoever prints would wait for.
    io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map(File::from)
        .map_err(AccessLogError::Stdout)
}

fn append(path: &Path) -> Result<File, AccessLogError> {
    let file = File::options().append(true).create(true).open(path);
    file.map_err(|error| AccessLogError::Open {
        path: path.to_owned(),
        error,
    })
}
