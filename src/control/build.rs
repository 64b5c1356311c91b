//! Building: from a configuration and the snapshot before it to the next snapshot.
//!
//! What has not changed is kept as it is: upstreams with what is known of their endpoints, draws
//! that go on where they were, numbers, the access log.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, ListenerConfig, Protocol, RouteConfig, with_causes};
use crate::control::chance;
use crate::control::direct;
use crate::control::flags;
use crate::control::mirror;
use crate::control::ofrep::Ofrep;
use crate::control::resolver::Resolver;
use crate::control::route_limits;
use crate::control::secure::{self, TicketKeys};
use crate::control::treatment;
use crate::control::tunnels::Switches;
use crate::control::{Rejected, refused};
use crate::listener::{ForwardedSource, Overload, Settings, Spoken, Timeouts, TrustedProxies};
use crate::proxy::{Cap, Route, Rule, Snapshot, Variant};
use crate::split::Draw;
use crate::telemetry::Telemetry;
use crate::telemetry::access_log::{self, AccessLog};
use crate::telemetry::stats::{RuleLabels, Selection, VariantLabels, VariantStats};
use crate::upstream::{self, Balance, Guard, Place, Upstream};

/// What stands for a variant in the numbers of a route that answers by itself.
const NO_VARIANT: &str = "none";

/// What building needs besides the configuration.
pub(crate) struct Builder {
    telemetry: Arc<Telemetry>,
    n_workers: usize,
    tickets: TicketKeys,
    generation: u64,
    /// The access log that is open, and what it was opened with.
    access_log: Option<(access_log::Settings, Arc<AccessLog>)>,
    switches: Switches,
    /// How many copies of requests may be under way at a time.
    copies: Arc<Cap>,
    /// Whether the process takes on anything new; all listeners look at it.
    overload: Arc<Overload>,
    /// What answers applications that ask for flags.
    ofrep: Ofrep,
}

impl Builder {
    /// Makes a builder; what goes on without an end stops at `end`.
    ///
    /// # Errors
    /// When there is no key for session tickets.
    pub(crate) fn new(
        telemetry: Arc<Telemetry>,
        n_workers: usize,
        end: CancellationToken,
    ) -> Result<Self, String> {
        let tickets = TicketKeys::new().map_err(|error| error.to_string())?;
        Ok(Self {
            telemetry,
            n_workers,
            tickets,
            generation: 0,
            access_log: None,
            switches: Switches::default(),
            copies: Arc::new(Cap::new(mirror::MOST_COPIES)),
            overload: Arc::default(),
            ofrep: Ofrep::new(end).map_err(|error| error.to_string())?,
        })
    }

    /// What answers applications that ask for flags.
    pub(crate) fn ofrep(&mut self) -> &mut Ofrep {
        &mut self.ofrep
    }

    /// What listeners look at before they take on anything new.
    pub(crate) fn overload(&self) -> &Arc<Overload> {
        &self.overload
    }

    /// The switches of tunnels, to be turned once what was built is live.
    pub(crate) fn switches(&mut self) -> &mut Switches {
        &mut self.switches
    }

    /// Builds the next snapshot.
    ///
    /// # Errors
    /// When certificates cannot be used, or the access log cannot be opened.
    pub(crate) fn build(
        &mut self,
        config: &Config,
        previous: Option<&Snapshot>,
        resolver: &Resolver,
        path: &Path,
    ) -> Result<Snapshot, Rejected> {
        let mut problems = Vec::new();
        let mut listeners = BTreeMap::new();
        for (name, listener) in &config.listeners {
            match self.listener(name, listener) {
                Ok(settings) => {
                    listeners.insert(Arc::clone(&settings.name), Arc::new(settings));
                }
                Err(message) => {
                    let key = format!("listener.{name}.tls");
                    problems.extend(refused(path, &key, message).problems);
                }
            }
        }
        self.tickets
            .keep(|name| config.listeners.contains_key(name));
        let access_log = match self.access_log(&config.access_log) {
            Ok(access_log) => access_log,
            Err(message) => {
                problems.extend(refused(path, "access_log.output", message).problems);
                None
            }
        };
        if !problems.is_empty() {
            return Err(Rejected { problems });
        }
        let upstreams = self.upstreams(config, previous, resolver, path)?;
        let names = config.upstreams.keys().map(String::as_str);
        let places = names.enumerate().map(|(n, name)| (name, n)).collect();
        let before: HashMap<&str, &Route> = previous
            .into_iter()
            .flat_map(|previous| &previous.routes)
            .map(|route| (&*route.name, route))
            .collect();
        let mut routes = Vec::with_capacity(config.routes.len());
        let request_id = config.trace.request_id.as_deref();
        let edge = flags::edge(config, self.telemetry.registry());
        let told = flags::headers(&edge.flags);
        for (name, route) in &config.routes {
            let guarded = flags::guarded(route, &told);
            let route = guarded.as_ref();
            let before = before.get(name.as_str()).copied();
            let mut built = self
                .route(name, route, before, &places, request_id)
                .map_err(|message| refused(path, &format!("route.{name}"), message))?;
            built.flags = flags::of_route(name, route, config, &edge).map(Box::new);
            routes.push(built);
        }
        self.generation += 1;
        Ok(Snapshot {
            generation: self.generation,
            listeners,
            table: Arc::clone(&config.table),
            routes,
            upstreams,
            edge,
            request_id: request_id.map(|name| name.as_bytes().into()),
            access_log: access_log.filter(|log| log.is_on()),
        })
    }

    fn listener(&mut self, name: &str, listener: &ListenerConfig) -> Result<Settings, String> {
        let tls = match &listener.tls {
            None => None,
            Some(tls) => Some(
                secure::listener(name, tls, &listener.protocols, &mut self.tickets)
                    .map_err(|error| with_causes(&error))?,
            ),
        };
        let timeouts = &listener.timeouts;
        let name: Arc<str> = name.into();
        let stats = self.telemetry.registry().listener(&name);
        if tls.is_some() {
            stats.expect_handshakes();
        }
        Ok(Settings {
            overload: Arc::clone(&self.overload),
            stats,
            name,
            limits: listener.limits.clone(),
            timeouts: Timeouts {
                tls: timeouts.tls,
                first_byte: timeouts.first_byte,
                header: timeouts.header,
                body: timeouts.body,
                idle: timeouts.idle,
                tunnel: timeouts.tunnel,
                half_closed: timeouts.half_closed,
            },
            connections: listener.max_connections.unwrap_or(usize::MAX),
            streams: listener.max_streams,
            trusted: TrustedProxies::new(listener.trusted_proxies.clone()),
            forwarded: match listener.forwarded {
                config::Forwarded::XForwarded => ForwardedSource::XForwardedFor,
                config::Forwarded::Rfc7239 => ForwardedSource::Forwarded,
            },
            proxy_protocol: listener.proxy_protocol,
            access: listener.access.clone(),
            spoken: spoken(&listener.protocols),
            tls,
        })
    }

    /// The access log as configured: the open one, if it is the same.
    fn access_log(
        &mut self,
        config: &config::AccessLogConfig,
    ) -> Result<Option<Arc<AccessLog>>, String> {
        let settings = access_log::Settings {
            format: match config.format {
                config::AccessLogFormat::Json => access_log::Format::Json,
                config::AccessLogFormat::Common => access_log::Format::Common,
                config::AccessLogFormat::Combined => access_log::Format::Combined,
            },
            output: match &config.output {
                config::AccessLogOutput::Stdout => access_log::Output::Stdout,
                config::AccessLogOutput::Off => access_log::Output::Off,
                config::AccessLogOutput::File(path) => access_log::Output::Path(path.clone()),
            },
            fields: config.fields.clone(),
            sample: config.sample,
            redact: config.redact.clone(),
        };
        if let Some((open, log)) = &self.access_log
            && *open == settings
        {
            return Ok(Some(Arc::clone(log)));
        }
        let log = self.telemetry.access_logs().open(&settings);
        let log = Arc::new(log.map_err(|error| with_causes(&error))?);
        self.access_log = Some((settings, Arc::clone(&log)));
        Ok(Some(log))
    }

    /// The upstreams in the order of their names.
    fn upstreams(
        &self,
        config: &Config,
        previous: Option<&Snapshot>,
        resolver: &Resolver,
        path: &Path,
    ) -> Result<Vec<Arc<Upstream>>, Rejected> {
        let before: HashMap<&str, &Arc<Upstream>> = previous
            .into_iter()
            .flat_map(|previous| &previous.upstreams)
            .map(|upstream| (&**upstream.name(), upstream))
            .collect();
        let mut upstreams = Vec::with_capacity(config.upstreams.len());
        let mut problems = Vec::new();
        for (name, upstream) in &config.upstreams {
            let before = before.get(name.as_str()).copied();
            let tls = upstream.tls.as_ref().map(|tls| {
                let before = before.and_then(|before| before.settings().tls.as_ref());
                secure::upstream(tls, upstream.protocol, before)
            });
            let tls = match tls.transpose() {
                Ok(tls) => tls,
                Err(error) => {
                    let key = format!("upstream.{name}.tls");
                    problems.extend(refused(path, &key, with_causes(&error)).problems);
                    continue;
                }
            };
            let settings = upstream::Settings {
                balance: match &upstream.balance {
                    config::Balance::LeastRequest => Balance::LeastRequest,
                    config::Balance::RoundRobin => Balance::RoundRobin,
                    config::Balance::ConsistentHash(keys) => {
                        Balance::ConsistentHash(keys.as_slice().into())
                    }
                },
                protocol: match upstream.protocol {
                    Protocol::Http1 => upstream::Protocol::Http1,
                    Protocol::Http2 => upstream::Protocol::Http2,
                },
                timeouts: upstream::Timeouts {
                    connect: upstream.timeouts.connect,
                    response: upstream.timeouts.response,
                    body: upstream.timeouts.body,
                },
                idle: upstream.timeouts.idle,
                pool: upstream.pool_idle,
                tls,
                health: upstream.health.clone(),
                outlier: upstream.outlier,
                slow_start: upstream.slow_start,
                limits: upstream.limits,
                breaker: upstream.breaker,
                retry: upstream.retry,
                proxy_protocol: upstream.proxy_protocol,
            };
            let places = resolver.places(&upstream.endpoints);
            let built = self.upstream(name, settings, &places, before);
            if upstream.endpoints.iter().any(|spec| spec.name().is_some()) {
                built.stats().expect_resolutions();
            }
            upstreams.push(built);
        }
        if problems.is_empty() {
            Ok(upstreams)
        } else {
            Err(Rejected { problems })
        }
    }

    fn upstream(
        &self,
        name: &str,
        settings: upstream::Settings,
        places: &[Place],
        before: Option<&Arc<Upstream>>,
    ) -> Arc<Upstream> {
        let known = before.map_or_else(Arc::default, |before| before.endpoints_for(&settings));
        if let Some(before) = before
            && *before.settings() == settings
            && known.is_of(places)
        {
            return Arc::clone(before);
        }
        let endpoints = known.next(places);
        let name: Arc<str> = name.into();
        let guard = match before {
            Some(before) => Arc::clone(before.guard()),
            None => Arc::new(Guard::new(self.telemetry.registry().upstream(&name))),
        };
        Arc::new(Upstream::new(name, settings, endpoints, guard))
    }

    fn route(
        &mut self,
        name: &str,
        route: &RouteConfig,
        before: Option<&Route>,
        places: &HashMap<&str, usize>,
        request_id: Option<&str>,
    ) -> Result<Route, String> {
        let split = Arc::clone(&route.split);
        let name: Arc<str> = name.into();
        let selections = possible(route);
        let mut variants = Vec::with_capacity(split.variants().len());
        for (spec, upstream) in split.variants().iter().zip(&route.upstreams) {
            let labels = VariantLabels {
                route: Arc::clone(&name),
                variant: spec.name.as_str().into(),
                upstream: upstream.as_str().into(),
            };
            let &upstream = places
                .get(upstream.as_str())
                .ok_or_else(|| format!("there is no upstream {upstream}"))?;
            let [request, response] = treatment::telling(&route.treatment, &name, &spec.name);
            variants.push(Variant {
                request,
                response,
                name: Arc::clone(&labels.variant),
                upstream,
                stats: self.telemetry.registry().variant(&labels, &selections),
                tunnels: self.switches.of(&labels),
            });
        }
        let fresh = || Arc::new(Draw::new(self.n_workers, chance::bits()));
        let rules = route.split_spec.rules.iter().map(|rule| {
            let segment: Arc<str> = rule.name.as_str().into();
            let mut rules = before.into_iter().flat_map(|before| &before.rules);
            let draw = rules.find(|before| before.segment == segment);
            Rule {
                draw: draw.map_or_else(fresh, |before| Arc::clone(&before.draw)),
                stats: self.telemetry.registry().rule(&RuleLabels {
                    route: Arc::clone(&name),
                    segment: Arc::clone(&segment),
                }),
                segment,
            }
        });
        let mirrors = mirror::Workshop {
            registry: self.telemetry.registry(),
            places,
            copies: &self.copies,
            fresh: &fresh,
        };
        Ok(Route {
            split,
            draw: before.map_or_else(fresh, |before| Arc::clone(&before.draw)),
            rules: rules.collect(),
            variants,
            stats: self.telemetry.registry().route(&name),
            failover: route.on_unavailable == config::OnUnavailable::Failover,
            treatment: treatment::of(&route.treatment),
            access: (!route.access.is_open()).then(|| Box::new(route.access.clone())),
            limits: route_limits::of(route, before.and_then(|before| before.limits.as_deref())),
            direct: route.direct.as_ref().map(|config| {
                let stats = self.direct_stats(&name, direct::status(config));
                let edits = treatment::edits(&route.treatment.response_headers);
                direct::of(config, &edits, request_id, stats)
            }),
            mirror: mirrors.mirror(&name, route, before),
            flags: None,
            // A stream's ticket is in it.
            hides_query: route.ofrep,
            name,
        })
    }

    /// The numbers of what a route answers by itself with this status.
    fn direct_stats(&self, route: &Arc<str>, status: u16) -> Arc<VariantStats> {
        let labels = VariantLabels {
            route: Arc::clone(route),
            variant: NO_VARIANT.into(),
            upstream: "".into(),
        };
        let registry = self.telemetry.registry();
        let stats = registry.variant(&labels, &[Selection::None]);
        stats.expect_own(status);
        stats
    }
}

/// Which versions of HTTP a listener's clients may speak; it has one protocol at least.
fn spoken(protocols: &[Protocol]) -> Spoken {
    let http1 = protocols.contains(&Protocol::Http1);
    match (http1, protocols.contains(&Protocol::Http2)) {
        (true, true) => Spoken::Both,
        (false, true) => Spoken::Http2,
        (_, false) => Spoken::Http1,
    }
}

/// The ways in which a route's requests can get their variant.
fn possible(route: &RouteConfig) -> Vec<Selection> {
    let spec = &route.split_spec;
    let mut selections = Vec::new();
    let sticky = spec.sticky.as_ref();
    if sticky.is_some_and(|sticky| sticky.pin.is_some()) {
        selections.push(Selection::Pin);
    }
    if sticky.is_some_and(|sticky| !sticky.keys.is_empty() || sticky.cookie.is_some()) {
        selections.push(Selection::Hash);
    }
    if sticky.is_none_or(|sticky| sticky.cookie.is_none()) {
        selections.push(Selection::Draw);
    }
    if spec.force.is_some() {
        selections.push(Selection::Forced);
    }
    if spec.variants.len() > 1 && route.on_unavailable == config::OnUnavailable::Failover {
        selections.push(Selection::Failover);
    }
    selections
}
