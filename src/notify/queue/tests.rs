//! Order, age and answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use crate::notify::backoff::GIVEN_UP_AFTER;
use crate::notify::event::{Entry, Event, Severity};
use crate::notify::queue::{MOST, Outcome, Place, Queue};
use crate::outbound::{Answer, OutboundError, Stage};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

/// An entry that happened in the second of its place.
fn entry(seq: u64) -> Arc<Entry> {
    Arc::new(Entry {
        seq,
        id: seq.to_string(),
        event: Event::new(at(seq), "release.step", Severity::Info, "eu"),
    })
}

fn queue(entries: &[u64]) -> Queue {
    let mut queue = Queue::new(Place::default());
    for seq in entries {
        assert!(!queue.push(entry(*seq)));
    }
    queue
}

fn first(queue: &Queue) -> Option<u64> {
    queue.first().map(|entry| entry.seq)
}

#[test]
fn everything_before_the_first_that_waits_is_settled() {
    let mut queue = queue(&[3, 7]);
    queue.skip_to(9);
    assert_eq!((queue.read(), queue.place.after), (9, 2));
    queue.pop();
    assert_eq!((first(&queue), queue.place.after), (Some(7), 6));
    queue.pop();
    assert_eq!((first(&queue), queue.place.after), (None, 9));
    queue.skip_to(12);
    assert_eq!(queue.place.after, 12);
}

#[test]
fn a_restart_begins_with_the_first_that_was_not_settled() {
    let mut before = queue(&[3, 7]);
    before.pop();
    let written = serde_json::to_string(&before.place).unwrap();
    let after = Queue::new(serde_json::from_str(&written).unwrap());
    assert_eq!(after.read(), 6);
}

#[test]
fn a_failure_gives_up_what_is_a_day_old_and_nothing_younger() {
    let mut queue = queue(&[10, 20, 30]);
    let after_20 = at(20) + GIVEN_UP_AFTER;
    let young = queue.failed(at(10), 0.0, None);
    assert_eq!(young, (0, Duration::from_secs(1)));
    let old = queue.failed(after_20, 0.0, None);
    assert_eq!(old, (2, Duration::from_secs(2)));
    assert_eq!((first(&queue), queue.place.after), (Some(30), 29));
    // A clock that was set back makes nothing old.
    assert_eq!(queue.failed(UNIX_EPOCH, 0.0, None).0, 0);
    queue.works();
    assert_eq!(queue.failed(at(31), 0.0, None).1, Duration::from_secs(1));
}

#[test]
fn what_is_old_but_was_never_tried_is_tried_first() {
    let queue = queue(&[10]);
    assert_eq!(first(&queue), Some(10), "age alone does not drop anything");
}

#[test]
fn a_full_queue_loses_its_oldest() {
    let mut queue = Queue::new(Place::default());
    let n_lost = (1..=MOST as u64 + 2)
        .filter(|seq| queue.push(entry(*seq)))
        .count();
    assert_eq!((n_lost, queue.len()), (2, MOST));
    assert_eq!((first(&queue), queue.place.after), (Some(3), 2));
}

#[test]
fn the_parts_of_an_event_are_counted_anew_for_the_next() {
    let mut queue = queue(&[1, 2]);
    queue.part_taken();
    assert_eq!(queue.n_parts(), 1);
    queue.pop();
    assert_eq!(queue.n_parts(), 0);
}

fn answer(status: u16, retry_after: Option<&'static str>, body: &'static str) -> Outcome {
    let mut fields = HeaderMap::new();
    if let Some(value) = retry_after {
        fields.insert(RETRY_AFTER, HeaderValue::from_static(value));
    }
    let answer = Answer {
        status: StatusCode::from_u16(status).unwrap(),
        fields,
        body: Bytes::from_static(body.as_bytes()),
    };
    Outcome::of(Ok(answer), at(0))
}

#[test]
fn an_answer_is_a_yes_a_no_or_a_not_now() {
    for status in [200, 201, 202, 204] {
        assert_eq!(answer(status, None, ""), Outcome::Taken);
    }
    for status in [400, 413, 415, 422, 431] {
        assert!(
            matches!(answer(status, None, ""), Outcome::Refused { .. }),
            "{status}"
        );
    }
    for status in [301, 307, 401, 403, 404, 408, 410, 429, 500, 502, 503] {
        assert!(
            matches!(answer(status, None, ""), Outcome::Failed { .. }),
            "{status}"
        );
    }
}

#[test]
fn why_is_told_in_a_short_line() {
    let Outcome::Refused { why } = answer(400, None, "invalid\r\n  payload\u{1b}[0m") else {
        panic!("it is refused");
    };
    assert_eq!(why, "answered 400 Bad Request: invalid payload[0m");
    let long = Box::leak("x".repeat(9000).into_boxed_str());
    let Outcome::Refused { why } = answer(400, None, long) else {
        panic!("it is refused");
    };
    assert_eq!(why.len(), "answered 400 Bad Request: ".len() + 200);
}

#[test]
fn retry_after_is_read_as_seconds_and_as_a_date() {
    #[track_caller]
    fn check(value: &'static str, expected: Option<u64>) {
        let Outcome::Failed { again_in, .. } = answer(503, Some(value), "") else {
            panic!("it failed");
        };
        assert_eq!(again_in, expected.map(Duration::from_secs));
    }
    check("30", Some(30));
    check("Sun, 09 Sep 2001 01:47:10 GMT", Some(30));
    check("Sun, 09 Sep 2001 01:00:00 GMT", Some(0));
    check("soon", None);
}

#[test]
fn who_said_yes_and_broke_off_has_it_all_the_same() {
    let late = |status| OutboundError::TimedOut {
        stage: Stage::Body,
        limit: Duration::from_secs(1),
        status,
    };
    let outcome = |status| Outcome::of(Err(late(status)), at(0));
    assert_eq!(outcome(Some(StatusCode::OK)), Outcome::Taken);
    for status in [None, Some(StatusCode::BAD_REQUEST)] {
        assert!(matches!(outcome(status), Outcome::Failed { .. }));
    }
}
