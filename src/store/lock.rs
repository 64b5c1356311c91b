//! The lock file: one process at a time writes a store.
//!
//! The lock is the kernel's (flock(2)), so that it ends with the process whatever becomes of it; the
//! file says who holds it. It is never removed: whoever waits for it has it open.

use std::fs::{File, TryLockError};
use std::io::{Error, Read, Seek, Write};
use std::path::Path;
use std::process;

use crate::store::disk;

/// The lock of a store, which ends with this value.
#[derive(Debug)]
pub(in crate::store) struct Lock {
    file: File,
}

/// Why the lock cannot be had.
#[derive(Debug)]
pub(in crate::store) enum Refused {
    Held { pid: Option<u32> },
    Io(Error),
}

impl Lock {
    /// Takes the lock of the store in `folder`.
    pub(in crate::store) fn take(folder: &Path) -> Result<Self, Refused> {
        let mut file = disk::open_private(&folder.join("lock")).map_err(Refused::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _unknown = (&mut file).take(32).read_to_string(&mut text);
                let pid = text.trim().parse().ok();
                return Err(Refused::Held { pid });
            }
            Err(TryLockError::Error(error)) => return Err(Refused::Io(error)),
        }
        // Who holds it is for people: a full disk must not keep the store from opening.
        let _for_people = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", process::id()));
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _for_people = self.file.set_len(0);
        // A process that was started from this one may have the file, too, for the moment between
        // fork and exec: the lock is given back by name.
        let _closed_anyway = self.file.unlock();
    }
}
