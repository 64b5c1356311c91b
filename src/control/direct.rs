//! From what is configured of a route's own answer to what the data plane gives.

use std::sync::Arc;

use crate::config::{DirectConfig, RespondConfig};
use crate::proxy::{Direct, FieldEdits, Page};
use crate::telemetry::stats::VariantStats;

/// Makes an answer ready, with what changes in the fields of the route's responses.
pub(crate) fn of(
    config: &DirectConfig,
    edits: &FieldEdits,
    request_id: Option<&str>,
    stats: Arc<VariantStats>,
) -> Box<Direct> {
    let request_id = request_id.map(str::as_bytes);
    Box::new(match config {
        DirectConfig::Redirect(redirect) => {
            Direct::redirect(redirect.clone(), edits, request_id, stats)
        }
        DirectConfig::Respond(config) => Direct::page(&page(config), edits, request_id, stats),
    })
}

/// The status that everybody gets.
pub(crate) fn status(config: &DirectConfig) -> u16 {
    match config {
        DirectConfig::Redirect(redirect) => redirect.status,
        DirectConfig::Respond(page) => page.status,
    }
}

fn page(config: &RespondConfig) -> Page {
    let headers = config.headers.iter();
    let headers = headers.map(|(name, text)| (name.clone(), text.expose().to_owned()));
    let content_type = config.content_type.iter();
    Page {
        status: config.status,
        fields: content_type
            .map(|text| ("content-type".to_owned(), text.clone()))
            .chain(headers)
            .collect(),
        body: config.body.bytes(),
    }
}
