//! The endpoints of an upstream at one moment.
//!
//! A set is immutable; a change makes the next one out of it, which shares the endpoints that stay.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::slice;
use std::sync::Arc;

use crate::message::Address;
use crate::upstream::Endpoint;

/// Where an endpoint is, as the configuration or a look-up has it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Place {
    /// The address.
    pub address: Address,
    /// The host name that led to it; none when the configuration gives the address.
    pub host: Option<Arc<str>>,
    /// Its share among the others; at least 1.
    pub weight: u16,
}

impl<A: Into<SocketAddr>> From<A> for Place {
    fn from(address: A) -> Self {
        Self {
            address: Address::Tcp(address.into()),
            host: None,
            weight: 1,
        }
    }
}

/// The endpoints of an upstream at one moment, in a stable order.
#[derive(Debug, Default)]
pub struct EndpointSet {
    endpoints: Vec<Arc<Endpoint>>,
    /// What they were made of.
    places: Vec<Place>,
}

impl EndpointSet {
    /// Makes the set that follows this one: endpoints at a place that was there before are the same
    /// ones, so that what is known of them and the connections with them are kept.
    pub fn next(&self, places: &[Place]) -> Self {
        let before: HashMap<_, _> = self.iter().map(|one| (key(one), one)).collect();
        let endpoints = places.iter().map(|place| {
            let same = before.get(&(&place.address, place.host.as_ref()));
            let new = || {
                let new = Endpoint::new(place);
                // Where there are others, it need not take everything at once.
                if !self.is_empty() {
                    new.is_back();
                }
                Arc::new(new)
            };
            same.map_or_else(new, |&same| Arc::clone(same))
        });
        Self {
            endpoints: endpoints.collect(),
            places: places.to_vec(),
        }
    }

    /// True when it has an endpoint at each of these places, in this order, and no other.
    pub fn is_of(&self, places: &[Place]) -> bool {
        self.places == places
    }

    /// The endpoints.
    pub fn iter(&self) -> slice::Iter<'_, Arc<Endpoint>> {
        self.endpoints.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Retires the endpoints that `after` does not have.
    pub fn retire_but(&self, after: &EndpointSet) {
        let stay: HashSet<_> = after.iter().map(|one| one.id()).collect();
        for endpoint in self.iter().filter(|one| !stay.contains(&one.id())) {
            endpoint.retire();
        }
    }
}

/// What makes two endpoints of one upstream the same.
fn key(endpoint: &Endpoint) -> (&Address, Option<&Arc<str>>) {
    (endpoint.address(), endpoint.host())
}

#[cfg(test)]
mod tests {
    use crate::upstream::{EndpointSet, Place};

    fn places(ports: &[u16]) -> Vec<Place> {
        let place = |&port: &u16| Place::from(([127, 0, 0, 1], port));
        ports.iter().map(place).collect()
    }

    #[test]
    fn endpoints_that_stay_are_the_same_ones_and_keep_what_is_known_of_them() {
        let before = EndpointSet::default().next(&places(&[1, 2, 3]));
        let ids: Vec<_> = before.iter().map(|one| one.id()).collect();
        for endpoint in before.iter() {
            endpoint.refused();
        }
        let after = before.next(&places(&[3, 4, 1]));
        let kept: Vec<_> = after.iter().map(|one| one.id()).collect();
        assert_eq!((kept[0], kept[2]), (ids[2], ids[0]));
        assert!(!ids.contains(&kept[1]));
        let refused: Vec<_> = after.iter().map(|one| one.was_refused()).collect();
        assert_eq!(refused, [true, false, true]);
    }

    #[test]
    fn only_those_that_go_are_retired() {
        let before = EndpointSet::default().next(&places(&[1, 2, 3]));
        let after = before.next(&places(&[2]));
        before.retire_but(&after);
        let retired: Vec<_> = before.iter().map(|one| one.is_retired()).collect();
        assert_eq!(retired, [true, false, true]);
    }

    #[test]
    fn a_set_knows_what_it_is_made_of() {
        let set = EndpointSet::default().next(&places(&[1, 2]));
        assert!(set.is_of(&places(&[1, 2])));
        assert!(!set.is_of(&places(&[2, 1])));
        assert!(!set.is_of(&places(&[1])));
        let mut named = places(&[1, 2]);
        named[0].host = Some("shop.internal".into());
        assert!(!set.is_of(&named));
    }
}
