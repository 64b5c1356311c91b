//! The statements that the targets ask: those of `tests/statements`, which the tests ask, too.
//!
//! `fuzz/run 600` runs each target for ten minutes from the seeds and from what it has come upon
//! before; `fuzz/run 3600 forwarded` one of them for an hour. `cargo fuzz run TARGET` works as well.
//! What is found is mended with a test beside the code, and becomes a line of the target's seeds.

#[path = "../../tests/statements/statement/mod.rs"]
mod statement;

/// Asks the statement of this name.
///
/// # Panics
/// When it does not hold for these bytes.
pub fn holds(name: &str, bytes: &[u8]) {
    statement::holds(name, bytes);
}
