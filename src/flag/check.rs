//! Checks of flags: each by itself, and with those that it names.

use std::collections::BTreeMap;

use http::HeaderName;

use crate::flag::graph;
use crate::flag::spec::{FlagSpec, RuleSpec, Serve};
use crate::flag::{Fault, FlagError, FlagValue, Part, Place, Problem};
use crate::segment::Attribute;
use crate::split::{MAX_NAME_BYTES, MAX_WEIGHT};

/// All that is wrong with these flags.
pub(in crate::flag) fn all(specs: &BTreeMap<String, FlagSpec>) -> Vec<FlagError> {
    let mut problems = Vec::new();
    let circles = graph::circles(specs);
    for (name, spec) in specs {
        let mut own = Vec::new();
        if !Attribute::is_flag_name(name) {
            own.push(Fault::Name.at(Place::Flag));
        }
        own.extend(spec.problems());
        own.extend(graph::unknown(spec, specs));
        let circles = circles.iter().filter(|(flag, _)| flag == name);
        own.extend(circles.map(|(_, problem)| problem.clone()));
        problems.extend(own.into_iter().map(|problem| FlagError::new(name, problem)));
    }
    problems
}

/// What is wrong with what is given of a flag.
pub(in crate::flag) fn serve(spec: &FlagSpec, serve: &Serve) -> Vec<Fault> {
    let weights = match serve {
        Serve::Variant(name) => return unknown(spec, name).into_iter().collect(),
        Serve::Split(weights) if weights.is_empty() => return vec![Fault::EmptySplit],
        Serve::Split(weights) => weights,
    };
    let mut faults = Vec::new();
    for (name, &weight) in weights {
        faults.extend(unknown(spec, name));
        if weight > MAX_WEIGHT {
            let variant = name.clone();
            faults.push(Fault::Weight { variant, weight });
        }
    }
    if weights.values().all(|&weight| weight == 0) {
        faults.push(Fault::AllZero);
    }
    faults
}

/// That a flag has no such variant, if it has none.
pub(in crate::flag) fn unknown(spec: &FlagSpec, variant: &str) -> Option<Fault> {
    if spec.variants.contains_key(variant) {
        return None;
    }
    Some(Fault::UnknownVariant {
        variant: variant.to_owned(),
        known: spec.variants.keys().cloned().collect(),
    })
}

impl FlagSpec {
    /// Tells what is wrong with it, as far as it can be told without the other flags.
    ///
    /// # Errors
    /// The first of [`FlagSpec::problems`].
    pub fn check(&self) -> Result<(), Problem> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// All that is wrong with it, as far as it can be told without the other flags.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_variants(&mut problems);
        let off = unknown(self, &self.off_variant);
        problems.extend(off.map(|fault| fault.at(Place::OffVariant)));
        let default = serve(self, &self.default).into_iter();
        problems.extend(default.map(|fault| fault.at(Place::Default)));
        if self.salt.as_deref() == Some("") {
            problems.push(Fault::EmptySalt.at(Place::Salt));
        }
        for (index, needed) in self.prerequisites.iter().enumerate() {
            let mut before = self.prerequisites[..index].iter();
            if let Some(first) = before.position(|former| former.flag == needed.flag) {
                let flag = needed.flag.clone();
                let fault = Fault::PrerequisiteRepeated { flag, first };
                problems.push(fault.at(Place::PrerequisiteFlag(index)));
            }
        }
        self.check_rules(&mut problems);
        if let Some(inject) = &self.inject
            && HeaderName::from_bytes(inject.header.as_bytes()).is_err()
        {
            let header = inject.header.clone();
            problems.push(Fault::Header { header }.at(Place::InjectHeader));
        }
        problems
    }

    fn check_variants(&self, problems: &mut Vec<Problem>) {
        if self.variants.is_empty() {
            problems.push(Fault::NoVariants.at(Place::Variants));
        }
        for (name, value) in &self.variants {
            let place = Place::Variant(name.clone());
            let fault = if !is_variant_name(name) {
                let variant = name.clone();
                Fault::VariantName { variant }
            } else if value.kind() != self.kind {
                Fault::Kind {
                    kind: self.kind,
                    found: value.kind(),
                }
            } else if matches!(value, FlagValue::Float(number) if !number.is_finite()) {
                Fault::NotFinite
            } else {
                continue;
            };
            problems.push(fault.at(place));
        }
    }

    fn check_rules(&self, problems: &mut Vec<Problem>) {
        let all = self
            .rules
            .iter()
            .position(RuleSpec::serves_everybody_always);
        for (index, rule) in self.rules.iter().enumerate() {
            let mut refuse = |part, fault: Fault| problems.push(fault.at(Place::Rule(index, part)));
            if let Some(all) = all.filter(|all| *all < index) {
                refuse(Part::Whole, Fault::NeverAsked { all });
            }
            let mut before = self.rules[..index].iter();
            let named = rule.name.is_some();
            if let Some(first) = before.position(|former| named && former.name == rule.name) {
                refuse(Part::Name, Fault::RuleRepeated { first });
            }
            for fault in serve(self, &rule.serve) {
                refuse(Part::Serve, fault);
            }
            if let Some(attribute @ Attribute::Flag(_)) = &rule.bucket_by {
                let attribute = attribute.to_string();
                refuse(Part::BucketBy, Fault::BucketBy { attribute });
            }
            if rule.salt.as_deref() == Some("") {
                refuse(Part::Salt, Fault::EmptySalt);
            }
            if let (Some(from), Some(to)) = (rule.from, rule.to)
                && to <= from
            {
                refuse(Part::To, Fault::Schedule);
            }
        }
    }
}

impl RuleSpec {
    /// True for a rule that leaves nobody to the rules behind it.
    fn serves_everybody_always(&self) -> bool {
        self.segment.is_none()
            && self.from.is_none()
            && self.to.is_none()
            && matches!(self.serve, Serve::Variant(_))
    }
}

/// True for what may name a variant, as for those of routes.
fn is_variant_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(fits)
}
