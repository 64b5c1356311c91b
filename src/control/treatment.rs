//! From what is configured of a route's treatment to what the data plane obeys.

use crate::config::{AssignmentHeaders, HeaderEdits, HeaderText, TreatmentConfig};
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

/// What changes in the fields of requests that a variant serves, and of responses to those for which
/// it was chosen, where they tell so.
pub(crate) fn telling(
    config: &TreatmentConfig,
    route: &str,
    variant: &str,
) -> [Option<Box<FieldEdits>>; 2] {
    let [request, response] = match config.assignment_headers {
        AssignmentHeaders::Off => [false, false],
        AssignmentHeaders::Request => [true, false],
        AssignmentHeaders::Response => [false, true],
        AssignmentHeaders::Both => [true, true],
    };
    let fields = [("X-Tidegate-Route", route), ("X-Tidegate-Variant", variant)];
    let told = |config: &HeaderEdits| Box::new(edits(config).and_set(&fields));
    [
        request.then(|| told(&config.request_headers)),
        response.then(|| told(&config.response_headers)),
    ]
}

/// What changes in the fields of a copy for a variant of a route, or for an upstream beside it.
pub(crate) fn mirrored(config: &TreatmentConfig, route: &str, variant: Option<&str>) -> FieldEdits {
    let edits = &config.request_headers;
    let mut remove: Vec<&str> = edits.remove.iter().map(String::as_str).collect();
    // All of a copy is there: it is sent without a word.
    remove.push("expect");
    let edits = FieldEdits::new(&remove, &fields(&edits.set), &fields(&edits.add));
    let mut told = vec![("X-Tidegate-Mirror", "1")];
    let tells = match config.assignment_headers {
        AssignmentHeaders::Request | AssignmentHeaders::Both => true,
        AssignmentHeaders::Off | AssignmentHeaders::Response => false,
    };
    if let Some(variant) = variant.filter(|_| tells) {
        told.extend([("X-Tidegate-Route", route), ("X-Tidegate-Variant", variant)]);
    }
    edits.and_set(&told)
}

/// What changes in the fields of a head.
pub(crate) fn edits(config: &HeaderEdits) -> FieldEdits {
    let remove: Vec<&str> = config.remove.iter().map(String::as_str).collect();
    FieldEdits::new(&remove, &fields(&config.set), &fields(&config.add))
}

fn fields(fields: &[(String, HeaderText)]) -> Vec<(&str, &str)> {
    let fields = fields.iter();
    fields
        .map(|(name, text)| (name.as_str(), text.expose()))
        .collect()
}
