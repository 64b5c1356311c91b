//! Instants as texts: RFC 3339 in UTC, the one notation of records, answers and documents.
//!
//! Durable time is [`SystemTime`]. What this calendar cannot say (years past 9999) is shown as the
//! last moment that it can, so that no instant, however absurd, stops a decision.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};

/// The instant on the calendar's scale; one beyond it is the first or the last that it has.
pub fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::try_from(at).unwrap_or(if at < SystemTime::UNIX_EPOCH {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
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

/// Writes and reads an instant as RFC 3339: `#[serde(with = "crate::release::instant::rfc3339")]`.
pub mod rfc3339 {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::release::instant;

    /// Writes the instant, to its last nanosecond where it has any.
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
        let text = String::deserialize(from)?;
        let at: Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(at.into())
    }
}

/// The same for an instant that may be absent; give the field `#[serde(default)]`, too.
pub mod rfc3339_option {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::release::instant;

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
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let at: Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Some(at.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Serialize};

    use crate::release::instant;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Kept {
        #[serde(with = "crate::release::instant::rfc3339")]
        at: SystemTime,
        #[serde(default, with = "crate::release::instant::rfc3339_option")]
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
}
