//! Reads `[upstream.NAME.health]` and `[upstream.NAME.outlier]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};

use crate::config::listener::{WAIT, count};
use crate::config::reader::{Table, Value};
use crate::config::settings::Protocol;
use crate::config::unit::write_duration;
use crate::upstream::{FailureKind, Failures, HealthCheck, Outlier, Probe};

/// What belongs where a path is.
const PATH: &str = "a path such as \"/healthz\", with a query if it needs one";
/// What belongs where a host is.
const HOST: &str = "a host, with a port if it needs one, such as \"shop.internal\"";
/// What belongs where statuses are.
const STATUS: &str = "a status such as \"200\", or two that it is between, such as \"200-299\"";
/// How many answers in a row may be asked for.
const ROW: RangeInclusive<u64> = 1..=100;

/// What is asked for unless told otherwise.
const STATUSES: RangeInclusive<u16> = 200..=299;
const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const HEALTHY: usize = 2;
const UNHEALTHY: usize = 3;

/// What belongs where kinds of failures are.
const KINDS: &str = "a list such as [\"connect\", \"5xx\"]";

/// When endpoints are ejected unless told otherwise.
const FAILURES: usize = 5;
const EJECTION: Duration = Duration::from_secs(10);
const MAX_EJECTION: Duration = Duration::from_secs(300);

/// Reads what the endpoints of an upstream are asked that speak a protocol; `None` when a problem
/// was recorded.
pub(crate) fn read(value: &Value<'_>, protocol: Protocol) -> Option<HealthCheck> {
    value.table(|table| health(table, protocol)).flatten()
}

fn health(table: &mut Table<'_>, protocol: Protocol) -> Option<HealthCheck> {
    let mut kind = Kind::Http;
    let asked = table.optional("kind");
    if let Some(value) = &asked {
        kind = value.choice(&Kind::ALL.map(|kind| (kind.name(), kind)))?;
    }
    let keys = ["path", "host", "status", "service"];
    let [path, host, status, service] = keys.map(|key| table.optional(key));
    let belongs = |value: &Option<Value<'_>>, to: Kind| {
        let strange = value.as_ref().filter(|_| kind != to);
        if let Some(value) = strange {
            value.refuse_key(format!(
                "has no effect while kind is \"{}\"; it belongs to \"{}\"",
                kind.name(),
                to.name()
            ));
        }
        strange.is_none()
    };
    let is_sound = [
        belongs(&path, Kind::Http),
        belongs(&host, Kind::Http),
        belongs(&status, Kind::Http),
        belongs(&service, Kind::Grpc),
    ];
    let probe = match kind {
        Kind::Tcp => Some(Probe::Tcp),
        Kind::Grpc if protocol != Protocol::Http2 => {
            asked?.refuse("gRPC needs protocol = \"h2\" for the upstream");
            None
        }
        Kind::Grpc => {
            let service = service.map_or(Some(""), |value| value.string());
            service.map(|service| Probe::Grpc {
                service: service.into(),
            })
        }
        Kind::Http => {
            let path = path.map_or(Some("/"), |value| value.parsed(PATH, path_and_query));
            let host = host.map(|value| value.parsed(HOST, authority));
            let status = status.map_or(Some(STATUSES), |value| value.parsed(STATUS, statuses));
            match (path, host, status) {
                (Some(path), None | Some(Some(_)), Some(status)) => Some(Probe::Http {
                    path: path.into(),
                    host: host.flatten().map(Into::into),
                    status,
                }),
                _ => None,
            }
        }
    };
    let (mut interval, mut timeout) = (INTERVAL, TIMEOUT);
    table.set("interval", &mut interval, |value| value.duration(&WAIT));
    table.set("timeout", &mut timeout, |value| value.duration(&WAIT));
    let (mut healthy, mut unhealthy) = (HEALTHY, UNHEALTHY);
    table.set("healthy", &mut healthy, |value| count(value, ROW));
    table.set("unhealthy", &mut unhealthy, |value| count(value, ROW));
    if !is_sound.iter().all(|&one| one) {
        return None;
    }
    Some(HealthCheck {
        probe: probe?,
        interval,
        timeout,
        healthy: u32::try_from(healthy).ok()?,
        unhealthy: u32::try_from(unhealthy).ok()?,
    })
}

/// Reads when an endpoint of an upstream is ejected; `None` when a problem was recorded.
pub(crate) fn outlier(value: &Value<'_>) -> Option<Outlier> {
    value.table(|table| {
        let mut failures = FAILURES;
        table.set("failures", &mut failures, |value| count(value, ROW));
        let on = kinds(table, &[FailureKind::Connect]);
        let (mut ejection, mut max_ejection) = (EJECTION, MAX_EJECTION);
        table.set("ejection", &mut ejection, |value| value.duration(&WAIT));
        table.set("max_ejection", &mut max_ejection, |value| {
            value.duration(&WAIT)
        });
        if max_ejection < ejection {
            table.refuse(format!(
                "max_ejection ({}) is less than ejection ({})",
                write_duration(max_ejection),
                write_duration(ejection)
            ));
        }
        Some(Outlier {
            failures: u32::try_from(failures).ok()?,
            on,
            ejection,
            max_ejection,
        })
    })?
}

/// Reads what counts as a failure; `unless` told otherwise.
pub(crate) fn kinds(table: &mut Table<'_>, unless: &[FailureKind]) -> Failures {
    let kinds = FailureKind::ALL.map(|kind| (kind.name(), kind));
    let mut on = unless.iter().copied().collect();
    table.set("on", &mut on, |value| {
        let on = value.list(KINDS, |value| value.choice(&kinds))?;
        if on.is_empty() {
            value.refuse("empty; what counts as a failure belongs here");
            return None;
        }
        Some(Failures::from_iter(on))
    });
    on
}

/// The kinds of checks, as they are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Http,
    Grpc,
    Tcp,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Http, Self::Grpc, Self::Tcp];

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

fn path_and_query(text: &str) -> Option<&str> {
    let is_path = text.starts_with('/') && text.parse::<PathAndQuery>().is_ok();
    is_path.then_some(text)
}

fn authority(text: &str) -> Option<&str> {
    let authority = text.parse::<Authority>().ok()?;
    let is_host = !authority.host().is_empty() && !text.contains('@');
    is_host.then_some(text)
}

fn statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let one = |text: &str| {
        let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let status = text.parse().ok().filter(|_| is_number)?;
        (200..=599).contains(&status).then_some(status)
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (one(first)?, one(last)?),
        None => (one(text)?, one(text)?),
    };
    (first <= last).then_some(first..=last)
}
