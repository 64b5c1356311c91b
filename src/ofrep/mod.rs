//! Flags for applications: the OpenFeature Remote Evaluation Protocol (OFREP, version 0.3.0 of its
//! OpenAPI document).
//!
//! Servers ask for one flag at a time, `POST /ofrep/v1/evaluate/flags/KEY`; browsers and phones for
//! all at once, `POST /ofrep/v1/evaluate/flags`, and again when a stream tells them that something
//! has changed. What a flag answers is not decided here, see [`flag`](crate::flag); here it is decided
//! who may ask, and how it is written so that the official providers can read it. The tests name what
//! each of them stumbles over.

mod caller;
mod cors;
mod counts;
mod etag;
mod fault;
mod path;
mod question;
mod router;
mod server;
mod settings;
mod sheet;
mod stream;
#[cfg(test)]
mod tests;
mod ticket;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use axum::Router;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::flag::Flags;
use crate::ofrep::sheet::Sheet;
use crate::ofrep::stream::Change;
use crate::ofrep::ticket::Tickets;
use crate::proxy::RateLimit;

pub use crate::ofrep::cors::is_origin;
pub use crate::ofrep::counts::{Asked, Counted, Counts, Totals};
pub use crate::ofrep::fault::Code;
pub use crate::ofrep::router::{Arrival, Client};
pub use crate::ofrep::server::Server;
pub use crate::ofrep::settings::{Scope, Settings, TicketSecret, Token};

/// How long to wait at most for the next moment of a schedule before looking again: the clock may be
/// set meanwhile.
const LOOK: Duration = Duration::from_secs(60);

/// The service: who asks it is answered from the flags and settings that it was given last.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

/// What all that answer share.
struct Shared {
    sheet: ArcSwap<Sheet>,
    rules: ArcSwap<Rules>,
    /// What signs tickets where no secret is set.
    own_tickets: Tickets,
    /// Bytes that nobody else knows.
    secret: [u8; 32],
    changes: watch::Sender<Change>,
    /// There may be another next moment.
    moments: Notify,
    totals: Totals,
    shutdown: CancellationToken,
}

/// What holds for requests.
struct Rules {
    settings: Settings,
    limit: Option<Arc<RateLimit>>,
    tickets: Option<Tickets>,
}

impl Rules {
    /// The rules of settings. A limit stays, with what was taken from it, while its rate does.
    fn new(settings: Settings, before: Option<&Self>, secret: &[u8; 32]) -> Self {
        let kept = before.and_then(|rules| rules.limit.as_ref());
        let kept = kept.filter(|limit| Some(limit.rate()) == settings.rate.as_ref());
        let limit = kept.cloned().or_else(|| {
            let rate = settings.rate.clone()?;
            Some(Arc::new(RateLimit::of_each(rate, xxh3_64(secret))))
        });
        Self {
            limit,
            tickets: settings.ticket_secret.as_ref().map(Tickets::new),
            settings,
        }
    }
}

impl Shared {
    fn tickets<'a>(&'a self, rules: &'a Rules) -> &'a Tickets {
        rules.tickets.as_ref().unwrap_or(&self.own_tickets)
    }
}

impl Service {
    /// Makes a service whose streams end at `shutdown`. `secret` are 32 bytes by chance: what
    /// tickets are signed with where the settings have no secret for it.
    pub fn new(
        flags: Arc<Flags>,
        counts: Arc<dyn Counts>,
        settings: Settings,
        secret: [u8; 32],
        shutdown: CancellationToken,
        now: SystemTime,
    ) -> Self {
        let (changes, _) = watch::channel(Change::first(now));
        let shared = Shared {
            sheet: ArcSwap::from_pointee(Sheet::new(flags, counts)),
            rules: ArcSwap::from_pointee(Rules::new(settings, None, &secret)),
            own_tickets: Tickets::new(&TicketSecret::of(&secret)),
            changes,
            moments: Notify::new(),
            totals: Totals::default(),
            secret,
            shutdown,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Answers from other flags from now on, and tells all who listen. Evaluations are counted where
    /// these flags' are.
    pub fn set_flags(&self, flags: Arc<Flags>, counts: Arc<dyn Counts>, now: SystemTime) {
        self.shared.sheet.store(Arc::new(Sheet::new(flags, counts)));
        self.change(now);
        self.shared.moments.notify_one();
    }

    /// Follows other settings from now on. Streams of those who may not listen any more end with the
    /// next thing that they would have been told.
    pub fn set_settings(&self, settings: Settings) {
        let before = self.shared.rules.load_full();
        let rules = Rules::new(settings, Some(&before), &self.shared.secret);
        self.shared.rules.store(Arc::new(rules));
    }

    /// Tells those who listen when a schedule begins or ends, until the end.
    pub async fn follow_schedules(&self) {
        loop {
            let now = SystemTime::now();
            let next = self.shared.sheet.load().next_moment(now);
            let wait = next.and_then(|next| next.duration_since(now).ok());
            let pause = wait.unwrap_or(LOOK).min(LOOK);
            tokio::select! {
                () = self.shared.shutdown.cancelled() => return,
                () = self.shared.moments.notified() => {}
                () = tokio::time::sleep(pause) => {
                    let now = SystemTime::now();
                    if next.is_some_and(|next| next <= now) {
                        self.change(now);
                    }
                }
            }
        }
    }

    /// The paths, for a listener that gets requests in some way. Whatever stands under `/ofrep/` is
    /// answered; there is no fallback, so it can be merged into another router.
    pub fn router(&self, arrival: Arrival) -> Router {
        router::router(Arc::clone(&self.shared), arrival)
    }

    /// What happened so far, in numbers.
    pub fn totals(&self) -> &Totals {
        &self.shared.totals
    }

    fn change(&self, now: SystemTime) {
        self.shared
            .changes
            .send_modify(|change| *change = change.next(now));
    }
}
