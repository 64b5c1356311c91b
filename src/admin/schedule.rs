//! What is planned: releases that have not started, and when nothing moves; as JSON, or as a calendar
//! to subscribe to.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use axum::extract::State as Extract;
use axum::response::Response;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode, Uri};

use crate::admin::fault::Fault;
use crate::admin::freezes::ACTS;
use crate::admin::handlers::aside;
use crate::admin::params::{Params, invalid};
use crate::admin::releases::{View, desk, stamp};
use crate::admin::wire::{ClosedPeriod, Schedule, ScheduledRelease};
use crate::admin::{Served, reply};
use crate::release::calendar::{self, Event};
use crate::release::freeze::{Act, Freeze, Move, Period, opens_at, schedule as periods};
use crate::release::state::{Phase, State};

/// How far is looked ahead where nobody says it.
const USUAL_DAYS: u64 = 30;

/// How far is looked ahead at most.
const MOST_DAYS: u64 = 400;

/// The content type of a calendar (RFC 5545).
const CALENDAR: &str = "text/calendar; charset=utf-8";

/// What is planned.
pub(in crate::admin) async fn schedule(
    Extract(served): Extract<Served>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Fault> {
    let params = Params::of(&uri, &["days", "route"])?;
    let days = params.whole("days")?.unwrap_or(USUAL_DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(invalid(format!(
            "days: {days} is not from 1 to {MOST_DAYS}"
        )));
    }
    let route = params.text("route").map(str::to_owned);
    let wants_calendar = accepts_calendar(&headers);
    let desk = desk(&served)?;
    Ok(aside(served, move |admin| {
        let live = admin.control.live();
        let view = View::of(&desk);
        let plan = Plan {
            freezes: &live.written.releases.rules.freezes,
            view: &view,
            to: view.now + Duration::from_secs(days * 24 * 60 * 60),
        };
        let routes = match &route {
            Some(route) => BTreeSet::from([route.as_str()]),
            None => plan.routes(),
        };
        if wants_calendar {
            let name = format!("tidegate {}", live.written.releases.cluster);
            let text = calendar::text(&name, &plan.events(&routes), view.now);
            return reply::text(StatusCode::OK, CALENDAR, text);
        }
        reply::json(&plan.told(&routes))
    })
    .await)
}

fn accepts_calendar(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut kinds = accept.unwrap_or_default().split(',');
    kinds.any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/calendar")
}

struct Plan<'a> {
    freezes: &'a [Freeze],
    view: &'a View,
    to: SystemTime,
}

impl Plan<'_> {
    fn active(&self) -> impl Iterator<Item = &State> {
        let releases = self.view.page.known.releases.values();
        releases.filter(|state| state.phase.is_active())
    }

    /// The routes of releases that are not over.
    fn routes(&self) -> BTreeSet<&str> {
        self.active()
            .map(|state| state.spec.route.as_str())
            .collect()
    }

    fn periods(&self, act: Act, route: &str) -> Vec<Period> {
        let asked = Move {
            act,
            routes: &[route],
            release: None,
        };
        let overridden = &self.view.page.overridden;
        periods(self.freezes, overridden, &asked, (self.view.now, self.to))
    }

    fn waiting<'s>(&'s self, routes: &BTreeSet<&str>) -> impl Iterator<Item = ScheduledRelease> {
        let waiting = self.active().filter(|state| state.phase == Phase::Pending);
        let waiting = waiting.filter(|state| routes.contains(state.spec.route.as_str()));
        let told = waiting.map(|state: &'s State| {
            let spec = &state.spec;
            let asked = Move {
                act: Act::Start,
                routes: &[&spec.route],
                release: Some(&spec.id),
            };
            let from = spec
                .not_before
                .map_or(self.view.now, |at| at.max(self.view.now));
            let opens = opens_at(self.freezes, &self.view.page.overridden, &asked, from);
            ScheduledRelease {
                id: spec.id.clone(),
                route: spec.route.clone(),
                not_before: spec.not_before.map(stamp),
                opens_at: opens.map(stamp),
            }
        });
        told.collect::<Vec<_>>().into_iter()
    }

    fn told(&self, routes: &BTreeSet<&str>) -> Schedule {
        let mut closed = Vec::new();
        for route in routes {
            for act in ACTS {
                let periods = self.periods(act, route).into_iter();
                closed.extend(
                    periods
                        .filter(|it| !it.is_open())
                        .map(|period| ClosedPeriod {
                            route: (*route).to_owned(),
                            act: act.name().to_owned(),
                            from: stamp(period.from),
                            to: stamp(period.to),
                            freezes: period.freezes,
                        }),
                );
            }
        }
        Schedule {
            from: stamp(self.view.now),
            to: stamp(self.to),
            releases: self.waiting(routes).collect(),
            closed,
        }
    }

    fn events(&self, routes: &BTreeSet<&str>) -> Vec<Event> {
        let mut events = Vec::new();
        for state in self.active().filter(|state| state.phase == Phase::Pending) {
            let spec = &state.spec;
            // One that may start at any moment is no appointment.
            let Some(from) = spec
                .not_before
                .filter(|_| routes.contains(spec.route.as_str()))
            else {
                continue;
            };
            let (stable, candidate) = (&spec.stable, &spec.candidate);
            events.push(Event {
                uid: format!("release-{}@tidegate", spec.id),
                from,
                to: None,
                summary: format!("release {} of {}", spec.id, spec.route),
                description: format!("From {stable} to {candidate}, no earlier than this."),
                category: "release".to_owned(),
            });
        }
        for route in routes {
            for act in ACTS {
                let what = format!("{} {route}", act.name());
                events.extend(Event::closed(&what, &self.periods(act, route)));
            }
        }
        events
    }
}
