//! Reads what concerns the process as a whole: `[runtime]`, `[shutdown]`, `[access_log]`, `[trace]`
//! and `[metrics]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderName;

use crate::config::listener::{WAIT, count};
use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::config::settings::{
    AccessLogConfig, AccessLogFormat, AccessLogOutput, Io, MetricsConfig, RuntimeConfig,
    ShutdownConfig, TraceConfig,
};
use crate::config::unit::write_duration;
use crate::message::Known;
use crate::telemetry::access_log::{Field, Mask};
use crate::telemetry::stats::Buckets;

/// What a part of the shutdown may last; nothing is a choice, too.
const PAUSE: RangeInclusive<Duration> = Duration::ZERO..=*WAIT.end();
/// The most worker threads: more than any machine has cores for.
const MAX_WORKERS: u64 = 1024;

/// Reads `[runtime]`.
pub(crate) fn runtime(root: &mut Table<'_>) -> RuntimeConfig {
    let mut runtime = RuntimeConfig::default();
    root.section("runtime", |table| {
        table.set("workers", &mut runtime.workers, |value| {
            count(value, 0..=MAX_WORKERS)
        });
        let choices = [Io::Auto, Io::Epoll, Io::IoUring];
        table.set("io", &mut runtime.io, |value| {
            value.choice(&choices.map(|io| (io.name(), io)))
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
        let fields = Field::ALL.map(|field| (field.name(), field));
        let chosen = table.optional("fields");
        if let Some(value) = &chosen
            && log.format != AccessLogFormat::Json
        {
            let format = log.format.name();
            value.refuse_key(format!("the format \"{format}\" has fields of its own"));
        }
        if let Some(chosen) = chosen.and_then(|value| words(&value, "a field", &fields)) {
            if chosen.is_empty() {
                table.refuse_key("fields", "none; leave it out for all of them");
            }
            log.fields = chosen;
        }
        table.set("sample", &mut log.sample, Value::share);
        let masks = Mask::ALL.map(|mask| (mask.name(), mask));
        table.set("redact", &mut log.redact, |value| {
            words(value, "what can be masked", &masks)
        });
    });
    log
}

/// Reads `[trace]`.
pub(crate) fn trace(root: &mut Table<'_>) -> TraceConfig {
    let mut trace = TraceConfig::default();
    root.section("trace", |table| {
        table.set("request_id", &mut trace.request_id, |value| {
            let text = value.parsed("\"off\" or the name of a header field", |text| {
                HeaderName::from_bytes(text.as_bytes()).ok()
            })?;
            if text == "off" {
                return Some(None);
            }
            // Those have a meaning of their own.
            if Known::of(text.as_str().as_bytes()) != Known::Other {
                value.refuse(format!("{} is a field with another purpose", value.shown()));
                return None;
            }
            Some(Some(text.as_str().to_owned()))
        });
    });
    trace
}

/// Reads a list of known words, each at most once; `kind` says what one of them is.
fn words<T: Copy + PartialEq>(
    value: &Value<'_>,
    kind: &str,
    known: &[(&str, T)],
) -> Option<Vec<T>> {
    let mut seen = Vec::new();
    value.list(&format!("a list of words, each {kind}"), |value| {
        value.may_be(|| known.iter().map(|(name, _)| (*name).to_owned()));
        let text = value.parsed(kind, Some)?;
        let names = || known.iter().map(|&(name, _)| name);
        let Some(&(_, word)) = known.iter().find(|&&(name, _)| name == text) else {
            value.refuse(format!(
                "{} is not {kind}{} (known here: {})",
                value.shown(),
                near::hint(text, names()),
                names().collect::<Vec<_>>().join(", ")
            ));
            return None;
        };
        if seen.contains(&word) {
            value.refuse(format!("{} stands there twice", value.shown()));
            return None;
        }
        seen.push(word);
        Some(word)
    })
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
    // What the measuring takes: a file that is checked is one that runs.
    if let Err(error) = Buckets::new(&buckets) {
        value.refuse(error.to_string());
        return None;
    }
    Some(buckets)
}
