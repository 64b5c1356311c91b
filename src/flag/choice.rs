//! Choices: what a rule, a default, an override or a release gives, ready to be asked.

use crate::flag::Context;
use crate::flag::spec::{FlagSpec, Serve};
use crate::segment::{Attribute, Value};
use crate::split::{ClientKey, Cohorts};

/// One variant for all, or a division of them.
#[derive(Clone, Debug)]
pub(in crate::flag) enum Choice {
    Variant(usize),
    /// Boxed, as most flags have none of it.
    Split(Box<Division>),
}

/// A division of contexts among variants.
#[derive(Clone, Debug)]
pub(in crate::flag) struct Division {
    cohorts: Cohorts,
    /// The variants of the cohorts.
    variants: Vec<usize>,
    /// What it divides by; the targeting key without one.
    by: Option<Attribute>,
}

/// The names of a flag's variants, in their order.
pub(in crate::flag) struct Names<'s> {
    names: Vec<&'s str>,
}

impl<'s> Names<'s> {
    pub(in crate::flag) fn of(spec: &'s FlagSpec) -> Self {
        Self {
            names: spec.variants.keys().map(String::as_str).collect(),
        }
    }

    /// Where a variant is that was checked to be one.
    pub(in crate::flag) fn position(&self, name: &str) -> usize {
        let found = self.names.binary_search(&name);
        found.expect("variants that are named were checked")
    }

    /// Makes ready what was checked.
    pub(in crate::flag) fn choice(
        &self,
        serve: &Serve,
        salt: &str,
        by: Option<&Attribute>,
    ) -> Choice {
        let weights = match serve {
            Serve::Variant(name) => return Choice::Variant(self.position(name)),
            Serve::Split(weights) => weights,
        };
        let names = weights
            .iter()
            .map(|(name, weight)| (name.as_str(), *weight));
        let names: Vec<_> = names.collect();
        Choice::Split(Box::new(Division {
            cohorts: Cohorts::new(salt, &names).expect("weights and names were checked"),
            variants: names.iter().map(|(name, _)| self.position(name)).collect(),
            by: by.cloned(),
        }))
    }
}

impl Choice {
    /// The variant of a context; `None` where there is nothing to divide by.
    pub(in crate::flag) fn of(&self, context: &(impl Context + ?Sized)) -> Option<usize> {
        match self {
            Self::Variant(variant) => Some(*variant),
            Self::Split(division) => division.of(context),
        }
    }

    /// True for a division.
    pub(in crate::flag) fn is_split(&self) -> bool {
        matches!(self, Self::Split(_))
    }
}

impl Division {
    fn of(&self, context: &(impl Context + ?Sized)) -> Option<usize> {
        let Some(attribute) = &self.by else {
            let key = context.targeting_key()?;
            return (!key.is_empty()).then(|| self.cohort(&key));
        };
        let key = match (attribute, context.value(attribute)?) {
            (_, Value::List(_)) => return None,
            (_, Value::Address(address)) => return Some(self.client(ClientKey::new(address))),
            // An address that came as a text is the same client.
            (Attribute::ClientIp, Value::Text(text)) => {
                let text = str::from_utf8(&text).ok()?;
                return Some(self.client(ClientKey::new(text.parse().ok()?)));
            }
            (_, Value::Text(text)) => text,
        };
        (!key.is_empty()).then(|| self.cohort(&key))
    }

    fn client(&self, key: ClientKey) -> usize {
        self.cohort(key.as_bytes())
    }

    fn cohort(&self, key: &[u8]) -> usize {
        self.variants[self.cohorts.of(key)]
    }
}
