//! Chunks in any bytes: no panic, the same outcome in one piece and byte by byte, and what was
//! decoded is the same when it is written and decoded again.

use tidegate::http1::codec::{
    ChunkError, ChunkStep, ChunkedReader, write_chunk_head, write_last_chunk,
};
use tidegate::message::Limits;

/// Body, trailers and how much of the input was theirs; `None` when more is wanted.
type Decoded = Option<(Vec<u8>, Vec<u8>, usize)>;

fn decode(bytes: &[u8], step: usize) -> Result<Decoded, ChunkError> {
    let limits = Limits {
        head_bytes: 512,
        fields: 8,
        ..Limits::default()
    };
    let mut reader = ChunkedReader::new(&limits);
    let mut body = Vec::new();
    let mut done = 0;
    for piece in bytes.chunks(step) {
        let mut rest = piece;
        loop {
            let (consumed, outcome) = reader.step(rest)?;
            done += consumed;
            match outcome {
                ChunkStep::More => break,
                ChunkStep::Data(range) => {
                    assert!(!range.is_empty() && range.end == consumed);
                    body.extend_from_slice(&rest[range]);
                }
                ChunkStep::End => return Ok(Some((body, reader.trailers().to_vec(), done))),
            }
            rest = &rest[consumed..];
        }
    }
    Ok(None)
}

pub(in crate::statement) fn holds(bytes: &[u8]) {
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(whole, decode(bytes, 1));
    let Ok(Some((body, trailers, _))) = whole else {
        return;
    };
    let mut written = Vec::new();
    if !body.is_empty() {
        write_chunk_head(&mut written, body.len());
        written.extend_from_slice(&body);
        written.extend_from_slice(b"\r\n");
    }
    write_last_chunk(&mut written, &trailers);
    // A space behind each colon may bring trailers over their limit: then they are refused.
    match decode(&written, written.len()) {
        Ok(again) => assert_eq!(again, Some((body, trailers, written.len()))),
        Err(error) => assert_eq!(error, ChunkError::TooLarge),
    }
}
