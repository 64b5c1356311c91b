//! The chunked coding (RFC 9112, section 7.1): reading it piece by piece, and writing it.

use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

use crate::http1::codec::extension::Extension;
use crate::http1::codec::trailers::Trailers;
use crate::message::Limits;

/// The most digits of a size: what 64 bits hold. Leading zeros count.
const SIZE_DIGITS: u8 = 16;

/// How many bytes that are no body may come beyond what each chunk is granted. It bounds one
/// line's extensions as well as a thousand small ones.
const EXCESS: u64 = 16 * 1024;

/// What each chunk is granted for its size and line ends, besides twice its data: enough for
/// chunks of one byte without extensions.
const GRANT: u64 = 16;

/// Why bytes are no chunks. Where the message ends is unknown then: the connection must be closed,
/// and whoever gets the body must not see a clean end.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ChunkError {
    /// They break the grammar.
    #[error("malformed chunk: {0}")]
    Malformed(&'static str),
    /// There is far more around the data than data: extensions, or trailers over the limits.
    #[error("too much around the chunks")]
    TooLarge,
}

impl ChunkError {
    /// The status that tells a client so, if it is not too late for one.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::TooLarge => 431,
        }
    }
}

/// What a piece of input turned out to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChunkStep {
    /// No data, and nothing is left of the input: more is wanted.
    More,
    /// These bytes of the input are body; never none. What follows them is for the next step.
    Data(Range<usize>),
    /// The body is complete, its trailers too. What follows is the next message's.
    End,
}

/// Where in the grammar the next byte stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// In the digits of a size, of which there were so many.
    Size(u8),
    /// In the extensions after a size.
    Extension(Extension),
    /// At the LF that ends the line of a size.
    SizeFeed,
    /// In the data, of which `left` bytes are to come.
    Data,
    /// At the CR after data.
    DataReturn,
    /// At the LF after data.
    DataFeed,
    /// After the last chunk.
    Trailers,
    /// After the body.
    End,
    /// After an error, which stays.
    Broken(ChunkError),
}

/// Reads a body in chunks from bytes that come piece by piece, cut anywhere.
///
/// It holds no data, only what it needs to go on. Extensions are checked and dropped. Trailer
/// fields are checked; those that would say what only a head may say are left out.
#[derive(Debug)]
pub struct ChunkedReader {
    state: State,
    /// The size so far, then how much of the data is to come.
    left: u64,
    /// How many bytes came that are no body, less what was granted for them.
    excess: u64,
    trailers: Trailers,
}

impl ChunkedReader {
    /// Makes one for one body. It allocates nothing until there are trailers.
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: State::Size(0),
            left: 0,
            excess: 0,
            trailers: Trailers::new(limits),
        }
    }

    /// Leaves trailers of these names out, too, in any case.
    pub fn leave_out(&mut self, names: Arc<[Box<[u8]>]>) {
        self.trailers.leave_out(names);
    }

    /// Reads on: tells how many bytes of `input` are done with, and what they were. With
    /// [`ChunkStep::Data`] those are the bytes up to the end of the data.
    ///
    /// # Errors
    /// When the bytes are no chunks; and then always, whatever comes.
    pub fn step(&mut self, input: &[u8]) -> Result<(usize, ChunkStep), ChunkError> {
        let mut position = 0;
        loop {
            match self.state {
                State::End => return Ok((position, ChunkStep::End)),
                State::Broken(error) => return Err(error),
                State::Data => {
                    let rest = (input.len() - position) as u64;
                    if rest == 0 {
                        return Ok((position, ChunkStep::More));
                    }
                    let taken = rest.min(self.left);
                    self.left -= taken;
                    if self.left == 0 {
                        self.state = State::DataReturn;
                    }
                    // It is at most what is left of the input, so it fits.
                    let end = position + taken as usize;
                    return Ok((end, ChunkStep::Data(position..end)));
                }
                _ => {}
            }
            let Some(&byte) = input.get(position) else {
                return Ok((position, ChunkStep::More));
            };
            position += 1;
            self.state = self.take(byte).unwrap_or_else(State::Broken);
        }
    }

    /// The trailer fields, as `name: value` with a CRLF behind each and no empty line at the end;
    /// complete at [`ChunkStep::End`]. Without those that are not allowed in a trailer section;
    /// what the head's Connection names is for the caller to leave out.
    pub fn trailers(&self) -> &[u8] {
        self.trailers.kept()
    }

    /// Takes one byte that is no data.
    fn take(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::Size(n_digits), _) => self.take_size(n_digits, byte),
            (State::Extension(extension), b'\r') if extension.may_end() => {
                self.charge()?;
                Ok(State::SizeFeed)
            }
            (State::Extension(extension), _) => {
                self.charge()?;
                extension
                    .next(byte)
                    .map(State::Extension)
                    .ok_or(ChunkError::Malformed("invalid extension"))
            }
            (State::SizeFeed, b'\n') => {
                self.charge()?;
                if self.left == 0 {
                    return Ok(State::Trailers);
                }
                // The CRLF after the data is charged here too.
                let grant = self.left.saturating_mul(2).saturating_add(GRANT);
                self.excess = (self.excess + 2).saturating_sub(grant);
                Ok(State::Data)
            }
            (State::DataReturn, b'\r') => Ok(State::DataFeed),
            (State::DataFeed, b'\n') => Ok(State::Size(0)),
            (State::DataReturn | State::DataFeed, _) => {
                Err(ChunkError::Malformed("data longer than its size"))
            }
            (State::Trailers, _) => Ok(if self.trailers.take(byte)? {
                State::End
            } else {
                State::Trailers
            }),
            (State::SizeFeed, _) => Err(ChunkError::Malformed("carriage return without line feed")),
            (State::Data | State::End | State::Broken(_), _) => Ok(self.state),
        }
    }

    /// Takes a byte of a size or the one behind it.
    fn take_size(&mut self, n_digits: u8, byte: u8) -> Result<State, ChunkError> {
        self.charge()?;
        if let Some(digit) = (byte as char).to_digit(16) {
            if n_digits == SIZE_DIGITS {
                return Err(ChunkError::Malformed("size of too many digits"));
            }
            let before = if n_digits == 0 { 0 } else { self.left };
            self.left = before << 4 | u64::from(digit);
            return Ok(State::Size(n_digits + 1));
        }
        match byte {
            _ if n_digits == 0 => Err(ChunkError::Malformed("invalid size")),
            b'\r' => Ok(State::SizeFeed),
            b';' => Ok(State::Extension(Extension::BeforeName)),
            b' ' | b'\t' => Ok(State::Extension(Extension::BeforeSemicolon)),
            _ => Err(ChunkError::Malformed("invalid size")),
        }
    }

    /// Counts a byte that is no body.
    fn charge(&mut self) -> Result<(), ChunkError> {
        self.excess += 1;
        if self.excess > EXCESS {
            return Err(ChunkError::TooLarge);
        }
        Ok(())
    }
}

/// Writes the line before a chunk of `len` bytes; after the chunk comes a CRLF. A chunk of none
/// would be the last one, so there must not be one: see [`write_last_chunk`].
pub fn write_chunk_head(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len != 0, "an empty chunk ends the body");
    let n_digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..n_digits).rev() {
        out.push(b"0123456789abcdef"[(len >> (4 * digit)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a body: the last chunk, the trailer fields as
/// [`ChunkedReader::trailers`] gives them, and the empty line.
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
