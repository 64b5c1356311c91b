//! Moments as they are kept: RFC 3339 in UTC.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use crate::segment::{MOMENT, read_moment};

/// Writes the moment, to its last nanosecond where it has any. One past the calendar is written as
/// the last that it has.
pub(in crate::flag) fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Timestamp::try_from(*at).unwrap_or(Timestamp::MAX))
}

/// Reads a moment.
pub(in crate::flag) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(from)?;
    let at = read_moment(&text).ok_or_else(|| D::Error::custom(format!("not {MOMENT}")))?;
    Ok(at.into())
}
