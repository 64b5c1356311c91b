//! Identities of records: ULIDs, whose texts sort by time.
//!
//! A ULID is 48 bits of milliseconds since 1970 and 80 random bits, in 26 characters of Crockford's
//! base 32. Within a process each is larger than the one before, whatever the clock does.

use std::time::SystemTime;

use crate::store::instant::millisecond;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const RANDOM: u128 = (1 << 80) - 1;

/// What makes ULIDs.
#[derive(Debug, Default)]
pub(in crate::store) struct Ulids {
    last: u128,
}

impl Ulids {
    /// Makes the next one, from a time and from random bits of which 80 are used.
    pub(in crate::store) fn next(&mut self, at: SystemTime, random: u128) -> String {
        let millisecond = u128::try_from(millisecond(at)).unwrap_or_default();
        let fresh = (millisecond << 80) | (random & RANDOM);
        // The same millisecond, or a clock that was set back: one more than the last.
        let earlier = (millisecond << 80) <= (self.last | RANDOM);
        self.last = if earlier && self.last > 0 {
            self.last + 1
        } else {
            fresh
        };
        text(self.last)
    }
}

fn text(ulid: u128) -> String {
    let digit = |index: u32| ALPHABET[usize::try_from((ulid >> (index * 5)) & 31).unwrap_or(0)];
    (0..26)
        .rev()
        .map(|index| char::from(digit(index)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::{any, proptest};

    use crate::store::ulid::Ulids;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_identity_is_time_and_random_bits() {
        // The example of the specification: 01ARZ3NDEKTSV4RRFFQ69G5FAV.
        let random = 0xd676_4c61_ef5a_a2be_9c2b_u128; // not the example's: any 80 bits
        let id = Ulids::default().next(at(1_469_922_850_259), random);
        assert!(id.starts_with("01ARZ3NDEK"), "{id}");
        assert_eq!(id.len(), 26);
        assert_eq!(
            Ulids::default().next(at(0), 31),
            "0000000000000000000000000Z"
        );
    }

    proptest! {
        #[test]
        fn each_is_larger_than_the_one_before(
            steps in proptest::collection::vec((0_u64..50, any::<u128>()), 2..40)
        ) {
            let mut ulids = Ulids::default();
            let made: Vec<String> = steps
                .into_iter()
                .map(|(milliseconds, random)| ulids.next(at(milliseconds), random))
                .collect();
            assert!(made.windows(2).all(|pair| pair[0] < pair[1]), "{made:?}");
        }
    }
}
