//! Reads `[overload]`, which says how much the process takes on.

use crate::config::listener::count;
use crate::config::reader::{Table, Value};
use crate::config::unit::{SIZES, pattern, read_size};

/// What belongs where a bound of memory is.
const MEMORY: &str = "a size such as \"2GiB\", of 16MiB at least, or a share such as \"80%\"";

/// The least bound of memory: with less not even an idle process serves.
const LEAST: u64 = 16 * 1024 * 1024;

/// How much the process takes on; `None` is anything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OverloadConfig {
    /// Its memory.
    pub memory: Option<MemoryBound>,
    /// Connections of clients, of all listeners together.
    pub connections: Option<usize>,
}

/// A bound of memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MemoryBound {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of what the container may have, or else of the machine's memory.
    Percent(u8),
}

/// Reads `[overload]`.
pub(crate) fn read(root: &mut Table<'_>) -> OverloadConfig {
    let mut overload = OverloadConfig::default();
    root.section("overload", |table| {
        table.set("memory", &mut overload.memory, |value| {
            Some(Some(memory(value)?))
        });
        table.set("connections", &mut overload.connections, |value| {
            let number = count(value, 0..=100_000_000)?;
            Some((number != 0).then_some(number))
        });
    });
    overload
}

fn memory(value: &Value<'_>) -> Option<MemoryBound> {
    value.looks_like(|| format!("{}|[1-9][0-9]?%|100%", pattern(true, &SIZES)));
    value.parsed(MEMORY, |text| {
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.parse().ok();
            return percent
                .filter(|percent| (1..=100).contains(percent))
                .map(MemoryBound::Percent);
        }
        read_size(text)
            .filter(|&bytes| bytes >= LEAST)
            .map(MemoryBound::Bytes)
    })
}
