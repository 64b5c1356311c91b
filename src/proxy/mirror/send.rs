//! A copy on its way, and its answer, which nobody gets.

use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, ready};
use std::time::Instant;

use http::Request;
use tokio::time::timeout;
use tracing::warn;

use crate::http1::codec::read_response;
use crate::http1::{Incoming, Outgoing, Pump, ReadError, Scratch};
use crate::message::{Framing, Tap};
use crate::proxy::Error;
use crate::proxy::Inner;
use crate::proxy::attempt::UPSTREAM_LIMITS;
use crate::proxy::grpc;
use crate::proxy::interim::Interim;
use crate::proxy::mirror::compare::Digest;
use crate::proxy::mirror::copy::{Head, Parcel};
use crate::proxy::stream::{Answer, Call, Coming, Dropped, Part, Upload};
use crate::proxy::trailers::read_trailers;
use crate::proxy::trouble::Trouble;
use crate::telemetry::stats::{CloseReason, GrpcStatus, MirrorResult};
use crate::upstream::{Lease, Leased, StreamLease};

/// Why a copy was not answered.
enum Fault {
    /// No endpoint may be used.
    Unavailable,
    /// The connection had waited, and had been closed meanwhile.
    Stale(Error),
    /// It is this.
    Failed(Error),
}

/// What comes of an answer besides its head.
#[derive(Default)]
struct Heard {
    /// What it says of a call of gRPC.
    grpc: Option<GrpcStatus>,
    digest: Rc<Digest>,
}

/// Sends a copy and reads its answer to the end, all of it within the mirror's time.
pub(in crate::proxy::mirror) async fn send(parcel: Parcel, worker: Weak<Inner>) {
    let rule = parcel.place.rule();
    let started = Instant::now();
    let result = match timeout(rule.timeout, carry(&parcel)).await {
        Ok(Ok(())) => {
            rule.stats.answered(parcel.place.worker, started.elapsed());
            return;
        }
        Ok(Err(Fault::Unavailable)) => MirrorResult::DroppedUnavailable,
        Ok(Err(Fault::Stale(error) | Fault::Failed(error))) => {
            let route = parcel.place.route();
            let (mirror, reason) = (&*rule.name, error.reason().label());
            if worker
                .upgrade()
                .is_some_and(|worker| worker.mirrors.is_to_tell())
            {
                warn!(%route, %mirror, reason, %error, "a copy of a request failed");
            }
            MirrorResult::Error
        }
        Err(_elapsed) => MirrorResult::Timeout,
    };
    rule.stats.ended(parcel.place.worker, result);
}

/// Sends it; once more where a connection that had waited turns out to be closed.
async fn carry(parcel: &Parcel) -> Result<(), Fault> {
    let mut scratch = Scratch::take();
    let mut fresh = false;
    let settings = parcel.upstream.upstream().settings();
    let behalf = settings.proxy_protocol.map(|_| parcel.behalf);
    let behalf = behalf.as_ref();
    loop {
        let pool = parcel.upstream.pick(parcel.key, None);
        let pool = pool.ok_or(Fault::Unavailable)?;
        let waiting = (!fresh)
            .then(|| pool.checkout(Instant::now(), 0, behalf))
            .flatten();
        let lease = match waiting {
            Some(lease) => lease,
            None => {
                let within = settings.timeouts.connect;
                let connected = pool.connect(within, 0, behalf).await;
                connected.map_err(|error| Fault::Failed(error.into()))?
            }
        };
        let mut heard = Heard::default();
        let comparison = parcel.comparison.as_ref();
        let tap = comparison.map_or_else(Tap::default, |comparison| comparison.tap(&heard.digest));
        let carried = match (lease, &parcel.head) {
            (Leased::Http1(lease), Head::Http1(head)) => {
                http1(parcel, head, lease, &mut scratch, tap, &mut heard).await
            }
            (Leased::Http2(lease), Head::Http2(_)) => {
                http2(parcel, lease, &mut scratch, tap, &mut heard).await
            }
            // An upstream speaks one of the two.
            (Leased::Http1(_) | Leased::Http2(_), _) => Err(Fault::Unavailable),
        };
        match carried {
            Err(Fault::Stale(_)) if !fresh && parcel.is_idempotent => fresh = true,
            Err(fault) => return Err(fault),
            Ok(()) => {
                if let Some(comparison) = comparison {
                    let grpc = parcel
                        .is_grpc
                        .then(|| heard.grpc.unwrap_or(GrpcStatus::None));
                    comparison.take(&scratch.response, grpc, &heard.digest);
                }
                scratch.response.clear();
                scratch.give();
                return Ok(());
            }
        }
    }
}

async fn http1(
    parcel: &Parcel,
    head: &[u8],
    mut lease: Lease,
    scratch: &mut Scratch,
    tap: Tap,
    heard: &mut Heard,
) -> Result<(), Fault> {
    let request = parcel.http1(head);
    let mut written = 0;
    let mut broken = false;
    let mut interim = Interim::default();
    let mut pump: Option<Pump> = None;
    let mut body = Vec::new();
    let read = poll_fn(|context| {
        let connection = lease.connection();
        if written < request.len() && !broken {
            let sent = connection.poll_write_both(context, &request, &[], &mut written);
            // An endpoint may answer without having read everything.
            broken = matches!(sent, Poll::Ready(Err(_)));
        }
        loop {
            if let Some(pump) = &mut pump {
                body.clear();
                let read = pump.poll_decode(context, connection, &mut body);
                ready!(read).map_err(Trouble::Download)?;
                if pump.is_read() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let response = &mut scratch.response;
            let read = connection.poll_head(context, &UPSTREAM_LIMITS, |_, head, _| {
                read_response(head, &UPSTREAM_LIMITS, parcel.asked, response)?;
                Ok(((), 0))
            });
            match ready!(read) {
                Ok(Some(())) => {}
                Ok(None) => return Poll::Ready(Err(Trouble::Closed)),
                Err(error) => return Poll::Ready(Err(Trouble::Read(error))),
            }
            if response.status == 101 {
                return Poll::Ready(Err(Trouble::Unasked));
            }
            if response.is_interim() {
                interim.count()?;
                continue;
            }
            let incoming = Incoming::new(response.framing, &UPSTREAM_LIMITS);
            pump = Some(Pump::new(incoming, Outgoing::Raw, None).with_tap(tap.clone()));
        }
    });
    match read.await {
        Ok(()) => {
            heard.grpc = grpc::in_head(&scratch.response).or_else(|| {
                let trailers = pump.as_ref().map(|pump| read_trailers(pump.trailers()));
                trailers.as_ref().and_then(grpc::in_trailers)
            });
            let response = &scratch.response;
            if written < request.len() {
                lease.close(CloseReason::Abandoned);
            } else if response.keep_alive && response.framing != Framing::UntilClose {
                lease.give_back(Instant::now());
            } else {
                lease.close(CloseReason::Upstream);
            }
            Ok(())
        }
        Err(trouble) => {
            let is_silent = match &trouble {
                Trouble::Closed | Trouble::Read(ReadError::Io(_)) => {
                    lease.connection().inbox().is_empty()
                }
                _ => false,
            };
            let was_reused = lease.was_reused();
            lease.close(CloseReason::Error);
            let error = trouble.into_error();
            Err(match is_silent && was_reused {
                true => Fault::Stale(error),
                false => Fault::Failed(error),
            })
        }
    }
}

async fn http2(
    parcel: &Parcel,
    lease: StreamLease,
    scratch: &mut Scratch,
    tap: Tap,
    heard: &mut Heard,
) -> Result<(), Fault> {
    let Head::Http2(head) = &parcel.head else {
        return Err(Fault::Unavailable);
    };
    let was_reused = lease.was_reused();
    let fault = |trouble: Trouble| match (&trouble, was_reused) {
        (Trouble::Stream(error), true) if error.is_io() || error.is_go_away() => {
            Fault::Stale(trouble.into_error())
        }
        _ => Fault::Failed(trouble.into_error()),
    };
    let mut upload = Upload::new(parcel.framing, None);
    let mut call = open(lease, head, upload.is_empty())?;
    let mut rest = Some(parcel.body()).filter(|body| !body.is_empty());
    let mut interim = Interim::default();
    let mut coming: Option<Coming> = None;
    let read = poll_fn(|context| {
        if !upload.is_done() {
            // An endpoint may answer without having read everything.
            let _sent = upload.poll(context, &mut call.sending, |_| {
                Poll::Ready(Ok(match rest.take() {
                    Some(body) => Part::Data(body, true),
                    None => Part::End(None),
                }))
            });
        }
        loop {
            if let Some(coming) = &mut coming {
                match ready!(coming.poll_part(context)).map_err(Trouble::Download)? {
                    Part::Data(_, false) => {}
                    Part::Data(_, true) => return Poll::Ready(Ok(())),
                    Part::End(trailers) => {
                        heard.grpc = trailers.as_ref().and_then(grpc::in_trailers);
                        return Poll::Ready(Ok(()));
                    }
                }
                continue;
            }
            let head = &mut scratch.response;
            match ready!(call.poll_head(context, parcel.asked, head))? {
                Answer::Interim => interim.count()?,
                Answer::Final(response) => {
                    heard.grpc = grpc::in_head(head);
                    let left = match head.framing {
                        Framing::None => return Poll::Ready(Ok(())),
                        Framing::Length(length) => Some(length),
                        Framing::Chunked | Framing::UntilClose => None,
                    };
                    if left == Some(0) {
                        return Poll::Ready(Ok(()));
                    }
                    let body = Coming::new(response, None, left, Dropped::default());
                    coming = Some(body.with_tap(tap.clone()));
                }
            }
        }
    });
    read.await.map_err(fault)
}

/// Opens a stream for a copy.
fn open(lease: StreamLease, head: &Request<()>, is_whole: bool) -> Result<Call, Fault> {
    Call::open(lease, head.clone(), is_whole).map_err(Fault::Stale)
}
