//! One exchange: what is known of it, and its end, which is counted and logged exactly once.

mod attempts;
mod class;
mod end;
mod log;
mod mirrored;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::http1::Scratch;
use crate::listener::{Client, Connect, Peer};
use crate::message::{Address, RequestHead, ResponseHead, Span, Version};
use crate::proxy::Direct;
use crate::proxy::Error;
use crate::proxy::Inner;
use crate::proxy::TunnelSwitch;
use crate::proxy::decide::Target;
use crate::proxy::flags::Exposures;
use crate::proxy::grpc;
use crate::proxy::headers::FieldEdits;
use crate::proxy::mirror;
use crate::proxy::rate_limit::UnderWay;
use crate::proxy::snapshot::{Local, Route};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::stats::{
    FlagStats, GrpcStatus, RetryCause, Selection, Shard, Source, VariantStats,
};
use crate::upstream::{Admission, LocalUpstream, Pool};

/// Where a request was assigned to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assigned {
    /// The route's place in the snapshot.
    pub(crate) route: usize,
    /// The variant that was chosen, which everything is charged to.
    pub(crate) variant: usize,
    /// The variant that serves; another one when the chosen one is unavailable.
    pub(crate) served: usize,
    /// How it was chosen.
    pub(crate) selection: Selection,
    /// The rule whose weights it was chosen by.
    pub(crate) rule: Option<usize>,
    /// The slice of its users that it is in.
    pub(crate) slice: u8,
}

/// What changes in the fields of a request and of its response.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Edits<'a> {
    pub(crate) request: Option<&'a FieldEdits>,
    pub(crate) response: Option<&'a FieldEdits>,
}

impl<'a> Edits<'a> {
    fn of(local: &'a Local, assigned: Assigned) -> Self {
        let route = &local.snapshot.routes[assigned.route];
        Self {
            request: route.request_edits(assigned.served),
            response: route.response_edits(assigned.variant),
        }
    }
}

/// What a tunnel keeps of the snapshot.
struct Tunnelled {
    route: Arc<str>,
    variant: Arc<str>,
    served: Arc<str>,
    segment: Option<Arc<str>>,
    /// The numbers of the variants of flags that it has.
    flags: Vec<Arc<FlagStats>>,
    stats: Arc<VariantStats>,
    generation: u64,
    access_log: Option<Arc<AccessLog>>,
}

/// One request with its response, from its head to the last byte.
pub(crate) struct Exchange {
    pub(crate) worker: Rc<Inner>,
    /// `None` once it is a tunnel.
    local: Option<Rc<Local>>,
    tunnel: Option<Tunnelled>,
    /// The stream of an extended CONNECT, until it is a tunnel.
    pub(crate) connect: Option<Connect>,
    pub(crate) from: Rc<Peer>,
    /// Both heads; `None` only while it ends.
    scratch: Option<Box<Scratch>>,
    pub(crate) client: Client,
    /// Where in the request's head its id is.
    request_id: Option<Span>,
    pub(crate) assigned: Option<Assigned>,
    /// Which variants of its route's flags it has, where that serves any.
    pub(crate) exposures: Option<Exposures>,
    /// The copy of its request, if it has one.
    pub(crate) mirror: Option<Rc<mirror::Mirrored>>,
    started: Instant,
    /// When the request began to be sent.
    sent: Option<Instant>,
    response_headers: Option<Duration>,
    connected_in: Option<Duration>,
    endpoint: Option<Address>,
    /// The pool of the last attempt, where it counts how requests fare.
    counting: Option<Rc<Pool>>,
    /// The leave to go to the upstream, where one is needed.
    admission: Option<Box<Admission>>,
    /// What counts it as under way on its route, where that is limited.
    pub(crate) under_way: Option<UnderWay>,
    upstream_protocol: Option<Version>,
    /// What came of the call, if it is one of gRPC.
    grpc: Option<GrpcStatus>,
    n_attempts: u32,
    retry: Option<RetryCause>,
    /// Why another variant than the one that was chosen got a further attempt, if it did.
    rescued: Option<RetryCause>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    status: Option<u16>,
    source: Source,
    error: Option<Error>,
    complete: bool,
    /// When the response's head came.
    heard: Option<Instant>,
    /// When the response was through.
    ended: Option<Instant>,
}

impl Exchange {
    /// Begins an exchange whose head has been read.
    pub(crate) fn new(
        worker: &Rc<Inner>,
        local: Rc<Local>,
        from: &Rc<Peer>,
        scratch: Box<Scratch>,
        client: Client,
        request_id: Option<Span>,
    ) -> Self {
        let grpc = grpc::is_call(&scratch.request).then_some(GrpcStatus::None);
        Self {
            worker: Rc::clone(worker),
            local: Some(local),
            tunnel: None,
            connect: None,
            from: Rc::clone(from),
            scratch: Some(scratch),
            client,
            request_id,
            assigned: None,
            exposures: None,
            mirror: None,
            started: Instant::now(),
            sent: None,
            response_headers: None,
            connected_in: None,
            endpoint: None,
            counting: None,
            admission: None,
            under_way: None,
            upstream_protocol: None,
            grpc,
            n_attempts: 0,
            retry: None,
            rescued: None,
            request_bytes: 0,
            response_bytes: 0,
            status: None,
            source: Source::Proxy,
            error: None,
            complete: false,
            heard: None,
            ended: None,
        }
    }

    /// Both heads.
    pub(crate) fn scratch(&mut self) -> &mut Scratch {
        self.scratch
            .as_mut()
            .expect("an exchange has its heads until it ends")
    }

    /// Both heads, and what changes in their fields.
    pub(crate) fn scratch_and_edits(&mut self) -> (&mut Scratch, Edits<'_>) {
        let edits = match (&self.local, self.assigned) {
            (Some(local), Some(assigned)) => Edits::of(local, assigned),
            _ => Edits::default(),
        };
        let scratch = self.scratch.as_mut();
        (
            scratch.expect("an exchange has its heads until it ends"),
            edits,
        )
    }

    /// What changes in the fields of both heads.
    pub(crate) fn edits(&self) -> Edits<'_> {
        match (&self.local, self.assigned) {
            (Some(local), Some(assigned)) => Edits::of(local, assigned),
            _ => Edits::default(),
        }
    }

    /// The request's head as it came.
    pub(crate) fn request(&self) -> &RequestHead {
        &self.heads().request
    }

    /// The response's head as it came.
    pub(crate) fn response(&self) -> &ResponseHead {
        &self.heads().response
    }

    /// Where in the request's head its id is.
    pub(crate) fn request_id(&self) -> Option<Span> {
        self.request_id
    }

    /// The request's id behind the name of its field, for an own answer.
    pub(crate) fn told_id(&self) -> Option<(&[u8], &[u8])> {
        let name = self.local.as_ref()?.snapshot.request_id.as_ref()?;
        let id = self.request_id?.of(&self.request().text);
        Some((name, id))
    }

    /// Where a redirect leads; nothing where there is none.
    pub(crate) fn location(&self) -> &[u8] {
        &self.heads().rewritten
    }

    fn heads(&self) -> &Scratch {
        self.scratch
            .as_ref()
            .expect("an exchange has its heads until it ends")
    }

    /// The snapshot that it obeys, as its worker sees it.
    pub(crate) fn local(&self) -> Rc<Local> {
        Rc::clone(
            self.local
                .as_ref()
                .expect("an exchange has its snapshot until it is a tunnel"),
        )
    }

    /// Notes where the request is assigned to; from now on it is in flight there.
    pub(crate) fn assign(&mut self, assigned: Assigned) {
        self.assigned = Some(assigned);
        if let Some(shard) = self.shard() {
            shard.begin(assigned.selection);
        }
    }

    /// The route, once it is assigned.
    pub(crate) fn route(&self) -> Option<&Route> {
        Some(&self.local.as_ref()?.snapshot.routes[self.assigned?.route])
    }

    /// What the route answers by itself, if it does.
    pub(crate) fn direct(&self) -> Option<&Direct> {
        self.route()?.direct.as_deref()
    }

    fn stats(&self) -> Option<&Arc<VariantStats>> {
        if let Some(tunnel) = &self.tunnel {
            return Some(&tunnel.stats);
        }
        Some(self.route()?.charged(self.assigned?.variant))
    }

    /// The numbers of the variants of flags that it has, while it is no tunnel.
    pub(crate) fn flags(&self) -> impl Iterator<Item = &Arc<FlagStats>> {
        let route = self.route().and_then(|route| route.flags.as_deref());
        let exposed = route.zip(self.exposures.as_deref());
        exposed.into_iter().flat_map(|(flags, of)| flags.stats(of))
    }

    /// The upstream of the variant that serves.
    pub(crate) fn upstream<'l>(&self, local: &'l Local) -> Option<&'l LocalUpstream> {
        let assigned = self.assigned?;
        let route = &local.snapshot.routes[assigned.route];
        let variant = route.variants.get(assigned.served)?;
        Some(local.upstream(variant.upstream, &self.worker.pools, self.worker.index))
    }

    /// Counts that another variant serves than the one that was chosen.
    pub(crate) fn failed_over(&self, from: usize, to: usize) {
        if let Some(route) = self.route() {
            let (from, to) = (&route.variants[from].name, &route.variants[to].name);
            route.stats.shard(self.worker.index).failover(from, to);
        }
    }

    /// The Set-Cookie field's value by which the client stays where it is, if it is to get one: its
    /// new identity, or a pin to the variant that serves.
    pub(crate) fn sticky_cookie(&self, target: &Target) -> Option<Vec<u8>> {
        if target.identity.is_none() && !target.pin {
            return None;
        }
        let split = &self.route()?.split;
        let (cookie, value) = match &target.identity {
            Some(identity) => (split.identity_cookie()?, identity.as_bytes()),
            None => split.pin(self.assigned?.served)?,
        };
        let mut field = Vec::new();
        cookie.set(value, self.from.scheme, &mut field);
        Some(field)
    }

    /// Makes it a tunnel, which is the answer that was asked for, however it ends: from here on it
    /// keeps numbers only, and not the snapshot, which may be replaced thousands of times while the
    /// tunnel lives.
    /// Gives what counts it, and the switch of the variant that serves.
    pub(crate) fn become_tunnel(&mut self) -> Option<(Arc<VariantStats>, Arc<TunnelSwitch>)> {
        let (local, assigned) = (self.local.as_ref()?, self.assigned?);
        let route = &local.snapshot.routes[assigned.route];
        let variant = |index: usize| &route.variants[index];
        let stats = Arc::clone(&variant(assigned.variant).stats);
        self.tunnel = Some(Tunnelled {
            route: Arc::clone(&route.name),
            variant: Arc::clone(&variant(assigned.variant).name),
            served: Arc::clone(&variant(assigned.served).name),
            segment: assigned
                .rule
                .map(|rule| Arc::clone(&route.rules[rule].segment)),
            flags: self.flags().cloned().collect(),
            stats: Arc::clone(&stats),
            generation: local.snapshot.generation,
            access_log: local.snapshot.access_log.clone(),
        });
        let switch = Arc::clone(&variant(assigned.served).tunnels);
        self.local = None;
        self.complete = true;
        Some((stats, switch))
    }

    /// The numbers of the variant that is charged.
    pub(crate) fn shard(&self) -> Option<&Shard> {
        Some(self.stats()?.shard(self.worker.index))
    }

    /// True when a head was passed on to the client, so that it can be told nothing else.
    pub(crate) fn has_responded(&self) -> bool {
        self.status.is_some()
    }

    /// Notes an own answer with so many bytes of body.
    pub(crate) fn answered(&mut self, status: u16, body: usize) {
        self.status = Some(status);
        self.response_bytes = body as u64;
        self.source = Source::Proxy;
    }

    /// True for a call of gRPC.
    pub(crate) fn is_grpc(&self) -> bool {
        self.grpc.is_some()
    }

    /// Notes what a head or trailers say of a call of gRPC, if they do.
    pub(crate) fn heard_grpc(&mut self, status: impl FnOnce(&Self) -> Option<GrpcStatus>) {
        if self.is_grpc()
            && let Some(status) = status(self)
        {
            self.grpc = Some(status);
        }
    }

    /// Notes that the whole response was passed on with its head.
    pub(crate) fn ended_with_head(&mut self) {
        self.ended = self.heard;
    }

    /// Notes that the response was passed on to its end; tells when that was.
    pub(crate) fn completed(&mut self) -> Instant {
        self.complete = true;
        *self.ended.get_or_insert_with(Instant::now)
    }
}
