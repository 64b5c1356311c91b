//! Deciding: from a request's head to the upstream that it goes to, and what is done to it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::Request;

use crate::listener::Settings;
use crate::message::{Framing, Known, RequestHead, Scheme};
use crate::proxy::Error;
use crate::proxy::RouteFlags;
use crate::proxy::exchange::{Assigned, Exchange};
use crate::proxy::headers::{self, FieldEdits, RequestEdit};
use crate::proxy::mirror;
use crate::proxy::rate_limit::Full;
use crate::proxy::retry::{Left, is_idempotent};
use crate::proxy::snapshot::{Local, Route};
use crate::route::LeadsOut;
use crate::split::{Assignment, ForceRejected, HashKey, Identity, Reason, State};
use crate::telemetry::stats::{ForcedRejection, Limit, Selection, StickyKind};
use crate::upstream::{self, Retry};

/// What is done with a request.
pub(crate) enum Decision {
    /// It goes to an upstream; its head, as it goes there, is in `scratch.upstream`.
    Forward(Target),
    /// It is answered here.
    Own(Own),
}

/// What is answered without an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Own {
    /// Its route answers by itself; where that leads, if it does, is in `scratch.rewritten`.
    Direct,
    /// It asks the proxy itself what it can do.
    Options,
}

/// Where a request goes, and how.
#[derive(Debug)]
pub(crate) struct Target {
    /// How long the upstream may take.
    pub(crate) timeouts: upstream::Timeouts,
    /// How long a tunnel may be without a byte.
    pub(crate) tunnel: Duration,
    /// How large the request's body may be.
    pub(crate) body_bytes: Option<u64>,
    /// True when the connection is to change to another protocol.
    pub(crate) upgrade: bool,
    /// The identity that the client is given.
    pub(crate) identity: Option<Identity>,
    /// True when the client is to be pinned to the variant that serves.
    pub(crate) pin: bool,
    /// The bits that it was made of.
    fresh: u128,
    /// True when another variant may serve if the assigned one turns out to be unavailable.
    pub(crate) failover: bool,
    /// True when the request named its variant, which nobody else stands in for.
    is_forced: bool,
    /// True when the request's body is to be there whole before it is sent.
    pub(crate) keeps_body: bool,
    /// What of the next attempt is followed by another.
    pub(crate) left: Left,
}

/// Bytes of a body at most that is read as a whole before it is sent, as it may have to be sent again.
pub(crate) const KEPT_BODY: usize = 64 * 1024;

/// True when a request's body is to be there whole before it is sent, as it may have to be sent again.
/// Who waits to be told to send it waits for the upstream's word.
fn keeps_body(request: &RequestHead, retry: &Retry) -> bool {
    retry.on.may_repeat()
        && retry.attempts > 0
        && matches!(request.framing, Framing::Length(n) if 0 < n && n <= KEPT_BODY as u64)
        && is_idempotent(request.method())
        && request.known(Known::Expect).next().is_none()
}

/// Decides where an exchange's request goes, and writes its head as it goes there.
///
/// # Errors
/// When it goes nowhere.
pub(crate) fn decide(exchange: &mut Exchange, settings: &Settings) -> Result<Decision, Error> {
    // Before anything is looked up for it.
    if settings.overload.refuses() {
        return Err(Error::Overloaded);
    }
    let request = exchange.request();
    match request.method() {
        b"CONNECT" | b"TRACE" => return Err(Error::MethodNotAllowed),
        b"OPTIONS" if request.path() == b"*" => return Ok(Decision::Own(Own::Options)),
        _ => {}
    }
    headers::check_request(request)?;
    let upgrade = headers::asks_for_upgrade(request).is_some();
    let local = exchange.local();
    let snapshot = &local.snapshot;
    let client = exchange.client;
    if !settings.access.admits(client.address) {
        return Err(Error::Denied);
    }
    let scheme = client.scheme(&exchange.from, request, settings.forwarded);
    let found = snapshot.table.find(request, client.address, scheme);
    let &index = found.ok_or(Error::NoRoute)?;
    let route = &snapshot.routes[index];
    if let Some(direct) = &route.direct {
        exchange.assign(Assigned {
            route: index,
            variant: 0,
            served: 0,
            selection: Selection::None,
            rule: None,
            slice: 0,
        });
        admit(exchange, route)?;
        // Any success would say that the tunnel is open (RFC 9113, section 8.5).
        if exchange.connect.is_some() && matches!(direct.status(), 200..300) {
            return Err(Error::MethodNotAllowed);
        }
        if let Some(redirect) = direct.leads() {
            let scratch = exchange.scratch();
            redirect.locate(&scratch.request, scheme, &mut scratch.rewritten)?;
        }
        return Ok(Decision::Own(Own::Direct));
    }
    let fresh = Cell::new(0);
    let assignment = assign(exchange, &local, route, None, || {
        fresh.set(fresh_identity());
        fresh.get()
    });
    let served = assignment
        .served
        .filter(|_| route.failover || !assignment.failover)
        .or_else(|| last_resort(exchange, &local, route, assignment.variant));
    exchange.assign(Assigned {
        route: index,
        variant: assignment.variant,
        served: served.unwrap_or(assignment.variant),
        selection: match assignment.reason {
            Reason::Forced => Selection::Forced,
            Reason::Pin if assignment.failover => Selection::Failover,
            Reason::Pin => Selection::Pin,
            Reason::Hash if assignment.failover => Selection::Failover,
            Reason::Hash => Selection::Hash,
            Reason::Draw if assignment.failover => Selection::Failover,
            Reason::Draw => Selection::Draw,
        },
        rule: assignment.rule,
        slice: assignment.slice,
    });
    note(exchange, &assignment, served);
    if let Some(flags) = &route.flags {
        expose(exchange, route, flags, &assignment);
    }
    admit(exchange, route)?;
    let treatment = route.treatment.as_deref();
    let body_bytes = treatment
        .and_then(|treatment| treatment.body_bytes)
        .or(settings.limits.body_bytes);
    if let (Framing::Length(n), Some(limit)) = (exchange.request().framing, body_bytes)
        && n > limit
    {
        return Err(Error::BodyTooLarge);
    }
    if let Some(rewrite) = treatment.and_then(|treatment| treatment.path.as_ref()) {
        let scratch = exchange.scratch();
        rewrite
            .apply(scratch.request.path(), &mut scratch.rewritten)
            .map_err(|LeadsOut| Error::LEADS_OUT)?;
    }
    let served = served.ok_or(Error::Unavailable)?;
    if route.mirror.is_some() {
        let known = mirror::Known {
            served: route.variants[served].upstream,
            upgrade,
            identity: assignment.issue_identity.as_ref(),
        };
        mirror::begin(exchange, known, settings);
    }
    let is_forced = assignment.reason == Reason::Forced;
    Ok(Decision::Forward(Target {
        timeouts: timeouts_of(&local, route, served),
        keeps_body: !upgrade && keeps_body(exchange.request(), retry_of(&local, route, served)),
        left: Left::default(),
        is_forced,
        tunnel: treatment
            .and_then(|treatment| treatment.timeouts.tunnel)
            .unwrap_or(settings.timeouts.tunnel),
        body_bytes,
        upgrade,
        identity: assignment.issue_identity,
        pin: assignment.pin,
        fresh: fresh.get(),
        failover: route.failover && !is_forced,
    }))
}

/// Asks whether a route takes this request: of this client, and now. What it refuses is charged to it.
fn admit(exchange: &mut Exchange, route: &Route) -> Result<(), Error> {
    let client = exchange.client.address;
    let access = route.access.as_deref();
    if access.is_some_and(|access| !access.admits(client)) {
        return Err(Error::Denied);
    }
    if let Some(limits) = &route.limits {
        let taken = limits.take(exchange.request(), client);
        taken.map_err(Error::RateLimited)?;
        let under_way = limits.begin();
        exchange.under_way = under_way.map_err(|Full| Error::Overflow(Limit::Requests))?;
    }
    Ok(())
}

/// The variant that was chosen, when nobody serves and its endpoints are merely left alone for their
/// failures: the last ones are not given up where there is no other.
fn last_resort(exchange: &Exchange, local: &Local, route: &Route, variant: usize) -> Option<usize> {
    let is_on = route.split.variants()[variant].state == State::On;
    let worker = &exchange.worker;
    let upstream = route.variants[variant].upstream;
    let upstream = local.upstream(upstream, &worker.pools, worker.index);
    (is_on && upstream.has_ejected()).then_some(variant)
}

/// Looks for another variant after the one that served turned out to be unavailable. Tells whether
/// there is one; the exchange goes there then.
pub(crate) fn reassign(exchange: &mut Exchange, target: &mut Target) -> bool {
    target.failover && leave(exchange, target, None)
}

/// Looks for another variant than the one that serves, for another attempt, where a variant may stand
/// in for it. Tells whether there is one; the exchange goes there then.
pub(crate) fn leave_variant(exchange: &mut Exchange, target: &mut Target) -> bool {
    let served = exchange.assigned.map(|assigned| assigned.served);
    !target.is_forced && leave(exchange, target, served)
}

/// Assigns anew, as if the variant `without` were not available.
fn leave(exchange: &mut Exchange, target: &mut Target, without: Option<usize>) -> bool {
    let Some(assigned) = exchange.assigned else {
        return false;
    };
    let local = exchange.local();
    let route = &local.snapshot.routes[assigned.route];
    let assignment = assign(exchange, &local, route, without, || target.fresh);
    let Some(served) = assignment.served.filter(|&to| to != assigned.served) else {
        return false;
    };
    exchange.assigned = Some(Assigned { served, ..assigned });
    exchange.failed_over(assigned.variant, served);
    // What tells who serves is written anew.
    exchange.scratch().upstream.clear();
    target.timeouts = timeouts_of(&local, route, served);
    true
}

fn retry_of<'l>(local: &'l Local, route: &Route, variant: usize) -> &'l Retry {
    let upstream = &local.snapshot.upstreams[route.variants[variant].upstream];
    &upstream.settings().retry
}

fn timeouts_of(local: &Local, route: &Route, variant: usize) -> upstream::Timeouts {
    let upstream = &local.snapshot.upstreams[route.variants[variant].upstream];
    let mut timeouts = upstream.settings().timeouts;
    if let Some(treatment) = &route.treatment {
        let own = &treatment.timeouts;
        timeouts.response = own.response.unwrap_or(timeouts.response);
        timeouts.body = own.body.unwrap_or(timeouts.body);
    }
    timeouts
}

/// Assigns the request to a variant, as things are now; not to `without`.
fn assign(
    exchange: &Exchange,
    local: &Local,
    route: &Route,
    without: Option<usize>,
    fresh: impl FnOnce() -> u128,
) -> Assignment {
    let worker = Rc::clone(&exchange.worker);
    let client = exchange.client.address;
    let asked = route.asked(exchange.request(), client);
    route.split.assign(
        &asked,
        |rule| {
            let draw = rule.map_or(&route.draw, |rule| &route.rules[rule].draw);
            draw.point(worker.index)
        },
        fresh,
        |variant| {
            without != Some(variant)
                && local
                    .upstream(
                        route.variants[variant].upstream,
                        &worker.pools,
                        worker.index,
                    )
                    .is_available()
        },
    )
}

/// Evaluates the flags of a request's route for it, by the key that its variant was chosen by.
fn expose(exchange: &mut Exchange, route: &Route, flags: &RouteFlags, assignment: &Assignment) {
    let client = exchange.client.address;
    let asked = route.asked(exchange.request(), client);
    let sent = route.split.key(asked.request, client);
    let key = sent.as_ref().map(HashKey::as_bytes);
    let key = key.or(assignment.issue_identity.as_ref().map(Identity::as_bytes));
    let exposures = flags.expose(&asked, key, exchange.worker.index);
    exchange.exposures = Some(exposures);
}

/// 128 bits that nobody can guess, for a new identity.
fn fresh_identity() -> u128 {
    let mut bits = [0; 16];
    // The system's generator does not fail once it has worked; should it, the identity is not
    // random, and its user is assigned all the same.
    let _worked = getrandom::fill(&mut bits);
    u128::from_ne_bytes(bits)
}

/// Counts what is to be counted of an assignment besides the assignment itself.
fn note(exchange: &Exchange, assignment: &Assignment, served: Option<usize>) {
    let Some(route) = exchange.route() else {
        return;
    };
    if let Some(rule) = assignment.rule {
        route.rules[rule].stats.matched(exchange.worker.index);
    }
    let quiet = assignment.force_rejected.is_none()
        && assignment.issue_identity.is_none()
        && !assignment.pin
        && !assignment.failover;
    if quiet {
        return;
    }
    let shard = route.stats.shard(exchange.worker.index);
    match assignment.force_rejected {
        Some(ForceRejected::Unknown) => shard.forced_rejected(ForcedRejection::Unknown),
        Some(ForceRejected::Off) => shard.forced_rejected(ForcedRejection::Off),
        Some(ForceRejected::Untrusted) => shard.forced_rejected(ForcedRejection::Untrusted),
        Some(ForceRejected::BadSecret) => shard.forced_rejected(ForcedRejection::BadSecret),
        None => {}
    }
    if assignment.issue_identity.is_some() {
        shard.cookie_set(StickyKind::Identity);
    }
    if assignment.pin && served.is_some() {
        shard.cookie_set(StickyKind::Pin);
    }
    if let Some(served) = served.filter(|_| assignment.failover) {
        exchange.failed_over(assignment.variant, served);
    }
}

/// Writes the request's head as it goes to an HTTP/1 upstream, into `scratch.upstream`, unless it
/// stands there already.
pub(crate) fn write_head(exchange: &mut Exchange, settings: &Settings) {
    if exchange.scratch().upstream.is_empty() {
        with_edit(exchange, settings, None, headers::write_request);
    }
}

/// Makes the request's head as it goes to an HTTP/2 upstream.
///
/// # Errors
/// When it says what HTTP/2 cannot.
pub(crate) fn http2_head(
    exchange: &mut Exchange,
    settings: &Settings,
) -> Result<Request<()>, Error> {
    let local = exchange.local();
    let upstream = exchange.upstream(&local).ok_or(Error::Unavailable)?;
    let scheme = match upstream.upstream().settings().tls {
        Some(_) => Scheme::Https,
        None => Scheme::Http,
    };
    with_edit(exchange, settings, None, |_, head, edit| {
        headers::http2_request(head, edit, scheme)
    })
}

/// Lets `write` write the request's head as it goes to the upstream of the variant that serves; or to
/// another one, with these edits.
pub(crate) fn with_edit<T>(
    exchange: &mut Exchange,
    settings: &Settings,
    fields: Option<&FieldEdits>,
    write: impl FnOnce(&mut Vec<u8>, &RequestHead, &RequestEdit<'_>) -> T,
) -> T {
    let from = Rc::clone(&exchange.from);
    let trusted = exchange.client.trusted;
    let request_id = exchange.request_id();
    let local = exchange.local();
    let route = exchange.assigned.map(|to| &local.snapshot.routes[to.route]);
    let exposures = exchange.exposures.clone();
    let (scratch, edits) = exchange.scratch_and_edits();
    let split = route.map(|route| &route.split);
    let private = split.map_or(&[][..], |split| split.private_cookies());
    // Only a request that carries one has its cookies written anew.
    let carries = |name: &String| scratch.request.cookie(name.as_bytes()).is_some();
    let drop_cookies = if private.iter().any(carries) {
        private
    } else {
        &[]
    };
    let flags = route
        .and_then(|route| route.flags.as_deref())
        .zip(exposures.as_deref());
    let flags: Vec<_> = flags
        .into_iter()
        .flat_map(|(flags, of)| flags.told(of))
        .collect();
    let drop_field = split.and_then(|split| split.private_header());
    write(
        &mut scratch.upstream,
        &scratch.request,
        &RequestEdit {
            from: &from,
            trusted,
            source: settings.forwarded,
            upgrade: headers::asks_for_upgrade(&scratch.request),
            drop_cookies,
            drop_field: drop_field.map(str::as_bytes),
            flags: &flags,
            request_id: local
                .snapshot
                .request_id
                .as_deref()
                .zip(request_id.map(|id| id.of(&scratch.request.text))),
            fields: fields.or(edits.request),
            rewrite: route
                .map(|route| route.rewritten(&scratch.rewritten))
                .unwrap_or_default(),
        },
    )
}
