//! Points in time as texts: RFC 3339 in UTC, to the millisecond.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes it as `2026-11-23T03:37:35.511Z`. A time that no calendar knows becomes that of 1970.
pub(in crate::notify) fn text(at: SystemTime) -> String {
    let at = Timestamp::try_from(at).or_else(|_| Timestamp::try_from(UNIX_EPOCH));
    format!("{:.3}", at.expect("1970 is in every calendar"))
}

pub(in crate::notify) fn serialize<S: Serializer>(
    at: &SystemTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*at))
}

pub(in crate::notify) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    let at: Timestamp = text.parse().map_err(D::Error::custom)?;
    Ok(at.into())
}

/// The same for a time that may be missing.
pub(in crate::notify) mod maybe {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::notify) fn serialize<S: Serializer>(
        at: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => crate::notify::instant::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    #[derive(Deserialize)]
    struct At(#[serde(deserialize_with = "crate::notify::instant::deserialize")] SystemTime);

    pub(in crate::notify) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<At>::deserialize(deserializer)?.map(|At(at)| at))
    }
}
