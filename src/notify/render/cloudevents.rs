//! CloudEvents 1.0 over HTTP in binary mode: the attributes are fields, the event is the body.
//!
//! CloudEvents 1.0.2 and its HTTP protocol binding, section 3.1.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::notify::event::{Entry, Event};
use crate::notify::render::{Outgoing, document};
use crate::notify::sink::Sink;
use crate::store::instant;

/// What a CloudEvent says about itself.
pub(in crate::notify::render) struct Attributes<'a> {
    pub(in crate::notify::render) id: &'a str,
    pub(in crate::notify::render) source: &'a str,
    pub(in crate::notify::render) kind: &'a str,
    pub(in crate::notify::render) subject: &'a str,
    pub(in crate::notify::render) time: &'a str,
}

pub(in crate::notify::render) fn request(sink: &Sink, entry: &Entry) -> Outgoing {
    let event = &entry.event;
    let attributes = Attributes {
        id: &entry.id,
        source: &source(event),
        kind: &format!("dev.tidegate.{}.v1", event.kind),
        subject: event.subject(),
        time: &instant::text_in_milliseconds(event.at),
    };
    carry(&attributes, "application/json", &document(sink, entry))
}

/// Puts an event into a request.
pub(in crate::notify::render) fn carry(
    attributes: &Attributes<'_>,
    content_type: &'static str,
    data: &Value,
) -> Outgoing {
    let mut request = Outgoing::typed(content_type, data);
    let fields = [
        ("ce-specversion", "1.0"),
        ("ce-id", attributes.id),
        ("ce-source", attributes.source),
        ("ce-type", attributes.kind),
        ("ce-subject", attributes.subject),
        ("ce-time", attributes.time),
    ];
    for (name, value) in fields {
        let value = HeaderValue::try_from(encode(value)).expect("what is encoded is ASCII");
        let name = HeaderName::from_static(name);
        request.fields.insert(name, value);
    }
    request
}

/// Where events come from, a relative reference (RFC 3986, section 4.2): `/tidegate/prod-eu`.
pub(in crate::notify::render) fn source(event: &Event) -> String {
    let mut source = String::from("/tidegate/");
    for byte in event.cluster.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            source.push(char::from(byte));
        } else {
            source.push_str(&format!("%{byte:02X}"));
        }
    }
    source
}

/// Encodes a value for a field, as section 3.1.3.2 of the binding asks: space, quote, percent and
/// all that is not printable ASCII.
fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use crate::notify::event::{Event, Severity};
    use crate::notify::render::cloudevents::{encode, source};

    #[test]
    fn a_field_holds_printable_ascii_alone() {
        // The example of the binding's section 3.1.3.2.
        assert_eq!(encode("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(encode("a\"%\r\n/:"), "a%22%25%0D%0A/:");
    }

    #[test]
    fn the_source_is_the_cluster() {
        let event = Event::new(UNIX_EPOCH, "audit.anchor", Severity::Info, "prod eu/1");
        assert_eq!(source(&event), "/tidegate/prod%20eu%2F1");
    }
}
