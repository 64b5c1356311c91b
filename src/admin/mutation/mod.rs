//! What every mutation comes with: who asks, why, of which state, and with what words.
//!
//! All of it is read and checked before a handler sees the request, so that a handler only says what
//! it does. What a handler has begun is brought to its end, also when who asked for it goes away;
//! whoever asks again with the same key is told what came of it.

pub(in crate::admin) mod body;
mod precondition;
mod replay;
mod strict;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::error;

use crate::admin::actions::Action;
use crate::admin::actor::Actor;
use crate::admin::fault::{Code, Fault};
use crate::admin::mutation::precondition::IfMatch;
use crate::admin::mutation::replay::{Answers, Begun, Key, Recorded};
use crate::admin::{Served, handlers};

pub(in crate::admin) use crate::admin::mutation::precondition::Etag;

/// How long a reason may be, in characters: it says something, and is not a document.
pub(in crate::admin) const REASON: RangeInclusive<usize> = 3..=1000;
/// How long the name of a ticket may be, in characters.
pub(in crate::admin) const TICKET: RangeInclusive<usize> = 1..=100;
/// The field with the name of a request.
const REQUEST_ID: &str = "x-request-id";
/// The longest name that is taken over.
const MAX_REQUEST_ID: usize = 128;
/// Tells that an answer is that of an earlier request with the same key.
const REPLAYED: &str = "idempotency-replayed";

/// What a mutation comes with.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Mutation {
    /// What is asked for, as records call it.
    pub(in crate::admin) action: &'static str,
    /// Who asks.
    pub(in crate::admin) actor: Actor,
    /// Why, in their words; there is one where the action needs it.
    pub(in crate::admin) reason: Option<String>,
    /// The ticket that it belongs to elsewhere, if they name one.
    pub(in crate::admin) ticket: Option<String>,
    /// The request's name, in records and in the answer.
    pub(in crate::admin) request_id: String,
    if_match: IfMatch,
    /// The members of the body besides.
    members: Map<String, Value>,
}

impl Mutation {
    /// Reads what a request comes with.
    ///
    /// # Errors
    /// When something of it is missing, or is not what it should be.
    fn read(
        action: &Action,
        actor: Actor,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Self, Fault> {
        let if_match = IfMatch::of(headers)?;
        let mut members = body::members(body)?;
        let reason = text(&mut members, "reason", REASON)?;
        if reason.is_none() && action.needs_reason {
            let why = format!("{} needs a reason: {{\"reason\": \"…\"}}", action.name);
            return Err(Fault::new(Code::ReasonMissing, why).at("/reason"));
        }
        Ok(Self {
            action: action.name,
            actor,
            reason,
            ticket: text(&mut members, "ticket", TICKET)?,
            request_id: request_id(headers),
            if_match,
            members,
        })
    }

    /// Reads the members of the body besides `reason` and `ticket`.
    ///
    /// # Errors
    /// When they are not what `T` is; the fault points at the member.
    pub(in crate::admin) fn body<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        body::parse(&self.members)
    }

    /// Holds the request's `If-Match` against the revision that a resource has now. Gives the revision
    /// that it then has to have still when it is changed; none where any will do.
    ///
    /// # Errors
    /// When it names another.
    pub(in crate::admin) fn expects_revision(&self, current: u64) -> Result<Option<u64>, Fault> {
        self.expects(&Etag::strong(current.to_string()))?;
        Ok(match self.if_match {
            IfMatch::One(_) => Some(current),
            IfMatch::Absent | IfMatch::Any => None,
        })
    }

    /// Holds the request's `If-Match` against what the resource is now. Who then changes it has to
    /// see to it that it is that still.
    ///
    /// # Errors
    /// When it names something else.
    pub(in crate::admin) fn expects(&self, current: &Etag) -> Result<(), Fault> {
        if self.if_match.holds_for(current) {
            return Ok(());
        }
        let why = format!("it is {current} now: look at it again");
        Err(Fault::new(Code::PreconditionFailed, why))
    }
}

impl<S: Sync> FromRequestParts<S> for Mutation {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let read = parts.extensions.get::<Self>().cloned();
        // What the table calls a mutation comes with it.
        read.ok_or_else(|| Fault::new(Code::Internal, "nobody has read what was sent"))
    }
}

/// The answers that mutations were given.
#[derive(Clone, Debug, Default)]
pub(in crate::admin) struct Memory(Arc<Mutex<Answers>>);

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut Answers) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is remembered of a mutation that is under way; it is forgotten unless it is answered.
struct Begin {
    memory: Memory,
    ticket: Option<u64>,
}

impl Begin {
    fn answered(mut self, recorded: Recorded) {
        if let Some(ticket) = self.ticket.take() {
            let now = Instant::now();
            self.memory
                .with(|answers| answers.answer(ticket, recorded, now));
        }
    }
}

impl Drop for Begin {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.memory.with(|answers| answers.forget(ticket));
        }
    }
}

/// Has a mutation carried out by who answers it, at most once for each key.
pub(in crate::admin) async fn carry_out(
    served: Served,
    action: &'static Action,
    actor: Actor,
    request: Request,
    next: Next,
) -> Response {
    match begin(&served.memory, action, actor, request).await {
        Ok(Ready::Run(begun, request)) => {
            let work = async move {
                let name = request.extensions().get::<Mutation>();
                let name = name.and_then(|mutation| mutation.request_id.parse().ok());
                let mut response = next.run(request).await;
                if let Some(name) = name {
                    let name: HeaderValue = name;
                    response.headers_mut().insert(REQUEST_ID, name);
                }
                match begun {
                    Some(begun) => record(begun, response).await,
                    None => response,
                }
            };
            match served.tasks.spawn(work).await {
                Ok(response) => response,
                Err(error) => handlers::failed(&error).into_response(),
            }
        }
        Ok(Ready::Told(recorded)) => {
            let mut response = recorded.into_response();
            let yes = HeaderValue::from_static("true");
            response.headers_mut().insert(REPLAYED, yes);
            response
        }
        Err(fault) => fault.into_response(),
    }
}

/// What is to be done with a mutation.
enum Ready {
    /// It is new.
    Run(Option<Begin>, Request),
    /// It was answered before.
    Told(Recorded),
}

async fn begin(
    memory: &Memory,
    action: &Action,
    actor: Actor,
    request: Request,
) -> Result<Ready, Fault> {
    let key = Key::of(request.headers(), &actor)?;
    let (mut parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body).await?;
    let mutation = Mutation::read(action, actor, &parts.headers, &body)?;
    parts.extensions.insert(mutation);
    let Some(key) = key else {
        return Ok(Ready::Run(None, Request::from_parts(parts, body.into())));
    };
    let fingerprint = fingerprint(&parts, &body);
    let now = Instant::now();
    match memory.with(|answers| answers.begin(key, fingerprint, now)) {
        Begun::New(ticket) => {
            let begun = Begin {
                memory: memory.clone(),
                ticket: Some(ticket),
            };
            let request = Request::from_parts(parts, body.into());
            Ok(Ready::Run(Some(begun), request))
        }
        Begun::Answered(recorded) => Ok(Ready::Told(recorded)),
        Begun::UnderWay => Err(Fault::new(
            Code::RequestUnderWay,
            "a request with this Idempotency-Key is under way",
        )),
        Begun::Other => Err(Fault::new(
            Code::IdempotencyKeyReused,
            "this Idempotency-Key was another request's: a new request has a new key",
        )),
        Begun::Full => Err(Fault::new(
            Code::TooManyUnderWay,
            "too many requests with an Idempotency-Key are under way",
        )),
    }
}

/// The name of a request: the one that it comes with, if that is fit to be kept, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let sent = headers.get(REQUEST_ID).and_then(|sent| sent.to_str().ok());
    let is_fit = |sent: &&str| {
        (1..=MAX_REQUEST_ID).contains(&sent.len())
            && sent.bytes().all(|byte| byte.is_ascii_graphic())
    };
    sent.filter(is_fit).map_or_else(
        || {
            let mut bits = [0; 16];
            // Without the system's generator requests have the same name; they are carried out.
            let _worked = getrandom::fill(&mut bits);
            bits.iter().map(|byte| format!("{byte:02x}")).collect()
        },
        str::to_owned,
    )
}

/// What tells a request from another: method, path, query and body.
fn fingerprint(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let target = parts
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    let mut hash = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), body] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Remembers an answer, if it is what the same request is to be told again.
async fn record(begun: Begin, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => {
            let recorded = Recorded::new(parts, body.to_bytes());
            if recorded.is_lasting() {
                begun.answered(recorded.clone());
            }
            recorded.into_response()
        }
        Err(error) => {
            error!(%error, "admin answer cannot be read");
            Fault::new(Code::Internal, "the answer cannot be read").into_response()
        }
    }
}

/// Takes a text out of the members, if it is there.
fn text(
    members: &mut Map<String, Value>,
    name: &str,
    length: RangeInclusive<usize>,
) -> Result<Option<String>, Fault> {
    let Some(value) = members.remove(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = value.as_str().map(str::trim);
    let is_plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
    let text = text.filter(|text| length.contains(&text.chars().count()));
    match text.filter(|text| text.chars().all(is_plain)) {
        Some(text) => Ok(Some(text.to_owned())),
        None => {
            let (least, most) = (length.start(), length.end());
            let why = format!("the {name} is not a text of {least} to {most} characters");
            Err(Fault::new(Code::BodyInvalid, why).at(&format!("/{name}")))
        }
    }
}
