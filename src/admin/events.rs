//! What happens, as it happens: each record as a server-sent event (the HTML standard, section 9.2),
//! with its number as the event's, so that whoever comes back is told of what they missed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Uri};
use http_body::Frame;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::admin::Served;
use crate::admin::fault::{Code, Fault};
use crate::admin::params::{Params, invalid};
use crate::admin::releases::desk;
use crate::admin::trail;
use crate::release::desk::Desk;
use crate::store::{Order, Query, ReadError, Record};

/// Who may listen at a time: fewer than there may be connections, so that one can always ask.
pub(in crate::admin) const MAX_LISTENERS: usize = 32;

/// How often something is sent when nothing happens: what stands between gives up after a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many records are read at a time.
const AT_ONCE: usize = 100;

/// How many events wait for a listener that is slow; then the journal is where they wait.
const AHEAD: usize = 4;

/// After how long whoever lost the connection should come back, in milliseconds.
const BEGINNING: &str = "retry: 2000\n: what happens from now on\n\n";

/// What is sent while nothing happens: a comment.
const BEAT: &str = ":\n\n";

/// The parameters; all narrow what is told.
const PARAMS: [&str; 4] = ["since", "object", "actor", "action"];

/// Tells of records from the one after `Last-Event-ID` on, or from `?since=`, or from now.
pub(in crate::admin) async fn events(
    State(served): State<Served>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Fault> {
    let params = Params::of(&uri, &PARAMS)?;
    let desk = desk(&served)?;
    let mut query = Query {
        limit: AT_ONCE,
        order: Order::Oldest,
        ..trail::narrowed(&params)?
    };
    let from = match headers.get("last-event-id") {
        Some(id) => {
            let id = id
                .to_str()
                .ok()
                .and_then(|id| id.trim().parse::<u64>().ok());
            let id = id.ok_or_else(|| invalid("Last-Event-ID is no number".to_owned()))?;
            id.saturating_add(1)
        }
        None => match params.whole("since")? {
            Some(since) => since,
            None => desk.ledger().store().watch().borrow().saturating_add(1),
        },
    };
    query.since = Some(from);
    let listeners = Arc::clone(&served.listeners);
    let permit = listeners.try_acquire_owned().map_err(|_| {
        let why = format!("{MAX_LISTENERS} listen already");
        Fault::new(Code::TooManyListeners, why)
    })?;
    let (told, events) = mpsc::channel(AHEAD);
    served.tasks.spawn(tell(served.clone(), desk, query, told));
    let fields = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    let body = Body::new(Events {
        events,
        _permit: permit,
    });
    Ok((fields, body).into_response())
}

/// Tells until nobody listens, or the end has come.
async fn tell(served: Served, desk: Arc<Desk>, query: Query, told: mpsc::Sender<Bytes>) {
    tokio::select! {
        () = served.shutdown.cancelled() => {}
        () = told.closed() => {}
        outcome = follow(&desk, query, &told) => {
            if let Err(error) = outcome {
                warn!(%error, "what happens cannot be told");
            }
        }
    }
}

async fn follow(
    desk: &Arc<Desk>,
    mut query: Query,
    told: &mpsc::Sender<Bytes>,
) -> Result<(), ReadError> {
    let mut revision = desk.ledger().store().watch();
    let mut beats = interval(HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats.reset();
    if told
        .send(Bytes::from_static(BEGINNING.as_bytes()))
        .await
        .is_err()
    {
        return Ok(());
    }
    loop {
        let last = *revision.borrow_and_update();
        let records = read(desk, &query).await?;
        let is_all = records.len() < AT_ONCE;
        for record in records {
            query.since = Some(record.seq + 1);
            if told.send(event(record)).await.is_err() {
                return Ok(());
            }
        }
        if !is_all {
            continue;
        }
        // What was looked through need not be looked through again.
        query.since = query.since.max(Some(last + 1));
        tokio::select! {
            changed = revision.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            _ = beats.tick() => {
                if told.send(Bytes::from_static(BEAT.as_bytes())).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

async fn read(desk: &Arc<Desk>, query: &Query) -> Result<Vec<Record>, ReadError> {
    let (desk, query) = (Arc::clone(desk), query.clone());
    let reading = tokio::task::spawn_blocking(move || desk.ledger().store().records(&query));
    // A panic in there was told of by the runtime; to tell of nothing more is all that is left.
    reading.await.unwrap_or_else(|_| Ok(Vec::new()))
}

/// A record as an event, without what only the store has a use for.
fn event(mut record: Record) -> Bytes {
    record.changes.clear();
    record.event = None;
    let seq = record.seq;
    let data = serde_json::to_value(&record).unwrap_or(Value::Null);
    // JSON has no line ends but in texts, where they are escaped.
    Bytes::from(format!("id: {seq}\ndata: {data}\n\n"))
}

/// The body: what is told, until nobody tells any more.
struct Events {
    events: mpsc::Receiver<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let event = std::task::ready!(self.events.poll_recv(context));
        Poll::Ready(event.map(|event| Ok(Frame::data(event))))
    }
}
