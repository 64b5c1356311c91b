//! One worker's HTTP/2 connections with one endpoint, each with many requests at a time.
//!
//! There is one connection as long as it has room for all requests, and another one when its
//! streams are used up. Requests that find none wait together for the one that is being opened, so
//! that a burst opens one connection and not a hundred. A connection that the endpoint asks to
//! leave (GOAWAY) gets no further streams, and those on it finish.

mod link;
mod meter;
mod stream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::telemetry::stats::CloseReason;
use crate::upstream::http2::link::Link;
use crate::upstream::reach::{ConnectError, Reach};

pub use stream::{StreamLease, was_not_processed};

/// Connections of a worker with an endpoint at most: even an endpoint that takes few streams on
/// each can be given much, and one that takes none at all is not flooded.
const MAX_CONNECTIONS: usize = 64;

/// The connections.
#[derive(Debug)]
pub(crate) struct Connections {
    shared: Rc<Shared>,
    /// What opens connections and moves their frames; it ends with this.
    tasks: RefCell<JoinSet<()>>,
}

/// What its tasks know, too.
#[derive(Debug)]
pub(crate) struct Shared {
    reach: Rc<Reach>,
    /// Those that streams may be opened on, the oldest first.
    links: RefCell<Vec<Rc<Link>>>,
    connecting: RefCell<Option<Rc<Connecting>>>,
    /// Tells those who wait that a stream has ended.
    room: Notify,
    last_number: Cell<u64>,
}

/// A connection that is being opened.
#[derive(Debug, Default)]
struct Connecting {
    outcome: RefCell<Option<Result<(), ConnectError>>>,
    done: Notify,
}

impl Connecting {
    /// Waits for what becomes of it.
    async fn outcome(&self) -> Result<(), ConnectError> {
        loop {
            if let Some(outcome) = &*self.outcome.borrow() {
                return outcome.as_ref().copied().map_err(ConnectError::again);
            }
            self.done.notified().await;
        }
    }
}

impl Connections {
    pub(crate) fn new(reach: &Rc<Reach>) -> Self {
        Self {
            shared: Rc::new(Shared {
                reach: Rc::clone(reach),
                links: RefCell::default(),
                connecting: RefCell::default(),
                room: Notify::new(),
                last_number: Cell::new(0),
            }),
            tasks: RefCell::default(),
        }
    }

    /// A connection with room for a stream, if there is one with a number beyond this.
    pub(crate) fn take(&self, beyond: u64) -> Option<Rc<Link>> {
        self.shared.take(beyond)
    }

    /// Waits for a connection with room for a stream, and opens one if need be. Tells whether it
    /// was opened for this request.
    ///
    /// # Errors
    /// When there is none `within` a time, or it cannot be opened.
    pub(crate) async fn connect(
        &self,
        within: Duration,
        beyond: u64,
    ) -> Result<(Rc<Link>, bool), ConnectError> {
        let mut opened = false;
        let waiting = async {
            loop {
                if let Some(link) = self.shared.take(beyond) {
                    return Ok((link, opened));
                }
                let connecting = self.shared.connecting.borrow().clone();
                let connecting = match connecting {
                    Some(connecting) => Some(connecting),
                    None if self.shared.links.borrow().len() >= MAX_CONNECTIONS => None,
                    None => {
                        opened = true;
                        Some(self.open(within))
                    }
                };
                match connecting {
                    Some(connecting) => tokio::select! {
                        outcome = connecting.outcome() => outcome?,
                        () = self.shared.room.notified() => {}
                    },
                    None => self.shared.room.notified().await,
                }
            }
        };
        match timeout(within, waiting).await {
            Ok(connected) => connected,
            Err(_) if self.shared.connecting.borrow().is_some() => Err(ConnectError::Timeout),
            Err(_) => Err(ConnectError::Full),
        }
    }

    /// Begins to open a connection.
    fn open(&self, within: Duration) -> Rc<Connecting> {
        let connecting = Rc::new(Connecting::default());
        *self.shared.connecting.borrow_mut() = Some(Rc::clone(&connecting));
        let shared = Rc::clone(&self.shared);
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(async move { shared.serve(within).await });
        connecting
    }

    /// Lets go of connections that waited too long, that ended, or whose endpoint is no more; the
    /// streams on them finish.
    pub(crate) fn sweep(&self) {
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        let Shared { reach, links, .. } = &*self.shared;
        let limit = reach.idle_timeout.get();
        links.borrow_mut().retain(|link| {
            if reach.endpoint.is_retired() {
                link.closes(CloseReason::Removed);
                return false;
            }
            if link.idle().is_some_and(|idle| idle > limit) {
                link.closes(CloseReason::Idle);
                return false;
            }
            link.is_usable()
        });
    }

    /// Notes that a stream of a connection has ended.
    pub(crate) fn ended(&self, link: &Rc<Link>, was_last: bool) {
        self.shared.room.notify_one();
        if !was_last {
            return;
        }
        let mut links = self.shared.links.borrow_mut();
        let n_idle = links.iter().filter(|link| link.idle().is_some()).count();
        if n_idle > self.shared.reach.max_idle.get() {
            link.closes(CloseReason::Full);
            links.retain(|other| !Rc::ptr_eq(other, link));
        }
    }

    /// True while a connection is open or about to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        !tasks.is_empty()
    }
}

impl Shared {
    fn take(&self, beyond: u64) -> Option<Rc<Link>> {
        let mut links = self.links.borrow_mut();
        let mut at = 0;
        while let Some(link) = links.get(at) {
            if !link.is_usable() {
                links.remove(at);
            } else if link.number > beyond && link.has_room() {
                return Some(Rc::clone(link));
            } else {
                at += 1;
            }
        }
        None
    }

    /// Opens a connection, tells those who wait for it, and runs it to its end.
    async fn serve(&self, within: Duration) {
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        let begin = async |stream| Link::begin(number, stream, &self.reach).await;
        let driver = match self.reach.connect(within, None, begin).await {
            Ok((link, driver)) => {
                self.links.borrow_mut().push(link);
                self.settle(Ok(()));
                driver
            }
            Err(error) => {
                self.settle(Err(error));
                return;
            }
        };
        driver.run().await;
        // Nobody need wait for the room of one that is no more.
        self.room.notify_waiters();
    }

    fn settle(&self, outcome: Result<(), ConnectError>) {
        if let Some(connecting) = self.connecting.borrow_mut().take() {
            *connecting.outcome.borrow_mut() = Some(outcome);
            connecting.done.notify_waiters();
        }
    }
}
