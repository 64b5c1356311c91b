//! Durations and sizes as people write them: `250ms`, `5m`, `64KiB`.
//!
//! A whole number and one unit, without a space. What is written back is the largest unit that is
//! exact, so that writing and reading agree.

use std::time::Duration;

/// The units of durations, from large to small, in milliseconds.
pub(crate) const DURATIONS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The units of sizes, from large to small, in bytes.
pub(crate) const SIZES: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads a duration such as `250ms`, `2s`, `5m`, `1h` or `30d`.
pub(crate) fn read_duration(text: &str) -> Option<Duration> {
    read(text, &DURATIONS).map(Duration::from_millis)
}

/// Writes a duration as [`read_duration`] reads it; anything under a millisecond is left out.
pub(crate) fn write_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return String::from("0s");
    }
    write(millis, &DURATIONS)
}

/// Reads a size such as `512B`, `64KiB` or `1MiB`, in bytes.
pub(crate) fn read_size(text: &str) -> Option<u64> {
    read(text, &SIZES)
}

/// Writes a size as [`read_size`] reads it.
pub(crate) fn write_size(bytes: u64) -> String {
    if bytes == 0 {
        return String::from("0B");
    }
    write(bytes, &SIZES)
}

/// The regular expression of a number with one of these units, which may be zero or not.
pub(crate) fn pattern(is_positive: bool, units: &[(&str, u64)]) -> String {
    let units: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let number = if is_positive {
        "0*[1-9][0-9]*"
    } else {
        "[0-9]+"
    };
    format!("{number}({})", units.join("|"))
}

/// Reads digits and a unit; `None` for anything else and for what does not fit.
fn read(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let &(_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// Writes a number that is not zero in the largest unit that is exact.
fn write(number: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| number.is_multiple_of(*factor))
        .map(|(name, factor)| format!("{}{name}", number / factor))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{prop_assert_eq, proptest};

    use crate::config::unit::{read_duration, read_size, write_duration, write_size};

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, millis) in [
            ("0s", Some(0)),
            ("250ms", Some(250)),
            ("2s", Some(2_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("30d", Some(2_592_000_000)),
            ("", None),
            ("s", None),
            ("10", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("1S", None),
            ("1m30s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(
                read_duration(text),
                millis.map(Duration::from_millis),
                "{text}"
            );
        }
    }

    #[test]
    fn a_size_is_a_whole_number_and_a_binary_unit() {
        for (text, bytes) in [
            ("0B", Some(0)),
            ("512B", Some(512)),
            ("64KiB", Some(65_536)),
            ("1MiB", Some(1 << 20)),
            ("1TiB", Some(1 << 40)),
            ("64kb", None),
            ("64KB", None),
            ("64", None),
            ("99999999TiB", None),
        ] {
            assert_eq!(read_size(text), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(number: u64) {
            prop_assert_eq!(read_size(&write_size(number)), Some(number));
            let duration = Duration::from_millis(number);
            prop_assert_eq!(read_duration(&write_duration(duration)), Some(duration));
        }
    }
}
