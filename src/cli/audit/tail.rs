//! `tidegate audit tail`: the last records, and those to come.

use clap::Args;

use crate::cli::audit::pages::{Pages, Which};
use crate::cli::client::{Client, Instance};
use crate::cli::output::{Failure, json, table};
use crate::cli::{block_on, printing};
use crate::store::Record;
use crate::store::instant;

/// Show the last records.
#[derive(Args, Debug)]
pub(in crate::cli::audit) struct Tail {
    /// How many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=1000))]
    lines: u64,
    /// Go on with those to come, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    instance: Instance,
    /// Print the records whole: as one JSON document, or one in each line with -f.
    #[arg(long)]
    pub(in crate::cli::audit) json: bool,
}

impl Tail {
    pub(in crate::cli::audit) fn run(self) -> Result<(), Failure> {
        let client = Client::new(&self.instance)?;
        let pages = Pages::new(&client, self.which.clone());
        if self.follow {
            return block_on(pages.follow(self.lines, |records| self.print(records)));
        }
        let (records, _) = block_on(pages.last(self.lines))?;
        printing(|out| {
            if self.json {
                return json(out, &records);
            }
            let header = ["SEQ", "TIME", "WHO", "WHAT", "OF", "WHY"];
            let rows: Vec<_> = records.iter().map(row).collect();
            table(out, &header, &[0], &rows)
        })
    }

    /// Prints records line by line, each on its own: what follows is not known yet.
    fn print(&self, records: &[Record]) -> Result<(), Failure> {
        printing(|out| {
            for record in records {
                if self.json {
                    let line = serde_json::to_string(record).map_err(|error| {
                        Failure::Refused(format!("cannot write as JSON: {error}"))
                    })?;
                    writeln!(out, "{line}")?;
                } else {
                    writeln!(out, "{}", line(record))?;
                }
            }
            Ok(())
        })
    }
}

fn row(record: &Record) -> Vec<String> {
    let mut row = crate::cli::audit::row(record).to_vec();
    row[1] = instant::text(record.at);
    row
}

fn line(record: &Record) -> String {
    let row = row(record);
    format!(
        "{:>6}  {}  {:<12}  {:<22}  {}  {}",
        row[0], row[1], row[2], row[3], row[4], row[5]
    )
    .trim_end()
    .to_owned()
}
