//! The copy of one request, from its head until it goes on its way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use http::Request;

use crate::http1::codec::{Asked, write_chunk_head, write_last_chunk};
use crate::message::{Framing, ResponseHead, Tap, Watch};
use crate::proxy::Inner;
use crate::proxy::exchange::Exchange;
use crate::proxy::mirror::Mirror;
use crate::proxy::mirror::cap::Permit;
use crate::proxy::mirror::compare::{Answer, Compare, Digest};
use crate::proxy::mirror::send;
use crate::proxy::retry::is_idempotent;
use crate::proxy::snapshot::Local;
use crate::telemetry::stats::{GrpcStatus, MirrorResult};
use crate::upstream::{Behalf, LocalUpstream};

/// A request's head as the copy has it, by what is spoken over there.
#[derive(Debug)]
pub(in crate::proxy::mirror) enum Head {
    Http1(Vec<u8>),
    Http2(Request<()>),
}

/// All that goes on its way.
pub(in crate::proxy::mirror) struct Parcel {
    pub(in crate::proxy::mirror) head: Head,
    pub(in crate::proxy::mirror) framing: Framing,
    pub(in crate::proxy::mirror) body: Vec<u8>,
    pub(in crate::proxy::mirror) asked: Asked,
    /// True when it may be sent again.
    pub(in crate::proxy::mirror) is_idempotent: bool,
    /// True for a call of gRPC.
    pub(in crate::proxy::mirror) is_grpc: bool,
    pub(in crate::proxy::mirror) upstream: Rc<LocalUpstream>,
    /// The client's connection.
    pub(in crate::proxy::mirror) behalf: Behalf,
    /// What keeps it with one endpoint, if anything does.
    pub(in crate::proxy::mirror) key: Option<u64>,
    pub(in crate::proxy::mirror) comparison: Option<Rc<Comparison>>,
    pub(in crate::proxy::mirror) place: Place,
    _permits: [Permit; 2],
}

impl Parcel {
    /// The whole request, as HTTP/1 has it behind this head.
    pub(in crate::proxy::mirror) fn http1(&self, head: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(head.len() + self.body.len() + 32);
        out.extend_from_slice(head);
        if self.framing == Framing::Chunked {
            if !self.body.is_empty() {
                write_chunk_head(&mut out, self.body.len());
                out.extend_from_slice(&self.body);
                out.extend_from_slice(b"\r\n");
            }
            write_last_chunk(&mut out, &[]);
        } else {
            out.extend_from_slice(&self.body);
        }
        out
    }

    /// Its body, and nothing of it here any more.
    pub(in crate::proxy::mirror) fn body(&self) -> Bytes {
        Bytes::copy_from_slice(&self.body)
    }
}

/// Where the rule of a mirror is, on which worker.
#[derive(Clone)]
pub(in crate::proxy::mirror) struct Place {
    local: Rc<Local>,
    route: usize,
    pub(in crate::proxy::mirror) worker: usize,
}

impl Place {
    /// The rule.
    pub(in crate::proxy::mirror) fn rule(&self) -> &Mirror {
        let rule = self.local.snapshot.routes[self.route].mirror.as_deref();
        rule.expect("a copy is made by the rule of its route")
    }

    /// The name of the route.
    pub(in crate::proxy::mirror) fn route(&self) -> &str {
        &self.local.snapshot.routes[self.route].name
    }
}

/// Two answers, of which one comes before the other.
pub(in crate::proxy::mirror) struct Comparison {
    place: Place,
    first: RefCell<Option<Answer>>,
    /// The hash of the body that the client gets.
    digest: Rc<Digest>,
}

impl Comparison {
    /// Makes one, if answers are compared there.
    fn of(place: &Place) -> Option<Rc<Self>> {
        place.rule().compare.as_ref()?;
        Some(Rc::new(Self {
            place: place.clone(),
            first: RefCell::default(),
            digest: Rc::default(),
        }))
    }

    fn compare(&self) -> &Compare {
        let compare = self.place.rule().compare.as_ref();
        compare.expect("there is a comparison only where something is compared")
    }

    /// Begins to hash a body, if bodies are compared.
    pub(in crate::proxy::mirror) fn tap(&self, digest: &Rc<Digest>) -> Tap {
        if self.compare().body {
            digest.tap()
        } else {
            Tap::default()
        }
    }

    /// Takes one of the answers, which has come whole; with the other one they are compared.
    pub(in crate::proxy::mirror) fn take(
        &self,
        head: &ResponseHead,
        grpc: Option<GrpcStatus>,
        digest: &Digest,
    ) {
        let compare = self.compare();
        let body = if compare.body { digest.value() } else { 0 };
        let answer = Answer::new(compare, head, grpc, body);
        let mut first = self.first.borrow_mut();
        match first.take() {
            Some(first) => {
                let stats = &self.place.rule().stats;
                stats.compared(self.place.worker, &first.differs(&answer));
            }
            None => *first = Some(answer),
        }
    }
}

/// The copy of a request that is being sent.
pub(crate) struct Mirrored {
    worker: Rc<Inner>,
    place: Place,
    framing: Framing,
    /// What goes on its way, until it does.
    parcel: RefCell<Option<Parcel>>,
    comparison: Option<Rc<Comparison>>,
    /// True once all of the request's body is here.
    is_whole: Cell<bool>,
    /// True once the request itself is on its way.
    is_dispatched: Cell<bool>,
    /// True once the copy is, too.
    is_sent: Cell<bool>,
}

impl Mirrored {
    /// Begins the copy of the request of an exchange.
    pub(in crate::proxy::mirror) fn new(
        exchange: &Exchange,
        (local, route): (Rc<Local>, usize),
        upstream: Rc<LocalUpstream>,
        head: Head,
        key: Option<u64>,
        permits: [Permit; 2],
    ) -> Self {
        let worker = Rc::clone(&exchange.worker);
        let request = exchange.request();
        let place = Place {
            local,
            route,
            worker: worker.index,
        };
        let comparison = Comparison::of(&place);
        let parcel = Parcel {
            head,
            framing: request.framing,
            body: Vec::new(),
            asked: Asked::by(request.method()),
            is_idempotent: is_idempotent(request.method()),
            is_grpc: exchange.is_grpc(),
            upstream,
            behalf: Behalf {
                from: exchange.from.address,
                to: exchange.from.local,
            },
            key,
            comparison: comparison.clone(),
            place: place.clone(),
            _permits: permits,
        };
        Self {
            worker,
            place,
            framing: request.framing,
            parcel: RefCell::new(Some(parcel)),
            comparison,
            is_whole: Cell::new(is_bodiless(request.framing)),
            is_dispatched: Cell::new(false),
            is_sent: Cell::new(false),
        }
    }

    /// Notes that the request itself is about to be sent, to the upstream at this place.
    pub(crate) fn dispatched(&self, upstream: usize) {
        if upstream == self.place.rule().upstream {
            // Another variant serves it than was thought: it goes there itself.
            self.parcel.borrow_mut().take();
            return;
        }
        self.is_dispatched.set(true);
        self.go_if_ready();
    }

    /// What watches the request's body, from its beginning.
    #[cold]
    pub(crate) fn request_tap(self: &Rc<Self>) -> Tap {
        let mut parcel = self.parcel.borrow_mut();
        match &mut *parcel {
            Some(parcel) if !is_bodiless(self.framing) => {
                parcel.body.clear();
                self.is_whole.set(false);
                Tap::new(Rc::clone(self) as Rc<dyn Watch>)
            }
            _ => Tap::default(),
        }
    }

    /// What watches the body of the answer to the request, from its beginning.
    #[cold]
    pub(crate) fn response_tap(&self) -> Tap {
        let comparison = self.comparison.as_ref();
        comparison.map_or_else(Tap::default, |comparison| {
            comparison.tap(&comparison.digest)
        })
    }

    /// The name of where it is sent to, once it is.
    pub(crate) fn sent_to(&self) -> Option<&str> {
        self.is_sent.get().then(|| &*self.place.rule().name)
    }

    /// Notes that the upstream's answer to the request has passed whole.
    pub(crate) fn answered(&self, head: &ResponseHead, grpc: Option<GrpcStatus>) {
        if let Some(comparison) = &self.comparison {
            comparison.take(head, grpc, &comparison.digest);
        }
    }

    /// Notes that the request has ended; what has not gone on its way by now does not.
    pub(crate) fn abandon(&self) {
        self.drop_for(MirrorResult::DroppedIncomplete);
    }

    fn go_if_ready(&self) {
        if !self.is_whole.get() || !self.is_dispatched.get() {
            return;
        }
        if let Some(parcel) = self.parcel.borrow_mut().take() {
            self.is_sent.set(true);
            let outbox = Rc::downgrade(&self.worker);
            self.worker.mirrors.add(send::send(parcel, outbox));
        }
    }

    fn drop_for(&self, reason: MirrorResult) {
        if self.parcel.borrow_mut().take().is_some() {
            self.place.rule().stats.ended(self.place.worker, reason);
        }
    }
}

impl Watch for Mirrored {
    fn see(&self, bytes: &[u8]) -> bool {
        let fits = match &mut *self.parcel.borrow_mut() {
            None => return false,
            Some(parcel) => {
                let fits = parcel.body.len() + bytes.len() <= self.place.rule().body_bytes;
                if fits {
                    parcel.body.extend_from_slice(bytes);
                }
                fits
            }
        };
        if !fits {
            self.drop_for(MirrorResult::DroppedBody);
        }
        fits
    }

    fn end(&self) {
        self.is_whole.set(true);
        self.go_if_ready();
    }
}

/// True when nothing follows a request's head.
fn is_bodiless(framing: Framing) -> bool {
    matches!(framing, Framing::None | Framing::Length(0))
}
