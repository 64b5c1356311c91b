//! Reads what a release moves: the traffic of a route from one of its variants to another, or whom a
//! flag gives which of its variants.

use std::collections::BTreeSet;

use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::config::releases::named;
use crate::config::releases::release::Known;
use crate::config::releases::strategy;
use crate::config::route::RouteConfig;
use crate::flag::FlagSpec;
use crate::release::analysis::Kind as CheckKind;
use crate::release::spec::FLAG;
use crate::release::strategy::{Action, Strategy};
use crate::release::test::TestKind;

/// What a release moves, with the place that says so.
pub(in crate::config::releases) struct Target<'k, 'd> {
    name: &'d str,
    place: Value<'d>,
    kind: Kind<'k>,
}

/// A route or a flag; `None` where it has problems of its own.
enum Kind<'k> {
    Route(Option<&'k RouteConfig>),
    Flag(Option<&'k FlagSpec>),
}

impl<'k, 'd> Target<'k, 'd> {
    /// Reads `route`, or `flag` in its place.
    pub(in crate::config::releases) fn read(
        table: &mut Table<'d>,
        known: &Known<'k, 'd>,
    ) -> Option<Self> {
        let (route, flag) = (table.optional("route"), table.optional("flag"));
        let Some(place) = flag else {
            if route.is_none() {
                table.needed(
                    "route",
                    "the name of a route, or `flag` with that of a flag,",
                );
            }
            let place = route?;
            let name = named(&place, "route", known.route_names)?;
            let kind = Kind::Route(known.routes.get(name));
            return Some(Self { name, place, kind });
        };
        if route.is_some() {
            place.refuse_key("there is a route already; a release moves one of the two");
            return None;
        }
        let name = named(&place, "flag", known.flag_names)?;
        let kind = Kind::Flag(known.flags.get(name));
        Some(Self { name, place, kind })
    }

    /// What stands for it where the name of a route stands.
    pub(in crate::config::releases) fn route(&self) -> String {
        match self.kind {
            Kind::Route(_) => self.name.to_owned(),
            Kind::Flag(_) => format!("{FLAG}{}", self.name),
        }
    }

    /// It in words.
    fn said(&self) -> String {
        let what = match self.kind {
            Kind::Route(_) => "route",
            Kind::Flag(_) => "flag",
        };
        format!("{what} {}", self.name)
    }

    /// The weights that a release would move; `None` when a problem was recorded.
    fn weights(&self) -> Option<Vec<(&'k str, u32)>> {
        match self.kind {
            Kind::Route(route) => {
                let route = route?;
                if !route.has_split {
                    self.place.refuse(format!(
                        "{} has no split: a release moves traffic from one of its variants to another",
                        self.said()
                    ));
                    return None;
                }
                let variants = route.split_spec.variants.iter();
                Some(variants.map(|it| (it.name.as_str(), it.weight)).collect())
            }
            Kind::Flag(spec) => {
                let spec = spec?;
                let open = spec.rules.iter().find(|rule| rule.segment.is_none());
                if open.is_some_and(|rule| rule.from.is_some() || rule.to.is_some()) {
                    self.place.refuse(format!(
                        "the first rule of {} that is for everybody has a time of its own, and a \
                         release decides about it at all times; it has no `from` and no `to` while \
                         there is a release",
                        self.said()
                    ));
                    return None;
                }
                if !spec.enabled {
                    let said = self.said();
                    let what = format!("{said} is not enabled: nobody would get the candidate");
                    self.place.warn(what);
                }
                let weights = spec.roll_out();
                let variants = spec.variants.keys();
                let weight = |name: &String| weights.get(name).copied().unwrap_or_default();
                Some(variants.map(|it| (it.as_str(), weight(it))).collect())
            }
        }
    }
}

/// Reads from which variant to which a target moves.
pub(in crate::config::releases) fn moved(
    table: &mut Table<'_>,
    target: Option<&Target<'_, '_>>,
) -> Option<(String, String)> {
    let of = match target.map(|target| &target.kind) {
        Some(Kind::Flag(_)) => "the name of a variant of the flag",
        Some(Kind::Route(_)) | None => "the name of a variant of the route",
    };
    let sides = ["stable", "candidate"].map(|key| {
        let value = table.required(key, of)?;
        let name = value.parsed("the name of a variant", Some)?;
        Some((name.to_owned(), value))
    });
    let target = target?;
    let variants = target.weights()?;
    let weight = |name: &str| {
        let variant = variants.iter().find(|(known, _)| *known == name);
        variant.map(|(_, weight)| *weight)
    };
    let said = target.said();
    let mut is_known = true;
    for (name, value) in sides.iter().flatten() {
        if weight(name).is_none() {
            let hint = near::hint(name, variants.iter().map(|(name, _)| *name));
            value.refuse(format!("{said} has no variant {}{hint}", value.shown()));
            is_known = false;
        }
    }
    let [Some((stable, _)), Some((candidate, of_candidate))] = sides else {
        return None;
    };
    if !is_known {
        return None;
    }
    if stable == candidate {
        of_candidate.refuse("is the stable variant, too: there is nothing to move");
        return None;
    }
    let mut others = variants
        .iter()
        .filter(|(name, _)| *name != stable && *name != candidate);
    if let Some((other, weight)) = others.find(|(_, weight)| *weight != 0) {
        target.place.refuse(format!(
            "variant {other} of {said} has a weight of {weight}, and a release gives all traffic to \
             stable and candidate; 0 belongs there while there is a release"
        ));
        return None;
    }
    if weight(&candidate) != Some(0) && weight(&stable) != Some(0) {
        of_candidate.warn(format!(
            "has a weight in {said} already; while there is a release, that decides which share it \
             gets, beginning with 0"
        ));
    }
    Some((stable, candidate))
}

/// Holds that a strategy, which is named or stands at `place`, can move a flag, if that is what is
/// moved.
pub(in crate::config::releases) fn check_strategy(
    target: &Target<'_, '_>,
    place: &Value<'_>,
    strategy: &Strategy,
    served_by: impl FnOnce(&str) -> BTreeSet<String>,
) {
    if matches!(target.kind, Kind::Route(_)) {
        return;
    }
    let flag = target.name;
    for (n, step) in strategy.steps.iter().enumerate() {
        let what = match step.action {
            Action::Weight(_) => continue,
            Action::Preview(_) => "a preview",
            Action::Mirror(_) => "a mirror",
        };
        place.refuse(format!(
            "step {} is {what}, for which there has to be an upstream; a flag has weights alone",
            n + 1
        ));
    }
    if strategy.min_healthy != strategy::least_healthy() {
        place.refuse("asks for endpoints (min_healthy), and a flag has none");
    }
    for (name, test) in &strategy.tests {
        if matches!(test.kind, TestKind::Http(_)) {
            place.refuse(format!(
                "its check {name} is of the kind \"http\", which asks an endpoint, and a flag has \
                 none; \"webhook\" asks others"
            ));
        }
    }
    for (name, check) in &strategy.analysis.checks {
        if matches!(check.kind, CheckKind::Mismatch { .. }) {
            place.refuse(format!(
                "its check {name} is of the kind \"mismatch\", which compares answers to copies, and \
                 nothing of a flag is copied"
            ));
        }
    }
    let checks: Vec<&str> = strategy
        .analysis
        .checks
        .keys()
        .map(String::as_str)
        .collect();
    if !checks.is_empty() && served_by(flag).is_empty() {
        place.refuse(format!(
            "has checks ({}), and no route serves flag {flag} that could be looked at: neither its \
             inject.routes nor the segment of a route's rule names one; `analysis = false` goes \
             without",
            checks.join(", ")
        ));
    }
}
