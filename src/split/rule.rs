//! Rules: weights of their own for the requests of a segment.

use std::sync::Arc;

use crate::segment::Segment;
use crate::split::division::Division;
use crate::split::hash::{KeyHash, slice_of};
use crate::split::{Asked, Split};

/// A rule as written: which requests, and their weights.
#[derive(Clone, Debug)]
pub struct RuleSpec {
    /// The name of the segment.
    pub name: String,
    /// The segment itself.
    pub segment: Arc<Segment>,
    /// The weights, one for each variant in the order of the split.
    pub weights: Vec<u32>,
}

/// A rule, ready to be asked.
#[derive(Clone, Debug)]
pub(in crate::split) struct Rule {
    pub(in crate::split) segment: Arc<Segment>,
    pub(in crate::split) division: Division,
}

/// What tells where a request stands among the variants.
#[derive(Clone, Copy, Debug)]
pub(in crate::split) enum By {
    /// The hash of its key.
    Key(KeyHash),
    /// A point of the draw.
    Point(u64),
}

impl By {
    /// The slice that it is in.
    #[inline]
    pub(in crate::split) fn slice(self) -> u8 {
        match self {
            Self::Key(hash) => hash.slice(),
            Self::Point(point) => slice_of(point),
        }
    }
}

impl Split {
    /// The rule whose weights a request obeys, by its place: the first whose segment holds and
    /// whose variants are not all off. `None` is that it obeys those of the route.
    ///
    /// A rule of variants that are off is passed over, so that turning a variant off turns it off
    /// for everybody and refuses nobody.
    ///
    /// `key` is what is hashed for it, if something is.
    pub fn rule(&self, asked: &Asked<'_>, key: Option<&[u8]>) -> Option<usize> {
        // Most routes have none.
        if self.rules.is_empty() {
            return None;
        }
        self.rules.iter().position(|rule| {
            rule.division.is_open && rule.segment.holds(|attribute| asked.value(attribute, key))
        })
    }

    /// Tells of each condition of a rule's segment whether it holds, in the order in which they are
    /// written.
    pub fn conditions(&self, rule: usize, asked: &Asked<'_>, key: Option<&[u8]>) -> Vec<Vec<bool>> {
        let segment = &self.rules[rule].segment;
        segment.each(|attribute| asked.value(attribute, key))
    }

    /// True for a rule that has a variant which is on: others are passed over.
    pub fn is_open(&self, rule: usize) -> bool {
        self.rules[rule].division.is_open
    }

    /// The variant that a key has by a rule, and the one that serves it.
    pub fn hashed(
        &self,
        rule: Option<usize>,
        key: &[u8],
        available: impl Fn(usize) -> bool,
    ) -> (usize, Option<usize>) {
        self.by_hash(rule, self.hash(key), available)
    }

    /// The variant that a key's hash has by a rule, and the one that serves it.
    ///
    /// Where no other variant of the rule can stand in, those of the route can: a group that has
    /// one variant for itself is not refused because of it.
    pub(in crate::split) fn by_hash(
        &self,
        rule: Option<usize>,
        key: KeyHash,
        available: impl Fn(usize) -> bool,
    ) -> (usize, Option<usize>) {
        let Some(of_rule) = rule else {
            return self.division.hashed(key, available);
        };
        let (chosen, served) = self.rules[of_rule].division.hashed(key, &available);
        let stand_in = || self.stand_in(None, By::Key(key), chosen, &available);
        (chosen, served.or_else(stand_in))
    }

    /// The variant that has a point of the draw by a rule, and the one that serves it, likewise.
    pub(in crate::split) fn drawn(
        &self,
        rule: Option<usize>,
        point: u64,
        available: impl Fn(usize) -> bool,
    ) -> (usize, Option<usize>) {
        let Some(of_rule) = rule else {
            return self.division.drawn(point, available);
        };
        let (chosen, served) = self.rules[of_rule].division.drawn(point, &available);
        let stand_in = || self.stand_in(None, By::Point(point), chosen, &available);
        (chosen, served.or_else(stand_in))
    }

    /// Who serves for a variant that is gone: by the weights of a rule, else by those of the route.
    pub(in crate::split) fn stand_in(
        &self,
        rule: Option<usize>,
        by: By,
        gone: usize,
        available: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let may = |variant: usize| variant != gone && available(variant);
        let of_rule = rule.map(|rule| &self.rules[rule].division);
        let divisions = of_rule.into_iter().chain([&self.division]);
        let mut open = divisions.filter(|division| division.is_open);
        open.find_map(|division| match by {
            By::Key(key) => division.by_hash(key, may),
            By::Point(point) => division.by_draw(point, may),
        })
    }
}
