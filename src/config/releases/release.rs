//! Reads `[release.ID]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::config::flags::routes_of;
use crate::config::reader::{Table, Value, is_id};
use crate::config::releases::document;
use crate::config::releases::gate::Gates;
use crate::config::releases::number::moment;
use crate::config::releases::strategy::{self, Strategies};
use crate::config::releases::target::{self, Target};
use crate::config::releases::{named, word};
use crate::config::route::RouteConfig;
use crate::config::segment::SegmentConfig;
use crate::flag::FlagSpec;
use crate::release::analysis::OnInsufficient;
use crate::release::readiness::{ChangeType, Document, Risk};
use crate::release::spec::{Spec, Start};
use crate::release::strategy::Strategy;

/// The longest text that is shown in lists.
const MAX_WORD: usize = 256;

/// How many releases one may wait for.
const MAX_AFTER: usize = 100;

/// The kinds of changes.
const CHANGES: [ChangeType; 3] = [
    ChangeType::Standard,
    ChangeType::Normal,
    ChangeType::Emergency,
];

/// What releases may name.
pub(in crate::config::releases) struct Known<'k, 'd> {
    /// The routes without problems.
    pub(in crate::config::releases) routes: &'k BTreeMap<String, RouteConfig>,
    /// The names of all routes.
    pub(in crate::config::releases) route_names: &'k BTreeSet<&'d str>,
    /// The flags without problems.
    pub(in crate::config::releases) flags: &'k BTreeMap<String, FlagSpec>,
    /// The names of all flags.
    pub(in crate::config::releases) flag_names: &'k BTreeSet<&'d str>,
    /// The segments.
    pub(in crate::config::releases) segments: &'k BTreeMap<String, SegmentConfig>,
    /// The strategies.
    pub(in crate::config::releases) strategies: &'k Strategies<'d>,
    /// The gates.
    pub(in crate::config::releases) gates: &'k Gates<'d>,
    /// The identities of all releases.
    pub(in crate::config::releases) releases: &'k BTreeSet<&'d str>,
}

impl Known<'_, '_> {
    /// The routes that serve a flag.
    fn routes_of(&self, flag: &str) -> BTreeSet<String> {
        let routes = routes_of(flag, self.flags, self.segments, self.routes);
        routes.into_iter().map(str::to_owned).collect()
    }
}

/// The releases of a file.
#[derive(Default)]
pub(in crate::config::releases) struct Releases {
    /// Those without problems.
    pub(in crate::config::releases) specs: BTreeMap<String, Spec>,
    /// The files that their documents were read from.
    pub(in crate::config::releases) document_files: BTreeMap<String, BTreeMap<Document, PathBuf>>,
    /// The strategies that they name.
    pub(in crate::config::releases) named_strategies: BTreeSet<String>,
}

impl Releases {
    /// Reads the section with all of them.
    pub(in crate::config::releases) fn of<'d>(section: &Value<'d>, known: &Known<'_, 'd>) -> Self {
        let mut releases = Self::default();
        section.ids(|id, value| {
            let mut files = BTreeMap::new();
            let named = &mut releases.named_strategies;
            let spec = value.table(|table| release(id, table, known, &mut files, named))??;
            releases.specs.insert(id.to_owned(), spec);
            if !files.is_empty() {
                releases.document_files.insert(id.to_owned(), files);
            }
            Some(())
        });
        releases
    }
}

fn release<'d>(
    id: &str,
    table: &mut Table<'d>,
    known: &Known<'_, 'd>,
    files: &mut BTreeMap<Document, PathBuf>,
    named_strategies: &mut BTreeSet<String>,
) -> Option<Spec> {
    let target = Target::read(table, known);
    let moved = target::moved(table, target.as_ref());
    let mut texts = [None, None, None, None];
    let keys = ["artifact", "commit", "author", "rework_of"];
    for (key, text) in keys.into_iter().zip(&mut texts) {
        table.set(key, text, |value| match key {
            "rework_of" => identity(value).map(Some),
            _ => word(value, MAX_WORD).map(Some),
        });
    }
    let [artifact, commit, author, rework_of] = texts;
    let mut commit_time = None;
    table.set("commit_time", &mut commit_time, |value| {
        moment(value).map(Some)
    });
    let (mut change, mut risk, mut ticket) = (ChangeType::default(), None, None);
    table.section("change", |table| {
        table.set("type", &mut change, |value| {
            value.choice(&CHANGES.map(|change| (change.name(), change)))
        });
        table.set("ticket", &mut ticket, |value| {
            word(value, MAX_WORD).map(Some)
        });
        let risks = [Risk::Low, Risk::Medium, Risk::High];
        table.set("risk", &mut risk, |value| {
            value.choice(&risks.map(|risk| (risk.name(), Some(risk))))
        });
    });
    let mut documents = document::all(table, files);
    documents.ticket = ticket;
    let mut not_before = None;
    table.set("not_before", &mut not_before, |value| {
        moment(value).map(Some)
    });
    let mut after = Vec::new();
    table.set("after", &mut after, |value| {
        self::after(value, known.releases)
    });
    let mut start = Start::default();
    table.set("start", &mut start, |value| {
        value.choice(&[("auto", Start::Auto), ("manual", Start::Manual)])
    });
    let strategy = table.required("strategy", "the name of a strategy, or a strategy,");
    let strategy = strategy.and_then(|value| {
        let strategy = self::strategy(&value, known, named_strategies)?;
        check_strategy(
            &value,
            &strategy,
            change,
            documents.missing(&strategy.requires),
        );
        if let Some(target) = &target {
            target::check_strategy(target, &value, &strategy, |flag| known.routes_of(flag));
        }
        Some(strategy)
    });
    let (stable, candidate) = moved?;
    Some(Spec {
        id: id.to_owned(),
        route: target?.route(),
        stable,
        candidate,
        artifact,
        commit,
        commit_time,
        author,
        change,
        risk,
        documents,
        not_before,
        after,
        rework_of,
        start,
        strategy: strategy?,
    })
}

/// Reads how traffic moves: the name of a strategy, or one of its own.
fn strategy(
    value: &Value<'_>,
    known: &Known<'_, '_>,
    named_strategies: &mut BTreeSet<String>,
) -> Option<Strategy> {
    if value.is_table() {
        return strategy::read("", value, known.gates);
    }
    let name = known.strategies.named(value)?;
    let strategy = known.strategies.read.get(&name).cloned();
    named_strategies.insert(name);
    strategy
}

/// Holds that a strategy is allowed for such a change.
fn check_strategy(
    value: &Value<'_>,
    strategy: &Strategy,
    change: ChangeType,
    missing: Vec<Document>,
) {
    let passes = strategy.analysis.on_insufficient == OnInsufficient::Pass;
    if passes && !change.may_pass_insufficient() {
        value.refuse(
            "goes on where too little was seen (on_insufficient = \"pass\"), which only a change of \
             the type \"standard\" may",
        );
    }
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.into_iter().map(Document::name).collect();
        value.warn(format!(
            "requires {}, without which the release will not start",
            missing.join(" and ")
        ));
    }
}

/// Reads the releases that come first.
fn after(value: &Value<'_>, known: &BTreeSet<&str>) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let after = value.list("a list of releases such as [\"payments-5.1.0\"]", |value| {
        let id = named(value, "release", known)?;
        if !seen.insert(id) {
            value.refuse(format!("{} is named twice", value.shown()));
            return None;
        }
        Some(id.to_owned())
    })?;
    if MAX_AFTER < after.len() {
        value.refuse(format!("are more than {MAX_AFTER}"));
        return None;
    }
    Some(after)
}

/// Reads the identity of a release that need not be here any more.
fn identity(value: &Value<'_>) -> Option<String> {
    value.parsed("the identity of a release", |text| {
        is_id(text).then(|| text.to_owned())
    })
}
