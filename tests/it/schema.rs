//! The JSON Schema, as editors and validators of others see it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::command;
use crate::support::tool;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The examples of configuration, and the parts that they include.
fn examples() -> Vec<PathBuf> {
    let folders = ["config", "config/conf.d"].map(|folder| repository().join(folder));
    let mut examples = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                examples.push(path);
            }
        }
    }
    examples
}

#[tokio::test]
async fn a_validator_of_others_allows_the_examples_and_refuses_what_is_refused() {
    let output = command::run(&["config", "schema"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    let dir = TempDir::new().expect("a directory");
    let schema = dir.path().join("schema.json");
    fs::write(&schema, output.stdout).expect("a file");
    let Some(python) = tool::python() else {
        return;
    };
    let mut judge = Command::new(python);
    judge
        .arg(repository().join("tests/peers/schema.py"))
        .arg(schema)
        .arg(repository().join("tests/vectors/refused.toml"))
        .args(examples());
    let said = tool::run(&mut judge);
    assert!(said.contains(" files and "), "{said}");
}

#[test]
fn every_example_names_the_schema_that_lies_beside_it() {
    let examples = examples();
    assert!(7 <= examples.len(), "{examples:?}");
    for example in examples {
        let text = fs::read_to_string(&example).expect("a file");
        let first = text.lines().next().unwrap_or_default();
        let schema = first.strip_prefix("#:schema ");
        let schema = schema.unwrap_or_else(|| panic!("{}: {first}", example.display()));
        let schema = example.parent().expect("a folder").join(schema);
        assert!(schema.is_file(), "{}", schema.display());
    }
}
