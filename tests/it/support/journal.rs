//! The journal of a proxy's store, read as anybody could: lines of JSON in files.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// All records in the store of a proxy that lies in this directory, in their order. A last line that
/// is being written is none yet.
pub(crate) fn records(dir: &Path) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(dir.join("state")) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "jsonl");
    let mut segments: Vec<_> = paths.filter(is_segment).collect();
    segments.sort();
    let texts = segments
        .iter()
        .map(|path| fs::read_to_string(path).expect("text"));
    let text: String = texts.collect();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.collect()
}

/// What was done, in its order, without what only says why something waits.
pub(crate) fn actions(dir: &Path) -> Vec<String> {
    let records = records(dir);
    let actions = records
        .iter()
        .map(|record| record["action"].as_str().unwrap_or_default());
    let told = actions.filter(|action| !["release.hold", "release.go"].contains(action));
    told.map(str::to_owned).collect()
}
