//! What Alertmanager is sent, and when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::notify::alerts::{Alerts, MOST, name};
use crate::notify::event::{Entry, Event, Severity};
use crate::notify::fixture::sink;
use crate::notify::sink::{Kind, Sink};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

fn entry(seconds: u64, kind: &str, severity: Severity) -> Entry {
    Entry {
        seq: seconds,
        id: format!("id-{seconds}"),
        event: Event {
            release: Some("shop-2".to_owned()),
            route: Some("shop".to_owned()),
            ..Event::new(at(seconds), kind, severity, "eu")
        },
    }
}

struct Told {
    sink: Sink,
    alerts: Alerts,
}

impl Told {
    fn nothing() -> Self {
        Self {
            sink: sink("oncall", Kind::Alertmanager, &["*"]),
            alerts: Alerts::default(),
        }
    }

    fn note(&mut self, seconds: u64, kind: &str) {
        let entry = entry(seconds, kind, Severity::Warning);
        self.alerts.note(&self.sink, &entry);
    }

    /// What is sent then: the name, the start and the end of each, in seconds.
    fn send(&mut self, seconds: u64) -> Vec<(String, u64, u64)> {
        let rendered = self.alerts.render(at(seconds));
        self.alerts.sent(at(seconds));
        let read = |time: &Value| {
            let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
            u64::try_from(time.as_second() - 1_000_000_000).unwrap()
        };
        let alerts = rendered.as_array().unwrap().iter().map(|alert| {
            let name = alert["labels"]["alertname"].as_str().unwrap();
            let name = name.strip_prefix("Tidegate").unwrap().to_owned();
            (name, read(&alert["startsAt"]), read(&alert["endsAt"]))
        });
        alerts.collect()
    }
}

fn held(starts: u64, ends: u64) -> (String, u64, u64) {
    ("ReleaseHeld".to_owned(), starts, ends)
}

#[test]
fn an_active_alert_is_sent_every_minute_until_it_is_over_and_then_once() {
    let mut told = Told::nothing();
    told.note(0, "release.held");
    assert_eq!(told.send(0), [held(0, 300)]);
    assert_eq!(told.alerts.due_in(at(0)), Some(Duration::from_secs(60)));
    assert_eq!(told.send(59), []);
    assert_eq!(told.send(60), [held(0, 360)]);
    told.note(70, "release.resumed");
    assert!(told.alerts.are_due(at(71)));
    assert_eq!(told.send(71), [held(0, 70)]);
    assert_eq!(told.alerts, Alerts::default());
    assert_eq!(told.alerts.due_in(at(71)), None);
}

#[test]
fn the_end_of_an_alert_is_told_until_it_was_heard() {
    let mut told = Told::nothing();
    told.note(0, "release.held");
    told.send(0);
    told.note(10, "release.step");
    for seconds in [11, 1000] {
        assert!(told.alerts.are_due(at(seconds)));
        assert_eq!(told.alerts.render(at(seconds)).as_array().unwrap().len(), 1);
        assert_eq!(told.alerts.n_active(at(seconds)), 0);
    }
    assert_eq!(told.send(2000), [held(0, 10)]);
}

#[test]
fn what_happened_is_an_alert_for_a_day_or_until_somebody_goes_on() {
    let day = 24 * 60 * 60;
    let failed = |starts, ends| ("ReleaseFailed".to_owned(), starts, ends);
    let mut told = Told::nothing();
    told.note(0, "release.failed");
    assert_eq!(told.send(0), [failed(0, 300)]);
    assert_eq!(told.send(day - 30), [failed(0, day)]);
    let until_end = told.alerts.due_in(at(day - 30));
    assert_eq!(until_end, Some(Duration::from_secs(30)));
    assert_eq!(told.send(day), [failed(0, day)]);
    assert_eq!(told.send(day + 60), []);

    told.note(2 * day, "release.failed");
    told.note(2 * day + 5, "release.retried");
    assert_eq!(told.send(2 * day + 9), [failed(2 * day, 2 * day + 5)]);
}

#[test]
fn the_same_alert_again_goes_on_with_what_is_new() {
    let mut told = Told::nothing();
    told.note(0, "release.held");
    told.note(10, "release.held");
    assert_eq!(told.send(10), [held(0, 310)]);
    told.note(20, "release.resumed");
    told.note(30, "release.held");
    assert_eq!(told.send(30), [held(30, 330)]);
}

#[test]
fn another_severity_is_another_alert_and_ends_the_first() {
    let mut told = Told::nothing();
    told.note(0, "release.held");
    told.send(0);
    let worse = entry(10, "release.held", Severity::Critical);
    told.alerts.note(&told.sink, &worse);
    assert_eq!(told.send(10), [held(0, 10), held(10, 310)]);
    assert_eq!(told.send(70), [held(10, 370)]);
}

#[test]
fn a_clock_that_is_set_back_keeps_no_alert_from_being_sent() {
    let mut told = Told::nothing();
    told.note(0, "release.held");
    told.send(5000);
    assert_eq!(told.send(10), [held(0, 310)]);
    assert_eq!(told.send(11), []);
}

#[test]
fn to_take_note_twice_changes_nothing() {
    let mut told = Told::nothing();
    for kind in ["release.held", "release.failed", "release.retried"] {
        told.note(1, kind);
        let before = told.alerts.clone();
        told.note(1, kind);
        assert_eq!(told.alerts, before);
    }
}

#[test]
fn another_release_does_not_end_an_alert() {
    let mut told = Told::nothing();
    told.note(0, "release.held");
    let mut other = entry(1, "release.promoted", Severity::Info);
    other.event.release = Some("shop-3".to_owned());
    told.alerts.note(&told.sink, &other);
    assert_eq!(told.alerts.n_active(at(1)), 1);
}

#[test]
fn an_alert_that_is_no_more_wanted_is_over() {
    let mut told = Told::nothing();
    told.note(0, "release.held");
    told.send(0);
    let sink = |kind| sink("oncall", kind, &["release.failed"]);
    told.alerts.end_unwanted(&sink(Kind::Alertmanager), at(5));
    assert_eq!(told.send(6), [held(0, 5)]);
    told.note(10, "release.held");
    told.alerts.end_unwanted(&sink(Kind::Slack), at(11));
    assert_eq!(told.alerts, Alerts::default());
}

#[test]
fn alerts_survive_a_restart_and_are_sent_at_once() {
    let mut told = Told::nothing();
    told.note(0, "release.held");
    told.send(0);
    let written = serde_json::to_string(&told.alerts).unwrap();
    told.alerts = serde_json::from_str(&written).unwrap();
    assert_eq!(told.alerts.due_in(at(1)), Some(Duration::ZERO));
    assert_eq!(told.send(1), [held(0, 301)]);
}

#[test]
fn a_flood_loses_its_oldest_alerts() {
    let mut told = Told::nothing();
    for seconds in 0..MOST as u64 + 3 {
        let mut entry = entry(seconds, "release.held", Severity::Warning);
        entry.event.release = Some(format!("shop-{seconds}"));
        told.alerts.note(&told.sink, &entry);
    }
    assert_eq!(told.alerts.n_active(at(1000)), MOST);
    assert_eq!(told.send(1000)[0].1, 3);
}

#[test]
fn what_changes_is_no_label() {
    let mut told = Told::nothing();
    let mut entry = entry(0, "release.held", Severity::Warning);
    entry.event.step = Some(3);
    entry.event.detail = Some("too few requests".to_owned());
    told.alerts.note(&told.sink, &entry);
    let alert = told.alerts.render(at(0))[0].take();
    let labels: Vec<&String> = alert["labels"].as_object().unwrap().keys().collect();
    assert_eq!(
        labels,
        ["alertname", "cluster", "release", "route", "severity"]
    );
    assert_eq!(alert["annotations"]["step"], "3");
    assert_eq!(alert["annotations"]["description"], "too few requests");
    assert_eq!(alert["annotations"]["event_id"], "id-0");
}

#[test]
fn an_alert_is_named_after_its_kind() {
    assert_eq!(name("release.rolled_back"), "TidegateReleaseRolledBack");
    assert_eq!(name("metrics_source.down"), "TidegateMetricsSourceDown");
}

#[test]
fn each_flag_that_is_killed_is_an_alert_until_that_one_is_not_any_more() {
    let mut told = Told::nothing();
    let note = |told: &mut Told, seconds: u64, kind: &str, flag: &str| {
        let mut entry = entry(seconds, kind, Severity::Warning);
        entry.event.release = None;
        entry.event.route = None;
        entry.event.flag = Some(flag.to_owned());
        told.alerts.note(&told.sink, &entry);
    };
    let killed = |starts, ends| ("FlagKilled".to_owned(), starts, ends);
    note(&mut told, 0, "flag.killed", "cart");
    note(&mut told, 1, "flag.killed", "search");
    let rendered = told.alerts.render(at(1));
    assert_eq!(rendered[0]["labels"]["flag"], "cart", "{rendered}");
    assert_eq!(
        rendered[0]["annotations"]["summary"], "cart: killed",
        "{rendered}"
    );
    assert_eq!(told.send(1), [killed(0, 301), killed(1, 301)]);
    note(&mut told, 30, "flag.unkilled", "cart");
    assert_eq!(told.send(31), [killed(0, 30)]);
    assert_eq!(told.send(61), [killed(1, 361)]);
}
