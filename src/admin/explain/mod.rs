//! Why a request goes where it goes: the same tables and the same hash as for real requests, asked
//! with a request that somebody describes.
//!
//! It needs a configuration and no running instance, so the command line answers by it as well.

mod asked;
mod condition;
mod direct;
mod flags;
mod mirror;
#[cfg(test)]
mod tests;
mod treatment;
mod verdict;

pub use crate::admin::explain::asked::{Asked, AskedError};

use crate::admin::explain::asked::Request;
use crate::admin::explain::verdict::Verdict;
use crate::admin::wire::{Explained, ExplainedCondition, ExplainedRule, ExplainedVariant};
use crate::config::{Config, RouteConfig};
use crate::route::Table;
use crate::split::{self, State};

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
    if let Some(direct) = &route.direct {
        return Ok(direct::tell(name, route, direct, &request));
    }
    let available = |n: usize| {
        route
            .upstreams
            .get(n)
            .is_some_and(|name| is_available(name))
    };
    let edge = flags::edge(config);
    let verdict = Verdict::of(
        &route.split,
        route.on_unavailable,
        (&request, &edge),
        asked,
        available,
    );
    let key = verdict.key.as_deref();
    let rules = rules(config, route, &request.asked(&edge), key);
    let flags = flags::tell(name, route, config, &edge, (&request, key));
    let mirror = route.mirror.as_ref();
    let mirror = mirror.map(|mirror| mirror::tell(mirror, route, &verdict, &request));
    let mut explained = tell(name, route, verdict, rules);
    explained.mirror = mirror;
    explained.flags = flags;
    treatment::tell(&route.treatment, &request.head, &mut explained);
    Ok(explained)
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
    let found = table.find(&request.head, request.client, request.scheme);
    Ok(found.copied())
}

fn no_route() -> Explained {
    Explained {
        generation: None,
        route: None,
        matched: Vec::new(),
        variant: None,
        served_by: None,
        reason: "no route".to_owned(),
        segment: None,
        rules: Vec::new(),
        key: None,
        answer: None,
        rewritten: None,
        mirror: None,
        flags: Vec::new(),
        notes: Vec::new(),
        variants: Vec::new(),
    }
}

/// The rules of a route, and what their segments say of a request.
fn rules(
    config: &Config,
    route: &RouteConfig,
    asked: &split::Asked<'_>,
    key: Option<&[u8]>,
) -> Vec<ExplainedRule> {
    let split = &route.split;
    let rules = route.split_spec.rules.iter().enumerate();
    let rules = rules.map(|(n, rule)| {
        let held = split.conditions(n, asked, key);
        let spec = config.segments.get(&rule.name).map(|it| &it.spec);
        let groups = spec.into_iter().flat_map(|spec| &spec.any);
        let told = groups.zip(&held).map(|(group, held)| {
            let conditions = group.iter().zip(held);
            let conditions = conditions.map(|(condition, &holds)| ExplainedCondition {
                condition: condition.to_string(),
                holds,
            });
            conditions.collect()
        });
        let weights = split.variants().iter().zip(&rule.weights);
        ExplainedRule {
            segment: rule.name.clone(),
            holds: held.iter().any(|group| group.iter().all(|&holds| holds)),
            any: told.collect(),
            weights: weights
                .map(|(variant, &weight)| (variant.name.clone(), weight))
                .collect(),
        }
    });
    rules.collect()
}

fn tell(name: &str, route: &RouteConfig, verdict: Verdict, rules: Vec<ExplainedRule>) -> Explained {
    let split = &route.split;
    let specs = split.variants();
    let scored = verdict
        .key
        .as_deref()
        .map(|key| split.explain(verdict.rule, key).variants);
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
            weight: split.weight(verdict.rule, n),
            share: split.share(verdict.rule, n),
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
        segment: verdict.rule.map(|n| rules[n].segment.clone()),
        rules,
        key: verdict
            .key
            .as_deref()
            .map(|key| String::from_utf8_lossy(key).into_owned()),
        answer: None,
        rewritten: None,
        mirror: None,
        flags: Vec::new(),
        notes: verdict.notes,
        variants: variants.collect(),
    }
}
