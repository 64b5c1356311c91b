//! Instants as texts: RFC 3339 in UTC, the one notation of records, answers and documents.
//!
//! Durable time is [`SystemTime`]. What this calendar cannot say (years past 9999) is shown as the
//! last moment that it can, so that no instant, however absurd, stops a decision.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The instant on the calendar's scale; one beyond it is the first or the last that it has.
pub fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::try_from(at).unwrap_or(if at < SystemTime::UNIX_EPOCH {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// The instant in whole milliseconds, as records keep it; one that they have no text for becomes the
/// nearest that they have.
pub fn in_milliseconds(at: SystemTime) -> SystemTime {
    Timestamp::from_millisecond(millisecond(at)).map_or(SystemTime::UNIX_EPOCH, SystemTime::from)
}

/// The milliseconds since 1970; 0 for what was before, and the last of the year 9998 at most.
pub fn millisecond(at: SystemTime) -> i64 {
    const LAST: i64 = 253_370_764_799_999;
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).map_or(LAST, |millisecond| millisecond.min(LAST))
}

/// The instant as text, to the millisecond: `2026-11-24T09:00:00.000Z`.
pub fn text_in_milliseconds(at: SystemTime) -> String {
    let at = Timestamp::from_millisecond(millisecond(at)).unwrap_or_default();
    format!("{at:.3}")
}

/// The instant as text, to the second: `2026-11-24T09:00:00Z`.
pub fn text(at: SystemTime) -> String {
    timestamp(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `at + by`, or nothing when that is past every calendar: what never comes has no moment.
pub fn after(at: SystemTime, by: Duration) -> Option<SystemTime> {
    let by = SignedDuration::try_from(by).ok()?;
    let sum = timestamp(at).checked_add(by).ok()?;
    Some(SystemTime::from(sum))
}

/// The time from one instant to a later one; none where the clock went back.
pub fn between(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

/// Writes and reads an instant as RFC 3339, to its last nanosecond where it has any:
/// `#[serde(with = "crate::store::instant::rfc3339")]`.
pub mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserializer, Serializer};

    use crate::store::instant;

    /// Writes the instant.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&instant::timestamp(*at))
    }

    /// Reads an instant.
    ///
    /// # Errors
    /// When it is no text, or no instant of RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        instant::read(from)
    }
}

/// The same for an instant that may be absent; give the field `#[serde(default)]`, too.
pub mod rfc3339_option {
    use std::time::SystemTime;

    use serde::{Deserializer, Serializer};

    use crate::store::instant;

    /// Writes the instant, or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.collect_str(&instant::timestamp(*at)),
            None => to.serialize_none(),
        }
    }

    /// Reads an instant, or null.
    ///
    /// # Errors
    /// When it is neither null nor a text with an instant of RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
        instant::read_option(from)
    }
}

/// Writes and reads an instant as records and events have it, in whole milliseconds.
pub mod milliseconds {
    use std::time::SystemTime;

    use serde::{Deserializer, Serializer};

    use crate::store::instant;

    /// Writes the instant.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&instant::text_in_milliseconds(*at))
    }

    /// Reads an instant.
    ///
    /// # Errors
    /// When it is no text, or no instant of RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        instant::read(from)
    }
}

/// The same for an instant that may be absent.
pub mod milliseconds_option {
    use std::time::SystemTime;

    use serde::{Deserializer, Serializer};

    use crate::store::instant;

    /// Writes the instant, or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.serialize_str(&instant::text_in_milliseconds(*at)),
            None => to.serialize_none(),
        }
    }

    /// Reads an instant, or null.
    ///
    /// # Errors
    /// When it is neither null nor a text with an instant of RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
        instant::read_option(from)
    }
}

fn read<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(from)?;
    let at: Timestamp = text.parse().map_err(D::Error::custom)?;
    Ok(at.into())
}

fn read_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let at: Timestamp = text.parse().map_err(D::Error::custom)?;
    Ok(Some(at.into()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Serialize};

    use crate::store::instant;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Kept {
        #[serde(with = "crate::store::instant::rfc3339")]
        at: SystemTime,
        #[serde(default, with = "crate::store::instant::rfc3339_option")]
        until: Option<SystemTime>,
    }

    #[test]
    fn an_instant_survives_being_written_to_the_nanosecond() {
        let at = SystemTime::UNIX_EPOCH + Duration::new(1_764_000_000, 123_456_789);
        for until in [None, Some(at)] {
            let kept = Kept { at, until };
            let text = serde_json::to_string(&kept).unwrap();
            assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept, "{text}");
        }
        assert!(serde_json::from_str::<Kept>(r#"{"at":"yesterday"}"#).is_err());
        assert_eq!(instant::text(at), "2025-11-24T16:00:00Z");
    }

    #[test]
    fn what_is_past_every_calendar_never_comes() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(
            instant::after(now, Duration::from_secs(5)),
            Some(now + Duration::from_secs(5))
        );
        assert_eq!(instant::after(now, Duration::MAX), None);
        assert_eq!(instant::after(now, Duration::from_secs(1 << 50)), None);
    }

    #[test]
    fn records_have_whole_milliseconds_in_utc() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_763_869_055_511_999_999);
        let text = instant::text_in_milliseconds;
        assert_eq!(text(at), "2025-11-23T03:37:35.511Z");
        assert_eq!(text(instant::in_milliseconds(at)), text(at));
        assert_eq!(text(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(text(before), "1970-01-01T00:00:00.000Z");
        let after = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(text(after), "9998-12-31T23:59:59.999Z");
    }
}
