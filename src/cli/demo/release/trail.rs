//! The audit trail of the demo: what was decided, by whom and why, and whether it is whole.

use std::path::Path;

use crate::cli::audit::row;
use crate::cli::output::{self, Failure, Ink};
use crate::store::{self, Broken, Record, Verified};

/// Verifies the store in a folder.
pub(in crate::cli::demo::release) fn verify(folder: &Path) -> Result<Verified, Broken> {
    store::verify(folder, None)
}

/// The records as a table, no wider than so many columns.
pub(in crate::cli::demo::release) fn table(
    records: &[Record],
    columns: Option<usize>,
) -> Result<String, Failure> {
    let rows = records.iter().map(|record| {
        let [seq, time, who, what, _, why] = row(record);
        vec![seq, time, who, what, why]
    });
    let rows: Vec<_> = rows.collect();
    let mut out = Vec::new();
    output::table(
        &mut out,
        &["SEQ", "TIME", "WHO", "WHAT", "WHY"],
        &[0],
        &rows,
    )?;
    let text = String::from_utf8_lossy(&out);
    let cut = |line: &str| match columns {
        Some(columns) => line.chars().take(columns).collect(),
        None => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(cut).collect();
    Ok(format!("The audit trail:\n{}\n\n", lines.join("\n")))
}

/// Whether the trail is whole, in a sentence.
pub(in crate::cli::demo::release) fn verdict(
    outcome: &Result<Verified, Broken>,
    ink: Ink,
) -> String {
    match outcome {
        Ok(verified) => {
            let text = format!(
                "{} records, each chained to the one before: the chain is whole",
                verified.n_records
            );
            let head = &verified.head;
            let hash = head.hash.get(..12).unwrap_or(&head.hash);
            format!("{}; its head is {}:{hash}…", ink.green(text), head.seq)
        }
        Err(broken) => ink
            .red(format!("the chain is broken: {broken}"))
            .to_string(),
    }
}
