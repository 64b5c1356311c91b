//! The divisions that differ, with the exact share of users that would move.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::{Config, RouteConfig};
use crate::split::{Flow, State, Sticky};

/// A value before and after; absent where what has it is not there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sides<T> {
    /// Before.
    pub old: Option<T>,
    /// After.
    pub new: Option<T>,
}

/// A division that would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DivisionChange {
    /// The route.
    pub route: String,
    /// The segment whose requests it is for; absent for all that no segment is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// The variants of either, by their names.
    pub variants: Vec<VariantChange>,
    /// What becomes of users.
    pub users: Users,
}

/// A variant before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariantChange {
    /// Its name.
    pub name: String,
    /// The upstream that serves it.
    pub upstream: Sides<String>,
    /// Its weight.
    pub weight: Sides<u32>,
    /// Its share, 0 to 1.
    pub share: Sides<f64>,
    /// Whether it is `on` or `off`.
    pub state: Sides<&'static str>,
}

/// What becomes of those who stay on one variant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Users {
    /// There are none: requests are drawn, before and after.
    Drawn,
    /// From then on users stay; before, requests were drawn.
    Begin,
    /// From then on requests are drawn; before, users stayed.
    End,
    /// Users stay, as many as can.
    Sticky {
        /// How many of them go to another variant, 0 to 1.
        moved: f64,
        /// How many of them come to another upstream, 0 to 1.
        elsewhere: f64,
        /// From which variant to which.
        flows: Vec<Move>,
        /// Why they are assigned anew, if they are.
        #[serde(skip_serializing_if = "Option::is_none")]
        anew: Option<&'static str>,
    },
    /// Users are pinned, and stay by their pins.
    Pinned {
        /// The variants whose users are assigned anew, because it is off or gone.
        lost: Vec<String>,
        /// Why all are assigned anew, if they are.
        #[serde(skip_serializing_if = "Option::is_none")]
        anew: Option<&'static str>,
    },
}

/// Users that go from one variant to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Move {
    /// The variant that they leave.
    pub from: String,
    /// The variant that they come to.
    pub to: String,
    /// How many of all users they are, 0 to 1.
    pub share: f64,
}

/// A division of a route: that of one of its rules, or its own.
#[derive(Clone, Copy)]
struct Side<'c> {
    route: &'c RouteConfig,
    rule: Option<usize>,
}

/// Finds all divisions that differ, of the routes that are there before and after.
pub(in crate::config::plan) fn changes(old: &Config, new: &Config) -> Vec<DivisionChange> {
    let mut changes = Vec::new();
    for (name, new) in &new.routes {
        let Some(old) = old.routes.get(name) else {
            continue;
        };
        // A route that answers by itself divides nobody.
        if old.direct.is_some() || new.direct.is_some() {
            continue;
        }
        let segments: BTreeSet<&str> = [old, new]
            .iter()
            .flat_map(|route| &route.split_spec.rules)
            .map(|rule| rule.name.as_str())
            .collect();
        let segments = segments.into_iter().map(Some);
        for segment in std::iter::once(None).chain(segments) {
            let old = Side::of(old, segment);
            let new = Side::of(new, segment);
            if old.differs(new) {
                changes.push(DivisionChange {
                    route: name.clone(),
                    segment: segment.map(str::to_owned),
                    variants: variants(old, new),
                    users: users(old, new),
                });
            }
        }
    }
    changes
}

impl<'c> Side<'c> {
    /// The division that the requests of a segment obey.
    fn of(route: &'c RouteConfig, segment: Option<&str>) -> Self {
        let mut rules = route.split_spec.rules.iter();
        let rule = segment.and_then(|name| rules.position(|rule| rule.name == name));
        Self {
            route,
            rule: rule.filter(|rule| route.split.is_open(*rule)),
        }
    }

    /// True when the other one may give another variant to anybody, or what a variant is differs.
    fn differs(self, other: Self) -> bool {
        let sides = |side: Self| {
            let spec = &side.route.split_spec;
            let variants = spec.variants.iter().enumerate();
            let mut variants: Vec<_> = variants
                .map(|(n, variant)| {
                    let weight = side.route.split.weight(side.rule, n);
                    let upstream = side.route.upstreams.get(n);
                    (&variant.name, weight, variant.state == State::On, upstream)
                })
                .collect();
            variants.sort();
            (variants, &spec.salt, spec.sticky.as_ref().map(kept_by))
        };
        sides(self) != sides(other)
    }

    fn place(self, name: &str) -> Option<usize> {
        let mut variants = self.route.split.variants().iter();
        variants.position(|variant| variant.name == name)
    }

    fn upstream(self, name: &str) -> Option<&'c str> {
        let upstream = self.route.upstreams.get(self.place(name)?)?;
        Some(upstream)
    }

    fn share(self, name: &str) -> f64 {
        let place = self.place(name);
        place.map_or(0.0, |place| self.route.split.share(self.rule, place))
    }
}

/// What users are told apart by, and kept by. What pins are signed with is not known of a running
/// instance, and so not compared.
fn kept_by(sticky: &Sticky) -> (Vec<String>, Option<&str>, Option<(&str, u32)>) {
    let keys = sticky.keys.iter().map(ToString::to_string);
    let cookie = sticky.cookie.as_ref().map(|cookie| cookie.name.as_str());
    let pin = sticky.pin.as_ref();
    let pin = pin.map(|pin| (pin.cookie.name.as_str(), pin.epoch));
    (keys.collect(), cookie, pin)
}

fn variants(old: Side<'_>, new: Side<'_>) -> Vec<VariantChange> {
    let all = [old, new]
        .into_iter()
        .flat_map(|side| side.route.split.variants());
    let names: BTreeSet<&str> = all.map(|variant| variant.name.as_str()).collect();
    let variants = names.into_iter().map(|name| VariantChange {
        name: name.to_owned(),
        upstream: sides(old, new, |side| side.upstream(name).map(str::to_owned)),
        weight: sides(old, new, |side| {
            Some(side.route.split.weight(side.rule, side.place(name)?))
        }),
        share: sides(old, new, |side| side.place(name).map(|_| side.share(name))),
        state: sides(old, new, |side| {
            let state = side.route.split.variants()[side.place(name)?].state;
            Some(match state {
                State::On => "on",
                State::Off => "off",
            })
        }),
    });
    variants.collect()
}

fn sides<'c, T>(old: Side<'c>, new: Side<'c>, of: impl Fn(Side<'c>) -> Option<T>) -> Sides<T> {
    Sides {
        old: of(old),
        new: of(new),
    }
}

fn users(old: Side<'_>, new: Side<'_>) -> Users {
    let (before, after) = (&old.route.split_spec, &new.route.split_spec);
    match (&before.sticky, &after.sticky) {
        (None, None) => Users::Drawn,
        (None, Some(_)) => Users::Begin,
        (Some(_), None) => Users::End,
        (Some(sticky), Some(sticky_after)) => {
            let (keys, cookie, pin) = kept_by(sticky);
            let (keys_after, cookie_after, pin_after) = kept_by(sticky_after);
            let anew = match (pin, pin_after) {
                (Some(pin), Some(pin_after)) => return pinned(old, new, pin, pin_after),
                (None, None) if (keys, cookie) == (keys_after, cookie_after) => None,
                (None, None) => Some("they are told apart by other keys"),
                (Some(_), None) | (None, Some(_)) => Some("the mode is another"),
            };
            let (split, split_after) = (&old.route.split, &new.route.split);
            if anew.is_some() {
                let flows = split.moved_anew(old.rule, split_after, new.rule);
                return sticky_users(old, new, flows, anew);
            }
            let anew = (before.salt != after.salt).then_some("the salt is another");
            let flows = split.moved(old.rule, split_after, new.rule);
            sticky_users(old, new, flows, anew)
        }
    }
}

fn pinned(old: Side<'_>, new: Side<'_>, pin: (&str, u32), pin_after: (&str, u32)) -> Users {
    let anew = if pin.0 != pin_after.0 {
        Some("pins are in another cookie")
    } else if pin.1 != pin_after.1 {
        Some("the epoch is another")
    } else if old.route.split_spec.salt != new.route.split_spec.salt {
        Some("the salt is another")
    } else {
        None
    };
    let is_on = |side: Side<'_>, name: &str| {
        let place = side.place(name);
        place.is_some_and(|place| side.route.split.variants()[place].state == State::On)
    };
    let variants = old.route.split.variants().iter().map(|it| &it.name);
    let lost = variants.filter(|name| is_on(old, name) && !is_on(new, name));
    Users::Pinned {
        lost: lost.cloned().collect(),
        anew,
    }
}

fn sticky_users(
    old: Side<'_>,
    new: Side<'_>,
    flows: Vec<Flow>,
    anew: Option<&'static str>,
) -> Users {
    let is_elsewhere = |from: &str, to: &str| old.upstream(from) != new.upstream(to);
    let mut elsewhere = 0.0;
    for variant in old.route.split.variants() {
        // Whoever stays on a variant may come to another upstream with it.
        let name = &variant.name;
        let leave = flows.iter().filter(|flow| flow.from == *name);
        let left: f64 = leave.clone().map(|flow| flow.share).sum();
        if new.place(name).is_some() && is_elsewhere(name, name) {
            elsewhere += old.share(name) - left;
        }
        let away = leave.filter(|flow| is_elsewhere(&flow.from, &flow.to));
        elsewhere += away.map(|flow| flow.share).sum::<f64>();
    }
    Users::Sticky {
        moved: tidy(flows.iter().map(|flow| flow.share).sum()),
        elsewhere: tidy(elsewhere),
        flows: flows.into_iter().map(Move::from).collect(),
        anew,
    }
}

impl From<Flow> for Move {
    fn from(flow: Flow) -> Self {
        let Flow { from, to, share } = flow;
        Self {
            from,
            to,
            share: tidy(share),
        }
    }
}

/// A share without what only rounding made of it: 12 digits are more than there are users.
fn tidy(share: f64) -> f64 {
    (share * 1e12).round() / 1e12
}
