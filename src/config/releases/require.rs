//! What the steps of a strategy require, as they say or by themselves, and whether that can ever be
//! so: a step that waits for what nobody looks at would wait forever.

use std::collections::BTreeMap;

use crate::config::near;
use crate::config::reader::Value;
use crate::config::releases::gate::Gates;
use crate::config::releases::step::Written;
use crate::release::analysis::{self, Check};
use crate::release::gate::Criterion;
use crate::release::percent::Percent;
use crate::release::strategy::{Action, Kind, Requirement};
use crate::release::test::Test;

/// The weight from which on a candidate has to be proven, in percent.
const PROVEN_FROM: f64 = 50.0;

/// What each step requires. Problems are those of steps and gates that could never be passed.
pub(in crate::config::releases) fn requirements(
    kind: Kind,
    steps: &[Written<'_>],
    start_gate: Option<&(String, Value<'_>)>,
    gates: &Gates<'_>,
    checks: &BTreeMap<String, Check>,
    tests: &BTreeMap<String, Test>,
) -> Vec<Requirement> {
    let names = Names {
        gates,
        checks,
        tests,
    };
    if let Some((gate, place)) = start_gate {
        names.check(gate, place, None);
    }
    let requirements = steps.iter().map(|step| {
        if let Some((gate, place)) = &step.gate {
            names.check(gate, place, Some(&step.action));
        }
        let can_tell = can_tell(&step.action, checks);
        let Some((required, place)) = &step.require else {
            return match step.action {
                Action::Weight(weight) if can_tell && kind != Kind::Ab => by_itself(weight),
                Action::Weight(_) | Action::Preview(_) | Action::Mirror(_) => {
                    Requirement::NotFailed
                }
            };
        };
        if *required != Requirement::NotFailed && !can_tell {
            place.refuse(match step.action {
                Action::Preview(_) => {
                    "nobody can tell in a preview, where the candidate has no users; \"not-failed\" \
                     belongs here"
                }
                Action::Mirror(_) => {
                    "nobody can tell while requests are mirrored without a check of the kind \
                     \"mismatch\""
                }
                Action::Weight(_) => "nobody can tell without a check that is more than a dry run",
            });
        }
        *required
    });
    requirements.collect()
}

/// What a weight requires by itself.
fn by_itself(weight: Percent) -> Requirement {
    if weight == Percent::ALL {
        Requirement::NotFailed
    } else if weight.percent() < PROVEN_FROM {
        Requirement::NoRegression
    } else {
        Requirement::Proven
    }
}

/// Whether any check that counts looks at what happens in such a step.
fn can_tell(action: &Action, checks: &BTreeMap<String, Check>) -> bool {
    let mut counting = checks.values().filter(|check| !check.dry_run);
    counting.any(|check| {
        let is_mismatch = matches!(check.kind, analysis::Kind::Mismatch { .. });
        match action {
            Action::Preview(_) => false,
            Action::Mirror(_) => is_mismatch,
            Action::Weight(_) => !is_mismatch,
        }
    })
}

/// What the criteria of gates may name.
struct Names<'n, 'd> {
    gates: &'n Gates<'d>,
    checks: &'n BTreeMap<String, Check>,
    tests: &'n BTreeMap<String, Test>,
}

impl Names<'_, '_> {
    /// Holds that a gate can open where it is named: behind a step that does this, or before the
    /// start.
    fn check(&self, gate: &str, place: &Value<'_>, action: Option<&Action>) {
        let Some(gate) = self.gates.read.get(gate) else {
            return;
        };
        for criterion in &gate.criteria {
            match criterion {
                Criterion::Verdict(_) => {
                    if !action.is_some_and(|action| can_tell(action, self.checks)) {
                        place.refuse(format!(
                            "the gate asks for {criterion}, and there is no check that could say so \
                             here"
                        ));
                    }
                }
                Criterion::Check(name) => {
                    let known = || self.checks.keys().chain(self.tests.keys());
                    if !known().any(|known| known == name) {
                        let hint = near::hint(name, known().map(String::as_str));
                        place.refuse(format!(
                            "the gate asks for {criterion}, and the strategy has no such check{hint}"
                        ));
                    }
                }
                Criterion::Document(_) | Criterion::Release(_) => {}
            }
        }
    }
}
