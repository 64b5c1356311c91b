//! When a flag is stale, by its file and by the evidence of its use.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::flag::tests::at;
use crate::flag::{Answer, FlagSpec, Look, Settings, Stale, Use, judge};

const DAY: u64 = 86_400;

const SETTINGS: Settings = Settings {
    unused_after: Duration::from_secs(30 * DAY),
    constant_after: Duration::from_secs(30 * DAY),
};

/// A look over whole days.
fn look(from: u64, to: u64, answers: &[(&str, u64)]) -> Look {
    let answers = answers
        .iter()
        .map(|&(name, count)| (name.to_owned(), count));
    Look {
        from: at(from * DAY),
        to: at(to * DAY),
        answers: answers.collect(),
    }
}

/// A look for each of some days.
fn daily(from: u64, to: u64, answers: &[(&str, u64)]) -> Vec<Look> {
    (from..to).map(|day| look(day, day + 1, answers)).collect()
}

fn evidence(looks: &[Vec<Look>]) -> Use {
    let looks: Vec<&Look> = looks.iter().flatten().collect();
    let mut evidence = Use::new(looks[0]);
    for look in &looks[1..] {
        evidence.note(look);
    }
    evidence
}

fn judged(evidence: &Use) -> Vec<Stale> {
    judge(
        &FlagSpec::switch(),
        Some(evidence),
        at(1000 * DAY),
        SETTINGS,
    )
}

#[track_caller]
fn check(looks: &[Vec<Look>], expected: &[Stale]) {
    assert_eq!(judged(&evidence(looks)), expected);
}

fn unused(since: u64) -> Stale {
    Stale::Unused {
        since: at(since * DAY),
    }
}

fn one_answer(variant: &str, since: u64) -> Stale {
    Stale::OneAnswer {
        variant: variant.to_owned(),
        since: at(since * DAY),
    }
}

const ON: &[(&str, u64)] = &[("on", 5)];
const OFF: &[(&str, u64)] = &[("off", 1)];
const BOTH: &[(&str, u64)] = &[("off", 1), ("on", 1)];

#[test]
fn a_flag_is_expired_from_the_moment_that_its_file_names() {
    let spec = FlagSpec {
        expires: Some(at(10)),
        ..FlagSpec::switch()
    };
    assert_eq!(judge(&spec, None, at(9), SETTINGS), []);
    let expired = [Stale::Expired { at: at(10) }];
    assert_eq!(judge(&spec, None, at(10), SETTINGS), expired);
}

#[test]
fn a_flag_that_is_meant_to_stay_is_never_stale() {
    let spec = FlagSpec {
        permanent: true,
        expires: Some(at(10)),
        ..FlagSpec::switch()
    };
    let evidence = evidence(&[daily(0, 1, ON), daily(1, 100, ON), daily(100, 200, &[])]);
    assert_eq!(judge(&spec, Some(&evidence), at(1 << 40), SETTINGS), []);
    assert_eq!(judged(&evidence).len(), 2);
}

#[test]
fn a_flag_is_unused_when_it_was_watched_for_long_and_not_evaluated() {
    check(&[daily(0, 29, &[])], &[]);
    check(&[daily(0, 30, &[])], &[unused(0)]);
    check(&[daily(0, 1, BOTH), daily(1, 30, &[])], &[]);
    check(&[daily(0, 1, BOTH), daily(1, 31, &[])], &[unused(1)]);
    check(&[daily(0, 40, &[]), daily(40, 41, BOTH)], &[]);
    check(&[daily(0, 40, &[("on", 0)])], &[unused(0)]);
}

#[test]
fn time_that_nobody_watched_does_not_count() {
    check(&[daily(0, 15, &[]), daily(100, 114, &[])], &[]);
    check(&[daily(0, 15, &[]), daily(100, 115, &[])], &[unused(0)]);
    check(&[daily(0, 15, ON), daily(100, 115, ON)], &[]);
    check(
        &[daily(0, 16, ON), daily(100, 117, ON)],
        &[one_answer("on", 1)],
    );
}

#[test]
fn looks_that_overlap_do_not_count_twice() {
    check(&[daily(0, 20, &[]), daily(0, 20, &[])], &[]);
    check(&[daily(0, 20, &[]), daily(10, 29, &[])], &[]);
    check(&[daily(0, 20, &[]), daily(10, 30, &[])], &[unused(0)]);
    // The clock went back.
    let backwards = look(20, 5, &[]);
    check(&[daily(0, 20, &[]), vec![backwards; 50]], &[]);
}

#[test]
fn one_answer_counts_from_its_first_to_its_last() {
    // When in a look an answer was given is not known: neither the first look counts nor the last.
    check(&[daily(0, 31, ON)], &[]);
    check(&[daily(0, 32, ON)], &[one_answer("on", 1)]);
    // Quiet days count once the same answer comes again.
    check(&[daily(0, 1, ON), daily(1, 28, &[])], &[]);
    check(
        &[daily(0, 1, ON), daily(1, 28, &[]), daily(28, 31, ON)],
        &[],
    );
    check(
        &[daily(0, 1, ON), daily(1, 28, &[]), daily(28, 32, ON)],
        &[one_answer("on", 1)],
    );
}

#[test]
fn another_answer_begins_anew() {
    check(&[daily(0, 60, ON), daily(60, 61, OFF)], &[]);
    check(
        &[daily(0, 60, ON), daily(60, 61, BOTH), daily(61, 92, ON)],
        &[],
    );
    check(
        &[daily(0, 60, ON), daily(60, 61, BOTH), daily(61, 93, ON)],
        &[one_answer("on", 62)],
    );
    check(
        &[daily(0, 60, ON), daily(60, 92, OFF)],
        &[one_answer("off", 61)],
    );
    check(&[daily(0, 100, BOTH)], &[]);
}

#[test]
fn an_answer_that_is_no_variant_any_more_says_nothing() {
    check(&[daily(0, 60, &[("blue", 1)])], &[]);
}

#[test]
fn evidence_is_summed_up() {
    let evidence = evidence(&[daily(0, 2, ON), daily(2, 3, BOTH), daily(3, 9, &[])]);
    let answer = |count, day: u64| Answer {
        count,
        last: at(day * DAY),
    };
    let expected = [("off", answer(1, 3)), ("on", answer(11, 3))];
    let expected = expected.map(|(name, answer)| (name.to_owned(), answer));
    assert_eq!(*evidence.answers(), BTreeMap::from(expected));
    assert_eq!(evidence.last_evaluated(), Some(at(3 * DAY)));
    assert_eq!((evidence.since(), evidence.until()), (at(0), at(9 * DAY)));
}

#[test]
fn evidence_survives_being_kept() {
    let kept = evidence(&[daily(0, 40, ON), daily(40, 75, &[])]);
    let text = serde_json::to_string(&kept).unwrap();
    let read: Use = serde_json::from_str(&text).unwrap();
    assert_eq!(read, kept);
    assert_eq!(judged(&read), [one_answer("on", 1), unused(40)]);
    assert!(text.contains(r#""since":"1970-01-01T00:00:00Z""#), "{text}");
    assert!(serde_json::from_str::<Use>(&text.replace("1970-01-01T", "yesterday ")).is_err());
}

#[test]
fn what_two_instances_saw_is_no_more_than_each_saw() {
    let merged = |a: &[Vec<Look>], b: &[Vec<Look>]| {
        let (a, b) = (evidence(a), evidence(b));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b);
        ba.merge(&a);
        assert_eq!(judged(&ab), judged(&ba));
        judged(&ab)
    };
    // Each watched for 20 days at the same time: that is not 40.
    let quiet = [daily(0, 20, &[])];
    assert_eq!(merged(&quiet, &quiet), []);
    assert_eq!(merged(&[daily(0, 30, &[])], &quiet), [unused(0)]);
    assert_eq!(merged(&[daily(0, 30, &[])], &[daily(0, 20, BOTH)]), []);
    let on = [daily(0, 40, ON)];
    assert_eq!(merged(&on, &on), [one_answer("on", 1)]);
    assert_eq!(merged(&on, &[daily(0, 1, OFF)]), []);
    assert_eq!(merged(&on, &[daily(0, 20, BOTH)]), []);
    assert_eq!(merged(&on, &quiet), [one_answer("on", 1)]);
    let later = [daily(0, 5, OFF), daily(5, 60, ON)];
    assert_eq!(merged(&on, &later), [one_answer("on", 6)]);
    let too_late = [daily(0, 15, OFF), daily(15, 46, ON)];
    assert_eq!(merged(&on, &too_late), []);
}

#[test]
fn reasons_have_names() {
    let reasons = [Stale::Expired { at: at(0) }, one_answer("on", 0), unused(0)];
    let names = reasons.map(|reason| reason.name());
    assert_eq!(names, ["expired", "one_answer", "unused"]);
}
