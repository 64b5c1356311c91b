//! Flags at run time: what somebody said of a flag that the file does not say.
//!
//! Three things can be said of a flag: that it is killed, that it is on or off, and what it serves to
//! everyone. A kill stays until somebody takes it back, whatever the file says. The other two give
//! way to a file that changed: what did not change in the file is no wish. A release that rolls a flag
//! out is a release like any other, of the [`target`] that stands for it.

mod command;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::flag::{FlagSpec, Ramp, Runtime, Serve};
pub use crate::release::flags::command::{FlagCommand, FlagContext, FlagRefusal, Lasts, obey};

use crate::release::overlay::{Overlay, same_shares};
use crate::release::spec::FLAG;
use crate::release::state::Said;
use crate::store::instant;

/// How long what takes a flag forward holds where nobody says how long.
pub const USUAL: Duration = Duration::from_secs(24 * 60 * 60);

/// What the file says of a flag, as far as what is said at run time depends on it.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagInFile {
    /// The version of all that decides.
    pub version: String,
    /// Whether it is on.
    pub enabled: bool,
    /// What everyone gets, where the file says the same for everyone.
    pub everyone: Option<Serve>,
    /// The names of its variants.
    pub variants: Vec<String>,
    /// Whether operators may kill it.
    pub kill_switch: bool,
    /// What a freeze of it may be named by: itself as a target, and the routes that it is told to.
    pub routes: Vec<String>,
}

/// What is kept of a flag.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Kept {
    /// Who killed it, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed: Option<Said>,
    /// Whether it is on. What it gives way to is another word in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<Set<bool>>,
    /// What it serves to everyone. What it gives way to is another version of the flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serve: Option<Set<Served>>,
}

/// What is served to everyone, as it is kept: the name of a variant, or weights by name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Served(#[serde(with = "Written")] pub Serve);

/// How that is written.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Serve", untagged)]
enum Written {
    Variant(String),
    Split(BTreeMap<String, u32>),
}

/// Something that was set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Set<T> {
    /// What.
    pub value: T,
    /// What the file said then: once it says something else, the file wins.
    pub basis: String,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "instant::rfc3339")]
    pub at: SystemTime,
    /// Until when it holds, if not until the file changes.
    #[serde(with = "instant::rfc3339_option")]
    pub expires: Option<SystemTime>,
}

impl FlagInFile {
    /// What is to be known of a flag in the file.
    pub fn of(name: &str, spec: &FlagSpec) -> Self {
        let mut routes = vec![target(name)];
        routes.extend(spec.inject.iter().flat_map(|inject| inject.routes.clone()));
        Self {
            version: spec.version(name),
            enabled: spec.enabled,
            everyone: everyone(spec),
            variants: spec.variants.keys().cloned().collect(),
            kill_switch: spec.kill_switch,
            routes,
        }
    }

    /// What the word of the file whether it is on is kept as.
    pub fn enabled_basis(&self) -> String {
        self.enabled.to_string()
    }
}

impl Kept {
    /// True when there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something of it has run out.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        let of = |expires: Option<SystemTime>| expires.is_some_and(|expires| expires <= now);
        self.enabled.as_ref().is_some_and(|set| of(set.expires))
            || self.serve.as_ref().is_some_and(|set| of(set.expires))
    }

    /// What holds of it, given what the file says.
    fn runtime(&self, file: &FlagInFile, now: SystemTime) -> Runtime {
        let enabled = self.enabled.as_ref();
        let enabled = enabled.filter(|set| set.holds(&file.enabled_basis(), now));
        let serve = self.serve.as_ref();
        let serve = serve.filter(|set| set.holds(&file.version, now));
        Runtime {
            killed: self.killed.is_some(),
            enabled: enabled.map(|set| set.value),
            serve: serve.map(|set| set.value.0.clone()),
            release: None,
        }
    }
}

impl<T> Set<T> {
    fn holds(&self, basis: &str, now: SystemTime) -> bool {
        self.basis == basis && self.expires.is_none_or(|expires| now < expires)
    }
}

/// What a flag serves to everyone, where nobody is told apart but by their share.
fn everyone(spec: &FlagSpec) -> Option<Serve> {
    match spec.rules.as_slice() {
        [] => Some(spec.default.clone()),
        [rule] => {
            let is_plain = rule.segment.is_none() && rule.bucket_by.is_none();
            let is_always = rule.from.is_none() && rule.to.is_none();
            (is_plain && is_always).then(|| rule.serve.clone())
        }
        _ => None,
    }
}

/// What stands for a flag where a release names a route. No route has a colon in its name.
pub fn target(flag: &str) -> String {
    format!("{FLAG}{flag}")
}

/// Whether two ways to serve give everyone the same, with the same chance.
pub fn serve_the_same(one: &Serve, other: &Serve) -> bool {
    let weights = |serve: &Serve| match serve {
        Serve::Variant(name) => BTreeMap::from([(name.clone(), 1)]),
        Serve::Split(weights) => weights.clone(),
    };
    same_shares(&weights(one), &weights(other))
}

/// What is served, for people: a variant, or variants with their weights.
pub fn text(serve: &Serve) -> String {
    match serve {
        Serve::Variant(name) => name.clone(),
        Serve::Split(weights) => {
            let weights = weights
                .iter()
                .map(|(name, weight)| format!("{name}={weight}"));
            weights.collect::<Vec<_>>().join(" ")
        }
    }
}

/// What is in force of each flag of the file besides what the file says. What a release decides comes
/// before what somebody set.
pub(in crate::release) fn in_force(
    file: &BTreeMap<String, FlagInFile>,
    kept: &BTreeMap<String, Kept>,
    overlay: &Overlay,
    released: impl Fn(&str) -> bool,
    now: SystemTime,
) -> BTreeMap<String, Runtime> {
    let mut flags = BTreeMap::new();
    for (name, in_file) in file {
        let kept = kept.get(name);
        let mut runtime = kept.map_or_else(Runtime::default, |kept| kept.runtime(in_file, now));
        let target = target(name);
        runtime.release = overlay.routes.get(&target).map(|overlay| Ramp {
            weights: overlay.weights.clone(),
            salt: overlay.salt.clone(),
        });
        if released(&target) {
            runtime.serve = None;
        }
        if runtime != Runtime::default() {
            flags.insert(name.clone(), runtime);
        }
    }
    flags
}
