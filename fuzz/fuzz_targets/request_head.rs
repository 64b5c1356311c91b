//! Asks `tests/statements/statement/request_head.rs` about any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tidegate_fuzz::holds("request_head", bytes));
