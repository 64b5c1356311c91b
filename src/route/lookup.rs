//! Finding routes by host and path: hash maps, asked from the most specific key to the least.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::iter;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::route::host::HostPattern;
use crate::route::path::{FullRegex, MAX_SEGMENTS, PathPattern};

/// A fast hasher. The keys of these maps come from the configuration only, so no client can fill
/// them with collisions.
#[derive(Default)]
struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, _length: usize) {
        // A slice's length goes before its bytes; the hash of the bytes covers it already.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Something for each of many texts.
#[derive(Debug)]
struct ByText<V>(HashMap<Box<[u8]>, V, BuildHasherDefault<TextHasher>>);

impl<V> Default for ByText<V> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<V: Default> ByText<V> {
    fn entry(&mut self, text: &str) -> &mut V {
        self.0.entry(text.as_bytes().into()).or_default()
    }
}

/// The routes of all hosts. A route is an index.
#[derive(Debug, Default)]
pub(in crate::route) struct Hosts {
    exact: ByText<Paths>,
    below: ByText<Paths>,
    /// The most labels that a key of `below` has: longer suffixes need not be looked up.
    most_labels: usize,
    any: Paths,
}

/// The routes of one host pattern.
#[derive(Debug, Default)]
struct Paths {
    exact: ByText<Vec<usize>>,
    prefix: ByText<Vec<usize>>,
    /// Bit n is set when some prefix has n + 1 segments.
    depths: u32,
    regexes: Vec<(FullRegex, usize)>,
    any: Vec<usize>,
}

const _: () = assert!(MAX_SEGMENTS == u32::BITS as usize);

impl Hosts {
    /// Adds a route; [`Self::sort`] must follow the last one.
    pub(in crate::route) fn insert(
        &mut self,
        host: &HostPattern,
        path: &PathPattern,
        route: usize,
    ) {
        let paths = match host {
            HostPattern::Exact(name) => self.exact.entry(name),
            HostPattern::Below(suffix) => {
                self.most_labels = self.most_labels.max(n_labels(suffix.as_bytes()));
                self.below.entry(suffix)
            }
            HostPattern::Any => &mut self.any,
        };
        match path {
            PathPattern::Exact(path) => paths.exact.entry(path).push(route),
            PathPattern::Prefix(prefix) => {
                paths.depths |= 1 << (n_segments(prefix) - 1);
                paths.prefix.entry(prefix).push(route);
            }
            PathPattern::Regex(regex) => paths.regexes.push((regex.clone(), route)),
            PathPattern::Any => paths.any.push(route),
        }
    }

    /// Puts the routes of each place into the order in which they are asked: those with more
    /// conditions first.
    pub(in crate::route) fn sort(&mut self, n_conditions: impl Fn(usize) -> usize) {
        let hosts = self.exact.0.values_mut().chain(self.below.0.values_mut());
        for paths in hosts.chain(iter::once(&mut self.any)) {
            let places = paths
                .exact
                .0
                .values_mut()
                .chain(paths.prefix.0.values_mut());
            for routes in places.chain(iter::once(&mut paths.any)) {
                routes.sort_by_key(|&route| Reverse(n_conditions(route)));
            }
            paths.regexes.sort_by(|(a, route_a), (b, route_b)| {
                n_conditions(*route_b)
                    .cmp(&n_conditions(*route_a))
                    .then_with(|| b.text().len().cmp(&a.text().len()))
                    .then_with(|| a.text().cmp(b.text()))
            });
        }
    }

    /// Shows all routes that have the same host pattern and the same path pattern, place by place,
    /// those with more conditions first.
    pub(in crate::route) fn each_place(&self, mut show: impl FnMut(&HostPattern, &[usize])) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let exact = self.exact.0.iter();
        let below = self.below.0.iter();
        exact
            .map(|(name, paths)| (HostPattern::Exact(text(name)), paths))
            .chain(below.map(|(suffix, paths)| (HostPattern::Below(text(suffix)), paths)))
            .chain(iter::once((HostPattern::Any, &self.any)))
            .for_each(|(host, paths)| paths.each_place(|routes| show(&host, routes)));
    }

    /// The first route for a plain host and path that `holds`, from the most specific on.
    pub(in crate::route) fn find(
        &self,
        host: &[u8],
        path: &[u8],
        holds: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if !self.exact.0.is_empty()
            && let Some(paths) = self.exact.0.get(host)
            && let Some(route) = paths.find(path, &holds)
        {
            return Some(route);
        }
        if self.most_labels > 0 {
            let mut n_labels = n_labels(host);
            for dot in memchr::memchr_iter(b'.', host) {
                n_labels -= 1;
                if n_labels <= self.most_labels
                    && dot > 0
                    && let Some(paths) = self.below.0.get(&host[dot + 1..])
                    && let Some(route) = paths.find(path, &holds)
                {
                    return Some(route);
                }
            }
        }
        self.any.find(path, &holds)
    }
}

impl Paths {
    fn each_place(&self, mut show: impl FnMut(&[usize])) {
        for routes in self.exact.0.values().chain(self.prefix.0.values()) {
            show(routes);
        }
        for group in self.regexes.chunk_by(|(a, _), (b, _)| a.text() == b.text()) {
            let routes: Vec<_> = group.iter().map(|&(_, route)| route).collect();
            show(&routes);
        }
        show(&self.any);
    }

    fn find(&self, path: &[u8], holds: &impl Fn(usize) -> bool) -> Option<usize> {
        let first = |routes: &Vec<usize>| routes.iter().copied().find(|&route| holds(route));
        if !self.exact.0.is_empty()
            && let Some(route) = self.exact.0.get(path).and_then(first)
        {
            return Some(route);
        }
        if self.depths != 0
            && let Some(route) = self.find_prefix(path, first)
        {
            return Some(route);
        }
        self.regexes
            .iter()
            .find(|(regex, route)| regex.is_match(path) && holds(*route))
            .map(|&(_, route)| route)
            .or_else(|| first(&self.any))
    }

    fn find_prefix(
        &self,
        path: &[u8],
        first: impl Fn(&Vec<usize>) -> Option<usize>,
    ) -> Option<usize> {
        // Where the first segments of the path end, no more of them than the deepest prefix has.
        let mut ends = [0; MAX_SEGMENTS];
        let deepest = (u32::BITS - self.depths.leading_zeros()) as usize;
        let mut n_ends = 0;
        let boundaries = memchr::memchr_iter(b'/', path)
            .skip(1)
            .chain(iter::once(path.len()));
        for (end, boundary) in ends.iter_mut().zip(boundaries).take(deepest) {
            *end = boundary;
            n_ends += 1;
        }
        (0..n_ends)
            .rev()
            .filter(|depth| self.depths & (1 << depth) != 0)
            .find_map(|depth| self.prefix.0.get(&path[..ends[depth]]).and_then(&first))
    }
}

fn n_labels(host: &[u8]) -> usize {
    memchr::memchr_iter(b'.', host).count() + 1
}

fn n_segments(prefix: &str) -> usize {
    prefix.bytes().filter(|&byte| byte == b'/').count()
}
