//! Weekly windows against a clock that is reckoned by hand.
//!
//! The model knows the offsets of three places around their changes of 2026 as they were announced,
//! and the days of the week by counting from the epoch; it shares nothing with what it tests.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use crate::release::freeze::weekly::{ClockTime, Weekly, WeeklyError, Zone};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * 60;

/// A place, its clock's change, and the offsets before and after it, in seconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::release::freeze) struct Turn {
    pub(in crate::release::freeze) zone: &'static str,
    pub(in crate::release::freeze) at: i64,
    pub(in crate::release::freeze) before: i64,
    pub(in crate::release::freeze) after: i64,
}

/// The changes of 2026. Lord Howe turns its clock by half an hour.
pub(in crate::release::freeze) const TURNS: [Turn; 6] = [
    turn("Europe/Berlin", 1_774_746_000, 60, 120), // 2026-03-29T01:00Z
    turn("Europe/Berlin", 1_792_890_000, 120, 60), // 2026-10-25T01:00Z
    turn("America/New_York", 1_772_953_200, -300, -240), // 2026-03-08T07:00Z
    turn("America/New_York", 1_793_512_800, -240, -300), // 2026-11-01T06:00Z
    turn("Australia/Lord_Howe", 1_775_314_800, 660, 630), // 2026-04-04T15:00Z
    turn("Australia/Lord_Howe", 1_791_041_400, 630, 660), // 2026-10-03T15:30Z
];

const fn turn(zone: &'static str, at: i64, before: i64, after: i64) -> Turn {
    Turn {
        zone,
        at,
        before: before * MINUTE,
        after: after * MINUTE,
    }
}

/// A window as numbers: which days (Monday first), and minutes of the day.
#[derive(Clone, Debug)]
pub(in crate::release::freeze) struct Hours {
    pub(in crate::release::freeze) days: [bool; 7],
    pub(in crate::release::freeze) from: i64,
    pub(in crate::release::freeze) to: i64,
}

impl Hours {
    /// Whether a clock that is turned so is within them.
    pub(in crate::release::freeze) fn hold(&self, turn: Turn, at: i64) -> bool {
        let offset = if at < turn.at {
            turn.before
        } else {
            turn.after
        };
        let clock = at + offset;
        let (day, minute) = (clock.div_euclid(DAY), clock.rem_euclid(DAY) / MINUTE);
        // The epoch was a Thursday.
        let is_in = |day: i64| self.days[usize::try_from((day + 3).rem_euclid(7)).unwrap()];
        if self.from < self.to {
            is_in(day) && self.from <= minute && minute < self.to
        } else {
            is_in(day) && self.from <= minute || is_in(day - 1) && minute < self.to
        }
    }

    pub(in crate::release::freeze) fn weekly(&self, zone: &str) -> Weekly {
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let days = names.into_iter().zip(self.days).filter(|(_, is_in)| *is_in);
        let days: Vec<&str> = days.map(|(name, _)| name).collect();
        let clock = |minutes: i64| time(&format!("{:02}:{:02}", minutes / 60, minutes % 60));
        let zone = Zone::new(zone).unwrap();
        Weekly::new(&days, clock(self.from), clock(self.to), zone).unwrap()
    }
}

/// Any hours; half of them begin or end near the hours that clocks skip or show twice.
pub(in crate::release::freeze) fn hours() -> impl Strategy<Value = Hours> {
    let minute = prop_oneof![0..1440i64, 0..240i64];
    let days = any::<[bool; 7]>().prop_filter("a day", |days| days.contains(&true));
    let to = prop_oneof![9 => minute.clone(), 1 => Just(1440i64)];
    let bounds = (minute, to).prop_filter("a window", |(from, to)| from != to);
    (days, bounds).prop_map(|(days, (from, to))| Hours { days, from, to })
}

pub(in crate::release::freeze) fn second(at: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap())
}

fn time(text: &str) -> ClockTime {
    text.parse().unwrap()
}

fn weekly(days: &[&str], from: &str, to: &str, zone: &str) -> Weekly {
    Weekly::new(days, time(from), time(to), Zone::new(zone).unwrap()).unwrap()
}

/// The moments from which on, and until which, a window holds, in a span of time.
fn changes(of: &Weekly, from: &str, to: &str) -> String {
    let moment = |text: &str| SystemTime::from(text.parse::<jiff::Timestamp>().unwrap());
    let (mut at, to) = (moment(from), moment(to));
    let mut out = Vec::new();
    while let Some(next) = of.next_change(at).filter(|next| *next < to) {
        let sign = if of.contains(next) { '+' } else { '-' };
        let text = crate::store::instant::text(next);
        out.push(format!("{sign}{}", &text[5..16]));
        at = next;
    }
    out.join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_window_holds_at_each_minute_when_the_clock_of_the_place_says_so(
        hours in hours(),
        turn in prop::sample::select(TURNS.to_vec()),
    ) {
        let window = hours.weekly(turn.zone);
        // A week before the change and two after it: beyond what a change is looked for in.
        let (begin, end) = (turn.at - 7 * DAY, turn.at + 14 * DAY);
        let mut changes = Vec::new();
        let mut before = hours.hold(turn, begin);
        for at in (begin..end).step_by(60) {
            let holds = hours.hold(turn, at);
            prop_assert_eq!(window.contains(second(at)), holds, "at {}", at);
            if holds != before {
                changes.push(at);
            }
            before = holds;
        }
        let around = changes.iter().flat_map(|at| [at - 1, *at, at + 1]);
        for at in around.chain((begin..end).step_by(5003)).filter(|at| *at < end - 8 * DAY) {
            let next = changes.iter().find(|change| **change > at);
            prop_assert_eq!(window.next_change(second(at)), next.map(|at| second(*at)), "at {}", at);
        }
    }

    #[test]
    fn a_window_survives_being_written(hours in hours()) {
        let window = hours.weekly("Europe/Berlin");
        let text = serde_json::to_string(&window).unwrap();
        prop_assert_eq!(serde_json::from_str::<Weekly>(&text).unwrap(), window, "{}", text);
    }
}

#[test]
fn an_hour_that_the_clock_skips_is_in_no_window() {
    let skipped = weekly(&["sun"], "02:15", "02:45", "Europe/Berlin");
    let days = ("2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z");
    assert_eq!(changes(&skipped, days.0, days.1), "");
    // What begins in it begins with what the clock shows next.
    let halved = weekly(&["sun"], "02:30", "04:00", "Europe/Berlin");
    assert_eq!(
        changes(&halved, days.0, days.1),
        "+03-29T01:00 -03-29T02:00"
    );
}

#[test]
fn an_hour_that_the_clock_shows_twice_is_in_the_window_twice() {
    let twice = weekly(&["sun"], "02:15", "02:45", "Europe/Berlin");
    let days = ("2026-10-24T00:00:00Z", "2026-10-26T00:00:00Z");
    assert_eq!(
        changes(&twice, days.0, days.1),
        "+10-25T00:15 -10-25T00:45 +10-25T01:15 -10-25T01:45"
    );
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
    let night = weekly(&["fri"], "22:00", "06:00", "UTC");
    assert_eq!(
        changes(&night, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        "+11-27T22:00 -11-28T06:00"
    );
    let nights = weekly(&["mon", "tue"], "20:00", "19:59", "UTC");
    assert_eq!(
        changes(&nights, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        "+11-23T20:00 -11-24T19:59 +11-24T20:00 -11-25T19:59"
    );
}

#[test]
fn a_whole_day_ends_when_the_day_does() {
    let day = weekly(&["sat", "sun"], "00:00", "24:00", "Asia/Kathmandu");
    assert_eq!(
        changes(&day, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        "+11-27T18:15 -11-29T18:15"
    );
    let always = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let always = weekly(&always, "00:00", "24:00", "Europe/Berlin");
    assert_eq!(
        changes(&always, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ""
    );
}

#[test]
fn a_day_that_a_place_skipped_has_no_window() {
    // Samoa went from Thursday, 2011-12-29, to Saturday, the 31st.
    let fridays = weekly(&["fri"], "09:00", "10:00", "Pacific/Apia");
    assert_eq!(
        changes(&fridays, "2011-12-20T00:00:00Z", "2012-01-07T00:00:00Z"),
        "+12-23T19:00 -12-23T20:00 +01-05T19:00 -01-05T20:00"
    );
}

#[test]
fn what_no_clock_shows_is_refused_with_what_would_be_right() {
    for text in [
        "", "9:00", "09:60", "24:01", "25:00", "09.00", "+9:00", "09:00:00", "٠٩:00",
    ] {
        let refused = text.parse::<ClockTime>();
        let named = WeeklyError::Time {
            text: text.to_owned(),
        };
        assert_eq!(refused, Err(named), "{text}");
    }
    let utc = || Zone::new("UTC").unwrap();
    let made = |days: &[&str], from, to| Weekly::new(days, time(from), time(to), utc());
    assert_eq!(made(&[], "09:00", "10:00"), Err(WeeklyError::NoDays));
    let day = WeeklyError::Day {
        text: "Mon".to_owned(),
    };
    assert_eq!(made(&["mon", "Mon"], "09:00", "10:00"), Err(day));
    let empty = WeeklyError::Empty { at: time("09:00") };
    assert_eq!(made(&["mon"], "09:00", "09:00"), Err(empty));
    assert_eq!(
        made(&["mon"], "24:00", "09:00"),
        Err(WeeklyError::BeginsAtEnd)
    );
    let zone = Zone::new("Europe/Atlantis").unwrap_err();
    assert_eq!(
        zone.to_string(),
        "\"Europe/Atlantis\" is no time zone of the IANA database, such as Europe/Berlin or UTC"
    );
}

#[test]
fn the_names_that_a_system_left_out_are_known_all_the_same() {
    // Debian moved the old names into a package of their own.
    assert_eq!(Zone::new("US/Eastern").unwrap().name(), "US/Eastern");
    let read: Weekly = serde_json::from_str(
        r#"{"days":["mon"],"from":"09:00","to":"16:00","tz":"europe/berlin"}"#,
    )
    .unwrap();
    assert_eq!(read.to_string(), "mon 09:00-16:00 Europe/Berlin");
}
