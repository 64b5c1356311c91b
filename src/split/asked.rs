//! What a split is asked about: a request, and what more is known of it.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::message::RequestHead;
use crate::route;
use crate::segment::{Attribute, Value};

/// A request that a split is asked about.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its head.
    pub request: &'a RequestHead,
    /// The client's address.
    pub client: IpAddr,
    /// Who knows what its head does not say.
    pub elsewhere: &'a dyn Elsewhere,
}

/// Knows what a request does not say of itself: which variants of flags it has, and the keys of an
/// evaluation context.
pub trait Elsewhere {
    /// The value of such an attribute; `key` is what is hashed for the request, if something is.
    fn value<'v>(
        &'v self,
        asked: &Asked<'v>,
        attribute: &Attribute,
        key: Option<&[u8]>,
    ) -> Option<Value<'v>>;
}

/// Knows nothing.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl Elsewhere for Nowhere {
    fn value<'v>(&'v self, _: &Asked<'v>, _: &Attribute, _: Option<&[u8]>) -> Option<Value<'v>> {
        None
    }
}

impl<'a> Asked<'a> {
    /// A request of which nothing is known but what it says.
    pub fn plain(request: &'a RequestHead, client: IpAddr) -> Self {
        Self {
            request,
            client,
            elsewhere: &Nowhere,
        }
    }

    /// The value of an attribute; `key` is what is hashed for the request, if something is.
    pub fn value(&self, attribute: &Attribute, key: Option<&[u8]>) -> Option<Value<'a>> {
        let text = match attribute {
            Attribute::Header(name) => Cow::Borrowed(self.request.field(name.as_bytes())?),
            Attribute::Cookie(name) => Cow::Borrowed(self.request.cookie(name.as_bytes())?),
            Attribute::Query(name) => Cow::Borrowed(self.request.query_value(name.as_bytes())?),
            Attribute::ClientIp => return Some(Value::Address(self.client)),
            Attribute::Method => Cow::Borrowed(self.request.method()),
            Attribute::Host => host(self.request.host())?,
            Attribute::Path => route::plain(self.request.path()),
            Attribute::Context(_) | Attribute::Flag(_) => {
                return self.elsewhere.value(self, attribute, key);
            }
        };
        Some(Value::Text(text))
    }
}

/// A host as it is compared: in lower case and without the dot at its end. A request of HTTP/1.0
/// may have none.
fn host(sent: &[u8]) -> Option<Cow<'_, [u8]>> {
    let host = sent.strip_suffix(b".").unwrap_or(sent);
    if host.is_empty() {
        return None;
    }
    Some(if host.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}
