//! Trying again: while the disk fails, a thread looks every second whether it takes a write.

use std::io::Result;
use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use crate::store::writer::Shared;

/// How long it waits between two tries: an operator who made room on the disk sees that it helped,
/// and a broken disk is not worn by it.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread. It ends when a write went through, and with the store.
pub(in crate::store) fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>> {
    let store = Arc::downgrade(shared);
    let again = move || {
        loop {
            thread::park_timeout(PAUSE);
            // Between the tries it does not keep the store from being dropped.
            let Some(shared) = store.upgrade() else {
                return;
            };
            if shared.try_again().is_done() {
                return;
            }
        }
    };
    Builder::new().name("store".to_owned()).spawn(again)
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) enum Tried {
    Done,
    Again,
}

impl Tried {
    fn is_done(self) -> bool {
        self == Self::Done
    }
}
