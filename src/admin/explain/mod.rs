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

use crate::admin::explain::asked::Request;
use crate::admin::explain::verdict::Verdict;
use crate::admin::wire::{Explained, ExplainedVariant};
use crate::config::{Config, RouteConfig};
use crate::route::Table;
use crate::split::State;

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
    let Some((name, route)) = find(config, &request)? else {
        return Ok(no_route());
    };
    let available = |n: usize| {
        route
            .upstreams
            .get(n)
            .is_some_and(|name| is_available(name))
    };
    let verdict = Verdict::of(
        &route.split,
        route.on_unavailable,
        &request,
        asked,
        available,
    );
    Ok(tell(name, route, verdict))
}

/// The route that catches a request.
fn find<'c>(
    config: &'c Config,
    request: &Request,
) -> Result<Option<(&'c str, &'c RouteConfig)>, AskedError> {
    let routes = config.routes.iter();
    let routes = routes.map(|(name, route)| {
        let target = (name.as_str(), route);
        (name.clone(), route.matched.clone(), target)
    });
    let table = Table::build(routes.collect()).map_err(|ties| AskedError::Ties {
        ties: ties
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; "),
    })?;
    Ok(table.find(&request.head, request.client).copied())
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

fn tell(name: &str, route: &RouteConfig, verdict: Verdict) -> Explained {
    let split = &route.split;
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
