//! The chain: each record holds the hash of the one before, so that none can be changed, dropped or
//! moved unseen.
//!
//! A line is the canonical text of a record without its hash, with the hash put at its end. The hash
//! is thus one of bytes that are there: to check it, nothing has to be printed again, and not one
//! byte of a line is left out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error as ThisError;

use crate::store::canonical;
use crate::store::record::{Record, VERSION};

const BEFORE_HASH: &str = ",\"hash\":\"";

const AFTER_HASH: &str = "\"}";

const HASH_CHARS: usize = 64;

/// What follows a line's text: `,"hash":"…"}`.
const TAIL: usize = BEFORE_HASH.len() + HASH_CHARS + AFTER_HASH.len();

/// The end of a chain: what an anchor is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Head {
    /// The number of the last record; 0 where there is none.
    pub seq: u64,
    /// Its hash, in hex; that of the cluster's name where there is none.
    pub hash: String,
}

/// What is wrong with a line of a journal.
#[derive(Clone, Debug, Eq, PartialEq, ThisError)]
pub enum Flaw {
    /// It is no record at all.
    #[error("it is no record")]
    NoRecord,
    /// It is longer than a record may be.
    #[error("it is longer than a record may be")]
    TooLong,
    /// It ends in the middle, and there are others behind it.
    #[error("it ends in the middle")]
    Cut,
    /// Its text does not have the hash that it says: it was edited.
    #[error("its text does not have its hash: it was edited")]
    Edited,
    /// It is not the next record.
    #[error("record {found} is where record {expected} should be")]
    OutOfPlace {
        /// The number that should be there.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
    /// It does not follow the record before it.
    #[error("it does not hold the hash of the record before it")]
    Unchained,
    /// It has a form that this program does not know.
    #[error("it has version {0}, and this program knows version 1")]
    Version(u64),
    /// It is of another cluster.
    #[error("it is of the cluster {0}")]
    Cluster(String),
}

/// What of a record makes the chain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(in crate::store) struct Link {
    pub(in crate::store) v: u64,
    pub(in crate::store) seq: u64,
    pub(in crate::store) cluster: String,
    pub(in crate::store) action: String,
    pub(in crate::store) prev: String,
    pub(in crate::store) hash: String,
}

/// What the first record of a cluster holds in place of a hash before it.
pub(in crate::store) fn genesis(cluster: &str) -> Head {
    let mut hasher = Sha256::new();
    hasher.update(b"tidegate-audit-v1");
    hasher.update(cluster.as_bytes());
    let hash = hex(&hasher.finalize());
    Head { seq: 0, hash }
}

/// SHA-256 in hex.
pub(in crate::store) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Puts the hash of an object's canonical text at the end of that text, and gives both.
pub(in crate::store) fn seal(object: &Value) -> (String, String) {
    let mut line = canonical::text(object);
    let hash = sha256(line.as_bytes());
    line.pop(); // the closing brace
    line.push_str(BEFORE_HASH);
    line.push_str(&hash);
    line.push_str(AFTER_HASH);
    (line, hash)
}

/// Makes the line of a record, without its end, and gives the record its hash.
pub(in crate::store) fn line(record: &mut Record) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(&*record)?;
    if let Some(members) = value.as_object_mut() {
        members.shift_remove("hash");
    }
    let (line, hash) = seal(&value);
    record.hash = hash;
    Ok(line)
}

/// Whether a line holds the hash of its own text.
pub(in crate::store) fn is_sealed(line: &[u8]) -> bool {
    let Some(at) = line.len().checked_sub(TAIL) else {
        return false;
    };
    let (text, end) = line.split_at(at);
    let hash = end
        .strip_prefix(BEFORE_HASH.as_bytes())
        .and_then(|end| end.strip_suffix(AFTER_HASH.as_bytes()));
    let mut hasher = Sha256::new();
    hasher.update(text);
    hasher.update(b"}");
    hash == Some(hex(&hasher.finalize()).as_bytes())
}

/// Reads what makes the chain from a line, whose own hash must hold.
pub(in crate::store) fn read(line: &[u8]) -> Result<Link, Flaw> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let Ok(link) = serde_json::from_slice::<Link>(line) else {
        let version = serde_json::from_slice::<Version>(line).ok();
        let unknown = version.filter(|version| version.v != u64::from(VERSION));
        return Err(unknown.map_or(Flaw::NoRecord, |version| Flaw::Version(version.v)));
    };
    // The version comes before the hash: another one may be hashed in another way.
    if link.v != u64::from(VERSION) {
        return Err(Flaw::Version(link.v));
    }
    if !is_sealed(line) {
        return Err(Flaw::Edited);
    }
    Ok(link)
}

/// Whether a link is what follows a head.
pub(in crate::store) fn follows(link: &Link, head: &Head) -> Result<(), Flaw> {
    if link.seq != head.seq + 1 {
        return Err(Flaw::OutOfPlace {
            expected: head.seq + 1,
            found: link.seq,
        });
    }
    if link.prev != head.hash {
        return Err(Flaw::Unchained);
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
