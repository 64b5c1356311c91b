//! What people ask of a release: pause, resume, skip, promote, abort, roll back, and the rest.

use std::io::Write;

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use crate::admin::wire::ReleaseChanged;
use crate::cli::client::Answer;
use crate::cli::mutation::{Mutation, members};
use crate::cli::output::Failure;
use crate::cli::release::path;
use crate::cli::steps::progress;

/// Ask something of a release.
#[derive(Args, Debug)]
pub(in crate::cli::release) struct Change {
    /// The identity of the release.
    pub(in crate::cli::release) id: String,
    #[command(flatten)]
    pub(in crate::cli::release) mutation: Mutation,
}

/// Give stable everything back after the promotion.
#[derive(Args, Debug)]
pub(in crate::cli::release) struct Rollback {
    #[command(flatten)]
    change: Change,
    /// Also where its window is over, or stable has no endpoint that is available.
    #[arg(long)]
    force: bool,
}

impl Change {
    /// Whether JSON was asked for.
    pub(in crate::cli::release) fn json(&self) -> bool {
        self.mutation.json
    }

    pub(in crate::cli::release) fn run(
        self,
        out: &mut dyn Write,
        command: &str,
    ) -> Result<(), Failure> {
        self.ask(out, command, &Map::new())
    }

    fn ask(
        &self,
        out: &mut dyn Write,
        command: &str,
        members: &Map<String, Value>,
    ) -> Result<(), Failure> {
        let path = path(&self.id, &format!("/{command}"));
        let answer = self.mutation.send(&Method::POST, &path, members)?;
        tell(out, &answer, self.json())
    }
}

impl Rollback {
    /// Whether JSON was asked for.
    pub(in crate::cli::release) fn json(&self) -> bool {
        self.change.json()
    }

    pub(in crate::cli::release) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let members = members([("force", Value::Bool(self.force))]);
        self.change.ask(out, "rollback", &members)
    }
}

/// Tells what came of it: the exit code is 3 where the file asks for something else.
pub(in crate::cli) fn tell(
    out: &mut dyn Write,
    answer: &Answer,
    json: bool,
) -> Result<(), Failure> {
    let changed: ReleaseChanged = answer.value()?;
    if json {
        answer.copy(out)?;
    } else {
        print(out, &changed)?;
    }
    match &changed.release.conflict {
        None => Ok(()),
        Some(_) if json => Err(Failure::Told(3)),
        Some(conflict) => Err(Failure::Conflicts(format!(
            "the file asks for something else: {conflict}; `tidegate release accept-file` or \
             `tidegate release keep` decides"
        ))),
    }
}

fn print(out: &mut dyn Write, changed: &ReleaseChanged) -> Result<(), Failure> {
    let row = &changed.release.row;
    writeln!(
        out,
        "{}: {} {}; record {} of the audit trail",
        row.id,
        row.phase,
        progress(row),
        changed.changed.seq,
    )?;
    if !changed.changed.obeyed {
        writeln!(out, "it is kept, and routes do not obey it yet")?;
    }
    if let Some(cause) = &row.cause {
        writeln!(out, "{cause}")?;
    }
    for hold in &row.holds {
        writeln!(
            out,
            "held by {}: {}; it ends when {}",
            hold.reason, hold.detail, hold.clears_when
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::admin::wire::{Changed, ReleaseChanged};
    use crate::cli::release::change::print;
    use crate::cli::release::show::tests::release;

    #[test]
    fn a_change_tells_where_the_release_stands_and_what_holds_it() {
        let changed = ReleaseChanged {
            changed: Changed {
                obeyed: false,
                seq: 14,
                record: String::new(),
            },
            release: release(),
        };
        let mut out = Vec::new();
        print(&mut out, &changed).unwrap();
        let text = String::from_utf8(out).unwrap();
        let first = "shop-2.0.0: progressing [##--] 2/4 5 %; record 14 of the audit trail";
        assert_eq!(text.lines().next(), Some(first));
        assert!(text.contains("do not obey it yet"), "{text}");
        assert!(text.contains("held by approval:sre"), "{text}");
    }
}
