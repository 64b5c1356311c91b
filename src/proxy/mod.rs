//! The straight line from a request to its response.
//!
//! A request's head comes in from `listener`; `decide` finds its route and its
//! variant; `forward` carries it to an endpoint and the response back, between two HTTP/1 sockets
//! in one task; `translate` does the same for an HTTP/2 client; what a route says by itself is
//! `direct`. Whatever goes wrong is an
//! [`Error`], which becomes an own answer in one place. The exchange counts and logs itself when it
//! ends. This module knows no files, no TOML and no releases: it obeys a [`Snapshot`].

mod answer;
mod attempt;
mod body;
mod decide;
mod dial;
mod direct;
mod error;
mod exchange;
mod flags;
mod forward;
mod grpc;
mod headers;
mod http2_head;
mod interim;
mod mirror;
mod rate_limit;
mod redirect;
mod reply;
mod request_id;
mod retry;
mod snapshot;
mod stream;
mod switch;
mod trace_context;
mod trailers;
mod translate;
mod treatment;
mod trouble;
mod tunnel;
mod unread;
mod websocket;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use bytes::Bytes;
use http::{Request, Response};
use tokio::time::interval;

use crate::http1::{Connection, Deadline, Scratch};
use crate::listener::{After, ClientBody, HeldSettings, Peer, Refusal, Service, Settings};
use crate::message::Body;
use crate::proxy::answer::Answer;
use crate::proxy::exchange::Exchange;
use crate::proxy::mirror::Outbox;
use crate::proxy::request_id::Generator;
use crate::proxy::snapshot::Local;
use crate::proxy::unread::Unread;
use crate::tls::Stream;
use crate::upstream::{self, Pools};

pub use direct::{Direct, Page};
pub use error::{Error, Side};
pub use flags::{Edge, RouteFlags, ServedFlag, evaluated};
pub(crate) use headers::asks_for_upgrade;
pub use headers::{
    FieldEdits, RequestEdit, ResponseEdit, Rewritten, owner_in_requests, owner_in_responses,
    write_request, write_response,
};
pub use mirror::{Cap, Compare, Mirror};
pub use rate_limit::{Limited, Rate, RateLimit, RouteLimits};
pub use redirect::{Nowhere, Redirect};
pub use snapshot::{Route, Rule, Snapshot, Variant};
pub use switch::{Cut, TunnelSwitch};
pub use treatment::{RouteTimeouts, Treatment};

/// How often a worker looks after what waits: pooled connections, and a snapshot that is old.
const SWEEP: Duration = Duration::from_secs(1);

/// Deadlines that a worker keeps for streams to come: taking a timer out of the runtime's wheel and
/// putting another one in costs more than leaving it where it is.
const DEADLINES: usize = 128;

/// The data plane on one worker.
#[derive(Clone)]
pub struct Proxy {
    inner: Rc<Inner>,
}

/// What the exchanges of one worker share.
pub(crate) struct Inner {
    pub(crate) index: usize,
    source: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    local: RefCell<Rc<Local>>,
    pub(crate) pools: Pools,
    /// Copies of requests that are on their way.
    pub(crate) mirrors: Outbox,
    request_ids: Generator,
    /// Deadlines of streams of HTTP/2 that have ended, with their timers.
    deadlines: RefCell<Vec<Deadline>>,
}

impl Proxy {
    /// Makes the data plane of worker `index`, which obeys what `source` points at.
    pub fn new(index: usize, source: Arc<ArcSwap<Snapshot>>) -> Self {
        let local = Rc::new(Local::new(source.load_full()));
        Self {
            inner: Rc::new(Inner {
                index,
                source: RefCell::new(Cache::new(source)),
                local: RefCell::new(local),
                pools: Pools::default(),
                mirrors: Outbox::default(),
                request_ids: Generator::new(),
                deadlines: RefCell::default(),
            }),
        }
    }

    /// Looks after what waits on this worker, for ever.
    pub async fn look_after(self) {
        let mut ticks = interval(SWEEP);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = upstream::wanted() => {}
            }
            // An idle worker lets go of an old snapshot and of old endpoints, too.
            self.inner.local().follow();
            self.inner.pools.sweep();
            self.inner.mirrors.sweep();
        }
    }
}

impl Inner {
    /// A deadline for a stream; most likely its timer is armed already.
    fn take_deadline(&self) -> Deadline {
        self.deadlines.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a deadline back.
    fn give_deadline(&self, mut deadline: Deadline) {
        deadline.clear();
        let mut deadlines = self.deadlines.borrow_mut();
        if deadlines.len() < DEADLINES {
            deadlines.push(deadline);
        }
    }

    /// The snapshot of now, as this worker sees it.
    pub(crate) fn local(&self) -> Rc<Local> {
        let mut source = self.source.borrow_mut();
        let current = source.load();
        let mut local = self.local.borrow_mut();
        if !Arc::ptr_eq(current, &local.snapshot) {
            *local = Rc::new(Local::new(Arc::clone(current)));
        }
        Rc::clone(&local)
    }
}

impl Service for Proxy {
    fn settings(&self, listener: &str) -> Option<Arc<Settings>> {
        self.inner.local().snapshot.listeners.get(listener).cloned()
    }

    fn generation(&self) -> u64 {
        self.inner.local().snapshot.generation
    }

    async fn http1(
        &self,
        connection: &mut Connection<Stream>,
        deadline: &mut Deadline,
        scratch: Box<Scratch>,
        from: &Rc<Peer>,
        settings: &Arc<Settings>,
        last: &dyn Fn() -> bool,
    ) -> After {
        // In a box, so that an idle connection has no room for it.
        let mut exchange = Box::new(self.begin(scratch, from, settings));
        let mut client = forward::Client {
            connection,
            deadline,
            settings,
            last,
            unread: Unread::Whole,
            leaving: None,
        };
        let answered = match forward::exchange(&mut exchange, &mut client).await {
            Ok(after) => after,
            Err(error) => forward::answer(&mut exchange, &mut client, error).await,
        };
        // It ends with its answer, however long the client goes on sending.
        drop(exchange);
        client.after(answered).await
    }

    fn http2(
        &self,
        request: Request<ClientBody>,
        from: &Rc<Peer>,
        settings: Rc<HeldSettings>,
    ) -> impl Future<Output = Response<Body>> + use<> {
        // Before the future, which so has no room for a head that is read once.
        let (mut parts, body) = request.into_parts();
        let mut scratch = Scratch::take();
        let read = http2_head::read(&parts, &body, &mut scratch.request, &settings);
        let mut exchange = Box::new(self.begin(scratch, from, &settings));
        exchange.connect = parts.extensions.remove();
        async move {
            let result = match read {
                Ok(()) => translate::exchange(exchange, body, &settings).await,
                Err(error) => Err((exchange, error)),
            };
            result.unwrap_or_else(|(mut refused, error)| translate::answer(&mut refused, error))
        }
    }

    fn refuse(&self, refusal: &Refusal, from: &Peer) -> Bytes {
        let error = match refusal {
            Refusal::Head(error) => Error::Head(*error),
            Refusal::Timeout => Error::ClientTimeout,
        };
        let answer = Answer::new(&error, None);
        let local = self.inner.local();
        local.unrouted(&from.listener, self.inner.index, answer.status());
        let mut out = Vec::new();
        answer.write_http1(&mut out, false, true);
        Bytes::from(out)
    }
}

impl Proxy {
    fn begin(&self, mut scratch: Box<Scratch>, from: &Rc<Peer>, settings: &Settings) -> Exchange {
        let client =
            settings
                .trusted
                .client(from.address.ip(), &scratch.request, settings.forwarded);
        let local = self.inner.local();
        let request_id = local.snapshot.request_id.as_ref().map(|name| {
            let ids = &self.inner.request_ids;
            request_id::identify(&mut scratch.request, name, client.trusted, ids)
        });
        Exchange::new(&self.inner, local, from, scratch, client, request_id)
    }
}
