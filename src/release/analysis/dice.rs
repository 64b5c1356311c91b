//! Dice with a seed, for the simulations of this module's tests and of `benches/`.

/// SplitMix64: a short generator whose sequence is the same everywhere.
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A number from 0 to 1, never 0.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + f64::EPSILON / 4.0
    }

    /// How many of `n` happen, each with this chance: by the gaps between those that do.
    pub(crate) fn binomial(&mut self, n: f64, chance: f64) -> f64 {
        if chance > 0.5 {
            return n - self.binomial(n, 1.0 - chance);
        }
        let (mut happened, mut at) = (0.0, 0.0);
        if chance.is_nan() || chance <= 0.0 {
            return happened;
        }
        let ln_not = (-chance).ln_1p();
        loop {
            at += (self.uniform().ln() / ln_not).floor() + 1.0;
            if at > n {
                return happened;
            }
            happened += 1.0;
        }
    }

    /// How many happen when so many are to be expected: by the time between them.
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        let (mut happened, mut at) = (0.0, 0.0);
        loop {
            at -= self.uniform().ln();
            if at > mean {
                return happened;
            }
            happened += 1.0;
        }
    }
}
