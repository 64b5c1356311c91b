//! `tidegate flag eval` and `explain`: what a flag answers for a context, and why.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, ValueHint};
use serde_json::{Map, Value};

use crate::admin::flags::{evaluated, explained};
use crate::admin::wire::{FlagEvaluation, FlagStep};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, encode};
use crate::cli::flag::path;
use crate::cli::output::{Failure, Ink, json};
use crate::config;
use crate::flag::JsonContext;

/// Tell what a flag answers.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Eval {
    #[command(flatten)]
    pub(in crate::cli::flag) asked: Asked,
}

/// Tell what a flag answers, and why.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Explain {
    #[command(flatten)]
    pub(in crate::cli::flag) asked: Asked,
}

/// What is asked of a flag.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Asked {
    /// The flag.
    flag: String,
    /// A key of the context and its value, as text; may be given several times. What users are divided
    /// by is targetingKey.
    #[arg(long = "context", value_name = "KEY=VALUE", num_args = 1.., value_parser = pair)]
    context: Vec<(String, String)>,
    /// The context as a JSON object; keys of --context go before its own.
    #[arg(long, value_name = "JSON")]
    context_json: Option<String>,
    /// Ask this configuration file instead of a running instance.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    #[command(flatten)]
    instance: Instance,
    /// Print JSON.
    #[arg(long)]
    pub(in crate::cli::flag) json: bool,
}

impl Eval {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write, ink: Ink) -> Result<(), Failure> {
        let evaluation = match &self.asked.config {
            Some(file) => self.asked.offline(file, evaluated)?,
            None => self.asked.online("")?,
        };
        self.asked.print(out, &evaluation, ink)
    }
}

impl Explain {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write, ink: Ink) -> Result<(), Failure> {
        let evaluation = match &self.asked.config {
            Some(file) => self.asked.offline(file, explained)?,
            None => self.asked.online("&explain")?,
        };
        self.asked.print(out, &evaluation, ink)
    }
}

impl Asked {
    fn context(&self) -> Result<Map<String, Value>, Failure> {
        let mut context = match self.context_json.as_deref().map(serde_json::from_str) {
            None => Map::new(),
            Some(Ok(Value::Object(object))) => object,
            Some(Ok(_)) => {
                let why = "--context-json: it is JSON, but not an object";
                return Err(Failure::Usage(why.to_owned()));
            }
            Some(Err(error)) => {
                return Err(Failure::Usage(format!("--context-json: not JSON: {error}")));
            }
        };
        for (key, value) in &self.context {
            context.insert(key.clone(), Value::String(value.clone()));
        }
        Ok(context)
    }

    /// By the file alone, with nothing set at run time.
    fn offline(
        &self,
        file: &Path,
        ask: impl Fn(&crate::flag::Flags, usize, &JsonContext) -> FlagEvaluation,
    ) -> Result<FlagEvaluation, Failure> {
        let loaded = config::load(file).map_err(|problems| Failure::of_file(file, &problems))?;
        let flags = &loaded.config.flags.built;
        let context = JsonContext::new(self.context()?, SystemTime::now());
        let context = context.map_err(|error| Failure::Usage(format!("--context: {error}")))?;
        let flag = flags.position(&self.flag).ok_or_else(|| {
            let names = (0..flags.len()).map(|flag| flags.name(flag));
            let near = config::hint(&self.flag, names);
            Failure::Refused(format!("there is no flag `{}`{near}", self.flag))
        })?;
        Ok(ask(flags, flag, &context))
    }

    fn online(&self, more: &str) -> Result<FlagEvaluation, Failure> {
        let client = Client::new(&self.instance)?;
        let context = Value::Object(self.context()?).to_string();
        let path = path(&self.flag);
        let query = format!("{path}/evaluate?context={}{more}", encode(&context));
        block_on(client.get(&query))?.value()
    }

    fn print(
        &self,
        out: &mut dyn Write,
        evaluation: &FlagEvaluation,
        ink: Ink,
    ) -> Result<(), Failure> {
        if self.json {
            json(out, evaluation)
        } else {
            print(out, evaluation, ink)
        }
    }
}

fn print(out: &mut dyn Write, evaluation: &FlagEvaluation, ink: Ink) -> Result<(), Failure> {
    let value = evaluation.value.to_string();
    writeln!(out, "value    {}", ink.bold(value))?;
    writeln!(out, "variant  {}", evaluation.variant)?;
    let by = match (evaluation.cause.as_str(), &evaluation.by) {
        ("rule", Some(rule)) => format!("rule {rule:?}"),
        ("prerequisite", Some(flag)) => format!("prerequisite {flag}"),
        (cause, _) => cause.to_owned(),
    };
    writeln!(out, "reason   {}: {by}", evaluation.reason)?;
    match evaluation.buckets_missing {
        0 => {}
        1 => writeln!(
            out,
            "         the context has nothing that a split divides by"
        )?,
        n => writeln!(
            out,
            "         the context has nothing that {n} splits divide by"
        )?,
    }
    if !evaluation.steps.is_empty() {
        writeln!(out)?;
    }
    for (n, step) in evaluation.steps.iter().enumerate() {
        steps(out, n + 1, step, ink)?;
    }
    Ok(())
}

fn steps(out: &mut dyn Write, n: usize, step: &FlagStep, ink: Ink) -> Result<(), Failure> {
    let about = step.about.as_deref().unwrap_or_default();
    let line = format!("{n:>2}  {:<13}{about}", step.line);
    let line = line.trim_end();
    if step.outcome == "decided" {
        writeln!(out, "{}: {}", ink.bold(line), ink.green(&step.text))?;
    } else {
        writeln!(out, "{line}: {}", step.text)?;
    }
    for (n, group) in step.groups.iter().enumerate() {
        if n > 0 {
            writeln!(out, "      or")?;
        }
        for condition in group {
            let mark = if condition.holds { "+" } else { "-" };
            writeln!(out, "      {mark} {}", condition.condition)?;
        }
    }
    Ok(())
}

/// Reads `country=DE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not KEY=VALUE, such as country=DE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::admin::wire::FlagEvaluation;
    use crate::cli::flag::evaluate::{pair, print};
    use crate::cli::output::Ink;

    #[test]
    fn a_key_and_its_value_are_one_word() {
        let owned = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(pair("country=DE"), owned("country", "DE"));
        assert_eq!(pair("email=a=b"), owned("email", "a=b"));
        assert_eq!(pair("plan="), owned("plan", ""));
        for wrong in ["country", "=DE", ""] {
            assert!(pair(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_told_with_each_line_that_led_to_it() {
        let evaluation: FlagEvaluation = serde_json::from_value(json!({
            "flag": "f", "value": true, "variant": "on", "reason": "TARGETING_MATCH",
            "cause": "rule", "by": "beta", "buckets_missing": 0, "version": "0",
            "steps": [
                { "line": "kill", "outcome": "not_set", "text": "nothing is set" },
                { "line": "rule", "about": "beta (segment eu)", "outcome": "decided",
                  "text": "decided: on (TARGETING_MATCH)", "groups": [
                    [{ "condition": "plan eq \"pro\"", "holds": false }],
                    [{ "condition": "country eq \"DE\"", "holds": true }],
                ]},
            ],
        }))
        .unwrap();
        let mut out = Vec::new();
        print(&mut out, &evaluation, Ink::Plain).unwrap();
        let expected = "value    true\nvariant  on\nreason   TARGETING_MATCH: rule \"beta\"\n\n \
                        1  kill: nothing is set\n \
                        2  rule         beta (segment eu): decided: on (TARGETING_MATCH)\n      \
                        - plan eq \"pro\"\n      or\n      + country eq \"DE\"\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
