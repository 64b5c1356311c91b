//! A value that is a secret: a text, or a file with the text in it.

use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;

use sha2::{Digest, Sha256};

use crate::config::disk;
use crate::config::reader::{Disk, Value};
use crate::config::secret::Secret;

/// The largest file that a secret is read from, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// The permission of everybody to read.
const READABLE_BY_ALL: u32 = 0o004;

impl Value<'_> {
    /// Reads a secret of so many visible ASCII characters: a text, or `{ file = "…" }` with the
    /// text in it and perhaps white space around. The file is watched like the configuration, and
    /// no message repeats the secret.
    pub(crate) fn secret(&self, length: RangeInclusive<usize>) -> Option<Secret> {
        let kind = Kind {
            length,
            spaces: false,
        };
        self.tell(|shape| {
            shape.add_text("the secret itself");
            let file = shape.key("file");
            file.is_required = true;
            file.shape.add_text("a path");
        });
        if self.is_table() {
            return self.secret_in_file(&kind);
        }
        let Some(text) = self.spanned.get_ref().as_str() else {
            self.refuse("the value is not a text or { file = \"…\" }");
            return None;
        };
        if !kind.fits(text) {
            self.refuse(kind.rule("the text"));
            return None;
        }
        if self.expanded().is_none() && self.is_readable_by_all() {
            self.warn(
                "everybody on this machine can read this file and the secret in it; \
                 take the right away, or write { file = \"…\" }",
            );
        }
        Some(Secret::new(text.to_owned()))
    }

    /// Reads `{ file = "…" }` with a line of so many visible ASCII characters and spaces in it.
    pub(crate) fn secret_line(&self, length: RangeInclusive<usize>) -> Option<Secret> {
        let kind = Kind {
            length,
            spaces: true,
        };
        self.secret_in_file(&kind)
    }

    /// Reads the SHA-256 of a secret in hexadecimal digits. No message repeats it: it may be the
    /// secret itself that stands there.
    pub(crate) fn secret_hash(&self) -> Option<[u8; 32]> {
        self.looks_like(|| "[0-9A-Fa-f]{64}");
        let hash = self.spanned.get_ref().as_str().and_then(read_hash);
        if hash.is_none() {
            self.refuse("the value is not the SHA-256 of a secret: 64 hexadecimal digits");
        }
        hash
    }

    /// False where files are not looked at, so that nobody knows what is in them.
    pub(crate) fn reads_files(&self) -> bool {
        self.document.disk() == Disk::Read
    }

    fn secret_in_file(&self, kind: &Kind) -> Option<Secret> {
        self.table(|table| {
            let value = table.required("file", "the path of a file with the secret")?;
            value.secret_file(kind)
        })?
    }

    fn secret_file(&self, kind: &Kind) -> Option<Secret> {
        let path = self.path()?;
        match self.document.disk() {
            Disk::Read => {}
            Disk::Ignore => return Some(Secret::from_file("x".repeat(*kind.length.start()), path)),
        }
        match disk::read(&path, MAX_FILE) {
            Ok(bytes) => {
                let sha256 = Sha256::digest(&bytes).into();
                self.document.read_file(path.clone(), Some(sha256));
                let text = str::from_utf8(&bytes).unwrap_or_default().trim();
                if !kind.fits(text) {
                    self.refuse(kind.rule(&format!("what {} holds", path.display())));
                    return None;
                }
                Some(Secret::from_file(text.to_owned(), path))
            }
            Err(error) => {
                self.refuse(format!("{} cannot be read: {error}", path.display()));
                self.document.read_file(path, None);
                None
            }
        }
    }

    fn is_readable_by_all(&self) -> bool {
        let file = &self.document.text_at(self.spanned.span().start).path;
        self.document.disk() == Disk::Read
            && std::fs::metadata(file).is_ok_and(|metadata| metadata.mode() & READABLE_BY_ALL != 0)
    }
}

fn read_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? * 16 + low?).ok()?;
    }
    Some(hash)
}

/// What a secret is made of.
struct Kind {
    /// How many characters it may have.
    length: RangeInclusive<usize>,
    /// True when there may be spaces among them.
    spaces: bool,
}

impl Kind {
    /// True for what can be sent in a header and is not a mere placeholder.
    fn fits(&self, text: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_graphic() || self.spaces && byte == b' ';
        self.length.contains(&text.len()) && text.bytes().all(is_plain)
    }

    fn rule(&self, what: &str) -> String {
        format!(
            "{what} is not {} to {} visible ASCII characters{}",
            self.length.start(),
            self.length.end(),
            if self.spaces { " and spaces" } else { "" }
        )
    }
}
