//! What a certificate says that the library does not tell: whose it is, whose word it is, how long
//! it holds, and of what it is made (RFC 5280, section 4.1).
//!
//! Whatever the bytes are, reading them ends in facts or in `None`. Nothing here verifies anything:
//! that is the library's, and is done before anyone believes what is read here.

mod name;
mod parts;
#[cfg(test)]
mod tests;

pub(crate) use name::{common_name, rfc4514};
pub(crate) use parts::{Key, Parts};

/// The tags that are read (X.690, section 8; RFC 5280, appendix A).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// What a certificate says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Facts<'a> {
    /// The name of who vouches for it, as DER.
    pub(crate) issuer: &'a [u8],
    /// The name of whose it is, as DER.
    pub(crate) subject: &'a [u8],
    /// When it begins to hold, in seconds of Unix time.
    pub(crate) not_before: i64,
    /// The last second in which it holds, likewise.
    pub(crate) not_after: i64,
}

impl<'a> Facts<'a> {
    /// Reads a certificate; `None` when the bytes are none.
    pub(crate) fn of(certificate: &'a [u8]) -> Option<Self> {
        let certificate = Element::only(certificate)?.within(SEQUENCE)?;
        let signed = Elements(certificate).next()?.within(SEQUENCE)?;
        Self::read(&mut Elements(signed))
    }

    /// Reads the first fields of what is signed.
    fn read(fields: &mut Elements<'a>) -> Option<Self> {
        let first = fields.next()?;
        // Version 1 has no version; what comes first then is the serial number.
        if first.tag == VERSION {
            fields.next()?;
        }
        let _algorithm = fields.next()?;
        let issuer = fields.next()?;
        let mut validity = fields.next()?.within(SEQUENCE).map(Elements)?;
        let subject = fields.next()?;
        Some(Self {
            issuer: issuer.is(SEQUENCE)?.whole,
            subject: subject.is(SEQUENCE)?.whole,
            not_before: time(validity.next()?)?,
            not_after: time(validity.next()?)?,
        })
    }
}

/// The contents of a sequence that bytes are.
pub(crate) fn contents(sequence: &[u8]) -> Option<&[u8]> {
    Element::only(sequence)?.within(SEQUENCE)
}

/// One element of DER: a tag, a length and so many bytes.
#[derive(Clone, Copy)]
struct Element<'a> {
    tag: u8,
    contents: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The element that bytes are, if they are one and nothing behind it.
    fn only(bytes: &'a [u8]) -> Option<Self> {
        let mut elements = Elements(bytes);
        let only = elements.next()?;
        elements.0.is_empty().then_some(only)
    }

    fn is(self, tag: u8) -> Option<Self> {
        (self.tag == tag).then_some(self)
    }

    fn within(self, tag: u8) -> Option<&'a [u8]> {
        self.is(tag).map(|element| element.contents)
    }
}

/// Elements of DER, one behind the other, until there is none or something else.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        // Tags of several bytes do not occur in certificates.
        if tag & 0x1f == 0x1f {
            return None;
        }
        // A length of up to 127 stands for itself, a longer one is so many bytes long.
        let n_bytes = usize::from(first.saturating_sub(0x80));
        let (length, contents) = rest.split_at_checked(n_bytes)?;
        let length = match (first, n_bytes) {
            (..0x80, _) => usize::from(first),
            (_, 1..=4) => length.iter().try_fold(0_usize, |sum, &byte| {
                Some(sum.checked_mul(256)? + usize::from(byte))
            })?,
            _ => return None,
        };
        let (contents, after) = contents.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some(Element {
            tag,
            contents,
            whole,
        })
    }
}

/// A time in seconds of Unix time (RFC 5280, section 4.1.2.5: always in UTC, to the second).
fn time(element: Element<'_>) -> Option<i64> {
    let digits = element.contents.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| {
        digits
            .iter()
            .fold(0, |sum, &c| sum * 10 + i64::from(c - b'0'))
    };
    let (year, rest) = match (element.tag, digits.len()) {
        // Two digits are of the years 1950 to 2049.
        (UTC_TIME, 12) => match number(&digits[..2]) {
            year @ 50.. => (1900 + year, &digits[2..]),
            year => (2000 + year, &digits[2..]),
        },
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let mut pairs = rest.chunks_exact(2).map(number);
    let mut pair =
        |range: std::ops::RangeInclusive<i64>| pairs.next().filter(|number| range.contains(number));
    let (month, day) = (pair(1..=12)?, pair(1..=31)?);
    let (hour, minute, second) = (pair(0..=23)?, pair(0..=59)?, pair(0..=60)?);
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// The days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March here, so that the day that some years have comes last.
    let (year, month) = match month {
        ..=2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 153 days for five months, from March on; 719 468 days from 0000-03-01 to 1970-01-01.
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}
