//! The layout's law, held by reading the source: who may know whom, and what may lie where.
//!
//! A check takes one file's path and text and gives complaints, each with the room that what it
//! found belongs in. `every_check_can_fail` shows each of them something bad, because a check that
//! finds nothing anywhere looks the same as one that works.

use std::fs;
use std::path::Path;
use std::process::Command;

/// This file holds the patterns that it looks for.
const THIS: &str = "tests/tidy.rs";

const MAX_LINES: usize = 500;

/// Names that say nothing: what is in such a module belongs to whoever needs it.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "types", "helpers", "core", "manager"];

/// Modules that decide: no I/O, no clock, no dice.
const PURE: &str = "src/route src/segment src/split src/flag src/http1/codec";

const IMPURE: &str = "Instant::now SystemTime::now tokio rand getrandom .await std::fs TcpStream";

/// What begins like a metric's name and is none.
const NO_METRIC: [&str; 2] = ["\"tidegate_id\"", "\"tidegate_pin\""]; // cookies

/// What may lie at the top of the repository, besides dotfiles.
const TOP: &str = "Cargo.toml Cargo.lock src config tests benches loadtest fuzz deploy docs Dockerfile \
                   README.md CHANGELOG.md SECURITY.md clippy.toml deny.toml rustfmt.toml";

/// One file of the repository.
struct Source {
    path: String,
    text: String,
    only_tests: bool,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            only_tests: false,
        }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_within(&self, folder: &str) -> bool {
        self.path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether this is the file or the folder of a module: `src/route` is both `src/route.rs` and
    /// `src/route/…`.
    fn is_of_module(&self, module: &str) -> bool {
        self.is_within(module) || self.path == format!("{module}.rs")
    }

    /// The lines of code: numbered from 1, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(index, line)| (index + 1, without_comment(line)))
    }

    /// The lines of code that are not tests: none in a file of tests, and none from `mod tests {` on.
    fn code_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let inline = self.text.find("#[cfg(test)]\nmod tests {");
        let end = inline.map_or(usize::MAX, |at| self.text[..at].lines().count() + 1);
        let end = if self.only_tests { 0 } else { end };
        self.code().take_while(move |(number, _)| *number < end)
    }

    /// Whether `self` declares `other` as a module for tests alone.
    fn declares_as_tests(&self, other: &Source) -> bool {
        let folder = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let rest = other.path.strip_prefix(folder.trim_end_matches("/lib"));
        let rest = rest.and_then(|rest| rest.strip_prefix('/')).unwrap_or("");
        let name = rest.split('/').next().unwrap_or("").trim_end_matches(".rs");
        !name.is_empty() && self.text.contains(&format!("#[cfg(test)]\nmod {name};"))
    }

    fn complaint(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    /// A complaint for each line of `lines` that mentions one of `words`.
    fn mentions<'a>(
        &'a self,
        lines: impl Iterator<Item = (usize, &'a str)>,
        words: &[&str],
        advice: &str,
    ) -> Vec<String> {
        let found = lines.filter_map(|(number, line)| {
            let word = words.iter().find(|word| has_word(line, word))?;
            Some(self.complaint(number, &format!("`{word}`: {advice}")))
        });
        found.collect()
    }
}

/// The line up to its comment, if it has one outside of a string.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let bytes = line.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        let escaped = index > 0 && bytes[index - 1] == b'\\';
        match byte {
            b'"' if !escaped && bytes.get(index + 1) != Some(&b'\'') => quoted = !quoted,
            b'/' if !quoted && bytes.get(index + 1) == Some(&b'/') => return &line[..index],
            _ => {}
        }
    }
    line
}

/// Whether `line` has `word`, not as a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let open = !word.starts_with(of_name) || !before.is_some_and(of_name);
        open && (!word.ends_with(of_name) || !after.is_some_and(of_name))
    })
}

/// The modules in the order of `src/lib.rs`.
fn modules(lib: &str) -> Vec<String> {
    let declared = lib.lines().filter_map(|line| {
        let line = without_comment(line).trim();
        let name = line.strip_prefix("pub ").unwrap_or(line);
        name.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.map(str::to_owned).collect()
}

/// The names that follow `crate::` in a line.
fn crate_paths(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

fn order(source: &Source, order: &[String]) -> Vec<String> {
    let own = order
        .iter()
        .position(|module| source.is_of_module(&format!("src/{module}")));
    let Some(own) = own else {
        return Vec::new();
    };
    let mut complaints = Vec::new();
    for (number, line) in source.code() {
        for name in crate_paths(line).filter(|name| !name.is_empty()) {
            let what = match order.iter().position(|module| module == name) {
                Some(other) if other <= own => continue,
                Some(_) => format!(
                    "`{}` may not know `{name}`, which is declared below it in src/lib.rs: what is \
                     needed here belongs in `{}` or above, or this code belongs in `{name}`",
                    order[own], order[own]
                ),
                None => format!("`{name}` is no module of src/lib.rs: give it an owner there"),
            };
            complaints.push(source.complaint(number, &what));
        }
    }
    complaints
}

fn imports(source: &Source) -> Vec<String> {
    let advice = "say where it is from the root, one `use crate::module::Name` per module";
    source.mentions(
        source.code(),
        &["super::", "use super", "crate::{", "crate::*"],
        advice,
    )
}

fn heading(source: &Source) -> Vec<String> {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    let what = "begins without `//!`: say in two to ten lines what this file is and why";
    vec![source.complaint(1, what)]
}

fn length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines <= MAX_LINES {
        return Vec::new();
    }
    let what = format!(
        "{lines} lines are two subjects ({MAX_LINES} at most): split by subject into files of the \
         same folder, and long tests into a tests.rs of their own"
    );
    vec![source.complaint(lines, &what)]
}

fn names(source: &Source) -> Vec<String> {
    let advice = "says nothing: a shared thing lives in the lowest module that needs it";
    let path = source.path.trim_end_matches(".rs");
    let named = path.split('/').filter(|name| EMPTY_NAMES.contains(name));
    named
        .map(|name| source.complaint(1, &format!("the name `{name}` {advice}")))
        .collect()
}

fn leftovers(source: &Source) -> Vec<String> {
    let lines = source.text.lines().enumerate();
    let lines = lines.map(|(index, line)| (index + 1, line));
    let lints = ["#[allow(", "#![allow("];
    let mut complaints = source.mentions(
        source.code(),
        &lints,
        "`#[expect(lint, reason = \"…\")]` on the smallest item, or no exception",
    );
    complaints.extend(source.mentions(
        source.code(),
        &["todo!", "unimplemented!", "dbg!"],
        "finish it or leave it out; what comes later is no part of the source",
    ));
    complaints.extend(source.mentions(
        lines,
        &["TODO", "FIXME", "XXX"],
        "a comment tells what is, not what is missing: open an issue",
    ));
    complaints.extend(source.mentions(
        source.code(),
        &["#[ignore"],
        "a test runs always, or it is no test: pause its time, or move it to loadtest/",
    ));
    complaints
}

fn purity(source: &Source) -> Vec<String> {
    if !PURE.split(' ').any(|module| source.is_of_module(module)) {
        return Vec::new();
    }
    let advice = "this module decides and does nothing: let the caller (proxy, listener, control) \
                  pass in time, randomness and bytes";
    let words: Vec<&str> = IMPURE.split(' ').collect();
    source.mentions(source.code_without_tests(), &words, advice)
}

/// A spawned task is bare when nothing keeps its handle: the line begins with the call, or drops it.
fn spawns(source: &Source) -> Vec<String> {
    let advice = "a task has an owner and an end: keep its handle in what ends it, a TaskTracker, \
                  a JoinSet, or a guard whose Drop stops it";
    let bare = source.code_without_tests().filter(|(_, line)| {
        let calls = ["tokio::spawn(", "tokio::task::spawn("];
        let before = calls
            .iter()
            .find_map(|call| Some(line.split_once(call)?.0.trim()));
        let unkept = |before: &str| ["", "let _ =", "drop("].contains(&before);
        before.is_some_and(unkept) || line.contains("use tokio::spawn")
    });
    bare.map(|(number, _)| source.complaint(number, advice))
        .collect()
}

fn sleeps(source: &Source) -> Vec<String> {
    let advice = "tests wait for what they want to see, with a deadline, or pause time; they \
                  never sleep";
    let words = ["thread::sleep", "time::sleep", "sleep(", "sleep_until("];
    source.mentions(source.code(), &words, advice)
}

fn metric_names(source: &Source) -> Vec<String> {
    if source.is_within("src/telemetry") {
        return Vec::new();
    }
    let lines = source
        .code_without_tests()
        .filter(|(_, line)| line.contains("\"tidegate_"))
        .filter(|(_, line)| !NO_METRIC.iter().any(|name| line.contains(name)));
    let advice = "a metric's name and help are in src/telemetry/metrics.rs or nowhere";
    lines
        .map(|(number, _)| source.complaint(number, advice))
        .collect()
}

fn shared(source: &Source) -> Vec<String> {
    let found = source.text.lines().enumerate();
    let advice = "the repository stands alone: bring what it needs, in words of its own";
    found
        .filter(|(_, line)| line.contains(concat!("../", "shared")))
        .map(|(index, _)| source.complaint(index + 1, advice))
        .collect()
}

fn top_level(source: &Source) -> Vec<String> {
    let first = source.path.split('/').next().unwrap_or_default();
    if first.starts_with('.')
        || first.starts_with("LICENSE-")
        || TOP.split(' ').any(|name| name == first)
    {
        return Vec::new();
    }
    let advice = "DESIGN knows nothing of that name at the top: documents go to docs/, files for \
                  an installation to deploy/, examples of configuration to config/";
    vec![source.complaint(1, &format!("`{first}`: {advice}"))]
}

/// Every file of the repository that is text: what git knows or would add; without git, a walk.
fn repository() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let mut paths: Vec<String> = match listed {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    // No git, or a copy that lies in somebody else's repository.
    if !paths.iter().any(|path| path == "src/lib.rs") {
        paths.clear();
        walk(root, "", &mut paths);
    }
    paths.sort();
    paths.dedup();
    let read = paths.into_iter().filter_map(|path| {
        let text = fs::read_to_string(root.join(&path)).ok()?;
        Some(Source::new(&path, &text))
    });
    let mut sources: Vec<Source> = read.collect();
    let only_tests: Vec<bool> = sources
        .iter()
        .map(|source| source.is_rust() && sources.iter().any(|of| of.declares_as_tests(source)))
        .collect();
    for (source, only_tests) in sources.iter_mut().zip(only_tests) {
        source.only_tests = only_tests;
    }
    sources
}

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "target" || name == ".git" {
            continue;
        }
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{prefix}{name}/"), paths);
        } else {
            paths.push(format!("{prefix}{name}"));
        }
    }
}

/// Holds a check against every file that `concerns` it.
#[track_caller]
fn hold(concerns: impl Fn(&Source) -> bool, check: impl Fn(&Source) -> Vec<String>) {
    let sources = repository();
    let concerned: Vec<&Source> = sources.iter().filter(|source| concerns(source)).collect();
    let complaints: Vec<String> = concerned.into_iter().flat_map(check).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn rust(source: &Source) -> bool {
    source.is_rust() && source.path != THIS
}

fn rust_in_src(source: &Source) -> bool {
    source.is_rust() && source.is_within("src")
}

#[test]
fn a_module_imports_only_from_those_declared_above_it() {
    let sources = repository();
    let lib = sources.iter().find(|source| source.path == "src/lib.rs");
    let declared = modules(&lib.expect("there is a src/lib.rs").text);
    hold(rust_in_src, |source| order(source, &declared));
}

#[test]
fn imports_name_their_place_from_the_root() {
    hold(rust, imports);
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    hold(Source::is_rust, heading);
}

#[test]
fn no_file_is_too_long_for_one_subject() {
    hold(Source::is_rust, length);
}

#[test]
fn no_module_has_an_empty_name() {
    hold(rust, names);
}

#[test]
fn nothing_is_left_unfinished_silenced_or_skipped() {
    hold(rust, leftovers);
}

#[test]
fn decisions_read_no_clock_roll_no_dice_and_wait_for_nobody() {
    hold(rust_in_src, purity);
}

#[test]
fn every_task_has_an_owner() {
    hold(rust_in_src, spawns);
}

#[test]
fn tests_never_sleep() {
    hold(|source| rust(source) && source.is_within("tests"), sleeps);
}

#[test]
fn metrics_are_named_in_telemetry() {
    hold(rust_in_src, metric_names);
}

#[test]
fn the_top_of_the_repository_holds_only_what_is_known() {
    hold(|_| true, top_level);
}

#[test]
fn the_repository_stands_alone() {
    hold(|_| true, shared);
}

#[test]
fn every_check_can_fail() {
    #[track_caller]
    fn bites(check: impl Fn(&Source) -> Vec<String>, path: &str, text: &str, times: usize) {
        let complaints = check(&Source::new(path, text));
        assert_eq!(complaints.len(), times, "{complaints:#?}");
    }
    let declared = modules("pub mod message;\n// pub mod no;\npub mod route;\nmod proxy;\n");
    assert_eq!(declared, ["message", "route", "proxy"]);
    let in_order = |source: &Source| order(source, &declared);
    bites(in_order, "src/route/host.rs", "use crate::proxy::Route;", 1);
    bites(in_order, "src/route.rs", "let a = crate::nobody::new();", 1);
    bites(
        in_order,
        "src/proxy/mod.rs",
        "use crate::route::Table; // crate::admin",
        0,
    );
    bites(
        imports,
        "src/a.rs",
        "use super::b;\nuse crate::{c, d};\n// super::x",
        2,
    );
    bites(heading, "src/a.rs", "use crate::b;", 1);
    bites(length, "src/a.rs", &"\n".repeat(MAX_LINES + 1), 1);
    bites(names, "src/proxy/utils.rs", "", 1);
    let left = "#[allow(x)]\ntodo!()\n// TODO\n#[ignore = \"slow\"]\ntodo();";
    bites(leftovers, "src/a.rs", left, 4);
    let pure =
        "let t = Instant::now();\nlet random = 1;\n#[cfg(test)]\nmod tests {\nuse tokio::time;";
    bites(purity, "src/split/draw.rs", pure, 1);
    bites(purity, "src/http1/codec.rs", "a.await", 1);
    bites(purity, "src/http1/relay.rs", "a.await", 0);
    bites(
        spawns,
        "src/a.rs",
        "tokio::spawn(async {});\ntasks.spawn(a);",
        1,
    );
    bites(sleeps, "tests/it/a.rs", "thread::sleep(d);\nasleep();", 1);
    bites(metric_names, "src/admin/a.rs", "let n = \"tidegate_x\";", 1);
    bites(
        metric_names,
        "src/telemetry/metrics.rs",
        "\"tidegate_x\"",
        0,
    );
    bites(top_level, "notes.txt", "", 1);
    bites(shared, "docs/a.md", concat!("see ../", "shared/x"), 1);
    assert_eq!(
        without_comment("let a = \"http://b\"; // c"),
        "let a = \"http://b\"; "
    );
}
