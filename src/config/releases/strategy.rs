//! Reads `[strategy.NAME]`, and the strategy that a release has of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::listener::WAIT;
use crate::config::reader::{Table, Value};
use crate::config::releases::analysis;
use crate::config::releases::check::{self, Checks};
use crate::config::releases::gate::Gates;
use crate::config::releases::number::percent;
use crate::config::releases::require::requirements;
use crate::config::releases::short;
use crate::config::releases::step;
use crate::config::releases::{named, names};
use crate::release::percent::Percent;
use crate::release::readiness::Document;
use crate::release::strategy::{Action, Kind, MinHealthy, OnDeadline, Salt, Step, Strategy};

/// How long a release can be rolled back at once unless told otherwise.
const ROLLBACK_WINDOW: Duration = Duration::from_secs(86_400);

/// What a window may be; nothing is a choice, too.
const WINDOW: RangeInclusive<Duration> = Duration::ZERO..=*WAIT.end();

/// The share of the candidate's endpoints that has to be available unless told otherwise, in percent.
const MIN_HEALTHY: f64 = 50.0;

/// How many endpoints may be asked for.
const MOST_ENDPOINTS: u64 = 100_000;

/// The kinds, by their words.
pub(in crate::config) const KINDS: [(&str, Kind); 4] = [
    ("canary", Kind::Canary),
    ("blue-green", Kind::BlueGreen),
    ("mirror-first", Kind::MirrorFirst),
    ("ab", Kind::Ab),
];

/// The strategies of a file.
#[derive(Default)]
pub(in crate::config::releases) struct Strategies<'d> {
    /// The names of all, also of those with problems.
    names: BTreeSet<&'d str>,
    /// Those without.
    pub(in crate::config::releases) read: BTreeMap<String, Strategy>,
}

impl<'d> Strategies<'d> {
    /// Reads the section with all of them.
    pub(in crate::config::releases) fn of(section: &Value<'d>, gates: &Gates<'_>) -> Self {
        let read = section.names(|name, value| read(name, value, gates));
        let read = read
            .into_iter()
            .map(|(name, strategy)| (name.to_owned(), strategy));
        Self {
            names: names(section),
            read: read.collect(),
        }
    }

    /// Those of a configuration that was read before.
    pub(in crate::config::releases) fn known(strategies: &'d BTreeMap<String, Strategy>) -> Self {
        Self {
            names: strategies.keys().map(String::as_str).collect(),
            read: strategies.clone(),
        }
    }

    /// Reads the name of one.
    pub(in crate::config::releases) fn named(&self, value: &Value<'_>) -> Option<String> {
        named(value, "strategy", &self.names).map(str::to_owned)
    }
}

/// Reads a strategy; one that a release has of its own has no name.
pub(in crate::config::releases) fn read(
    name: &str,
    value: &Value<'_>,
    gates: &Gates<'_>,
) -> Option<Strategy> {
    value.table(|table| strategy(name, value, table, gates))?
}

fn strategy<'d>(
    name: &str,
    place: &Value<'d>,
    table: &mut Table<'d>,
    gates: &Gates<'_>,
) -> Option<Strategy> {
    let mut kind = Kind::Canary;
    table.set("kind", &mut kind, |value| value.choice(&KINDS));
    let steps = match table.optional("steps") {
        Some(value) => {
            short::refuse_all(table, "there are steps already, which say all of it");
            step::all(&value, gates)
        }
        None => short::read(kind, place, table, gates),
    };
    let start_gate = table.optional("start_gate");
    let start_gate = start_gate.and_then(|value| Some((gates.named(&value)?, value)));
    let mut salt = Salt::Release;
    table.set("salt", &mut salt, self::salt);
    let mut deadline = None;
    table.set("deadline", &mut deadline, |value| {
        value.duration(&WAIT).map(Some)
    });
    let mut on_deadline = OnDeadline::default();
    table.set("on_deadline", &mut on_deadline, |value| {
        value.choice(&[("hold", OnDeadline::Hold), ("abort", OnDeadline::Abort)])
    });
    if deadline.is_none() && on_deadline == OnDeadline::Abort {
        table.refuse_key("on_deadline", "has no effect without a deadline");
    }
    let mut rollback_window = ROLLBACK_WINDOW;
    table.set("rollback_window", &mut rollback_window, |value| {
        value.duration(&WINDOW)
    });
    let min_healthy = min_healthy(table);
    let mut requires = Vec::new();
    table.set("requires", &mut requires, self::requires);
    let judged = analysis::read(table.optional("analysis").as_ref());
    let section = table.optional("check");
    let Checks {
        mut checks,
        tests,
        is_part,
    } = section.map_or_else(Checks::default, |it| check::all(&it, judged.is_on));
    if is_part {
        return None;
    }
    if checks.is_empty() && judged.is_on {
        for (name, default) in check::defaults() {
            if tests.contains_key(name) {
                table.refuse(format!(
                    "its check {name} has the name of one that is there by itself; another name, \
                     or analysis = false, belongs here"
                ));
                return None;
            }
            checks.insert(name.to_owned(), default);
        }
    }
    let steps = steps?;
    step::check_order(&steps, kind != Kind::Ab);
    let first_weight = steps
        .iter()
        .position(|it| matches!(it.action, Action::Weight(_)));
    let has_mirror = steps[..first_weight.unwrap_or(steps.len())]
        .iter()
        .any(|it| matches!(it.action, Action::Mirror(_)));
    if kind == Kind::MirrorFirst && !has_mirror {
        table.refuse("is mirror-first and has no mirror step before its first weight");
    }
    let requirements = requirements(kind, &steps, start_gate.as_ref(), gates, &checks, &tests);
    let steps = steps
        .into_iter()
        .zip(requirements)
        .map(|(step, require)| Step {
            action: step.action,
            at_least: step.at_least.unwrap_or_default(),
            require,
            gate: step.gate.map(|(name, _)| name),
        });
    let mut analysis = judged.settings;
    analysis.checks = checks;
    if let Err(error) = analysis.validate() {
        table.refuse(error.to_string());
    }
    Some(Strategy {
        name: name.to_owned(),
        kind,
        salt,
        steps: steps.collect(),
        start_gate: start_gate.map(|(name, _)| name),
        deadline,
        on_deadline,
        rollback_window,
        min_healthy,
        requires,
        analysis,
        tests,
    })
}

/// How much of a candidate has to be available unless told otherwise.
pub(in crate::config::releases) fn least_healthy() -> MinHealthy {
    MinHealthy {
        endpoints: 1,
        share: Percent::new(MIN_HEALTHY).unwrap_or(Percent::ALL),
    }
}

fn min_healthy(table: &mut Table<'_>) -> MinHealthy {
    let mut least = least_healthy();
    table.section("min_healthy", |table| {
        table.set("endpoints", &mut least.endpoints, |value| {
            usize::try_from(value.whole(1..=MOST_ENDPOINTS)?).ok()
        });
        table.set("percent", &mut least.share, percent);
    });
    least
}

/// Reads which users a candidate gets.
fn salt(value: &Value<'_>) -> Option<Salt> {
    let what = "\"release\", \"route\" or \"shared:\" and a name";
    value.looks_like(|| "release|route|shared:.+");
    value.parsed(what, |text| match text {
        "release" => Some(Salt::Release),
        "route" => Some(Salt::Route),
        _ => {
            let name = text.strip_prefix("shared:")?;
            let is_name = !name.trim().is_empty() && !name.contains(char::is_control);
            is_name.then(|| Salt::Shared(name.to_owned()))
        }
    })
}

fn requires(value: &Value<'_>) -> Option<Vec<Document>> {
    let documents = Document::ALL.map(|document| (document.name(), document));
    let mut seen = BTreeSet::new();
    value.list(
        "a list of documents such as [\"notes\", \"ticket\"]",
        |value| {
            let document = value.choice(&documents)?;
            if !seen.insert(document) {
                value.refuse(format!("{} is named twice", value.shown()));
                return None;
            }
            Some(document)
        },
    )
}
