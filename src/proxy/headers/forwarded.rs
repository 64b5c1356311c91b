//! Where a request comes from, in the fields that tell it.

use std::io::Write as _;
use std::net::IpAddr;

use crate::listener::ForwardedSource;
use crate::message::{Known, RequestHead};
use crate::proxy::headers::RequestEdit;
use crate::proxy::headers::sink::{Sink, write_number};

/// Writes where the request comes from.
pub(in crate::proxy::headers) fn write_forwarded<S: Sink>(
    out: &mut S,
    head: &RequestHead,
    edit: &RequestEdit<'_>,
) {
    let peer = edit.from.address.ip().to_canonical();
    let scheme = edit.from.scheme.name();
    let trusted = |known| edit.trusted && head.known(known).next().is_some();
    let chain = |known| head.known(known).filter(|_| edit.trusted);
    out.composed(b"X-Forwarded-For", |out| {
        for value in chain(Known::XForwardedFor) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
        write_address(out, peer);
    });
    if !trusted(Known::XForwardedProto) {
        out.field(b"X-Forwarded-Proto", scheme.as_bytes());
    }
    if !trusted(Known::XForwardedHost) {
        out.field(b"X-Forwarded-Host", head.authority());
    }
    // A UNIX socket has none.
    if !trusted(Known::XForwardedPort) && edit.from.local.port() != 0 {
        out.composed(b"X-Forwarded-Port", |out| {
            write_number(out, edit.from.local.port());
        });
    }
    if let Some(prefix) = edit.rewrite.prefix {
        out.composed(b"X-Forwarded-Prefix", |out| {
            for value in chain(Known::XForwardedPrefix) {
                out.extend_from_slice(value);
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(prefix);
        });
    }
    if edit.source == ForwardedSource::Forwarded {
        out.composed(b"Forwarded", |out| {
            for value in chain(Known::Forwarded) {
                out.extend_from_slice(value);
                out.extend_from_slice(b", ");
            }
            // RFC 7239, section 6: an IPv6 address stands in brackets and quotes.
            let node = match peer {
                IpAddr::V4(address) => format!("for={address};proto={scheme}"),
                IpAddr::V6(address) => format!("for=\"[{address}]\";proto={scheme}"),
            };
            out.extend_from_slice(node.as_bytes());
            if !head.authority().is_empty() {
                out.extend_from_slice(b";host=\"");
                out.extend_from_slice(head.authority());
                out.push(b'"');
            }
        });
    }
}

/// Writes an address; one of IPv4, which most are, without the machinery of formatting.
fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (n, octet) in address.octets().into_iter().enumerate() {
                if n > 0 {
                    out.push(b'.');
                }
                write_number(out, octet);
            }
        }
        IpAddr::V6(address) => write!(out, "{address}").expect("a Vec takes any bytes"),
    }
}
