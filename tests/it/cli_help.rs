//! What the command line tells of itself: help, completions, manual.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::command;
use crate::support::tool;

/// Set to have the texts written down anew.
const WRITE: &str = "TIDEGATE_WRITE_HELP";

/// The help of a command by its words; none are the program's own.
async fn help(words: &[String]) -> String {
    let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
    arguments.push("--help");
    let output = command::run(&arguments).await;
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stderr, "", "{words:?}");
    output.stdout
}

/// The names that a help text lists under "Commands:".
fn commands_in(help: &str) -> Vec<String> {
    let list = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let names = list.filter_map(|line| {
        let line = line.strip_prefix("  ")?;
        let name = line.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    names.collect()
}

/// The help of every command there is, by its words.
async fn all_help() -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let mut next = vec![Vec::new()];
    while let Some(words) = next.pop() {
        let text = help(&words).await;
        for name in commands_in(&text) {
            next.push([words.as_slice(), &[name]].concat());
        }
        found.push((words, text));
    }
    found
}

#[tokio::test]
async fn help_is_as_it_is_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help");
    let all = all_help().await;
    assert!(all.len() > 8, "{}", all.len());
    let mut files = BTreeSet::new();
    for (words, text) in all {
        let name = [&["tidegate".to_owned()], words.as_slice()].concat();
        let file: PathBuf = folder.join(format!("{}.txt", name.join("-")));
        if env::var_os(WRITE).is_some() {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(&file, &text).expect("a file");
        }
        let written = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == text,
            "the help of {name:?} is not that of {}; is it meant? Then: {WRITE}=1 cargo test \
             help_is\n{text}",
            file.display()
        );
        files.insert(file);
    }
    for entry in fs::read_dir(&folder).expect("a folder") {
        let file = entry.expect("an entry").path();
        assert!(files.contains(&file), "no command has {}", file.display());
    }
}

#[tokio::test]
async fn bash_completes_commands_and_options() {
    let Some(bash) = tool::find("bash") else {
        return;
    };
    let script = command::run(&["completions", "bash"]).await;
    assert_eq!(script.code, 0, "{script:?}");
    // It is longer than an argument may be.
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("tidegate.bash");
    fs::write(&file, script.stdout).expect("a file");
    let complete = |words: &str| {
        let n_words = words.split(' ').count();
        let test = format!(
            "source {}\nCOMP_WORDS=({words}); COMP_CWORD={}\n\
             _tidegate tidegate \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
             echo \"${{COMPREPLY[@]}}\"",
            file.display(),
            n_words - 1,
        );
        tool::run(Command::new(&bash).args(["--norc", "-c", &test]))
    };
    assert_eq!(complete("tidegate stat").trim(), "status");
    assert_eq!(complete("tidegate status --js").trim(), "--json");
    assert_eq!(complete("tidegate --color nev").trim(), "never");
}

#[tokio::test]
async fn every_shell_gets_a_script_that_knows_the_commands() {
    let commands = commands_in(&help(&[]).await);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = command::run(&["completions", shell]).await;
        assert_eq!(output.code, 0, "{output:?}");
        for command in &commands {
            assert!(
                output.stdout.contains(command.as_str()),
                "{shell}: {command}"
            );
        }
    }
    let output = command::run(&["completions", "edlin"]).await;
    assert_eq!(output.code, 2, "{output:?}");
}

#[tokio::test]
async fn the_manual_has_a_page_for_each_command() {
    let dir = TempDir::new().expect("a directory");
    let folder = dir.path().join("man1");
    let output = command::run(&["man", "--out", folder.to_str().expect("a path")]).await;
    assert_eq!(output.code, 0, "{output:?}");
    for (words, _) in all_help().await {
        let name = [&["tidegate".to_owned()], words.as_slice()]
            .concat()
            .join("-");
        let page = fs::read_to_string(folder.join(format!("{name}.1")));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    let main = fs::read_to_string(folder.join("tidegate.1")).expect("a page");
    for part in [".SH \"EXIT STATUS\"", ".SH ENVIRONMENT", "TIDEGATE_ADMIN"] {
        assert!(main.contains(part), "{part}: {main}");
    }
    let printed = command::run(&["man"]).await;
    assert_eq!(printed.stdout, main);

    let Some(groff) = tool::find("groff") else {
        return;
    };
    for entry in fs::read_dir(&folder).expect("a folder") {
        let page = entry.expect("an entry").path();
        let said = tool::run(Command::new(&groff).args(["-man", "-ww", "-z"]).arg(&page));
        assert_eq!(said, "", "{}", page.display());
    }
}

#[tokio::test]
async fn a_manual_that_cannot_be_written_is_said_to_be_so() {
    let output = command::run(&["man", "--out", "/dev/null/man1"]).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("/dev/null/man1"), "{output:?}");
}
