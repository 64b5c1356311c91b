//! Floods: frames of HTTP/2 that bring nobody anything and cost us work all the same.
//!
//! Each frame of a client is looked at as it comes, by its head alone. Two kinds of frames may come
//! too often: those that take a request back (RST_STREAM, the rapid reset of CVE-2023-44487), and
//! those that are neither a request nor a part of one (SETTINGS and PING, which want an answer, empty
//! DATA, PRIORITY, WINDOW_UPDATE, unknown ones; CVE-2019-9512, -9515 and -9518). How many of them are
//! usual depends on what else goes on: on what is asked for, and on what is answered. They are counted
//! anew every while, so that a connection may live for ever; who goes too far is asked to leave, what
//! is under way is finished, and who goes on is cut.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::listener::Peer;

/// Bytes of a frame's head (RFC 9113, section 4.1).
const HEAD: usize = 9;

/// Bytes of a connection's preface (RFC 9113, section 3.4), which come before all frames.
const PREFACE: usize = 24;

/// Requests that a client may take back in a while without more ado: as many as a browser drops with
/// a few pages. Beyond, half of what it asks for: a client with a deadline for each call, or one that
/// asks two and takes the first, waits for the rest.
const RESETS: u64 = 1000;

/// What other frames may cost in a while, without more ado.
const COST: u64 = 40_000;

/// What a frame costs that wants an answer. What we write is on the client's side, below, and an
/// answer must not pay for its question: one to a ping has 17 bytes.
const COST_OF_ANSWER: u64 = 4;

/// Bytes of ours that pay for one frame. A client that makes room for each frame of a response anew,
/// twice, on the stream and on the connection, pays with the smallest frames that there are.
const BYTES_WRITTEN: u64 = 8;

/// What a request pays for: the frames that belong to it, and those that it is measured by.
const PAID_BY_REQUEST: u64 = 16;

/// How often, at most, a worker says who sends too much.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// What ends a stream, on DATA and HEADERS; and what is an answer, on SETTINGS and PING.
const END_STREAM_OR_ACK: u8 = 1;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It goes on.
    Fine,
    /// It ends when what is under way has ended.
    Leave,
    /// It ends now.
    Cut,
}

/// Counts what a client sends.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// The head of the frame that is coming, and how much of it has come.
    head: [u8; HEAD],
    n_head: usize,
    /// Bytes that come before the next head.
    n_skip: usize,
    counts: Counts,
}

/// What came since the last beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    n_requests: u64,
    n_resets: u64,
    cost: u64,
    n_written: u64,
}

impl Meter {
    /// Makes one for a connection whose preface is still to come.
    pub(crate) fn new() -> Self {
        Self {
            head: [0; HEAD],
            n_head: 0,
            n_skip: PREFACE,
            counts: Counts::default(),
        }
    }

    /// Counts the frames in what came next.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        loop {
            let n = self.n_skip.min(bytes.len());
            self.n_skip -= n;
            bytes = &bytes[n..];
            if bytes.is_empty() {
                return;
            }
            let n = (HEAD - self.n_head).min(bytes.len());
            self.head[self.n_head..self.n_head + n].copy_from_slice(&bytes[..n]);
            self.n_head += n;
            bytes = &bytes[n..];
            if self.n_head < HEAD {
                return;
            }
            let [high, middle, low, kind, flags, ..] = self.head;
            self.n_head = 0;
            let length = u32::from_be_bytes([0, high, middle, low]);
            self.n_skip = length as usize;
            self.counts.frame(kind, flags, length);
        }
    }

    /// Counts bytes that were written.
    pub(crate) fn wrote(&mut self, n: usize) {
        self.counts.n_written += n as u64;
    }

    /// Begins to count anew.
    pub(crate) fn forgive(&mut self) {
        self.counts = Counts::default();
    }

    /// What becomes of the connection.
    pub(crate) fn verdict(&self) -> Verdict {
        self.counts.verdict()
    }
}

impl Counts {
    fn frame(&mut self, kind: u8, flags: u8, length: u32) {
        let is_flagged = flags & END_STREAM_OR_ACK != 0;
        match kind {
            // What it weighs, windows and limits of bodies bound.
            DATA if length > 0 || is_flagged => {}
            HEADERS => self.n_requests += 1,
            // The library bounds how many there are of a head.
            CONTINUATION => {}
            RST_STREAM => self.n_resets += 1,
            SETTINGS | PING if !is_flagged => self.cost += COST_OF_ANSWER,
            _ => self.cost += 1,
        }
    }

    fn verdict(&self) -> Verdict {
        let paid = self.n_written / BYTES_WRITTEN + self.n_requests * PAID_BY_REQUEST;
        let cost = self.cost.saturating_sub(paid);
        let resets = self.n_resets.saturating_sub(self.n_requests / 2);
        if cost > 2 * COST || resets > 2 * RESETS {
            Verdict::Cut
        } else if cost > COST || resets > RESETS {
            Verdict::Leave
        } else {
            Verdict::Fine
        }
    }
}

thread_local! {
    static WARNED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Says in the log who was sent away, now and then.
pub(crate) fn warn_of_flood(from: &Peer) {
    let now = Instant::now();
    if WARNED_AT.get().is_none_or(|at| LOG_INTERVAL <= now - at) {
        WARNED_AT.set(Some(now));
        warn!(listener = %from.listener, peer = %from.address, "flood of HTTP/2 frames: cut");
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use crate::listener::flood::{COST, Meter, RESETS, Verdict};

    const WINDOW_UPDATE: u8 = 8;

    /// A frame without a payload worth looking at.
    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        let mut bytes = size[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, 1]);
        bytes.resize(9 + length, 0xff);
        bytes
    }

    fn begun() -> Meter {
        let mut meter = Meter::new();
        meter.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        meter
    }

    #[track_caller]
    fn check(n: u64, frames: &[Vec<u8>], written: usize, expected: Verdict) {
        let mut meter = begun();
        for _ in 0..n {
            meter.read(&frames.concat());
            meter.wrote(written);
        }
        assert_eq!(meter.verdict(), expected);
    }

    #[test]
    fn who_takes_back_all_that_he_asks_for_has_to_leave() {
        let reset = [frame(1, 5, 30), frame(3, 0, 4)];
        check(2 * RESETS, &reset, 0, Verdict::Fine);
        check(2 * RESETS + 2, &reset, 0, Verdict::Leave);
        check(4 * RESETS + 2, &reset, 0, Verdict::Cut);
    }

    #[test]
    fn who_takes_back_every_other_request_may_do_so_for_ever() {
        let asked = frame(1, 5, 30);
        let frames = [asked.clone(), asked, frame(3, 0, 4)];
        check(100 * RESETS, &frames, 0, Verdict::Fine);
    }

    #[test]
    fn frames_that_want_an_answer_are_not_paid_for_by_it() {
        check(COST / 4, &[frame(6, 0, 8)], 17, Verdict::Fine);
        check(COST, &[frame(6, 0, 8)], 17, Verdict::Leave);
        check(2 * COST, &[frame(6, 0, 8)], 17, Verdict::Cut);
        check(COST / 2, &[frame(4, 0, 6)], 9, Verdict::Leave);
    }

    #[test]
    fn frames_that_say_nothing_are_a_flood() {
        for (kind, length) in [(0, 0), (2, 5), (WINDOW_UPDATE, 4), (0x42, 0), (6, 8)] {
            let flags = u8::from(kind == 6);
            check(COST, &[frame(kind, flags, length)], 0, Verdict::Fine);
            check(COST + 1, &[frame(kind, flags, length)], 0, Verdict::Leave);
        }
    }

    #[test]
    fn who_is_sent_much_or_sends_much_may_go_on_for_ever() {
        let update = frame(WINDOW_UPDATE, 0, 4);
        // The smallest message of gRPC, and room for it made anew on stream and connection.
        check(100 * COST, &[update.clone(), update], 16, Verdict::Fine);
        check(COST, &[frame(0, 0, 1)], 0, Verdict::Fine);
    }

    #[test]
    fn what_was_is_forgiven() {
        let mut meter = begun();
        for _ in 0..=COST {
            meter.read(&frame(0, 0, 0));
        }
        assert_eq!(meter.verdict(), Verdict::Leave);
        meter.forgive();
        assert_eq!(meter.verdict(), Verdict::Fine);
    }

    proptest! {
        #[test]
        fn frames_are_counted_alike_however_they_are_cut(
            frames in vec((any::<u8>(), any::<u8>(), 0_usize..40), 0..20),
            cuts in vec(1_usize..50, 1..40),
        ) {
            let frames = frames.into_iter().map(|(kind, flags, length)| frame(kind % 11, flags, length));
            let bytes = frames.collect::<Vec<_>>().concat();
            let mut whole = begun();
            whole.read(&bytes);
            let mut cut = begun();
            let mut left = &bytes[..];
            for n in cuts.iter().cycle() {
                if left.is_empty() {
                    break;
                }
                let (piece, rest) = left.split_at((*n).min(left.len()));
                cut.read(piece);
                left = rest;
            }
            let counts = |meter: &Meter| {
                let counts = &meter.counts;
                (counts.n_requests, counts.n_resets, counts.cost, meter.n_head, meter.n_skip)
            };
            prop_assert_eq!(counts(&whole), counts(&cut));
            prop_assert_eq!((whole.n_head, whole.n_skip), (0, 0));
        }
    }
}
