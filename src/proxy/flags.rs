//! Flags at the edge: what a request's variants of them are, and what its upstream is told.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use crate::flag::{Context, Evaluation, Flags, Reason, TARGETING_KEY};
use crate::segment::{Attribute, Value};
use crate::split::{Asked, Elsewhere};
use crate::telemetry::stats::{FlagEvaluated, FlagReason, FlagStats};

/// All flags, as requests are asked about them.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// The flags.
    pub flags: Arc<Flags>,
    /// Which attribute of a request a key of an evaluation context is.
    pub keys: Arc<BTreeMap<String, Attribute>>,
    /// The numbers of their variants, by the place of the flag and of the variant.
    pub stats: Arc<[Vec<Arc<FlagStats>>]>,
}

/// The flags that a route serves: those that its rules ask for, and those that its upstreams are told.
#[derive(Debug)]
pub struct RouteFlags {
    /// All flags.
    pub edge: Edge,
    /// Those of the route.
    pub served: Vec<ServedFlag>,
}

/// A flag that a route serves.
#[derive(Debug)]
pub struct ServedFlag {
    /// Its place among all flags.
    pub flag: usize,
    /// The name of the header that tells upstreams of its variant, in lower case.
    pub header: Option<Box<[u8]>>,
}

/// Which variants of its route's flags a request has, in the order of [`RouteFlags::served`].
pub(crate) type Exposures = Rc<[usize]>;

/// A request, as flags are evaluated for it.
struct EdgeContext<'a> {
    edge: &'a Edge,
    asked: Asked<'a>,
    key: Option<&'a [u8]>,
}

impl Context for EdgeContext<'_> {
    fn value(&self, attribute: &Attribute) -> Option<Value<'_>> {
        let own = match attribute {
            Attribute::Context(name) => self.edge.keys.get(name)?,
            other => other,
        };
        self.asked.value(own, self.key)
    }

    fn targeting_key(&self) -> Option<Cow<'_, [u8]>> {
        let Some(own) = self.edge.keys.get(TARGETING_KEY) else {
            return self.key.map(Cow::Borrowed);
        };
        match self.asked.value(own, self.key)? {
            Value::Text(text) => Some(text),
            Value::Address(address) => Some(Cow::Owned(address.to_string().into_bytes())),
            Value::List(_) => None,
        }
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl Edge {
    /// The numbers of a flag's variant.
    pub fn stats(&self, flag: usize, variant: usize) -> &Arc<FlagStats> {
        &self.stats[flag][variant]
    }

    /// Evaluates a flag for a request; `key` is what is hashed for it, if something is.
    pub fn evaluate(&self, flag: usize, asked: &Asked<'_>, key: Option<&[u8]>) -> Evaluation<'_> {
        self.flags.evaluate(flag, &self.context(asked, key))
    }

    fn context<'a>(&'a self, asked: &Asked<'a>, key: Option<&'a [u8]>) -> EdgeContext<'a> {
        EdgeContext {
            edge: self,
            asked: *asked,
            key,
        }
    }
}

impl Elsewhere for Edge {
    fn value<'v>(
        &'v self,
        asked: &Asked<'v>,
        attribute: &Attribute,
        key: Option<&[u8]>,
    ) -> Option<Value<'v>> {
        match attribute {
            Attribute::Flag(name) => {
                let flag = self.flags.position(name)?;
                let evaluation = self.evaluate(flag, asked, key);
                let variant = self.flags.variants(flag)[evaluation.variant].as_str();
                Some(Value::Text(Cow::Borrowed(variant.as_bytes())))
            }
            // What a key is, is an attribute that every request has or has not.
            Attribute::Context(name) => asked.value(self.keys.get(name)?, key),
            _ => None,
        }
    }
}

impl RouteFlags {
    /// Evaluates the route's flags for a request, and counts it.
    pub(crate) fn expose(&self, asked: &Asked<'_>, key: Option<&[u8]>, worker: usize) -> Exposures {
        let context = self.edge.context(asked, key);
        let asking = self.edge.flags.asking(&context);
        let exposures = self.served.iter().map(|served| {
            let evaluation = asking.evaluate(served.flag);
            let stats = self.edge.stats(served.flag, evaluation.variant);
            stats.exposed(worker, evaluated(&evaluation), served.header.is_some());
            evaluation.variant
        });
        let exposures = exposures.collect();
        let depends = |served: &ServedFlag| !self.edge.flags.depends_on(served.flag).is_empty();
        if self.served.iter().any(depends) {
            for (flag, variant) in asking.dependencies() {
                self.edge.stats(flag, variant).needed_at_edge(worker);
            }
        }
        exposures
    }

    /// What the upstream of a request with these variants is told: the fields, by their names.
    pub(crate) fn told<'a>(
        &'a self,
        exposures: &'a [usize],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let served = self.served.iter().zip(exposures);
        served.filter_map(|(served, &variant)| {
            let name = served.header.as_deref()?;
            let variants = self.edge.flags.variants(served.flag);
            Some((name, variants[variant].as_bytes()))
        })
    }

    /// The numbers of the variants that a request has.
    pub(crate) fn stats<'a>(
        &'a self,
        exposures: &'a [usize],
    ) -> impl Iterator<Item = &'a Arc<FlagStats>> {
        let served = self.served.iter().zip(exposures);
        served.map(|(served, &variant)| self.edge.stats(served.flag, variant))
    }
}

/// An evaluation as it is counted.
pub fn evaluated(evaluation: &Evaluation<'_>) -> FlagEvaluated {
    FlagEvaluated {
        reason: match evaluation.reason {
            Reason::Static => FlagReason::Static,
            Reason::Default => FlagReason::Default,
            Reason::TargetingMatch => FlagReason::TargetingMatch,
            Reason::Split => FlagReason::Split,
            Reason::Disabled => FlagReason::Disabled,
            Reason::Unknown => FlagReason::Unknown,
        },
        missing: evaluation.buckets_missing,
    }
}
