//! Gates: what holds of any votes, in any order.

use std::time::Duration;

use proptest::prelude::*;

use crate::release::gate::tests::{HOUR, at, author, facts, gate, roles, yes};
use crate::release::gate::{Answer, Facts, Gate, GateState, OnTimeout, Vote, judge};

fn votes() -> impl Strategy<Value = Vec<Vote>> {
    let actor = prop::sample::select(vec![
        "ana@example.com",
        "ci-bot",
        "ben",
        "cem",
        "dan",
        "eva",
    ]);
    let mail = prop::option::weighted(
        0.3,
        prop::sample::select(vec!["ana@example.com", "ben", "x@y.z"]),
    );
    let role = prop::sample::select(vec!["sre", "dba", "admin"]);
    let vote = (
        actor,
        mail,
        role,
        0..60u64,
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.1),
    );
    let vote = vote.prop_map(|(actor, mail, role, hour, rejects, stale)| Vote {
        mail: mail.map(str::to_owned),
        roles: roles(&[role]),
        spec_hash: if stale { "s0" } else { "s1" }.to_owned(),
        answer: if rejects {
            Answer::Reject
        } else {
            Answer::Approve
        },
        ..yes(actor, hour)
    });
    prop::collection::vec(vote, 0..9)
}

fn gates() -> impl Strategy<Value = Gate> {
    let named = prop::sample::subsequence(vec!["sre", "dba", "approver"], 0..=3);
    let criteria = prop::sample::subsequence(vec!["notes", "verdict>=proven"], 0..=2);
    (
        named,
        0..4u32,
        any::<bool>(),
        1..48u64,
        any::<bool>(),
        criteria,
    )
        .prop_map(
            |(named, approvals, distinct_from_author, hours, aborts, criteria)| Gate {
                roles: named.iter().map(|name| name.parse().unwrap()).collect(),
                approvals,
                distinct_from_author,
                expires: Duration::from_secs(hours * HOUR),
                on_timeout: if aborts {
                    OnTimeout::Abort
                } else {
                    OnTimeout::Hold
                },
                criteria: criteria.iter().map(|text| text.parse().unwrap()).collect(),
                ..gate()
            },
        )
}

fn with_notes(there: bool) -> Facts {
    let mut facts = facts();
    facts.documents.notes = there.then(|| "what is new".to_owned());
    facts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_order_of_votes_is_nothing_to_the_state(
        (votes, shuffled) in votes().prop_flat_map(|votes| {
            (Just(votes.clone()), Just(votes).prop_shuffle())
        }),
        gate in gates(),
        hour in 0..80u64,
    ) {
        let of = |votes: &[Vote]| judge(&gate, &author(), votes, &with_notes(true), at(0), at(hour));
        prop_assert_eq!(of(&votes), of(&shuffled));
    }

    #[test]
    fn an_open_gate_has_its_people_none_of_them_the_author_and_its_criteria(
        votes in votes(), gate in gates(), hour in 0..80u64, notes in any::<bool>(),
    ) {
        let state = judge(&gate, &author(), &votes, &with_notes(notes), at(0), at(hour));
        let rejected = votes.iter().any(|of| of.answer == Answer::Reject && of.spec_hash == "s1");
        prop_assert_eq!(rejected, matches!(state, GateState::Rejected(_)));
        if let GateState::Open(open) = state {
            // People by the plainest reckoning: two votes are of two when they share no name.
            let names = |by: &str| -> Vec<&Vote> { votes.iter().filter(|of| of.actor == by).collect() };
            let mut people: Vec<&str> = open.approvals.iter().map(|of| of.by.as_str()).collect();
            people.sort_unstable();
            people.dedup();
            prop_assert!(people.len() >= usize::try_from(gate.approvals).unwrap());
            for by in &open.approvals {
                prop_assert!(by.expires_at.unwrap() > at(hour));
                let able = names(&by.by);
                prop_assert!(able.iter().any(|of| of.at == by.at && gate.may_vote(&of.roles)));
                prop_assert!(!gate.distinct_from_author || !["ana@example.com", "ci-bot"].contains(&by.by.as_str()));
            }
            prop_assert!(notes || !gate.criteria.contains(&"notes".parse().unwrap()));
        }
    }

    #[test]
    fn what_a_stricter_gate_lets_through_a_looser_one_does(
        votes in votes(), gate in gates(), hour in 0..80u64,
    ) {
        let of = |gate: &Gate| judge(gate, &author(), &votes, &with_notes(false), at(0), at(hour));
        let mut stricter = gate.clone();
        stricter.approvals += 1;
        stricter.criteria.push("verdict>=no-regression".parse().unwrap());
        stricter.distinct_from_author = true;
        if matches!(of(&stricter), GateState::Open(_)) {
            prop_assert!(matches!(of(&gate), GateState::Open(_)));
        }
    }

    #[test]
    fn a_gate_that_opened_in_time_does_not_time_out_before_its_approvals_are_as_old_again(
        votes in votes(), gate in gates(), hour in 0..80u64,
    ) {
        let gate = Gate { on_timeout: OnTimeout::Abort, ..gate };
        let hours = gate.expires.as_secs() / HOUR;
        // A later vote may tell that two names are one person's: then there never were enough.
        let votes: Vec<Vote> = votes.into_iter().map(|of| Vote { mail: None, ..of }).collect();
        let of = |hour: u64| {
            // What is not cast yet is not known.
            let cast: Vec<Vote> = votes.iter().filter(|of| of.at <= at(hour)).cloned().collect();
            judge(&gate, &author(), &cast, &with_notes(true), at(0), at(hour))
        };
        if let GateState::TimedOut { at: over, .. } = of(hour) {
            let since = hour.saturating_sub(hours - 1);
            prop_assert!(over >= at(hours));
            prop_assert!(over <= at(hour));
            for earlier in since..hour {
                prop_assert!(!matches!(of(earlier), GateState::Open(_)) || gate.approvals == 0, "open at {}", earlier);
            }
        }
    }
}
