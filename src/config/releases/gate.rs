//! Reads `[gate.NAME]`, and what names a gate.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::listener::WAIT;
use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::config::releases::{named, names};
use crate::config::role::roles;
use crate::release::gate::{Criterion, Gate, OnTimeout};

/// How long an approval counts, and a gate is asked, unless told otherwise.
const EXPIRES: Duration = Duration::from_secs(86_400);

/// How many people a gate may ask for: more than anybody would find.
const MOST_APPROVALS: u64 = 100;

/// The gates of a file.
#[derive(Default)]
pub(in crate::config::releases) struct Gates<'d> {
    /// The names of all, also of those with problems.
    names: BTreeSet<&'d str>,
    /// Those without.
    pub(in crate::config::releases) read: BTreeMap<String, Gate>,
    /// Those that somebody has named.
    asked: RefCell<BTreeSet<String>>,
}

impl<'d> Gates<'d> {
    /// Reads the section with all of them.
    pub(in crate::config::releases) fn of(
        section: &Value<'d>,
        known_releases: &BTreeSet<&str>,
    ) -> Self {
        let names = names(section);
        let read =
            section.names(|name, value| value.table(|table| gate(name, table, known_releases))?);
        let read = read.into_iter().map(|(name, gate)| (name.to_owned(), gate));
        Self {
            names,
            read: read.collect(),
            asked: RefCell::default(),
        }
    }

    /// Those of a configuration that was read before.
    pub(in crate::config::releases) fn known(gates: &'d BTreeMap<String, Gate>) -> Self {
        Self {
            names: gates.keys().map(String::as_str).collect(),
            ..Self::default()
        }
    }

    /// Reads the name of one.
    pub(in crate::config::releases) fn named(&self, value: &Value<'_>) -> Option<String> {
        let name = named(value, "gate", &self.names)?;
        self.asked.borrow_mut().insert(name.to_owned());
        Some(name.to_owned())
    }

    /// The names that were read so.
    pub(in crate::config::releases) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }
}

fn gate(name: &str, table: &mut Table<'_>, known_releases: &BTreeSet<&str>) -> Option<Gate> {
    let mut gate = Gate {
        name: name.to_owned(),
        roles: Vec::new(),
        approvals: 1,
        distinct_from_author: true,
        expires: EXPIRES,
        on_timeout: OnTimeout::Hold,
        criteria: Vec::new(),
    };
    table.set("roles", &mut gate.roles, roles);
    table.set("approvals", &mut gate.approvals, |value| {
        u32::try_from(value.whole(0..=MOST_APPROVALS)?).ok()
    });
    table.set(
        "distinct_from_author",
        &mut gate.distinct_from_author,
        Value::boolean,
    );
    table.set("expires", &mut gate.expires, |value| value.duration(&WAIT));
    table.set("on_timeout", &mut gate.on_timeout, |value| {
        value.choice(&[("hold", OnTimeout::Hold), ("abort", OnTimeout::Abort)])
    });
    table.set("criteria", &mut gate.criteria, |value| {
        let what = "a list of criteria such as [\"verdict>=proven\", \"notes\", \"check:smoke\"]";
        value.list(what, |value| criterion(value, known_releases))
    });
    if gate.approvals == 0 && gate.criteria.is_empty() {
        table.refuse("asks for nothing: neither approvals nor criteria; it would always be open");
        return None;
    }
    if gate.approvals == 0 && !gate.roles.is_empty() {
        table.refuse_key(
            "roles",
            "have no effect on a gate that asks for no approvals",
        );
    }
    Some(gate)
}

fn criterion(value: &Value<'_>, known_releases: &BTreeSet<&str>) -> Option<Criterion> {
    let criterion = match value.string()?.parse::<Criterion>() {
        Ok(criterion) => criterion,
        Err(error) => {
            value.refuse(error.to_string());
            return None;
        }
    };
    if let Criterion::Release(id) = &criterion
        && !known_releases.contains(id.as_str())
    {
        let hint = near::hint(id, known_releases.iter().copied());
        value.refuse(format!("there is no release {id:?}{hint}"));
        return None;
    }
    Some(criterion)
}
