//! A text that must not be shown.

use std::fmt;
use std::path::{Path, PathBuf};

/// A text that no log, dump or error message shows.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret {
    text: String,
    /// The file that it was read from, if it was.
    file: Option<PathBuf>,
}

impl Secret {
    /// Keeps a text.
    pub fn new(text: String) -> Self {
        Self { text, file: None }
    }

    /// Keeps a text that was read from a file.
    pub fn from_file(text: String, file: PathBuf) -> Self {
        Self {
            text,
            file: Some(file),
        }
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The file that it was read from, if it was.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}
