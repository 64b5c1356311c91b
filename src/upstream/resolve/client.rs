//! The client of the name servers.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name as DnsName, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::upstream::Name;
use crate::upstream::resolve::answer::{Addresses, Answer, LookupError, Records, Server, foremost};

/// How long the addresses of one family wait for those of the other: name servers answer for both
/// at about the same time, and some never answer for the one that they do not know.
const OTHER_FAMILY: Duration = Duration::from_millis(500);

/// How many servers of one service are used: more than a service has that is balanced by DNS.
const MAX_SERVERS: usize = 256;

/// How many hosts of a service are looked up at once.
const HOSTS_AT_ONCE: usize = 16;

/// How many questions may be open on one connection with a name server.
const MAX_ACTIVE: usize = 4096;

/// Where the system says which names it knows itself.
const HOSTS: &str = "/etc/hosts";

/// What is set for the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResolverSettings {
    /// The name servers; none means those of the system.
    pub nameservers: Vec<SocketAddr>,
    /// How long a look-up may take.
    pub timeout: Duration,
}

/// The client of the name servers.
pub struct Client {
    settings: ResolverSettings,
    /// A system without name servers is no reason not to start: look-ups say what is wrong.
    resolver: Result<TokioResolver, LookupError>,
    hosts: Mutex<HostsFile>,
}

/// The names that the system knows itself, as they were when the file was last changed.
#[derive(Default)]
struct HostsFile {
    modified: Option<SystemTime>,
    hosts: Arc<Hosts>,
}

impl Client {
    /// Makes a client.
    pub fn new(settings: ResolverSettings) -> Self {
        let resolver = resolver(&settings).map_err(|error| LookupError::Failed(error.to_string()));
        Self {
            settings,
            resolver,
            hosts: Mutex::default(),
        }
    }

    /// What is set for it.
    pub fn settings(&self) -> &ResolverSettings {
        &self.settings
    }

    /// Looks a name up; `last` is what was known of it.
    ///
    /// # Errors
    /// When nothing came of it.
    pub async fn look_up(
        self: &Arc<Self>,
        name: &Name,
        last: &Answer,
    ) -> Result<Answer, LookupError> {
        match name {
            Name::Host(host) => {
                let known = last.hosts.get(host).cloned().unwrap_or_default();
                let (addresses, ttl, trouble) = self.host(host, &known).await?;
                Ok(Answer {
                    servers: Vec::new(),
                    hosts: BTreeMap::from([(Arc::clone(host), addresses)]),
                    ttl,
                    trouble,
                })
            }
            Name::Service(service) => self.service(service, last).await,
        }
    }

    /// Asks for a service's servers, and then for their addresses.
    async fn service(
        self: &Arc<Self>,
        service: &str,
        last: &Answer,
    ) -> Result<Answer, LookupError> {
        let (servers, mut ttl) = self
            .ask(service, RecordType::SRV, |data| match data {
                RData::SRV(record) => Some(Server {
                    host: without_dot(&record.target.to_ascii()),
                    port: record.port,
                    priority: record.priority,
                    weight: record.weight,
                }),
                _ => None,
            })
            .await?;
        let servers = foremost(servers, MAX_SERVERS);
        let mut waiting: Vec<_> = servers.iter().map(|server| server.host.clone()).collect();
        waiting.sort_unstable();
        waiting.dedup();
        let mut hosts = BTreeMap::new();
        let mut trouble = None;
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < HOSTS_AT_ONCE
                && let Some(host) = waiting.pop()
            {
                let client = Arc::clone(self);
                let known = last.hosts.get(&host).cloned().unwrap_or_default();
                asking.spawn(async move {
                    // What SRV leads to is a whole name, never to be searched for.
                    let answer = client.host(&format!("{host}."), &known).await;
                    (host, known, answer)
                });
            }
            match asking.join_next().await {
                None => break,
                Some(Ok((host, _, Ok((addresses, holds, beside))))) => {
                    ttl = ttl.min(holds);
                    trouble = trouble.or(beside);
                    hosts.insert(host, addresses);
                }
                Some(Ok((host, known, Err(error)))) => {
                    trouble = Some(error);
                    hosts.insert(host, known);
                }
                Some(Err(error)) => trouble = Some(LookupError::Failed(error.to_string())),
            }
        }
        let answer = Answer {
            servers,
            hosts,
            ttl,
            trouble,
        };
        if answer.n_addresses() == 0 {
            return Err(answer.trouble.unwrap_or(LookupError::Empty));
        }
        Ok(answer)
    }

    /// Asks for the addresses of a host, of both families at once.
    async fn host(
        &self,
        host: &str,
        known: &Addresses,
    ) -> Result<(Addresses, Duration, Option<LookupError>), LookupError> {
        if let Some((v4, v6)) = self.in_hosts_file(host) {
            return known.next(v4, v6);
        }
        let (v4, v6) = (
            self.addresses(host, RecordType::A),
            self.addresses(host, RecordType::AAAA),
        );
        tokio::pin!(v4, v6);
        let (mut first, mut second) = (None, None);
        let late = sleep_until(Instant::now() + self.settings.timeout);
        tokio::pin!(late);
        while first.is_none() || second.is_none() {
            tokio::select! {
                records = &mut v4, if first.is_none() => first = Some(records),
                records = &mut v6, if second.is_none() => second = Some(records),
                () = &mut late => break,
            }
            if matches!(first, Some(Ok(_))) || matches!(second, Some(Ok(_))) {
                let soon = Instant::now() + OTHER_FAMILY;
                let end = soon.min(late.deadline());
                late.as_mut().reset(end);
            }
        }
        let or_late = |records: Option<_>| records.unwrap_or(Err(LookupError::Timeout));
        known.next(or_late(first), or_late(second))
    }

    async fn addresses(&self, host: &str, family: RecordType) -> Records<IpAddr> {
        self.ask(host, family, RData::ip_addr).await
    }

    /// Asks one question.
    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Records<T> {
        let resolver = self.resolver.as_ref().map_err(Clone::clone)?;
        let answer = timeout(self.settings.timeout, resolver.lookup(name, kind)).await;
        match answer {
            Ok(Ok(lookup)) => Ok(records(&lookup, read)),
            Ok(Err(error)) => Err(lookup_error(&error)),
            Err(_) => Err(LookupError::Timeout),
        }
    }

    /// What the system itself says of a host. Who is named there is not asked for elsewhere.
    fn in_hosts_file(&self, host: &str) -> Option<(Records<IpAddr>, Records<IpAddr>)> {
        let name = DnsName::from_ascii(host).ok()?;
        let hosts = self.hosts();
        let of = |family| {
            let query = Query::query(name.clone(), family);
            hosts.lookup_static_host(&query)
        };
        let (v4, v6) = (of(RecordType::A), of(RecordType::AAAA));
        if v4.is_none() && v6.is_none() {
            return None;
        }
        let found = |lookup: Option<Lookup>| match lookup {
            Some(lookup) => Ok(records(&lookup, RData::ip_addr)),
            None => Err(LookupError::Empty),
        };
        Some((found(v4), found(v6)))
    }

    /// The system's own names, read again when the file was changed.
    fn hosts(&self) -> Arc<Hosts> {
        let modified = fs::metadata(HOSTS).and_then(|file| file.modified()).ok();
        let mut file = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if file.modified != modified {
            file.modified = modified;
            file.hosts = Arc::new(Hosts::from_system().unwrap_or_default());
        }
        Arc::clone(&file.hosts)
    }
}

/// Makes the resolver.
fn resolver(settings: &ResolverSettings) -> Result<TokioResolver, NetError> {
    let mut builder = if settings.nameservers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = settings.nameservers.iter().map(|address| {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            server
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options: &mut ResolverOpts = builder.options_mut();
    // Everything is asked for when its time has come, and then anew.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    // A packet that got lost is sent again while there is still time for an answer.
    options.timeout = settings.timeout / 2;
    options.attempts = 2;
    options.max_active_requests = MAX_ACTIVE;
    builder.build()
}

/// The records that `read` understands, and how long the whole answer holds.
fn records<T>(lookup: &Lookup, read: impl Fn(&RData) -> Option<T>) -> (Vec<T>, Duration) {
    let answers = lookup.answers();
    let ttl = answers.iter().map(|record| record.ttl).min();
    let ttl = Duration::from_secs(u64::from(ttl.unwrap_or(0)));
    let found = answers.iter().filter_map(|record| read(&record.data));
    (found.collect(), ttl)
}

fn without_dot(name: &str) -> Arc<str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase().into()
}

fn lookup_error(error: &NetError) -> LookupError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if none.response_code == ResponseCode::NXDomain =>
        {
            LookupError::NotFound
        }
        NetError::Dns(DnsError::NoRecordsFound(none))
            if none.response_code == ResponseCode::NoError =>
        {
            LookupError::Empty
        }
        NetError::Timeout => LookupError::Timeout,
        error => LookupError::Failed(error.to_string()),
    }
}
