//! The statements over what chance makes of their seeds: cut, spliced, and with a few bytes changed.
//!
//! Where a statement is about more than a grammar, tests beside the code generate what is mostly
//! right and hold the same: `http1::codec` (also against hyper), `listener::proxy_protocol`,
//! `message::cookies`, `route` and `config`.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::{Index, select};
use proptest::test_runner::Config;

use crate::seeds;
use crate::statement;

/// Something done to an input.
#[derive(Clone, Debug)]
enum Change {
    /// A byte becomes another one.
    Set(Index, u8),
    /// Bytes are put in.
    Insert(Index, Vec<u8>),
    /// Bytes are taken out.
    Remove(Index, usize),
    /// Bytes come a second time.
    Repeat(Index, usize),
    /// From here on it is another input.
    Splice(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let telling = select(&b" \t\r\n\0:;,\"'/?#@[]{}=%.*~^!\\0159aAzZ\x7f\x80"[..]);
    let byte = prop_oneof![4 => telling, 1 => any::<u8>()];
    prop_oneof![
        3 => (any::<Index>(), byte.clone()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (any::<Index>(), vec(byte, 1..4)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (any::<Index>(), 1..12_usize).prop_map(|(at, n)| Change::Remove(at, n)),
        2 => (any::<Index>(), 1..40_usize).prop_map(|(at, n)| Change::Repeat(at, n)),
        1 => any::<(Index, Index)>().prop_map(|(at, from)| Change::Splice(at, from)),
    ]
}

fn changed(mut bytes: Vec<u8>, change: Change, other: &[u8]) -> Vec<u8> {
    let span = |at: Index, n: usize, length: usize| {
        let start = at.index(length + 1);
        start..length.min(start + n)
    };
    match change {
        Change::Set(at, byte) => {
            let at = at.index(bytes.len() + 1);
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        Change::Insert(at, new) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, new);
        }
        Change::Remove(at, n) => drop(bytes.drain(span(at, n, bytes.len()))),
        Change::Repeat(at, n) => {
            let part = bytes[span(at, n, bytes.len())].to_vec();
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, part);
        }
        Change::Splice(at, from) => {
            bytes.truncate(at.index(bytes.len() + 1));
            bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
        }
    }
    bytes
}

/// What chance makes of the seeds of a statement.
fn inputs(seeds: &'static [Vec<u8>]) -> impl Strategy<Value = Vec<u8>> {
    (select(seeds), select(seeds), vec(change(), 0..6)).prop_map(|(seed, other, changes)| {
        changes
            .into_iter()
            .fold(seed, |bytes, change| changed(bytes, change, &other))
    })
}

/// A property test of a statement: so many inputs from its seeds.
macro_rules! holds {
    ($test:ident, $name:literal, $n_cases:literal) => {
        proptest! {
            #![proptest_config(Config::with_cases($n_cases))]

            #[test]
            fn $test(bytes in inputs({
                static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| seeds::of($name));
                &SEEDS
            })) {
                statement::holds($name, &bytes);
            }
        }
    };
}

holds!(chunks_are_the_same_however_they_are_cut, "chunked", 2000);
holds!(a_request_head_holds_what_it_promises, "request_head", 2000);
holds!(
    a_response_head_holds_what_it_promises,
    "response_head",
    2000
);
holds!(one_request_is_one_request_to_everybody, "forwarded", 4000);
holds!(
    a_proxy_header_is_read_to_its_last_byte,
    "proxy_protocol",
    500
);
holds!(a_key_is_what_a_plain_reading_finds, "keys", 2000);
holds!(a_table_finds_what_trying_every_route_finds, "routes", 500);
holds!(a_text_is_a_configuration_or_has_problems, "config", 200);
