//! Whether a described request is copied.

use crate::admin::explain::asked::Request;
use crate::admin::explain::verdict::Verdict;
use crate::admin::wire::ExplainedMirror;
use crate::config::{MirrorConfig, RouteConfig};
use crate::proxy::asks_for_upgrade;
use crate::split::{Reason, Sample, State};

/// Tells whether it is, and why.
pub(in crate::admin::explain) fn tell(
    config: &MirrorConfig,
    route: &RouteConfig,
    verdict: &Verdict,
    request: &Request,
) -> ExplainedMirror {
    let (copied, why) = judge(config, route, verdict, request);
    ExplainedMirror {
        variant: config.variant.clone(),
        upstream: config.upstream.clone(),
        percent: config.percent,
        copied,
        why,
    }
}

fn judge(
    config: &MirrorConfig,
    route: &RouteConfig,
    verdict: &Verdict,
    request: &Request,
) -> (Option<bool>, String) {
    let head = &request.head;
    let method = String::from_utf8_lossy(head.method()).into_owned();
    let not = |why: &str| (Some(false), why.to_owned());
    let variants = &route.split_spec.variants;
    let to = variants
        .iter()
        .find(|it| Some(&it.name) == config.variant.as_ref());
    if to.is_some_and(|variant| variant.state == State::Off) {
        return not("the variant is off");
    }
    if !config.methods.contains(&method) {
        return (Some(false), format!("requests of {method} are not"));
    }
    if asks_for_upgrade(head).is_some() {
        return not("it asks for a tunnel");
    }
    let served = verdict.stand_in.or(verdict.chosen);
    if served.is_some_and(|served| route.upstreams[served] == config.upstream) {
        return not("it goes there itself");
    }
    let sample = Sample::new(config.percent, &route.split_spec.salt);
    let key = match verdict.reason {
        Reason::Hash => verdict.key.clone(),
        // Whoever chose the variant did not ask for the key; the sample does.
        Reason::Forced | Reason::Pin | Reason::Draw => {
            let key = route.split.key(head, request.client);
            key.map(|key| key.as_bytes().to_vec())
        }
    };
    match key {
        _ if config.percent == 0.0 => not("no request is"),
        _ if config.percent == 100.0 => (Some(true), "all requests are".to_owned()),
        Some(key) if sample.has_key(&key) => (Some(true), "its key is in the part".to_owned()),
        Some(_) => not("its key is not in the part"),
        None => (None, "it has no key: each is drawn".to_owned()),
    }
}
