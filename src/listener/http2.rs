//! One client's HTTP/2 connection. hyper speaks the protocol; here are its limits, its timeouts
//! and its end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::http1::Deadline;
use crate::listener::connect::Connect;
use crate::listener::drain::Handle;
use crate::listener::preface::Begun;
use crate::listener::streams::{Runner, Streams};
use crate::listener::{HeldSettings, LINGER, Peer, Service, Settings};
use crate::message::Body;

/// Bytes that a client may send on a stream, and on all streams together, before it has to wait
/// for the upstream: enough for a long fat line, little enough that many streams stay bounded.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of response that a stream buffers for a client that reads slowly.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that a client may reset before they were accepted, and resets that its errors may make
/// us send, before the connection is closed (CVE-2023-44487, CVE-2025-8671).
const RESETS: usize = 32;

/// How often a client that says nothing is asked whether it is there, and how long it may take.
const PING: Duration = Duration::from_secs(20);

/// Serves a connection until it ends.
pub(crate) async fn serve<V: Service>(
    stream: Begun,
    from: &Rc<Peer>,
    service: &V,
    settings: Arc<Settings>,
    handle: &Rc<Handle>,
) {
    let streams = Streams::new(settings.timeouts.body);
    serve_streams(stream, from, service, settings, handle, &streams).await;
    // Without their connection tunnels end at once, and know by whose doing.
    streams.end().await;
}

async fn serve_streams<V: Service>(
    stream: Begun,
    from: &Rc<Peer>,
    service: &V,
    settings: Arc<Settings>,
    handle: &Rc<Handle>,
    streams: &Streams,
) {
    // A listener that is being given up has no settings any more: the last ones hold.
    let current = RefCell::new((None, Rc::new(HeldSettings(Arc::clone(&settings)))));
    let answer = service_fn(|request| {
        let (generation, current) = &mut *current.borrow_mut();
        if *generation != Some(service.generation()) {
            *generation = Some(service.generation());
            if let Some(changed) = service.settings(&settings.name) {
                *current = Rc::new(HeldSettings(changed));
            }
        }
        let settings = Rc::clone(current);
        let runner = streams.runner().clone();
        let answer = answer(service, request, from, settings, runner.clone());
        async move {
            let response = runner.notes().exchange(answer).await;
            Ok::<_, Infallible>(response.map(|body| runner.notes().body(body)))
        }
    });
    let connection = http2::Builder::new(streams.runner().clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(settings.streams)
        .max_header_list_size(u32::try_from(settings.limits.head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .enable_connect_protocol()
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let mut deadline = Deadline::new();
    // Until the first request; from then on it is idling that ends it.
    deadline.set(settings.timeouts.first_byte);
    let mut ending = false;
    poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        // Only streams keep it from being idle: the deadline's own waking must not move it on.
        if streams.n_running() > 0 {
            deadline.set(if ending {
                LINGER
            } else {
                settings.timeouts.idle
            });
        }
        let idle = deadline.poll(context).is_ready();
        // One that does not even begin, or does not say goodbye, is not waited for.
        if ending && idle {
            return Poll::Ready(());
        }
        if !ending && (idle || handle.is_closing()) {
            ending = true;
            deadline.set(LINGER);
            connection.as_mut().graceful_shutdown();
            // GOAWAY still has to be written.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

/// Answers one request, and runs the tunnel that its stream becomes, if it does.
fn answer<V: Service>(
    service: &V,
    mut request: Request<Incoming>,
    from: &Rc<Peer>,
    settings: Rc<HeldSettings>,
    runner: Runner,
) -> impl Future<Output = Response<Body>> + use<V> {
    let connect = (request.method() == Method::CONNECT)
        .then(|| Connect::new(hyper::upgrade::on(&mut request)));
    if let Some(connect) = &connect {
        request.extensions_mut().insert(connect.clone());
    }
    // In a box, so that the stream's task is small: it is moved more than once.
    let answering = Box::pin(service.http2(request, from, settings));
    async move {
        let (head, body) = answering.await.into_parts();
        let body = match (body, connect) {
            (Body::Tunnel(tunnel), Some(connect)) => {
                runner.tunnel(Arc::clone(connect.sending()), tunnel);
                Body::Empty
            }
            (body, _) => body,
        };
        Response::from_parts(head, body)
    }
}
