//! Evaluations for applications: the service, with the flags that are in force, and the server
//! behind the routes that answer them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, OfrepConfig, OfrepScope};
use crate::control::Live;
use crate::control::chance;
use crate::flag::{Evaluation, FlagSpec, Flags, Runtime};
use crate::message::Networks;
use crate::ofrep::{
    Arrival, Asked, Code, Counts, Scope, Server, Service, Settings, TicketSecret, Token,
};
use crate::proxy::evaluated;
use crate::telemetry::OfrepLive;
use crate::telemetry::stats::FlagStats;

/// What answers applications.
pub(in crate::control) struct Ofrep {
    service: Service,
    /// What is behind routes, once one needs it.
    server: Option<Server>,
    /// Where proxies before this one are.
    proxies: Arc<ArcSwap<Networks>>,
    /// What it answers from: what is written of flags, and what was set at run time.
    known: (BTreeMap<String, FlagSpec>, BTreeMap<String, Runtime>),
}

/// Counts evaluations where those at the edge are counted.
struct Numbers {
    flags: Arc<Flags>,
    stats: Arc<[Vec<Arc<FlagStats>>]>,
}

impl Counts for Numbers {
    /// Browsers ask for all flags at once, and nobody can tell which of them they use: those that are
    /// meant for them count as used, and others only when they are asked for by name.
    fn evaluated(&self, evaluation: &Evaluation<'_>, asked: Asked) {
        let stats = &self.stats[evaluation.flag][evaluation.variant];
        let is_use = asked == Asked::One || self.flags.spec(evaluation.flag).client_visible;
        if is_use {
            stats.evaluated(evaluated(evaluation));
        } else {
            stats.listed(evaluated(evaluation));
        }
    }

    fn needed(&self, flag: usize, variant: usize) {
        self.stats[flag][variant].needed();
    }
}

impl Ofrep {
    /// Makes it, with no flags yet; its streams end at `shutdown`.
    ///
    /// # Errors
    /// When there is nothing to sign with that nobody else knows.
    pub(in crate::control) fn new(shutdown: CancellationToken) -> Result<Self, getrandom::Error> {
        let none = Numbers {
            flags: Arc::default(),
            stats: Arc::default(),
        };
        let service = Service::new(
            Arc::new(Flags::default()),
            Arc::new(none),
            Settings::default(),
            chance::secret()?,
            shutdown,
            SystemTime::now(),
        );
        Ok(Self {
            service,
            server: None,
            proxies: Arc::default(),
            known: Default::default(),
        })
    }

    /// The service, for whoever lets it be asked.
    pub(in crate::control) fn service(&self) -> &Service {
        &self.service
    }

    /// Lets the routes of a configuration that answer evaluations lead to the server, which is
    /// started when the first does.
    ///
    /// # Errors
    /// When it cannot be.
    pub(in crate::control) fn serve(&mut self, config: &mut Config) -> io::Result<()> {
        if !config.has_ofrep_route() {
            return Ok(());
        }
        let server = match self.server.take() {
            Some(server) => server,
            None => {
                let arrival = Arrival::Proxied(Arc::clone(&self.proxies));
                Server::start(self.service.router(arrival))?
            }
        };
        config.serve_ofrep_at(server.socket());
        self.server = Some(server);
        Ok(())
    }

    /// Answers from what is live from now on; who listens is told if that is something else.
    pub(in crate::control) fn follow(&mut self, live: &Live) {
        let config = &live.config;
        self.service.set_settings(settings(config));
        self.proxies.store(Arc::new(proxies(config)));
        let is_known =
            self.known.0 == live.written.flags.specs && self.known.1 == live.overlay.flags;
        if is_known {
            return;
        }
        self.known = (live.written.flags.specs.clone(), live.overlay.flags.clone());
        let edge = &live.snapshot.edge;
        let numbers = Numbers {
            flags: Arc::clone(&edge.flags),
            stats: Arc::clone(&edge.stats),
        };
        let now = SystemTime::now();
        self.service
            .set_flags(Arc::clone(&edge.flags), Arc::new(numbers), now);
    }
}

/// The networks of all proxies that any listener trusts.
fn proxies(config: &Config) -> Networks {
    let listeners = config.listeners.values();
    let networks = listeners.flat_map(|listener| listener.trusted_proxies.clone());
    Networks::new(networks.collect())
}

fn settings(config: &Config) -> Settings {
    let (cluster, config) = (&config.releases.cluster, &config.ofrep);
    let scope = |scope: OfrepScope| match scope {
        OfrepScope::Server => Scope::Server,
        OfrepScope::Client => Scope::Client,
    };
    let tokens = config.tokens.iter().map(|(name, token)| {
        let token = Token {
            sha256: *token.secret.sha256(),
            scope: scope(token.scope),
            expires: token.expires,
        };
        (name.clone(), token)
    });
    Settings {
        tokens: tokens.collect(),
        anonymous: config.anonymous.map(scope),
        allowed_origins: config.allowed_origins.clone(),
        max_body: usize::try_from(config.max_body).unwrap_or(usize::MAX),
        rate: config.rate.clone(),
        stream: config.stream,
        ticket_secret: Some(ticket_secret(cluster, config)),
        ..Settings::default()
    }
}

/// What tickets of streams are signed with: the same on all instances with the same tokens, now and
/// after a restart. A ticket lets somebody hear that something has changed, and not what.
fn ticket_secret(cluster: &str, config: &OfrepConfig) -> TicketSecret {
    let mut known = cluster.as_bytes().to_vec();
    for (name, token) in &config.tokens {
        known.extend_from_slice(name.as_bytes());
        known.extend_from_slice(token.secret.sha256());
    }
    TicketSecret::of(&known)
}

/// What the metrics show of what applications asked.
pub(in crate::control) fn shown(service: &Service) -> OfrepLive {
    let counted = service.totals().read();
    let errors = Code::ALL.iter().zip(counted.errors);
    OfrepLive {
        errors: errors.map(|(code, n)| (code.name(), n)).collect(),
        refused: vec![
            ("denied", counted.refused),
            ("limited", counted.limited),
            ("streams", counted.streams_refused),
        ],
        bulk: vec![
            (
                "sent",
                counted.bulk - counted.not_modified.min(counted.bulk),
            ),
            ("not_modified", counted.not_modified),
        ],
        streams: counted.streams,
    }
}
