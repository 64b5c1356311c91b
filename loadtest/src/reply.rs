//! The client's reading of one response: its status, whether it is whole, and who answered.

use crate::fields::Fields;
use crate::head;

/// Why a response cannot be believed.
#[derive(Debug, Eq, PartialEq)]
pub enum Fault {
    /// The head is no HTTP/1.1 head with a length.
    Framing,
    /// The length is not what was asked for.
    Length,
}

/// What a finished response was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finished {
    /// The status code.
    pub status: u16,
    /// Whether the server said that it will close the connection.
    pub closes: bool,
    /// Who answered, by the order of `Groups`; `None` when it did not say.
    pub group: Option<usize>,
}

/// How many answers came from each group, as the field `x-group` told.
#[derive(Default)]
pub struct Groups {
    /// Names and counts, in the order of their first answers.
    pub counts: Vec<(Vec<u8>, u64)>,
}

/// What is noted of the heads of all responses.
#[derive(Default)]
pub struct Noted {
    /// Who answered.
    pub groups: Groups,
    /// The fields that were looked for.
    pub fields: Fields,
}

impl Groups {
    /// Counts an answer; gives the place of its group.
    fn add(&mut self, name: &[u8]) -> usize {
        let known = self.counts.iter().position(|(known, _)| known == name);
        let index = known.unwrap_or_else(|| {
            self.counts.push((name.to_vec(), 0));
            self.counts.len() - 1
        });
        self.counts[index].1 += 1;
        index
    }
}

/// A response on its way in.
#[derive(Default)]
pub struct Reply {
    held: Vec<u8>,
    reading: Option<(Finished, usize)>,
}

impl Reply {
    /// Takes in bytes; gives the response once it is whole. Bytes beyond its end are a fault.
    ///
    /// `wanted` is the length that a 200 must have.
    ///
    /// # Errors
    /// When the response cannot be believed.
    pub fn take(
        &mut self,
        bytes: &[u8],
        wanted: usize,
        noted: &mut Noted,
    ) -> Result<Option<Finished>, Fault> {
        if self.reading.is_some() {
            return self.take_body(bytes);
        }
        if self.held.is_empty() {
            return self.take_head(bytes, wanted, noted);
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        self.take_head(&held, wanted, noted)
    }

    fn take_head(
        &mut self,
        bytes: &[u8],
        wanted: usize,
        noted: &mut Noted,
    ) -> Result<Option<Finished>, Fault> {
        let Some(length) = head::length(bytes) else {
            self.held = bytes.to_vec();
            return Ok(None);
        };
        let (head, body) = bytes.split_at(length);
        let status = head
            .strip_prefix(b"HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(head::number)
            .ok_or(Fault::Framing)?;
        if status < 200 {
            return self.take_head(body, wanted, noted);
        }
        let length = head::field(head, b"content-length")
            .and_then(head::number)
            .ok_or(Fault::Framing)?;
        if status == 200 && length != wanted {
            return Err(Fault::Length);
        }
        let group = head::field(head, b"x-group").map(|name| noted.groups.add(name));
        noted.fields.look(head);
        let closes = head::field(head, b"connection")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
        let finished = Finished {
            status: status as u16,
            closes,
            group,
        };
        self.reading = Some((finished, length));
        self.take_body(body)
    }

    fn take_body(&mut self, bytes: &[u8]) -> Result<Option<Finished>, Fault> {
        let Some((_, left)) = &mut self.reading else {
            return Ok(None);
        };
        *left = left.checked_sub(bytes.len()).ok_or(Fault::Framing)?;
        if *left > 0 {
            return Ok(None);
        }
        Ok(self.reading.take().map(|(finished, _)| finished))
    }
}

#[cfg(test)]
mod tests {
    use crate::reply::{Fault, Finished, Noted, Reply};

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Group: blue\r\n\r\nxxx";

    #[test]
    fn a_response_is_the_same_however_it_is_cut() {
        for cut in 0..WHOLE.len() {
            let mut reply = Reply::default();
            let mut noted = Noted::default();
            let first = reply.take(&WHOLE[..cut], 3, &mut noted).unwrap();
            assert_eq!(first, None, "cut at {cut}");
            let finished = reply.take(&WHOLE[cut..], 3, &mut noted).unwrap();
            let expected = Finished {
                status: 200,
                closes: false,
                group: Some(0),
            };
            assert_eq!(finished, Some(expected), "cut at {cut}");
            assert_eq!(noted.groups.counts, vec![(b"blue".to_vec(), 1)]);
        }
    }

    #[test]
    fn a_wrong_length_a_missing_one_and_bytes_too_many_are_faults() {
        let take =
            |bytes: &[u8], wanted| Reply::default().take(bytes, wanted, &mut Noted::default());
        assert_eq!(take(WHOLE, 4), Err(Fault::Length));
        assert_eq!(take(b"HTTP/1.1 200 OK\r\n\r\n", 0), Err(Fault::Framing));
        assert_eq!(take(b"nonsense\r\n\r\n", 0), Err(Fault::Framing));
        let extra = [WHOLE, b"y"].concat();
        assert_eq!(take(&extra, 3), Err(Fault::Framing));
    }
}
