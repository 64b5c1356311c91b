//! The judgement at a gate.

use std::time::{Duration, SystemTime};

use crate::release::gate::criterion::Facts;
use crate::release::gate::vote::{Answer, Author, Vote};
use crate::release::gate::{
    Approval, Gate, GateState, Ignored, OnTimeout, Open, Rejected, Waiting, Why,
};
use crate::release::readiness::{Exception, Passed};
use crate::store::instant;

/// The least time between two instants.
const INSTANT: Duration = Duration::from_nanos(1);

/// Says how a gate stands that was asked at `asked_at`, whatever the order of the votes.
///
/// A rejection of the specification as it is now decides at once, and for good. Else an emergency's
/// exception opens the gate. Else it takes the approvals of enough people, each counted once, and
/// every criterion. The time of a gate runs from when it was asked, or from when it last had enough
/// approvals: those who answered in time are not to blame when the release was held elsewhere.
pub fn judge(
    gate: &Gate,
    author: &Author,
    votes: &[Vote],
    facts: &Facts,
    asked_at: SystemTime,
    now: SystemTime,
) -> GateState {
    let mut votes: Vec<&Vote> = votes.iter().filter(|vote| vote.gate == gate.name).collect();
    votes.sort_by_key(|vote| (vote.at, &vote.actor, &vote.reason));
    if let Some(rejected) = rejection(&votes, facts) {
        return GateState::Rejected(rejected);
    }
    let tally = Tally::new(gate, author, &votes, facts, now);
    let checklist: Vec<_> = gate.criteria.iter().map(|of| of.look(facts)).collect();
    let exception = exception(gate, facts);
    let agreed = gate.approvals <= tally.have() && checklist.iter().all(|item| item.done);
    if agreed || exception.is_some() {
        return GateState::Open(Open {
            until: tally.until(gate.approvals).filter(|_| exception.is_none()),
            approvals: tally.approvals,
            exception,
            checklist,
        });
    }
    let since = tally
        .until(gate.approvals)
        .or_else(|| last_agreed(gate, author, &votes, facts, now))
        .map_or(asked_at, |agreed| agreed.max(asked_at));
    let expires_at = instant::after(since, gate.expires);
    let overdue = expires_at.filter(|at| *at <= now);
    match (gate.on_timeout, overdue) {
        (OnTimeout::Abort, Some(at)) => GateState::TimedOut { asked_at, at },
        (OnTimeout::Abort, None) | (OnTimeout::Hold, _) => GateState::Waiting(Waiting {
            have: tally.have(),
            need: gate.approvals,
            approvals: tally.approvals,
            ignored: tally.ignored,
            who_may: gate.who_may().to_vec(),
            checklist,
            asked_at,
            expires_at,
            overdue: overdue.is_some(),
        }),
    }
}

/// The first no. Neither its age nor who may vote by now makes a yes of it.
fn rejection(votes: &[&Vote], facts: &Facts) -> Option<Rejected> {
    let mut votes = votes.iter();
    let no =
        votes.find(|vote| vote.answer == Answer::Reject && vote.spec_hash == facts.spec_hash)?;
    Some(Rejected {
        by: no.actor.clone(),
        reason: no.reason.clone(),
        at: no.at,
    })
}

fn exception(gate: &Gate, facts: &Facts) -> Option<Exception> {
    let meant = |exception: &&Exception| {
        exception.passed == Passed::Gate(gate.name.clone())
            && exception.spec_hash.as_ref() == Some(&facts.spec_hash)
    };
    facts.exceptions.iter().find(meant).cloned()
}

/// The approvals at one instant: those that count, one for each person, and the others.
struct Tally {
    approvals: Vec<Approval>,
    ignored: Vec<Ignored>,
}

impl Tally {
    /// Counts votes that are sorted by time.
    fn new(gate: &Gate, author: &Author, votes: &[&Vote], facts: &Facts, now: SystemTime) -> Self {
        let mut tally = Self {
            approvals: Vec::new(),
            ignored: Vec::new(),
        };
        let yes = votes.iter().filter(|vote| vote.answer == Answer::Approve);
        let yes: Vec<&Vote> = yes.copied().collect();
        for person in people(&yes) {
            let is_author = gate.distinct_from_author && author.is_one_of(&person.identities);
            let mut counts: Option<Approval> = None;
            for vote in person.votes {
                let expires_at = instant::after(vote.at, gate.expires);
                let why = if vote.spec_hash != facts.spec_hash {
                    Why::OtherSpecification
                } else if is_author {
                    Why::Author
                } else if !gate.may_vote(&vote.roles) {
                    Why::Role
                } else if expires_at.is_some_and(|at| at <= now) {
                    Why::Expired
                } else {
                    counts = Some(Approval {
                        by: vote.actor.clone(),
                        reason: vote.reason.clone(),
                        at: vote.at,
                        expires_at,
                    });
                    continue;
                };
                tally.ignored.push(Ignored {
                    by: vote.actor.clone(),
                    at: vote.at,
                    why,
                });
            }
            tally.approvals.extend(counts);
        }
        tally
            .approvals
            .sort_by(|a, b| (a.at, &a.by).cmp(&(b.at, &b.by)));
        tally
            .ignored
            .sort_by(|a, b| (a.at, &a.by, a.why).cmp(&(b.at, &b.by, b.why)));
        tally
    }

    fn have(&self) -> u32 {
        u32::try_from(self.approvals.len()).unwrap_or(u32::MAX)
    }

    /// When fewer than `need` of the approvals are left, if there are so many now.
    fn until(&self, need: u32) -> Option<SystemTime> {
        let need = usize::try_from(need).ok()?;
        // The oldest approvals end first: with the one at `spare`, too few are left.
        let spare = self.approvals.len().checked_sub(need)?;
        self.approvals.get(spare)?.expires_at
    }
}

/// The last instant, up to `now`, at which there were enough approvals.
fn last_agreed(
    gate: &Gate,
    author: &Author,
    votes: &[&Vote],
    facts: &Facts,
    now: SystemTime,
) -> Option<SystemTime> {
    // It can only have ended when an approval got too old; the last end is the likeliest.
    let ends = votes
        .iter()
        .filter_map(|vote| instant::after(vote.at, gate.expires));
    let mut ends: Vec<SystemTime> = ends.filter(|end| *end <= now).collect();
    ends.sort_unstable_by(|a, b| b.cmp(a));
    ends.dedup();
    ends.into_iter().find(|end| {
        let cast: Vec<&Vote> = votes.iter().copied().filter(|of| of.at < *end).collect();
        let before = end.checked_sub(INSTANT);
        before.is_some_and(|before| {
            let tally = Tally::new(gate, author, &cast, facts, before);
            gate.approvals > 0 && gate.approvals <= tally.have()
        })
    })
}

/// The votes of one person, whatever names they were cast under.
struct Person<'a> {
    identities: Vec<String>,
    votes: Vec<&'a Vote>,
}

/// Puts votes together that share an identity, directly or by way of another vote.
fn people<'a>(votes: &[&'a Vote]) -> Vec<Person<'a>> {
    let mut people: Vec<Person<'a>> = Vec::new();
    for vote in votes {
        let mut one = Person {
            identities: vote.identities(),
            votes: vec![vote],
        };
        let (same, others): (Vec<_>, Vec<_>) = people.into_iter().partition(|other| {
            other
                .identities
                .iter()
                .any(|of| one.identities.contains(of))
        });
        for other in same {
            one.identities.extend(other.identities);
            one.votes.extend(other.votes);
        }
        one.identities.sort_unstable();
        one.identities.dedup();
        people = others;
        people.push(one);
    }
    for person in &mut people {
        person
            .votes
            .sort_by_key(|vote| (vote.at, &vote.actor, &vote.reason));
    }
    people
}
