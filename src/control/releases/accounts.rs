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
