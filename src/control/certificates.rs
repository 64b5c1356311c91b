//! The certificates that are live: what is told of them, and when to warn of their end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::warn;

use crate::proxy::Snapshot;
use crate::telemetry::CertificateLive;
use crate::tls::Summary;

/// How often their end is looked at: it comes on a day, and is said once on each day before.
pub(in crate::control) const LOOK: Duration = Duration::from_secs(86_400);

/// The certificates that listeners show to clients, with the listener's name.
pub(in crate::control) fn of_listeners(
    snapshot: &Snapshot,
) -> impl Iterator<Item = (&Arc<str>, &Summary)> {
    let secured = snapshot.listeners.iter().filter_map(|(name, settings)| {
        let acceptor = settings.tls.as_ref()?;
        Some((name, acceptor.certificates()))
    });
    secured.flat_map(|(name, all)| all.iter().map(move |certificate| (name, certificate)))
}

/// The certificates that upstreams are shown, with the upstream's name.
pub(in crate::control) fn of_upstreams(
    snapshot: &Snapshot,
) -> impl Iterator<Item = (&Arc<str>, &Summary)> {
    snapshot.upstreams.iter().filter_map(|upstream| {
        let connector = upstream.settings().tls.as_ref()?;
        Some((upstream.name(), connector.certificate()?))
    })
}

/// What metrics show of certificates: those of one owner and one name together, by the first end.
pub(in crate::control) fn shown<'s>(
    certificates: impl Iterator<Item = (&'s Arc<str>, &'s Summary)>,
) -> Vec<CertificateLive> {
    let mut shown: Vec<CertificateLive> = Vec::new();
    for (owner, certificate) in certificates {
        let Some(not_after) = certificate.not_after else {
            continue;
        };
        let same = |one: &&mut CertificateLive| one.owner == *owner && one.name == certificate.name;
        match shown.iter_mut().find(same) {
            Some(one) => one.not_after = one.not_after.min(not_after),
            None => shown.push(CertificateLive {
                owner: Arc::clone(owner),
                name: certificate.name.clone(),
                not_after,
            }),
        }
    }
    shown
}

/// Warns of each certificate that has expired or will soon.
pub(in crate::control) fn warn_of_due(snapshot: &Snapshot, now: SystemTime) {
    let listeners = of_listeners(snapshot).map(|(name, one)| (format!("listener.{name}.tls"), one));
    let upstreams = of_upstreams(snapshot).map(|(name, one)| (format!("upstream.{name}.tls"), one));
    for (key, certificate) in listeners.chain(upstreams) {
        let days_left = certificate.days_left(now);
        if !certificate.is_due(now) {
            continue;
        }
        let (name, file) = (&certificate.name, certificate.file.display());
        if days_left.is_some_and(|days| days < 0) {
            warn!(key, name, %file, days_left, "certificate has expired");
        } else {
            warn!(key, name, %file, days_left, "certificate expires soon");
        }
    }
}
