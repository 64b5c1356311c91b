//! Chance, where it only keeps many from doing the same thing at the same moment.

/// From 0 to 1.
pub(in crate::control) fn random() -> f64 {
    let mut bits = [0; 4];
    // Without the system's generator all is done in step; it is done all the same.
    let _worked = getrandom::fill(&mut bits);
    f64::from(u32::from_ne_bytes(bits)) / f64::from(u32::MAX)
}
