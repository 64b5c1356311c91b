//! The budget for retries: an upstream that fails is not to be asked twice as much.
//!
//! Retries may be a share of the requests, and so many a second beyond, so that there can be some
//! where there is little traffic. What is not used is kept for a while and no longer. (Linkerd's
//! budget; its defaults are 20 % and 10 a second.)

use std::time::Duration;

/// How long what is not used is kept.
const KEPT: Duration = Duration::from_secs(10);

/// How many retries there may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// The share of the requests that may be repeated, from 0.
    pub share: f64,
    /// How many a second may be whatever the number of requests.
    pub per_second: u32,
}

/// What is left of a budget. Times are milliseconds of the process's clock.
#[derive(Debug, Default)]
pub(crate) struct Purse {
    /// What is there, in retries; `None` before the first look.
    left: Option<f64>,
    /// What there was when it was last looked at.
    n_requests: u64,
    at: u64,
}

impl Purse {
    /// Takes one retry out, if there is one: `n_requests` were made in all up to `now`.
    pub(crate) fn take(&mut self, budget: &Budget, n_requests: u64, now: u64) -> bool {
        let per_second = f64::from(budget.per_second);
        let left = match self.left {
            None => per_second * KEPT.as_secs_f64(),
            Some(left) => {
                let passed = now.saturating_sub(self.at) as f64 / 1000.0;
                let parts = passed / KEPT.as_secs_f64();
                let more = n_requests.saturating_sub(self.n_requests) as f64;
                let earned = budget.share * more + per_second * passed;
                // Of what is old only as much as was earned lately.
                left * (1.0 - parts).max(0.0) + earned / parts.max(1.0)
            }
        };
        (self.n_requests, self.at) = (n_requests, now);
        let is_enough = left >= 1.0;
        self.left = Some(if is_enough { left - 1.0 } else { left });
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, proptest};

    use crate::upstream::budget::{Budget, Purse};

    const BUDGET: Budget = Budget {
        share: 0.2,
        per_second: 10,
    };

    #[test]
    fn there_are_some_a_second_however_few_requests_there_are() {
        let mut purse = Purse::default();
        let n = (0..1000).filter(|_| purse.take(&BUDGET, 1, 1)).count();
        assert_eq!(n, 100, "what ten seconds keep");
        let n = (0..1000).filter(|_| purse.take(&BUDGET, 1, 1001)).count();
        assert_eq!(n, 10);
    }

    #[test]
    fn there_is_a_share_of_the_requests() {
        let budget = Budget {
            per_second: 0,
            ..BUDGET
        };
        let mut purse = Purse::default();
        let n = (0..1000).filter(|&n| purse.take(&budget, n, 1)).count();
        assert!((199..=200).contains(&n), "{n}");
    }

    #[test]
    fn without_a_budget_there_are_none() {
        let budget = Budget {
            share: 0.0,
            per_second: 0,
        };
        let mut purse = Purse::default();
        assert!((0..1000).all(|n| !purse.take(&budget, n, n)));
    }

    proptest! {
        #[test]
        fn retries_are_never_more_than_the_budget(
            steps in vec((0_u64..50, 0_u64..500), 1..400),
        ) {
            let mut purse = Purse::default();
            let (mut n_requests, mut now, mut n_retries) = (0, 1, 0_u32);
            for (requests, passes) in steps {
                n_requests += requests;
                now += passes;
                n_retries += u32::from(purse.take(&BUDGET, n_requests, now));
                let most = 100.0 + 0.2 * n_requests as f64 + now as f64 / 100.0;
                prop_assert!(f64::from(n_retries) <= most);
            }
        }
    }
}
