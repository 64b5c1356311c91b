//! Streams: telling clients that it is time to ask again, by server-sent events (the HTML standard,
//! section 9.2).
//!
//! A stream tells no values: it says that something has changed, and whoever hears it asks with their
//! own context and entity tag. So it may be told to everybody alike, and one that is lost costs
//! nothing but a question.
//!
//! An event's number is the moment of the change in milliseconds. Who comes back after a broken
//! connection sends the last that they heard of; if it is not the newest, they are told at once. Who
//! comes for the first time has asked a moment before: if something changed about then, they are
//! told, too.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::ofrep::caller::Caller;
use crate::ofrep::{Rules, Shared};

/// The field by which who comes back tells what they heard last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What is sent while nothing happens: a comment.
const BEAT: &str = ":\n\n";
/// How long after a change somebody may come who asked before it and has not heard of it.
const RECENTLY: Duration = Duration::from_secs(60);
/// After how long, at least, whoever lost the connection should come back, in milliseconds.
const RETRY: u64 = 1000;
/// Over how many milliseconds more they are spread, so that not all come back at once.
const SPREAD: u64 = 4000;

/// A change of what flags answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::ofrep) struct Change {
    /// Its number: greater than that of any before it.
    id: u64,
    /// When it was.
    at: SystemTime,
}

impl Change {
    /// The first.
    pub(in crate::ofrep) fn first(at: SystemTime) -> Self {
        Self { id: millis(at), at }
    }

    /// The one after this.
    pub(in crate::ofrep) fn next(self, at: SystemTime) -> Self {
        Self {
            id: millis(at).max(self.id + 1),
            at,
        }
    }

    /// It as an event.
    fn event(self) -> String {
        let Self { id, at } = self;
        let seconds = millis(at) / 1000;
        format!(
            "id: {id}\nevent: message\ndata: {{\"type\":\"refetchEvaluation\",\"etag\":\"{id}\",\
             \"lastModified\":{seconds}}}\n\n"
        )
    }

    /// How a stream begins. The number alone is no event, but is what who comes back will send.
    fn beginning(self, last: Option<&[u8]>, now: SystemTime) -> String {
        let Self { id, at } = self;
        let retry = RETRY + spread(now) % SPREAD;
        let has_missed = match last {
            Some(last) => last != id.to_string().as_bytes(),
            None => now.duration_since(at).is_ok_and(|ago| ago < RECENTLY),
        };
        let event = if has_missed {
            self.event()
        } else {
            String::new()
        };
        format!("retry: {retry}\nid: {id}\n\n{event}")
    }
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Something that is different for each that comes, without being chance.
fn spread(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    u64::from(since.unwrap_or_default().subsec_micros())
}

/// Somebody who listens.
struct Listener {
    shared: Arc<Shared>,
    caller: Caller,
    changes: watch::Receiver<Change>,
    beats: Interval,
    _place: Option<OwnedSemaphorePermit>,
    beginning: Option<String>,
}

impl Listener {
    /// The next thing to tell; `None` when there is nothing more to come.
    async fn next(mut self) -> Told {
        if let Some(beginning) = self.beginning.take() {
            return Some((self, beginning.into()));
        }
        tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled() => None,
            changed = self.changes.changed() => {
                changed.ok()?;
                self.may_listen().then_some(())?;
                let change = *self.changes.borrow_and_update();
                Some((self, change.event().into()))
            }
            _ = self.beats.tick() => {
                self.may_listen().then_some(())?;
                Some((self, Bytes::from_static(BEAT.as_bytes())))
            }
        }
    }

    /// A token that is taken away ends what it opened.
    fn may_listen(&self) -> bool {
        let Rules { settings, .. } = &**self.shared.rules.load();
        settings.stream && self.caller.may_still(settings, SystemTime::now())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.totals.closed();
    }
}

/// What is told, and who goes on listening.
type Told = Option<(Listener, Bytes)>;

/// The body of a stream.
pub(in crate::ofrep) struct Events {
    next: Pin<Box<dyn Future<Output = Told> + Send>>,
}

impl Events {
    /// Begins a stream for somebody, who keeps a place until its end; `None` when as many are open as
    /// may be.
    pub(in crate::ofrep) fn begin(
        shared: &Arc<Shared>,
        caller: Caller,
        place: Option<OwnedSemaphorePermit>,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Option<Self> {
        let Rules { settings, .. } = &**shared.rules.load();
        if !shared.totals.open(settings.max_streams) {
            return None;
        }
        let mut beats = interval(settings.heartbeat.max(Duration::from_secs(1)));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.reset();
        let mut changes = shared.changes.subscribe();
        let change = *changes.borrow_and_update();
        let last = headers.get(LAST_EVENT_ID).map(HeaderValue::as_bytes);
        let listener = Listener {
            shared: Arc::clone(shared),
            caller,
            changes,
            beats,
            _place: place,
            beginning: Some(change.beginning(last, now)),
        };
        Some(Self {
            next: Box::pin(listener.next()),
        })
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let told = std::task::ready!(self.next.as_mut().poll(context));
        let Some((listener, bytes)) = told else {
            self.next = Box::pin(std::future::ready(None));
            return Poll::Ready(None);
        };
        self.next = Box::pin(listener.next());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use crate::ofrep::stream::Change;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn an_event_says_that_it_is_time_to_ask_again() {
        assert_eq!(
            Change::first(at(1_771_622_898_123)).event(),
            "id: 1771622898123\nevent: message\n\
             data: {\"type\":\"refetchEvaluation\",\"etag\":\"1771622898123\",\"lastModified\":1771622898}\n\n"
        );
    }

    #[test]
    fn numbers_only_grow_also_when_the_clock_does_not() {
        let first = Change::first(at(1000));
        let second = first.next(at(1000));
        let third = second.next(at(10));
        let fourth = third.next(at(5000));
        assert_eq!(
            [first.id, second.id, third.id, fourth.id],
            [1000, 1001, 1002, 5000]
        );
    }

    #[track_caller]
    fn check(last: Option<&str>, now: u64, is_told: bool) {
        let beginning = Change::first(at(100_000)).beginning(last.map(str::as_bytes), at(now));
        let (retry, rest) = beginning.split_once('\n').unwrap();
        let retry: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
        assert!((1000..5000).contains(&retry), "{retry}");
        let rest = rest.strip_prefix("id: 100000\n\n").unwrap();
        assert_eq!(
            rest.contains("refetchEvaluation"),
            is_told,
            "{last:?} {now}"
        );
    }

    #[test]
    fn who_comes_back_is_told_of_what_they_missed() {
        check(Some("100000"), 100_001, false);
        check(Some("100000"), 900_000, false);
        check(Some("99999"), 900_000, true);
        check(Some("nonsense"), 900_000, true);
    }

    #[test]
    fn who_comes_first_is_told_when_something_changed_just_now() {
        check(None, 100_000, true);
        check(None, 159_999, true);
        check(None, 160_000, false);
    }
}
