//! Statuses, each counted by itself.
//!
//! A status has three digits that an upstream may choose freely, so a table of all of them would be
//! large and almost empty. Slots are taken in the order in which statuses first occur; a few are
//! common, so that a short scan finds them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::telemetry::stats::{Counter, Selection, Source};

/// Slots in one block: more than a sane upstream ever needs.
const BLOCK: usize = 24;

/// Blocks in a shard. An upstream that answers with ever new statuses must take neither memory nor
/// a long scan per request, so what comes after them is counted by its first digit.
const MAX_BLOCKS: usize = 5;

/// A status as a label.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Code {
    /// Exactly this one.
    Exact(u16),
    /// One of those that begin with this digit, when there were too many different ones.
    Class(u8),
}

/// What requests are counted by.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CodeKey {
    /// The status.
    pub code: Code,
    /// Who made the response.
    pub source: Source,
    /// How the request got its variant.
    pub selection: Selection,
}

impl CodeKey {
    /// One number for it, never 0.
    fn pack(self) -> u32 {
        let code = match self.code {
            Code::Exact(code) => u32::from(code),
            Code::Class(digit) => 0x1_0000 | u32::from(digit),
        };
        code << 8 | (self.source as u32) << 4 | self.selection as u32 | 1 << 31
    }

    /// The key of a packed number.
    fn unpack(packed: u32) -> Self {
        let code = packed >> 8 & 0xffff;
        Self {
            code: if packed >> 24 & 1 == 1 {
                Code::Class(code as u8)
            } else {
                Code::Exact(code as u16)
            },
            source: Source::ALL[(packed >> 4 & 0xf) as usize],
            selection: Selection::ALL[(packed & 0xf) as usize],
        }
    }
}

/// Slots and, after them, the next block.
#[derive(Debug)]
struct Block {
    keys: [AtomicU32; BLOCK],
    counts: [Counter; BLOCK],
    next: OnceLock<Box<Block>>,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            keys: [const { AtomicU32::new(0) }; BLOCK],
            counts: Default::default(),
            next: OnceLock::new(),
        }
    }
}

/// The statuses of one shard.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    first: Block,
}

impl Codes {
    /// Counts the end of one request.
    #[inline]
    pub(crate) fn add_end(&self, code: u16, source: Source, selection: Selection) {
        let key = CodeKey {
            code: Code::Exact(code),
            source,
            selection,
        };
        if !self.try_add(key, MAX_BLOCKS) {
            let class = CodeKey {
                code: Code::Class((code / 100).min(9) as u8),
                ..key
            };
            // All classes together fit into the blocks after the last one for exact statuses.
            self.try_add(class, usize::MAX);
        }
    }

    /// Calls `each` with every key that has occurred and its number of requests.
    pub(crate) fn for_each(&self, mut each: impl FnMut(CodeKey, u64)) {
        let mut block = Some(&self.first);
        while let Some(Block { keys, counts, next }) = block {
            for (key, count) in keys.iter().zip(counts) {
                let key = key.load(Ordering::Acquire);
                if key == 0 {
                    return;
                }
                each(CodeKey::unpack(key), count.ends());
            }
            block = next.get().map(Box::as_ref);
        }
    }

    /// Counts it in the slot of its key, or in a new one; false when `n_blocks` are full.
    #[inline]
    fn try_add(&self, key: CodeKey, n_blocks: usize) -> bool {
        let packed = key.pack();
        let mut block = &self.first;
        let mut n = 1;
        loop {
            for (slot, count) in block.keys.iter().zip(&block.counts) {
                let taken = slot.load(Ordering::Relaxed);
                if taken == packed {
                    count.add_end();
                    return true;
                }
                if taken == 0 {
                    // The count first: whoever sees the key sees a count with it.
                    count.add_end();
                    slot.store(packed, Ordering::Release);
                    return true;
                }
            }
            if n == n_blocks {
                return false;
            }
            block = block.next.get_or_init(Box::default);
            n += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use crate::telemetry::stats::codes::{BLOCK, Code, CodeKey, Codes, MAX_BLOCKS};
    use crate::telemetry::stats::{Selection, Source};

    fn read(codes: &Codes) -> BTreeMap<CodeKey, u64> {
        let mut seen = BTreeMap::new();
        codes.for_each(|key, count| {
            assert!(seen.insert(key, count).is_none(), "{key:?} has two slots");
        });
        seen
    }

    #[test]
    fn a_key_survives_being_packed() {
        for &source in Source::ALL {
            for &selection in Selection::ALL {
                for code in [Code::Exact(100), Code::Exact(999), Code::Class(5)] {
                    let key = CodeKey {
                        code,
                        source,
                        selection,
                    };
                    assert_eq!(CodeKey::unpack(key.pack()), key);
                }
            }
        }
    }

    #[test]
    fn an_upstream_with_ever_new_statuses_takes_bounded_memory() {
        let codes = Codes::default();
        for code in 100..1000 {
            codes.add_end(code, Source::Upstream, Selection::Draw);
        }
        let seen = read(&codes);
        assert_eq!(seen.values().sum::<u64>(), 900);
        assert_eq!(
            seen.len(),
            BLOCK * MAX_BLOCKS + 8,
            "exact ones, and 2xx to 9xx"
        );
    }

    proptest! {
        #[test]
        fn each_status_is_counted_by_itself(codes in prop::collection::vec((200u16..250, 0usize..2), 0..300)) {
            let slots = Codes::default();
            let mut expected = BTreeMap::new();
            for &(code, source) in &codes {
                let source = Source::ALL[source];
                slots.add_end(code, source, Selection::Hash);
                let key = CodeKey { code: Code::Exact(code), source, selection: Selection::Hash };
                *expected.entry(key).or_insert(0u64) += 1;
            }
            prop_assert_eq!(read(&slots), expected);
        }
    }
}
