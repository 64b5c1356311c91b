//! Instants of the API as people read them: how long ago, and how far ahead.

use jiff::Timestamp;

/// How long an instant is away, in the largest unit and the one below: `45s`, `3m 5s`, `2h 10m`,
/// `4d 3h`. A text that is no instant is given as it is.
pub(in crate::cli) fn distance(text: &str, now: Timestamp) -> String {
    let Ok(at) = text.parse::<Timestamp>() else {
        return text.to_owned();
    };
    lasting(at.as_second().abs_diff(now.as_second()))
}

/// How long an instant is away from now.
pub(in crate::cli) fn distance_from_now(text: &str) -> String {
    distance(text, Timestamp::now())
}

/// The time of the day of an instant, to the millisecond where it has any: `09:00:00.123Z`.
pub(in crate::cli) fn time_of_day(text: &str) -> &str {
    text.split_once('T').map_or(text, |(_, time)| time)
}

/// A time in whole seconds, in the largest unit and the one below.
pub(in crate::cli) fn lasting(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let first = UNITS.iter().position(|(unit, _)| *unit <= seconds);
    let Some(first) = first else {
        return "0s".to_owned();
    };
    let (unit, name) = UNITS[first];
    let mut text = format!("{}{name}", seconds / unit);
    if let Some((below, name)) = UNITS.get(first + 1) {
        let rest = seconds % unit / below;
        if rest > 0 {
            text.push_str(&format!(" {rest}{name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::cli::moment::{distance, lasting};

    #[test]
    fn a_time_has_two_units_at_most() {
        for (seconds, expected) in [
            (0, "0s"),
            (45, "45s"),
            (60, "1m"),
            (185, "3m 5s"),
            (7_800, "2h 10m"),
            (356_461, "4d 3h"),
        ] {
            assert_eq!(lasting(seconds), expected);
        }
    }

    #[test]
    fn an_instant_is_told_by_its_distance_and_what_is_none_as_it_is() {
        let now = "2026-01-01T00:01:30Z".parse().unwrap();
        assert_eq!(distance("2026-01-01T00:00:00Z", now), "1m 30s");
        assert_eq!(distance("2026-01-01T00:02:00.5Z", now), "30s");
        assert_eq!(distance("soon", now), "soon");
    }
}
