//! What is known of a name, and how a new answer changes it.
//!
//! A failure takes nothing away: what was known stays until an answer says otherwise. That holds
//! for each family of addresses, and for each host that a service leads to.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::message::Address;
use crate::telemetry::stats::Resolution;
use crate::upstream::{EndpointSpec, Place};

/// Why a look-up brought nothing.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum LookupError {
    /// The name servers say that there is no such name.
    #[error("no such name")]
    NotFound,
    /// There is the name, and nothing of the kind that is needed.
    #[error("the name has no addresses")]
    Empty,
    /// No answer came in time.
    #[error("no answer in time")]
    Timeout,
    /// Something else.
    #[error("{0}")]
    Failed(String),
}

impl LookupError {
    /// What it is counted as.
    pub fn result(&self) -> Resolution {
        match self {
            Self::NotFound => Resolution::NotFound,
            Self::Empty => Resolution::Empty,
            Self::Timeout => Resolution::Timeout,
            Self::Failed(_) => Resolution::Failure,
        }
    }
}

/// What one question brought: records, and how long they hold.
pub(in crate::upstream::resolve) type Records<T> = Result<(Vec<T>, Duration), LookupError>;

/// The addresses of a host, of each family in ascending order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::upstream::resolve) struct Addresses {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

impl Addresses {
    /// What is known after asking for both families: what came, and in place of what failed what
    /// was known before. Also how long it holds, and what went wrong beside.
    ///
    /// # Errors
    /// When no address came at all.
    pub(in crate::upstream::resolve) fn next(
        &self,
        v4: Records<IpAddr>,
        v6: Records<IpAddr>,
    ) -> Result<(Self, Duration, Option<LookupError>), LookupError> {
        let (v4, v6) = (some(v4), some(v6));
        let mut ttl = None;
        let mut trouble = None;
        let mut family = |records: &Records<IpAddr>, last: &[IpAddr]| match records {
            Ok((addresses, holds)) => {
                ttl = Some(ttl.map_or(*holds, |ttl: Duration| ttl.min(*holds)));
                let mut addresses = addresses.clone();
                addresses.sort_unstable();
                addresses.dedup();
                addresses
            }
            // That there is none is an answer, too, as long as there are some of the other family.
            Err(LookupError::NotFound | LookupError::Empty) => Vec::new(),
            Err(error) => {
                trouble = Some(error.clone());
                last.to_vec()
            }
        };
        let next = Self {
            v4: family(&v4, &self.v4),
            v6: family(&v6, &self.v6),
        };
        match (ttl, v4, v6) {
            (Some(ttl), ..) => Ok((next, ttl, trouble)),
            // What went wrong says more than that there was nothing.
            (None, Err(LookupError::NotFound | LookupError::Empty), Err(error))
            | (None, Err(error), _) => Err(error),
            (None, Ok(_), _) => Err(LookupError::Empty),
        }
    }

    fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().chain(&self.v6).copied()
    }
}

/// An answer without records is an error, whatever the server calls it.
fn some<T>(records: Records<T>) -> Records<T> {
    match records {
        Ok((found, _)) if found.is_empty() => Err(LookupError::Empty),
        records => records,
    }
}

/// One SRV record (RFC 2782).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::upstream::resolve) struct Server {
    /// The host, without the dot at the end.
    pub(in crate::upstream::resolve) host: Arc<str>,
    /// The port.
    pub(in crate::upstream::resolve) port: u16,
    /// The lowest is used alone.
    pub(in crate::upstream::resolve) priority: u16,
    /// The share among those of one priority.
    pub(in crate::upstream::resolve) weight: u16,
}

/// The servers that count: those of the lowest priority, in a stable order, at most `limit`.
pub(in crate::upstream::resolve) fn foremost(
    mut servers: Vec<Server>,
    limit: usize,
) -> Vec<Server> {
    // "." as the host says that the service is decidedly not there (RFC 2782).
    servers.retain(|server| !server.host.is_empty());
    let lowest = servers.iter().map(|server| server.priority).min();
    servers.retain(|server| Some(server.priority) == lowest);
    servers.sort_unstable();
    servers.dedup();
    servers.truncate(limit);
    servers
}

/// All that is known of a name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// The servers of a service; none for a host.
    pub(in crate::upstream::resolve) servers: Vec<Server>,
    /// The addresses of each host: of the servers, or of the name itself.
    pub(in crate::upstream::resolve) hosts: BTreeMap<Arc<str>, Addresses>,
    /// How long it holds.
    pub ttl: Duration,
    /// What went wrong beside: for a part of it, what was known before stays.
    pub trouble: Option<LookupError>,
}

impl Answer {
    /// Where the endpoints of an entry are, by this answer to its name.
    pub fn places(&self, spec: &EndpointSpec) -> Vec<Place> {
        let at = |host: &Arc<str>, port: u16, weight: u16| {
            let addresses = self.hosts.get(host).into_iter().flat_map(Addresses::iter);
            let name: Arc<str> = host.strip_suffix('.').unwrap_or(host).into();
            addresses
                .map(move |ip| Place {
                    address: Address::Tcp(SocketAddr::new(ip, port)),
                    host: Some(Arc::clone(&name)),
                    weight,
                })
                .collect::<Vec<_>>()
        };
        match spec {
            EndpointSpec::Address(address) => vec![Place::from(*address)],
            EndpointSpec::Unix(path) => vec![Place {
                address: Address::Unix(Arc::clone(path)),
                host: None,
                weight: 1,
            }],
            EndpointSpec::Host { host, port } => at(host, *port, 1),
            EndpointSpec::Service(_) => {
                let even = self.servers.iter().all(|server| server.weight == 0);
                let places = self.servers.iter().flat_map(|server| {
                    // Beside others, a weight of 0 is a very small chance (RFC 2782).
                    let weight = if even { 1 } else { server.weight.max(1) };
                    at(&server.host, server.port, weight)
                });
                places.collect()
            }
        }
    }

    /// True when it leads elsewhere than `other`.
    pub fn differs(&self, other: &Answer) -> bool {
        self.servers != other.servers || self.hosts != other.hosts
    }

    /// How many addresses it has.
    pub fn n_addresses(&self) -> usize {
        self.hosts.values().map(|host| host.iter().count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use crate::upstream::EndpointSpec;
    use crate::upstream::resolve::answer::{
        Addresses, Answer, LookupError, Records, Server, foremost,
    };

    const TTL: Duration = Duration::from_secs(10);

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn records(texts: &[&str]) -> Records<IpAddr> {
        Ok((ips(texts), TTL))
    }

    fn known() -> Addresses {
        Addresses {
            v4: ips(&["10.0.0.1"]),
            v6: ips(&["fd00::1"]),
        }
    }

    #[track_caller]
    fn check(v4: Records<IpAddr>, v6: Records<IpAddr>, expected: &[&str]) {
        let (next, ttl, _) = known().next(v4, v6).unwrap();
        assert_eq!((next.iter().collect(), ttl), (ips(expected), TTL));
    }

    #[test]
    fn an_answer_replaces_what_was_known_in_a_stable_order() {
        check(
            records(&["10.0.0.3", "10.0.0.2", "10.0.0.3"]),
            records(&["fd00::2"]),
            &["10.0.0.2", "10.0.0.3", "fd00::2"],
        );
    }

    #[test]
    fn a_family_that_has_no_addresses_any_more_is_gone() {
        for none in [LookupError::Empty, LookupError::NotFound] {
            check(records(&["10.0.0.2"]), Err(none.clone()), &["10.0.0.2"]);
            check(Err(none), records(&["fd00::2"]), &["fd00::2"]);
        }
        check(records(&[]), records(&["fd00::2"]), &["fd00::2"]);
    }

    #[test]
    fn a_family_that_was_not_answered_for_stays() {
        for error in [LookupError::Timeout, LookupError::Failed("x".into())] {
            check(
                records(&["10.0.0.2"]),
                Err(error.clone()),
                &["10.0.0.2", "fd00::1"],
            );
            let (_, _, trouble) = known()
                .next(Err(error.clone()), records(&["fd00::1"]))
                .unwrap();
            assert_eq!(trouble, Some(error));
        }
    }

    #[test]
    fn no_address_at_all_is_a_failure_that_says_the_most() {
        use LookupError::{Empty, NotFound, Timeout};
        for (v4, v6, expected) in [
            (Err(NotFound), Err(NotFound), NotFound),
            (Err(Empty), Err(Empty), Empty),
            (records(&[]), records(&[]), Empty),
            (Err(Timeout), Err(Empty), Timeout),
            (Err(Empty), Err(Timeout), Timeout),
        ] {
            assert_eq!(known().next(v4, v6), Err(expected));
        }
    }

    fn server(host: &str, priority: u16, weight: u16) -> Server {
        Server {
            host: host.into(),
            port: 9000,
            priority,
            weight,
        }
    }

    #[test]
    fn the_servers_of_the_lowest_priority_count_in_a_stable_order() {
        let servers = vec![
            server("c", 20, 1),
            server("b", 10, 1),
            server("", 5, 1),
            server("a", 10, 3),
            server("b", 10, 1),
        ];
        let expected = vec![server("a", 10, 3), server("b", 10, 1)];
        assert_eq!(foremost(servers.clone(), 100), expected);
        assert_eq!(foremost(servers, 1), expected[..1]);
        assert_eq!(foremost(vec![server("", 0, 0)], 100), []);
    }

    #[test]
    fn a_service_leads_to_all_addresses_of_its_servers_with_their_weights() {
        let answer = |servers: Vec<Server>| Answer {
            hosts: servers
                .iter()
                .map(|server| (server.host.clone(), known()))
                .collect(),
            servers,
            ttl: TTL,
            trouble: None,
        };
        let spec: EndpointSpec = "srv:_http._tcp.shop".parse().unwrap();
        let places = |servers| -> Vec<(String, u16)> {
            let places = answer(servers).places(&spec).into_iter();
            places
                .map(|place| (place.address.to_string(), place.weight))
                .collect()
        };
        let first = "10.0.0.1:9000".to_owned();
        let other = "[fd00::1]:9000".to_owned();
        assert_eq!(
            places(vec![server("a", 0, 0)]),
            [(first.clone(), 1), (other.clone(), 1)]
        );
        assert_eq!(
            places(vec![server("a", 0, 0), server("b", 0, 7)]),
            [
                (first.clone(), 1),
                (other.clone(), 1),
                (first, 7),
                (other, 7)
            ]
        );
    }

    #[test]
    fn a_place_has_the_name_without_the_dot_at_its_end() {
        let spec: EndpointSpec = "shop.internal.:80".parse().unwrap();
        let mut answer = Answer::default();
        answer.hosts.insert("shop.internal.".into(), known());
        let places = answer.places(&spec);
        assert_eq!(places.len(), 2);
        assert_eq!(places[0].host.as_deref(), Some("shop.internal"));
    }
}
