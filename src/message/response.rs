//! The head of a response, whichever protocol it came by.

use crate::message::{Field, Fields, Framing, Span, Version};

/// The head of a response. `http1::codec` fills it, and has checked all of it.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// All bytes that the spans point into.
    pub text: Vec<u8>,
    /// The status, 100 to 999.
    pub status: u16,
    /// The reason phrase; HTTP/2 has none.
    pub reason: Span,
    /// The protocol version.
    pub version: Version,
    /// How the body ends; for HEAD, 204 and 304 that is [`Framing::None`], whatever the fields say.
    pub framing: Framing,
    /// True when the connection may be used again after the body.
    pub keep_alive: bool,
    /// The fields; their bytes lie in `text`.
    pub fields: Fields,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            status: 0,
            reason: Span::default(),
            version: Version::Http11,
            framing: Framing::None,
            keep_alive: true,
            fields: Fields::default(),
        }
    }
}

impl ResponseHead {
    /// Empties it and keeps its memory for the next one.
    pub fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        let mut fields = std::mem::take(&mut self.fields);
        text.clear();
        fields.clear();
        *self = Self {
            text,
            fields,
            ..Self::default()
        };
    }

    /// Appends bytes to `text` and tells where they lie.
    pub fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        Span::new(start, self.text.len())
    }

    /// Adds a field that did not come in the text itself, as an HTTP/2 head's fields do not.
    pub fn append_field(&mut self, name: &[u8], value: &[u8]) {
        let name = self.append(name);
        let value = self.append(value);
        self.fields.push(&self.text, name, value);
    }

    /// Removes all fields of this name.
    pub fn remove_fields(&mut self, name: &[u8]) {
        self.fields.remove(&self.text, name);
    }

    /// The reason phrase's bytes.
    pub fn reason(&self) -> &[u8] {
        self.reason.of(&self.text)
    }

    /// All fields, in their order.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.fields.iter(&self.text)
    }

    /// True for 1xx except 101: another head follows on the same exchange.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}
