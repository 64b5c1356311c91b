//! Who is asking: the peer of a connection, and the client that a trusted proxy speaks for.
//!
//! Whatever a request says of its origin is hearsay, and believed only from proxies that the
//! operator trusts. Each proxy adds the address it was reached from at the end, so the client is
//! the last address that is not a trusted proxy's; all before it is the client's own claim and is
//! not looked at. Where the chain ends in something that is no address, nobody knows who asks, and
//! the peer itself counts as the client.

mod forwarded;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::listener::peer::forwarded::{forwarded_nodes, forwarded_proto, x_forwarded_for_nodes};
use crate::message::{Known, Networks, RequestHead, Scheme};
use crate::tls::Identity;

/// The other end of a client's connection, and how it came in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The address that the socket is connected to.
    pub address: SocketAddr,
    /// The address that it was accepted on.
    pub local: SocketAddr,
    /// Whether the connection is encrypted.
    pub scheme: Scheme,
    /// The name of the listener.
    pub listener: Arc<str>,
    /// Who it has proved to be, where a listener asks for that.
    pub identity: Option<Box<Identity>>,
}

/// Which field tells of the client; only one is believed, or a client could use the one that the
/// proxy does not write.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ForwardedSource {
    /// `X-Forwarded-For`, which nearly every proxy writes.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Who a request is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client {
    /// The address of the client.
    pub address: IpAddr,
    /// True when the peer is a trusted proxy, so what it says of host and scheme is to be believed
    /// and what it has forwarded is to be kept.
    pub trusted: bool,
}

impl Client {
    /// The scheme that the client used: the one that a trusted proxy says first, else that of the
    /// connection. A proxy closer to the client is said to write before the others.
    pub fn scheme(&self, from: &Peer, head: &RequestHead, source: ForwardedSource) -> Scheme {
        if !self.trusted {
            return from.scheme;
        }
        let told = match source {
            ForwardedSource::XForwardedFor => {
                let first = head.known(Known::XForwardedProto).next();
                first.and_then(|value| value.split(|&byte| byte == b',').next())
            }
            ForwardedSource::Forwarded => head.known(Known::Forwarded).find_map(forwarded_proto),
        };
        match told.map(<[u8]>::trim_ascii) {
            Some(told) if told.eq_ignore_ascii_case(b"https") => Scheme::Https,
            Some(told) if told.eq_ignore_ascii_case(b"http") => Scheme::Http,
            _ => from.scheme,
        }
    }
}

/// The proxies whose word on the client is taken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustedProxies(Networks);

impl TrustedProxies {
    /// Trusts the proxies in these networks; none of them means that nobody is trusted.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(Networks::new(networks))
    }

    /// Tells who a request is from, given the address of the connection's peer.
    pub fn client(&self, peer: IpAddr, head: &RequestHead, source: ForwardedSource) -> Client {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Client {
                address: peer,
                trusted: false,
            };
        }
        let mut chain = Chain::Empty;
        let mut add = |node| chain = chain.followed_by(node, self);
        match source {
            ForwardedSource::XForwardedFor => head
                .known(Known::XForwardedFor)
                .for_each(|value| x_forwarded_for_nodes(value, &mut add)),
            ForwardedSource::Forwarded => head
                .known(Known::Forwarded)
                .for_each(|value| forwarded_nodes(value, &mut add)),
        }
        Client {
            address: chain.client().unwrap_or(peer),
            trusted: true,
        }
    }

    /// True for the address of a trusted proxy.
    pub(in crate::listener) fn trusts(&self, address: IpAddr) -> bool {
        self.0.contains(address)
    }
}

/// What a chain of forwarding amounts to, read from its first node to the one that it ends in.
#[derive(Clone, Copy, Debug)]
enum Chain {
    /// No node yet.
    Empty,
    /// Trusted proxies only: the first of them asked on its own behalf.
    Trusted(IpAddr),
    /// The last node that is not trusted.
    Client(IpAddr),
    /// Instead of that, something that is no address.
    Unknown,
}

impl Chain {
    fn followed_by(self, node: Option<IpAddr>, proxies: &TrustedProxies) -> Self {
        let Some(address) = node.map(|address| address.to_canonical()) else {
            return Self::Unknown;
        };
        match self {
            _ if !proxies.trusts(address) => Self::Client(address),
            Self::Empty => Self::Trusted(address),
            Self::Trusted(_) | Self::Client(_) | Self::Unknown => self,
        }
    }

    fn client(self) -> Option<IpAddr> {
        match self {
            Self::Trusted(address) | Self::Client(address) => Some(address),
            Self::Empty | Self::Unknown => None,
        }
    }
}
