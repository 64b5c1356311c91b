//! Asks `tests/statements/statement/forwarded.rs` about any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tidegate_fuzz::holds("forwarded", bytes));
