//! Flags as a whole, and the words in which their tests speak.

mod context;
mod debt;
mod debt_claims;
mod dependencies;
mod explain;
mod order;
mod refused;
mod release;
mod rules;
mod segments;
mod shares;
mod version;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value as Json};

use crate::flag::{
    Cause, Context, Evaluation, FlagError, FlagSpec, Flags, JsonContext, Prerequisite, Ramp,
    RuleSpec, Runtime, Serve,
};
use crate::segment::{Attribute, ConditionSpec, Operand, Operator, Segment, SegmentSpec, Takes};

/// A moment, in seconds since 1970.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A condition such as `country in DE|FR`.
fn condition(text: &str) -> ConditionSpec {
    let mut words = text.splitn(3, ' ');
    let attribute = words.next().unwrap().parse().unwrap();
    let name = words.next().unwrap();
    let operator = *Operator::ALL.iter().find(|it| it.name() == name).unwrap();
    let operand = words.next().unwrap_or_default();
    ConditionSpec {
        attribute,
        operator,
        operand: match operator.takes() {
            Takes::Text | Takes::Moment => Operand::Text(operand.to_owned()),
            Takes::Texts => Operand::Texts(operand.split('|').map(str::to_owned).collect()),
            Takes::Number => Operand::Number(operand.parse().unwrap()),
            Takes::Presence => Operand::Presence(operand != "not"),
        },
    }
}

/// A segment of conditions that have to hold together.
fn segment(conditions: &[&str]) -> Option<(String, Arc<Segment>)> {
    let group = conditions.iter().map(|text| condition(text)).collect();
    let segment = Segment::new(&SegmentSpec { any: vec![group] }).unwrap();
    Some((conditions.join(", "), Arc::new(segment)))
}

fn variant(name: &str) -> Serve {
    Serve::Variant(name.to_owned())
}

fn weights(weights: &[(&str, u32)]) -> BTreeMap<String, u32> {
    let weights = weights
        .iter()
        .map(|&(name, weight)| (name.to_owned(), weight));
    weights.collect()
}

/// A split into `on` and `off`.
fn split(on: u32, off: u32) -> Serve {
    Serve::Split(weights(&[("on", on), ("off", off)]))
}

/// A rule for a segment.
fn rule(conditions: &[&str], serve: Serve) -> RuleSpec {
    RuleSpec {
        segment: segment(conditions),
        ..RuleSpec::new(serve)
    }
}

/// A switch with these rules.
fn ruled(rules: Vec<RuleSpec>) -> FlagSpec {
    FlagSpec {
        rules,
        ..FlagSpec::switch()
    }
}

/// A switch that needs `on` of others.
fn needing(flags: &[&str]) -> FlagSpec {
    let needed = flags.iter().map(|flag| Prerequisite {
        flag: (*flag).to_owned(),
        variant: "on".to_owned(),
    });
    FlagSpec {
        prerequisites: needed.collect(),
        default: variant("on"),
        ..FlagSpec::switch()
    }
}

fn specs(flags: &[(&str, FlagSpec)]) -> BTreeMap<String, FlagSpec> {
    let flags = flags.iter().cloned();
    flags.map(|(name, spec)| (name.to_owned(), spec)).collect()
}

fn flags(written: &[(&str, FlagSpec)]) -> Flags {
    Flags::new(&specs(written), &BTreeMap::new()).unwrap()
}

/// The only flag, `f`, with what was set at run time.
fn set(spec: &FlagSpec, runtime: Runtime) -> Flags {
    let runtime = BTreeMap::from([("f".to_owned(), runtime)]);
    Flags::new(&specs(&[("f", spec.clone())]), &runtime).unwrap()
}

/// The only flag, `f`, that a release rolls out.
fn released(spec: &FlagSpec, on: u32, off: u32, salt: Option<&str>) -> Flags {
    let ramp = Ramp {
        weights: weights(&[("on", on), ("off", off)]),
        salt: salt.map(str::to_owned),
    };
    let runtime = Runtime {
        release: Some(ramp),
        ..Runtime::default()
    };
    set(spec, runtime)
}

/// All that is wrong, as it is told.
fn problems(written: &[(&str, FlagSpec)]) -> Vec<String> {
    let problems = Flags::problems(&specs(written));
    problems.iter().map(FlagError::to_string).collect()
}

/// A context as JSON, in the first second of 1970.
fn known(json: Json) -> JsonContext {
    known_at(0, json)
}

fn known_at(seconds: u64, json: Json) -> JsonContext {
    let Json::Object(object) = json else {
        panic!("{json} is no object");
    };
    JsonContext::new(object, at(seconds)).unwrap()
}

/// Somebody of whom nothing is known but the targeting key.
fn user(key: &(impl ToString + ?Sized)) -> JsonContext {
    let key = Json::String(key.to_string());
    let object = Map::from_iter([("targetingKey".to_owned(), key)]);
    JsonContext::new(object, at(0)).unwrap()
}

/// An answer as `on SPLIT rule 0`.
fn answer(flags: &Flags, name: &str, context: &impl Context) -> String {
    tell(&flags.evaluate(flags.position(name).unwrap(), context))
}

fn tell(evaluation: &Evaluation<'_>) -> String {
    let Evaluation {
        name,
        reason,
        cause,
        ..
    } = evaluation;
    let reason = reason.name();
    match cause {
        Cause::Prerequisite(flag) => format!("{name} {reason} prerequisite {flag}"),
        Cause::Rule(index) => format!("{name} {reason} rule {index}"),
        Cause::Killed | Cause::Disabled | Cause::Override | Cause::Release | Cause::Default => {
            format!("{name} {reason} {}", cause.name())
        }
    }
}

fn bucket_by(attribute: &str) -> Option<Attribute> {
    Some(attribute.parse().unwrap())
}
