//! The access log: one line for each exchange.
//!
//! A worker formats the line and leaves it in a buffer in memory; a thread of its own writes the
//! buffers out. When that thread cannot keep up, because a disk is slow or nobody reads the pipe,
//! lines are dropped and counted: a log never makes a request wait. Lines of different workers
//! stand up to a few milliseconds out of order.

mod escape;
mod field;
mod format;
mod mask;
mod outputs;
mod sample;
mod sink;

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::message::{Address, Version};
use crate::telemetry::access_log::format::{Form, Formatter};
use crate::telemetry::access_log::mask::Masks;
use crate::telemetry::access_log::sample::Sample;
use crate::telemetry::access_log::sink::Sink;
use crate::telemetry::stats::{Selection, Source};

pub use field::Field;
pub use mask::Mask;
pub use outputs::Outputs;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// One JSON object, with everything that is known.
    #[default]
    Json,
    /// Apache's common format.
    Common,
    /// Apache's combined format: common with referer and user agent.
    Combined,
}

/// Where the lines go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Output {
    /// To standard output.
    #[default]
    Stdout,
    /// Nowhere.
    Off,
    /// To the end of this file, which is made if it is not there.
    Path(PathBuf),
}

/// What the access log is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How a line looks.
    pub format: Format,
    /// Where the lines go.
    pub output: Output,
    /// The members of a JSON line, in their order.
    pub fields: Vec<Field>,
    /// The share of successes that is written, from 0 to 1; what failed always is.
    pub sample: f64,
    /// What is masked.
    pub redact: Vec<Mask>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: Format::default(),
            output: Output::default(),
            fields: Field::ALL.to_vec(),
            sample: 1.0,
            redact: vec![Mask::Query],
        }
    }
}

/// Why there is no access log.
#[derive(Debug, Error)]
pub enum AccessLogError {
    /// The file cannot be opened.
    #[error("cannot open access log {}", path.display())]
    Open {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Standard output is closed.
    #[error("cannot write access log to standard output")]
    Stdout(#[source] io::Error),
    /// The thread that writes cannot be started.
    #[error("cannot start the access log's thread")]
    Thread(#[source] io::Error),
}

/// What there is to say of one exchange.
///
/// All bytes are as the client sent them; they are escaped when the line is made.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// When the request began.
    pub at: SystemTime,
    /// The listener it came by.
    pub listener: &'a str,
    /// The route that caught it.
    pub route: Option<&'a str>,
    /// The variant that was chosen.
    pub variant: Option<&'a str>,
    /// The variant that answered.
    pub served_variant: Option<&'a str>,
    /// How the variant was chosen.
    pub selection: Option<Selection>,
    /// The segment whose rule had the weights that it was chosen by.
    pub segment: Option<&'a str>,
    /// The variants of flags that it had at the edge, by the flags' names.
    pub flags: &'a [(&'a str, &'a str)],
    /// The hash of the key that it was chosen by, so that one user's lines can be found without
    /// the log telling who that is.
    pub key_hash: Option<u64>,
    /// The method; empty when there was no request that could be read.
    pub method: &'a [u8],
    /// The host; empty when there is none.
    pub host: &'a [u8],
    /// The path, without the query.
    pub path: &'a [u8],
    /// The query, which may hold secrets.
    pub query: Option<&'a [u8]>,
    /// The status; 499 when the client went away before it got one.
    pub status: u16,
    /// Who made the response.
    pub source: Source,
    /// What went wrong; or by what word of the configuration a route answered by itself.
    pub reason: Option<&'static str>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// From the first byte of the request to the last of the response.
    pub duration: Duration,
    /// From the sending of the request to the upstream's head.
    pub response_headers: Option<Duration>,
    /// How long a new connection to the endpoint took, if one was made.
    pub upstream_connect: Option<Duration>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The variant or the upstream that got a copy, if one did.
    pub mirror: Option<&'a str>,
    /// The endpoint that was asked last.
    pub endpoint: Option<&'a Address>,
    /// The client's address.
    pub client_ip: IpAddr,
    /// The protocol the request came by.
    pub protocol: Version,
    /// The protocol that the endpoint was asked by.
    pub upstream_protocol: Option<Version>,
    /// What came of a call of gRPC: its number, or `none` or `other`.
    pub grpc_status: Option<&'static str>,
    /// The generation of the configuration that the request obeyed.
    pub generation: u64,
    /// The request's id.
    pub request_id: Option<&'a [u8]>,
    /// The id of the trace that it belongs to.
    pub trace_id: Option<&'a [u8]>,
    /// The Referer field; in the combined format only.
    pub referer: Option<&'a [u8]>,
    /// The User-Agent field; in the combined format only.
    pub user_agent: Option<&'a [u8]>,
}

thread_local! {
    /// What a thread formats its lines with.
    static FORMATTER: RefCell<Formatter> = RefCell::default();
}

/// The access log.
#[derive(Debug)]
pub struct AccessLog {
    form: Form,
    tells_trace: bool,
    sample: Sample,
    /// None when the log is off.
    sink: Option<Arc<Sink>>,
}

impl AccessLog {
    /// True when lines go somewhere: when not, an entry need not be made.
    pub fn is_on(&self) -> bool {
        self.sink.is_some()
    }

    /// Tells, and for each exchange once, whether an entry is to be made of it: of what `failed`
    /// always, of the others as many as the sample says.
    pub fn wants(&self, failed: bool) -> bool {
        failed || self.sample.takes_next()
    }

    /// True when the log tells the fields Referer and User-Agent, which otherwise need not be
    /// looked for.
    pub fn tells_agent(&self) -> bool {
        self.form.format == Format::Combined
    }

    /// True when the log tells the id of the trace, which otherwise need not be looked for.
    pub fn tells_trace(&self) -> bool {
        self.tells_trace
    }

    /// True when nothing may be told by which a client's address could be found out.
    pub fn hides_client(&self) -> bool {
        self.form.masks.client_ip
    }

    /// Formats a line and leaves it to be written, or drops and counts it when there is no room.
    pub fn record(&self, entry: &Entry<'_>) {
        let Some(sink) = &self.sink else { return };
        FORMATTER.with_borrow_mut(|formatter| sink.append(formatter.line(&self.form, entry)));
    }

    /// Writes what has been recorded, then ends the thread. It waits a second at most: nobody may
    /// be reading. Entries that come later are dropped.
    ///
    /// Without it a dropped log is written out too, but nobody waits for that.
    pub fn close(&self) {
        if let Some(sink) = &self.sink {
            sink.close();
        }
    }

    fn new(settings: &Settings, sink: Option<Arc<Sink>>) -> Self {
        let is_json = settings.format == Format::Json;
        Self {
            form: Form::new(settings),
            tells_trace: is_json && settings.fields.contains(&Field::TraceId),
            sample: Sample::new(settings.sample),
            sink,
        }
    }
}

impl Form {
    fn new(settings: &Settings) -> Self {
        Self {
            format: settings.format,
            fields: settings.fields.clone().into(),
            masks: Masks::new(&settings.redact),
        }
    }
}

#[cfg(test)]
mod tests;
