//! What readers see of a store: its state, and how much of it is on the disk.

use std::collections::VecDeque;

use crate::store::batch::Written;
use crate::store::chain::Head;
use crate::store::notes::Notes;
use crate::store::state::State;

/// What readers see.
#[derive(Debug)]
pub(in crate::store) struct Memory {
    pub(in crate::store) state: State,
    /// The last record that was applied.
    pub(in crate::store) applied: Head,
    /// The last record that is on the disk.
    pub(in crate::store) journalled: Head,
    /// The records between the two.
    pub(in crate::store) unwritten: VecDeque<Written>,
    pub(in crate::store) notes: Notes,
    /// Why the last write did not go through.
    pub(in crate::store) failing: Option<String>,
}
