//! `tidegate flag kill` and its kin: what is set of a flag at run time, and taken back.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use crate::admin::wire::FlagChanged;
use crate::cli::flag::path;
use crate::cli::flag::show::standing;
use crate::cli::mutation::{Mutation, members};
use crate::cli::output::Failure;

/// Serve the off variant to everyone.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Kill {
    /// The flag.
    flag: String,
    #[command(flatten)]
    pub(in crate::cli::flag) mutation: Mutation,
}

/// Take a kill back.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Unkill {
    /// The flag.
    flag: String,
    #[command(flatten)]
    pub(in crate::cli::flag) mutation: Mutation,
}

/// Have a flag on.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Enable {
    /// The flag.
    flag: String,
    #[command(flatten)]
    lasts: Lasts,
    #[command(flatten)]
    pub(in crate::cli::flag) mutation: Mutation,
}

/// Have a flag off.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Disable {
    /// The flag.
    flag: String,
    #[command(flatten)]
    lasts: Lasts,
    #[command(flatten)]
    pub(in crate::cli::flag) mutation: Mutation,
}

/// Set what everyone is served.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Override {
    /// The flag.
    flag: String,
    /// The variant, or variants with their weights; one that is not named gets nothing.
    #[arg(value_name = "VARIANT[=WEIGHT]", required = true)]
    serve: Vec<String>,
    #[command(flatten)]
    lasts: Lasts,
    #[command(flatten)]
    pub(in crate::cli::flag) mutation: Mutation,
}

/// Take back what everyone is served.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct Clear {
    /// The flag.
    flag: String,
    #[command(flatten)]
    pub(in crate::cli::flag) mutation: Mutation,
}

/// How long something is to hold.
#[derive(Args, Debug)]
struct Lasts {
    /// Until when: a time such as 2h from now, or a moment.
    #[arg(long, value_name = "TIME", conflicts_with = "permanent")]
    expires: Option<String>,
    /// Until the file changes it, or somebody takes it back.
    #[arg(long)]
    permanent: bool,
}

impl Lasts {
    fn members(&self) -> Map<String, Value> {
        members([
            ("expires", json!(self.expires)),
            ("permanent", json!(self.permanent)),
        ])
    }
}

impl Kill {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        change(out, &self.mutation, &self.flag, "kill", &Map::new())
    }
}

impl Unkill {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        change(out, &self.mutation, &self.flag, "unkill", &Map::new())
    }
}

impl Enable {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        change(
            out,
            &self.mutation,
            &self.flag,
            "enable",
            &self.lasts.members(),
        )
    }
}

impl Disable {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        change(
            out,
            &self.mutation,
            &self.flag,
            "disable",
            &self.lasts.members(),
        )
    }
}

impl Override {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut members = self.lasts.members();
        let (name, what) = serve(&self.serve)?;
        members.insert(name.to_owned(), what);
        change(out, &self.mutation, &self.flag, "override", &members)
    }
}

impl Clear {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let path = format!("{}/override", path(&self.flag));
        send(out, &self.mutation, &Method::DELETE, &path, &Map::new())
    }
}

fn change(
    out: &mut dyn Write,
    mutation: &Mutation,
    flag: &str,
    what: &str,
    members: &Map<String, Value>,
) -> Result<(), Failure> {
    let path = format!("{}/{what}", path(flag));
    send(out, mutation, &Method::POST, &path, members)
}

fn send(
    out: &mut dyn Write,
    mutation: &Mutation,
    method: &Method,
    path: &str,
    members: &Map<String, Value>,
) -> Result<(), Failure> {
    let answer = mutation.send(method, path, members)?;
    let changed: FlagChanged = answer.value()?;
    if mutation.json {
        return answer.copy(out);
    }
    match &changed.flag {
        Some(flag) => writeln!(out, "{}", standing(flag))?,
        None => writeln!(out, "done; the flag is not in the file")?,
    }
    if !changed.changed.obeyed {
        writeln!(out, "it is kept, and not obeyed yet")?;
    }
    Ok(())
}

/// What everyone is to be served: the member of the body, and what it says.
fn serve(words: &[String]) -> Result<(&'static str, Value), Failure> {
    if let [variant] = words
        && !variant.contains('=')
    {
        return Ok(("variant", json!(variant)));
    }
    let mut weights = BTreeMap::new();
    for word in words {
        let wrong = || {
            let why = format!("{word}: neither one VARIANT nor VARIANT=WEIGHT, such as on=10");
            Failure::Usage(why)
        };
        let (variant, weight) = word.split_once('=').ok_or_else(wrong)?;
        let weight: u32 = weight.parse().map_err(|_| wrong())?;
        if weights.insert(variant.to_owned(), weight).is_some() {
            return Err(Failure::Usage(format!("{variant} is named twice")));
        }
    }
    Ok(("split", json!(weights)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::cli::flag::change::serve;

    fn of(words: &[&str]) -> Result<(&'static str, Value), ()> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        serve(&words).map_err(|_| ())
    }

    #[test]
    fn everyone_gets_one_variant_or_shares_of_several() {
        assert_eq!(of(&["on"]), Ok(("variant", json!("on"))));
        let split = json!({ "on": 10, "off": 90 });
        assert_eq!(of(&["on=10", "off=90"]), Ok(("split", split)));
        for wrong in [&["on", "off"][..], &["on=x"], &["on=1", "on=2"], &["on=-1"]] {
            assert_eq!(of(wrong), Err(()), "{wrong:?}");
        }
    }
}
