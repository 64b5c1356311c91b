//! Freezes: what is closed at a moment, and how one is passed.

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{StatusCode, Uri};

use crate::admin::fault::{Code, Fault};
use crate::admin::handlers::aside;
use crate::admin::mutation::Mutation;
use crate::admin::params::{Params, until};
use crate::admin::releases::{View, answer, cause, desk, refused, settled, stamp, unknown};
use crate::admin::wire::{
    Closed, FreezeOverridden, FreezeOverride, FreezeStatus, Freezes, OverrideFreeze, Said,
};
use crate::admin::{Served, reply};
use crate::release::freeze::{Act, Freeze, Kind, Move, Pattern, Scope, Window, blocked, opens_at};
use crate::release::role::Role;

/// The moves of releases.
pub(in crate::admin) const ACTS: [Act; 3] = [Act::Start, Act::Advance, Act::Promote];

/// All freezes, and what is closed.
pub(in crate::admin) async fn freezes(
    State(served): State<Served>,
    uri: Uri,
) -> Result<Response, Fault> {
    let params = Params::of(&uri, &["at", "route"])?;
    let at = params.instant("at")?;
    let route = params.text("route").map(str::to_owned);
    let desk = desk(&served)?;
    Ok(aside(served, move |admin| {
        let view = View::of(&desk);
        let at = at.unwrap_or(view.now);
        let rules = &admin.control.live().written.releases.rules;
        reply::json(&Freezes {
            at: stamp(at),
            freezes: rules
                .freezes
                .iter()
                .map(|of| status(of, &view, at))
                .collect(),
            closed: closed(&rules.freezes, &view, route.as_deref(), at),
        })
    })
    .await)
}

fn status(freeze: &Freeze, view: &View, at: SystemTime) -> FreezeStatus {
    let own = view
        .page
        .overridden
        .iter()
        .filter(|it| it.freeze == freeze.name);
    let overrides = own
        .filter(|it| at < it.expires_at)
        .map(|it| FreezeOverride {
            release: match &it.scope {
                Scope::Release(id) => Some(id.clone()),
                Scope::Everything => None,
            },
            said: Said {
                by: it.actor.clone(),
                reason: it.reason.clone(),
                at: stamp(it.at),
            },
            expires_at: stamp(it.expires_at),
        });
    FreezeStatus {
        name: freeze.name.clone(),
        kind: match freeze.kind {
            Kind::Deny => "deny",
            Kind::Allow => "allow",
        }
        .to_owned(),
        is_active: freeze.window.contains(at),
        window: window(&freeze.window),
        changes_at: freeze.window.next_change(at).map(stamp),
        blocks: freeze
            .blocks
            .iter()
            .map(|act| act.name().to_owned())
            .collect(),
        routes: freeze.routes.iter().map(Pattern::to_string).collect(),
        override_roles: freeze
            .override_roles
            .iter()
            .map(|role: &Role| role.name().to_owned())
            .collect(),
        overrides: overrides.collect(),
    }
}

/// A window in words.
fn window(window: &Window) -> String {
    match window {
        Window::Span(span) => match (span.from(), span.to()) {
            (Some(from), Some(to)) => format!("from {} to {}", stamp(from), stamp(to)),
            (Some(from), None) => format!("from {}", stamp(from)),
            (None, Some(to)) => format!("until {}", stamp(to)),
            (None, None) => "always".to_owned(),
        },
        Window::Weekly(weekly) => {
            let days: Vec<&str> = weekly.days().collect();
            let (from, to, zone) = (weekly.from(), weekly.to(), weekly.zone().name());
            format!("{} {from}-{to} {zone}", days.join(", "))
        }
    }
}

/// The moves that are closed: of one route, or of those whose releases are not over.
fn closed(freezes: &[Freeze], view: &View, route: Option<&str>, at: SystemTime) -> Vec<Closed> {
    let active = view.page.known.releases.values();
    let active = active.filter(|state| state.phase.is_active());
    let of_releases = active.map(|state| (state.spec.route.as_str(), Some(&*state.spec.id)));
    let places: Vec<(&str, Option<&str>)> = match route {
        None => of_releases.collect(),
        Some(route) => {
            let mut own: Vec<_> = of_releases.filter(|(other, _)| *other == route).collect();
            if own.is_empty() {
                own.push((route, None));
            }
            own
        }
    };
    let mut closed = Vec::new();
    for (route, release) in places {
        for act in ACTS {
            let asked = Move {
                act,
                routes: &[route],
                release,
            };
            let overridden = &view.page.overridden;
            let blocking = blocked(freezes, overridden, &asked, at);
            if !blocking.is_empty() {
                closed.push(Closed {
                    route: route.to_owned(),
                    release: release.map(str::to_owned),
                    act: act.name().to_owned(),
                    freezes: blocking.into_iter().map(|it| it.freeze).collect(),
                    opens_at: opens_at(freezes, overridden, &asked, at).map(stamp),
                });
            }
        }
    }
    closed
}

/// Passes a freeze for a while.
pub(in crate::admin) async fn pass(
    State(served): State<Served>,
    Path(name): Path<String>,
    mutation: Mutation,
) -> Result<Response, Fault> {
    let asked: OverrideFreeze = mutation.body()?;
    let desk = desk(&served)?;
    let now = SystemTime::now();
    let end = until(&asked.until, now).ok_or_else(|| {
        let why = "it is neither an instant such as 2026-11-24T09:00:00Z nor a duration such as 2h";
        Fault::new(Code::BodyInvalid, why).at("/until")
    })?;
    let scope = match asked.release {
        Some(id) => Scope::Release(id),
        None => Scope::Everything,
    };
    let cause = cause(&served, &mutation, "freeze.override");
    let roles = &mutation.actor.roles;
    let passed = desk.override_freeze(&name, scope, end, roles, &cause).await;
    let committed = passed.map_err(|error| refused(&served, &mutation, error))?;
    let changed = settled(&served, committed).await;
    let view = View::of(&desk);
    let mut freezes = view.board.world.rules.freezes.iter();
    let freeze = freezes.find(|freeze| freeze.name == name);
    let freeze = freeze.ok_or_else(|| unknown("freeze", &name))?;
    let body = FreezeOverridden {
        changed: changed.clone(),
        freeze: status(freeze, &view, view.now),
    };
    Ok(answer(StatusCode::OK, &changed, changed.seq, &body))
}
