//! `tidegate audit export`: records whole, for archives and other programs.

use std::io::Write;

use clap::Args;

use crate::cli::audit::pages::{Pages, Which};
use crate::cli::block_on;
use crate::cli::client::{Client, Instance};
use crate::cli::output::{Failure, json};

/// Print records whole.
#[derive(Args, Debug)]
#[command(after_help = "\
A line is the record as it is kept, but for blanks: its hash is that of its canonical form (RFC 8785)
without the hash.")]
pub(in crate::cli::audit) struct Export {
    /// From this record on, or from this moment on.
    #[arg(long, value_name = "SEQ|TIME", default_value = "1")]
    since: String,
    /// Up to this record, or this moment.
    #[arg(long, value_name = "SEQ|TIME")]
    until: Option<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    instance: Instance,
    /// Print one JSON document with all of them.
    #[arg(long)]
    pub(in crate::cli::audit) json: bool,
}

impl Export {
    pub(in crate::cli::audit) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let pages = Pages::new(&client, self.which);
        let (mut since, until) = (self.since, self.until.as_deref());
        let mut all = Vec::new();
        loop {
            let page = block_on(pages.from(&since, until))?;
            if self.json {
                all.extend(page.records);
            } else {
                for record in &page.records {
                    let line = serde_json::to_string(record).map_err(|error| {
                        Failure::Refused(format!("cannot write as JSON: {error}"))
                    })?;
                    writeln!(out, "{line}")?;
                }
            }
            match page.next {
                Some(next) => since = next.to_string(),
                None => break,
            }
        }
        if self.json {
            json(out, &all)?;
        }
        Ok(())
    }
}
