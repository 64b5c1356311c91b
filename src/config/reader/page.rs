//! A value that names a file: by its path, and to keep its content.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::config::disk;
use crate::config::reader::{Disk, Value};

impl Value<'_> {
    /// Reads a path, relative to the file that names it.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.parsed("a path", |text| {
            let at = self.spanned.span().start;
            (!text.is_empty() && !text.contains('\0')).then(|| self.document.resolve(at, text))
        })
    }

    /// A path that is a part of the value, relative to the file that names it.
    pub(crate) fn beside(&self, path: &str) -> PathBuf {
        self.document.resolve(self.spanned.span().start, path)
    }

    /// Reads the path of a file of at most so many bytes, and the file. It is watched like the
    /// configuration.
    pub(crate) fn page(&self, most: u64) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path()?;
        if self.document.disk() == Disk::Ignore {
            return Some((path, Vec::new()));
        }
        match disk::read(&path, most) {
            Ok(bytes) => {
                let sha256 = Sha256::digest(&bytes).into();
                self.document.read_file(path.clone(), Some(sha256));
                Some((path, bytes))
            }
            Err(error) => {
                self.refuse(format!("{} cannot be read: {error}", path.display()));
                self.document.read_file(path, None);
                None
            }
        }
    }

    /// Reads the path of a file with a text of at most so many bytes, and the text. It is watched
    /// like the configuration.
    pub(crate) fn text_file(&self, most: u64) -> Option<(PathBuf, String)> {
        let (path, bytes) = self.page(most)?;
        if self.document.disk() == Disk::Ignore {
            // Where files are not looked at, each is taken to say something.
            let text = path.display().to_string();
            return Some((path, text));
        }
        let Ok(text) = String::from_utf8(bytes) else {
            self.refuse(format!("{} is not UTF-8", path.display()));
            return None;
        };
        if text.trim().is_empty() {
            self.refuse(format!("{} is empty", path.display()));
            return None;
        }
        Some((path, text))
    }
}
