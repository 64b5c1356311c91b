//! Reads `[resolver]`, which looks the names of endpoints up.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::config::listener::WAIT;
use crate::config::reader::Table;
use crate::config::unit::write_duration;

/// What belongs where name servers are named.
const NAMESERVERS: &str = "a list of addresses such as [\"10.0.0.2:53\"]";
const NAMESERVER: &str = "an IP address, with a port or without, such as \"10.0.0.2:53\"";
/// The port of name servers.
const DNS: u16 = 53;

/// How names of endpoints are looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResolverConfig {
    /// The name servers; none means those of the system.
    pub nameservers: Vec<SocketAddr>,
    /// The least time between two look-ups of a name.
    pub min_ttl: Duration,
    /// The greatest; not less than the least.
    pub max_ttl: Duration,
    /// How long a look-up may take.
    pub timeout: Duration,
}

impl Default for ResolverConfig {
    /// At most half a minute old, whatever a record says: an endpoint that moved is to be found.
    fn default() -> Self {
        Self {
            nameservers: Vec::new(),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(30),
            timeout: Duration::from_secs(2),
        }
    }
}

/// Reads `[resolver]`.
pub(crate) fn read(root: &mut Table<'_>) -> ResolverConfig {
    let mut resolver = ResolverConfig::default();
    root.section("resolver", |table| {
        table.set("nameservers", &mut resolver.nameservers, |value| {
            value.list(NAMESERVERS, |value| value.parsed(NAMESERVER, nameserver))
        });
        table.set("min_ttl", &mut resolver.min_ttl, |value| {
            value.duration(&WAIT)
        });
        table.set("max_ttl", &mut resolver.max_ttl, |value| {
            value.duration(&WAIT)
        });
        table.set("timeout", &mut resolver.timeout, |value| {
            value.duration(&WAIT)
        });
        if resolver.max_ttl < resolver.min_ttl {
            table.refuse(format!(
                "max_ttl ({}) is less than min_ttl ({})",
                write_duration(resolver.max_ttl),
                write_duration(resolver.min_ttl)
            ));
        }
    });
    resolver
}

/// An address, with the port of DNS unless it has another.
fn nameserver(text: &str) -> Option<SocketAddr> {
    let address = match text.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, DNS),
        Err(_) => text.parse().ok()?,
    };
    (address.port() != 0).then_some(address)
}
