//! Figures as the demo shows them: shares, times, bars.

use std::time::Duration;

use crate::cli::demo::tally::{Seen, VariantSeen};
use crate::cli::output::{Ink, Inked};

/// A bar of so many cells at most, in eighths of a cell.
pub(in crate::cli::demo) fn bar(share: f64, cells: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (cells * 8) as f64).round() as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// A share in percent, with one digit.
pub(in crate::cli::demo) fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The share that a variant had, if there was any answer.
pub(in crate::cli::demo) fn actual(variant: &VariantSeen) -> String {
    variant.actual.map_or_else(|| "-".to_owned(), share)
}

/// A time, if there is one.
pub(in crate::cli::demo) fn maybe(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), time)
}

/// A time with as many digits as fit: `0.82 ms`, `14.2 ms`, `1.25 s`.
pub(in crate::cli::demo) fn time(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else if ms < 1000.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{:.2} s", ms / 1000.0)
    }
}

/// How many requests got no answer of an upstream.
pub(in crate::cli::demo) fn failed(seen: &Seen, ink: Ink) -> Inked<String> {
    let text = format!("{} failed", seen.failed);
    if seen.failed == 0 {
        ink.green(text)
    } else {
        ink.red(text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::cli::demo::figures::{bar, time};

    #[test]
    fn a_bar_is_as_long_as_the_share() {
        assert_eq!(bar(0.0, 26), "");
        assert_eq!(bar(1.0, 26).chars().count(), 26);
        assert_eq!(bar(0.5, 26).chars().count(), 13);
        assert_eq!(bar(0.005, 26), "▏");
    }

    #[test]
    fn a_time_has_three_digits() {
        assert_eq!(time(Duration::from_micros(823)), "0.82 ms");
        assert_eq!(time(Duration::from_micros(14_230)), "14.2 ms");
        assert_eq!(time(Duration::from_millis(1_250)), "1.25 s");
    }
}
