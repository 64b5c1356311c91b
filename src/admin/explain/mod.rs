//! Why a request goes where it goes: the same tables and the same hash as for real requests, asked
//! with a request that somebody describes.
//!
//! It needs a configuration and no running instance, so the command line answers by it as well.

mod asked;
mod condition;
#[cfg(test)]
mod tests;
mod verdict;

pub use crate::admin::explain::asked::{Asked, AskedError};

use std::fmt::Display;

use crate::admin::explain::verdict::Verdict;
use crate::admin::wire::{Explained, ExplainedVariant};
use crate::config::{Config, RouteConfig};
use crate::message::RequestHead;
use crate::route::{Match, Table};
use crate::split::{Split, State};

/// Tells what a configuration does with a request. `is_available` tells of an upstream, by its
/// name, whether any of its endpoints may be used.
///
/// It builds the tables anew, which takes a while when there are thousands of routes: it is not for
/// a worker.
///
/// # Errors
/// When what is described is no request.
pub fn explain(
    config: &Config,
    asked: &Asked,
    is_available: impl Fn(&str) -> bool,
) -> Result<Explained, AskedError> {
    let request = asked.request()?;
    let Some((name, route)) = find(config, &request.head)? else {
        return Ok(no_route());
    };
    let split = Split::new(route.split_spec.clone()).map_err(config_error)?;
    let available = |n: usize| {
        route
            .upstreams
            .get(n)
            .is_some_and(|name| is_available(name))
    };
    let verdict = Verdict::of(&split, route.on_unavailable, &request, asked, available);
    Ok(tell(name, route, &split, verdict))
}

/// The route that catches a request.
fn find<'c>(
    config: &'c Config,
    head: &RequestHead,
) -> Result<Option<(&'c str, &'c RouteConfig)>, AskedError> {
    let mut routes = Vec::with_capacity(config.routes.len());
    for (name, route) in &config.routes {
        let rule = Match::new(route.match_spec.clone()).map_err(config_error)?;
        routes.push((name.clone(), rule, (name.as_str(), route)));
    }
    let table = Table::build(routes).map_err(|ties| {
        let ties: Vec<_> = ties.iter().map(ToString::to_string).collect();
        config_error(ties.join("; "))
    })?;
    Ok(table.find(head).copied())
}

fn config_error(reason: impl Display) -> AskedError {
    AskedError::Config {
        reason: reason.to_string(),
    }
}

fn no_route() -> Explained {
    Explained {
        generation: None,
        route: None,
        matched: Vec::new(),
        variant: None,
        served_by: None,
        reason: "no route".to_owned(),
        key: None,
        notes: Vec::new(),
        variants: Vec::new(),
    }
}

fn tell(name: &str, route: &RouteConfig, split: &Split, verdict: Verdict) -> Explained {
    let specs = split.variants();
    let scored = verdict
        .key
        .as_deref()
        .map(|key| split.explain(key).variants);
    let variants = specs.iter().zip(&route.upstreams).enumerate();
    let variants = variants.map(|(n, (spec, upstream))| {
        let standing = scored.as_ref().map(|standings| standings[n]);
        ExplainedVariant {
            name: spec.name.clone(),
            upstream: upstream.clone(),
            state: match spec.state {
                State::On => "on",
                State::Off => "off",
            }
            .to_owned(),
            weight: spec.weight,
            share: split.share(n),
            score: standing.map(|standing| standing.score),
            flips_at: standing
                .and_then(|standing| standing.flip)
                .map(|flip| flip.share),
        }
    });
    let named = |n: usize| specs[n].name.clone();
    Explained {
        generation: None,
        route: Some(name.to_owned()),
        matched: condition::all(&route.match_spec),
        variant: verdict.chosen.map(named),
        served_by: verdict.stand_in.map(named),
        reason: verdict.reason.name().to_owned(),
        key: verdict
            .key
            .as_deref()
            .map(|key| String::from_utf8_lossy(key).into_owned()),
        notes: verdict.notes,
        variants: variants.collect(),
    }
}
