//! From an entry to its line.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::telemetry::access_log::{Entry, Format, escape};
use crate::telemetry::stats::{ErrorReason, Selection};

/// What a thread makes its lines with: memory that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Formatter {
    line: Vec<u8>,
    clock: Clock,
}

impl Formatter {
    /// Makes the line of an entry, with its end.
    pub(crate) fn line(&mut self, format: Format, entry: &Entry<'_>) -> &[u8] {
        let Self { line, clock } = self;
        line.clear();
        let since_1970 = entry
            .at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let second = clock.text(format, since_1970.as_secs());
        match format {
            Format::Json => json(line, second, since_1970.subsec_millis(), entry),
            Format::Common => common(line, second, entry),
            Format::Combined => {
                common(line, second, entry);
                for field in [entry.referer, entry.user_agent] {
                    line.extend_from_slice(b" \"");
                    escape::apache(line, field.unwrap_or(b"-"));
                    line.push(b'"');
                }
            }
        }
        line.push(b'\n');
        line
    }
}

/// The text of the current second, which many lines share.
#[derive(Debug, Default)]
struct Clock {
    of: Option<(Format, u64)>,
    text: String,
}

impl Clock {
    fn text(&mut self, format: Format, second: u64) -> &str {
        if self.of != Some((format, second)) {
            let pattern = match format {
                Format::Json => "%Y-%m-%dT%H:%M:%S",
                Format::Common | Format::Combined => "%d/%b/%Y:%H:%M:%S +0000",
            };
            // A clock that is beyond the year 9999 is wrong, and told as 1970.
            let timestamp = i64::try_from(second)
                .ok()
                .and_then(|second| Timestamp::from_second(second).ok())
                .unwrap_or_default();
            self.text = timestamp.strftime(pattern).to_string();
            self.of = Some((format, second));
        }
        &self.text
    }
}

/// Appends one JSON object; what is not known is left out.
fn json(line: &mut Vec<u8>, second: &str, millis: u32, entry: &Entry<'_>) {
    let _ = write!(line, "{{\"ts\":\"{second}.{millis:03}Z\"");
    let mut object = Object { line };
    object.text("listener", entry.listener.as_bytes());
    object.text_if_known("route", entry.route);
    object.text_if_known("variant", entry.variant);
    object.text_if_known("served_variant", entry.served_variant);
    object.text_if_known(
        "selection",
        entry.selection.map(Selection::label),
    );
    if let Some(hash) = entry.key_hash {
        object.quoted("key_hash", format_args!("{hash:016x}"));
    }
    object.text("method", entry.method);
    object.text("host", entry.host);
    object.text("path", entry.path);
    object.number("status", entry.status.into());
    object.text("source", entry.source.label().as_bytes());
    object.text_if_known("reason", entry.reason.map(ErrorReason::label));
    object.number("bytes_in", entry.bytes_in);
    object.number("bytes_out", entry.bytes_out);
    object.millis("duration_ms", Some(entry.duration));
    object.millis("ttfb_ms", entry.response_headers);
    object.millis("upstream_connect_ms", entry.upstream_connect);
    object.number("attempts", entry.attempts.into());
    if let Some(endpoint) = entry.endpoint {
        object.quoted("endpoint", endpoint);
    }
    object.quoted("client_ip", entry.client_ip);
    object.text("protocol", entry.protocol.name().as_bytes());
    object.number("generation", entry.generation);
    line.push(b'}');
}

/// Appends `host ident user [time] "request" status bytes`, as Apache's `%h %l %u %t "%r" %>s %b`.
fn common(line: &mut Vec<u8>, second: &str, entry: &Entry<'_>) {
    let _ = write!(line, "{} - - [{second}] \"", entry.client_ip);
    if entry.method.is_empty() {
        line.push(b'-');
    } else {
        escape::apache(line, entry.method);
        line.push(b' ');
        escape::apache(line, entry.path);
        line.push(b' ');
        line.extend_from_slice(entry.protocol.name().as_bytes());
    }
    line.extend_from_slice(b"\" ");
    push_number(line, entry.status.into());
    line.push(b' ');
    // `%b` is a dash when there is no body.
    if entry.bytes_out == 0 {
        line.push(b'-');
    } else {
        push_number(line, entry.bytes_out);
    }
}

/// A JSON object that has its first member already.
struct Object<'a> {
    line: &'a mut Vec<u8>,
}

impl Object<'_> {
    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.line.push(b'"');
        escape::json(self.line, value);
        self.line.push(b'"');
    }

    fn text_if_known(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value.as_bytes());
        }
    }

    /// A value whose text needs no escaping.
    fn quoted(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _ = write!(self.line, "\"{value}\"");
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        push_number(self.line, value);
    }

    /// Milliseconds to the microsecond.
    fn millis(&mut self, name: &str, value: Option<Duration>) {
        let Some(value) = value else { return };
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.name(name);
        push_number(self.line, micros / 1000);
        let rest = micros % 1000;
        let digit = |power: u64| b'0' + (rest / power % 10) as u8;
        self.line
            .extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
    }

    fn name(&mut self, name: &str) {
        self.line.extend_from_slice(b",\"");
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
    }
}

/// Appends a number in decimal; a line has many, and this takes a fraction of what `write!` does.
fn push_number(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}
