//! What is claimed of a flag's use, held against all that really happened.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, prop_assert, proptest};

use crate::flag::tests::at;
use crate::flag::{FlagSpec, Look, Settings, Stale, Use, judge};

const NAMES: [&str; 2] = ["off", "on"];

/// An instance: when it watched, in seconds, and what it answered when.
#[derive(Clone, Debug)]
struct Instance {
    looks: Vec<(u64, u64)>,
    answers: Vec<(u64, usize)>,
}

/// Looks with gaps, and answers within them. Mostly one variant, and often none.
fn instance() -> impl Strategy<Value = Instance> {
    let answer = (0.0..1.0, 0_u8..8);
    let look = (0_u64..6, 1_u64..10, vec(answer, 0..3));
    vec(look, 1..12).prop_map(|looks| {
        let mut instance = Instance {
            looks: Vec::new(),
            answers: Vec::new(),
        };
        let mut now = 0;
        for (gap, length, answers) in looks {
            let from = now + gap;
            now = from + length;
            instance.looks.push((from, now));
            for (part, variant) in answers {
                let when = from + 1 + (part * (length - 1) as f64) as u64;
                instance.answers.push((when, usize::from(variant > 0)));
            }
        }
        instance
    })
}

impl Instance {
    fn evidence(&self) -> Use {
        let look = |&(from, to): &(u64, u64)| {
            let mut answers = BTreeMap::new();
            let within = |when: u64| from < when && when <= to;
            for (_, variant) in self.answers.iter().filter(|(when, _)| within(*when)) {
                *answers.entry(NAMES[*variant].to_owned()).or_insert(0) += 1;
            }
            Look {
                from: at(from),
                to: at(to),
                answers,
            }
        };
        let mut looks = self.looks.iter().map(look);
        let mut evidence = Use::new(&looks.next().unwrap());
        looks.for_each(|look| evidence.note(&look));
        evidence
    }

    /// How much it watched between two moments.
    fn watched(&self, from: u64, to: u64) -> u64 {
        let within = self.looks.iter().map(|look| {
            let (from, to) = (look.0.max(from), look.1.min(to));
            to.saturating_sub(from)
        });
        within.sum()
    }
}

fn seconds(moment: SystemTime) -> u64 {
    moment
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Holds that nothing is claimed that is not so, of what some instances did.
#[track_caller]
fn check(instances: &[Instance], claims: &[Stale], days: u64) {
    let all = || instances.iter().flat_map(|it| &it.answers);
    for claim in claims {
        match claim {
            Stale::Expired { .. } => panic!("nothing expires here"),
            Stale::Unused { since } => {
                let since = seconds(*since);
                assert!(
                    all().all(|(when, _)| *when <= since),
                    "{claim:?}: evaluated since"
                );
                let last = all().map(|(when, _)| *when).max().unwrap_or(0);
                let watched = instances.iter().map(|it| it.watched(last, u64::MAX)).max();
                assert!(watched >= Some(days), "{claim:?}: watched for {watched:?}");
            }
            Stale::OneAnswer { variant, since } => {
                let since = seconds(*since);
                let mut later = all().filter(|(when, _)| *when > since);
                assert!(
                    later.all(|(_, it)| NAMES[*it] == variant),
                    "{claim:?}: another since"
                );
                let watched = instances.iter().map(|it| {
                    let last = it.answers.iter().map(|(when, _)| *when).max().unwrap_or(0);
                    it.watched(since, last)
                });
                let watched = watched.max();
                assert!(watched >= Some(days), "{claim:?}: watched for {watched:?}");
            }
        }
    }
}

fn claims(evidence: &Use, days: u64) -> Vec<Stale> {
    let settings = Settings {
        unused_after: Duration::from_secs(days),
        constant_after: Duration::from_secs(days),
    };
    judge(&FlagSpec::switch(), Some(evidence), at(1 << 30), settings)
}

proptest! {
    #[test]
    fn nothing_is_claimed_that_was_not_watched(instance in instance(), days in 1_u64..30) {
        let claims = claims(&instance.evidence(), days);
        check(&[instance], &claims, days);
    }

    #[test]
    fn nothing_is_claimed_that_not_one_of_two_watched(
        a in instance(), b in instance(), later in 0_u64..40, days in 1_u64..20,
    ) {
        let mut b = b;
        b.looks.iter_mut().for_each(|look| *look = (look.0 + later, look.1 + later));
        b.answers.iter_mut().for_each(|answer| answer.0 += later);
        let mut evidence = a.evidence();
        evidence.merge(&b.evidence());
        let claims = claims(&evidence, days);
        check(&[a, b], &claims, days);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn claims_are_made_at_all(instances in vec(instance(), 200)) {
        let all = instances.iter().flat_map(|it| claims(&it.evidence(), 8));
        let names: Vec<_> = all.map(|claim| claim.name()).collect();
        prop_assert!(names.contains(&"unused") && names.contains(&"one_answer"), "{:?}", names);
    }
}
