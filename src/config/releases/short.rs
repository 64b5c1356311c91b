//! Reads strategies that need no list of steps: blue-green with its one switch, and A/B with its one
//! share.

use std::time::Duration;

use crate::config::listener::WAIT;
use crate::config::reader::{Table, Value};
use crate::config::releases::gate::Gates;
use crate::config::releases::number::some_percent;
use crate::config::releases::step::{self, STEPS, TIME, Written};
use crate::release::percent::Percent;
use crate::release::strategy::{Action, Kind};

/// How long a switch is watched unless told otherwise.
const BAKE: Duration = Duration::from_secs(1800);

/// The share that a candidate of A/B has unless told otherwise, in percent.
const SHARE: f64 = 50.0;

/// The keys of blue-green, and those of A/B, where there are no steps.
const SWITCH: [&str; 4] = ["preview", "match", "bake", "gate"];
const SHARED: [&str; 2] = ["share", "for"];

/// Reads what stands in the place of steps; `place` is the strategy as a whole.
pub(in crate::config::releases) fn read<'d>(
    kind: Kind,
    place: &Value<'d>,
    table: &mut Table<'d>,
    gates: &Gates<'_>,
) -> Option<Vec<Written<'d>>> {
    match kind {
        Kind::BlueGreen => {
            refuse(table, &SHARED, "goes with kind = \"ab\"");
            switch(place, table, gates)
        }
        Kind::Ab => {
            refuse(table, &SWITCH, "goes with kind = \"blue-green\"");
            shared(place, table)
        }
        Kind::Canary | Kind::MirrorFirst => {
            refuse_all(table, "goes with kind = \"blue-green\" or kind = \"ab\"");
            table.needed("steps", STEPS);
            None
        }
    }
}

/// Refuses what stands in the place of steps.
pub(in crate::config::releases) fn refuse_all(table: &mut Table<'_>, why: &str) {
    refuse(table, &SWITCH, why);
    refuse(table, &SHARED, why);
}

fn refuse(table: &mut Table<'_>, keys: &[&'static str], why: &str) {
    for key in keys {
        table.refuse_key(key, why);
    }
}

fn switch<'d>(
    place: &Value<'d>,
    table: &mut Table<'d>,
    gates: &Gates<'_>,
) -> Option<Vec<Written<'d>>> {
    let written = |action, at_least, gate| Written {
        place: place.clone(),
        action,
        at_least,
        require: None,
        gate,
    };
    let mut bake = BAKE;
    table.set("bake", &mut bake, |value| value.duration(&WAIT));
    let mut steps = Vec::new();
    if let Some(value) = table.optional("preview") {
        let gate = table.optional("gate");
        let gate = gate.and_then(|value| Some((gates.named(&value)?, value)));
        let preview = step::preview(&value, table)?;
        steps.push(written(Action::Preview(preview), None, gate));
    } else {
        table.refuse_key("match", "has no effect without preview");
        table.refuse_key(
            "gate",
            "has no effect without preview; start_gate is before the switch",
        );
    }
    steps.push(written(Action::Weight(Percent::ALL), Some(bake), None));
    Some(steps)
}

fn shared<'d>(place: &Value<'d>, table: &mut Table<'d>) -> Option<Vec<Written<'d>>> {
    let mut share = Percent::new(SHARE)?;
    table.set("share", &mut share, some_percent);
    let time = table.needed("for", TIME)?.duration(&WAIT)?;
    Some(vec![Written {
        place: place.clone(),
        action: Action::Weight(share),
        at_least: Some(time),
        require: None,
        gate: None,
    }])
}
