//! The configuration: from a file to values that hold.
//!
//! `tidegate.toml` is read as a whole or refused with every problem in it, each at its place.
//! [`Config`] is what was meant: checked, with all defaults. Nothing here knows what is built from
//! it, and nothing behind it reads TOML. [`watch`] says when it is time to look again.
//!
//! A new key has its place in the reader of its section, in `settings` or beside the reader, in
//! `effective`, and in the reference `config/tidegate.toml`; the schema hears of it from the reader.
//! A test fails for each that is left out.

mod admin;
mod advice;
mod certificates;
mod direct;
mod disk;
mod dump;
mod effective;
mod flags;
mod guard;
mod health;
mod include;
mod last_good;
mod listener;
mod load;
mod locate;
mod matching;
mod mirror;
mod moment;
mod near;
mod ofrep;
mod overload;
mod pattern;
mod pins;
pub mod plan;
mod problem;
mod process;
mod rate_limit;
mod reader;
mod releases;
mod resolver;
mod role;
mod route;
mod schema;
mod secret;
mod sections;
mod segment;
mod settings;
mod sources;
mod sticky;
mod terms;
#[cfg(test)]
mod tests;
mod tls;
mod treatment;
mod tunnels;
mod unit;
mod upgrade;
mod upstream;
pub mod watch;

pub use admin::{ADMIN_TOKEN, AdminConfig, TokenConfig, TokenSecret};
pub use direct::{DirectConfig, RespondBody, RespondConfig};
pub use dump::{as_file, of_effective};
pub use flags::FlagsConfig;
pub use last_good::{LastGood, store_folder};
#[doc(hidden)]
pub use load::parse_alone;
pub use load::{Loaded, load, parse};
pub use locate::Texts;
pub use mirror::MirrorConfig;
pub(crate) use near::hint;
pub use ofrep::{OFREP_UPSTREAM, OfrepConfig, OfrepScope, OfrepToken};
pub use overload::{MemoryBound, OverloadConfig};
pub(crate) use problem::with_causes;
pub use problem::{Problem, Problems};
pub(crate) use rate_limit::write as write_rate;
pub use releases::{NotifyConfig, OnStateLost, ReleasesConfig, StoreConfig, release_of};
pub use resolver::ResolverConfig;
pub use route::{ONLY_VARIANT, OnUnavailable, RouteConfig};
pub use schema::{schema, without_defaults};
pub use secret::Secret;
pub use segment::SegmentConfig;
pub use settings::{
    AccessLogConfig, AccessLogFormat, AccessLogOutput, Balance, CertificateFiles, ClientAuth,
    ClientsConfig, Config, Forwarded, Io, ListenerConfig, ListenerTimeouts, MetricsConfig,
    Protocol, RuntimeConfig, ShutdownConfig, TlsConfig, TraceConfig, UpstreamConfig,
    UpstreamTimeouts, UpstreamTlsConfig, Verify,
};
pub use sources::Sources;
pub use sticky::DivisionSecrets;
pub use treatment::{AssignmentHeaders, HeaderEdits, HeaderText, TreatmentConfig};
pub use tunnels::{OnOff, TunnelsConfig};
pub(crate) use unit::{read_duration, write_duration};
pub use upgrade::UpgradeConfig;
