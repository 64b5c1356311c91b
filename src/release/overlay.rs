//! What routes obey instead of the weights in the file: those of the release that moves their
//! traffic, or those that somebody set at run time.
//!
//! The file is intent, and what is kept in the store is progress. A weight that did not change in the
//! file is no wish: what was set at run time stays until it is changed there.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::flag::Runtime;
use crate::release::flags;
use crate::release::percent::Percent;
use crate::release::reconcile::{File, Known};
use crate::release::state::{Phase, State};
use crate::release::strategy::{Action, MirrorStep, Preview};
use crate::store::instant;

/// The weights of a route's variants, by name.
pub type Weights = BTreeMap<String, u32>;

/// The weights that somebody set at run time, or that a release left when it ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Override {
    /// The weights.
    pub weights: Weights,
    /// Those of the file when they were set: once the file says something else, the file wins.
    pub basis: Weights,
    /// Who set them.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "instant::rfc3339")]
    pub at: SystemTime,
    /// Until when they hold, if not until the file changes.
    #[serde(with = "instant::rfc3339_option")]
    pub expires: Option<SystemTime>,
    /// The release that left them.
    pub release: Option<String>,
}

/// What routes obey instead of what the file says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Overlay {
    /// By the name of the route, or the target that a flag is.
    pub routes: BTreeMap<String, RouteOverlay>,
    /// What is in force of flags besides what the file says of them, by name.
    pub flags: BTreeMap<String, Runtime>,
}

/// What a route obeys instead of what the file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteOverlay {
    /// The weights of its variants; those that are not named get nothing.
    pub weights: Weights,
    /// What decides which users get which variant, if not the route's own.
    pub salt: Option<String>,
    /// Who gets the candidate by asking for it.
    pub preview: Option<(String, Preview)>,
    /// What the candidate gets copies of.
    pub mirror: Option<(String, MirrorStep)>,
    /// Whose decision it is.
    pub owner: Owner,
}

/// Whose decision weights are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Owner {
    /// A release's; its identity.
    Release(String),
    /// Somebody's; who.
    Person(String),
}

/// The weights when the candidate has such a share, and stable the rest.
pub fn weights(stable: &str, candidate: &str, share: Percent) -> Weights {
    Weights::from([
        (stable.to_owned(), share.rest().hundredths()),
        (candidate.to_owned(), share.hundredths()),
    ])
}

/// Whether two weights divide traffic in the same way, whatever their scale.
pub fn same_shares(one: &Weights, other: &Weights) -> bool {
    let sum = |weights: &Weights| {
        weights
            .values()
            .map(|&weight| u128::from(weight))
            .sum::<u128>()
    };
    let (sums, others) = (sum(one), sum(other));
    let names = one.keys().chain(other.keys());
    names.into_iter().all(|name| {
        let of = |weights: &Weights| u128::from(weights.get(name).copied().unwrap_or_default());
        of(one) * others == of(other) * sums
    })
}

/// The share of a variant.
pub fn share(weights: &Weights, variant: &str) -> Percent {
    let sum: u64 = weights.values().map(|&weight| u64::from(weight)).sum();
    let weight = weights.get(variant).copied().unwrap_or_default();
    if sum == 0 {
        Percent::NONE
    } else {
        Percent::of(u64::from(weight), sum)
    }
}

/// What a release makes of its route while it decides about it.
pub fn of_release(state: &State) -> Option<RouteOverlay> {
    if !state.phase.owns_weights() {
        return None;
    }
    let spec = &state.spec;
    let step = state.step.unwrap_or_default();
    let actions = || spec.strategy.steps.iter().map(|step| &step.action);
    // Who could ask for it in one step still can in the next.
    let preview = actions().take(step + 1).find_map(|action| match action {
        Action::Preview(preview) => Some((spec.candidate.clone(), preview.clone())),
        Action::Mirror(_) | Action::Weight(_) => None,
    });
    let mirror = actions().nth(step).and_then(|action| match action {
        Action::Mirror(mirror) => Some((spec.candidate.clone(), mirror.clone())),
        Action::Preview(_) | Action::Weight(_) => None,
    });
    Some(RouteOverlay {
        weights: weights(&spec.stable, &spec.candidate, state.weight),
        salt: state.salt.clone(),
        preview,
        mirror,
        owner: Owner::Release(spec.id.clone()),
    })
}

/// What a release that ends leaves, where the file divides its route's traffic in another way.
pub fn left_by(state: &State, file: &Weights, now: SystemTime) -> Option<Override> {
    let spec = &state.spec;
    let share = match state.phase {
        Phase::Promoted => Percent::ALL,
        Phase::RolledBack | Phase::Aborted | Phase::Superseded | Phase::Cancelled => Percent::NONE,
        Phase::Pending | Phase::Preview | Phase::Progressing | Phase::Baking => return None,
    };
    let weights = weights(&spec.stable, &spec.candidate, share);
    if state.started_at.is_none() || same_shares(&weights, file) {
        return None;
    }
    Some(Override {
        weights,
        basis: file.clone(),
        by: format!("release {}", spec.id),
        reason: state.cause.clone().unwrap_or_default(),
        at: now,
        expires: None,
        release: Some(spec.id.clone()),
    })
}

/// What routes and flags obey, given the file and what is kept.
pub fn overlay(file: &File, known: &Known, now: SystemTime) -> Overlay {
    let mut overlay = Overlay::default();
    for (route, set) in &known.overrides {
        let holds = file.weights.get(route) == Some(&set.basis)
            && set.expires.is_none_or(|expires| now < expires);
        if holds {
            overlay.routes.insert(
                route.clone(),
                RouteOverlay {
                    weights: set.weights.clone(),
                    salt: None,
                    preview: None,
                    mirror: None,
                    owner: Owner::Person(set.by.clone()),
                },
            );
        }
    }
    for state in known.releases.values() {
        if let Some(of_release) = of_release(state)
            && file.weights.contains_key(&state.spec.route)
        {
            overlay.routes.insert(state.spec.route.clone(), of_release);
        }
    }
    let released = |target: &str| {
        let active = known.active(target);
        active.is_some_and(|state| state.phase.owns_weights())
    };
    let flags = flags::in_force(&file.flags, &known.flags, &overlay, released, now);
    overlay.flags = flags;
    overlay
}
