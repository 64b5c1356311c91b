//! Reads what people need to know of a release: a text, or a file with the text in it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::reader::{Table, Value};
use crate::release::readiness::{Document, Documents};

/// The largest document, in bytes: it is kept with the release.
const MOST: u64 = 64 << 10;

/// Reads the documents of a release, but for its ticket; files that they were read from are noted.
pub(in crate::config::releases) fn all(
    table: &mut Table<'_>,
    files: &mut BTreeMap<Document, PathBuf>,
) -> Documents {
    let mut documents = Documents::default();
    for (key, document, text) in [
        ("notes", Document::Notes, &mut documents.notes),
        (
            "rollback_plan",
            Document::RollbackPlan,
            &mut documents.rollback_plan,
        ),
        ("procedure", Document::Procedure, &mut documents.procedure),
    ] {
        let Some((read, file)) = table.optional(key).and_then(|value| one(&value)) else {
            continue;
        };
        *text = Some(read);
        if let Some(file) = file {
            files.insert(document, file);
        }
    }
    documents
}

/// Reads a document, with the path of the file that it is in if it is in one.
fn one(value: &Value<'_>) -> Option<(String, Option<PathBuf>)> {
    if value.is_table() {
        let (path, text) = value.table(|table| {
            let file = table.required("file", "the path of a file with the text")?;
            file.text_file(MOST)
        })??;
        return Some((text, Some(path)));
    }
    let text = value.parsed("a text or { file = \"…\" }", Some)?;
    if text.trim().is_empty() {
        value.refuse("is empty; leave it out, or say something");
        return None;
    }
    if MOST < text.len() as u64 {
        value.refuse("is larger than 64KiB");
        return None;
    }
    Some((text.to_owned(), None))
}
