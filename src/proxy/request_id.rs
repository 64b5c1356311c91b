//! Request ids: a name for one request that all who see it can log.
//!
//! A client is not asked, because whoever names requests can make two look like one; a trusted
//! proxy is, so that the name of the outermost one holds all the way.

use std::cell::Cell;

use crate::message::{RequestHead, Span};

/// Bytes of an id that is taken over: what others make has 16 to 64.
const MAX_BYTES: usize = 128;

/// Makes ids that no other worker or process makes: 128 bits from two sequences (`SplitMix64`,
/// Steele et al., 2014) that begin anywhere.
///
/// Each of the two has every number of 64 bits once, so that a worker does not repeat itself, and
/// it costs no system call. Whoever has seen one id can tell the next: they are names, no secrets.
#[derive(Debug)]
pub(crate) struct Generator {
    state: Cell<[u64; 2]>,
}

impl Generator {
    /// Begins somewhere.
    pub(crate) fn new() -> Self {
        let mut bits = [0; 16];
        // The system's generator does not fail once it has worked; should it, ids are not unique
        // among workers, and nothing else depends on them.
        let _worked = getrandom::fill(&mut bits);
        let bits = u128::from_ne_bytes(bits);
        Self {
            state: Cell::new([(bits >> 64) as u64, bits as u64]),
        }
    }

    /// The next id: 32 hexadecimal digits.
    fn next(&self) -> [u8; 32] {
        let state = self
            .state
            .get()
            .map(|state| state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.state.set(state);
        let [high, low] = state.map(mix);
        let mut text = [0; 32];
        let (first, second) = text.split_at_mut(16);
        write_hex(first, high);
        write_hex(second, low);
        text
    }
}

/// Spreads each bit over all others.
fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Writes 16 hexadecimal digits, eight at a time in one word.
fn write_hex(text: &mut [u8], number: u64) {
    let (high, low) = text.split_at_mut(8);
    high.copy_from_slice(&eight_digits((number >> 32) as u32));
    low.copy_from_slice(&eight_digits(number as u32));
}

fn eight_digits(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Each half byte to a byte of its own, the highest first.
    let word = u64::from(number);
    let word = (word | (word << 16)) & 0x0000_ffff_0000_ffff;
    let word = (word | (word << 8)) & 0x00ff_00ff_00ff_00ff;
    let word = (word | (word << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // Those over nine are letters: adding six carries into their fifth bit.
    let letters = ((word + ONES * 6) >> 4) & ONES;
    (word + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// The id of a request, in the bytes of its head: the one in the field `name` where the peer is
/// trusted and says one that is visible ASCII and not long, else a new one.
pub(crate) fn identify(
    head: &mut RequestHead,
    name: &[u8],
    trusted: bool,
    generator: &Generator,
) -> Span {
    if trusted
        && let Some(said) = head.field(name)
        && (1..=MAX_BYTES).contains(&said.len())
        && said.iter().all(u8::is_ascii_graphic)
    {
        let said = said.to_owned();
        return head.append(&said);
    }
    head.append(&generator.next())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::message::RequestHead;
    use crate::proxy::request_id::{Generator, identify, write_hex};

    fn identified(said: &[u8], trusted: bool) -> String {
        let mut head = RequestHead::default();
        head.append_field(b"X-Request-ID", said);
        let id = identify(&mut head, b"x-request-id", trusted, &Generator::new());
        String::from_utf8(id.of(&head.text).to_vec()).unwrap()
    }

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX] {
            let mut text = [0; 16];
            write_hex(&mut text, number);
            assert_eq!(text, format!("{number:016x}").as_bytes());
        }
    }

    #[test]
    fn only_a_trusted_peers_id_is_kept() {
        assert_eq!(identified(b"abc-1", true), "abc-1");
        assert_ne!(identified(b"abc-1", false), "abc-1");
    }

    #[test]
    fn an_id_that_would_spoil_a_log_is_replaced() {
        for said in [&b""[..], b"a b", b"\xff", "é".as_bytes(), &[b'a'; 129]] {
            let id = identified(said, true);
            assert_eq!(id.len(), 32, "{id}");
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            assert!(id.bytes().all(is_digit), "{id}");
        }
        assert_eq!(identified(&[b'a'; 128], true).len(), 128);
    }

    #[test]
    fn no_two_are_the_same() {
        let generators = [Generator::new(), Generator::new()];
        let ids: HashSet<_> = generators
            .iter()
            .flat_map(|generator| (0..1000).map(|_| generator.next()))
            .collect();
        assert_eq!(ids.len(), 2000);
    }
}
