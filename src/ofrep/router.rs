//! From a request to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use crate::message::Networks;
use crate::ofrep::caller::{Caller, Refusal};
use crate::ofrep::cors::Cors;
use crate::ofrep::fault::Fault;
use crate::ofrep::path::{key, parameter};
use crate::ofrep::stream::Events;
use crate::ofrep::{Rules, Shared, etag, question};

/// Where streams are.
const STREAM: &str = "/ofrep/v1/stream";
/// The parameter that a ticket is.
const TICKET: &str = "t";
/// After how long without a look at its page a client may let go of its stream, in seconds.
const INACTIVITY: u64 = 120;
/// After what time who found no room for a stream may look again.
const STREAM_WAIT: Duration = Duration::from_secs(30);
/// The fields by which the proxy tells where a request came from, and what its path lost.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// How requests come.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// From who asks. Their address is a [`Client`] among the request's extensions, if it is known.
    Direct {
        /// How many streams may be open at a time, so that there are connections left for others.
        max_streams: usize,
    },
    /// By the proxy, whose fields tell where from; addresses in these networks are of proxies
    /// before it.
    Proxied(Arc<ArcSwap<Networks>>),
}

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

/// What an answer needs.
#[derive(Clone)]
struct Served {
    shared: Arc<Shared>,
    arrival: Arrival,
    /// Places for streams that come this way, if they are counted by themselves.
    places: Option<Arc<Semaphore>>,
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    One(&'a str),
    All,
    Stream,
    Nothing,
}

impl Wanted<'_> {
    /// The methods that there are for it.
    fn methods(self) -> &'static str {
        match self {
            Self::One(_) | Self::All => "POST, OPTIONS",
            Self::Stream => "GET, OPTIONS",
            Self::Nothing => "OPTIONS",
        }
    }
}

/// Makes the paths. There is no fallback, so that it can be merged into another one.
pub(in crate::ofrep) fn router(shared: Arc<Shared>, arrival: Arrival) -> Router {
    let places = match &arrival {
        Arrival::Direct { max_streams } => Some(Arc::new(Semaphore::new(*max_streams))),
        Arrival::Proxied(_) => None,
    };
    Router::new()
        .route("/ofrep/v1/evaluate/flags", any(all))
        .route("/ofrep/v1/evaluate/flags/", any(one))
        .route("/ofrep/v1/evaluate/flags/{*key}", any(one))
        .route(STREAM, any(stream))
        .route("/ofrep/{*rest}", any(nothing))
        .with_state(Served {
            shared,
            arrival,
            places,
        })
}

async fn one(State(served): State<Served>, request: Request) -> Response {
    let key = key(request.uri().path()).into_owned();
    served.answer(Wanted::One(&key), request).await
}

async fn all(State(served): State<Served>, request: Request) -> Response {
    served.answer(Wanted::All, request).await
}

async fn stream(State(served): State<Served>, request: Request) -> Response {
    served.answer(Wanted::Stream, request).await
}

async fn nothing(State(served): State<Served>, request: Request) -> Response {
    served.answer(Wanted::Nothing, request).await
}

impl Served {
    /// Answers, and tells browsers who may read it.
    async fn answer(&self, wanted: Wanted<'_>, request: Request) -> Response {
        let rules = self.shared.rules.load_full();
        let cors = Cors::of(&rules.settings.allowed_origins, request.headers());
        if request.method() == Method::OPTIONS {
            let headers = cors.preflight(wanted.methods(), request.headers());
            return (StatusCode::NO_CONTENT, headers).into_response();
        }
        // The path alone: a query may have a ticket in it.
        let path = request.uri().path().to_owned();
        let answered = match wanted {
            Wanted::One(key) => self.one(&rules, key, request).await,
            Wanted::All => self.all(&rules, request).await,
            Wanted::Stream => self.stream(&rules, &request),
            Wanted::Nothing => Err(Fault::nothing_here()),
        };
        let mut response = answered.unwrap_or_else(|fault| {
            let (code, status) = (fault.code(), fault.status());
            debug!(path, code = code.name(), %status, "flags not evaluated");
            self.shared.totals.failed(code);
            fault.response(match wanted {
                Wanted::One(key) => Some(key),
                Wanted::All | Wanted::Stream | Wanted::Nothing => None,
            })
        });
        cors.apply(response.headers_mut());
        response
    }

    async fn one(&self, rules: &Rules, key: &str, request: Request) -> Result<Response, Fault> {
        let now = SystemTime::now();
        let (caller, body) = self.question(rules, Wanted::One(key), request, now).await?;
        let context = question::context(&body, now)?;
        let sheet = self.shared.sheet.load();
        let answer = sheet.one(key, caller.scope, &context);
        let answer = answer.ok_or_else(|| Fault::not_found(key))?;
        Ok(json(answer))
    }

    async fn all(&self, rules: &Rules, request: Request) -> Result<Response, Fault> {
        let now = SystemTime::now();
        let headers = request.headers().clone();
        let (caller, body) = self.question(rules, Wanted::All, request, now).await?;
        let context = question::context(&body, now)?;
        let mut answer = b"{\"flags\":".to_vec();
        self.shared
            .sheet
            .load()
            .all(caller.scope, &context, &mut answer);
        answer.extend_from_slice(b",\"metadata\":{}");
        if rules.settings.stream {
            let prefix = self.prefix(&headers);
            let ticket = self.shared.tickets(rules).give(&caller, now);
            let uri = format!("{prefix}{STREAM}?{TICKET}={ticket}");
            let stream = format!(
                ",\"eventStreams\":[{{\"type\":\"sse\",\"endpoint\":{{\"requestUri\":\"{uri}\"}},\
                 \"inactivityDelaySec\":{INACTIVITY}}}]"
            );
            answer.extend_from_slice(stream.as_bytes());
        }
        answer.push(b'}');
        self.shared.totals.bulk();
        let tag = etag::of(&answer);
        let mut response = if etag::is_known(&headers, &tag) {
            self.shared.totals.not_modified();
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            json(answer)
        };
        if let Ok(tag) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        Ok(response)
    }

    fn stream(&self, rules: &Rules, request: &Request) -> Result<Response, Fault> {
        if request.method() != Method::GET {
            return Err(Fault::method(Wanted::Stream.methods()));
        }
        let (settings, now) = (&rules.settings, SystemTime::now());
        if !settings.stream {
            return Err(Fault::nothing_here());
        }
        let headers = request.headers();
        let caller = match parameter(request.uri().query(), TICKET) {
            Some(ticket) => self
                .shared
                .tickets(rules)
                .take(ticket, settings, now)
                .ok_or_else(|| self.refused(Refusal::Ticket))?,
            None => Caller::of(settings, headers, now).map_err(|refusal| self.refused(refusal))?,
        };
        self.limit(rules, &caller, request)?;
        let events = self
            .place()
            .and_then(|place| Events::begin(&self.shared, caller, place, headers, now));
        let events = events.ok_or_else(|| {
            self.shared.totals.stream_refused();
            Fault::full(STREAM_WAIT)
        })?;
        let fields = [
            (CONTENT_TYPE, "text/event-stream"),
            (CACHE_CONTROL, "no-store"),
            // What stands between may keep other answers until they are whole, not this one.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        Ok((fields, Body::new(events)).into_response())
    }

    /// A place for a stream that comes this way: one that is counted, or any. `None` when there is
    /// none.
    fn place(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match &self.places {
            Some(places) => Arc::clone(places).try_acquire_owned().ok().map(Some),
            None => Some(None),
        }
    }

    /// Who asks, and the body that they ask with.
    async fn question(
        &self,
        rules: &Rules,
        wanted: Wanted<'_>,
        request: Request,
        now: SystemTime,
    ) -> Result<(Caller, bytes::Bytes), Fault> {
        if request.method() != Method::POST {
            return Err(Fault::method(wanted.methods()));
        }
        let settings = &rules.settings;
        let caller = Caller::of(settings, request.headers(), now);
        let caller = caller.map_err(|refusal| self.refused(refusal))?;
        self.limit(rules, &caller, &request)?;
        let (head, body) = request.into_parts();
        let body = question::read(&head.headers, body, settings.max_body).await?;
        Ok((caller, body))
    }

    fn refused(&self, refusal: Refusal) -> Fault {
        self.shared.totals.refused();
        Fault::refused(refusal)
    }

    /// Takes a place for a request of somebody.
    fn limit(&self, rules: &Rules, caller: &Caller, request: &Request) -> Result<(), Fault> {
        let Some(limit) = &rules.limit else {
            return Ok(());
        };
        let who = match &caller.token {
            Some(name) => format!("token {name}"),
            None => match self.address(request) {
                Some(address) => format!("address {address}"),
                None => "nobody".to_owned(),
            },
        };
        limit.take_for(who.as_bytes()).map_err(|wait| {
            self.shared.totals.limited();
            Fault::too_many(wait)
        })
    }

    /// The address that a request came from: the last that is not of a proxy.
    fn address(&self, request: &Request) -> Option<IpAddr> {
        let proxies = match &self.arrival {
            Arrival::Direct { .. } => {
                return request.extensions().get::<Client>().map(|client| client.0);
            }
            Arrival::Proxied(proxies) => proxies.load(),
        };
        let mut last = None;
        for text in elements(request.headers(), &FORWARDED_FOR)
            .into_iter()
            .rev()
        {
            let Ok(address) = text.parse::<IpAddr>() else {
                break;
            };
            last = Some(address.to_canonical());
            if !proxies.contains(address) {
                break;
            }
        }
        last
    }

    /// What the path had before ours when it was sent; a browser asks for a stream by the whole of
    /// it.
    fn prefix(&self, headers: &HeaderMap) -> String {
        match self.arrival {
            Arrival::Direct { .. } => String::new(),
            Arrival::Proxied(_) => {
                let parts = elements(headers, &FORWARDED_PREFIX);
                let parts = parts.iter().map(|part| part.trim_matches('/'));
                let is_plain = |part: &&str| {
                    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte);
                    !part.is_empty() && part.bytes().all(fits)
                };
                parts
                    .filter(is_plain)
                    .map(|part| format!("/{part}"))
                    .collect()
            }
        }
    }
}

/// The elements of a list that a field, or several of one name, are.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let fields = headers.get_all(name).into_iter();
    let texts = fields.filter_map(|field| field.to_str().ok());
    texts
        .flat_map(|text| text.split(',').map(str::trim))
        .collect()
}

/// An answer.
fn json(body: Vec<u8>) -> Response {
    let fields = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (fields, body).into_response()
}
