//! The client's reading of one response: its status, whether it is whole, and who answered.

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
}

/// How many answers came from each group, as the field `x-group` told.
#[derive(Default)]
pub struct Groups {
    /// Names and counts, in the order of their first answers.
    pub counts: Vec<(Vec<u8>, u64)>,
}

impl Groups {
    fn add(&mut self, name: &[u8]) {
        match self.counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((name.to_vec(), 1)),
        }
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
        groups: &mut Groups,
    ) -> Result<Option<Finished>, Fault> {
        if self.reading.is_some() {
            return self.take_body(bytes);
        }
        if self.held.is_empty() {
            return self.take_head(bytes, wanted, groups);
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        self.take_head(&held, wanted, groups)
    }

    fn take_head(
        &mut self,
        bytes: &[u8],
        wanted: usize,
        groups: &mut Groups,
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
            return self.take_head(body, wanted, groups);
        }
        let length = head::field(head, b"content-length")
            .and_then(head::number)
            .ok_or(Fault::Framing)?;
        if status == 200 && length != wanted {
            return Err(Fault::Length);
        }
        if let Some(group) = head::field(head, b"x-group") {
            groups.add(group);
        }
        let closes = head::field(head, b"connection")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
        let finished = Finished {
            status: status as u16,
            closes,
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
    use crate::reply::{Fault, Finished, Groups, Reply};

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Group: blue\r\n\r\nxxx";

    #[test]
    fn a_response_is_the_same_however_it_is_cut() {
        for cut in 0..WHOLE.len() {
            let mut reply = Reply::default();
            let mut groups = Groups::default();
            let first = reply.take(&WHOLE[..cut], 3, &mut groups).unwrap();
            assert_eq!(first, None, "cut at {cut}");
            let finished = reply.take(&WHOLE[cut..], 3, &mut groups).unwrap();
            let expected = Finished {
                status: 200,
                closes: false,
            };
            assert_eq!(finished, Some(expected), "cut at {cut}");
            assert_eq!(groups.counts, vec![(b"blue".to_vec(), 1)]);
        }
    }

    #[test]
    fn a_wrong_length_a_missing_one_and_bytes_too_many_are_faults() {
        let take =
            |bytes: &[u8], wanted| Reply::default().take(bytes, wanted, &mut Groups::default());
        assert_eq!(take(WHOLE, 4), Err(Fault::Length));
        assert_eq!(take(b"HTTP/1.1 200 OK\r\n\r\n", 0), Err(Fault::Framing));
        assert_eq!(take(b"nonsense\r\n\r\n", 0), Err(Fault::Framing));
        let extra = [WHOLE, b"y"].concat();
        assert_eq!(take(&extra, 3), Err(Fault::Framing));
    }
}
