//! Programs of others that a test checks something with, where they are installed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set where all of them are there, so that a test which cannot run is a failed one.
const REQUIRED: &str = "TIDEGATE_REQUIRE_PEERS";

/// Where a program is; without it a test says so and passes, unless it must not.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(
            env::var_os(REQUIRED).is_none(),
            "{name} is not installed, and {REQUIRED} is set"
        );
        eprintln!("left out: {name} is not installed");
    }
    found
}

/// A Python that has the packages of `tests/peers/requirements.txt`: the one that `TIDEGATE_PYTHON`
/// names, else that of `target/peers`, where `.ci/run` puts it. Without it a test says so and
/// passes, unless it must not.
pub(crate) fn python() -> Option<PathBuf> {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/python");
    let python = env::var_os("TIDEGATE_PYTHON").map_or_else(usual, PathBuf::from);
    if python.is_file() {
        return Some(python);
    }
    assert!(
        env::var_os(REQUIRED).is_none(),
        "there is no {}, and {REQUIRED} is set",
        python.display()
    );
    eprintln!("left out: no Python with the packages of tests/peers/requirements.txt");
    None
}

/// Runs a program to its end, which must be a good one, and gives what it wrote.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("a program that starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}
