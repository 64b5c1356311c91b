//! Latencies: drawn from a lognormal distribution into buckets.

use std::sync::Arc;

use crate::dice::Dice;

/// The bounds of latencies: √2 apart from 0.5 ms to 2 min.
pub(crate) fn bounds() -> Arc<[f64]> {
    (0..37)
        .map(|n| 0.0005 * 2_f64.powf(f64::from(n) / 2.0))
        .collect()
}

/// Lognormal: a median of 50 ms times `slower`, a p95 of 2.7 times that.
pub(crate) fn latencies(dice: &mut Dice, requests: f64, slower: f64) -> Vec<f64> {
    let sigma = 0.6;
    let below = |bound: f64| normal(((bound / (0.05 * slower)).ln()) / sigma);
    let (mut left, mut before) = (requests, 0.0);
    let mut counts = Vec::new();
    for &bound in bounds().iter() {
        let until = below(bound);
        let chance = ((until - before) / (1.0 - before)).clamp(0.0, 1.0);
        let count = dice.binomial(left, chance);
        counts.push(count);
        (left, before) = (left - count, until);
    }
    counts.push(left);
    counts
}

/// The normal distribution's Φ (Abramowitz and Stegun, 26.2.17, within 1e-7).
fn normal(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let factors = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let polynomial = factors
        .iter()
        .rev()
        .fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * polynomial;
    if z > 0.0 { 1.0 - tail } else { tail }
}
