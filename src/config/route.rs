//! Reads `[route.NAME]`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::advice;
use crate::config::direct::{self, DirectConfig};
use crate::config::listener;
use crate::config::matching;
use crate::config::mirror::{self, MirrorConfig};
use crate::config::near;
use crate::config::ofrep::OFREP_UPSTREAM;
use crate::config::rate_limit;
use crate::config::reader::{Table, Value};
use crate::config::segment::{self, Segments};
use crate::config::sticky::{self, DivisionSecrets};
use crate::config::treatment::{self, TreatmentConfig};
use crate::config::tunnels::{self, TunnelsConfig};
use crate::message::AccessList;
use crate::proxy::Rate;
use crate::route::{Match, MatchSpec};
use crate::split::{MAX_WEIGHT, Split, SplitSpec, State, VariantSpec};

/// The name of the one variant of a route without a split.
pub const ONLY_VARIANT: &str = "default";

/// The keys that say how a split divides.
const SPLIT_KEYS: [&str; 5] = ["sticky", "force", "salt", "on_unavailable", "rule"];

/// The keys that say what is done to requests on their way to an upstream.
const FORWARD_KEYS: [&str; 8] = [
    "request_headers",
    "rewrite",
    "timeouts",
    "limits",
    "assignment_headers",
    "tunnels_on_off",
    "tunnels_spread",
    "mirror",
];

/// The keys that have no meaning on the way to where flags are evaluated.
const UPSTREAM_KEYS: [&str; 3] = ["mirror", "tunnels_on_off", "tunnels_spread"];

/// A rule that catches requests, and how it divides them.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// What it catches, as written.
    pub match_spec: MatchSpec,
    /// What it catches, checked.
    pub matched: Match,
    /// How it divides what it catches, as written; a route without a split has one variant,
    /// [`ONLY_VARIANT`].
    pub split_spec: SplitSpec,
    /// How it divides what it catches, checked.
    pub split: Arc<Split>,
    /// The upstream of each variant, in the order of the split's variants.
    pub upstreams: Vec<String>,
    /// What becomes of requests whose variant has no endpoint left.
    pub on_unavailable: OnUnavailable,
    /// True when the file gives the route a split, false when it gives it just an upstream.
    pub has_split: bool,
    /// The secrets of its stickiness and of forcing.
    pub secrets: DivisionSecrets,
    /// What is done to its requests and responses on their way.
    pub treatment: TreatmentConfig,
    /// What becomes of the tunnels of a variant that is switched off or removed.
    pub tunnels: TunnelsConfig,
    /// Whether it leads to where flags are evaluated; its upstream is [`OFREP_UPSTREAM`] then.
    pub ofrep: bool,
    /// What it answers by itself; then it has no upstream.
    pub direct: Option<DirectConfig>,
    /// Whose requests it takes.
    pub access: AccessList,
    /// What of its requests is copied, and where to, if anything is.
    pub mirror: Option<MirrorConfig>,
    /// How many it takes in a time.
    pub rates: Vec<Rate>,
}

/// What becomes of requests whose variant has no endpoint left.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnUnavailable {
    /// The next variant by the same hash serves them.
    #[default]
    Failover,
    /// They get 503.
    Error,
}

impl OnUnavailable {
    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Error => "error",
        }
    }
}

/// Reads one route; `None` when a problem was recorded. `request_id` is the field with the id of each
/// request, if they have one.
pub(crate) fn read(
    name: &str,
    value: &Value<'_>,
    known_upstreams: &BTreeSet<&str>,
    segments: &Segments<'_>,
    request_id: Option<&str>,
) -> Option<RouteConfig> {
    value.table(|table| {
        let route = route(name, table, known_upstreams, segments);
        let matched = route.as_ref().map(|route| &route.matched);
        let treatment = treatment::read(table, matched, request_id);
        let tunnels = tunnels::read(table);
        let access = listener::access(table);
        // Where it has no meaning it was refused.
        let may_mirror = route
            .as_ref()
            .is_none_or(|route| route.direct.is_none() && !route.ofrep);
        let mirror = match table.optional("mirror").filter(|_| may_mirror) {
            Some(value) => Some(mirror::read(&value, route.as_ref(), known_upstreams)?),
            None => None,
        };
        let rates = rate_limit::read(table);
        Some(RouteConfig {
            treatment: treatment?,
            tunnels,
            access,
            mirror,
            rates: rates?,
            ..route?
        })
    })?
}

fn route(
    name: &str,
    table: &mut Table<'_>,
    known_upstreams: &BTreeSet<&str>,
    segments: &Segments<'_>,
) -> Option<RouteConfig> {
    let matched = match table.optional("match") {
        Some(value) => matching::read(&value),
        None => matching::anything(),
    };
    let upstream = table.optional("upstream");
    let split = table.optional("split");
    let directs = ["redirect", "respond"].map(|key| (key, table.optional(key)));
    if let Some(value) = table.optional("ofrep") {
        let others = directs.iter().map(|(_, value)| value);
        let others = [&upstream, &split].into_iter().chain(others).flatten();
        for other in others {
            other.refuse_key(
                "leads elsewhere, and the route leads to flags; it does one of the two",
            );
        }
        return ofrep_route(name, table, matched, &value);
    }
    if directs.iter().any(|(_, value)| value.is_some()) {
        for value in upstream.iter().chain(&split) {
            value.refuse_key("leads on, and the route answers by itself; it does one of the two");
        }
        return direct_route(name, table, matched, directs);
    }
    match (upstream, split) {
        (Some(upstream), None) => {
            for key in SPLIT_KEYS {
                table.refuse_key(key, "has no effect on a route without a split");
            }
            let upstream = upstream_name(&upstream, known_upstreams);
            let split_spec = undivided(name);
            let (match_spec, matched) = matched?;
            Some(RouteConfig {
                match_spec,
                matched,
                split: self::split(table, &split_spec)?,
                split_spec,
                upstreams: vec![upstream?],
                on_unavailable: OnUnavailable::default(),
                has_split: false,
                secrets: DivisionSecrets::default(),
                treatment: TreatmentConfig::default(),
                tunnels: TunnelsConfig::default(),
                ofrep: false,
                direct: None,
                access: AccessList::default(),
                mirror: None,
                rates: Vec::new(),
            })
        }
        (None, Some(split)) => {
            let variants = variants(&split, known_upstreams);
            let mut salt = name.to_owned();
            table.set("salt", &mut salt, |value| {
                let text = value.parsed("a text", |text| (!text.is_empty()).then_some(text))?;
                Some(text.to_owned())
            });
            let mut on_unavailable = OnUnavailable::default();
            table.set("on_unavailable", &mut on_unavailable, |value| {
                value.choice(
                    &[OnUnavailable::Failover, OnUnavailable::Error]
                        .map(|kind| (kind.name(), kind)),
                )
            });
            let mut sticky = None;
            let mut secrets = DivisionSecrets::default();
            table.set("sticky", &mut sticky, |value| {
                let (sticky, secret) = sticky::read(value)?;
                secrets.pin = secret;
                Some(Some(sticky))
            });
            let mut force = None;
            table.set("force", &mut force, |value| {
                let (force, secret) = sticky::read_force(value)?;
                secrets.force = secret;
                Some(Some(force))
            });
            let known = variants.as_ref().map(|(variants, _)| &variants[..]);
            let rules = match table.optional("rule") {
                Some(value) => segment::rules(&value, known, segments),
                None => Some(Vec::new()),
            };
            let (variants, upstreams) = variants?;
            advice::single_variant(&split, variants.len());
            let split_spec = SplitSpec {
                salt,
                variants,
                rules: rules?,
                sticky,
                force,
            };
            let split = self::split(table, &split_spec);
            let (match_spec, matched) = matched?;
            Some(RouteConfig {
                match_spec,
                matched,
                split: split?,
                split_spec,
                upstreams,
                on_unavailable,
                has_split: true,
                secrets,
                treatment: TreatmentConfig::default(),
                tunnels: TunnelsConfig::default(),
                ofrep: false,
                direct: None,
                access: AccessList::default(),
                mirror: None,
                rates: Vec::new(),
            })
        }
        (upstream, split) => {
            // What is in both is read all the same, so that its own problems show.
            if let Some(value) = &upstream {
                upstream_name(value, known_upstreams);
                value.refuse_key("there is a split already; one of the two leads on");
            }
            if let Some(value) = &split {
                variants(value, known_upstreams);
            } else {
                table.refuse(
                    "leads nowhere; an upstream, a split, a redirect, a respond or ofrep belongs here",
                );
            }
            for key in SPLIT_KEYS {
                table.optional(key);
            }
            None
        }
    }
}

/// Reads a route that leads to where flags are evaluated.
fn ofrep_route(
    name: &str,
    table: &mut Table<'_>,
    matched: Option<(MatchSpec, Match)>,
    value: &Value<'_>,
) -> Option<RouteConfig> {
    for key in SPLIT_KEYS.into_iter().chain(UPSTREAM_KEYS) {
        table.refuse_key(key, "has no effect on a route that leads to flags");
    }
    if !value.boolean()? {
        value.refuse("false says nothing; leave it out");
        return None;
    }
    let split_spec = undivided(name);
    let (match_spec, matched) = matched?;
    Some(RouteConfig {
        match_spec,
        matched,
        split: split(table, &split_spec)?,
        split_spec,
        upstreams: vec![OFREP_UPSTREAM.to_owned()],
        on_unavailable: OnUnavailable::default(),
        has_split: false,
        secrets: DivisionSecrets::default(),
        treatment: TreatmentConfig::default(),
        tunnels: TunnelsConfig::default(),
        ofrep: true,
        direct: None,
        access: AccessList::default(),
        mirror: None,
        rates: Vec::new(),
    })
}

/// Reads a route that answers by itself.
fn direct_route<'d>(
    name: &str,
    table: &mut Table<'d>,
    matched: Option<(MatchSpec, Match)>,
    directs: [(&str, Option<Value<'d>>); 2],
) -> Option<RouteConfig> {
    for key in SPLIT_KEYS.into_iter().chain(FORWARD_KEYS) {
        table.refuse_key(key, "has no effect on a route that answers by itself");
    }
    let mut direct = None;
    let mut is_whole = true;
    for (key, value) in directs {
        let Some(value) = value else {
            continue;
        };
        if direct.is_some() {
            value.refuse_key("there is a redirect already; a route does one of the two");
            is_whole = false;
        }
        let rule = matched.as_ref().map(|(_, rule)| rule);
        let read = match key {
            "redirect" => direct::redirect(&value, rule).map(DirectConfig::Redirect),
            _ => direct::respond(&value).map(DirectConfig::Respond),
        };
        is_whole &= read.is_some();
        direct = direct.or(read);
    }
    let split_spec = undivided(name);
    let (match_spec, matched) = matched?;
    Some(RouteConfig {
        match_spec,
        matched,
        split: split(table, &split_spec)?,
        split_spec,
        upstreams: Vec::new(),
        on_unavailable: OnUnavailable::default(),
        has_split: false,
        secrets: DivisionSecrets::default(),
        treatment: TreatmentConfig::default(),
        tunnels: TunnelsConfig::default(),
        ofrep: false,
        direct: Some(direct.filter(|_| is_whole)?),
        access: AccessList::default(),
        mirror: None,
        rates: Vec::new(),
    })
}

/// The division of a route that has none.
fn undivided(route: &str) -> SplitSpec {
    SplitSpec {
        salt: route.to_owned(),
        variants: vec![VariantSpec {
            name: ONLY_VARIANT.to_owned(),
            weight: 1,
            state: State::On,
        }],
        rules: Vec::new(),
        sticky: None,
        force: None,
    }
}

/// Makes the split itself. All that can be wrong with it was looked at where it is written, so this
/// finds nothing that has no better place.
fn split(table: &Table<'_>, spec: &SplitSpec) -> Option<Arc<Split>> {
    Split::new(spec.clone())
        .map(Arc::new)
        .map_err(|error| table.refuse(error.to_string()))
        .ok()
}

fn upstream_name(value: &Value<'_>, known: &BTreeSet<&str>) -> Option<String> {
    let name = value.parsed("the name of an upstream", Some)?;
    if !known.contains(name) {
        let hint = near::hint(name, known.iter().copied());
        value.refuse(format!("there is no upstream {}{hint}", value.shown()));
        return None;
    }
    Some(name.to_owned())
}

/// Reads the variants of a split and the upstream of each.
fn variants(
    split: &Value<'_>,
    known_upstreams: &BTreeSet<&str>,
) -> Option<(Vec<VariantSpec>, Vec<String>)> {
    let mut is_whole = true;
    let variants = split.names(|name, value| {
        let variant = value
            .table(|table| variant(name, table, known_upstreams))
            .flatten();
        is_whole &= variant.is_some();
        variant
    });
    if !is_whole || !split.is_table() {
        return None;
    }
    if variants.is_empty() {
        split.refuse_key("empty; a split has at least one variant");
        return None;
    }
    let (variants, upstreams): (Vec<VariantSpec>, Vec<String>) =
        variants.into_iter().map(|(_, variant)| variant).unzip();
    if variants.iter().all(|variant| variant.state == State::Off) {
        split.refuse_key("all variants are off; at least one must be on");
        return None;
    }
    if variants.iter().all(|variant| variant.weight == 0) {
        split.refuse_key("all weights are 0; at least one must be more");
        return None;
    }
    if variants
        .iter()
        .all(|variant| variant.weight == 0 || variant.state == State::Off)
    {
        split.refuse_key("all variants that are on have weight 0; at least one needs more");
        return None;
    }
    Some((variants, upstreams))
}

fn variant(
    name: &str,
    table: &mut Table<'_>,
    known_upstreams: &BTreeSet<&str>,
) -> Option<(VariantSpec, String)> {
    let upstream = table
        .required("upstream", "the name of an upstream")
        .and_then(|value| upstream_name(&value, known_upstreams));
    let weight = table
        .required("weight", "a whole number from 0 to 1000000")
        .and_then(|value| value.whole(0..=u64::from(MAX_WEIGHT)))
        .and_then(|weight| u32::try_from(weight).ok());
    let mut state = State::default();
    table.set("state", &mut state, |value| {
        value.choice(&[("on", State::On), ("off", State::Off)])
    });
    let variant = VariantSpec {
        name: name.to_owned(),
        weight: weight?,
        state,
    };
    Some((variant, upstream?))
}
