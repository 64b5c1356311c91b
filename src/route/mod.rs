//! Routes: which rule catches a request. A table does not know what its routes lead to.
//!
//! The most specific rule wins, wherever it stands in the file. A route for one scheme goes before
//! all routes for both: what is said of plain requests is said of all of them. Then:
//!
//! 1. exact host, then wildcard host (longer suffix first), then any host;
//! 2. within a host: exact path, then the longest prefix of whole segments, then regular
//!    expressions, then routes that take every path. The prefix `/` says nothing about the path and
//!    is the same as none: otherwise a catch-all would hide every regular expression beside it;
//! 3. within a path: more conditions (methods together, each header, each query parameter, and the
//!    networks of clients together) first.
//!
//! Regular expressions of one host cannot be compared by what they match, so they are ordered by
//! conditions, then by the longer pattern text, then by the text itself.
//!
//! When conditions fail, the next less specific candidate is asked: a shorter prefix, then a less
//! specific host. So a request that nothing catches among the routes of its exact host goes on to
//! wildcard and any-host routes. Two routes that nothing orders and that one request could satisfy
//! are a [`Tie`], and no table is made.
//!
//! Hosts and paths are found by hashing: the cost of [`Table::find`] does not grow with the number
//! of routes, except for those that share host and path, and regular expressions of one host, which
//! are tried one after another.

mod condition;
mod host;
mod lookup;
mod matching;
mod path;
mod rewrite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use crate::message::{RequestHead, Scheme};
use crate::route::condition::Conditions;
use crate::route::lookup::Hosts;
use crate::route::path::PathPattern;

pub use crate::route::matching::{FieldSpec, Match, MatchError, MatchSpec, PathSpec, ValueSpec};
pub(crate) use crate::route::path::{FullRegex, plain};
pub use crate::route::rewrite::{LeadsOut, PathRewrite, RewriteError, RewriteSpec};

/// Routes, ready to be asked which one catches a request.
#[derive(Debug)]
pub struct Table<T> {
    /// The routes for either scheme.
    hosts: Hosts,
    /// Those for one scheme, which are asked before the others.
    schemes: Option<Box<Schemes>>,
    conditions: Vec<Conditions>,
    targets: Vec<T>,
}

/// The routes for each scheme alone.
#[derive(Debug, Default)]
struct Schemes {
    http: Hosts,
    https: Hosts,
}

impl Schemes {
    fn of(&mut self, scheme: Scheme) -> &mut Hosts {
        match scheme {
            Scheme::Http => &mut self.http,
            Scheme::Https => &mut self.https,
        }
    }
}

impl<T> Table<T> {
    /// Makes a table of named routes and what each leads to. Their order does not matter.
    ///
    /// # Errors
    /// When one request could be caught by two routes of which neither is more specific. Every
    /// route that has such a rival is told, with one of its rivals.
    pub fn build(routes: Vec<(String, Match, T)>) -> Result<Self, Vec<Tie>> {
        let mut names = Vec::with_capacity(routes.len());
        let mut paths: Vec<PathPattern> = Vec::with_capacity(routes.len());
        let mut conditions = Vec::with_capacity(routes.len());
        let mut targets = Vec::with_capacity(routes.len());
        let mut hosts = Hosts::default();
        let mut schemes: Option<Box<Schemes>> = None;
        for (index, (name, rule, target)) in routes.into_iter().enumerate() {
            let place = match rule.scheme {
                Some(scheme) => schemes.get_or_insert_default().of(scheme),
                None => &mut hosts,
            };
            for host in &rule.hosts {
                place.insert(host, &rule.path, index);
            }
            names.push(name);
            paths.push(rule.path);
            conditions.push(rule.conditions);
            targets.push(target);
        }
        let mut ties = Vec::new();
        let divided = schemes
            .as_deref_mut()
            .map(|by| [&mut by.http, &mut by.https]);
        for hosts in divided.into_iter().flatten().chain([&mut hosts]) {
            hosts.sort(|index| conditions[index].len());
            hosts.each_place(|host, routes| {
                for (first, second) in find_ties(routes, &conditions) {
                    let (first, second) = if names[first] <= names[second] {
                        (first, second)
                    } else {
                        (second, first)
                    };
                    ties.push(Tie {
                        first: names[first].clone(),
                        second: names[second].clone(),
                        host: host.to_string(),
                        path: paths[first].to_string(),
                    });
                }
            });
        }
        if !ties.is_empty() {
            ties.sort_by(|a, b| {
                (&a.first, &a.second, &a.host).cmp(&(&b.first, &b.second, &b.host))
            });
            return Err(ties);
        }
        Ok(Self {
            hosts,
            schemes,
            conditions,
            targets,
        })
    }

    /// What the most specific route leads to that catches this request, which a client at this
    /// address sent by this scheme.
    ///
    /// Allocates nothing, unless the path is longer than 1 KiB and not in its plain form.
    pub fn find(&self, request: &RequestHead, client: IpAddr, scheme: Scheme) -> Option<&T> {
        let index = path::with_plain(request.path(), |path| {
            host::with_plain(request.host(), |host| {
                let holds = |index: usize| self.conditions[index].hold(request, client);
                if let Some(schemes) = &self.schemes {
                    let hosts = match scheme {
                        Scheme::Http => &schemes.http,
                        Scheme::Https => &schemes.https,
                    };
                    if let Some(index) = hosts.find(host, path, holds) {
                        return Some(index);
                    }
                }
                self.hosts.find(host, path, holds)
            })
        })?;
        Some(&self.targets[index])
    }

    /// What the routes lead to, in the order in which they were given.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = &T> {
        self.targets.iter()
    }
}

/// Two routes that one request could satisfy and of which neither is more specific.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tie {
    /// The name of one route; of the two the smaller.
    pub first: String,
    /// The name of the other.
    pub second: String,
    /// The host pattern that both have; `any host` when there is none.
    pub host: String,
    /// The path pattern that both have; `any path` when there is none.
    pub path: String,
}

impl fmt::Display for Tie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            first,
            second,
            host,
            path,
        } = self;
        write!(
            formatter,
            "routes `{first}` and `{second}` could both catch one request ({host}, {path}) and neither is more specific"
        )
    }
}

/// Pairs each route with one before it that ties with it. The routes are those of one place, sorted
/// by their number of conditions.
fn find_ties<'a>(
    routes: &'a [usize],
    conditions: &'a [Conditions],
) -> impl Iterator<Item = (usize, usize)> + 'a {
    routes.iter().enumerate().filter_map(|(at, &route)| {
        let own = &conditions[route];
        routes[..at]
            .iter()
            .rev()
            .take_while(|&&other| conditions[other].len() == own.len())
            .find(|&&other| !conditions[other].exclude(own))
            .map(|&other| (other, route))
    })
}
