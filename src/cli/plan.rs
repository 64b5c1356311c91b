//! `tidegate plan`: what would change if a configuration were loaded, before it is.

use std::io::Write;
use std::path::Path;

use clap::{Args, ValueHint};
use serde_json::Value;

use crate::admin::wire::ConfigProblem;
use crate::cli::client::{Client, Instance};
use crate::cli::output::{Failure, Ink, json, percent, table};
use crate::cli::{NamedFile, block_on};
use crate::config::plan::{Change, DivisionChange, Move, Plan as Planned, Sides, Users};
use crate::config::{self, Config, Loaded};

/// Show what would change if a configuration were loaded.
#[derive(Args, Debug)]
#[command(after_help = "\
Secrets and files are compared by their names, and not by what they hold.")]
pub(in crate::cli) struct Plan {
    #[command(flatten)]
    file: NamedFile,
    /// What it would take the place of: the admin API of an instance, or another file; without it,
    /// what --admin names.
    #[arg(long, value_name = "URL|FILE", value_hint = ValueHint::FilePath)]
    against: Option<String>,
    #[command(flatten)]
    instance: Instance,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Exit with 1 when anything would change, as `git diff --exit-code` does.
    #[arg(long)]
    exit_code: bool,
}

impl Plan {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        self.json
    }

    pub(in crate::cli) fn run(self, out: &mut dyn Write, ink: Ink) -> Result<(), Failure> {
        let path = self.file.path()?;
        let new = load(&path)?;
        let (old, against) = self.against()?;
        let planned = Planned::new(&old, &new.config);
        let is_empty = planned.is_empty();
        if self.json {
            let warnings: Vec<_> = new.warnings.iter().map(ConfigProblem::from).collect();
            let mut answer = serde_json::json!({
                "file": path,
                "against": against,
                "changed": !is_empty,
                "warnings": warnings,
            });
            let planned = serde_json::to_value(planned)
                .map_err(|error| Failure::Refused(format!("cannot write as JSON: {error}")))?;
            if let (Value::Object(answer), Value::Object(planned)) = (&mut answer, planned) {
                answer.extend(planned);
            }
            json(out, &answer)?;
        } else {
            for warning in &new.warnings {
                writeln!(out, "warning: {warning}")?;
            }
            writeln!(out, "{} against {against}", path.display())?;
            print(out, &planned, ink)?;
        }
        if self.exit_code && !is_empty {
            return Err(Failure::Negative);
        }
        Ok(())
    }

    /// What the file would take the place of, and what that is called.
    fn against(&self) -> Result<(Config, String), Failure> {
        let mut instance = self.instance.clone();
        match &self.against {
            Some(url) if url.contains("://") => instance.address.admin.clone_from(url),
            Some(file) => {
                let loaded = load(Path::new(file))?;
                return Ok((loaded.config, file.clone()));
            }
            None => {}
        }
        let client = Client::new(&instance)?;
        let effective: Value = block_on(client.get("/api/v1/config"))?.value()?;
        let config = config::of_effective(&effective, Path::new(&instance.address.admin));
        let config = config.map_err(|problems| Failure::Invalid {
            what: format!(
                "what {} obeys is not understood; is it of another version?",
                instance.address.admin
            ),
            problems: problems.iter().map(ConfigProblem::from).collect(),
        })?;
        Ok((config, instance.address.admin))
    }
}

fn load(path: &Path) -> Result<Loaded, Failure> {
    config::load(path).map_err(|problems| Failure::of_file(path, &problems))
}

fn print(out: &mut dyn Write, plan: &Planned, ink: Ink) -> Result<(), Failure> {
    if plan.is_empty() {
        writeln!(out, "nothing would change")?;
        return Ok(());
    }
    writeln!(out)?;
    for change in &plan.changes {
        print_change(out, change, ink)?;
    }
    for division in &plan.divisions {
        writeln!(out)?;
        print_division(out, division, ink)?;
    }
    if !plan.effects.is_empty() {
        writeln!(out)?;
    }
    for effect in &plan.effects {
        writeln!(out, "{}: {}", effect.key, effect.message)?;
    }
    if !plan.restart.is_empty() {
        let keys = plan.restart.join(", ");
        writeln!(
            out,
            "\n{}",
            ink.red(format!(
                "needs a restart: {keys}; a reload refuses the whole file"
            ))
        )?;
    }
    Ok(())
}

fn print_change(out: &mut dyn Write, change: &Change, ink: Ink) -> Result<(), Failure> {
    let Change { key, old, new } = change;
    match (old, new) {
        (Some(old), Some(new)) => {
            writeln!(
                out,
                "{} {key} = {} -> {}",
                ink.cyan("~"),
                inline(old),
                inline(new)
            )?;
        }
        (None, Some(new)) => {
            let new = inline(&config::without_defaults(key, new));
            writeln!(out, "{} {key} = {new}", ink.green("+"))?;
        }
        (Some(old), None) => {
            let old = inline(&config::without_defaults(key, old));
            writeln!(out, "{} {key} = {old}", ink.red("-"))?;
        }
        (None, None) => {}
    }
    Ok(())
}

/// A value as TOML has it in one line.
fn inline(value: &Value) -> String {
    toml::Value::try_from(value).map_or_else(|_| value.to_string(), |value| value.to_string())
}

fn print_division(out: &mut dyn Write, division: &DivisionChange, ink: Ink) -> Result<(), Failure> {
    let of = match &division.segment {
        Some(segment) => format!("route {}, segment {segment}", division.route),
        None => format!("route {}", division.route),
    };
    writeln!(out, "{}: {}", ink.bold(of), told(&division.users))?;
    let rows: Vec<_> = division
        .variants
        .iter()
        .map(|variant| {
            vec![
                format!("  {}", variant.name),
                both(&variant.weight, u32::to_string),
                both(&variant.share, |share| percent(*share)),
                both(&variant.state, |state| (*state).to_owned()),
                both(&variant.upstream, String::clone),
            ]
        })
        .collect();
    let header = ["  VARIANT", "WEIGHT", "SHARE", "STATE", "UPSTREAM"];
    table(out, &header, &[], &rows)?;
    if let Users::Sticky { flows, .. } = &division.users
        && !flows.is_empty()
    {
        let row = |flow: &Move| {
            vec![
                format!("  {}", flow.from),
                flow.to.clone(),
                percent(flow.share),
            ]
        };
        let rows: Vec<_> = flows.iter().map(row).collect();
        table(out, &["  FROM", "TO", "USERS"], &[2], &rows)?;
    }
    Ok(())
}

/// What becomes of users, in words.
fn told(users: &Users) -> String {
    match users {
        Users::Drawn => "no users; requests are drawn".to_owned(),
        Users::Begin => "users stay from now on; requests were drawn before".to_owned(),
        Users::End => "no users any more; requests are drawn from now on".to_owned(),
        Users::Sticky {
            moved,
            elsewhere,
            anew,
            ..
        } => {
            let moved_text = percent(*moved);
            let mut text = match anew {
                Some(reason) => format!("up to {moved_text} of the users move: {reason}"),
                None => format!("{moved_text} of the users move"),
            };
            if elsewhere != moved {
                let elsewhere = percent(*elsewhere);
                text.push_str(&format!("; {elsewhere} come to another upstream"));
            }
            text
        }
        Users::Pinned {
            anew: Some(reason), ..
        } => format!("all pinned users are assigned anew: {reason}"),
        Users::Pinned { lost, .. } if lost.is_empty() => {
            "pinned users stay; new ones follow the weights".to_owned()
        }
        Users::Pinned { lost, .. } => format!(
            "pinned users stay, but those of {} are assigned anew",
            lost.join(", ")
        ),
    }
}

/// A value, or how it changes.
fn both<T: PartialEq>(sides: &Sides<T>, write: impl Fn(&T) -> String) -> String {
    let side = |value: &Option<T>| value.as_ref().map_or_else(|| "-".to_owned(), &write);
    if sides.old == sides.new {
        side(&sides.new)
    } else {
        format!("{} -> {}", side(&sides.old), side(&sides.new))
    }
}
