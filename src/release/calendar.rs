//! The schedule as a calendar that other programs subscribe to: iCalendar, RFC 5545.
//!
//! Every instant is in UTC, so that no reader needs a time zone's definition.

use std::fmt::Write as _;
use std::time::SystemTime;

use crate::release::freeze::Period;
use crate::store::instant;

/// The longest line, in octets without its end (RFC 5545, section 3.1).
const MAX_LINE: usize = 75;

/// Something that takes time, or happens at one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// What tells it from others, the same each time that the calendar is written.
    pub uid: String,
    /// When it begins.
    pub from: SystemTime,
    /// When it ends; an event without is a moment.
    pub to: Option<SystemTime>,
    /// Its title.
    pub summary: String,
    /// What there is to know, several lines perhaps.
    pub description: String,
    /// What it is: `freeze`, `release`.
    pub category: String,
}

impl Event {
    /// The events of what is closed: one for each period with a freeze in the way. `what` names the
    /// move, such as `advance shop`.
    pub fn closed<'a>(what: &'a str, periods: &'a [Period]) -> impl Iterator<Item = Self> + 'a {
        let closed = periods.iter().enumerate();
        let closed = closed.filter(|(_, period)| !period.is_open());
        closed.map(move |(index, period)| {
            let freezes = period.freezes.join(", ");
            // The first is cut off where the writer stands, the last where it looks no further:
            // the other bound is the same whenever the calendar is written.
            let (bound, at) = if index + 1 < periods.len() {
                ("until", period.to)
            } else {
                ("from", period.from)
            };
            let at = instant::timestamp(at).as_second();
            Self {
                uid: format!("closed-{}-{bound}-{at}@tidegate", what.replace(' ', "-")),
                from: period.from,
                to: Some(period.to),
                summary: format!("closed: {what} ({freezes})"),
                description: format!("In the way: {freezes}."),
                category: "freeze".to_owned(),
            }
        })
    }
}

/// Writes a calendar; `written_at` is the stamp of all its events.
pub fn text(name: &str, events: &[Event], written_at: SystemTime) -> String {
    let mut out = Lines::default();
    out.put("BEGIN", "VCALENDAR");
    out.put("VERSION", "2.0");
    out.put("PRODID", "-//tidegate//schedule//EN");
    out.put("CALSCALE", "GREGORIAN");
    out.put("METHOD", "PUBLISH");
    out.put("X-WR-CALNAME", &escaped(name));
    for event in events {
        out.put("BEGIN", "VEVENT");
        out.put("UID", &escaped(&event.uid));
        out.put("DTSTAMP", &moment(written_at));
        out.put("DTSTART", &moment(event.from));
        if let Some(to) = event.to {
            out.put("DTEND", &moment(to));
        }
        out.put("SUMMARY", &escaped(&event.summary));
        out.put("DESCRIPTION", &escaped(&event.description));
        out.put("CATEGORIES", &escaped(&event.category));
        // Nobody is busy because a release is not allowed to move.
        out.put("TRANSP", "TRANSPARENT");
        out.put("END", "VEVENT");
    }
    out.put("END", "VCALENDAR");
    out.text
}

/// A moment in UTC (section 3.3.5, form 2).
fn moment(at: SystemTime) -> String {
    instant::timestamp(at)
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}

/// A text (section 3.3.11). Control characters have no place in one and are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\\' | ';' | ',' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push_str("\\n"),
            '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Lines of content, folded (section 3.1).
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn put(&mut self, name: &str, value: &str) {
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = write!(line, "{name}:{value}");
        let mut width = 0;
        for c in line.chars() {
            if width + c.len_utf8() > MAX_LINE {
                self.text.push_str("\r\n ");
                width = 1;
            }
            self.text.push(c);
            width += c.len_utf8();
        }
        self.text.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use crate::release::calendar::{Event, text};
    use crate::release::freeze::Period;

    fn second(at: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(at)
    }

    fn event(summary: &str) -> Event {
        Event {
            uid: "one@tidegate".to_owned(),
            from: second(1_798_243_200),
            to: Some(second(1_798_246_801)),
            summary: summary.to_owned(),
            description: String::new(),
            category: "freeze".to_owned(),
        }
    }

    /// Reads what RFC 5545 says back: the properties in order, their texts as they were meant. It
    /// holds every line to its 75 octets, and every text to characters that it may have.
    fn read(calendar: &str) -> Vec<(String, String)> {
        assert!(calendar.ends_with("\r\n"));
        let lines: Vec<&str> = calendar.split_terminator("\r\n").collect();
        let mut unfolded: Vec<String> = Vec::new();
        for line in lines {
            assert!(line.len() <= 75, "{} octets: {line:?}", line.len());
            assert!(
                !line.chars().any(|c| c.is_control() && c != '\t'),
                "{line:?}"
            );
            match (line.strip_prefix([' ', '\t']), unfolded.last_mut()) {
                (Some(rest), Some(last)) => last.push_str(rest),
                _ => unfolded.push(line.to_owned()),
            }
        }
        let properties = unfolded.iter().map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            let mut meant = String::new();
            let mut chars = value.chars();
            while let Some(c) = chars.next() {
                match (c, if c == '\\' { chars.next() } else { None }) {
                    ('\\', Some('n' | 'N')) => meant.push('\n'),
                    ('\\', Some(c @ ('\\' | ';' | ','))) => meant.push(c),
                    ('\\' | ';' | ',', other) => panic!("{c:?} {other:?} in {value:?}"),
                    (c, _) => meant.push(c),
                }
            }
            (name.to_owned(), meant)
        });
        properties.collect()
    }

    fn value<'a>(of: &'a [(String, String)], name: &str) -> Vec<&'a str> {
        let found = of.iter().filter(|(of, _)| of == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    #[test]
    fn a_calendar_is_what_rfc_5545_says_to_the_letter() {
        let written = text(
            "tidegate prod-eu",
            &[event("closed; a, b")],
            second(1_764_000_000),
        );
        assert_eq!(
            written,
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//tidegate//schedule//EN\r\n\
             CALSCALE:GREGORIAN\r\nMETHOD:PUBLISH\r\nX-WR-CALNAME:tidegate prod-eu\r\n\
             BEGIN:VEVENT\r\nUID:one@tidegate\r\nDTSTAMP:20251124T160000Z\r\n\
             DTSTART:20261226T000000Z\r\nDTEND:20261226T010001Z\r\nSUMMARY:closed\\; a\\, b\r\n\
             DESCRIPTION:\r\nCATEGORIES:freeze\r\nTRANSP:TRANSPARENT\r\nEND:VEVENT\r\n\
             END:VCALENDAR\r\n"
        );
    }

    #[test]
    fn an_event_without_an_end_is_a_moment() {
        let mut moment = event("start");
        moment.to = None;
        let read = read(&text("x", &[moment], second(0)));
        assert!(value(&read, "DTEND").is_empty());
    }

    #[test]
    fn a_closed_period_keeps_its_name_while_time_goes_by() {
        let period = |from, to, freezes: &[&str]| Period {
            from: second(from),
            to: second(to),
            freezes: freezes.iter().map(|&name| name.to_owned()).collect(),
        };
        let seen = |now: u64| -> Vec<Event> {
            let periods = [
                period(now, 1000, &["xmas"]),
                period(1000, 2000, &[]),
                period(2000, now + 5000, &["xmas", "nights"]),
            ];
            Event::closed("advance shop", &periods).collect()
        };
        let (first, later) = (seen(0), seen(60));
        let uids = |of: &[Event]| -> Vec<String> { of.iter().map(|of| of.uid.clone()).collect() };
        assert_eq!(uids(&first), uids(&later));
        assert_eq!(
            uids(&first),
            [
                "closed-advance-shop-until-1000@tidegate",
                "closed-advance-shop-from-2000@tidegate"
            ]
        );
        assert_eq!(first[1].summary, "closed: advance shop (xmas, nights)");
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_as_it_was(
            texts in prop::collection::vec("(?s).{0,120}", 1..4), name in ".{0,90}",
        ) {
            let meant = |text: &str| -> String {
                let text = text.replace("\r\n", "\n").replace('\r', "\n");
                text.chars().filter(|c| !c.is_control() || "\n\t".contains(*c)).collect()
            };
            let events: Vec<Event> = texts.iter().map(|text| Event {
                description: text.clone(),
                ..event(text)
            }).collect();
            let read = read(&text(&name, &events, second(0)));
            let expected: Vec<String> = texts.iter().map(|text| meant(text)).collect();
            prop_assert_eq!(value(&read, "SUMMARY"), expected.clone());
            prop_assert_eq!(value(&read, "DESCRIPTION"), expected);
            prop_assert_eq!(value(&read, "X-WR-CALNAME"), [meant(&name)]);
            prop_assert_eq!(value(&read, "DTEND").len(), events.len());
            let ends = value(&read, "END");
            prop_assert_eq!(ends.len(), events.len() + 1);
        }
    }
}
