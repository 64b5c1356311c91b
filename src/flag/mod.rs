//! Flags: which variant of a flag somebody gets, and why.
//!
//! A flag is what its file says and what was set at run time over it. In this order decide:
//!
//! 1. **killed**: the off variant.
//! 2. **disabled**, by the file or at run time: the off variant.
//! 3. **prerequisites**: where another flag has not the variant that it has to have, the off variant.
//! 4. **override**: what was set at run time for everybody.
//! 5. **rules**, from the first to the last: one that is due, whose segment holds and, where it
//!    splits, for which the context has something to divide by.
//! 6. **default**.
//!
//! While a release rolls a flag out, its weights take the place of everything from the first rule
//! without a segment on. Only a context that they cannot divide gets the default.
//!
//! A split is the hash of routes ([`Cohorts`](crate::split::Cohorts)) over the names of the
//! variants: raising a share moves users one way only, and a flag and a route with one salt, the
//! same names and weights divide users alike. Where a context has nothing to divide by, the split is
//! passed over and counted; a default that splits gives the off variant then.
//!
//! Flags may depend on each other, by prerequisites and by segments that test `flag:NAME`; that
//! nothing depends on itself is checked when they are made.

mod check;
mod choice;
mod context;
mod debt;
mod evaluate;
mod explain;
mod graph;
mod moment;
mod problem;
mod references;
mod rule;
mod spec;
#[cfg(test)]
mod tests;
mod value;
mod version;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::flag::choice::{Choice, Names};
use crate::flag::graph::Dependencies;
use crate::flag::rule::Rule;

pub use crate::flag::context::{Context, ContextError, JsonContext, TARGETING_KEY};
pub use crate::flag::debt::{Answer, Look, Settings, Stale, Use, judge};
pub use crate::flag::evaluate::{Asking, Cause, Evaluation, Reason};
pub use crate::flag::explain::{ConditionStep, Line, Outcome, Step};
pub use crate::flag::graph::faults_in;
pub use crate::flag::problem::{Fault, FlagError, Part, Place, Problem};
pub use crate::flag::references::{Reference, References};
pub use crate::flag::spec::{FlagSpec, Inject, Prerequisite, Ramp, RuleSpec, Runtime, Serve};
pub use crate::flag::value::{FlagValue, Kind, KindError};

/// All flags, checked and ready to be asked. A flag is its place here, in the order of names; a
/// variant its place among those of its flag, likewise.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    flags: Vec<Flag>,
    positions: BTreeMap<String, usize>,
    /// How many flags others depend on.
    n_asked: usize,
    ignored: Vec<FlagError>,
}

/// A flag, ready to be asked.
#[derive(Clone, Debug)]
struct Flag {
    name: String,
    spec: Box<FlagSpec>,
    version: String,
    /// The names of its variants, in their order.
    names: Vec<String>,
    /// Their values.
    values: Vec<FlagValue>,
    off: usize,
    killed: bool,
    enabled: bool,
    prerequisites: Vec<Needed>,
    over: Option<Choice>,
    rules: Vec<Rule>,
    /// What a release gives, in place of the rules from the first without a segment on.
    release: Option<Choice>,
    default: Choice,
    depends_on: Vec<usize>,
    /// Where its answer is kept while others ask for it, if others do.
    slot: Option<usize>,
}

/// A flag that has to have a certain variant.
#[derive(Clone, Copy, Debug)]
struct Needed {
    flag: usize,
    variant: usize,
}

impl Flags {
    /// Makes flags of what is written, and of what was set at run time by the flags' names.
    ///
    /// What was set of a flag that there is not is left out, as it may come back. An override or a
    /// release that cannot be obeyed is left out, too: a kill must not wait for somebody to repair
    /// it. See [`Flags::ignored`].
    ///
    /// # Errors
    /// The first of [`Flags::problems`].
    pub fn new(
        specs: &BTreeMap<String, FlagSpec>,
        runtime: &BTreeMap<String, Runtime>,
    ) -> Result<Self, FlagError> {
        if let Some(problem) = Self::problems(specs).into_iter().next() {
            return Err(problem);
        }
        let graph = Dependencies::of(specs);
        let positions = specs.keys().enumerate();
        let positions: BTreeMap<_, _> = positions.map(|(at, name)| (name.clone(), at)).collect();
        let nothing = Runtime::default();
        let mut flags = Vec::with_capacity(specs.len());
        let mut ignored = Vec::new();
        for ((name, spec), depends_on) in specs.iter().zip(graph.into_direct()) {
            let set = runtime.get(name).unwrap_or(&nothing);
            let (flag, problems) = Flag::new(name, spec, set, depends_on, |needed| {
                let at = positions[&needed.flag];
                let names = specs[&needed.flag].variants.keys();
                let mut names = names.enumerate();
                let found = names.find(|(_, name)| **name == needed.variant);
                let (variant, _) = found.expect("prerequisites were checked");
                Needed { flag: at, variant }
            });
            ignored.extend(problems.into_iter().map(|it| FlagError::new(name, it)));
            flags.push(flag);
        }
        let mut n_asked = 0;
        let asked: Vec<usize> = flags.iter().flat_map(|it| it.depends_on.clone()).collect();
        for flag in asked {
            if flags[flag].slot.is_none() {
                flags[flag].slot = Some(n_asked);
                n_asked += 1;
            }
        }
        Ok(Self {
            flags,
            positions,
            n_asked,
            ignored,
        })
    }

    /// All that is wrong with what is written, in the order of the flags' names: each flag by
    /// itself, and how they depend on each other.
    pub fn problems(specs: &BTreeMap<String, FlagSpec>) -> Vec<FlagError> {
        check::all(specs)
    }

    /// The overrides and releases that cannot be obeyed, and why: their flag has changed since.
    pub fn ignored(&self) -> &[FlagError] {
        &self.ignored
    }

    /// Where the flag of this name is.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// The name of a flag.
    pub fn name(&self, flag: usize) -> &str {
        &self.flags[flag].name
    }

    /// A flag as it is written.
    pub fn spec(&self, flag: usize) -> &FlagSpec {
        &self.flags[flag].spec
    }

    /// [`FlagSpec::version`] of a flag.
    pub fn version(&self, flag: usize) -> &str {
        &self.flags[flag].version
    }

    /// The names of a flag's variants, in their order.
    pub fn variants(&self, flag: usize) -> &[String] {
        &self.flags[flag].names
    }

    /// The value of a variant.
    pub fn value(&self, flag: usize, variant: usize) -> &FlagValue {
        &self.flags[flag].values[variant]
    }

    /// The variant of a flag that is killed or disabled, or that lacks a prerequisite.
    pub fn off_variant(&self, flag: usize) -> usize {
        self.flags[flag].off
    }

    /// True for a flag that is killed.
    pub fn is_killed(&self, flag: usize) -> bool {
        self.flags[flag].killed
    }

    /// True for a flag that is on, killed or not: by its file, or at run time in place of it.
    pub fn is_enabled(&self, flag: usize) -> bool {
        self.flags[flag].enabled
    }

    /// True for a flag that gives everybody what was set at run time.
    pub fn is_overridden(&self, flag: usize) -> bool {
        self.flags[flag].over.is_some()
    }

    /// True for a flag that a release is rolling out.
    pub fn is_rolled_out(&self, flag: usize) -> bool {
        self.flags[flag].release.is_some()
    }

    /// The flags that a flag depends on by itself: its prerequisites, and those that the segments of
    /// its rules test. Each once, in order.
    pub fn depends_on(&self, flag: usize) -> &[usize] {
        &self.flags[flag].depends_on
    }

    /// What a rule is called: by its name, or `rule 2` for the second.
    pub fn rule_name(&self, flag: usize, rule: usize) -> Cow<'_, str> {
        match &self.flags[flag].rules[rule].name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("rule {}", rule + 1)),
        }
    }

    /// The answer of a flag for a context.
    pub fn evaluate<C: Context + ?Sized>(&self, flag: usize, context: &C) -> Evaluation<'_> {
        self.asking(context).evaluate(flag)
    }

    /// Asks several flags for one context: what they depend on in common is found once.
    pub fn asking<'f, 'c, C: Context + ?Sized>(&'f self, context: &'c C) -> Asking<'f, 'c, C> {
        Asking::new(self, context)
    }

    /// Every line of the order of decision, with what it said of a context.
    pub fn explain<C: Context + ?Sized>(&self, flag: usize, context: &C) -> Vec<Step<'_>> {
        explain::explain(self, flag, context)
    }
}

impl Flag {
    /// Makes a flag that was checked, and tells what of the run time it cannot obey.
    fn new(
        name: &str,
        spec: &FlagSpec,
        set: &Runtime,
        depends_on: Vec<usize>,
        needed: impl Fn(&Prerequisite) -> Needed,
    ) -> (Self, Vec<Problem>) {
        let names = Names::of(spec);
        let salt = spec.salt.as_deref().unwrap_or(name);
        let mut problems = Vec::new();
        let mut obeyed = |place: Place, serve: &Serve, salt: &str, by| {
            let faults = check::serve(spec, serve);
            if faults.is_empty() {
                return Some(names.choice(serve, salt, by));
            }
            problems.extend(faults.into_iter().map(|fault| fault.at(place.clone())));
            None
        };
        let over = set.serve.as_ref();
        let over = over.and_then(|serve| obeyed(Place::Override, serve, salt, None));
        let open = spec.rules.iter().find(|rule| rule.segment.is_none());
        let release = set.release.as_ref().and_then(|ramp| {
            let own = open.and_then(|rule| rule.salt.as_deref());
            let salt = ramp.salt.as_deref().or(own).unwrap_or(salt);
            let by = open.and_then(|rule| rule.bucket_by.as_ref());
            let serve = Serve::Split(ramp.weights.clone());
            obeyed(Place::Release, &serve, salt, by)
        });
        let rules = spec.rules.iter();
        let flag = Self {
            name: name.to_owned(),
            version: spec.version(name),
            off: names.position(&spec.off_variant),
            killed: set.killed,
            enabled: set.enabled.unwrap_or(spec.enabled),
            prerequisites: spec.prerequisites.iter().map(needed).collect(),
            over,
            rules: rules.map(|rule| Rule::new(rule, &names, salt)).collect(),
            release,
            default: names.choice(&spec.default, salt, None),
            depends_on,
            slot: None,
            values: spec.variants.values().cloned().collect(),
            names: spec.variants.keys().cloned().collect(),
            spec: Box::new(spec.clone()),
        };
        (flag, problems)
    }
}
