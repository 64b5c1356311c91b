//! Families of TLS: what handshakes agreed on, and how long certificates hold.

use crate::telemetry::exposition::{Exposition, Labels};
use crate::telemetry::metrics as names;
use crate::telemetry::registry::{CertificateLive, Live};
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

/// The certificates that are live.
pub(crate) fn certificates(text: &mut Exposition, live: &Live) {
    let of = |owner, one: &CertificateLive| {
        let labels = Labels::new([(owner, &*one.owner), ("name", one.name.as_str())]);
        (labels, one.not_after)
    };
    text.family(&names::TLS_CERTIFICATE_NOT_AFTER, |samples| {
        for one in &live.listener_certificates {
            let (labels, not_after) = of("listener", one);
            samples.value(&labels, not_after);
        }
    });
    text.family(&names::TLS_UPSTREAM_CERTIFICATE_NOT_AFTER, |samples| {
        for one in &live.upstream_certificates {
            let (labels, not_after) = of("upstream", one);
            samples.value(&labels, not_after);
        }
    });
}
