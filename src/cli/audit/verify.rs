//! `tidegate audit verify`: whether the trail is whole, by an instance, or offline in a folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::admin::wire::AuditVerified;
use crate::cli::block_on;
use crate::cli::client::{Client, Instance, encode};
use crate::cli::output::{Failure, Ink, json};
use crate::store::{Head, verify};

/// Verify the trail.
#[derive(Args, Debug)]
#[command(after_help = "\
The chain of hashes tells of records that were changed, dropped or moved. That the last ones are gone, or
that all was written anew, only an anchor tells: number and hash of a record that you kept elsewhere.")]
pub(in crate::cli::audit) struct Verify {
    /// The folder of a store, which is read here, offline; it may be in use, or a copy.
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
    /// A record that has to be there: its number and hash, as this command prints the last one.
    #[arg(long, value_name = "SEQ:HASH")]
    anchor: Option<Head>,
    #[command(flatten)]
    instance: Instance,
    /// Print the verdict as JSON.
    #[arg(long)]
    pub(in crate::cli::audit) json: bool,
}

impl Verify {
    pub(in crate::cli::audit) fn run(self, out: &mut dyn Write, ink: Ink) -> Result<(), Failure> {
        let (verified, head) = match &self.folder {
            Some(folder) => self.offline(folder),
            None => (self.ask()?, None),
        };
        if self.json {
            json(out, &verified)?;
        } else {
            print(out, &verified, head.as_ref(), ink)?;
        }
        if verified.is_whole {
            Ok(())
        } else {
            Err(Failure::Negative)
        }
    }

    fn ask(&self) -> Result<AuditVerified, Failure> {
        let client = Client::new(&self.instance)?;
        let anchor = self.anchor.as_ref();
        let query = anchor.map_or(String::new(), |anchor| {
            format!("?anchor={}", encode(&anchor.to_string()))
        });
        block_on(client.get(&format!("/api/v1/audit/verify{query}")))?.value()
    }

    fn offline(&self, folder: &Path) -> (AuditVerified, Option<Head>) {
        match verify(folder, self.anchor.as_ref()) {
            Ok(verified) => {
                let told = AuditVerified {
                    is_whole: true,
                    broken: None,
                    first: verified.first,
                    last: verified.head.seq,
                    n_records: verified.n_records,
                    n_snapshots: verified.n_snapshots,
                    is_anchored: verified.anchored,
                };
                (told, Some(verified.head))
            }
            Err(broken) => {
                let told = AuditVerified {
                    is_whole: false,
                    broken: Some(broken.to_string()),
                    first: 0,
                    last: 0,
                    n_records: 0,
                    n_snapshots: 0,
                    is_anchored: false,
                };
                (told, None)
            }
        }
    }
}

fn print(
    out: &mut dyn Write,
    verified: &AuditVerified,
    head: Option<&Head>,
    ink: Ink,
) -> Result<(), Failure> {
    if let Some(broken) = &verified.broken {
        writeln!(out, "{}: {broken}", ink.red("BROKEN"))?;
        return Ok(());
    }
    writeln!(
        out,
        "{}: {} records, {} to {}, and {} snapshots{}",
        ink.green("whole"),
        verified.n_records,
        verified.first,
        verified.last,
        verified.n_snapshots,
        if verified.is_anchored {
            "; the anchor is in its place"
        } else {
            ""
        },
    )?;
    if let Some(head) = head {
        writeln!(out, "head {head}")?;
    }
    Ok(())
}
