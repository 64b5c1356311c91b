//! Reads `[upstream.NAME]`.

use crate::config::advice;
use crate::config::guard;
use crate::config::health;
use crate::config::listener::{self, NamedFile, WAIT, count};
use crate::config::reader::{Table, Value};
use crate::config::settings::{Balance, Protocol, UpstreamConfig, UpstreamTimeouts};
use crate::config::sticky;
use crate::config::tls;
use crate::upstream::{EndpointSpec, ProxyHeader};

/// Idle connections of a worker to an endpoint unless told otherwise: a burst of that many
/// requests finds its connections again.
pub(crate) const POOL_IDLE: usize = 256;

/// What belongs where endpoints are named.
const ENDPOINTS: &str = "a list of addresses or names such as [\"10.0.0.11:9000\"]";

/// Reads one upstream; `None` when a problem was recorded.
/// Adds the files that it names.
pub(crate) fn read<'d>(
    value: &Value<'d>,
    files: &mut Vec<NamedFile<'d>>,
) -> Option<UpstreamConfig> {
    value.table(|table| upstream(table, files)).flatten()
}

fn upstream<'d>(table: &mut Table<'d>, files: &mut Vec<NamedFile<'d>>) -> Option<UpstreamConfig> {
    let endpoints = table
        .required("endpoints", ENDPOINTS)
        .and_then(|value| endpoints(&value));
    let balance = balance(table);
    let mut protocol = Protocol::Http1;
    table.set("protocol", &mut protocol, |value| {
        value.choice(&[Protocol::Http1, Protocol::Http2].map(|one| (one.name(), one)))
    });
    let mut timeouts = UpstreamTimeouts::default();
    table.section("timeouts", |table| {
        table.set("connect", &mut timeouts.connect, |value| {
            value.duration(&WAIT)
        });
        table.set("response", &mut timeouts.response, |value| {
            value.duration(&WAIT)
        });
        table.set("body", &mut timeouts.body, |value| value.duration(&WAIT));
        table.set("idle", &mut timeouts.idle, |value| {
            let idle = value.duration(&WAIT)?;
            advice::idle(value, idle);
            Some(idle)
        });
    });
    let mut pool_idle = POOL_IDLE;
    table.section("pool", |table| {
        table.set("idle", &mut pool_idle, |value| count(value, 0..=100_000));
    });
    let tls = match table.optional("tls") {
        Some(value) => Some(tls::upstream(&value, files)?),
        None => None,
    };
    let proxy_protocol = proxy_protocol(table, protocol);
    let health = match table.optional("health") {
        Some(value) => Some(health::read(&value, protocol)?),
        None => None,
    };
    let outlier = match table.optional("outlier") {
        Some(value) => Some(health::outlier(&value)?),
        None => None,
    };
    let limits = guard::limits(table, protocol);
    let breaker = match table.optional("breaker") {
        Some(value) => Some(guard::breaker(&value)?),
        None => None,
    };
    let retry = guard::retry(table);
    let mut slow_start = None;
    if let Some(value) = table.optional("slow_start") {
        let whole = value.duration(&WAIT);
        if matches!(balance, Some(Balance::ConsistentHash(_))) {
            value.refuse_key("has no effect on \"consistent_hash\": a key stays with its endpoint");
        }
        slow_start = Some(whole?);
    }
    Some(UpstreamConfig {
        endpoints: endpoints?,
        balance: balance?,
        protocol,
        timeouts,
        pool_idle,
        tls,
        proxy_protocol,
        health,
        outlier,
        slow_start,
        limits,
        breaker,
        retry,
    })
}

/// Reads which header connections begin with, if they do.
fn proxy_protocol(table: &mut Table<'_>, protocol: Protocol) -> Option<ProxyHeader> {
    let value = table.optional("proxy_protocol")?;
    let headers = ProxyHeader::ALL.map(|header| (header.name(), Some(header)));
    let header = value
        .choice(&[("off", None), headers[0], headers[1]])
        .flatten()?;
    if protocol == Protocol::Http2 {
        value.refuse("it tells of one client, and a connection of HTTP/2 carries requests of many");
    }
    Some(header)
}

/// Reads `balance` with its `hash`.
fn balance(table: &mut Table<'_>) -> Option<Balance> {
    let kinds = [
        Balance::LeastRequest,
        Balance::RoundRobin,
        Balance::ConsistentHash(Vec::new()),
    ];
    let kinds = kinds.map(|kind| (kind.name(), kind));
    let (balance, hash) = (table.optional("balance"), table.optional("hash"));
    let mut kind = match &balance {
        Some(value) => value.choice(&kinds)?,
        None => Balance::default(),
    };
    if let Balance::ConsistentHash(keys) = &mut kind {
        let Some(hash) = hash else {
            balance?.refuse("\"consistent_hash\" needs a key: hash = [\"client_ip\"], for example");
            return None;
        };
        *keys = sticky::read_keys(&hash)?;
        if keys.is_empty() {
            hash.refuse("empty; what is hashed belongs here");
            return None;
        }
    } else if let Some(hash) = hash {
        hash.refuse_key(format!(
            "nothing is hashed while balance is \"{}\"; it belongs to \"consistent_hash\"",
            kind.name()
        ));
        return None;
    }
    Some(kind)
}

fn endpoints(value: &Value<'_>) -> Option<Vec<EndpointSpec>> {
    let mut seen = Vec::new();
    let endpoints = value.list(ENDPOINTS, |value| {
        value.looks_like(|| "[^/]+:[0-9]+|srv:.+|unix:.+");
        let spec = match value.string()?.parse::<EndpointSpec>() {
            Ok(EndpointSpec::Unix(path)) => {
                EndpointSpec::Unix(listener::socket(value, &path.to_string_lossy())?)
            }
            Ok(spec) => spec,
            Err(error) => {
                value.refuse(format!("{} {error}", value.shown()));
                return None;
            }
        };
        if seen.contains(&spec) {
            value.refuse(format!("{} is named twice", value.shown()));
            return None;
        }
        seen.push(spec.clone());
        Some(spec)
    })?;
    if endpoints.is_empty() {
        value.refuse("empty; an upstream needs at least one endpoint");
        return None;
    }
    Some(endpoints)
}
