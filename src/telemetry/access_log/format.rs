//! From an entry to its line.

use std::array;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::message::{Address, Version};
use crate::telemetry::access_log::mask::Masks;
use crate::telemetry::access_log::{Entry, Field, Format, escape};
use crate::telemetry::stats::Selection;

/// How the lines of a log look.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) format: Format,
    /// The members of a JSON line, in their order.
    pub(crate) fields: Box<[Field]>,
    pub(crate) masks: Masks,
}

/// What a thread makes its lines with: memory that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Formatter {
    line: Vec<u8>,
    clock: Clock,
}

impl Formatter {
    /// Makes the line of an entry, with its end.
    pub(crate) fn line(&mut self, form: &Form, entry: &Entry<'_>) -> &[u8] {
        let Self { line, clock } = self;
        line.clear();
        let since_1970 = entry
            .at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let second = clock.text(form.format, since_1970.as_secs());
        match form.format {
            Format::Json => json(line, second, since_1970.subsec_millis(), form, entry),
            Format::Common => common(line, second, form.masks, entry),
            Format::Combined => {
                common(line, second, form.masks, entry);
                let referer = form.masks.referer(entry.referer);
                let user_agent = form.masks.user_agent(entry.user_agent);
                for field in [referer, user_agent] {
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
///
/// A line has some twenty members, so names are written with their punctuation, in one piece. Each
/// begins with a comma, and the first comma becomes the brace.
fn json(line: &mut Vec<u8>, second: &str, millis: u32, form: &Form, entry: &Entry<'_>) {
    let mut object = Object { line };
    for field in &form.fields {
        member(&mut object, *field, second, millis, form.masks, entry);
    }
    match line.first_mut() {
        Some(first) => *first = b'{',
        None => line.push(b'{'),
    }
    line.push(b'}');
}

fn member(
    object: &mut Object<'_>,
    field: Field,
    second: &str,
    millis: u32,
    masks: Masks,
    entry: &Entry<'_>,
) {
    match field {
        Field::Ts => object.quoted(r#","ts":""#, |line| {
            line.extend_from_slice(second.as_bytes());
            push_thousandths(line, millis.into());
            line.push(b'Z');
        }),
        Field::Listener => object.word(r#","listener":""#, entry.listener),
        Field::Route => object.word_if_known(r#","route":""#, entry.route),
        Field::Variant => object.word_if_known(r#","variant":""#, entry.variant),
        Field::ServedVariant => {
            object.word_if_known(r#","served_variant":""#, entry.served_variant);
        }
        Field::Selection => {
            object.word_if_known(r#","selection":""#, entry.selection.map(Selection::label));
        }
        Field::Segment => object.word_if_known(r#","segment":""#, entry.segment),
        Field::Flags => object.words(r#","flags":{"#, entry.flags),
        Field::KeyHash => {
            if let Some(hash) = entry.key_hash {
                object.quoted(r#","key_hash":""#, |line| push_hash(line, hash));
            }
        }
        Field::Method => object.text(r#","method":""#, entry.method),
        Field::Host => object.text(r#","host":""#, entry.host),
        Field::Path => object.text(r#","path":""#, entry.path),
        Field::Query => {
            if let Some(query) = masks.query(entry.query) {
                object.text(r#","query":""#, query);
            }
        }
        Field::Status => object.number(r#","status":"#, entry.status.into()),
        Field::Source => object.word(r#","source":""#, entry.source.label()),
        Field::Reason => {
            object.word_if_known(r#","reason":""#, entry.reason);
        }
        Field::BytesIn => object.number(r#","bytes_in":"#, entry.bytes_in),
        Field::BytesOut => object.number(r#","bytes_out":"#, entry.bytes_out),
        Field::DurationMs => object.millis(r#","duration_ms":"#, Some(entry.duration)),
        Field::TtfbMs => object.millis(r#","ttfb_ms":"#, entry.response_headers),
        Field::UpstreamConnectMs => {
            object.millis(r#","upstream_connect_ms":"#, entry.upstream_connect);
        }
        Field::Attempts => object.number(r#","attempts":"#, entry.attempts.into()),
        Field::Mirror => object.word_if_known(r#","mirror":""#, entry.mirror),
        Field::Endpoint => {
            if let Some(endpoint) = entry.endpoint {
                object.quoted(r#","endpoint":""#, |line| push_endpoint(line, endpoint));
            }
        }
        Field::ClientIp => object.quoted(r#","client_ip":""#, |line| {
            push_address(line, masks.address(entry.client_ip));
        }),
        Field::Protocol => object.word(r#","protocol":""#, entry.protocol.name()),
        Field::UpstreamProtocol => {
            let protocol = entry.upstream_protocol.map(Version::name);
            object.word_if_known(r#","upstream_protocol":""#, protocol);
        }
        Field::GrpcStatus => object.word_if_known(r#","grpc_status":""#, entry.grpc_status),
        Field::Generation => object.number(r#","generation":"#, entry.generation),
        Field::RequestId => {
            if let Some(id) = entry.request_id {
                object.text(r#","request_id":""#, id);
            }
        }
        Field::TraceId => {
            if let Some(id) = entry.trace_id {
                object.text(r#","trace_id":""#, id);
            }
        }
    }
}

/// Appends `host ident user [time] "request" status bytes`, as Apache's `%h %l %u %t "%r" %>s %b`.
fn common(line: &mut Vec<u8>, second: &str, masks: Masks, entry: &Entry<'_>) {
    push_address(line, masks.address(entry.client_ip));
    line.extend_from_slice(b" - - [");
    line.extend_from_slice(second.as_bytes());
    line.extend_from_slice(b"] \"");
    if entry.method.is_empty() {
        line.push(b'-');
    } else {
        escape::apache(line, entry.method);
        line.push(b' ');
        escape::apache(line, entry.path);
        if let Some(query) = masks.query(entry.query) {
            line.push(b'?');
            escape::apache(line, query);
        }
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

/// The members of a JSON object, each behind a comma.
struct Object<'a> {
    line: &'a mut Vec<u8>,
}

impl Object<'_> {
    fn text(&mut self, name: &str, value: &[u8]) {
        self.quoted(name, |line| escape::json(line, value));
    }

    /// A value of the configuration's or our own: a name or a label, with nothing to escape.
    fn word(&mut self, name: &str, value: &str) {
        self.quoted(name, |line| line.extend_from_slice(value.as_bytes()));
    }

    fn word_if_known(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.word(name, value);
        }
    }

    /// An object whose members are such words; `name` ends with the brace. Left out without any.
    fn words(&mut self, name: &str, words: &[(&str, &str)]) {
        if words.is_empty() {
            return;
        }
        let mut before = name;
        for (name, value) in words {
            self.line.extend_from_slice(before.as_bytes());
            self.line.push(b'"');
            self.line.extend_from_slice(name.as_bytes());
            self.line.extend_from_slice(br#"":"#);
            self.quoted("\"", |line| line.extend_from_slice(value.as_bytes()));
            before = ",";
        }
        self.line.push(b'}');
    }

    /// A value whose text `push` appends, escaped where it must be; `name` ends with the quote before
    /// it.
    fn quoted(&mut self, name: &str, push: impl FnOnce(&mut Vec<u8>)) {
        self.line.extend_from_slice(name.as_bytes());
        push(self.line);
        self.line.push(b'"');
    }

    fn number(&mut self, name: &str, value: u64) {
        self.line.extend_from_slice(name.as_bytes());
        push_number(self.line, value);
    }

    /// Milliseconds to the microsecond.
    fn millis(&mut self, name: &str, value: Option<Duration>) {
        let Some(value) = value else { return };
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.number(name, micros / 1000);
        push_thousandths(self.line, micros % 1000);
    }
}

/// Appends an address. Version 4 is written by hand: it is what most lines have, twice.
fn push_address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            push_number(line, first.into());
            for octet in rest {
                line.push(b'.');
                push_number(line, octet.into());
            }
        }
        IpAddr::V6(address) => {
            let _ = write!(line, "{address}");
        }
    }
}

/// Appends an address with its port.
fn push_endpoint(line: &mut Vec<u8>, endpoint: &Address) {
    match endpoint {
        Address::Tcp(SocketAddr::V4(endpoint)) => {
            push_address(line, IpAddr::V4(*endpoint.ip()));
            line.push(b':');
            push_number(line, endpoint.port().into());
        }
        Address::Tcp(SocketAddr::V6(_)) => {
            let _ = write!(line, "{endpoint}");
        }
        // Nothing in it needs to be escaped: the configuration takes no other paths.
        Address::Unix(_) => {
            let _ = write!(line, "{endpoint}");
        }
    }
}

/// Appends 16 hexadecimal digits.
fn push_hash(line: &mut Vec<u8>, hash: u64) {
    let digit = |at: usize| b"0123456789abcdef"[(hash >> (60 - 4 * at) & 0xf) as usize];
    line.extend_from_slice(&array::from_fn::<u8, 16, _>(digit));
}

/// Appends `.` and three digits.
fn push_thousandths(line: &mut Vec<u8>, thousandths: u64) {
    let digit = |power: u64| b'0' + (thousandths / power % 10) as u8;
    line.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

/// Appends a number in decimal; a line has many, and this takes a fraction of what `write!` does.
fn push_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
