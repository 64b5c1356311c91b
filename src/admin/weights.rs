//! The weights of routes at run time: told, set for a time, and given back to the file.

use axum::extract::{Path, State};
use axum::response::Response;
use http::{StatusCode, Uri};

use crate::admin::fault::{Code, Fault};
use crate::admin::handlers::{Nothing, aside};
use crate::admin::mutation::Mutation;
use crate::admin::params::{Params, until};
use crate::admin::releases::{
    View, answer, cause, desk, refused, settled, stamp, unknown, with_etag,
};
use crate::admin::wire::{RouteWeights, Routes, Said, SetWeights, WeightsChanged};
use crate::admin::{Served, reply};
use crate::control::Live;
use crate::release::keys;
use crate::release::overlay::{Owner, Weights};
use crate::release::spec::flag_of;

/// All routes that are divided.
pub(in crate::admin) async fn routes(
    State(served): State<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    Params::of(&uri, &[])?;
    let desk = desk(&served)?;
    Ok(aside(served, move |admin| {
        let (live, view) = (admin.control.live(), View::of(&desk));
        let routes = live.file.weights.iter();
        let routes = routes.filter(|(name, _)| flag_of(name).is_none());
        let routes = routes.map(|(name, file)| {
            let told = told(&live, &view, name, file);
            (name.clone(), told)
        });
        reply::json(&Routes {
            routes: routes.collect(),
        })
    })
    .await)
}

/// One route.
pub(in crate::admin) async fn weights(
    State(served): State<Served>,
    Path(route): Path<String>,
) -> Result<Response, Fault> {
    let view = View::of(&*desk(&served)?);
    let told = of_route(&served, &view, &route)?;
    let revision = told.revision;
    Ok(with_etag(reply::json(&told), revision))
}

/// Sets them.
pub(in crate::admin) async fn set(
    State(served): State<Served>,
    Path(route): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let asked: SetWeights = mutation.body()?;
    change(&served, &route, Some(asked), &mutation).await
}

/// Gives the file its say again.
pub(in crate::admin) async fn clear(
    State(served): State<Served>,
    Path(route): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let Nothing {} = mutation.body()?;
    change(&served, &route, None, &mutation).await
}

async fn change(
    served: &Served,
    route: &str,
    asked: Option<SetWeights>,
    mutation: &Mutation,
) -> Result<Response, Fault> {
    let desk = desk(served)?;
    let now = of_route(served, &View::of(&desk), route)?;
    let revision = mutation.expects_revision(now.revision)?;
    let action = if asked.is_some() {
        "weights.set"
    } else {
        "weights.clear"
    };
    let cause = cause(served, mutation, action);
    let expires = asked.as_ref().and_then(|asked| asked.expires.as_deref());
    let expires = match expires.map(|text| until(text, cause.at)) {
        None => None,
        Some(Some(at)) if cause.at < at => Some(at),
        Some(_) => {
            let why = "it is neither an instant to come nor a duration such as 2h";
            return Err(Fault::new(Code::BodyInvalid, why).at("/expires"));
        }
    };
    let weights = asked.as_ref().map(|asked| &asked.weights);
    let written = desk.set_weights(route, weights, expires, revision, &cause);
    let committed = written
        .await
        .map_err(|error| refused(served, mutation, error))?;
    let changed = settled(served, committed).await;
    let route = of_route(served, &View::of(&desk), route)?;
    let revision = route.revision;
    let body = WeightsChanged {
        changed: changed.clone(),
        route,
    };
    Ok(answer(StatusCode::OK, &changed, revision, &body))
}

fn of_route(served: &Served, view: &View, route: &str) -> Result<RouteWeights, Fault> {
    let live = served.admin.control.live();
    let file = live.file.weights.get(route);
    // What a flag serves is asked of the flag.
    let file = file.filter(|_| flag_of(route).is_none());
    let file = file.ok_or_else(|| unknown("route with variants", route))?;
    Ok(told(&live, view, route, file))
}

fn told(live: &Live, view: &View, route: &str, file: &Weights) -> RouteWeights {
    let overlay = live.overlay.routes.get(route);
    let set = view.page.known.overrides.get(route);
    let set = set.filter(|_| matches!(overlay.map(|it| &it.owner), Some(Owner::Person(_))));
    let obeyed = file.keys().map(|name| {
        let weights = overlay.map_or(file, |overlay| &overlay.weights);
        (name.clone(), weights.get(name).copied().unwrap_or_default())
    });
    RouteWeights {
        weights: obeyed.collect(),
        file: file.clone(),
        owner: match overlay.map(|overlay| &overlay.owner) {
            None => "file",
            Some(Owner::Release(_)) => "release",
            Some(Owner::Person(_)) => "override",
        }
        .to_owned(),
        release: match overlay.map(|overlay| &overlay.owner) {
            Some(Owner::Release(id)) => Some(id.clone()),
            Some(Owner::Person(_)) | None => set.and_then(|set| set.release.clone()),
        },
        set: set.map(|set| Said {
            by: set.by.clone(),
            reason: set.reason.clone(),
            at: stamp(set.at),
        }),
        expires_at: set.and_then(|set| set.expires).map(stamp),
        revision: view.page.revision(&keys::weights(route)),
    }
}
