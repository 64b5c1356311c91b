//! What is obeyed instead of the weights and flags in the file, put into the configuration.

use std::sync::Arc;

use tracing::{error, warn};

use crate::config::{Config, MirrorConfig, RouteConfig};
use crate::flag::Flags;
use crate::release::overlay::{Overlay, RouteOverlay, Weights};
use crate::split::{Force, Preview, Split, SplitSpec};

/// The configuration that is obeyed: the one of the file, with the routes and flags that releases or
/// people decide about as these decided.
pub(in crate::control) fn obeyed(file: &Arc<Config>, overlay: &Overlay) -> Arc<Config> {
    if *overlay == Overlay::default() {
        return Arc::clone(file);
    }
    let mut config = Config::clone(file);
    // Those of the file were checked, and what of the rest makes no sense is left out.
    match Flags::new(&config.flags.specs, &overlay.flags) {
        Ok(flags) => {
            for ignored in flags.ignored() {
                warn!(error = %ignored, "what was set of a flag cannot be obeyed");
            }
            config.flags.built = Arc::new(flags);
        }
        Err(error) => error!(%error, "what was set of flags cannot be obeyed"),
    }
    for (name, overlay) in &overlay.routes {
        let Some(route) = config.routes.get_mut(name) else {
            continue;
        };
        // What cannot be divided so is divided as the file says: that was checked.
        match divided(route, overlay) {
            Ok(divided) => *route = divided,
            Err(error) => error!(route = name, %error, "weights cannot be obeyed"),
        }
    }
    Arc::new(config)
}

/// The weights of a route that is divided among variants, as the file has them.
pub(in crate::control) fn weights(route: &RouteConfig) -> Option<Weights> {
    if !route.has_split {
        return None;
    }
    let variants = route.split_spec.variants.iter();
    Some(
        variants
            .map(|variant| (variant.name.clone(), variant.weight))
            .collect(),
    )
}

fn divided(route: &RouteConfig, overlay: &RouteOverlay) -> Result<RouteConfig, String> {
    let mut spec: SplitSpec = route.split_spec.clone();
    for variant in &mut spec.variants {
        variant.weight = overlay
            .weights
            .get(&variant.name)
            .copied()
            .unwrap_or_default();
    }
    if let Some(salt) = &overlay.salt {
        spec.salt.clone_from(salt);
    }
    if let Some((variant, preview)) = &overlay.preview {
        let force = spec.force.get_or_insert_with(Force::default);
        force.preview = Some(Preview {
            host: preview.host.clone(),
            fields: preview.headers.clone().into_iter().collect(),
            variant: variant.clone(),
        });
    }
    let split = Split::new(spec.clone()).map_err(|error| error.to_string())?;
    let mirror = match &overlay.mirror {
        None => route.mirror.clone(),
        Some((variant, step)) => {
            let mut names = spec.variants.iter();
            let place = names.position(|known| known.name == *variant);
            let upstream = place.and_then(|place| route.upstreams.get(place));
            let upstream = upstream.ok_or_else(|| format!("there is no variant {variant}"))?;
            let own = route.mirror.clone();
            let own = own.filter(|mirror| mirror.variant.as_ref() == Some(variant));
            let mut mirror = own.unwrap_or_else(|| MirrorConfig::to(variant, upstream));
            mirror.percent = step.percent.percent();
            if !step.methods.is_empty() {
                mirror.methods.clone_from(&step.methods);
            }
            Some(mirror)
        }
    };
    Ok(RouteConfig {
        split_spec: spec,
        split: Arc::new(split),
        mirror,
        ..route.clone()
    })
}
