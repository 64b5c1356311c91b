//! What a route does to a described request on its way.

use crate::admin::wire::{Explained, ExplainedTarget};
use crate::config::TreatmentConfig;
use crate::message::RequestHead;

/// Tells what of the request an upstream does not see as it was sent.
pub(in crate::admin::explain) fn tell(
    treatment: &TreatmentConfig,
    head: &RequestHead,
    explained: &mut Explained,
) {
    if treatment.path.is_none() && treatment.host.is_none() {
        return;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut target = Vec::new();
    match &treatment.path {
        Some(rewrite) => {
            if let Err(error) = rewrite.apply(head.path(), &mut target) {
                explained.notes.push(format!("{error}: it is answered 400"));
                return;
            }
        }
        None => target.extend_from_slice(head.path()),
    }
    if let Some(query) = head.query() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    let host = treatment.host.clone();
    explained.rewritten = Some(ExplainedTarget {
        host: host.unwrap_or_else(|| text(head.authority())),
        target: text(&target),
    });
}
