//! Reads `[upstream.NAME]`.

use std::net::SocketAddr;

use crate::config::advice;
use crate::config::listener::{WAIT, count};
use crate::config::reader::{Table, Value};
use crate::config::settings::{Balance, UpstreamConfig, UpstreamTimeouts};

/// Idle connections of a worker to an endpoint unless told otherwise: a burst of that many
/// requests finds its connections again.
const POOL_IDLE: usize = 256;

/// What belongs where endpoints are named.
const ENDPOINTS: &str = "a list of addresses such as [\"10.0.0.11:9000\"]";

/// Reads one upstream; `None` when a problem was recorded.
pub(crate) fn read(value: &Value<'_>) -> Option<UpstreamConfig> {
    value.table(upstream).flatten()
}

fn upstream(table: &mut Table<'_>) -> Option<UpstreamConfig> {
    let endpoints = table
        .required("endpoints", ENDPOINTS)
        .and_then(|value| endpoints(&value));
    let mut balance = Balance::default();
    table.set("balance", &mut balance, |value| {
        value.choice(&[Balance::LeastRequest, Balance::RoundRobin].map(|kind| (kind.name(), kind)))
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
    Some(UpstreamConfig {
        endpoints: endpoints?,
        balance,
        timeouts,
        pool_idle,
    })
}

fn endpoints(value: &Value<'_>) -> Option<Vec<SocketAddr>> {
    let mut seen = Vec::new();
    let endpoints = value.list(ENDPOINTS, |value| {
        let address = endpoint(value)?;
        if seen.contains(&address) {
            value.refuse(format!("{} is named twice", value.shown()));
            return None;
        }
        seen.push(address);
        Some(address)
    })?;
    if endpoints.is_empty() {
        value.refuse("empty; an upstream needs at least one endpoint");
        return None;
    }
    Some(endpoints)
}

fn endpoint(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.string()?;
    if let Ok(address) = text.parse::<SocketAddr>() {
        if address.port() == 0 {
            value.refuse(format!(
                "{} has port 0, which nobody listens on",
                value.shown()
            ));
            return None;
        }
        return Some(address);
    }
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    let is_host_name = host.bytes().any(|byte| byte.is_ascii_alphabetic())
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_host_name {
        value.refuse(format!(
            "{} is a host name; give an IP address and a port",
            value.shown()
        ));
    } else {
        value
            .is_not("an IP address with a port, such as \"10.0.0.11:9000\" or \"[fd00::11]:9000\"");
    }
    None
}
