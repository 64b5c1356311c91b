//! Reads moments.

use std::time::SystemTime;

use crate::config::reader::Value;
use crate::segment::{MOMENT, read_moment};

/// Reads a date with its time and offset, or a date alone, which is its first moment in UTC.
pub(crate) fn moment(value: &Value<'_>) -> Option<SystemTime> {
    let text = value.date_text()?;
    let moment = read_moment(&text);
    if moment.is_none() {
        value.is_not(MOMENT);
    }
    moment.map(SystemTime::from)
}
