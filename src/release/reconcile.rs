//! The file and what runs: what becomes of releases and of what was set at run time when a
//! configuration is loaded, at the start and later alike.
//!
//! A field that did not change in the file is not a wish; a field that changed is. So what is compared
//! is the file that was obeyed before, as the store keeps it, the file that is loaded, and what runs.

mod flags;

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::release::flags::{FlagInFile, Kept};
use crate::release::overlay::{Overlay, Override, Weights, left_by, overlay, same_shares, share};
use crate::release::percent::Percent;
use crate::release::spec::{Difference, Spec};
use crate::release::state::{Conflict, Origin, Phase, Said, State, has_ended};

/// So many routes or flags that change in the file have a record together: however long their names
/// are, that is far from what a record may have.
const MOST_TOGETHER: usize = 250;

/// What a file says that the release plane obeys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// The weights of routes that are divided, by route, and of flags, by target.
    pub weights: BTreeMap<String, Weights>,
    /// The flags, by name.
    pub flags: BTreeMap<String, FlagInFile>,
    /// The releases that are wished for, by identity.
    pub releases: BTreeMap<String, Spec>,
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The weights of the file that was obeyed before.
    pub file: BTreeMap<String, Weights>,
    /// What was set at run time, by route.
    pub overrides: BTreeMap<String, Override>,
    /// What was said of flags at run time, by name.
    pub flags: BTreeMap<String, Kept>,
    /// The versions of the flags in the file that was obeyed before, by name.
    pub flag_file: BTreeMap<String, String>,
    /// Releases, by identity.
    pub releases: BTreeMap<String, State>,
}

/// One thing that changes, with its own record.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What happens, as the audit trail names it.
    pub action: &'static str,
    /// Why, for people.
    pub reason: String,
    /// What is kept from then on.
    pub effect: Effect,
}

/// What is kept from then on.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A release, and what it leaves when it has ended.
    Release(Box<State>, Option<Override>),
    /// What was set at run time; nothing any more with `None`.
    Override(String, Option<Override>),
    /// What is said of a flag, and its release where that is held with it.
    Flag(String, Kept, Option<Box<State>>),
    /// The weights in the file, by route; `None` where the route is gone.
    File(BTreeMap<String, Option<Weights>>),
    /// The versions of flags in the file, by name; `None` where the flag is gone.
    FlagFile(BTreeMap<String, Option<String>>),
}

impl Known {
    /// Lets a change take place.
    pub fn apply(&mut self, change: &Change) {
        match &change.effect {
            Effect::Release(state, left) => {
                let route = state.spec.route.clone();
                self.releases
                    .insert(state.spec.id.clone(), (**state).clone());
                if has_ended(state) {
                    self.overrides.remove(&route);
                    if let Some((name, kept)) = self.without_serve(&route) {
                        self.keep_flag(&name, kept);
                    }
                }
                if let Some(left) = left {
                    self.overrides.insert(route, left.clone());
                }
            }
            Effect::Override(route, set) => match set {
                Some(set) => {
                    self.overrides.insert(route.clone(), set.clone());
                }
                None => {
                    self.overrides.remove(route);
                }
            },
            Effect::Flag(name, kept, held) => {
                self.keep_flag(name, kept.clone());
                if let Some(state) = held {
                    self.releases
                        .insert(state.spec.id.clone(), (**state).clone());
                }
            }
            Effect::File(weights) => put(&mut self.file, weights),
            Effect::FlagFile(versions) => put(&mut self.flag_file, versions),
        }
    }

    /// What routes and flags obey, with such a file.
    pub fn overlay(&self, file: &File, now: SystemTime) -> Overlay {
        overlay(file, self, now)
    }

    /// Whether something that was set has run out and is still kept.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        let mut set = self.overrides.values();
        let of_route = |set: &Override| set.expires.is_some_and(|expires| expires <= now);
        set.any(of_route) || self.flags.values().any(|kept| kept.has_expired(now))
    }

    /// The release that a route has and that is not over.
    pub fn active(&self, route: &str) -> Option<&State> {
        let mut releases = self.releases.values();
        releases.find(|state| state.spec.route == route && state.phase.is_active())
    }
}

/// Works out what changes when a file is loaded. The same file again changes nothing.
pub fn reconcile(file: &File, known: &Known, now: SystemTime) -> Vec<Change> {
    let mut plan = Plan {
        file,
        known: known.clone(),
        changes: Vec::new(),
        now,
    };
    plan.removed_releases();
    plan.weights();
    plan.flags();
    plan.wished_releases();
    plan.read_file();
    plan.read_flags();
    plan.changes
}

struct Plan<'f> {
    file: &'f File,
    known: Known,
    changes: Vec<Change>,
    now: SystemTime,
}

impl Plan<'_> {
    fn push(&mut self, action: &'static str, reason: String, effect: Effect) {
        let change = Change {
            action,
            reason,
            effect,
        };
        self.known.apply(&change);
        self.changes.push(change);
    }

    /// Ends a release, and says what it leaves behind.
    fn end(&mut self, action: &'static str, mut state: State, phase: Phase, reason: &str) {
        let file = self.file.weights.get(&state.spec.route);
        state.end(phase, reason.to_owned(), self.now);
        // Where the file changes the weights besides, that is what is wished for.
        let unchanged = file.filter(|&file| *file == state.file_weights);
        let left = unchanged.and_then(|file| left_by(&state, file, self.now));
        let effect = Effect::Release(Box::new(state), left);
        self.push(action, reason.to_owned(), effect);
    }

    /// Releases that are wished for no more, or whose route or variants are gone.
    fn removed_releases(&mut self) {
        let active: Vec<State> = self
            .known
            .releases
            .values()
            .filter(|state| state.phase.is_active())
            .cloned()
            .collect();
        for state in active {
            let spec = &state.spec;
            let weights = self.file.weights.get(&spec.route);
            let has = |variant: &str| weights.is_some_and(|weights| weights.contains_key(variant));
            let wished = self.file.releases.get(&spec.id);
            let is_wished = state.origin == Origin::Api || wished.is_some();
            // Another candidate in its place is told of as such.
            let replaced = wished.is_some_and(|wished| wished.candidate != spec.candidate);
            if !is_wished {
                let new = self.file.releases.values();
                let mut new = new.filter(|new| new.route == spec.route);
                let next = new.find(|new| !self.known.releases.contains_key(&new.id));
                if let Some(next) = next {
                    let reason = format!("the release `{}` takes its place", next.id);
                    self.end("release.supersede", state, Phase::Superseded, &reason);
                } else {
                    let reason = "it is not in the file any more";
                    self.end("release.cancel", state, Phase::Cancelled, reason);
                }
            } else if !(replaced || has(&spec.stable) && has(&spec.candidate)) {
                let reason = "its route or a variant of it is not in the file any more";
                self.end("release.cancel", state, Phase::Cancelled, reason);
            }
        }
    }

    /// Weights that the file changed.
    fn weights(&mut self) {
        let file = self.file;
        for (route, weights) in &file.weights {
            match self.known.active(route).cloned() {
                Some(state) if state.phase.owns_weights() => self.contested(state, weights),
                Some(_) | None => self.overridden(route, weights),
            }
        }
        let gone: Vec<String> = self
            .known
            .overrides
            .keys()
            .filter(|route| !file.weights.contains_key(*route))
            .cloned()
            .collect();
        for route in gone {
            let reason = "the route is not in the file any more".to_owned();
            self.push("weights.drop", reason, Effect::Override(route, None));
        }
    }

    /// The file says something about a route whose traffic a release moves.
    fn contested(&mut self, mut state: State, weights: &Weights) {
        if *weights == state.file_weights {
            // What was asked for is taken back.
            if state.conflict.as_ref().is_some_and(is_about_weights) {
                state.conflict = None;
                let reason = "the file asks for the weights of before again".to_owned();
                let effect = Effect::Release(Box::new(state), None);
                self.push("release.conflict.clear", reason, effect);
            }
            return;
        }
        let candidate = state.spec.candidate.clone();
        let wished = share(weights, &candidate);
        let before = share(&state.file_weights, &candidate);
        if wished == before || wished == state.weight {
            state.file_weights.clone_from(weights);
            let reason = "the weights in the file say the same in another way".to_owned();
            self.push(
                "release.adopt",
                reason,
                Effect::Release(Box::new(state), None),
            );
        } else if wished == Percent::NONE {
            state.file_weights.clone_from(weights);
            let reason = "the file gives the candidate nothing";
            self.end("release.abort", state, Phase::Aborted, reason);
        } else if wished < state.weight {
            state.file_weights.clone_from(weights);
            state.cap = Some(wished);
            state.weight = wished;
            state.conflict = None;
            let reason = format!("the file gives the candidate no more than {wished}");
            state.paused = Some(Said {
                by: "file".into(),
                reason: reason.clone(),
                at: self.now,
            });
            self.push(
                "release.weight",
                reason,
                Effect::Release(Box::new(state), None),
            );
        } else {
            let wish = format!("weights:{}", text(weights));
            let what = format!(
                "the file gives the candidate {wished}, and the release {}",
                state.weight
            );
            self.conflict(state, wish, what);
        }
    }

    fn conflict(&mut self, mut state: State, wish: String, what: String) {
        let is_known = state
            .conflict
            .as_ref()
            .is_some_and(|known| known.wish == wish);
        if is_known || state.kept.as_ref() == Some(&wish) {
            return;
        }
        let reason = what.clone();
        state.conflict = Some(Conflict { what, wish });
        self.push(
            "release.conflict",
            reason,
            Effect::Release(Box::new(state), None),
        );
    }

    /// The file says something about a route that no release moves.
    fn overridden(&mut self, route: &str, weights: &Weights) {
        let Some(set) = self.known.overrides.get(route) else {
            return;
        };
        let effect = || Effect::Override(route.to_owned(), None);
        if set.expires.is_some_and(|expires| expires <= self.now) {
            let reason = "the time of what was set is over".to_owned();
            self.push("weights.expire", reason, effect());
        } else if set.basis == *weights {
            // It did not change: it is no wish.
        } else if same_shares(&set.weights, weights) {
            let reason = "the file says now what was set".to_owned();
            self.push("weights.absorb", reason, effect());
        } else {
            let reason = "the file says something else now".to_owned();
            self.push("weights.drop", reason, effect());
        }
    }

    /// Releases that the file wishes for.
    fn wished_releases(&mut self) {
        let file = self.file;
        for (id, wished) in &file.releases {
            match self.known.releases.get(id).cloned() {
                None => self.create(wished),
                Some(state) if state.phase.is_active() => self.compare(state, wished),
                Some(state) => self.again(&state, wished),
            }
        }
    }

    fn create(&mut self, wished: &Spec) {
        // One at a time: the next is made when this one has ended.
        if self.known.active(&wished.route).is_some() {
            return;
        }
        let by = "file".to_owned();
        let mut state = State::new(wished.clone(), Origin::File, by, self.now);
        state.file_weights = self.weights_of(&wished.route);
        let reason = "it is in the file".to_owned();
        self.push(
            "release.create",
            reason,
            Effect::Release(Box::new(state), None),
        );
    }

    fn compare(&mut self, mut state: State, wished: &Spec) {
        // Who asked by the API is not answered by the file.
        if state.origin == Origin::Api {
            return;
        }
        match state.spec.difference(wished, state.step) {
            Difference::None => {
                if state
                    .conflict
                    .as_ref()
                    .is_some_and(|conflict| !is_about_weights(conflict))
                {
                    state.conflict = None;
                    let reason = "the file asks for what runs again".to_owned();
                    let effect = Effect::Release(Box::new(state), None);
                    self.push("release.conflict.clear", reason, effect);
                }
            }
            Difference::Adoptable => {
                state.spec = wished.clone();
                if state
                    .conflict
                    .as_ref()
                    .is_some_and(|conflict| !is_about_weights(conflict))
                {
                    state.conflict = None;
                }
                let reason = "the file changed what can be adopted while it runs".to_owned();
                self.push(
                    "release.adopt",
                    reason,
                    Effect::Release(Box::new(state), None),
                );
            }
            Difference::Candidate => {
                let reason = format!("`{}` is the candidate now", wished.candidate);
                self.end("release.supersede", state, Phase::Superseded, &reason);
                self.begin_again(wished);
            }
            Difference::Conflict(what) => {
                let wish = format!("spec:{}", wished.sha256());
                let what = format!("the file changed {what}");
                self.conflict(state, wish, what);
            }
        }
    }

    /// A release that is over: it stays so, unless something else is to be released by its name.
    fn again(&mut self, state: &State, wished: &Spec) {
        let of = |spec: &Spec| {
            let what = (&spec.candidate, &spec.artifact, &spec.commit);
            (what.0.clone(), what.1.clone(), what.2.clone())
        };
        if of(&state.spec) != of(wished) && self.known.active(&wished.route).is_none() {
            self.begin_again(wished);
        }
    }

    fn begin_again(&mut self, wished: &Spec) {
        let Some(mut state) = self.known.releases.get(&wished.id).cloned() else {
            return;
        };
        state.restart(self.now);
        state.spec = wished.clone();
        state.file_weights = self.weights_of(&wished.route);
        let reason = "the file releases something else by its name".to_owned();
        self.push(
            "release.create",
            reason,
            Effect::Release(Box::new(state), None),
        );
    }

    fn weights_of(&self, route: &str) -> Weights {
        self.file.weights.get(route).cloned().unwrap_or_default()
    }

    /// Keeps the weights of the file, to know later what changes.
    fn read_file(&mut self) {
        let mut changed = BTreeMap::new();
        for (route, weights) in &self.file.weights {
            if self.known.file.get(route) != Some(weights) {
                changed.insert(route.clone(), Some(weights.clone()));
            }
        }
        for route in self.known.file.keys() {
            if !self.file.weights.contains_key(route) {
                changed.insert(route.clone(), None);
            }
        }
        for changed in parted(changed) {
            let names: Vec<&str> = changed.keys().take(8).map(String::as_str).collect();
            let reason = format!("weights in the file of {}", names.join(", "));
            self.push("weights.file", reason, Effect::File(changed));
        }
    }
}

/// What is in the file, in parts that fit into a record.
fn parted<T>(all: BTreeMap<String, T>) -> Vec<BTreeMap<String, T>> {
    let mut parts: Vec<BTreeMap<String, T>> = Vec::new();
    for (n, (name, value)) in all.into_iter().enumerate() {
        if n.is_multiple_of(MOST_TOGETHER) {
            parts.push(BTreeMap::new());
        }
        if let Some(part) = parts.last_mut() {
            part.insert(name, value);
        }
    }
    parts
}

/// Puts in what is there, and takes out what is gone.
fn put<T: Clone>(kept: &mut BTreeMap<String, T>, changed: &BTreeMap<String, Option<T>>) {
    for (name, value) in changed {
        match value {
            Some(value) => kept.insert(name.clone(), value.clone()),
            None => kept.remove(name),
        };
    }
}

fn is_about_weights(conflict: &Conflict) -> bool {
    conflict.wish.starts_with("weights:")
}

fn text(weights: &Weights) -> String {
    let weights: Vec<String> = weights
        .iter()
        .map(|(name, weight)| format!("{name}={weight}"))
        .collect();
    weights.join(",")
}
