//! How far away an HTTP/2 client is, and how much it may send ahead for that.
//!
//! A stream moves no more than its window in a round trip: 256 KiB are 12 MB/s over 20 ms and 3 MB/s
//! over 80 ms, where HTTP/1 gets the kernel's windows of several megabytes. Larger windows for all
//! are no answer: what a client that is near sends ahead waits in memory, out of the processor's
//! caches, and a body of 1 MiB cost 1.13 of the processor time with 1 MiB and 1.43 with 4 MiB.
//!
//! So a client that begins to send much is asked for its round trip, once, with a ping.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

/// Bytes that a client may send ahead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::listener) struct Windows {
    /// On one stream.
    pub(in crate::listener) stream: u32,
    /// On all streams together. It bounds what a connection holds for upstreams that are slow.
    pub(in crate::listener) connection: u32,
}

impl Windows {
    /// Those of a client whose distance is not known: enough for a long fat line nearby, little
    /// enough that many streams stay bounded.
    pub(in crate::listener) const NEAR: Self = Self {
        stream: 256 * 1024,
        connection: 1024 * 1024,
    };

    /// Those of the farthest: what the kernel gives a connection, too.
    const FAR: Self = Self {
        stream: 2 * 1024 * 1024,
        connection: 4 * 1024 * 1024,
    };

    /// Those of a client so far away: a stream moves 25 MB/s up to 80 ms.
    fn over(round_trip: Duration) -> Self {
        let wanted = round_trip.as_micros().saturating_mul(BYTES_PER_MICROSECOND);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let stream = wanted.clamp(Self::NEAR.stream, Self::FAR.stream);
        Self {
            stream,
            connection: (4 * stream).min(Self::FAR.connection),
        }
    }
}

const BYTES_PER_MICROSECOND: u128 = 25;

/// Bytes after which a client sends much.
const MUCH: u64 = 64 * 1024;

/// What is known of a client's distance.
#[derive(Debug, Default)]
pub(in crate::listener) enum Distance {
    #[default]
    Unknown,
    /// The client was asked.
    Asked(Instant),
    Known,
}

impl Distance {
    /// Asks a client that has sent `n_read` bytes, when it is time to; `is_asked` is true while it
    /// has not answered a ping. Tells once, where it is far, what windows it gets.
    pub(in crate::listener) fn poll(
        &mut self,
        context: &mut Context<'_>,
        pings: &mut PingPong,
        is_asked: &mut bool,
        n_read: u64,
    ) -> Option<Windows> {
        if matches!(self, Self::Unknown) && n_read >= MUCH && !*is_asked {
            // It fails only where the connection has ended, which is seen elsewhere.
            *is_asked = pings.send_ping(Ping::opaque()).is_ok();
            if *is_asked {
                *self = Self::Asked(Instant::now());
            }
        }
        let Self::Asked(since) = *self else {
            return None;
        };
        let Poll::Ready(answer) = pings.poll_pong(context) else {
            return None;
        };
        *self = Self::Known;
        *is_asked = false;
        let windows = Windows::over(since.elapsed());
        (answer.is_ok() && windows != Windows::NEAR).then_some(windows)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::listener::distance::Windows;

    #[test]
    fn windows_grow_with_the_distance_between_bounds() {
        let over = |millis| Windows::over(Duration::from_millis(millis));
        assert_eq!(over(0), Windows::NEAR);
        assert_eq!(over(10), Windows::NEAR);
        let (stream, connection) = (500_000, 2_000_000);
        assert_eq!(over(20), Windows { stream, connection });
        let (stream, connection) = (1_250_000, 4 * 1024 * 1024);
        assert_eq!(over(50), Windows { stream, connection });
        assert_eq!(over(84), Windows::FAR);
        assert_eq!(Windows::over(Duration::MAX), Windows::FAR);
    }
}
