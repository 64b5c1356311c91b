//! Which variants of flags a described request has.

use std::sync::Arc;

use crate::admin::explain::asked::Request;
use crate::admin::wire::ExplainedFlag;
use crate::config::{Config, RouteConfig};
use crate::control::FlagsOfRoute;
use crate::flag::Cause;
use crate::proxy::Edge;
use crate::split::HashKey;

/// The flags of a configuration, as requests are asked about them; nothing is counted.
pub(in crate::admin::explain) fn edge(config: &Config) -> Edge {
    Edge {
        flags: Arc::clone(&config.flags.built),
        keys: Arc::new(config.flags.context.clone()),
        stats: Arc::default(),
    }
}

/// Tells which variants a request has of the flags that its route serves.
pub(in crate::admin::explain) fn tell(
    name: &str,
    route: &RouteConfig,
    config: &Config,
    edge: &Edge,
    (request, key): (&Request, Option<&[u8]>),
) -> Vec<ExplainedFlag> {
    let asked = request.asked(edge);
    let sent = route.split.key(&request.head, request.client);
    let key = key.or(sent.as_ref().map(HashKey::as_bytes));
    let served = FlagsOfRoute::of(name, route, config).served;
    let told = served.into_iter().filter_map(|(flag, header)| {
        let place = edge.flags.position(&flag)?;
        let evaluation = edge.evaluate(place, &asked, key);
        let rule = match evaluation.cause {
            Cause::Rule(rule) => Some(edge.flags.rule_name(place, rule).into_owned()),
            _ => None,
        };
        Some(ExplainedFlag {
            flag,
            variant: evaluation.name.to_owned(),
            reason: evaluation.reason.name().to_owned(),
            rule,
            header,
        })
    });
    told.collect()
}
