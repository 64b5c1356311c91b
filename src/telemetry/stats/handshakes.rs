//! TLS handshakes, by what was agreed on.

use crate::telemetry::stats::{Counter, KeyExchange, TlsSession, TlsVersion};

/// What a handshake agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Handshake {
    /// The version.
    pub version: TlsVersion,
    /// Whether the session is a new one.
    pub session: TlsSession,
    /// How its keys came about.
    pub key_exchange: KeyExchange,
}

impl Handshake {
    /// How many kinds there are.
    pub const N: usize = TlsVersion::N * TlsSession::N * KeyExchange::N;

    /// All kinds that can occur, in a fixed order.
    pub fn all() -> impl Iterator<Item = Self> {
        let kinds = TlsVersion::ALL.iter().flat_map(|&version| {
            TlsSession::ALL.iter().flat_map(move |&session| {
                KeyExchange::ALL.iter().map(move |&key_exchange| Self {
                    version,
                    session,
                    key_exchange,
                })
            })
        });
        // The groups that outlive quantum computers are of TLS 1.3 alone.
        kinds.filter(|kind| {
            kind.version == TlsVersion::Tls13 || kind.key_exchange == KeyExchange::Classical
        })
    }

    /// Its place among all kinds.
    pub fn index(self) -> usize {
        let first = self.version as usize * TlsSession::N + self.session as usize;
        first * KeyExchange::N + self.key_exchange as usize
    }
}

/// Counters of handshakes, for one worker.
#[derive(Debug, Default)]
pub(crate) struct Handshakes([Counter; Handshake::N]);

impl Handshakes {
    /// Counts one.
    pub(crate) fn add(&self, handshake: Handshake) {
        self.0[handshake.index()].add(1);
    }

    /// Adds the counters to these sums.
    pub(crate) fn add_to(&self, totals: &mut [u64; Handshake::N]) {
        for (total, counter) in totals.iter_mut().zip(&self.0) {
            *total += counter.total();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::telemetry::stats::Handshake;

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        let places: BTreeSet<usize> = Handshake::all().map(Handshake::index).collect();
        assert_eq!(places.len(), Handshake::all().count());
        assert!(places.iter().all(|&place| place < Handshake::N));
    }
}
