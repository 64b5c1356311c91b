//! The PROXY protocol towards endpoints: on whose behalf a connection is, told before anything else.
//!
//! Versions 1 and 2, by HAProxy's "The PROXY protocol" (2020). Endpoints take what it says for the
//! whole connection, so a connection that began with one carries requests of that one client's
//! connection alone.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A version of the header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyHeader {
    /// A line of text.
    V1,
    /// Bytes.
    V2,
}

/// A client's connection, on whose behalf another one is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Behalf {
    /// Where it is from.
    pub from: SocketAddr,
    /// Where it went to.
    pub to: SocketAddr,
}

impl ProxyHeader {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// The header of a connection on behalf of a client's; or of one that is our own, as for a check.
    pub fn bytes(self, behalf: Option<&Behalf>) -> Vec<u8> {
        match self {
            Self::V1 => line(behalf),
            Self::V2 => binary(behalf),
        }
    }
}

/// Both addresses, of one family.
enum Addresses {
    V4([[u8; 4]; 2]),
    V6([[u8; 16]; 2]),
}

impl Behalf {
    /// An address of either family has one of IPv6; both have one of IPv4 where both are that.
    fn addresses(&self) -> Addresses {
        let ips = [self.from, self.to].map(|address| address.ip().to_canonical());
        match ips {
            [IpAddr::V4(from), IpAddr::V4(to)] => Addresses::V4([from.octets(), to.octets()]),
            ips => Addresses::V6(ips.map(|ip| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            })),
        }
    }
}

/// Version 1 (section 2.1).
fn line(behalf: Option<&Behalf>) -> Vec<u8> {
    let Some(behalf) = behalf else {
        return b"PROXY UNKNOWN\r\n".to_vec();
    };
    let mut line = Vec::with_capacity(107);
    let (family, [from, to]) = match behalf.addresses() {
        Addresses::V4(both) => ("TCP4", both.map(IpAddr::from)),
        Addresses::V6(both) => ("TCP6", both.map(IpAddr::from)),
    };
    let (source, target) = (behalf.from.port(), behalf.to.port());
    // Writing into memory does not fail.
    let _written = write!(line, "PROXY {family} {from} {to} {source} {target}\r\n");
    line
}

/// Version 2 (section 2.2).
fn binary(behalf: Option<&Behalf>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(behalf) = behalf else {
        // LOCAL, of no family.
        header.extend_from_slice(&[0x20, 0x00, 0, 0]);
        return header;
    };
    match behalf.addresses() {
        Addresses::V4([from, to]) => {
            header.extend_from_slice(&[0x21, 0x11, 0, 12]);
            header.extend_from_slice(&from);
            header.extend_from_slice(&to);
        }
        Addresses::V6([from, to]) => {
            header.extend_from_slice(&[0x21, 0x21, 0, 36]);
            header.extend_from_slice(&from);
            header.extend_from_slice(&to);
        }
    }
    header.extend_from_slice(&behalf.from.port().to_be_bytes());
    header.extend_from_slice(&behalf.to.port().to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use crate::upstream::proxy_protocol::{Behalf, ProxyHeader};

    fn behalf(from: &str, to: &str) -> Behalf {
        Behalf {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        }
    }

    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        let line = ProxyHeader::V1.bytes(Some(&behalf(from, to)));
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn a_line_says_from_where_to_where() {
        check(
            "192.0.2.1:5000",
            "10.0.0.1:443",
            "PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\r\n",
        );
        check(
            "[2001:db8::1]:1",
            "[::1]:65535",
            "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
        );
        check(
            "[::ffff:192.0.2.1]:1",
            "10.0.0.1:2",
            "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
        );
        check(
            "192.0.2.1:1",
            "[2001:db8::1]:2",
            "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n",
        );
        assert_eq!(ProxyHeader::V1.bytes(None), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn bytes_say_from_where_to_where() {
        let header = ProxyHeader::V2.bytes(Some(&behalf("192.0.2.1:5000", "10.0.0.1:443")));
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x13\x88\x01\xbb";
        assert_eq!(header, expected);
        let header = ProxyHeader::V2.bytes(Some(&behalf("[2001:db8::1]:1", "[::1]:2")));
        assert_eq!(header.len(), 16 + 36);
        assert_eq!(header[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(header[16..20], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(header[48..], [0, 1, 0, 2]);
        let own = ProxyHeader::V2.bytes(None);
        assert_eq!(own, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }

    #[test]
    fn no_line_is_longer_than_one_may_be() {
        let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        assert!(ProxyHeader::V1.bytes(Some(&behalf(longest, longest))).len() <= 107);
    }
}
