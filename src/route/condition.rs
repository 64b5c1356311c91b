//! Conditions: what a route asks of a request, and of who sends it, beyond host and path.
//!
//! A header or query parameter that comes several times counts by its first value. Query names and
//! values are compared as sent, not decoded.

use std::net::IpAddr;

use crate::message::{Networks, RequestHead};
use crate::route::path::FullRegex;

/// What a value must be.
#[derive(Clone, Debug)]
pub(in crate::route) enum Test {
    /// Some value, even an empty one.
    Present,
    /// No value at all.
    Absent,
    /// These bytes.
    Exact(Box<[u8]>),
    /// A value that matches as a whole.
    Regex(FullRegex),
}

impl Test {
    fn hold(&self, value: Option<&[u8]>) -> bool {
        match (self, value) {
            (Self::Absent, value) => value.is_none(),
            (_, None) => false,
            (Self::Present, Some(_)) => true,
            (Self::Exact(exact), Some(value)) => &**exact == value,
            (Self::Regex(regex), Some(value)) => regex.is_match(value),
        }
    }

    /// True when surely no value passes both.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => false,
            (Self::Absent, _) | (_, Self::Absent) => true,
            (Self::Exact(a), Self::Exact(b)) => a != b,
            (Self::Exact(exact), Self::Regex(regex)) | (Self::Regex(regex), Self::Exact(exact)) => {
                !regex.is_match(exact)
            }
            // Whether two regular expressions have a match in common is not looked into.
            (Self::Present | Self::Regex(_), _) | (_, Self::Present) => false,
        }
    }
}

/// A test of one header or query parameter.
#[derive(Clone, Debug)]
pub(in crate::route) struct FieldCondition {
    /// The name; of a header in lower case.
    pub(in crate::route) name: Box<[u8]>,
    /// What its value must be.
    pub(in crate::route) test: Test,
}

/// All conditions of one route; a request must meet every one.
#[derive(Clone, Debug, Default)]
pub(in crate::route) struct Conditions {
    /// The methods of which the request must have one; none means any.
    pub(in crate::route) methods: Vec<Box<[u8]>>,
    /// The tests of headers, at most one for each name.
    pub(in crate::route) headers: Vec<FieldCondition>,
    /// The tests of query parameters, at most one for each name.
    pub(in crate::route) query: Vec<FieldCondition>,
    /// The networks of which the client must be in one; none means anywhere.
    pub(in crate::route) clients: Networks,
}

impl Conditions {
    /// How many there are; the methods together are one, and so are the networks.
    pub(in crate::route) fn len(&self) -> usize {
        usize::from(!self.methods.is_empty())
            + self.headers.len()
            + self.query.len()
            + usize::from(!self.clients.is_empty())
    }

    /// True when the request of a client at this address meets all of them.
    pub(in crate::route) fn hold(&self, request: &RequestHead, client: IpAddr) -> bool {
        let method = request.method();
        (self.methods.is_empty() || self.methods.iter().any(|allowed| &**allowed == method))
            && self
                .headers
                .iter()
                .all(|header| header.test.hold(request.field(&header.name)))
            && self
                .query
                .iter()
                .all(|query| query.test.hold(request.query_value(&query.name)))
            && (self.clients.is_empty() || self.clients.contains(client))
    }

    /// True when surely no request meets both these and the others.
    pub(in crate::route) fn exclude(&self, other: &Self) -> bool {
        let methods_differ = !self.methods.is_empty()
            && !other.methods.is_empty()
            && !self.methods.iter().any(|own| other.methods.contains(own));
        let clients_differ = !self.clients.is_empty()
            && !other.clients.is_empty()
            && !self.clients.overlap(&other.clients);
        methods_differ
            || clients_differ
            || fields_exclude(&self.headers, &other.headers)
            || fields_exclude(&self.query, &other.query)
    }
}

fn fields_exclude(own: &[FieldCondition], others: &[FieldCondition]) -> bool {
    own.iter().any(|field| {
        others
            .iter()
            .any(|other| field.name == other.name && field.test.excludes(&other.test))
    })
}
