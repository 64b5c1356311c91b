//! The breaker: an upstream that fails too large a share of its requests is left alone for a while.
//!
//! While it is closed, requests go through, and each failure asks how the last while went. When too
//! much of it failed, the breaker opens: requests are refused at once, which spares the upstream them
//! and the clients the wait. After a time it is half open: a few requests are let through on trial.
//! When all of them go well it closes, and when one fails it opens again, for twice as long. (Nygard,
//! "Release It!", 2007; the states are those of Hystrix and resilience4j.)

use std::collections::VecDeque;
use std::time::Duration;

use crate::upstream::Failures;

/// Into how many parts the window is divided: what has just left it is noticed so late at most.
const PARTS: u64 = 10;

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// The share of the requests of the window that may fail, over 0 and up to 1; it opens when as
    /// many do.
    pub errors: f64,
    /// How many requests there have to be in the window for a share of them to mean anything.
    pub requests: u32,
    /// How far back it looks.
    pub window: Duration,
    /// What is a failure.
    pub on: Failures,
    /// How long it is open the first time; each further time in a row twice as long.
    pub open: Duration,
    /// How long it is open at most.
    pub max_open: Duration,
    /// How many requests are let through on trial, all of which have to go well.
    pub trials: u32,
}

impl Breaker {
    /// How long it is open that opens for so many times in a row, this one included.
    fn lasts(&self, n_in_a_row: u32) -> Duration {
        let doubled = 2_u32.checked_pow(n_in_a_row.saturating_sub(1));
        let lasts = doubled.and_then(|times| self.open.checked_mul(times));
        lasts.map_or(self.max_open, |lasts| lasts.min(self.max_open))
    }
}

/// How requests have fared, since ever.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fared {
    /// Those that went well.
    pub well: u64,
    /// Those that failed.
    pub ill: u64,
}

impl Fared {
    fn since(self, before: Self) -> Self {
        Self {
            well: self.well.saturating_sub(before.well),
            ill: self.ill.saturating_sub(before.ill),
        }
    }
}

/// Which state a breaker is in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Phase {
    /// All requests go through.
    #[default]
    Closed,
    /// None does, up to a moment in milliseconds of the process's clock.
    Open {
        /// That moment.
        until: u64,
    },
    /// Some do, on trial.
    HalfOpen {
        /// How many are under way.
        n_out: u32,
        /// How many went well.
        n_well: u32,
    },
}

/// Whether a request goes through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It does.
    Through,
    /// It does, and what becomes of it decides how things go on.
    OnTrial(Trial),
    /// It does not; asking again is worth while after this time at the soonest.
    Refused(Duration),
}

/// What a request is on trial for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Trial {
    /// Which opening of the breaker may end by it.
    opening: u64,
}

/// What is known of how one upstream fares. Times are milliseconds of the process's clock.
#[derive(Debug, Default)]
pub(crate) struct Record {
    phase: Phase,
    /// What there was at certain moments, the oldest first: one before the window, or at its begin.
    marks: VecDeque<(u64, Fared)>,
    /// How often it has opened in a row, without having closed in between.
    n_in_a_row: u32,
    /// How often it has opened.
    n_opened: u64,
}

impl Record {
    /// The state it is in.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes note of how requests have fared up to `now`, to be compared with later: to be called
    /// every now and then, also when none fail.
    pub(crate) fn mark(&mut self, rule: &Breaker, fared: Fared, now: u64) {
        let window = millis(rule.window);
        let is_due = self
            .marks
            .back()
            .is_none_or(|(at, _)| now.saturating_sub(*at) >= window / PARTS);
        if is_due {
            self.marks.push_back((now, fared));
        }
        while self
            .marks
            .get(1)
            .is_some_and(|(at, _)| now.saturating_sub(*at) >= window)
        {
            self.marks.pop_front();
        }
    }

    /// Notes that a request failed, which is among those that have fared; tells for how long the
    /// breaker is open, if it is by this one.
    pub(crate) fn failed(&mut self, rule: &Breaker, fared: Fared, now: u64) -> Option<Duration> {
        if self.phase != Phase::Closed {
            // What was under way says nothing new.
            return None;
        }
        let window = millis(rule.window);
        let is_recent = |(at, _): &&(u64, Fared)| now.saturating_sub(*at) <= 2 * window;
        let before = match self.marks.front().filter(is_recent) {
            Some((_, before)) => *before,
            None => {
                // Nothing is known of the last while: it begins with this one.
                let ill = fared.ill.saturating_sub(1);
                self.marks.clear();
                Fared { ill, ..fared }
            }
        };
        self.mark(rule, before, now);
        let Fared { well, ill } = fared.since(before);
        let n = well + ill;
        if n < u64::from(rule.requests) || (ill as f64) < rule.errors * n as f64 {
            return None;
        }
        Some(self.open(rule, now))
    }

    /// Tells whether a request goes through.
    pub(crate) fn admit(&mut self, rule: &Breaker, now: u64) -> Verdict {
        let trial = Verdict::OnTrial(Trial {
            opening: self.n_opened,
        });
        match &mut self.phase {
            Phase::Closed => Verdict::Through,
            Phase::Open { until } if *until > now => {
                Verdict::Refused(Duration::from_millis(*until - now))
            }
            Phase::Open { .. } => {
                self.phase = Phase::HalfOpen {
                    n_out: 1,
                    n_well: 0,
                };
                trial
            }
            Phase::HalfOpen { n_out, n_well } if *n_out + *n_well < rule.trials => {
                *n_out += 1;
                trial
            }
            // Whoever is on trial will tell soon.
            Phase::HalfOpen { .. } => Verdict::Refused(Duration::ZERO),
        }
    }

    /// Notes that a request on trial went well; true when that closes the breaker.
    pub(crate) fn trial_went_well(
        &mut self,
        trial: Trial,
        rule: &Breaker,
        fared: Fared,
        now: u64,
    ) -> bool {
        let Some((n_out, n_well)) = self.trials(trial) else {
            return false;
        };
        *n_out = n_out.saturating_sub(1);
        *n_well += 1;
        if *n_well < rule.trials {
            return false;
        }
        self.phase = Phase::Closed;
        self.n_in_a_row = 0;
        // What was before is no part of what is judged from now on.
        self.marks.clear();
        self.mark(rule, fared, now);
        true
    }

    /// Notes that a request on trial failed; tells for how long the breaker is open, if it is by
    /// this one.
    pub(crate) fn trial_failed(
        &mut self,
        trial: Trial,
        rule: &Breaker,
        now: u64,
    ) -> Option<Duration> {
        self.trials(trial)?;
        Some(self.open(rule, now))
    }

    /// Notes that nothing came of a request on trial: another takes its place.
    pub(crate) fn trial_abandoned(&mut self, trial: Trial) {
        if let Some((n_out, _)) = self.trials(trial) {
            *n_out = n_out.saturating_sub(1);
        }
    }

    /// Forgets all there was, for a rule that is new.
    pub(crate) fn reset(&mut self) {
        self.phase = Phase::Closed;
        self.marks.clear();
        self.n_in_a_row = 0;
    }

    /// The trials of now, if this is one of them.
    fn trials(&mut self, trial: Trial) -> Option<(&mut u32, &mut u32)> {
        match &mut self.phase {
            Phase::HalfOpen { n_out, n_well } if trial.opening == self.n_opened => {
                Some((n_out, n_well))
            }
            Phase::HalfOpen { .. } | Phase::Open { .. } | Phase::Closed => None,
        }
    }

    fn open(&mut self, rule: &Breaker, now: u64) -> Duration {
        self.n_in_a_row = self.n_in_a_row.saturating_add(1);
        self.n_opened += 1;
        let lasts = rule.lasts(self.n_in_a_row);
        self.phase = Phase::Open {
            until: now.saturating_add(millis(lasts)),
        };
        lasts
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, proptest};

    use crate::upstream::Failures;
    use crate::upstream::breaker::{Breaker, Fared, Phase, Record, Trial, Verdict};

    const RULE: Breaker = Breaker {
        errors: 0.5,
        requests: 10,
        window: Duration::from_secs(10),
        on: Failures::none(),
        open: Duration::from_secs(5),
        max_open: Duration::from_secs(20),
        trials: 3,
    };

    /// A record, and all that has fared.
    #[derive(Default)]
    struct Upstream {
        record: Record,
        fared: Fared,
    }

    impl Upstream {
        fn well(&mut self, n: u64) {
            self.fared.well += n;
        }

        fn ill(&mut self, now: u64) -> Option<Duration> {
            self.fared.ill += 1;
            self.record.failed(&RULE, self.fared, now)
        }

        fn mark(&mut self, now: u64) {
            self.record.mark(&RULE, self.fared, now);
        }

        /// Lets so many fail as open it.
        fn broken(now: u64) -> Self {
            let mut upstream = Self::default();
            upstream.mark(now);
            while upstream.ill(now).is_none() {}
            upstream
        }
    }

    #[test]
    fn it_opens_when_too_large_a_share_fails() {
        let mut upstream = Upstream::default();
        upstream.mark(1);
        upstream.well(10);
        for n in 1..=9 {
            assert_eq!(upstream.ill(n), None, "{n}");
        }
        assert_eq!(upstream.ill(10), Some(Duration::from_secs(5)));
        assert_eq!(upstream.record.phase(), Phase::Open { until: 5_010 });
        assert_eq!(upstream.ill(11), None, "it is open already");
    }

    #[test]
    fn a_few_failures_alone_say_nothing() {
        let mut upstream = Upstream::default();
        upstream.mark(1);
        for n in 1..=9 {
            assert_eq!(upstream.ill(n), None, "{n}");
        }
        assert!(upstream.ill(10).is_some());
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut upstream = Upstream::default();
        for second in 0..100 {
            upstream.well(100);
            upstream.mark(1 + second * 1000);
        }
        // Nothing but failures for longer than the window; the many that went well are long ago.
        let mut opened = None;
        for second in 100..113 {
            for _ in 0..10 {
                let now = 1 + second * 1000;
                opened = opened.or(upstream.ill(now).map(|_| second));
                upstream.mark(now);
            }
        }
        let opened = opened.expect("it opens");
        assert!((109..=112).contains(&opened), "{opened}");
    }

    /// Asks for a request that is let through on trial.
    fn trial(record: &mut Record, now: u64) -> Trial {
        match record.admit(&RULE, now) {
            Verdict::OnTrial(trial) => trial,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_is_half_open_after_its_time_and_closes_when_all_trials_go_well() {
        let mut upstream = Upstream::broken(1);
        let record = &mut upstream.record;
        let refused = |seconds| Verdict::Refused(Duration::from_secs(seconds));
        assert_eq!(record.admit(&RULE, 2_001), refused(3));
        let trials = [(); 3].map(|()| trial(record, 5_001));
        assert_eq!(record.admit(&RULE, 5_001), refused(0), "three are enough");
        // One went away, and another takes its place.
        record.trial_abandoned(trials[0]);
        trial(record, 5_001);
        for (trial, closes) in trials.into_iter().zip([false, false, true]) {
            let closed = record.trial_went_well(trial, &RULE, upstream.fared, 5_002);
            assert_eq!(closed, closes);
        }
        assert_eq!(record.admit(&RULE, 5_003), Verdict::Through);
        // The failures of before are forgotten.
        for n in 1..=9 {
            assert_eq!(upstream.ill(5_003), None, "{n}");
        }
        assert_eq!(upstream.ill(5_003), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_trial_that_fails_opens_it_for_twice_as_long_up_to_a_bound() {
        let Upstream { mut record, fared } = Upstream::broken(1);
        let mut now = 5_001;
        for seconds in [10, 20, 20] {
            let (one, other) = (trial(&mut record, now), trial(&mut record, now));
            let lasts = Some(Duration::from_secs(seconds));
            assert_eq!(record.trial_failed(one, &RULE, now), lasts);
            assert_eq!(record.trial_failed(one, &RULE, now), None, "once is enough");
            now += 1000 * seconds;
            // What comes of the other one later is not what came of those that are on trial then.
            let next = trial(&mut record, now);
            for _ in 0..RULE.trials {
                assert!(!record.trial_went_well(other, &RULE, fared, now));
            }
            record.trial_abandoned(next);
        }
    }

    proptest! {
        #[test]
        fn it_lets_no_more_through_on_trial_than_it_needs_and_refuses_nobody_for_ever(
            steps in vec((0_u8..5, 0_u64..4_000), 1..300),
        ) {
            let mut upstream = Upstream::broken(1);
            let (mut now, mut out) = (1, Vec::new());
            for (step, passes) in steps {
                now += passes;
                upstream.mark(now);
                let Upstream { record, fared } = &mut upstream;
                match (step, out.pop()) {
                    (0, Some(trial)) => {
                        record.trial_went_well(trial, &RULE, *fared, now);
                    }
                    (1, Some(trial)) => {
                        record.trial_failed(trial, &RULE, now);
                    }
                    (2, Some(trial)) => record.trial_abandoned(trial),
                    (3, kept) => {
                        out.extend(kept);
                        upstream.ill(now);
                    }
                    (_, kept) => {
                        out.extend(kept);
                        if let Verdict::OnTrial(trial) = record.admit(&RULE, now) {
                            out.push(trial);
                        }
                    }
                }
                match upstream.record.phase() {
                    Phase::Closed => {}
                    Phase::Open { until } => prop_assert!(until <= now + 20_000),
                    Phase::HalfOpen { n_out, n_well } => {
                        prop_assert!(n_out + n_well <= RULE.trials);
                        prop_assert!(n_out as usize <= out.len());
                    }
                }
            }
        }
    }
}
