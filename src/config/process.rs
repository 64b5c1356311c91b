//! Reads what concerns the process as a whole: `[runtime]`, `[shutdown]`, `[access_log]`,
//! `[admin]` and `[metrics]`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::listener::{WAIT, address, count};
use crate::config::reader::{Table, Value};
use crate::config::settings::{
    AccessLogConfig, AccessLogFormat, AccessLogOutput, AdminConfig, ListenerConfig, MetricsConfig,
    RuntimeConfig, ShutdownConfig,
};
use crate::config::unit::write_duration;

/// What a part of the shutdown may last; nothing is a choice, too.
const PAUSE: RangeInclusive<Duration> = Duration::ZERO..=*WAIT.end();
/// The most worker threads: more than any machine has cores for.
const MAX_WORKERS: u64 = 1024;
/// How long a bearer token may be: not a mere placeholder, and no more than a header takes.
const TOKEN: RangeInclusive<usize> = 8..=4096;
/// The most buckets: each costs a number for each variant, outcome and worker.
const MAX_BUCKETS: usize = 100;

/// Reads `[runtime]`.
pub(crate) fn runtime(root: &mut Table<'_>) -> RuntimeConfig {
    let mut runtime = RuntimeConfig::default();
    root.section("runtime", |table| {
        table.set("workers", &mut runtime.workers, |value| {
            count(value, 0..=MAX_WORKERS)
        });
    });
    runtime
}

/// Reads `[shutdown]`.
pub(crate) fn shutdown(root: &mut Table<'_>) -> ShutdownConfig {
    let mut shutdown = ShutdownConfig::default();
    root.section("shutdown", |table| {
        table.set("delay", &mut shutdown.delay, |value| value.duration(&PAUSE));
        table.set("spread", &mut shutdown.spread, |value| {
            value.duration(&PAUSE)
        });
        table.set("timeout", &mut shutdown.timeout, |value| {
            value.duration(&WAIT)
        });
        let least = shutdown.delay + shutdown.spread;
        if shutdown.timeout < least {
            table.refuse(format!(
                "the timeout ({}) is less than delay and spread together ({})",
                write_duration(shutdown.timeout),
                write_duration(least)
            ));
        }
    });
    shutdown
}

/// Reads `[access_log]`.
pub(crate) fn access_log(root: &mut Table<'_>) -> AccessLogConfig {
    let mut log = AccessLogConfig::default();
    root.section("access_log", |table| {
        let formats = [
            AccessLogFormat::Json,
            AccessLogFormat::Common,
            AccessLogFormat::Combined,
        ];
        table.set("format", &mut log.format, |value| {
            value.choice(&formats.map(|format| (format.name(), format)))
        });
        table.set("output", &mut log.output, |value| {
            match value.parsed("\"stdout\", \"off\" or a path", Some)? {
                "stdout" => Some(AccessLogOutput::Stdout),
                "off" => Some(AccessLogOutput::Off),
                _ => value.path().map(AccessLogOutput::File),
            }
        });
    });
    log
}

/// Reads `[admin]`, whose address must not be that of a listener.
pub(crate) fn admin(
    root: &mut Table<'_>,
    listeners: &BTreeMap<String, ListenerConfig>,
) -> AdminConfig {
    let mut admin = AdminConfig::default();
    root.section("admin", |table| {
        table.set("address", &mut admin.address, |value| {
            let address = address(value)?;
            let listener = listeners
                .iter()
                .find(|(_, listener)| listener.address == address && address.port() != 0);
            if let Some((name, _)) = listener {
                value.refuse(format!(
                    "{address} is the address of listener {name} already"
                ));
                return None;
            }
            Some(address)
        });
        let token = table.optional("token");
        if let Some(value) = &token {
            admin.token = value.secret(TOKEN);
        }
        if !admin.address.ip().is_loopback() && token.is_none() {
            table.refuse(format!(
                "{} is not a loopback address, so a token is needed",
                admin.address
            ));
        }
    });
    admin
}

/// Reads `[metrics]`.
pub(crate) fn metrics(root: &mut Table<'_>) -> MetricsConfig {
    let mut metrics = MetricsConfig::default();
    root.section("metrics", |table| {
        table.set("buckets", &mut metrics.buckets, buckets);
    });
    metrics
}

fn buckets(value: &Value<'_>) -> Option<Vec<f64>> {
    let mut last = 0.0;
    let buckets = value.list("a list of seconds", |value| {
        let bound = value.positive()?;
        if bound <= last {
            value.refuse(format!(
                "{} is not more than the one before it",
                value.shown()
            ));
            return None;
        }
        last = bound;
        Some(bound)
    })?;
    if !(1..=MAX_BUCKETS).contains(&buckets.len()) {
        value.refuse(format!(
            "{} buckets are not from 1 to {MAX_BUCKETS}",
            buckets.len()
        ));
        return None;
    }
    Some(buckets)
}
