//! Reads numbers and moments as releases have them.

use std::time::SystemTime;

use jiff::Timestamp;

use crate::config::reader::Value;
use crate::release::percent::Percent;

/// Reads a percentage to a hundredth.
pub(in crate::config::releases) fn percent(value: &Value<'_>) -> Option<Percent> {
    let number = value.percent()?;
    let percent = Percent::new(number);
    if percent.is_none() {
        value.refuse(format!(
            "{} is finer than a hundredth of a percent",
            value.shown()
        ));
    }
    percent
}

/// Reads a percentage to a hundredth that is more than 0.
pub(in crate::config::releases) fn some_percent(value: &Value<'_>) -> Option<Percent> {
    let percent = percent(value)?;
    if percent == Percent::NONE {
        value.refuse("0 would do nothing");
        return None;
    }
    Some(percent)
}

/// Reads a moment: a date with a time and an offset, one of TOML's own or a text (RFC 3339).
pub(in crate::config::releases) fn moment(value: &Value<'_>) -> Option<SystemTime> {
    let text = value.date_text()?;
    match text.parse::<Timestamp>() {
        Ok(at) => Some(at.into()),
        Err(_) => {
            value.is_not(
                "a moment: a date with a time and an offset, such as 2026-11-24T09:00:00Z or \
                 2026-11-24T10:00:00+01:00",
            );
            None
        }
    }
}
