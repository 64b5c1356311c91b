//! The effective configuration: all that is obeyed, with every default, as one would write it.
//!
//! It has the keys of the file, so it can be compared with the file and read again; secrets are
//! left out, and paths are resolved.

mod division;
mod direct;
mod flags;
mod mirror;
mod ofrep;
mod releases;
mod strategy;
mod treatment;
mod upstream;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::config::admin::{AdminConfig, TokenConfig, TokenSecret};
use crate::config::ofrep::OFREP_UPSTREAM;
use crate::config::overload::{MemoryBound, OverloadConfig};
use crate::config::rate_limit;
use crate::config::route::RouteConfig;
use crate::config::secret::Secret;
use crate::config::settings::{
    AccessLogConfig, AccessLogFormat, AccessLogOutput, Config, ListenerConfig, Protocol,
};
use crate::config::unit::{write_duration, write_size};
use crate::message::{AccessList, Networks, Scheme};
use crate::message::{Address, UNIX};
use crate::route::{FieldSpec, MatchSpec, PathSpec, ValueSpec};
use crate::split::State;
use crate::tls::Terms;

/// What stands in the place of a secret; long enough to be read as one.
const REDACTED: &str = "[redacted-secret]";

impl Config {
    /// The effective configuration, with the keys of the file; a key that is not set and has no
    /// default is left out.
    pub fn effective(&self) -> Value {
        // Of that one upstream routes tell in another way.
        let named = self.upstreams.iter();
        let named = named.filter(|(name, _)| *name != OFREP_UPSTREAM);
        let named = named.map(|(name, it)| (name.clone(), upstream::of(it)));
        let mut all = json!({
            "runtime": {
                "workers": self.runtime.workers,
                "io": self.runtime.io.name(),
            },
            "listener": all(&self.listeners, listener),
            "upstream": Value::Object(named.collect()),
            "segment": all(&self.segments, division::segment),
            "route": all(&self.routes, route),
            "overload": overload(&self.overload),
            "shutdown": {
                "delay": duration(self.shutdown.delay),
                "spread": duration(self.shutdown.spread),
                "timeout": duration(self.shutdown.timeout),
            },
            "upgrade": { "timeout": duration(self.upgrade.timeout) },
            "access_log": access_log(&self.access_log),
            "trace": { "request_id": self.trace.request_id.as_deref().unwrap_or("off") },
            "admin": admin(&self.admin),
            "metrics": { "buckets": self.metrics.buckets },
            "resolver": {
                "nameservers": texts(&self.resolver.nameservers),
                "min_ttl": duration(self.resolver.min_ttl),
                "max_ttl": duration(self.resolver.max_ttl),
                "timeout": duration(self.resolver.timeout),
            },
        });
        if let Value::Object(entries) = &mut all {
            entries.extend(flags::of(&self.flags));
            entries.insert("ofrep".into(), ofrep::of(&self.ofrep));
            entries.extend(releases::of(&self.releases));
        }
        as_written(all)
    }
}

/// The same, as the file has it: what stands for the environment there is not to stand for it here.
fn as_written(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains("${") => Value::String(text.replace("${", "$${")),
        Value::Array(values) => values.into_iter().map(as_written).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, as_written(value)))
            .collect(),
        value => value,
    }
}

/// An object with each of the named things.
fn all<T>(things: &BTreeMap<String, T>, write: impl Fn(&T) -> Value) -> Value {
    let entries = things
        .iter()
        .map(|(name, thing)| (name.clone(), write(thing)));
    Value::Object(entries.collect())
}

/// An object of those entries that are something.
fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.to_owned(), value));
    Value::Object(entries.collect())
}

fn overload(overload: &OverloadConfig) -> Value {
    object([
        (
            "memory",
            overload.memory.map_or(Value::Null, |memory| match memory {
                MemoryBound::Bytes(bytes) => json!(write_size(bytes)),
                MemoryBound::Percent(percent) => json!(format!("{percent}%")),
            }),
        ),
        ("connections", json!(overload.connections.unwrap_or(0))),
    ])
}

fn texts<T: ToString>(things: &[T]) -> Value {
    things.iter().map(ToString::to_string).collect()
}

fn duration(duration: Duration) -> Value {
    Value::String(write_duration(duration))
}

fn size(bytes: usize) -> Value {
    Value::String(write_size(bytes as u64))
}

fn path(path: &Path) -> Value {
    // From the root, so that it means the same to whoever reads this elsewhere.
    let absolute = std::path::absolute(path);
    let path = absolute.as_deref().unwrap_or(path);
    Value::String(path.display().to_string())
}

fn address(address: &Address) -> Value {
    match address.unix() {
        Some(at) => format!("{UNIX}{}", path(at).as_str().unwrap_or_default()).into(),
        None => address.to_string().into(),
    }
}

fn listener(listener: &ListenerConfig) -> Value {
    let is_tls = listener.tls.is_some();
    let has_http2 = listener.protocols.contains(&Protocol::Http2);
    let names = listener.protocols.iter().map(|protocol| protocol.name());
    let timeouts = &listener.timeouts;
    let limits = &listener.limits;
    object([
        ("address", address(&listener.address)),
        (
            "mode",
            listener
                .address
                .unix()
                .map(|_| format!("{:04o}", listener.mode))
                .into(),
        ),
        ("protocols", names.collect()),
        (
            "timeouts",
            object([
                ("first_byte", duration(timeouts.first_byte)),
                ("tls", is_tls.then(|| duration(timeouts.tls)).into()),
                ("header", duration(timeouts.header)),
                ("body", duration(timeouts.body)),
                ("idle", duration(timeouts.idle)),
                ("tunnel", duration(timeouts.tunnel)),
                ("half_closed", duration(timeouts.half_closed)),
            ]),
        ),
        (
            "limits",
            object([
                ("head", size(limits.head_bytes)),
                ("fields", json!(limits.fields)),
                ("uri", size(limits.uri_bytes)),
                ("body", limits.body_bytes.map(write_size).into()),
                ("connections", json!(listener.max_connections.unwrap_or(0))),
                ("streams", has_http2.then_some(listener.max_streams).into()),
            ]),
        ),
        (
            "trusted_proxies",
            listener
                .trusted_proxies
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
        ("forwarded", json!(listener.forwarded.name())),
        ("proxy_protocol", json!(listener.proxy_protocol.name())),
        ("access", access(&listener.access)),
        (
            "tls",
            listener.tls.as_ref().map_or(Value::Null, |tls| {
                let certificates = tls
                    .certificates
                    .iter()
                    .map(|files| json!({ "cert": path(&files.cert), "key": path(&files.key) }));
                let clients = tls.clients.as_ref();
                object([
                    ("certificates", certificates.collect()),
                    ("client_ca", clients.map(|clients| path(&clients.ca)).into()),
                    (
                        "client_auth",
                        clients.map(|clients| clients.auth.name()).into(),
                    ),
                    ("min_version", json!(tls.terms.min_version.name())),
                    ("cipher_suites", suites(&tls.terms)),
                    ("key_exchange", groups(&tls.terms)),
                ])
            }),
        ),
    ])
}

fn access(access: &AccessList) -> Value {
    let networks = |networks: &Networks| texts(networks.as_slice());
    json!({ "allow": networks(&access.allow), "deny": networks(&access.deny) })
}

/// The cipher suites that are listed; null when none are.
fn suites(terms: &Terms) -> Value {
    let suites = terms.suites.as_ref();
    let names = suites.map(|suites| suites.iter().map(|suite| suite.name()));
    names.map(Iterator::collect::<Value>).into()
}

/// The groups that are listed, likewise.
fn groups(terms: &Terms) -> Value {
    let groups = terms.groups.as_ref();
    let names = groups.map(|groups| groups.iter().map(|group| group.name()));
    names.map(Iterator::collect::<Value>).into()
}

fn route(route: &RouteConfig) -> Value {
    let mut value = destination(route);
    if let Value::Object(entries) = &mut value {
        if !route.access.is_open() {
            entries.insert("access".into(), access(&route.access));
        }
        if !route.rates.is_empty() {
            let rates = route.rates.iter().map(|rate| {
                json!({
                    "rate": rate_limit::write(rate),
                    "burst": rate.burst,
                    "keys": texts(&rate.keys),
                })
            });
            entries.insert("rate_limit".into(), rates.collect());
        }
        if route.direct.is_some() {
            entries.extend(treatment::of_responses(&route.treatment));
            return value;
        }
        entries.extend(treatment::of(&route.treatment));
        if route.ofrep {
            return value;
        }
        if let Some(config) = &route.mirror {
            entries.insert("mirror".into(), mirror::of(config));
        }
        let tunnels = &route.tunnels;
        entries.insert("tunnels_on_off".into(), json!(tunnels.on_off.text()));
        entries.insert("tunnels_spread".into(), duration(tunnels.spread));
    }
    value
}

/// What a route catches, and where that goes.
fn destination(route: &RouteConfig) -> Value {
    let matched = matched(&route.match_spec);
    if let Some(direct) = &route.direct {
        return object([("match", matched), direct::of(direct)]);
    }
    if route.ofrep {
        return object([("match", matched), ("ofrep", json!(true))]);
    }
    if !route.has_split {
        return object([
            ("match", matched),
            ("upstream", json!(route.upstreams.first())),
        ]);
    }
    let spec = &route.split_spec;
    let variants = spec.variants.iter().zip(&route.upstreams);
    let variants: Map<String, Value> = variants
        .map(|(variant, upstream)| {
            let state = match variant.state {
                State::On => "on",
                State::Off => "off",
            };
            let value = json!({ "upstream": upstream, "weight": variant.weight, "state": state });
            (variant.name.clone(), value)
        })
        .collect();
    object([
        ("match", matched),
        ("sticky", division::sticky(route)),
        ("force", division::force(route)),
        ("salt", json!(spec.salt)),
        ("on_unavailable", json!(route.on_unavailable.name())),
        ("rule", division::rules(spec)),
        ("split", Value::Object(variants)),
    ])
}

/// What a route catches; null when that is everything.
fn matched(spec: &MatchSpec) -> Value {
    let list = |texts: &[String]| match texts {
        [] => Value::Null,
        texts => json!(texts),
    };
    let networks: Vec<_> = spec.clients.iter().map(ToString::to_string).collect();
    let (mut prefix, mut exact, mut regex) = (Value::Null, Value::Null, Value::Null);
    match &spec.path {
        Some(PathSpec::Prefix(text)) => prefix = json!(text),
        Some(PathSpec::Exact(text)) => exact = json!(text),
        Some(PathSpec::Regex(text)) => regex = json!(text),
        None => {}
    }
    let result = object([
        ("hosts", list(&spec.hosts)),
        ("path", prefix),
        ("path_exact", exact),
        ("path_regex", regex),
        ("methods", list(&spec.methods)),
        ("headers", fields(&spec.headers)),
        ("query", fields(&spec.query)),
        ("client_ip", list(&networks)),
        ("scheme", spec.scheme.map(Scheme::name).into()),
    ]);
    match &result {
        Value::Object(entries) if entries.is_empty() => Value::Null,
        _ => result,
    }
}

fn fields(specs: &[FieldSpec]) -> Value {
    if specs.is_empty() {
        return Value::Null;
    }
    let entries = specs.iter().map(|field| {
        let value = match &field.value {
            ValueSpec::Exact(text) => json!(text),
            ValueSpec::Present => json!(true),
            ValueSpec::Absent => json!(false),
            ValueSpec::Regex(text) => json!({ "regex": text }),
        };
        (field.name.clone(), value)
    });
    Value::Object(entries.collect())
}

fn access_log(log: &AccessLogConfig) -> Value {
    let has_fields = log.format == AccessLogFormat::Json;
    let fields = log.fields.iter().map(|field| json!(field.name()));
    object([
        ("format", json!(log.format.name())),
        (
            "output",
            match &log.output {
                AccessLogOutput::Stdout => json!("stdout"),
                AccessLogOutput::Off => json!("off"),
                AccessLogOutput::File(file) => path(file),
            },
        ),
        (
            "fields",
            has_fields.then(|| fields.collect::<Value>()).into(),
        ),
        ("sample", json!(log.sample)),
        (
            "redact",
            log.redact.iter().map(|mask| mask.name()).collect(),
        ),
    ])
}

fn admin(admin: &AdminConfig) -> Value {
    let tokens = (!admin.tokens.is_empty()).then(|| all(&admin.tokens, token));
    object([
        ("address", json!(admin.address)),
        (
            "token",
            admin.token.as_ref().map_or(Value::Null, recognised),
        ),
        ("tokens", tokens.into()),
    ])
}

fn token(token: &TokenConfig) -> Value {
    object([
        ("roles", json!(token.roles)),
        ("secret", recognised(&token.secret)),
        ("expires", token.expires.map(moment).into()),
    ])
}

/// What a token is recognised by. The hash is not shown either: it tells a guess at a weak secret
/// from the secret.
fn recognised(secret: &TokenSecret) -> Value {
    hidden(secret.file())
}

/// In UTC.
fn moment(time: SystemTime) -> Value {
    // Out of range is nothing that was read.
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    Value::String(time.to_string())
}

/// What is said of a secret: that there is one, or where it lies.
fn secret(secret: &Secret) -> Value {
    hidden(secret.file())
}

fn hidden(file: Option<&Path>) -> Value {
    match file {
        Some(file) => json!({ "file": path(file) }),
        None => json!(REDACTED),
    }
}
