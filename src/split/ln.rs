//! The natural logarithm with the same bits on every platform.
//!
//! The one of the standard library is the platform's, and platforms differ in the last bit; then two
//! instances could disagree about a user. Here are only additions, multiplications and one division,
//! which IEEE 754 defines to the bit, and Rust neither re-orders nor fuses them.

use std::f64::consts::SQRT_2;

/// ln 2 in two parts: the first has 20 zero bits at its end, so that its product with an exponent is
/// exact; the second is what is missing.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fef0_0000);
const LN_2_LOW: f64 = f64::from_bits(0x3dd4_73de_6af2_78ed);

/// The natural logarithm of a positive normal number; the error is below one unit in the last place.
///
/// With `u = m · 2^k`, `m` between √½ and √2, `f = m − 1` and `s = f / (2 + f)`, the series of the
/// inverse hyperbolic tangent gives `ln m = 2·artanh s = 2s + s·r`, where
/// `r = 2s²/3 + 2s⁴/5 + 2s⁶/7 + …`. Ten terms suffice, as `s² < 0.0295`. Because `2s = f − s·f`, it is
/// added up as `f − s·(f − r)`: there `f` is exact, and only the small second part has been rounded.
pub fn ln(u: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    const ONE: u64 = 1023 << 52;
    debug_assert!(u.is_normal() && u > 0.0, "ln of {u}");

    let bits = u.to_bits();
    let mut exponent = f64::from((bits >> 52) as u32) - 1023.0;
    let mut m = f64::from_bits(bits & MANTISSA | ONE);
    if m > SQRT_2 {
        m *= 0.5;
        exponent += 1.0;
    }
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let mut r = 2.0 / 21.0;
    for coefficient in [
        2.0 / 19.0,
        2.0 / 17.0,
        2.0 / 15.0,
        2.0 / 13.0,
        2.0 / 11.0,
        2.0 / 9.0,
        2.0 / 7.0,
        2.0 / 5.0,
        2.0 / 3.0,
    ] {
        r = r * z + coefficient;
    }
    r *= z;
    exponent * LN_2_HIGH + (f - (s * (f - r) - exponent * LN_2_LOW))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use crate::split::ln::ln;

    /// How many numbers lie between two.
    fn ulps(a: f64, b: f64) -> u64 {
        a.to_bits().abs_diff(b.to_bits())
    }

    #[test]
    fn the_logarithm_of_one_is_zero_and_of_a_power_of_two_is_near() {
        assert_eq!(ln(1.0).to_bits(), 0);
        for k in 1..1000 {
            let u = 0.5_f64.powi(k);
            assert!(ulps(ln(u), u.ln()) <= 1, "{u}");
        }
    }

    #[test]
    fn the_logarithm_is_near_everywhere_around_one() {
        for k in 1..100_000_u32 {
            for u in [
                1.0 - f64::from(k) / 1e5,
                1.0 - f64::from(k) * 1e-16,
                1.0 + f64::from(k) / 1e4,
            ] {
                if u != 1.0 {
                    assert!(ulps(ln(u), u.ln()) <= 2, "{u}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_logarithm_of_a_hash_is_near(hash in any::<u64>()) {
            let u = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            prop_assert!(ulps(ln(u), u.ln()) <= 2, "{}", u);
        }
    }
}
