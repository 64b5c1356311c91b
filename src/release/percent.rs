//! Shares of a route's traffic, to a hundredth of a percent.

use std::fmt::{Display, Formatter};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Hundredths of a percent in the whole.
const WHOLE: u32 = 10_000;

/// A share of a route's traffic, from 0 to 100 %, whole hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Percent(u32);

impl Percent {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(WHOLE);

    /// Makes it from a number of percent; `None` when that is not within 0 and 100, or finer than a
    /// hundredth.
    pub fn new(percent: f64) -> Option<Self> {
        let hundredths = percent * 100.0;
        let rounded = hundredths.round();
        let is_exact = (hundredths - rounded).abs() < 1e-6;
        if !is_exact || !(0.0..=f64::from(WHOLE)).contains(&rounded) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a whole number from 0 to 10 000"
        )]
        let hundredths = rounded as u32;
        Some(Self(hundredths))
    }

    /// Makes the share that `part` is of `whole`, rounded down; all where there is no whole.
    pub fn of(part: u64, whole: u64) -> Self {
        if whole == 0 || whole <= part {
            return Self::ALL;
        }
        let hundredths = u128::from(part) * u128::from(WHOLE) / u128::from(whole);
        Self(u32::try_from(hundredths).unwrap_or(WHOLE))
    }

    /// This share of that one, rounded down.
    pub fn times(self, other: Self) -> Self {
        Self(self.0 * other.0 / WHOLE)
    }

    /// What is left of the whole.
    pub fn rest(self) -> Self {
        Self(WHOLE - self.0)
    }

    /// Hundredths of a percent, 0 to 10 000: a weight where the others have the [`Percent::rest`].
    pub fn hundredths(self) -> u32 {
        self.0
    }

    /// Percent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl Display for Percent {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} %", self.percent())
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(100) {
            serializer.serialize_u32(self.0 / 100)
        } else {
            serializer.serialize_f64(self.percent())
        }
    }
}

impl<'d> Deserialize<'d> for Percent {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        Self::new(percent).ok_or_else(|| {
            D::Error::custom(format!(
                "{percent} is not a share from 0 to 100, in hundredths of a percent at most"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::release::percent::Percent;

    #[test]
    fn a_share_is_exact_to_a_hundredth() {
        for (percent, hundredths) in [
            (0.0, 0),
            (0.01, 1),
            (1.0, 100),
            (33.33, 3333),
            (100.0, 10_000),
        ] {
            let share = Percent::new(percent).unwrap();
            assert_eq!(share.hundredths(), hundredths);
            let text = serde_json::to_string(&share).unwrap();
            assert_eq!(
                serde_json::from_str::<Percent>(&text).unwrap(),
                share,
                "{text}"
            );
        }
        for wrong in [-1.0, 100.01, 0.001, f64::NAN, f64::INFINITY] {
            assert_eq!(Percent::new(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_part_is_rounded_down() {
        assert_eq!(Percent::of(2, 3).hundredths(), 6666);
        assert_eq!(Percent::of(3, 3), Percent::ALL);
        assert_eq!(Percent::of(0, 0), Percent::ALL);
        let half = Percent::new(50.0).unwrap();
        assert_eq!(half.times(Percent::of(1, 3)).hundredths(), 1666);
    }
}
