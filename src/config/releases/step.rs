//! Reads the steps of a strategy.

use std::time::Duration;

use http::uri::Authority;

use crate::config::listener::WAIT;
use crate::config::mirror;
use crate::config::reader::{Table, Value};
use crate::config::releases::gate::Gates;
use crate::config::releases::number::some_percent;
use crate::config::releases::test;
use crate::release::percent::Percent;
use crate::release::strategy::{Action, MirrorStep, Preview, Requirement};

/// How many steps there may be: more than anybody would wait for.
const MOST: usize = 100;

/// What belongs where steps are.
pub(in crate::config::releases) const STEPS: &str =
    "a list of steps such as [{ weight = 5, for = \"20m\" }, { weight = 100, bake = \"30m\" }]";

/// What belongs where a least time is.
pub(in crate::config::releases) const TIME: &str = "how long at least, such as \"20m\",";

/// What belongs where a preview's fields are.
const MATCH: &str = "what a request has to have, such as { headers = { x-canary = \"1\" } },";

/// What may be required.
pub(in crate::config) const REQUIREMENTS: [(&str, Requirement); 3] = [
    ("not-failed", Requirement::NotFailed),
    ("no-regression", Requirement::NoRegression),
    ("proven", Requirement::Proven),
];

/// A step as it is written: what it requires unless told otherwise depends on the checks.
pub(in crate::config::releases) struct Written<'d> {
    /// The step as a whole.
    pub(in crate::config::releases) place: Value<'d>,
    /// What it does.
    pub(in crate::config::releases) action: Action,
    /// Its least time, and where that is said.
    pub(in crate::config::releases) at_least: Option<Duration>,
    /// What it requires, and where that is said.
    pub(in crate::config::releases) require: Option<(Requirement, Value<'d>)>,
    /// The gate behind it, and where that is named.
    pub(in crate::config::releases) gate: Option<(String, Value<'d>)>,
}

/// Reads them; `None` when a problem was recorded.
pub(in crate::config::releases) fn all<'d>(
    value: &Value<'d>,
    gates: &Gates<'_>,
) -> Option<Vec<Written<'d>>> {
    let steps = value.list(STEPS, |value| {
        value.table(|table| step(value, table, gates))?
    })?;
    if !(1..=MOST).contains(&steps.len()) {
        value.refuse(format!("{} steps are not from 1 to {MOST}", steps.len()));
        return None;
    }
    Some(steps)
}

fn step<'d>(place: &Value<'d>, table: &mut Table<'d>, gates: &Gates<'_>) -> Option<Written<'d>> {
    let given = ["preview", "mirror", "weight"].map(|key| (key, table.optional(key)));
    let mut given = given
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_ref()?)));
    let first = given.next();
    let action = match first {
        Some(("preview", value)) => preview(value, table).map(Action::Preview),
        Some(("mirror", value)) => mirror(value, table).map(Action::Mirror),
        Some((_, value)) => some_percent(value).map(Action::Weight),
        None => {
            table.refuse("does nothing; preview, mirror or weight belongs here");
            None
        }
    };
    let what = first.map(|(key, _)| key);
    if let (Some(what), Some((_, value))) = (what, given.next()) {
        value.refuse_key(format!("there is {what} already; a step does one thing"));
    }
    if what != Some("preview") {
        table.refuse_key("match", "has no effect on a step without preview");
    }
    if what != Some("mirror") {
        table.refuse_key("methods", "has no effect on a step without mirror");
    }
    let (time, bake) = (table.optional("for"), table.optional("bake"));
    if let (Some(_), Some(bake)) = (&time, &bake) {
        bake.refuse_key("means the same as for, which is there already");
    }
    let time = time.or(bake);
    let at_least = match &time {
        Some(value) => value.duration(&WAIT).map(Some),
        None if what == Some("preview") || what.is_none() => Some(None),
        None => table.needed("for", TIME).map(|_| None),
    };
    let require = table.optional("require");
    let require = require.and_then(|value| Some((value.choice(&REQUIREMENTS)?, value)));
    let gate = table.optional("gate");
    let gate = gate.and_then(|value| Some((gates.named(&value)?, value)));
    Some(Written {
        place: place.clone(),
        action: action?,
        at_least: at_least?,
        require,
        gate,
    })
}

/// Reads who gets the candidate in a step without users: `preview = true` and what is beside it.
pub(in crate::config::releases) fn preview(
    value: &Value<'_>,
    table: &mut Table<'_>,
) -> Option<Preview> {
    if !value.boolean()? {
        value.refuse("false says nothing; leave it out");
        return None;
    }
    let matched = table.needed("match", MATCH)?;
    matched.table(|table| {
        let mut preview = Preview::default();
        if let Some(value) = table.optional("host") {
            let host = value.parsed(
                "a host such as \"preview.example.com\", without a port",
                host,
            );
            preview.host = Some(host?);
        }
        if let Some(value) = table.optional("headers") {
            preview.headers = test::headers(&value)?;
        }
        if preview.host.is_none() && preview.headers.is_empty() {
            table.refuse("empty: everybody would have that; a host or a field belongs here");
            return None;
        }
        Some(preview)
    })?
}

/// A host as requests name it, whatever the case.
fn host(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    let is_host = authority.as_str() == authority.host() && !text.contains('*');
    is_host.then(|| text.to_ascii_lowercase())
}

fn mirror(value: &Value<'_>, table: &mut Table<'_>) -> Option<MirrorStep> {
    let mut methods = mirror::METHODS.map(str::to_owned).to_vec();
    table.set("methods", &mut methods, mirror::methods);
    Some(MirrorStep {
        percent: some_percent(value)?,
        methods,
    })
}

/// Holds that steps lead somewhere: whom they give the candidate grows, and in the end that is
/// everybody, unless the shares are meant to stay.
pub(in crate::config::releases) fn check_order(steps: &[Written<'_>], has_end: bool) {
    let mut before = Percent::NONE;
    for step in steps {
        match &step.action {
            Action::Weight(weight) => {
                if *weight <= before {
                    let (weight, before) = (weight.percent(), before.percent());
                    step.place.refuse(format!(
                        "a weight of {weight} is not more than the one before it, {before}"
                    ));
                    return;
                }
                before = *weight;
            }
            Action::Preview(_) | Action::Mirror(_) if before != Percent::NONE => {
                step.place.refuse(
                    "comes after a weight, and would take the candidate away from its users; it \
                     belongs before the first weight",
                );
                return;
            }
            Action::Preview(_) | Action::Mirror(_) => {}
        }
    }
    if let Some(last) = steps.last().filter(|_| has_end && before != Percent::ALL) {
        last.place
            .refuse("is the last step and not weight = 100: the release would never end");
    }
}
