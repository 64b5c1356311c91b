//! Reads `[[route.NAME.rate_limit]]`: how many requests a route takes in a time.

use std::time::Duration;

use crate::config::guard::number;
use crate::config::reader::{Table, Value};
use crate::config::sticky;
use crate::proxy::Rate;

/// What belongs where rates are.
const RATES: &str = "a list of tables such as [{ rate = \"100/s\", keys = [\"client_ip\"] }]";
const RATE: &str = "a number of requests and a time, such as \"100/s\", \"600/m\" or \"5000/h\"";
/// How many requests a rate may have: one each nanosecond.
const MOST: u32 = 1_000_000_000;
/// The times that rates are for.
const TIMES: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

/// Reads all of a route; `None` when a problem was recorded.
pub(crate) fn read(table: &mut Table<'_>) -> Option<Vec<Rate>> {
    match table.optional("rate_limit") {
        Some(value) => value.list(RATES, |value| value.table(rate)?),
        None => Some(Vec::new()),
    }
}

fn rate(table: &mut Table<'_>) -> Option<Rate> {
    let rate = one(table);
    let mut keys = Vec::new();
    table.set("keys", &mut keys, |value: &Value<'_>| {
        sticky::read_keys(value)
    });
    Some(Rate { keys, ..rate? })
}

/// Reads a rate for all that it is asked of.
pub(crate) fn one(table: &mut Table<'_>) -> Option<Rate> {
    let rate = table.required("rate", RATE).and_then(|value| {
        value.looks_like(|| "[0-9]+/[smhd]");
        value.parsed(RATE, requests_per)
    });
    let mut burst = rate.map(|(requests, _)| requests);
    table.set("burst", &mut burst, |value| {
        Some(Some(number(value, 1..=u64::from(MOST))?))
    });
    let (requests, per) = rate?;
    Some(Rate {
        requests,
        per,
        burst: burst?,
        keys: Vec::new(),
    })
}

fn requests_per(text: &str) -> Option<(u32, Duration)> {
    let (requests, unit) = text.split_once('/')?;
    let is_number = !requests.is_empty() && requests.bytes().all(|byte| byte.is_ascii_digit());
    let requests: u32 = requests.parse().ok().filter(|_| is_number)?;
    let (_, seconds) = TIMES.iter().find(|(name, _)| *name == unit)?;
    (1..=MOST)
        .contains(&requests)
        .then_some((requests, Duration::from_secs(*seconds)))
}

/// Writes a rate as it is read.
pub(crate) fn write(rate: &Rate) -> String {
    let seconds = rate.per.as_secs();
    let unit = TIMES.iter().find(|(_, time)| *time == seconds);
    format!("{}/{}", rate.requests, unit.map_or("s", |(name, _)| name))
}
