//! What a flag answers for a context, and why.

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use serde_json::{Map, Value};

use crate::admin::fault::Fault;
use crate::admin::flags::position;
use crate::admin::flags::view::Seen;
use crate::admin::params::{Params, invalid};
use crate::admin::releases::stamp;
use crate::admin::wire::{FlagCondition, FlagEvaluation, FlagStep};
use crate::admin::{Served, reply};
use crate::flag::{Cause, Flags, JsonContext, Line, Outcome, Step};

/// Evaluates a flag.
pub(in crate::admin) async fn evaluate(
    State(served): State<Served>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Fault> {
    let params = Params::of(&uri, &["context", "at", "explain"])?;
    let at = params.instant("at")?.unwrap_or_else(SystemTime::now);
    let object = params
        .text("context")
        .map_or_else(|| Ok(Map::new()), read)?;
    let context = JsonContext::new(object, at);
    let context = context.map_err(|error| invalid(format!("context: {error}")))?;
    let seen = Seen::of(&served.admin);
    let flag = position(&seen, &name)?;
    let told = if params.has("explain") {
        explained(seen.flags(), flag, &context)
    } else {
        evaluated(seen.flags(), flag, &context)
    };
    Ok(reply::json(&told))
}

fn read(text: &str) -> Result<Map<String, Value>, Fault> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(invalid("context: it is JSON, but not an object".to_owned())),
        Err(error) => Err(invalid(format!("context: it is not JSON: {error}"))),
    }
}

/// What a flag answers, with every line of the decision, in the words of the API.
pub fn explained(flags: &Flags, flag: usize, context: &JsonContext) -> FlagEvaluation {
    let steps = flags.explain(flag, context);
    FlagEvaluation {
        steps: steps.iter().map(step).collect(),
        ..evaluated(flags, flag, context)
    }
}

/// What a flag answers, in the words of the API.
pub fn evaluated(flags: &Flags, flag: usize, context: &JsonContext) -> FlagEvaluation {
    let evaluation = flags.evaluate(flag, context);
    let by = match evaluation.cause {
        Cause::Prerequisite(name) => Some(name.to_owned()),
        Cause::Rule(rule) => Some(flags.rule_name(flag, rule).into_owned()),
        Cause::Killed | Cause::Disabled | Cause::Override | Cause::Release | Cause::Default => None,
    };
    FlagEvaluation {
        flag: flags.name(flag).to_owned(),
        value: evaluation.value.to_json(),
        variant: evaluation.name.to_owned(),
        reason: evaluation.reason.name().to_owned(),
        cause: evaluation.cause.name().to_owned(),
        by,
        buckets_missing: evaluation.buckets_missing,
        version: flags.version(flag).to_owned(),
        steps: Vec::new(),
    }
}

fn step(step: &Step<'_>) -> FlagStep {
    let (line, about, groups) = match &step.line {
        Line::Kill => ("kill", None, &[][..]),
        Line::Disable => ("disable", None, &[][..]),
        Line::Prerequisite { flag, wants, has } => {
            let about = format!("{flag} has to be {wants}, and is {has}");
            ("prerequisite", Some(about), &[][..])
        }
        Line::Override => ("override", None, &[][..]),
        Line::Rule {
            name,
            segment,
            groups,
            ..
        } => {
            let about = match segment {
                Some(segment) => format!("{name} (segment {segment})"),
                None => name.clone().into_owned(),
            };
            ("rule", Some(about), groups.as_slice())
        }
        Line::Release => ("release", None, &[][..]),
        Line::Default => ("default", None, &[][..]),
    };
    let groups = groups.iter().map(|group| {
        let conditions = group.iter().map(|step| FlagCondition {
            condition: step.condition.to_string(),
            holds: step.holds,
        });
        conditions.collect()
    });
    let (outcome, text) = outcome(&step.outcome);
    FlagStep {
        line: line.to_owned(),
        about,
        outcome: outcome.to_owned(),
        text,
        groups: groups.collect(),
    }
}

fn outcome(outcome: &Outcome<'_>) -> (&'static str, String) {
    let plain = |text: &str| text.to_owned();
    match outcome {
        Outcome::Decided { variant, reason } => {
            ("decided", format!("decided: {variant} ({})", reason.name()))
        }
        Outcome::NotSet => ("not_set", plain("nothing is set")),
        Outcome::Met => ("met", plain("it is met")),
        Outcome::NotBefore(at) => ("not_before", format!("it holds from {}", stamp(*at))),
        Outcome::NotSince(at) => ("not_since", format!("it held until {}", stamp(*at))),
        Outcome::SegmentFails => ("segment_fails", plain("its segment does not hold")),
        Outcome::NoBucketKey => (
            "no_bucket_key",
            plain("the context has nothing that it divides by"),
        ),
        Outcome::Replaced => ("replaced", plain("a release stands in for it")),
        Outcome::NotAsked => ("not_asked", plain("a line before it decided")),
    }
}
