//! The numbers of requests, connections and tunnels, as the workers record them.
//!
//! Each worker has a shard of its own of every set of numbers, made when it first records there.
//! A shard has one writer, so adding is a plain load and store; readers on other threads see each
//! number whole, and may see one number a moment before another. The one order that holds is that
//! who sees an end also sees its beginning, so that nothing looks drained which is not.

mod codes;
mod connections;
mod counter;
mod flag;
mod grpc;
mod handshakes;
mod histogram;
mod judged;
mod labels;
mod mirror;
mod route;
mod rule;
mod shards;
mod totals;
mod variant;

pub use codes::{Code, CodeKey};
pub use connections::{
    ListenerShard, ListenerStats, ListenerTotals, UpstreamShard, UpstreamStats, UpstreamTotals,
};
pub use counter::Counter;
pub use flag::{FlagEvaluated, FlagLabels, FlagReason, FlagStats, FlagTotals};
pub use grpc::GrpcStatus;
pub use handshakes::Handshake;
pub use histogram::{Buckets, BucketsError, HistogramTotals};
pub use judged::{Class, Judged, N_SLICES};
pub use labels::{
    AbortReason, AttemptResult, BreakerState, CheckResult, CloseReason, ErrorReason,
    ForcedRejection, KeyExchange, Limit, MirrorResult, Mismatch, Outcome, PauseReason, Protocol,
    RejectReason, Resolution, RetryCause, RetryResult, Selection, Source, StickyKind, TlsSession,
    TlsVersion, TunnelEnd,
};
pub use mirror::{MirrorStats, MirrorTotals};
pub use route::{RouteShard, RouteStats, RouteTotals};
pub use rule::{RuleLabels, RuleStats};
pub use totals::VariantTotals;
pub use variant::{Finished, Shard, VariantLabels, VariantStats};
