//! Families of TLS: what handshakes agreed on.

use crate::telemetry::exposition::Exposition;
use crate::telemetry::metrics as names;
use crate::telemetry::render::edges::Row;
use crate::telemetry::stats::{Handshake, ListenerTotals};

/// Handshakes with clients.
pub(crate) fn handshakes(text: &mut Exposition, rows: &[Row<ListenerTotals>]) {
    text.family(&names::TLS_HANDSHAKES, |samples| {
        for Row { labels, totals } in rows {
            let Some(counts) = &totals.handshakes else {
                continue;
            };
            for kind in Handshake::all() {
                let labels = labels.and([
                    ("version", kind.version.label()),
                    ("session", kind.session.label()),
                    ("key_exchange", kind.key_exchange.label()),
                ]);
                samples.value(&labels, counts[kind.index()]);
            }
        }
    });
}
