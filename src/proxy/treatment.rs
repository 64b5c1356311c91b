//! What a route does to requests and responses on their way, besides passing them on.

use crate::proxy::headers::FieldEdits;

/// What a route does to requests and responses on their way.
#[derive(Debug, Default, PartialEq)]
pub struct Treatment {
    /// What changes in the fields of a request.
    pub request: FieldEdits,
    /// What changes in the fields of a response, whoever made it.
    pub response: FieldEdits,
}
