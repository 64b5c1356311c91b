//! Reads what releases are made of: `[cluster]`, `[store]`, `[release.ID]`, `[strategy.NAME]`,
//! `[gate.NAME]` and `[freeze.NAME]`.
//!
//! What comes out are the release plane's own types, checked together: names that others name exist,
//! a route has the variants that a release moves traffic between, and no release waits for itself.
//! A gate, a strategy or a release with problems is no unknown one.

mod alone;
mod analysis;
mod check;
mod document;
mod freeze;
mod gate;
mod notify;
mod number;
mod order;
mod release;
mod require;
mod short;
mod step;
mod strategy;
mod target;
mod test;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::config::releases::alone::release_of;

use crate::config::flags::FlagsConfig;
use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::config::releases::gate::Gates;
pub use crate::config::releases::notify::NotifyConfig;
use crate::config::releases::release::Releases;
use crate::config::releases::strategy::Strategies;
use crate::config::route::RouteConfig;
use crate::config::segment::SegmentConfig;

use crate::release::look::Rules;
use crate::release::readiness::Document;
use crate::release::spec::Spec;
use crate::release::strategy::Strategy;

/// What the cluster is called unless told otherwise.
const CLUSTER: &str = "tidegate";

/// The folder of the store unless told otherwise, beside the file.
pub(in crate::config) const FOLDER: &str = "state";

/// What is configured of releases.
#[derive(Clone, Debug)]
pub struct ReleasesConfig {
    /// What all instances together are called: the beginning of the audit log's chain, and the
    /// source of events.
    pub cluster: String,
    /// Where progress is kept.
    pub store: StoreConfig,
    /// Whether something is kept: there are releases or flags, or the section of the store is there.
    pub has_store: bool,
    /// The strategies with a name.
    pub strategies: BTreeMap<String, Strategy>,
    /// The releases that are wished for, by their identities.
    pub specs: BTreeMap<String, Spec>,
    /// The files that documents of releases were read from.
    pub document_files: BTreeMap<String, BTreeMap<Document, PathBuf>>,
    /// Gates and freezes.
    pub rules: Arc<Rules>,
    /// Who is told of what happens.
    pub notify: Vec<NotifyConfig>,
}

/// Where progress is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreConfig {
    /// The folder.
    pub path: PathBuf,
    /// What becomes of releases when what was kept cannot be trusted.
    pub on_state_lost: OnStateLost,
}

/// What becomes of releases when what was kept cannot be trusted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnStateLost {
    /// They stay where they are until somebody decides.
    #[default]
    Hold,
    /// The process does not start.
    RefuseToStart,
}

impl OnStateLost {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Hold, Self::RefuseToStart];

    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::RefuseToStart => "refuse-to-start",
        }
    }
}

/// Reads it all, given the routes, flags and segments that could be read.
pub(crate) fn read<'d>(
    root: &mut Table<'d>,
    routes: &BTreeMap<String, RouteConfig>,
    flags: Option<&FlagsConfig>,
    segments: &BTreeMap<String, SegmentConfig>,
) -> ReleasesConfig {
    let mut cluster = CLUSTER.to_owned();
    root.section("cluster", |table| {
        table.set("id", &mut cluster, |value| word(value, 64));
    });
    let (store, is_there) = store(root);
    let route_section = root.optional("route");
    let known_routes = route_section.as_ref().map(names).unwrap_or_default();
    let strategy_section = root.optional("strategy");
    let gate_section = root.optional("gate");
    let release_section = root.optional("release");
    let flag_section = root.optional("flag");
    let known_flags = flag_section.as_ref().map(names).unwrap_or_default();
    let no_flags = BTreeMap::new();
    let known_releases = release_section.as_ref().map(names).unwrap_or_default();
    let gates = gate_section
        .as_ref()
        .map(|it| Gates::of(it, &known_releases));
    let gates = gates.unwrap_or_default();
    let strategies = strategy_section
        .as_ref()
        .map(|it| Strategies::of(it, &gates));
    let strategies = strategies.unwrap_or_default();
    let mut releases = Releases::default();
    if let Some(section) = &release_section {
        let known = release::Known {
            routes,
            route_names: &known_routes,
            flags: flags.map_or(&no_flags, |flags| &flags.specs),
            flag_names: &known_flags,
            segments,
            strategies: &strategies,
            gates: &gates,
            releases: &known_releases,
        };
        releases = Releases::of(section, &known);
        order::refuse_circles(section, &releases.specs);
    }
    let freeze_section = root.optional("freeze");
    let freezes = freeze_section
        .as_ref()
        .map(|it| freeze::all(it, &known_routes, &known_flags));
    let notify_section = root.optional("notify");
    let notify = notify_section.as_ref().map(|it| notify::all(it, &cluster));
    if root.is_fine() {
        if let Some(section) = &strategy_section {
            warn_unused(section, &releases.named_strategies, "no release names it");
        }
        if let Some(section) = &gate_section {
            warn_unused(section, &gates.asked(), "nothing asks for it");
        }
    }
    ReleasesConfig {
        cluster,
        store,
        // What is not kept cannot be gone on with, and a flag that was killed has to stay so.
        has_store: is_there || !known_releases.is_empty() || !known_flags.is_empty(),
        strategies: strategies.read,
        specs: releases.specs,
        document_files: releases.document_files,
        rules: Arc::new(Rules {
            gates: gates.read,
            freezes: freezes.unwrap_or_default(),
        }),
        notify: notify.unwrap_or_default(),
    }
}

/// Reads `[store]`, and tells whether it is there.
fn store(root: &mut Table<'_>) -> (StoreConfig, bool) {
    let mut store = StoreConfig {
        path: root.beside(FOLDER),
        on_state_lost: OnStateLost::default(),
    };
    let section = root.section("store", |table| {
        if let Some(value) = table.optional("kind") {
            value.may_be(|| ["file".to_owned()]);
            match value.string() {
                Some("file") | None => {}
                Some("etcd") => value.refuse(
                    "\"etcd\" is not there yet: this version keeps its state in files of its own; \
                     \"file\" belongs here",
                ),
                Some(_) => value.is_not("\"file\""),
            }
        }
        table.set("path", &mut store.path, Value::path);
        table.set("on_state_lost", &mut store.on_state_lost, |value| {
            value.choice(&OnStateLost::ALL.map(|choice| (choice.name(), choice)))
        });
    });
    (store, section.is_some())
}

/// The keys of a table, whatever is wrong with what they stand for.
pub(in crate::config) fn names<'d>(section: &Value<'d>) -> BTreeSet<&'d str> {
    section.keys().collect()
}

/// Warns of each thing in a section that is not used.
fn warn_unused(section: &Value<'_>, used: &BTreeSet<String>, why: &str) {
    section.entries(|name, value| {
        if !used.contains(name) {
            value.warn_key(why);
        }
        None::<()>
    });
}

/// Reads a text of visible characters and spaces between them.
pub(in crate::config) fn word(value: &Value<'_>, most: usize) -> Option<String> {
    let text = value.parsed("a text", |text| {
        let is_plain = !text.trim().is_empty() && !text.contains(char::is_control);
        is_plain.then(|| text.trim().to_owned())
    })?;
    if most < text.chars().count() {
        value.refuse(format!("has more than {most} characters"));
        return None;
    }
    Some(text)
}

/// Reads the name of something of which these are known.
pub(in crate::config) fn named<'d>(
    value: &Value<'d>,
    what: &str,
    known: &BTreeSet<&str>,
) -> Option<&'d str> {
    let name = value.parsed(&format!("the name of a {what}"), Some)?;
    if !known.contains(name) {
        let hint = near::hint(name, known.iter().copied());
        value.refuse(format!("there is no {what} {}{hint}", value.shown()));
        return None;
    }
    Some(name)
}
