//! The window: what the baseline did in its last ticks, from which a step takes what it fixes at its
//! start: how bad requests clump, what is slow, and what the baseline was.
//!
//! All of it is known before the tick that it is used for, so evidence stays valid; and all of it is
//! the baseline's, so a candidate cannot make itself look better.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::release::analysis::{Counters, Percentiles, Tally};

/// How many ticks it holds: half an hour of ticks of 30 s.
const N_TICKS: usize = 60;

/// From how many ticks on a dispersion is known. A dispersion of fewer is mostly chance.
const MIN_TICKS: usize = 10;

/// From how many requests on a quantile is known.
const MIN_REQUESTS: f64 = 100.0;

/// The most a dispersion may be, so that a few strange ticks cannot switch a check off.
const MAX_PHI: f64 = 50.0;

/// ln(1 / chance) that the baseline's rate was beyond its bounds.
const LN_CONFIDENCE: f64 = 4.605_170_185_988_092;

/// The last ticks in which the baseline had requests.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Window {
    ticks: VecDeque<Counters>,
}

/// What the baseline was before a step in which it gets no requests.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Past {
    /// Its requests in the window.
    pub(crate) tally: Tally,
    /// Its rate was hardly below this …
    pub(crate) least: f64,
    /// … and hardly above this.
    pub(crate) most: f64,
}

impl Window {
    /// Takes what a tick added to the baseline.
    pub(crate) fn push(&mut self, tick: Counters) {
        if tick.requests <= 0.0 {
            return;
        }
        let before = self.ticks.back();
        if before.is_some_and(|before| before.latency.len() != tick.latency.len()) {
            self.ticks.clear();
        }
        if self.ticks.len() == N_TICKS {
            self.ticks.pop_front();
        }
        self.ticks.push_back(tick);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.ticks.clear();
    }

    /// By how much bad requests vary more from tick to tick than if they came one by one (Pearson):
    /// Σ (x − n p)² / (n p (1 − p)) over the ticks, by their number less one; 1 at least. `None`
    /// while there are too few ticks to tell.
    pub(crate) fn dispersion(&self, tally: impl Fn(&Counters) -> Tally) -> Option<f64> {
        let ticks: Vec<Tally> = self.ticks.iter().map(tally).collect();
        let ticks: Vec<&Tally> = ticks.iter().filter(|tick| tick.requests > 0.0).collect();
        if ticks.len() < MIN_TICKS {
            return None;
        }
        let bad: f64 = ticks.iter().map(|tick| tick.bad).sum();
        let requests: f64 = ticks.iter().map(|tick| tick.requests).sum();
        let rate = bad / requests;
        if rate <= 0.0 || rate >= 1.0 {
            return Some(1.0);
        }
        let of_ticks = ticks.iter().map(|tick| {
            let expected = tick.requests * rate;
            (tick.bad - expected).powi(2) / (expected * (1.0 - rate))
        });
        let phi = of_ticks.sum::<f64>() / (ticks.len() - 1) as f64;
        Some(phi.clamp(1.0, MAX_PHI))
    }

    /// The index of the bound that is nearest to this quantile, in the ratio of the shares that are
    /// slower. `None` while there are too few requests to tell.
    pub(crate) fn threshold(&self, quantile: f64) -> Option<usize> {
        let mut sum = Vec::new();
        for tick in &self.ticks {
            tick.add_latency_to(&mut sum);
        }
        let n: f64 = sum.iter().sum();
        let n_bounds = sum.len().checked_sub(1)?;
        if n < MIN_REQUESTS || n_bounds == 0 {
            return None;
        }
        let wanted = (1.0 - quantile) * n;
        let off = |index: usize| {
            let slower: f64 = sum.iter().skip(index + 1).sum();
            (slower.max(f64::MIN_POSITIVE) / wanted).ln().abs()
        };
        (0..n_bounds).min_by(|&left, &right| off(left).total_cmp(&off(right)))
    }

    /// What the baseline was; `None` without requests.
    pub(crate) fn past(&self, tally: impl Fn(&Counters) -> Tally) -> Option<Past> {
        let mut sum = Tally::default();
        for tick in &self.ticks {
            sum.add(tally(tick));
        }
        let rate = sum.rate()?.clamp(0.0, 1.0);
        Some(Past {
            tally: sum,
            least: bound(rate, sum.requests, 0.0),
            most: bound(rate, sum.requests, 1.0),
        })
    }
}

/// How far towards `end` a true rate may be, so that `n` requests showing `rate` are not yet
/// incredible: n · KL(rate ‖ bound) = ln(1 / chance) (Chernoff).
fn bound(rate: f64, n: f64, end: f64) -> f64 {
    let part = |of: f64, against: f64| {
        if of > 0.0 {
            of * (of / against).ln()
        } else {
            0.0
        }
    };
    let (mut near, mut far) = (rate, end);
    for _ in 0..60 {
        let middle = f64::midpoint(near, far);
        let divergence = part(rate, middle) + part(1.0 - rate, 1.0 - middle);
        if n * divergence < LN_CONFIDENCE {
            near = middle;
        } else {
            far = middle;
        }
    }
    near
}

/// Percentiles of a histogram; `None` when it is empty. Whatever is over the last bound counts as
/// being there.
pub(crate) fn percentiles(latency: &[f64], bounds: &[f64]) -> Option<Percentiles> {
    let n: f64 = latency.iter().sum();
    let last = *bounds.last()?;
    if n <= 0.0 {
        return None;
    }
    let at = |quantile: f64| {
        let mut missing = quantile * n;
        let mut from = 0.0;
        for (&bound, &count) in bounds.iter().zip(latency) {
            if count >= missing && count > 0.0 {
                return from + (bound - from) * missing / count;
            }
            missing -= count;
            from = bound;
        }
        last
    };
    Some(Percentiles {
        p50: at(0.50),
        p95: at(0.95),
        p99: at(0.99),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::release::analysis::window::{MAX_PHI, N_TICKS, Window, bound, percentiles};
    use crate::release::analysis::{Bad, Counters, Tally};

    fn tick(requests: f64, bad: f64, latency: &[f64]) -> Counters {
        Counters {
            requests,
            bad: BTreeMap::from([(Bad::ServerError, bad)]),
            latency: latency.to_vec(),
        }
    }

    fn window(ticks: impl IntoIterator<Item = Counters>) -> Window {
        let mut window = Window::default();
        for tick in ticks {
            window.push(tick);
        }
        window
    }

    fn errors(counters: &Counters) -> Tally {
        counters.tally(&BTreeSet::from([Bad::ServerError]))
    }

    #[test]
    fn the_dispersion_is_pearsons() {
        // 20 ticks of 100 requests, in turns 0 and 10 bad ones: 25 / 4.75 each, 20 of them by 19.
        let ticks = (0..20).map(|n| tick(100.0, f64::from(n % 2) * 10.0, &[]));
        let phi = window(ticks).dispersion(errors).unwrap();
        assert!((phi - 25.0 / 4.75 * 20.0 / 19.0).abs() < 1e-12, "{phi}");
    }

    #[test]
    fn the_dispersion_is_from_1_to_50_and_unknown_at_first() {
        let even = window((0..20).map(|_| tick(100.0, 5.0, &[])));
        assert_eq!(even.dispersion(errors), Some(1.0));
        let none = window((0..20).map(|_| tick(100.0, 0.0, &[])));
        assert_eq!(none.dispersion(errors), Some(1.0));
        let clump = window((0..20).map(|n| tick(1e6, if n == 0 { 1e5 } else { 0.0 }, &[])));
        assert_eq!(clump.dispersion(errors), Some(MAX_PHI));
        let few = window((0..9).map(|_| tick(100.0, 5.0, &[])));
        assert_eq!(few.dispersion(errors), None);
    }

    #[test]
    fn the_window_holds_sixty_ticks_with_requests() {
        let mut window = window((0..100).map(|n| tick(f64::from(n), 0.0, &[])));
        window.push(tick(0.0, 0.0, &[]));
        assert_eq!(window.ticks.len(), N_TICKS);
        assert_eq!(window.ticks[0].requests, 40.0);
    }

    #[test]
    fn the_threshold_is_the_bound_whose_slower_share_is_nearest() {
        #[track_caller]
        fn check(latency: &[f64], quantile: f64, expected: Option<usize>) {
            let n = latency.iter().sum();
            assert_eq!(
                window([tick(n, 0.0, latency)]).threshold(quantile),
                expected
            );
        }
        // Slower than the bounds: 100, 59, 10 of 1000.
        check(&[900.0, 41.0, 49.0, 10.0], 0.95, Some(1));
        check(&[900.0, 41.0, 49.0, 10.0], 0.99, Some(2));
        check(&[900.0, 41.0, 49.0, 10.0], 0.50, Some(0));
        // Everything is over the last bound, or under the first.
        check(&[0.0, 0.0, 0.0, 500.0], 0.95, Some(0));
        check(&[500.0, 0.0, 0.0, 0.0], 0.95, Some(0));
        // Too few, or no buckets at all.
        check(&[50.0, 0.0, 0.0, 0.0], 0.95, None);
        check(&[500.0], 0.95, None);
        check(&[], 0.95, None);
    }

    #[test]
    fn other_bounds_begin_another_window() {
        let mut window = window((0..20).map(|_| tick(100.0, 5.0, &[100.0, 0.0])));
        window.push(tick(100.0, 5.0, &[50.0, 25.0, 25.0]));
        assert_eq!(window.ticks.len(), 1);
    }

    #[test]
    fn the_past_knows_how_sure_it_is() {
        let past = window([tick(10_000.0, 50.0, &[])]).past(errors).unwrap();
        assert_eq!(past.tally.rate(), Some(0.005));
        assert!(past.least > 0.003 && past.least < 0.0035, "{}", past.least);
        assert!(past.most > 0.007 && past.most < 0.008, "{}", past.most);
        assert_eq!(Window::default().past(errors), None);
        // Nothing bad in n requests: (1 − bound)^n = 1 %.
        assert!(((1.0 - bound(0.0, 100.0, 1.0)).powi(100) - 0.01).abs() < 1e-9);
        assert_eq!(bound(0.0, 100.0, 0.0), 0.0);
    }

    #[test]
    fn percentiles_are_interpolated_within_their_bucket() {
        let bounds = [0.1, 0.2, 0.4];
        let found = percentiles(&[50.0, 40.0, 10.0, 0.0], &bounds).unwrap();
        assert!((found.p50 - 0.1).abs() < 1e-12);
        assert!((found.p95 - 0.3).abs() < 1e-12);
        assert!((found.p99 - 0.38).abs() < 1e-12);
        let over = percentiles(&[0.0, 0.0, 0.0, 7.0], &bounds).unwrap();
        assert!((over.p50 - 0.4).abs() < 1e-12);
        assert_eq!(percentiles(&[0.0; 4], &bounds), None);
        assert_eq!(percentiles(&[], &[]), None);
    }
}
