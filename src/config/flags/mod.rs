//! Reads what flags are made of: `[flags]` and `[flag.NAME]`.
//!
//! Flags name segments, and segments name flags: so what flags there are, and which variants they
//! have, is known before anything else is read ([`KnownFlags`]). What is wrong with flags that could be
//! read, such as a circle of them, [`Flags`] tells, and here it gets its place.

mod context;
mod flag;
mod inject;
mod known;
mod place;
mod rule;
mod serving;
mod variant;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::flags::flag::Around;
use crate::config::flags::inject::Told;
use crate::config::listener::WAIT;
use crate::config::reader::Table;
use crate::config::releases::names;
use crate::config::route::RouteConfig;
use crate::config::segment::Segments;
use crate::flag::{FlagSpec, Flags};
use crate::segment::Attribute;

pub(crate) use crate::config::flags::known::KnownFlags;
pub(crate) use crate::config::flags::serving::routes_of;

/// How long a flag may go without an evaluation, or with one answer, until it is stale: longer than
/// any roll-out takes that is worth its flag.
const STALE: Duration = Duration::from_secs(30 * 86_400);

/// What is configured of flags.
#[derive(Clone, Debug)]
pub struct FlagsConfig {
    /// The flags by name, as written.
    pub specs: BTreeMap<String, FlagSpec>,
    /// The same, checked: as they are where nothing was set at run time.
    pub built: Arc<Flags>,
    /// What a key of the evaluation context is of a request at the edge: one of its attributes.
    pub context: BTreeMap<String, Attribute>,
    /// A flag that nobody has evaluated for so long is stale.
    pub unused_after: Duration,
    /// A flag that has had one answer for so long is stale.
    pub constant_after: Duration,
}

/// What concerns all flags.
pub(crate) struct Settings {
    context: BTreeMap<String, Attribute>,
    unused_after: Duration,
    constant_after: Duration,
}

/// Reads `[flags]`.
pub(crate) fn settings(root: &mut Table<'_>) -> Settings {
    let mut settings = Settings {
        context: BTreeMap::new(),
        unused_after: STALE,
        constant_after: STALE,
    };
    root.section("flags", |table| {
        table.set("context", &mut settings.context, context::read);
        for (key, time) in [
            ("unused_after", &mut settings.unused_after),
            ("constant_after", &mut settings.constant_after),
        ] {
            table.set(key, time, |value| value.duration(&WAIT));
        }
    });
    settings
}

/// Reads all flags, if there is a section with any; `None` when a problem was recorded that leaves
/// nothing to go on with. `known` is what is known of them already, and `routes` are those that could
/// be read.
pub(crate) fn read<'d>(
    root: &mut Table<'d>,
    settings: Settings,
    known: &KnownFlags<'d>,
    segments: &Segments<'d>,
    routes: &BTreeMap<String, RouteConfig>,
    request_id: Option<&str>,
) -> Option<FlagsConfig> {
    let section = root.optional("flag");
    let route_section = root.optional("route");
    let mut specs = BTreeMap::new();
    if let Some(section) = &section {
        let around = Around {
            flags: known,
            segments,
            routes,
            route_names: &route_section.as_ref().map(names).unwrap_or_default(),
            request_id,
            now: SystemTime::now(),
        };
        let mut told = Told::default();
        let read = section.ids(|name, value| flag::read(name, value, &around, &mut told));
        specs = read
            .into_iter()
            .map(|(name, spec)| (name.to_owned(), spec))
            .collect();
        for error in Flags::problems(&specs) {
            place::refuse(section, &error);
        }
    }
    // With a flag that could not be read those that need it cannot be made, either.
    if !root.is_fine() {
        return None;
    }
    let built = Flags::new(&specs, &BTreeMap::new());
    let built = built.map_err(|error| root.refuse(error.to_string())).ok()?;
    let flags = FlagsConfig {
        specs,
        built: Arc::new(built),
        context: settings.context,
        unused_after: settings.unused_after,
        constant_after: settings.constant_after,
    };
    let asked = context::Asked {
        flags: &flags,
        segments: &segments.read,
    };
    if let Some(section) = &route_section {
        asked.warn_rules(section, routes);
    }
    if let Some(section) = &section {
        asked.warn_injected(section);
    }
    Some(flags)
}

/// The segments that flags name.
pub(crate) fn segments(flags: &FlagsConfig) -> BTreeSet<&str> {
    let rules = flags.specs.values().flat_map(|spec| &spec.rules);
    rules
        .filter_map(|rule| Some(rule.segment.as_ref()?.0.as_str()))
        .collect()
}
