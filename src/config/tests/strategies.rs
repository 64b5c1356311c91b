//! Strategies that say little: what is there by itself.

use crate::config::tests::config;
use crate::config::tests::releases::{ROUTE, minutes, requirements, weight};
use crate::release::percent::Percent;
use crate::release::strategy::{Action, Kind, OnDeadline, Requirement, Salt, Strategy};

/// What the configuration with a strategy called `s` makes of it; a release has it.
#[track_caller]
fn strategy(text: &str) -> Strategy {
    let config = config(&format!("{ROUTE}{text}"));
    config.releases.strategies["s"].clone()
}

#[test]
fn a_strategy_that_says_little_is_judged_all_the_same() {
    let strategy = strategy(
        "[strategy.s]\nsteps = [{ weight = 49.99, for = \"1m\" }, { weight = 50, for = \"1m\" }, \
         { weight = 100, bake = \"1m\" }]\n",
    );
    assert_eq!(
        (strategy.kind, &strategy.salt),
        (Kind::Canary, &Salt::Release)
    );
    assert_eq!(
        (strategy.deadline, strategy.on_deadline),
        (None, OnDeadline::Hold)
    );
    assert_eq!(strategy.rollback_window, minutes(1440));
    assert_eq!(strategy.min_healthy.endpoints, 1);
    assert_eq!(strategy.min_healthy.share, Percent::new(50.0).unwrap());
    assert!(strategy.requires.is_empty() && strategy.tests.is_empty());
    let checks: Vec<&str> = strategy
        .analysis
        .checks
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(checks, ["errors", "hard-stop", "p95"]);
    assert_eq!(strategy.analysis.validate(), Ok(()));
    assert_eq!(
        requirements(&strategy),
        [
            Requirement::NoRegression,
            Requirement::Proven,
            Requirement::NotFailed
        ]
    );
}

#[test]
fn without_analysis_no_step_waits_for_it() {
    let steps = "steps = [{ weight = 5, for = \"1m\" }, { weight = 100, bake = \"1m\" }]\n";
    let off = strategy(&format!("[strategy.s]\n{steps}analysis = false\n"));
    assert!(off.analysis.checks.is_empty());
    assert_eq!(requirements(&off), [Requirement::NotFailed; 2]);
    // What is looked at and decides nothing is nothing to wait for, either.
    let dry = strategy(&format!(
        "[strategy.s]\n{steps}[strategy.s.check.e]\nkind = \"error_rate\"\ndry_run = true\n"
    ));
    assert_eq!(requirements(&dry), [Requirement::NotFailed; 2]);
    // A test before is no analysis.
    let tested = strategy(&format!(
        "[strategy.s]\n{steps}[strategy.s.check.t]\nkind = \"webhook\"\nurl = \"http://a/\"\n"
    ));
    assert_eq!(tested.analysis.checks.len(), 3);
}

#[test]
fn blue_green_and_ab_need_no_steps() {
    let swap = strategy(
        "[strategy.s]\nkind = \"blue-green\"\npreview = true\n\
         match = { headers = { x-env = \"green\" } }\ngate = \"g\"\nbake = \"10m\"\n[gate.g]\n",
    );
    assert_eq!(swap.steps.len(), 2);
    assert!(matches!(swap.steps[0].action, Action::Preview(_)));
    assert_eq!(swap.steps[0].gate.as_deref(), Some("g"));
    assert_eq!(swap.steps[1].action, weight(100.0));
    assert_eq!(swap.steps[1].at_least, minutes(10));
    let plain = strategy("[strategy.s]\nkind = \"blue-green\"\n");
    assert_eq!(plain.steps.len(), 1);
    assert_eq!(plain.steps[0].at_least, minutes(30));
    let ab = strategy("[strategy.s]\nkind = \"ab\"\nshare = 33.33\nfor = \"14d\"\n");
    assert_eq!(ab.steps.len(), 1);
    assert_eq!(ab.steps[0].action, weight(33.33));
    assert_eq!(ab.steps[0].at_least, minutes(14 * 1440));
    assert_eq!(ab.steps[0].require, Requirement::NotFailed);
    let half = strategy("[strategy.s]\nkind = \"ab\"\nfor = \"1d\"\n");
    assert_eq!(half.steps[0].action, weight(50.0));
}

#[test]
fn a_release_may_have_a_strategy_of_its_own() {
    let config = config(&format!(
        "{ROUTE}[release.a]\nroute = \"shop\"\nstable = \"v1\"\ncandidate = \"v2\"\n\
         [release.a.strategy]\nkind = \"ab\"\nfor = \"1d\"\n"
    ));
    let strategy = &config.releases.specs["a"].strategy;
    assert_eq!((&*strategy.name, strategy.kind), ("", Kind::Ab));
    assert!(config.releases.strategies.is_empty());
}
