//! From what is configured of a route's treatment to what the data plane obeys.

use crate::config::{HeaderEdits, HeaderText, TreatmentConfig};
use crate::proxy::{FieldEdits, Treatment};

/// What a route does to requests and responses; `None` when that is nothing.
pub(crate) fn of(config: &TreatmentConfig) -> Option<Box<Treatment>> {
    (*config != TreatmentConfig::default()).then(|| {
        Box::new(Treatment {
            request: edits(&config.request_headers),
            response: edits(&config.response_headers),
            timeouts: config.timeouts.clone(),
            path: config.path.clone(),
            host: config.host.as_ref().map(|host| host.as_bytes().into()),
            body_bytes: config.body_bytes,
        })
    })
}

fn edits(config: &HeaderEdits) -> FieldEdits {
    let remove: Vec<&str> = config.remove.iter().map(String::as_str).collect();
    FieldEdits::new(&remove, &fields(&config.set), &fields(&config.add))
}

fn fields(fields: &[(String, HeaderText)]) -> Vec<(&str, &str)> {
    let fields = fields.iter();
    fields
        .map(|(name, text)| (name.as_str(), text.expose()))
        .collect()
}
