//! Reads what becomes of the tunnels of a route's variants that are switched off or removed.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::listener::WAIT;
use crate::config::reader::{Table, Value};
use crate::config::unit::{read_duration, write_duration};

/// Over how long cuts may be spread: past a day it is no spread any more.
const SPREAD: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);

/// What becomes of the tunnels of a variant that is switched off or removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TunnelsConfig {
    /// When they are cut.
    pub on_off: OnOff,
    /// Over how long the cuts are spread, so that clients do not come back all at once.
    pub spread: Duration,
}

impl Default for TunnelsConfig {
    fn default() -> Self {
        Self {
            on_off: OnOff::Keep,
            spread: Duration::from_secs(5),
        }
    }
}

/// When tunnels are cut after their variant was switched off or removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnOff {
    /// Never: they end by themselves.
    Keep,
    /// At once.
    Cut,
    /// So much later.
    After(Duration),
}

impl OnOff {
    /// How long they are kept; `None` is for ever.
    pub fn kept(self) -> Option<Duration> {
        match self {
            Self::Keep => None,
            Self::Cut => Some(Duration::ZERO),
            Self::After(time) => Some(time),
        }
    }

    /// The text for it in the configuration.
    pub fn text(self) -> String {
        match self {
            Self::Keep => "keep".to_owned(),
            Self::Cut => "cut".to_owned(),
            Self::After(time) => write_duration(time),
        }
    }
}

/// Reads it; what is not given has its default.
pub(crate) fn read(table: &mut Table<'_>) -> TunnelsConfig {
    let mut tunnels = TunnelsConfig::default();
    table.set("tunnels_on_off", &mut tunnels.on_off, on_off);
    table.set("tunnels_spread", &mut tunnels.spread, |value| {
        value.duration(&SPREAD)
    });
    tunnels
}

fn on_off(value: &Value<'_>) -> Option<OnOff> {
    value.parsed(
        "\"keep\", \"cut\" or a duration such as \"10m\"",
        |text| match text {
            "keep" => Some(OnOff::Keep),
            "cut" => Some(OnOff::Cut),
            text => {
                let time = read_duration(text).filter(|time| WAIT.contains(time));
                time.map(OnOff::After)
            }
        },
    )
}
