//! Gates: the cases that people have.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::release::gate::{
    Answer, Author, Facts, Gate, GateState, Grade, Judged, OnTimeout, Open, Vote, VoteError,
    Waiting, Why, judge,
};
use crate::release::readiness::{Documents, Exception};
use crate::release::role::{Role, Roles};

pub(in crate::release::gate) const HOUR: u64 = 3600;

pub(in crate::release::gate) fn at(hour: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000 + hour * HOUR)
}

pub(in crate::release::gate) fn roles(names: &[&str]) -> Roles {
    let roles = names.iter().map(|name| name.parse::<Role>().unwrap());
    roles.collect()
}

pub(in crate::release::gate) fn gate() -> Gate {
    Gate {
        name: "sre".to_owned(),
        roles: vec!["sre".parse().unwrap()],
        approvals: 2,
        distinct_from_author: true,
        expires: Duration::from_secs(24 * HOUR),
        on_timeout: OnTimeout::Hold,
        criteria: Vec::new(),
    }
}

pub(in crate::release::gate) fn author() -> Author {
    Author {
        mail: Some("Ana <ana@example.com>".to_owned()),
        created_by: Some("ci-bot".to_owned()),
    }
}

pub(in crate::release::gate) fn facts() -> Facts {
    Facts {
        spec_hash: "s1".to_owned(),
        judged: Judged::As(Grade::Proven),
        documents: Documents::default(),
        checks: BTreeMap::new(),
        releases: BTreeMap::new(),
        exceptions: Vec::new(),
    }
}

pub(in crate::release::gate) fn yes(actor: &str, hour: u64) -> Vote {
    Vote {
        gate: "sre".to_owned(),
        spec_hash: "s1".to_owned(),
        actor: actor.to_owned(),
        mail: None,
        roles: roles(&["sre"]),
        answer: Answer::Approve,
        reason: "p95 is flat".to_owned(),
        at: at(hour),
    }
}

fn no(actor: &str, hour: u64) -> Vote {
    Vote {
        answer: Answer::Reject,
        reason: "support is not briefed".to_owned(),
        ..yes(actor, hour)
    }
}

fn state(gate: &Gate, votes: &[Vote], hour: u64) -> GateState {
    judge(gate, &author(), votes, &facts(), at(0), at(hour))
}

#[track_caller]
fn open(state: GateState) -> Open {
    match state {
        GateState::Open(open) => open,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn waiting(state: GateState) -> Waiting {
    match state {
        GateState::Waiting(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

/// Who is ignored, and why.
fn ignored(waiting: &Waiting) -> Vec<(&str, Why)> {
    let all = waiting.ignored.iter();
    all.map(|of| (of.by.as_str(), of.why)).collect()
}

#[test]
fn a_gate_opens_when_enough_people_approve() {
    let one = waiting(state(&gate(), &[yes("ben", 1)], 2));
    assert_eq!((one.have, one.need, one.overdue), (1, 2, false));
    assert_eq!(one.expires_at, Some(at(24)));
    assert_eq!(one.missing(), "1 of 2 approvals by sre");
    let two = open(state(&gate(), &[yes("ben", 1), yes("cem", 2)], 2));
    assert_eq!(two.approvals.len(), 2);
    assert_eq!(two.until, Some(at(25)));
}

#[test]
fn one_person_counts_once_whatever_the_name_is() {
    let mut by_token = yes("token-ben", 2);
    by_token.mail = Some("ben@example.com".to_owned());
    let mut again = yes("token-2", 3);
    again.mail = Some("Ben@Example.com".to_owned());
    let votes = [
        yes("ben@example.com", 1),
        by_token,
        again,
        yes("TOKEN-BEN", 3),
    ];
    let of = waiting(state(&gate(), &votes, 4));
    assert_eq!(of.have, 1);
    assert_eq!(of.approvals[0].at, at(3));
}

#[test]
fn the_author_does_not_count_by_mail_or_as_who_created_it() {
    let mut with_mail = yes("token-ana", 1);
    with_mail.mail = Some("ana@example.com".to_owned());
    let votes = [
        with_mail,
        yes("CI-bot", 2),
        yes("ana@example.com", 3),
        yes("ben", 4),
    ];
    let of = waiting(state(&gate(), &votes, 5));
    assert_eq!(of.have, 1);
    assert_eq!(
        ignored(&of),
        [
            ("token-ana", Why::Author),
            ("CI-bot", Why::Author),
            ("ana@example.com", Why::Author)
        ]
    );
    let mut lenient = gate();
    lenient.distinct_from_author = false;
    open(state(&lenient, &votes, 5));
}

#[test]
fn an_approval_gets_old() {
    let votes = [yes("ben", 1), yes("cem", 2)];
    open(state(&gate(), &votes, 24));
    let of = waiting(state(&gate(), &votes, 25));
    assert_eq!(ignored(&of), [("ben", Why::Expired)]);
    assert_eq!(of.have, 1);
    let renewed = [votes[0].clone(), votes[1].clone(), yes("ben", 25)];
    assert_eq!(open(state(&gate(), &renewed, 25)).until, Some(at(26)));
}

#[test]
fn a_gate_that_lasts_for_ever_has_no_end() {
    let mut gate = gate();
    gate.expires = Duration::MAX;
    assert_eq!(waiting(state(&gate, &[yes("ben", 1)], 2)).expires_at, None);
    let votes = [yes("ben", 1), yes("cem", 2)];
    assert_eq!(open(state(&gate, &votes, 1 << 20)).until, None);
}

#[test]
fn a_rejection_stands_whatever_becomes_of_the_gate_and_of_its_age() {
    let votes = [
        yes("ben", 1),
        no("cem", 2),
        yes("cem", 3),
        yes("dan", 4),
        no("eva", 5),
    ];
    let mut looser = gate();
    looser.approvals = 0;
    let mut other_roles = gate();
    other_roles.roles = vec!["dba".parse().unwrap()];
    for (gate, hour) in [(gate(), 6), (looser, 6), (other_roles, 6), (gate(), 6000)] {
        let GateState::Rejected(by) = state(&gate, &votes, hour) else {
            panic!("not rejected");
        };
        assert_eq!((by.by.as_str(), by.at), ("cem", at(2)));
    }
}

#[test]
fn another_specification_is_another_question() {
    let votes = [no("cem", 2), yes("ben", 1)];
    let facts = Facts {
        spec_hash: "s2".to_owned(),
        ..facts()
    };
    let of = waiting(judge(&gate(), &author(), &votes, &facts, at(0), at(3)));
    assert_eq!(of.have, 0);
    assert_eq!(ignored(&of), [("ben", Why::OtherSpecification)]);
}

#[test]
fn a_gate_made_stricter_asks_again() {
    let votes = [yes("ben", 1), yes("cem", 2)];
    let mut more = gate();
    more.approvals = 3;
    assert_eq!(waiting(state(&more, &votes, 3)).have, 2);
    let mut other_roles = gate();
    other_roles.roles = vec!["dba".parse().unwrap()];
    let of = waiting(state(&other_roles, &votes, 3));
    assert_eq!(ignored(&of), [("ben", Why::Role), ("cem", Why::Role)]);
    let mut with_criterion = gate();
    with_criterion.criteria = vec!["notes".parse().unwrap()];
    let of = waiting(state(&with_criterion, &votes, 3));
    assert_eq!((of.have, of.missing().as_str()), (2, "notes: missing"));
}

#[test]
fn a_gate_that_nobody_opens_in_time_ends_the_release_if_it_says_so() {
    let mut gate = gate();
    let of = waiting(state(&gate, &[yes("ben", 1)], 24));
    assert!(of.overdue);
    open(state(&gate, &[yes("ben", 23), yes("cem", 30)], 31));
    gate.on_timeout = OnTimeout::Abort;
    waiting(state(&gate, &[yes("ben", 1)], 23));
    let expected = GateState::TimedOut {
        asked_at: at(0),
        at: at(24),
    };
    assert_eq!(state(&gate, &[yes("ben", 1)], 24), expected);
}

#[test]
fn the_time_of_a_gate_that_was_open_runs_from_when_its_approvals_got_old() {
    let mut gate = gate();
    gate.on_timeout = OnTimeout::Abort;
    let votes = [yes("ben", 1), yes("cem", 2)];
    open(state(&gate, &votes, 24));
    assert_eq!(waiting(state(&gate, &votes, 25)).expires_at, Some(at(49)));
    assert_eq!(waiting(state(&gate, &votes, 48)).expires_at, Some(at(49)));
    assert!(matches!(
        state(&gate, &votes, 49),
        GateState::TimedOut { .. }
    ));
    // While there are enough, and something else is missing, the end does not move, either.
    gate.criteria = vec!["notes".parse().unwrap()];
    assert_eq!(waiting(state(&gate, &votes, 3)).expires_at, Some(at(49)));
    assert_eq!(waiting(state(&gate, &votes, 24)).expires_at, Some(at(49)));
}

#[test]
fn the_time_of_a_gate_that_needs_nobody_runs_from_when_it_was_asked() {
    let mut gate = gate();
    gate.approvals = 0;
    gate.criteria = vec!["notes".parse().unwrap()];
    let of = waiting(state(&gate, &[yes("ben", 1)], 30));
    assert_eq!((of.expires_at, of.overdue), (Some(at(24)), true));
    gate.criteria.clear();
    assert_eq!(open(state(&gate, &[], 30)).until, None);
}

#[test]
fn an_exception_opens_the_gate_for_its_specification_but_not_against_a_no() {
    let manager = roles(&["release-manager"]);
    let by = Exception::gate(("sre", "s1"), ("mia", &manager), "money is lost", at(2)).unwrap();
    let mut gate = gate();
    gate.criteria = vec!["notes".parse().unwrap()];
    let with = |by: &Exception, spec_hash: &str, votes: &[Vote]| {
        let facts = Facts {
            spec_hash: spec_hash.to_owned(),
            exceptions: vec![by.clone()],
            ..facts()
        };
        judge(&gate, &author(), votes, &facts, at(0), at(3))
    };
    let of = open(with(&by, "s1", &[]));
    assert_eq!(of.exception.as_ref(), Some(&by));
    assert!(!of.checklist[0].done);
    waiting(with(&by, "s2", &[]));
    assert!(matches!(
        with(&by, "s1", &[no("ben", 1)]),
        GateState::Rejected(_)
    ));
    let other = Exception::gate(("promote", "s1"), ("mia", &manager), "x", at(2)).unwrap();
    waiting(with(&other, "s1", &[]));
}

#[test]
fn a_vote_at_another_gate_is_none_here() {
    let mut elsewhere = yes("cem", 1);
    elsewhere.gate = "promote".to_owned();
    assert_eq!(
        waiting(state(&gate(), &[yes("ben", 1), elsewhere], 2)).have,
        1
    );
}

#[test]
fn a_vote_is_taken_from_whom_it_counts_of() {
    let cast = |vote: Vote| vote.cast(&gate(), &author());
    assert!(cast(yes("ben", 1)).is_ok());
    let refused = |vote: Vote| cast(vote).unwrap_err();
    let mut admin = yes("ben", 1);
    admin.roles = roles(&["admin"]);
    assert_eq!(
        refused(admin).to_string(),
        "ben may not vote at gate \"sre\": it needs the role sre"
    );
    assert!(matches!(
        refused(yes("ci-bot", 1)),
        VoteError::Author { .. }
    ));
    assert!(cast(no("ci-bot", 1)).is_ok());
    let mut silent = no("ben", 1);
    silent.reason = "\n".to_owned();
    assert!(matches!(refused(silent), VoteError::NoReason { .. }));
    let mut anybody = gate();
    anybody.roles.clear();
    let operator = Vote {
        roles: roles(&["operator", "sre"]),
        ..yes("ben", 1)
    };
    assert_eq!(
        operator.cast(&anybody, &author()).unwrap_err().to_string(),
        "ben may not vote at gate \"sre\": it needs the role approver"
    );
}

#[test]
fn a_state_is_written_with_its_name() {
    let written = serde_json::to_value(state(&gate(), &[no("ben", 1)], 2)).unwrap();
    assert_eq!(
        written.to_string(),
        r#"{"state":"rejected","by":"ben","reason":"support is not briefed","at":"2025-10-09T09:53:20Z"}"#
    );
    let written = serde_json::to_value(state(&gate(), &[], 2)).unwrap();
    assert_eq!(written["state"], "waiting");
    assert_eq!(written["who_may"][0], "sre");
    let vote = serde_json::to_string(&yes("ben", 1)).unwrap();
    assert_eq!(serde_json::from_str::<Vote>(&vote).unwrap(), yes("ben", 1));
}
