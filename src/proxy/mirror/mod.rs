//! Mirrors: copies of a route's requests, whose answers are dropped.
//!
//! A copy waits until the request itself is on its way, and whole; then it goes out in a task of its
//! own, on connections of its own, within a time of its own. Nothing of the request waits for it: a
//! body that is larger than what is kept of one, or one copy more than there may be at a time, and
//! there is none. What its endpoints do is counted as the mirror's, and as nothing else's.

mod cap;
mod compare;
mod copy;
mod rule;
mod send;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::listener::Settings;
use crate::message::Scheme;
use crate::proxy::decide;
use crate::proxy::exchange::Exchange;
use crate::proxy::headers;
use crate::proxy::mirror::copy::Head;
use crate::proxy::mirror::rule::Asked;
use crate::split::Identity;
use crate::telemetry::stats::MirrorResult;
use crate::upstream::{LocalUpstream, Pools, Protocol};

pub use cap::Cap;
pub use compare::Compare;
pub use rule::Mirror;

pub(crate) use copy::Mirrored;
use rule::Verdict;

/// How often a worker tells why copies fail: often enough to be seen, too seldom to fill a disk.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The copies of one worker that are on their way, and what they go out on.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Connections of their own: those of requests are not taken away, nor judged by copies.
    pub(crate) pools: Pools,
    /// They end with the worker.
    tasks: RefCell<JoinSet<()>>,
    told_at: Cell<Option<Instant>>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            pools: Pools::quiet(),
            tasks: RefCell::default(),
            told_at: Cell::new(None),
        }
    }
}

impl Outbox {
    /// Lets a copy go on its way.
    fn add(&self, task: impl Future<Output = ()> + 'static) {
        self.reap();
        self.tasks.borrow_mut().spawn_local(task);
    }

    /// Forgets what has ended, and closes connections that waited too long.
    pub(crate) fn sweep(&self) {
        self.reap();
        self.pools.sweep();
    }

    fn reap(&self) {
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
    }

    /// True when it is time to tell why a copy failed.
    fn is_to_tell(&self) -> bool {
        let now = Instant::now();
        let told_at = self.told_at.get();
        let is_due = told_at.is_none_or(|at| now.duration_since(at) >= TELL_EVERY);
        if is_due {
            self.told_at.set(Some(now));
        }
        is_due
    }
}

/// What is known of a request besides itself when it is to be told whether it is mirrored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// The upstream that serves it, by its place.
    pub(crate) served: usize,
    /// True when its connection is to become a tunnel.
    pub(crate) upgrade: bool,
    /// The identity that its client is given.
    pub(crate) identity: Option<&'a Identity>,
}

/// Begins a copy of a request that is about to be sent, if it is to have one.
///
/// It is kept out of the way of requests that have no mirror.
#[cold]
pub(crate) fn begin(exchange: &mut Exchange, known: Known<'_>, settings: &Settings) {
    let local = exchange.local();
    let Some(assigned) = exchange.assigned else {
        return;
    };
    let route = &local.snapshot.routes[assigned.route];
    let Some(rule) = &route.mirror else {
        return;
    };
    let worker = Rc::clone(&exchange.worker);
    let client = exchange.client.address;
    let request = exchange.request();
    let asked = Asked {
        method: request.method(),
        framing: request.framing,
        upgrade: known.upgrade,
        goes_there: known.served == rule.upstream,
    };
    let verdict = rule.judge(&asked, || {
        match (route.split.key(request, client), known.identity) {
            (Some(key), _) => rule.sample.has_key(key.as_bytes()),
            (None, Some(identity)) => rule.sample.has_key(identity.as_bytes()),
            (None, None) => rule.sample.has_point(rule.draw.point(worker.index)),
        }
    });
    let dropped = match verdict {
        Verdict::Leave => return,
        Verdict::TooLarge => MirrorResult::DroppedBody,
        Verdict::Mirror => match rule.enter() {
            None => MirrorResult::DroppedCap,
            Some(permits) => {
                let upstream = local.mirrored(rule.upstream, &worker.mirrors.pools, worker.index);
                let key = upstream.key(request, client);
                match head(exchange, settings, rule, &upstream) {
                    Some(head) => {
                        let place = (local.clone(), assigned.route);
                        let copy = Mirrored::new(exchange, place, upstream, head, key, permits);
                        exchange.mirror = Some(Rc::new(copy));
                        return;
                    }
                    // It says what the protocol over there cannot.
                    None => MirrorResult::Error,
                }
            }
        },
    };
    rule.stats.ended(worker.index, dropped);
}

/// The head of the copy, as the upstream over there has it.
fn head(
    exchange: &mut Exchange,
    settings: &Settings,
    rule: &Mirror,
    upstream: &LocalUpstream,
) -> Option<Head> {
    let over_there = upstream.upstream().settings();
    let fields = Some(&rule.request);
    match over_there.protocol {
        Protocol::Http1 => Some(Head::Http1(decide::with_edit(
            exchange,
            settings,
            fields,
            |_, head, edit| {
                let mut out = Vec::new();
                headers::write_request(&mut out, head, edit);
                out
            },
        ))),
        Protocol::Http2 => {
            let scheme = match over_there.tls {
                Some(_) => Scheme::Https,
                None => Scheme::Http,
            };
            let made = decide::with_edit(exchange, settings, fields, |_, head, edit| {
                headers::http2_request(head, edit, scheme)
            });
            made.ok().map(Head::Http2)
        }
    }
}
