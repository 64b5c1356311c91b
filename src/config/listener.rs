//! Reads `[listener.NAME]`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::advice;
use crate::config::reader::{Table, Value};
use crate::config::settings::{Forwarded, ListenerConfig, ListenerTimeouts, Protocol};
use crate::config::tls;
use crate::listener::ProxyProtocol;
use crate::message::{AccessList, Address, Limits, Networks, UNIX};

/// What a wait may be: zero would fail everything, and past 400 days nobody waits.
pub(crate) const WAIT: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(400 * 86_400);

/// What the limit of a body may be.
pub(crate) const BODY_BYTES: RangeInclusive<u64> = 0..=1 << 60;

/// What belongs where an address is listened on.
pub(crate) const ADDRESS: &str =
    "an IP address with a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"";

/// What belongs where a listener listens.
const LISTENS: &str =
    "an IP address with a port, such as \"0.0.0.0:8080\" or \"[::]:8080\", or \"unix:\" and a path";

/// The rights of the file of a UNIX socket unless told otherwise: whoever is to connect has to be in
/// its group.
const SOCKET_MODE: u32 = 0o660;

/// The longest path of a UNIX socket (unix(7): 108 bytes with a zero at the end).
const MAX_SOCKET_PATH: usize = 107;

/// What belongs where networks are named.
pub(crate) const NETWORKS: &str = "a list of networks, such as [\"10.0.0.0/8\"]";

/// Connections of a listener unless told otherwise: far more than a core serves well, and few
/// enough that their buffers cannot take all memory.
const MAX_CONNECTIONS: usize = 65_536;
/// HTTP/2 streams of a connection unless told otherwise: twice what RFC 9113, section 6.5.2 asks
/// for at least.
const MAX_STREAMS: u32 = 200;

/// A file that the configuration names, with the place where it is named.
pub(crate) struct NamedFile<'d> {
    /// The place, for problems with the file.
    pub(crate) value: Value<'d>,
    /// The path, resolved.
    pub(crate) path: PathBuf,
}

/// Reads one listener; `None` when a problem was recorded. Adds the files that it names.
pub(crate) fn read<'d>(
    value: &Value<'d>,
    files: &mut Vec<NamedFile<'d>>,
) -> Option<ListenerConfig> {
    value.table(|table| listener(table, files)).flatten()
}

fn listener<'d>(table: &mut Table<'d>, files: &mut Vec<NamedFile<'d>>) -> Option<ListenerConfig> {
    let address = table
        .required("address", LISTENS)
        .and_then(|value| listens(&value));
    let mut mode = SOCKET_MODE;
    table.set("mode", &mut mode, rights);
    if address
        .as_ref()
        .is_some_and(|address| address.unix().is_none())
    {
        table.refuse_key("mode", "has no effect on an address of TCP");
    }
    let protocols = table.optional("protocols");
    let tls = table.optional("tls");
    let is_tls = tls.is_some();

    let protocols = match protocols {
        Some(value) => protocols_of(&value),
        None if is_tls => Some(vec![Protocol::Http2, Protocol::Http1]),
        None => Some(vec![Protocol::Http1]),
    };
    let has_http2 = protocols
        .as_ref()
        .is_none_or(|protocols| protocols.contains(&Protocol::Http2));

    let mut timeouts = ListenerTimeouts::default();
    table.section("timeouts", |table| {
        table.set("first_byte", &mut timeouts.first_byte, |value| {
            value.duration(&WAIT)
        });
        table.set("tls", &mut timeouts.tls, |value| value.duration(&WAIT));
        table.set("header", &mut timeouts.header, |value| {
            value.duration(&WAIT)
        });
        table.set("body", &mut timeouts.body, |value| value.duration(&WAIT));
        table.set("idle", &mut timeouts.idle, |value| value.duration(&WAIT));
        table.set("tunnel", &mut timeouts.tunnel, |value| {
            value.duration(&WAIT)
        });
        table.set("half_closed", &mut timeouts.half_closed, |value| {
            value.duration(&(Duration::ZERO..=*WAIT.end()))
        });
        if !is_tls {
            table.refuse_key("tls", "has no effect on a listener without tls");
        }
    });

    let mut limits = Limits::default();
    let mut max_connections = Some(MAX_CONNECTIONS);
    let mut max_streams = MAX_STREAMS;
    table.section("limits", |table| {
        table.set("head", &mut limits.head_bytes, |value| {
            size(value, 1 << 10..=1 << 20)
        });
        table.set("fields", &mut limits.fields, |value| {
            count(value, 1..=10_000)
        });
        table.set("uri", &mut limits.uri_bytes, |value| {
            size(value, 64..=1 << 20)
        });
        table.set("body", &mut limits.body_bytes, |value| {
            Some(Some(value.size(BODY_BYTES)?))
        });
        table.set("connections", &mut max_connections, |value| {
            let number = count(value, 0..=100_000_000)?;
            advice::connections(value, number);
            Some((number != 0).then_some(number))
        });
        table.set("streams", &mut max_streams, |value| {
            value
                .whole(1..=100_000)
                .and_then(|number| u32::try_from(number).ok())
        });
        if !has_http2 {
            table.refuse_key("streams", "has no effect on a listener without h2");
        }
    });

    let mut trusted_proxies = Vec::new();
    table.set("trusted_proxies", &mut trusted_proxies, |value| {
        value.list(NETWORKS, |value| {
            let network = network(value)?;
            advice::trusted(value, network);
            Some(network)
        })
    });
    let mut forwarded = Forwarded::default();
    table.set("forwarded", &mut forwarded, |value| {
        value.choice(&[Forwarded::XForwarded, Forwarded::Rfc7239].map(|kind| (kind.name(), kind)))
    });
    let mut proxy_protocol = ProxyProtocol::default();
    table.set("proxy_protocol", &mut proxy_protocol, |value| {
        let kinds = [
            ProxyProtocol::Off,
            ProxyProtocol::Required,
            ProxyProtocol::FromTrusted,
        ];
        let kind = value.choice(&kinds.map(|kind| (kind.name(), kind)))?;
        if kind != ProxyProtocol::Off && trusted_proxies.is_empty() {
            value.refuse("nobody is trusted to tell: trusted_proxies is empty");
            return None;
        }
        Some(kind)
    });
    let tls = match tls {
        Some(value) => Some(tls::listener(&value, files)?),
        None => None,
    };

    Some(ListenerConfig {
        address: address?,
        mode,
        protocols: protocols?,
        timeouts,
        limits,
        max_connections,
        max_streams,
        trusted_proxies,
        forwarded,
        proxy_protocol,
        access: access(table),
        tls,
    })
}

/// Reads whose requests are taken.
pub(crate) fn access(table: &mut Table<'_>) -> AccessList {
    let mut access = AccessList::default();
    table.section("access", |table| {
        let networks = |value: &Value<'_>| Some(Networks::new(value.list(NETWORKS, network)?));
        table.set("allow", &mut access.allow, networks);
        table.set("deny", &mut access.deny, networks);
    });
    access
}

/// Reads where a listener listens.
fn listens(value: &Value<'_>) -> Option<Address> {
    value.looks_like(|| r"[0-9.]+:[0-9]+|\[.+\]:[0-9]+|unix:.+");
    let is_path = |text: &str| Some(text.strip_prefix(UNIX)?.to_owned());
    match value.parsed(LISTENS, |text| {
        let path = is_path(text).map(Err);
        path.or_else(|| text.parse().ok().map(Ok))
    })? {
        Ok(address) => Some(Address::Tcp(address)),
        Err(path) => socket(value, &path).map(Address::Unix),
    }
}

/// Reads the path of a UNIX socket, relative to the file that names it.
pub(crate) fn socket(value: &Value<'_>, path: &str) -> Option<Arc<Path>> {
    let resolved = value.beside(path);
    let n_bytes = resolved.as_os_str().len();
    // Such a path would need to be escaped in every log.
    let is_odd = |letter: char| letter.is_control() || letter == '"' || letter == '\\';
    if path.is_empty() || path.contains(is_odd) {
        value.refuse(format!(
            "{} is not \"unix:\" and a path without quotes, backslashes and control characters",
            value.shown()
        ));
        return None;
    }
    if n_bytes > MAX_SOCKET_PATH {
        value.refuse(format!(
            "{} is a path of {n_bytes} bytes; that of a UNIX socket has at most {MAX_SOCKET_PATH}",
            value.shown()
        ));
        return None;
    }
    Some(resolved.into())
}

/// Reads the rights of a file, as chmod(1) takes them.
fn rights(value: &Value<'_>) -> Option<u32> {
    value.looks_like(|| "0?[0-7]{3}");
    value.parsed("rights of a file, such as \"0660\"", |text| {
        let digits = text.strip_prefix('0').unwrap_or(text);
        let is_octal = digits.len() == 3 && digits.bytes().all(|byte| (b'0'..b'8').contains(&byte));
        is_octal.then(|| u32::from_str_radix(digits, 8).ok())?
    })
}

/// Reads an address to listen on.
pub(crate) fn address(value: &Value<'_>) -> Option<SocketAddr> {
    value.looks_like(|| r"[0-9.]+:[0-9]+|\[.+\]:[0-9]+");
    value.parsed(ADDRESS, |text| text.parse().ok())
}

/// Reads a whole number that counts things in memory.
pub(crate) fn count(value: &Value<'_>, range: RangeInclusive<u64>) -> Option<usize> {
    value
        .whole(range)
        .and_then(|number| usize::try_from(number).ok())
}

fn size(value: &Value<'_>, range: RangeInclusive<u64>) -> Option<usize> {
    value
        .size(range)
        .and_then(|number| usize::try_from(number).ok())
}

fn protocols_of(value: &Value<'_>) -> Option<Vec<Protocol>> {
    let words = [Protocol::Http2, Protocol::Http1].map(|protocol| (protocol.name(), protocol));
    let mut seen = Vec::new();
    let protocols = value.list("a list of \"h2\" and \"http/1.1\"", |value| {
        let protocol = value.choice(&words)?;
        if seen.contains(&protocol) {
            value.refuse(format!("{} is named twice", value.shown()));
            return None;
        }
        seen.push(protocol);
        Some(protocol)
    })?;
    if protocols.is_empty() {
        value.refuse("empty; a listener speaks at least one protocol");
        return None;
    }
    Some(protocols)
}

/// Reads a network of addresses, or an address by itself.
pub(crate) fn network(value: &Value<'_>) -> Option<IpNet> {
    let what = "a network such as \"10.0.0.0/8\" or an IP address";
    let network = value.parsed(what, |text| {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse::<IpNet>().ok().or_else(address)
    })?;
    if network != network.trunc() {
        let meant = network.trunc();
        value.refuse(format!(
            "{} has bits set beyond its prefix, did you mean \"{meant}\"?",
            value.shown()
        ));
        return None;
    }
    Some(network)
}
