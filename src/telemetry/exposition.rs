//! Text in the Prometheus exposition format 0.0.4.

use std::fmt::{Display, Write};

use crate::telemetry::metrics::{Family, Kind};
use crate::telemetry::stats::{Buckets, HistogramTotals};

/// Labels as they stand between the braces, escaped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels(String);

impl Labels {
    /// Makes them from names and values.
    pub(crate) fn new<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        Self::default().and(pairs)
    }

    /// These labels and some more.
    pub(crate) fn and<const N: usize>(&self, pairs: [(&str, &str); N]) -> Self {
        let mut text = self.0.clone();
        for (name, value) in pairs {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(name);
            text.push_str("=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    _ => text.push(letter),
                }
            }
            text.push('"');
        }
        Self(text)
    }
}

/// A text that is being written, family by family.
#[derive(Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// Writes a family's help and type, and then its series by `samples`.
    pub(crate) fn family(&mut self, family: &Family, samples: impl FnOnce(&mut Samples<'_>)) {
        let _ = writeln!(self.text, "# HELP {} {}", family.name, family.help);
        let _ = writeln!(self.text, "# TYPE {} {}", family.name, family.kind.name());
        samples(&mut Samples {
            text: &mut self.text,
            family,
        });
    }

    /// Adds a text that is in this format already.
    pub(crate) fn append(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// The series of one family that are being written.
pub(crate) struct Samples<'a> {
    text: &'a mut String,
    family: &'a Family,
}

impl Samples<'_> {
    /// Writes the value of one series.
    pub(crate) fn value(&mut self, labels: &Labels, value: impl Display) {
        debug_assert!(self.family.kind != Kind::Histogram);
        self.line("", labels, value);
    }

    /// Writes one histogram.
    pub(crate) fn histogram(
        &mut self,
        labels: &Labels,
        buckets: &Buckets,
        totals: &HistogramTotals,
    ) {
        debug_assert!(self.family.kind == Kind::Histogram);
        let mut sum = 0;
        let mut counts = totals.buckets.iter();
        for (bound, count) in buckets.seconds().zip(&mut counts) {
            sum += count;
            self.line("_bucket", &labels.and([("le", &bound.to_string())]), sum);
        }
        let count = totals.count();
        self.line("_bucket", &labels.and([("le", "+Inf")]), count);
        self.line("_sum", labels, Seconds(totals.sum_nanos));
        self.line("_count", labels, count);
    }

    fn line(&mut self, suffix: &str, labels: &Labels, value: impl Display) {
        self.text.push_str(self.family.name);
        self.text.push_str(suffix);
        if !labels.0.is_empty() {
            self.text.push('{');
            self.text.push_str(&labels.0);
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// Nanoseconds, written as seconds with nothing lost.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if nanos == 0 {
            write!(formatter, "{seconds}")
        } else {
            write!(formatter, "{seconds}.{nanos:09}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::telemetry::exposition::{Exposition, Labels, Seconds};
    use crate::telemetry::metrics::REQUESTS_IN_FLIGHT;

    #[test]
    fn a_label_value_cannot_end_its_line() {
        let mut text = Exposition::default();
        text.family(&REQUESTS_IN_FLIGHT, |samples| {
            samples.value(&Labels::new([("route", "a\"b\\c\nd"), ("variant", "é")]), 1);
        });
        let text = text.finish();
        assert_eq!(
            text.lines().last(),
            Some(r#"tidegate_requests_in_flight{route="a\"b\\c\nd",variant="é"} 1"#)
        );
    }

    #[test]
    fn seconds_lose_no_nanosecond() {
        for (duration, text) in [
            (Duration::ZERO, "0"),
            (Duration::from_nanos(1), "0.000000001"),
            (Duration::from_millis(1500), "1.500000000"),
            (Duration::from_secs(90), "90"),
        ] {
            assert_eq!(Seconds(duration.as_nanos() as u64).to_string(), text);
        }
    }
}
