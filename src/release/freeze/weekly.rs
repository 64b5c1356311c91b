//! Weekly windows: hours of some days, on the clock of a place.
//!
//! A moment is in the window when the clock on a wall of that place says so. Where that clock is
//! turned forward, the hour it skips is in no window; where it is turned back, the hour it shows
//! twice is in the window both times. Nothing is shifted, so that a window never holds at a time
//! which its text does not name.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use crate::store::instant;

/// How far a change is looked for. A window that changes at all does so within a week; a place that
/// skips a whole day, as Samoa did in 2011, makes that two.
const DAYS_AHEAD: i32 = 15;

/// Minutes in a day, the last of the times that a window can end at.
const END_OF_DAY: u16 = 24 * 60;

/// Hours of some days of the week, `[from, to)`. One whose end is not after its beginning lasts over
/// midnight, into the day after each of its days.
///
/// Invariant: there is a day, and the beginning is not the end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Weekly {
    /// By the number of the day, Monday first.
    days: [bool; 7],
    from: ClockTime,
    to: ClockTime,
    zone: Zone,
}

/// A time that a clock shows, to the minute: `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClockTime {
    minutes: u16,
}

/// A time zone of the IANA database, by its name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

/// Why there is no such window.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WeeklyError {
    /// No day is named.
    #[error("a weekly window needs days such as [\"mon\", \"fri\"]")]
    NoDays,
    /// A day is none.
    #[error("{text:?} is no day: mon, tue, wed, thu, fri, sat or sun")]
    Day {
        /// The text.
        text: String,
    },
    /// A time is none.
    #[error("{text:?} is no time: HH:MM from 00:00 to 24:00")]
    Time {
        /// The text.
        text: String,
    },
    /// The window would be empty, or the whole day: nobody can tell.
    #[error("a window from {at} to {at} says nothing: a whole day is from 00:00 to 24:00")]
    Empty {
        /// The one time.
        at: ClockTime,
    },
    /// It begins when the day is over.
    #[error("a window cannot begin at 24:00: that is 00:00 of the next day")]
    BeginsAtEnd,
    /// No place has that name.
    #[error("{name:?} is no time zone of the IANA database, such as Europe/Berlin or UTC")]
    Zone {
        /// The name.
        name: String,
    },
}

/// A window as a file has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Written {
    days: Vec<String>,
    from: ClockTime,
    to: ClockTime,
    tz: Zone,
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Weekly {
    /// Makes a window of days (`mon` … `sun`), each once or more, in any order.
    ///
    /// # Errors
    /// When there is no day or one that is none, or when the beginning is the end.
    pub fn new<D: AsRef<str>>(
        days: &[D],
        from: ClockTime,
        to: ClockTime,
        zone: Zone,
    ) -> Result<Self, WeeklyError> {
        let mut set = [false; 7];
        for day in days {
            let day = day.as_ref();
            let Some(index) = DAYS.iter().position(|(name, _)| *name == day) else {
                let text = day.to_owned();
                return Err(WeeklyError::Day { text });
            };
            set[index] = true;
        }
        if set == [false; 7] {
            return Err(WeeklyError::NoDays);
        }
        if from.minutes == END_OF_DAY {
            return Err(WeeklyError::BeginsAtEnd);
        }
        if from == to {
            return Err(WeeklyError::Empty { at: from });
        }
        Ok(Self {
            days: set,
            from,
            to,
            zone,
        })
    }

    /// Whether the clock of the place is within the window at that moment.
    pub fn contains(&self, at: SystemTime) -> bool {
        self.holds(instant::timestamp(at))
    }

    /// The first moment after `at` at which the answer of [`Weekly::contains`] is another; none for
    /// a window that holds always.
    pub fn next_change(&self, at: SystemTime) -> Option<SystemTime> {
        let now = instant::timestamp(at);
        let holds = self.holds(now);
        let mut moments = self.moments(now);
        moments.sort_unstable();
        let mut later = moments.into_iter().filter(|moment| *moment > now);
        later
            .find(|moment| self.holds(*moment) != holds)
            .map(SystemTime::from)
    }

    /// The names of its days, Monday first.
    pub fn days(&self) -> impl Iterator<Item = &'static str> {
        let named = DAYS.iter().zip(self.days);
        named.filter_map(|((name, _), is_in)| is_in.then_some(*name))
    }

    /// When it begins.
    pub fn from(&self) -> ClockTime {
        self.from
    }

    /// When it ends.
    pub fn to(&self) -> ClockTime {
        self.to
    }

    /// Whose clock it is.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    fn holds(&self, at: Timestamp) -> bool {
        let clock = self.zone.rules.to_datetime(at);
        let date = clock.date();
        let minutes = minutes(clock.time());
        if self.from < self.to {
            return self.has(date) && (self.from.minutes..self.to.minutes).contains(&minutes);
        }
        let began_today = self.has(date) && self.from.minutes <= minutes;
        let before = date.yesterday();
        began_today || (before.is_ok_and(|day| self.has(day)) && minutes < self.to.minutes)
    }

    fn has(&self, date: Date) -> bool {
        let index = date.weekday().to_monday_zero_offset();
        usize::try_from(index).is_ok_and(|index| self.days[index])
    }

    /// Every moment, of those within reach, at which the answer may change: the clock comes to a
    /// bound, once or twice, or is turned.
    fn moments(&self, now: Timestamp) -> Vec<Timestamp> {
        let mut moments = Vec::new();
        let today = self.zone.rules.to_datetime(now).date();
        for days in -1..=DAYS_AHEAD {
            let Ok(date) = today.checked_add(days.days()) else {
                continue;
            };
            for bound in [self.from, self.to] {
                moments.extend(self.zone.moments(date, bound));
            }
        }
        let last = now.checked_add((24 * DAYS_AHEAD).hours());
        let last = last.unwrap_or(Timestamp::MAX);
        let turned = self.zone.rules.following(now).map(|turn| turn.timestamp());
        moments.extend(turned.take_while(|moment| *moment <= last));
        moments
    }
}

impl TryFrom<Written> for Weekly {
    type Error = WeeklyError;

    fn try_from(written: Written) -> Result<Self, WeeklyError> {
        Self::new(&written.days, written.from, written.to, written.tz)
    }
}

impl From<Weekly> for Written {
    fn from(weekly: Weekly) -> Self {
        Self {
            days: weekly.days().map(str::to_owned).collect(),
            from: weekly.from,
            to: weekly.to,
            tz: weekly.zone,
        }
    }
}

impl fmt::Display for Weekly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = self.days().collect();
        let Self { from, to, zone, .. } = self;
        write!(f, "{} {from}-{to} {zone}", days.join(","))
    }
}

impl Zone {
    /// Finds a zone by its name: in the system's database, which its updates keep right, else in
    /// the one of the binary, so that an image without `/usr/share/zoneinfo` has all of them.
    ///
    /// # Errors
    /// When neither knows the name.
    pub fn new(name: &str) -> Result<Self, WeeklyError> {
        let found = TimeZone::get(name).or_else(|_| TimeZoneDatabase::bundled().get(name));
        match found {
            Ok(rules) => Ok(Self {
                // As the database spells it: names are found whatever their case is.
                name: rules.iana_name().unwrap_or(name).to_owned(),
                rules,
            }),
            Err(_) => Err(WeeklyError::Zone {
                name: name.to_owned(),
            }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When its clock shows that time of that date: never, once or twice.
    fn moments(&self, date: Date, time: ClockTime) -> Vec<Timestamp> {
        let Some(clock) = time.on(date) else {
            return Vec::new();
        };
        let offsets = match self.rules.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset } => vec![offset],
            AmbiguousOffset::Gap { .. } => vec![],
            AmbiguousOffset::Fold { before, after } => vec![before, after],
        };
        let moments = offsets.iter().map(|offset| offset.to_timestamp(clock));
        moments.filter_map(Result::ok).collect()
    }
}

impl TryFrom<String> for Zone {
    type Error = WeeklyError;

    fn try_from(name: String) -> Result<Self, WeeklyError> {
        Self::new(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl ClockTime {
    /// That time on that date; `24:00` is the beginning of the next.
    fn on(self, date: Date) -> Option<jiff::civil::DateTime> {
        if self.minutes == END_OF_DAY {
            return Some(date.tomorrow().ok()?.at(0, 0, 0, 0));
        }
        let hour = i8::try_from(self.minutes / 60).ok()?;
        let minute = i8::try_from(self.minutes % 60).ok()?;
        Some(date.at(hour, minute, 0, 0))
    }
}

impl FromStr for ClockTime {
    type Err = WeeklyError;

    fn from_str(text: &str) -> Result<Self, WeeklyError> {
        let refused = || WeeklyError::Time {
            text: text.to_owned(),
        };
        let (hours, minutes) = text.split_once(':').ok_or_else(refused)?;
        let number = |text: &str| -> Option<u16> {
            let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse().ok())?
        };
        let hours = number(hours).ok_or_else(refused)?;
        let minutes = number(minutes).filter(|n| *n < 60).ok_or_else(refused)?;
        let minutes = hours * 60 + minutes;
        if minutes > END_OF_DAY {
            return Err(refused());
        }
        Ok(Self { minutes })
    }
}

impl TryFrom<String> for ClockTime {
    type Error = WeeklyError;

    fn try_from(text: String) -> Result<Self, WeeklyError> {
        text.parse()
    }
}

impl From<ClockTime> for String {
    fn from(time: ClockTime) -> Self {
        time.to_string()
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

/// The whole minutes that a clock shows.
fn minutes(time: Time) -> u16 {
    let minutes = i16::from(time.hour()) * 60 + i16::from(time.minute());
    u16::try_from(minutes).unwrap_or(0)
}
