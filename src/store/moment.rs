//! Times in records: RFC 3339 in UTC, in whole milliseconds.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// The time in whole milliseconds, as a record keeps it; times that RFC 3339 has no text for become
/// the nearest that it has.
pub(in crate::store) fn in_milliseconds(at: SystemTime) -> SystemTime {
    Timestamp::from_millisecond(millisecond(at)).map_or(SystemTime::UNIX_EPOCH, SystemTime::from)
}

/// The milliseconds since 1970; 0 for what was before, and the last of the year 9998 at most.
pub(in crate::store) fn millisecond(at: SystemTime) -> i64 {
    const LAST: i64 = 253_370_764_799_999;
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).map_or(LAST, |millisecond| millisecond.min(LAST))
}

/// The text of a time.
pub(in crate::store) fn text(at: SystemTime) -> String {
    let at = Timestamp::from_millisecond(millisecond(at)).unwrap_or_default();
    format!("{at:.3}")
}

/// Writes a time.
pub(in crate::store) fn serialize<S: Serializer>(
    at: &SystemTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*at))
}

/// Reads a time.
pub(in crate::store) fn deserialize<'de, D>(deserializer: D) -> Result<SystemTime, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    let at: Timestamp = text.parse().map_err(D::Error::custom)?;
    Ok(SystemTime::from(at))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use crate::store::moment::{in_milliseconds, text};

    #[test]
    fn a_time_is_utc_in_milliseconds() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_763_869_055_511_999_999);
        assert_eq!(text(at), "2025-11-23T03:37:35.511Z");
        assert_eq!(text(in_milliseconds(at)), text(at));
        assert_eq!(text(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn times_without_a_text_become_the_nearest() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(text(before), "1970-01-01T00:00:00.000Z");
        let after = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(text(after), "9998-12-31T23:59:59.999Z");
    }
}
