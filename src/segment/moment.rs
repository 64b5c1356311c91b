//! Dates as texts.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// What a text has to be.
pub(crate) const WHAT: &str = "a date of RFC 3339 such as 2026-11-24 or 2026-11-24T09:00:00Z";

/// Reads a date with its time and offset (`2026-11-24T09:00:00+01:00`), or a date alone, which is
/// its first moment in UTC (RFC 3339, section 5.6).
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    // The parser behind takes other notations as well; what is compared should mean one thing.
    let has_shape = bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-');
    if !has_shape || bytes.contains(&b'[') {
        return None;
    }
    if bytes.len() == 10 {
        let date: Date = text.parse().ok()?;
        return Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp());
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::segment::moment::read;

    #[test]
    fn a_date_is_read_with_its_offset_or_alone_in_utc() {
        let second = |text: &str| read(text).map(jiff::Timestamp::as_second);
        assert_eq!(second("1970-01-01T00:00:01Z"), Some(1));
        assert_eq!(second("1970-01-01T01:00:01+01:00"), Some(1));
        assert_eq!(second("1970-01-02"), Some(86_400));
        assert_eq!(
            read("1970-01-01T00:00:00.5Z").unwrap().as_millisecond(),
            500
        );
        for text in [
            "",
            "1970",
            "1970-01",
            "19700101",
            "1970-02-30",
            "1970-01-01T00:00:00",
            "today",
            "1970-01-01T00:00:01Z[UTC]",
            "1970-W01-1",
        ] {
            assert_eq!(second(text), None, "{text}");
        }
    }
}
