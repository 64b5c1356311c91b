//! Chance, where it keeps many from doing the same thing at the same moment, or others from knowing.

/// From 0 to 1.
pub(in crate::control) fn random() -> f64 {
    let mut bits = [0; 4];
    // Without the system's generator all is done in step; it is done all the same.
    let _worked = getrandom::fill(&mut bits);
    f64::from(u32::from_ne_bytes(bits)) / f64::from(u32::MAX)
}

/// Any number: where a draw starts, so that instances do not move in step, or what is mixed into hashes
/// that nobody outside is to know.
pub(in crate::control) fn bits() -> u64 {
    let mut bits = [0; 8];
    // Without the system's generator it is 0, which is as exact, and known.
    let _worked = getrandom::fill(&mut bits);
    u64::from_ne_bytes(bits)
}

/// Bytes that nobody else knows.
///
/// # Errors
/// When the system's generator gives none.
pub(in crate::control) fn secret() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
