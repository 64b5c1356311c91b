//! The copy of the last configuration that was applied, beside the journal of the store.

use std::io;
use std::path::Path;

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::config::LastGood;
use crate::control::Controller;
use crate::store::read_beside;

/// The file.
const FILE: &str = "last-good.json";

/// A copy that is still to be kept.
pub(in crate::control) struct ToKeep {
    copy: LastGood,
    /// True once it was told that it cannot be kept.
    has_failed: bool,
}

impl ToKeep {
    pub(in crate::control) fn new(copy: LastGood) -> Self {
        Self {
            copy,
            has_failed: false,
        }
    }
}

/// Reads the copy that is kept in the folder of a store.
///
/// # Errors
/// When there is none, and when it cannot be read.
pub fn last_good(folder: &Path) -> io::Result<LastGood> {
    let kept = read_beside(folder, FILE)?;
    serde_json::from_value(kept).map_err(io::Error::other)
}

impl Controller {
    /// Keeps the copy of what is live, if that is still to be done. A disk that does not take it is tried
    /// again.
    pub(in crate::control) async fn keep_copy(&mut self) {
        let (Some(plane), Some(to_keep)) = (&self.plane, &mut self.to_keep) else {
            return;
        };
        let store = plane.desk().ledger().store().clone();
        let copy = serde_json::to_value(&to_keep.copy);
        let kept = match copy {
            Ok(copy) => spawn_blocking(move || store.put_beside(FILE, &copy)).await,
            // A path that is no text; nothing is going to change that.
            Err(error) => Ok(Err(error.into())),
        };
        match kept.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                if to_keep.has_failed {
                    info!("the copy of the configuration is kept now");
                }
                self.to_keep = None;
            }
            Err(error) if !to_keep.has_failed => {
                warn!(%error, "no copy of the configuration can be kept yet, for a start with --last-good");
                to_keep.has_failed = true;
            }
            Err(_) => {}
        }
    }
}
