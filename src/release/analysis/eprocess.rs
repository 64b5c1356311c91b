//! Evidence as wealth: what a bettor has, who began with 1 and bets against a hypothesis.
//!
//! Each tick multiplies what was bet on an alternative by how much likelier the tick is under it than
//! at the hypothesis' edge. Under the hypothesis no such factor is above 1 in the mean, whatever the
//! traffic, so by Ville's inequality the chance of ever having 1/α is at most α, at any look and any
//! time of stopping. Dividing the logarithm by a dispersion of at least 1 keeps that (Jensen).
//!
//! [Lindon and Malek, Anytime-Valid Inference for Multinomial Count Data, arXiv 2011.03567]
//!
//! A candidate may turn bad after hours of health, in which everything that was bet from the start is
//! lost. So a [`Sequence`] keeps cash, which is part of its wealth, and bets again: at each step and
//! after each tick with bad requests of the candidate. Shares are fixed beforehand and sum to 1.

use serde::{Deserialize, Serialize};

use crate::release::analysis::{Arms, Tally};

/// How many alternatives are bet on.
pub(crate) const K: usize = 40;

/// The alternatives to "no worse than the margin": from 1.1 to 50 times worse than it.
const WORSE: [f64; 2] = [1.1, 50.0];

/// What is bet at the first tick, where requests are fewest: it costs a candidate that is bad from
/// the start 0.22 of ln E.
const FIRST: f64 = 0.8;

/// What is bet at all later steps together, and at all other ticks together.
const LATER: f64 = 0.1;

/// A factor for each alternative, as a natural logarithm.
pub(crate) type Gains = [f64; K];

/// The wealth of one bettor.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct EProcess {
    /// What is bet on each alternative, times K, as natural logarithms; empty before the first bet.
    logs: Vec<f64>,
    /// What is not bet.
    cash: f64,
}

/// A bettor that bets again and again.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Sequence {
    wealth: EProcess,
    n_steps: u32,
    n_bets: u32,
    due: Due,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Due {
    Step,
    Tick,
    Nothing,
}

impl EProcess {
    /// Bets this share of the first capital, equally on all alternatives.
    pub(crate) fn bet(&mut self, share: f64) {
        let share = share.min(self.cash);
        if share <= 0.0 {
            return;
        }
        self.cash -= share;
        if self.logs.is_empty() {
            self.logs = vec![share.ln(); K];
            return;
        }
        for log in &mut self.logs {
            *log = ln_sum(&[*log, share.ln()]);
        }
    }

    /// Multiplies what is bet by a tick's factors.
    pub(crate) fn multiply(&mut self, gains: &Gains) {
        for (log, gain) in self.logs.iter_mut().zip(gains) {
            *log += gain;
        }
    }

    /// The natural logarithm of all that is there.
    pub(crate) fn ln_e(&self) -> f64 {
        let bet = self.logs.iter().map(|log| log - (K as f64).ln());
        let all: Vec<f64> = bet.chain([self.cash.ln()]).collect();
        ln_sum(&all)
    }
}

impl Default for EProcess {
    fn default() -> Self {
        Self {
            logs: Vec::new(),
            cash: 1.0,
        }
    }
}

impl Sequence {
    /// Says that a step begins: what comes may differ from what was.
    pub(crate) fn begin_step(&mut self) {
        self.due = Due::Step;
    }

    /// Takes a tick in which the candidate had so many bad requests.
    pub(crate) fn take(&mut self, gains: &Gains, n_bad: f64) {
        match self.due {
            Due::Step if self.n_steps == 0 => {
                self.n_steps = 1;
                self.wealth.bet(FIRST);
            }
            Due::Step => {
                self.n_steps = self.n_steps.saturating_add(1);
                self.wealth.bet(LATER * share(self.n_steps - 1));
            }
            Due::Tick => {
                self.n_bets = self.n_bets.saturating_add(1);
                self.wealth.bet(LATER * share(self.n_bets));
            }
            Due::Nothing => {}
        }
        self.due = if n_bad > 0.0 { Due::Tick } else { Due::Nothing };
        self.wealth.multiply(gains);
    }

    /// The natural logarithm of the evidence.
    pub(crate) fn ln_e(&self) -> f64 {
        self.wealth.ln_e()
    }
}

impl Default for Sequence {
    fn default() -> Self {
        Self {
            wealth: EProcess::default(),
            n_steps: 0,
            n_bets: 0,
            due: Due::Step,
        }
    }
}

/// Against "the candidate's rate is at most `margin` times the baseline's": of a bad request only
/// whose it is counts, so that what hits both arms cancels. `None` when an arm had no requests.
pub(crate) fn worse_than_baseline(arms: &Arms, margin: f64, phi: f64) -> Option<Gains> {
    let ratios = grid(WORSE[0] * margin, WORSE[1] * margin);
    ratio_gains(arms, margin, &ratios, phi)
}

/// Against "the candidate's rate is at least `margin` times the baseline's".
pub(crate) fn better_than_baseline(arms: &Arms, margin: f64, phi: f64) -> Option<Gains> {
    ratio_gains(arms, margin, &grid(0.1, 0.9 * margin.max(1.0)), phi)
}

/// Against "the rate is at most `limit`". `None` without requests, and when the limit is no share.
pub(crate) fn worse_than_limit(tally: &Tally, limit: f64, phi: f64) -> Option<Gains> {
    let odds = limit / (1.0 - limit);
    let rates = grid(WORSE[0], WORSE[1]).map(|times| {
        let odds = times * odds;
        odds / (1.0 + odds)
    });
    rate_gains(tally, limit, &rates, phi)
}

/// Against "the rate is at least `limit`". `None` without requests, and when the limit is no share.
pub(crate) fn better_than_limit(tally: &Tally, limit: f64, phi: f64) -> Option<Gains> {
    rate_gains(tally, limit, &grid(0.001 * limit, 0.9 * limit), phi)
}

/// With q the candidate's share of requests, a bad one is the candidate's with p(r) = qr / (qr + 1 − q)
/// when its rate is r times the baseline's. Here in counts, so that no q is rounded to 0 or 1.
fn ratio_gains(arms: &Arms, margin: f64, ratios: &Gains, phi: f64) -> Option<Gains> {
    let Arms {
        candidate,
        baseline,
    } = arms;
    if candidate.requests <= 0.0 || baseline.requests <= 0.0 {
        return None;
    }
    let n_bad = candidate.bad + baseline.bad;
    Some(ratios.map(|ratio| {
        let whole = ratio * candidate.requests + baseline.requests;
        let whole_at_margin = margin * candidate.requests + baseline.requests;
        let gain = candidate.bad * (ratio / margin).ln() - n_bad * (whole / whole_at_margin).ln();
        gain / phi
    }))
}

fn rate_gains(tally: &Tally, limit: f64, rates: &Gains, phi: f64) -> Option<Gains> {
    if tally.requests <= 0.0 || !(limit > 0.0 && limit < 1.0) {
        return None;
    }
    let n_good = tally.requests - tally.bad;
    Some(rates.map(|rate| {
        let gain = tally.bad * (rate / limit).ln() + n_good * ((-rate).ln_1p() - (-limit).ln_1p());
        gain / phi
    }))
}

/// The n-th of infinitely many shares, which sum to 1.
pub(crate) fn share(n: u32) -> f64 {
    let n = f64::from(n);
    1.0 / (n * (n + 1.0))
}

/// As far from each other as to the eye of a logarithm.
fn grid(from: f64, to: f64) -> Gains {
    let (from, to) = (from.ln(), to.ln());
    std::array::from_fn(|k| (from + (to - from) * k as f64 / (K - 1) as f64).exp())
}

/// ln Σ exp, of what may be far below what an f64 can hold.
fn ln_sum(logs: &[f64]) -> f64 {
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + logs.iter().map(|log| (log - max).exp()).sum::<f64>().ln()
}
