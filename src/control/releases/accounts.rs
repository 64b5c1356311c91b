//! Accounts of releases: how long each moved and how long it was held by what, and who got how many
//! requests since its step began. They begin with the process.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::release::state::State;

/// Requests that nobody forced, by variant, since the process began.
pub(in crate::control) type Answered = BTreeMap<String, u64>;

/// What is known of one release.
#[derive(Debug, Default)]
pub(in crate::control) struct Account {
    /// Which attempt and step the requests are counted from.
    place: Option<(u32, Option<usize>)>,
    at_begin: Answered,
    shares: Vec<(String, f64)>,
    worked: Duration,
    waited: BTreeMap<&'static str, Duration>,
}

/// Those of all releases, by identity.
#[derive(Debug, Default)]
pub(in crate::control) struct Accounts {
    accounts: BTreeMap<String, Account>,
}

impl Accounts {
    /// Adds some time in which a release was as it is.
    pub(in crate::control) fn add(&mut self, state: &State, answered: &Answered, spent: Duration) {
        let account = self.accounts.entry(state.spec.id.clone()).or_default();
        if !state.phase.is_active() {
            account.shares.clear();
            return;
        }
        account.spend(state, spent);
        let place = (state.attempt, state.step);
        if account.place != Some(place) {
            account.place = Some(place);
            account.at_begin = answered.clone();
        }
        account.divide(state, answered);
    }

    /// Forgets all but these.
    pub(in crate::control) fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.accounts.retain(|id, _| is_kept(id));
    }

    /// What is known of a release.
    pub(in crate::control) fn of(&self, id: &str) -> Option<&Account> {
        self.accounts.get(id)
    }
}

impl Account {
    /// Time in which nothing held it.
    pub(in crate::control) fn worked(&self) -> Duration {
        self.worked
    }

    /// Time in which it was held, by the kind of reason.
    pub(in crate::control) fn waited(&self) -> Vec<(&'static str, Duration)> {
        let waited = self.waited.iter();
        waited.map(|(&reason, &time)| (reason, time)).collect()
    }

    /// Its two variants with their parts of the requests of its step; nothing before there was one.
    pub(in crate::control) fn shares(&self) -> &[(String, f64)] {
        &self.shares
    }

    fn spend(&mut self, state: &State, spent: Duration) {
        if state.holds.is_empty() {
            self.worked += spent;
            return;
        }
        let mut reasons: Vec<&'static str> =
            state.holds.iter().map(|hold| hold.reason.name()).collect();
        reasons.sort_unstable();
        // Two gates at once are one kind of reason.
        reasons.dedup();
        for reason in reasons {
            *self.waited.entry(reason).or_default() += spent;
        }
    }

    fn divide(&mut self, state: &State, answered: &Answered) {
        let since = |variant: &str| {
            let now = answered.get(variant).copied().unwrap_or_default();
            let then = self.at_begin.get(variant).copied().unwrap_or_default();
            now.saturating_sub(then)
        };
        let all: u64 = answered.keys().map(|variant| since(variant)).sum();
        self.shares = if all == 0 {
            Vec::new()
        } else {
            let variants = [&state.spec.stable, &state.spec.candidate];
            let share = |variant: &String| since(variant) as f64 / all as f64;
            variants.map(|of| (of.clone(), share(of))).to_vec()
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use crate::control::releases::accounts::{Accounts, Answered};
    use crate::control::releases::gauges::tests::state;
    use crate::release::hold::{Hold, Reason};
    use crate::release::percent::Percent;
    use crate::release::state::{Phase, State};

    const SECOND: Duration = Duration::from_secs(1);

    fn answered(stable: u64, canary: u64) -> Answered {
        [("stable", stable), ("canary", canary)]
            .map(|(name, n)| (name.to_owned(), n))
            .into()
    }

    fn held(state: &mut State, reasons: &[Reason]) {
        let holds = reasons.iter().map(|reason| Hold {
            reason: reason.clone(),
            since: SystemTime::UNIX_EPOCH,
            detail: String::new(),
        });
        state.holds = holds.collect();
    }

    #[test]
    fn time_is_work_or_waiting_for_each_kind_of_reason() {
        let mut accounts = Accounts::default();
        let mut state = state();
        let none = Answered::new();
        accounts.add(&state, &none, SECOND);
        held(
            &mut state,
            &[
                Reason::Approval("a".into()),
                Reason::Approval("b".into()),
                Reason::NoData,
            ],
        );
        accounts.add(&state, &none, 2 * SECOND);
        held(&mut state, &[Reason::NoData]);
        accounts.add(&state, &none, 4 * SECOND);
        state.end(Phase::Aborted, "because".into(), SystemTime::UNIX_EPOCH);
        accounts.add(&state, &none, 8 * SECOND);
        let account = accounts.of("r").unwrap();
        assert_eq!(account.worked(), SECOND);
        assert_eq!(
            account.waited(),
            [("approval", 2 * SECOND), ("no_data", 6 * SECOND)]
        );
        accounts.keep(|id| id != "r");
        assert!(accounts.of("r").is_none());
    }

    #[track_caller]
    fn check(accounts: &Accounts, canary: Option<f64>) {
        let shares = accounts.of("r").unwrap().shares();
        let expected = canary.map(|canary| {
            let stable = ("stable".to_owned(), 1.0 - canary);
            vec![stable, ("canary".to_owned(), canary)]
        });
        assert_eq!(shares, expected.unwrap_or_default());
    }

    #[test]
    fn shares_are_of_the_requests_since_the_step_began() {
        let mut accounts = Accounts::default();
        let mut state = state();
        accounts.add(&state, &answered(1000, 0), SECOND);
        check(&accounts, None);
        state.enter(0, Percent::new(25.0).unwrap(), SystemTime::UNIX_EPOCH);
        accounts.add(&state, &answered(1000, 0), SECOND);
        check(&accounts, None);
        accounts.add(&state, &answered(1003, 1), SECOND);
        check(&accounts, Some(0.25));
        state.enter(1, Percent::new(50.0).unwrap(), SystemTime::UNIX_EPOCH);
        accounts.add(&state, &answered(1003, 1), SECOND);
        check(&accounts, None);
        accounts.add(&state, &answered(1004, 2), SECOND);
        check(&accounts, Some(0.5));
        // Numbers that begin anew with a variant are none below nothing.
        accounts.add(&state, &answered(1004, 0), SECOND);
        check(&accounts, Some(0.0));
        state.end(Phase::Aborted, "because".into(), SystemTime::UNIX_EPOCH);
        accounts.add(&state, &answered(1004, 2), SECOND);
        check(&accounts, None);
    }
}
