//! Edits of fields: what a route takes out of a head and puts into it.
//!
//! First fields go, then others come. An edit cannot touch what says where a message ends, what
//! belongs to one connection, and what tidegate itself tells upstreams: those fields have an owner
//! already, and a second one would make them lie.

use std::sync::Arc;

use crate::message::Known;
use crate::proxy::headers::sink::Sink;

/// What is changed in the fields of a head; by default nothing is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldEdits {
    /// The names of fields that go, in lower case.
    dropped: Arc<[Box<[u8]>]>,
    /// The fields that come, in their order.
    added: Vec<OwnField>,
    /// The same as lines of HTTP/1.
    lines: Vec<u8>,
}

/// A field that no peer sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OwnField {
    /// The name, in lower case.
    pub(crate) name: Box<[u8]>,
    /// The value.
    pub(crate) value: Box<[u8]>,
}

impl FieldEdits {
    /// Makes edits: fields of the names in `remove` go, the field of a name in `set` takes the
    /// place of those that came, and the fields in `add` come besides those.
    pub fn new(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> Self {
        let lower = |name: &str| Box::from(name.to_ascii_lowercase().as_bytes());
        let names = remove.iter().chain(set.iter().map(|(name, _)| name));
        let fields = set.iter().chain(add);
        let added = fields.map(|(name, value)| OwnField {
            name: lower(name),
            value: value.as_bytes().into(),
        });
        Self::of(names.map(|name| lower(name)).collect(), added.collect())
    }

    /// These edits, and then also fields that take the place of those of their names.
    pub fn and_set(&self, fields: &[(&str, &str)]) -> Self {
        let more = Self::new(&[], fields, &[]);
        Self::of(
            self.dropped.iter().chain(&*more.dropped).cloned().collect(),
            [&self.added[..], &more.added].concat(),
        )
    }

    fn of(dropped: Arc<[Box<[u8]>]>, added: Vec<OwnField>) -> Self {
        let mut lines = Vec::new();
        for field in &added {
            lines.field(&field.name, &field.value);
        }
        Self {
            dropped,
            added,
            lines,
        }
    }

    /// True when nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.added.is_empty()
    }

    /// The names of fields that go, for those who see more of a message than its head; `None` when
    /// none does.
    pub(crate) fn dropped(&self) -> Option<&Arc<[Box<[u8]>]>> {
        (!self.dropped.is_empty()).then_some(&self.dropped)
    }

    /// True when fields of this name go.
    pub(crate) fn drop(&self, name: &[u8]) -> bool {
        self.dropped
            .iter()
            .any(|dropped| name.eq_ignore_ascii_case(dropped))
    }

    /// The fields that come.
    pub(crate) fn added(&self) -> &[OwnField] {
        &self.added
    }

    /// The fields that come, as lines of HTTP/1.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }
}

/// Why a field of a request cannot be edited, if it cannot. `name` is in lower case.
pub fn owner_in_requests(name: &str) -> Option<&'static str> {
    if let Some(owner) = owner(name) {
        return Some(owner);
    }
    match Known::of(name.as_bytes()) {
        Known::Host => Some("rewrite = { host = \"…\" } sets the host"),
        Known::Expect => Some("tidegate answers for it: when the body is sent hangs on it"),
        Known::Forwarded
        | Known::XForwardedFor
        | Known::XForwardedHost
        | Known::XForwardedPort
        | Known::XForwardedPrefix
        | Known::XForwardedProto
        | Known::XRealIp => {
            Some("tidegate tells it; the listener's trusted_proxies say whom to believe")
        }
        Known::ClientCert => Some("tidegate tells it of the certificate that a client has shown"),
        Known::Via => Some("tidegate tells it, and finds loops by it"),
        _ => None,
    }
}

/// Why a field of a response cannot be edited, if it cannot. `name` is in lower case.
pub fn owner_in_responses(name: &str) -> Option<&'static str> {
    match Known::of(name.as_bytes()) {
        Known::Date => Some("whoever makes an answer dates it"),
        _ => owner(name),
    }
}

/// Whose a field is in any message.
fn owner(name: &str) -> Option<&'static str> {
    match Known::of(name.as_bytes()) {
        Known::ContentLength | Known::TransferEncoding | Known::Trailer => {
            Some("it says where the message ends, which tidegate does")
        }
        Known::Connection
        | Known::KeepAlive
        | Known::ProxyAuthenticate
        | Known::ProxyAuthorization
        | Known::ProxyConnection
        | Known::Te
        | Known::Upgrade => Some("it belongs to one connection and goes no further"),
        Known::Assignment => Some("tidegate tells it: see assignment_headers and mirror"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::proxy::headers::edits::{FieldEdits, owner_in_requests, owner_in_responses};

    #[test]
    fn what_is_removed_or_set_goes_and_what_is_set_or_added_comes() {
        let edits = FieldEdits::new(&["X-A"], &[("X-B", "1")], &[("X-C", "2")]);
        for (name, goes) in [
            ("x-a", true),
            ("X-B", true),
            ("x-c", false),
            ("x-ab", false),
        ] {
            assert_eq!(edits.drop(name.as_bytes()), goes, "{name}");
        }
        let added = edits.added().iter();
        let added: Vec<_> = added.map(|field| (&*field.name, &*field.value)).collect();
        assert_eq!(added, [(&b"x-b"[..], &b"1"[..]), (b"x-c", b"2")]);
        assert!(!edits.is_empty());
        assert!(FieldEdits::new(&[], &[], &[]).is_empty());
        let more = edits.and_set(&[("x-d", "3")]);
        assert!(more.drop(b"x-a") && more.drop(b"x-d"));
        assert_eq!(more.added().len(), 3);
    }

    #[test]
    fn what_tidegate_owns_is_not_edited() {
        for name in [
            "content-length",
            "connection",
            "te",
            "upgrade",
            "trailer",
            "x-tidegate-route",
        ] {
            assert!(owner_in_requests(name).is_some(), "{name}");
            assert!(owner_in_responses(name).is_some(), "{name}");
        }
        for name in ["host", "via", "x-forwarded-for", "client-cert", "expect"] {
            assert!(owner_in_requests(name).is_some(), "{name}");
        }
        assert!(owner_in_responses("date").is_some());
        for name in [
            "x-env",
            "cookie",
            "authorization",
            "accept-encoding",
            "date",
        ] {
            assert_eq!(owner_in_requests(name), None, "{name}");
        }
        for name in ["server", "set-cookie", "strict-transport-security", "via"] {
            assert_eq!(owner_in_responses(name), None, "{name}");
        }
    }
}
