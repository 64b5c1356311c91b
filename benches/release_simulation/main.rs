//! Simulated releases: how often a healthy candidate is rolled back, and how soon a bad one is found,
//! by tidegate's analysis and by the rules that people write themselves.
//!
//! `cargo bench --bench release_simulation [-- --quick] [--seed N]` prints Markdown. It measures no
//! speed; it is here because it takes minutes of a processor, not seconds.

#[path = "../../src/release/analysis/dice.rs"]
mod dice;
mod cases;
mod latency;
mod scenario;

use std::env;

use crate::cases::{at_the_margin, compared, hard_stops, latencies, others, proofs};
use crate::dice::Dice;
use crate::scenario::{End, Rule, Scenario};

const SEED: u64 = 20_261_126;

/// Many releases, each with a seed of its own.
fn ends(scenario: &Scenario, rule: Rule, n: u64, seed: u64) -> Vec<End> {
    let seeds = (0..n).map(|run| seed.wrapping_mul(1_000_003).wrapping_add(run * 7919));
    seeds
        .map(|seed| scenario.run(rule, &mut Dice::new(seed)))
        .collect()
}

/// In how many of them something happened, and when in the middle one.
fn summary(ends: &[End], when: impl Fn(&End) -> Option<f64>) -> String {
    let mut times: Vec<f64> = ends.iter().filter_map(when).collect();
    times.sort_by(f64::total_cmp);
    let percent = 100.0 * times.len() as f64 / ends.len() as f64;
    match times.get(times.len() / 2) {
        Some(&median) if median < 120.0 => format!("{percent:.1} %, {median:.0} s"),
        Some(&median) => format!("{percent:.1} %, {:.0} min", median / 60.0),
        None => "0 %".to_owned(),
    }
}

fn compare(n: u64, seed: u64) {
    let columns = compared();
    println!(
        "\n## Rolled back, and when in the median ({n} releases of an hour each, 5 % on the candidate, a look each minute)\n"
    );
    let names = columns.each_ref().map(|(name, _)| *name);
    println!("| rule | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for (name, rule) in [
        ("success < 99 % in a minute, once", Rule::Strikes(1)),
        ("the same, three times", Rule::Strikes(3)),
        ("z-test at 1 %, each minute", Rule::ZTest),
        ("tidegate, alpha 1 %, margin 1.25", Rule::Analysis),
    ] {
        let cells = columns
            .each_ref()
            .map(|(_, scenario)| summary(&ends(scenario, rule, n, seed), |end| end.failed));
        println!("| {name} | {} |", cells.join(" | "));
    }
}

/// Prints one row for each scenario: who fails, and who is proven.
fn list(title: &str, n: u64, seed: u64, scenarios: &[(&str, Scenario)]) {
    println!("\n## {title} ({n} releases each)\n");
    println!("| scenario | failed | proven |\n|---|---|---|");
    for (name, scenario) in scenarios {
        let ends = ends(scenario, Rule::Analysis, n, seed);
        let (failed, proven) = (
            summary(&ends, |end| end.failed),
            summary(&ends, |end| end.proven),
        );
        println!("| {name} | {failed} | {proven} |");
    }
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let at = arguments.iter().position(|argument| argument == "--seed");
    let seed = at.and_then(|at| arguments.get(at + 1)?.parse().ok());
    let seed = seed.unwrap_or(SEED);
    // `cargo test` runs each benchmark once to see that it works, and leaves out what cargo bench says.
    let once = !arguments.iter().any(|argument| argument == "--bench");
    let n = match (once, quick) {
        (true, _) => 1,
        (false, true) => 60,
        (false, false) => 600,
    };
    println!("# Simulated releases, seed {seed}");
    compare(n, seed);
    let strict = "Failed at the margin of 1.25, without a floor: alpha 1 % allowed";
    list(
        strict,
        if quick || once { n } else { 2000 },
        seed,
        &at_the_margin(),
    );
    list("Others", n, seed, &others());
    list("Proven, at most four hours", n, seed, &proofs());
    list(
        "The p95 of lognormal latencies in buckets √2 apart",
        n,
        seed,
        &latencies(),
    );
    list(
        "The hard stop, 25 % allowed, alpha 0.1 %",
        n,
        seed,
        &hard_stops(),
    );
}
