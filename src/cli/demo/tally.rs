//! What the clients of the demo have seen.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The answers that the quantiles are taken from: the last so many of a variant in a scene.
const KEPT: usize = 4_096;
/// The rate is that of the last so many seconds.
const RATE_SECONDS: usize = 3;

/// Counts what the clients see. All of them and the view share it.
pub(in crate::cli::demo) struct Tally {
    counts: Mutex<Counts>,
    started: Instant,
}

struct Counts {
    /// The shares that the proxy is to give.
    shares: [f64; 2],
    variants: [Variant; 2],
    failed: u64,
    connected: u64,
}

#[derive(Default)]
struct Variant {
    /// Over all scenes.
    answered: u64,
    /// Those of them that say that it failed.
    failed: u64,
    /// In this scene.
    in_scene: u64,
    /// In the last seconds: (second, answers).
    seconds: [(u64, u64); RATE_SECONDS + 1],
    /// Microseconds of the last answers of this scene, as a ring.
    times: Vec<u32>,
}

/// What there was to see at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli::demo) struct Seen {
    /// Both variants: stable, then canary.
    pub(in crate::cli::demo) variants: [VariantSeen; 2],
    /// Requests that no upstream answered, since the start.
    pub(in crate::cli::demo) failed: u64,
    /// Connections opened since the start: one per client when none is ever lost.
    pub(in crate::cli::demo) connected: u64,
}

/// What there was to see of one variant.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli::demo) struct VariantSeen {
    /// The share that it is to have, 0 to 1.
    pub(in crate::cli::demo) configured: f64,
    /// The share of the answers since that is live; none without an answer.
    pub(in crate::cli::demo) actual: Option<f64>,
    /// Answers since the start.
    pub(in crate::cli::demo) answered: u64,
    /// Those of them that say that it failed.
    pub(in crate::cli::demo) failed: u64,
    /// Answers per second, of late.
    pub(in crate::cli::demo) rate: f64,
    /// The median of the time an answer took, in this scene.
    pub(in crate::cli::demo) p50: Option<Duration>,
    /// The time that one answer in a hundred exceeds.
    pub(in crate::cli::demo) p99: Option<Duration>,
}

impl Seen {
    /// Answers since the start.
    pub(in crate::cli::demo) fn answered(&self) -> u64 {
        self.variants.iter().map(|variant| variant.answered).sum()
    }

    /// Requests that failed for whatever reason.
    pub(in crate::cli::demo) fn lost(&self) -> u64 {
        let by_upstreams: u64 = self.variants.iter().map(|variant| variant.failed).sum();
        self.failed + by_upstreams
    }
}

impl Tally {
    /// Makes it empty, with the first shares, 0 to 1.
    pub(in crate::cli::demo) fn new(shares: [f64; 2]) -> Self {
        Self {
            counts: Mutex::new(Counts {
                shares,
                variants: Default::default(),
                failed: 0,
                connected: 0,
            }),
            started: Instant::now(),
        }
    }

    /// Counts an answer of a variant.
    pub(in crate::cli::demo) fn answered(&self, variant: usize, time: Duration) {
        let second = self.second();
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let mut counts = self.lock();
        if let Some(variant) = counts.variants.get_mut(variant) {
            variant.count(second, micros);
        }
    }

    /// Counts an answer of a variant that says that it failed.
    pub(in crate::cli::demo) fn erred(&self, variant: usize, time: Duration) {
        self.answered(variant, time);
        if let Some(variant) = self.lock().variants.get_mut(variant) {
            variant.failed += 1;
        }
    }

    /// Counts a request that no upstream answered.
    pub(in crate::cli::demo) fn fail(&self) {
        self.lock().failed += 1;
    }

    /// Counts a connection that was opened.
    pub(in crate::cli::demo) fn connected(&self) {
        self.lock().connected += 1;
    }

    /// Begins to measure shares and times anew: others are live.
    pub(in crate::cli::demo) fn begin_scene(&self, shares: [f64; 2]) {
        let mut counts = self.lock();
        counts.shares = shares;
        for variant in &mut counts.variants {
            variant.in_scene = 0;
            variant.times.clear();
        }
    }

    /// Looks at it.
    pub(in crate::cli::demo) fn look(&self) -> Seen {
        let second = self.second();
        let counts = self.lock();
        let in_scene: u64 = counts.variants.iter().map(|variant| variant.in_scene).sum();
        let variants = [0, 1].map(|n| {
            let variant = &counts.variants[n];
            let mut times = variant.times.clone();
            times.sort_unstable();
            VariantSeen {
                configured: counts.shares[n],
                actual: (in_scene > 0).then(|| variant.in_scene as f64 / in_scene as f64),
                answered: variant.answered,
                failed: variant.failed,
                rate: variant.rate(second),
                p50: quantile(&times, 0.50),
                p99: quantile(&times, 0.99),
            }
        });
        Seen {
            variants,
            failed: counts.failed,
            connected: counts.connected,
        }
    }

    fn second(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Variant {
    fn count(&mut self, second: u64, micros: u32) {
        self.answered += 1;
        self.in_scene += 1;
        let slot = &mut self.seconds[second as usize % (RATE_SECONDS + 1)];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 += 1;
        if self.times.len() < KEPT {
            self.times.push(micros);
        } else {
            self.times[self.in_scene as usize % KEPT] = micros;
        }
    }

    /// Of the last whole seconds: the one that runs is not yet full.
    fn rate(&self, now: u64) -> f64 {
        let seconds = now.min(RATE_SECONDS as u64);
        if seconds == 0 {
            return 0.0;
        }
        let answers: u64 = self
            .seconds
            .iter()
            .filter(|(second, _)| (now - seconds..now).contains(second))
            .map(|(_, answers)| answers)
            .sum();
        answers as f64 / seconds as f64
    }
}

/// The value at a quantile of what is sorted, by the nearest rank.
fn quantile(sorted: &[u32], at: f64) -> Option<Duration> {
    let rank = (sorted.len() as f64 * at).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .map(|&micros| Duration::from_micros(u64::from(micros)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::cli::demo::tally::{KEPT, Tally};

    fn answers(tally: &Tally, variant: usize, n: u64) {
        for micros in 1..=n {
            tally.answered(variant, Duration::from_micros(micros));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn shares_are_those_of_the_scene_and_counts_those_of_the_whole() {
        let tally = Tally::new([0.95, 0.05]);
        answers(&tally, 0, 90);
        answers(&tally, 1, 10);
        tally.begin_scene([0.5, 0.5]);
        answers(&tally, 0, 30);
        answers(&tally, 1, 10);
        let seen = tally.look();
        assert_eq!(seen.variants[0].configured, 0.5);
        assert_eq!(seen.variants[0].actual, Some(0.75));
        assert_eq!(seen.variants[0].answered, 120);
        assert_eq!(seen.answered(), 140);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_variant_fails_is_told_apart_from_what_is_lost_on_the_way() {
        let tally = Tally::new([0.5, 0.5]);
        answers(&tally, 0, 3);
        tally.erred(1, Duration::ZERO);
        tally.fail();
        let seen = tally.look();
        assert_eq!((seen.answered(), seen.failed, seen.lost()), (4, 1, 2));
        assert_eq!(seen.variants[1].failed, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn quantiles_are_of_the_nearest_rank_and_memory_is_bounded() {
        let tally = Tally::new([0.5, 0.5]);
        answers(&tally, 0, 100);
        let seen = tally.look();
        assert_eq!(seen.variants[0].p50, Some(Duration::from_micros(50)));
        assert_eq!(seen.variants[0].p99, Some(Duration::from_micros(99)));
        assert_eq!(seen.variants[1].p50, None);
        answers(&tally, 0, 3 * KEPT as u64);
        assert_eq!(tally.lock().variants[0].times.len(), KEPT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_that_of_the_last_whole_seconds() {
        let tally = Tally::new([0.5, 0.5]);
        for _ in 0..10 {
            answers(&tally, 0, 20);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(tally.look().variants[0].rate, 20.0);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(tally.look().variants[0].rate, 0.0);
    }
}
