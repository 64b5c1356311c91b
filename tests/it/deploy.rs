//! What is in `deploy/`: it names what there is, and the programs that it is for take it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use tidegate::telemetry::metrics::catalogue;

use crate::support::command;
use crate::support::tool;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of metrics in a text, as they are in the catalogue.
fn metrics_in(text: &str) -> BTreeSet<String> {
    // What stands between colons is the name of a recording rule.
    let pattern = Regex::new(r"(^|[^:\w])((?:tidegate|process)_[a-z0-9_]+)\b").expect("a pattern");
    let names = pattern.captures_iter(text).map(|found| {
        let name = &found[2];
        let suffix = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        suffix.unwrap_or(name).to_owned()
    });
    names.collect()
}

#[test]
fn every_metric_that_is_asked_for_exists() {
    let known: BTreeSet<&str> = catalogue().iter().map(|family| family.name).collect();
    let readme = read("README.md");
    let queries = readme.split("```promql").skip(1);
    let queries: String = queries
        .filter_map(|block| block.split("```").next())
        .collect();
    for (name, text) in [
        ("rules.yml", read("deploy/prometheus/rules.yml")),
        ("rules_test.yml", read("deploy/prometheus/rules_test.yml")),
        (
            "rules_releases_test.yml",
            read("deploy/prometheus/rules_releases_test.yml"),
        ),
        (
            "rules_flags_test.yml",
            read("deploy/prometheus/rules_flags_test.yml"),
        ),
        ("tidegate.json", read("deploy/grafana/tidegate.json")),
        ("README.md", queries),
    ] {
        let named = metrics_in(&text);
        // Fewer are asked for by the alerts of flags.
        let least = if name == "rules_flags_test.yml" { 3 } else { 5 };
        assert!(named.len() > least, "{name}: {named:?}");
        for metric in named {
            assert!(known.contains(metric.as_str()), "{name}: no {metric}");
        }
    }
}

#[tokio::test]
async fn the_unit_runs_what_the_program_understands() {
    let unit = read("deploy/systemd/tidegate.service");
    let commands: Vec<&str> = unit
        .lines()
        .filter(|line| line.starts_with("Exec"))
        .filter_map(|line| line.split_once("=/usr/local/bin/tidegate "))
        .map(|(_, arguments)| arguments)
        .collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for arguments in commands {
        assert!(arguments.ends_with(" /etc/tidegate/tidegate.toml"));
        // What it complains of is the file, and not the arguments.
        let arguments = arguments.replace("/etc/tidegate/tidegate.toml", "/nowhere.toml");
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = command::run(&arguments).await;
        assert_eq!(output.code, 1, "{output:?}");
        let said = output.stdout + &output.stderr;
        assert!(said.contains("/nowhere.toml"), "{said}");
    }
    assert!(unit.contains("\nExecReload=/bin/kill -HUP $MAINPID\n"));
}

#[test]
fn the_unit_stops_later_than_a_drain_ends() {
    let seconds = |text: &str, pattern: &str| -> u64 {
        let found = Regex::new(pattern).expect("a pattern").captures(text);
        found.expect("it")[1].parse().expect("a number")
    };
    let unit = read("deploy/systemd/tidegate.service");
    let stop = seconds(&unit, r"\nTimeoutStopSec=(\d+)s");
    let reference = read("config/tidegate.toml");
    let timeout = seconds(&reference, r#"\[shutdown\][^\[]*\ntimeout = "(\d+)s""#);
    assert!(timeout + 5 <= stop, "{timeout} {stop}");
}

#[test]
fn every_rule_has_a_test() {
    let rules = read("deploy/prometheus/rules.yml");
    let tests = read("deploy/prometheus/rules_test.yml")
        + &read("deploy/prometheus/rules_releases_test.yml")
        + &read("deploy/prometheus/rules_flags_test.yml");
    let mut n_rules = 0;
    for line in rules.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("- alert: ") {
            assert!(tests.contains(&format!("alertname: {name}\n")), "{name}");
            n_rules += 1;
        }
    }
    assert!(n_rules > 10, "{n_rules}");
}

#[test]
fn promtool_takes_the_rules_and_their_tests_hold() {
    let Some(promtool) = tool::find("promtool") else {
        return;
    };
    let folder: PathBuf = repository().join("deploy/prometheus");
    for arguments in [
        ["check", "rules", "rules.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "rules_test.yml"],
        ["test", "rules", "rules_releases_test.yml"],
        ["test", "rules", "rules_flags_test.yml"],
    ] {
        let text = tool::run(Command::new(&promtool).args(arguments).current_dir(&folder));
        assert!(text.contains("SUCCESS"), "{arguments:?}\n{text}");
    }
}
