//! What comes: when a move opens, and the open and closed times ahead.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::release::freeze::{Freeze, Move, Override, blocked};
use crate::store::instant;

/// How far ahead is looked: more than a year, so that what comes every year is seen once.
pub const MAX_AHEAD: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A time during which the same stands in the way of a move, `[from, to)`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Period {
    /// Where it begins.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub from: SystemTime,
    /// Where it ends: something changes, or nobody looked further.
    #[serde(with = "crate::store::instant::rfc3339")]
    pub to: SystemTime,
    /// The freezes in the way, in the order of the file; none when the move is open.
    pub freezes: Vec<String>,
}

impl Period {
    /// Whether the move is open.
    pub fn is_open(&self) -> bool {
        self.freezes.is_empty()
    }
}

/// When a move that is blocked opens, if it does within [`MAX_AHEAD`]; `now` when it is open.
pub fn opens_at(
    freezes: &[Freeze],
    overrides: &[Override],
    asked: &Move<'_>,
    now: SystemTime,
) -> Option<SystemTime> {
    let end = instant::after(now, MAX_AHEAD)?;
    let mut at = now;
    while !blocked(freezes, overrides, asked, at).is_empty() {
        at = next_change(freezes, overrides, asked, at).filter(|next| *next <= end)?;
    }
    Some(at)
}

/// The times ahead, one after the other without a gap, from `from` to `to` or [`MAX_AHEAD`]. Two
/// that follow each other differ in what stands in the way.
pub fn schedule(
    freezes: &[Freeze],
    overrides: &[Override],
    asked: &Move<'_>,
    (from, to): (SystemTime, SystemTime),
) -> Vec<Period> {
    let to = instant::after(from, MAX_AHEAD).map_or(to, |end| to.min(end));
    let mut periods: Vec<Period> = Vec::new();
    let mut at = from;
    while at < to {
        let next = next_change(freezes, overrides, asked, at);
        let next = next.filter(|next| *next < to).unwrap_or(to);
        let blocking = blocked(freezes, overrides, asked, at);
        let names: Vec<String> = blocking.into_iter().map(|by| by.freeze).collect();
        match periods.last_mut() {
            Some(last) if last.freezes == names => last.to = next,
            _ => periods.push(Period {
                from: at,
                to: next,
                freezes: names,
            }),
        }
        at = next;
    }
    periods
}

/// The next instant at which anything that decides over the move changes.
fn next_change(
    freezes: &[Freeze],
    overrides: &[Override],
    asked: &Move<'_>,
    at: SystemTime,
) -> Option<SystemTime> {
    let concerned = freezes.iter().filter(|freeze| freeze.concerns(asked));
    let windows = concerned.filter_map(|freeze| freeze.window.next_change(at));
    let bounds = overrides.iter().flat_map(|by| [by.at, by.expires_at]);
    windows.chain(bounds.filter(|bound| *bound > at)).min()
}
