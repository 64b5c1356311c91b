//! What is shown, for how long, and what of it can be 0.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::config;
use crate::control::releases::gauges::{MOST_OVER, SHOWN, freeze, release, shown, transitions};
use crate::release::desk::Board;
use crate::release::freeze::{Freeze, Kind, Override, Scope, Span, Window};
use crate::release::ledger::Page;
use crate::release::percent::Percent;
use crate::release::readiness::{Exception, Passed};
use crate::release::state::{Origin, Phase, State};
use crate::release::tally::{By, Counts};

const CONFIG: &str = r#"
[listener.http]
address = "127.0.0.1:0"

[upstream.v1]
endpoints = ["127.0.0.1:1"]

[upstream.v2]
endpoints = ["127.0.0.1:2"]

[route.shop.split]
stable = { upstream = "v1", weight = 100 }
canary = { upstream = "v2", weight = 0 }

[release.r]
route = "shop"
stable = "stable"
candidate = "canary"

[release.r.strategy]
rollback_window = "3d"
steps = [{ weight = 25, for = "1m" }, { weight = 50, for = "1m" }, { weight = 100, bake = "1m" }]
"#;

/// A release that has not started: `r`, of the route `shop`, in three steps.
pub(in crate::control::releases) fn state() -> State {
    let loaded = config::parse(CONFIG.to_owned(), Path::new("t.toml")).expect("it is valid");
    let spec = loaded.config.releases.specs["r"].clone();
    State::new(spec, Origin::File, "file".into(), SystemTime::UNIX_EPOCH)
}

fn ended(id: &str, phase: Phase, at: SystemTime) -> State {
    let mut state = state();
    state.spec.id = id.to_owned();
    state.end(phase, "because".into(), at);
    state
}

fn page(states: impl IntoIterator<Item = State>) -> Page {
    let mut page = Page::default();
    for state in states {
        page.known.releases.insert(state.spec.id.clone(), state);
    }
    page
}

fn ids(page: &Page, now: SystemTime) -> Vec<&str> {
    shown(page, now)
        .iter()
        .map(|state| state.spec.id.as_str())
        .collect()
}

#[test]
fn what_is_over_is_shown_for_a_day_and_as_long_as_it_can_be_taken_back() {
    let start = SystemTime::UNIX_EPOCH + 10 * SHOWN;
    let mut reviewed = ended("reviewed", Phase::Aborted, start);
    reviewed.review.add(Exception {
        passed: Passed::Gate("sre".into()),
        actor: "ana".into(),
        reason: "because".into(),
        at: start,
        spec_hash: None,
    });
    let page = page([
        state(),
        ended("aborted", Phase::Aborted, start),
        ended("promoted", Phase::Promoted, start),
        reviewed,
    ]);
    let second = Duration::from_secs(1);
    let all = ["aborted", "promoted", "r", "reviewed"];
    assert_eq!(ids(&page, start - second), all);
    assert_eq!(ids(&page, start + SHOWN - second), all);
    assert_eq!(ids(&page, start + SHOWN), ["promoted", "r", "reviewed"]);
    assert_eq!(ids(&page, start + 3 * SHOWN), ["r", "reviewed"]);
}

#[test]
fn of_many_that_are_over_the_latest_are_shown_and_all_that_are_not() {
    let start = SystemTime::UNIX_EPOCH + 10 * SHOWN;
    let over = (0..100).map(|n| {
        let at = start + Duration::from_secs(n);
        ended(&format!("over-{n:03}"), Phase::Aborted, at)
    });
    let page = page(over.chain([state()]));
    let ids = ids(&page, start + Duration::from_secs(200));
    assert_eq!(ids.len(), MOST_OVER + 1);
    assert!(ids.contains(&"r") && ids.contains(&"over-099"));
    assert!(!ids.contains(&"over-035"), "{ids:?}");
}

#[test]
fn a_release_is_in_one_phase_and_has_weights_once_it_has_started() {
    let mut state = state();
    let board = Board::default();
    let before = release(&state, &board, None);
    assert_eq!((before.step, before.n_steps), (0, 3));
    assert!(before.weights.is_empty());
    state.enter(1, Percent::new(12.5).unwrap(), SystemTime::UNIX_EPOCH);
    let live = release(&state, &board, None);
    let phases = live.phases.iter().filter(|(_, is_in)| *is_in);
    let phases: Vec<&str> = phases.map(|&(phase, _)| phase).collect();
    assert_eq!(phases, ["progressing"]);
    assert_eq!(live.phases.len(), Phase::ALL.len());
    assert_eq!(live.step, 2);
    let expected = [("stable", 0.875), ("canary", 0.125)];
    assert_eq!(
        live.weights,
        expected.map(|(name, share)| (name.to_owned(), share))
    );
    assert!(live.checks.is_empty());
}

#[test]
fn what_can_happen_to_a_route_is_there_as_0() {
    let mut counts = Counts::default();
    let key = |to, by| ("shop".to_owned(), to, by);
    counts
        .transitions
        .insert(key(Phase::Promoted, By::Operator), 2);
    // What nobody thought possible is shown once it has happened.
    counts
        .transitions
        .insert(key(Phase::Cancelled, By::Controller), 1);
    counts
        .transitions
        .insert(("gone".to_owned(), Phase::Promoted, By::Operator), 7);
    let all = transitions(&counts, &BTreeSet::from(["shop"]));
    let n = |to: &str, cause: &str| {
        let found: Vec<u64> = all
            .iter()
            .filter(|one| one.to == to && one.cause == cause)
            .map(|one| one.n)
            .collect();
        found
    };
    assert_eq!(n("promoted", "operator"), [2]);
    assert_eq!(n("cancelled", "controller"), [1]);
    assert_eq!(n("aborted", "analysis"), [0]);
    assert!(n("promoted", "analysis").is_empty());
    assert!(all.iter().all(|one| one.route == "shop"));
}

#[test]
fn a_freeze_is_active_by_its_time_and_overridden_until_that_is_over() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let of = |kind| Freeze {
        name: "f".into(),
        kind,
        window: Window::Span(Span::new(Some(at(10)), Some(at(20))).unwrap()),
        blocks: Vec::new(),
        routes: Vec::new(),
        override_roles: Vec::new(),
    };
    let mut page = Page::default();
    page.overridden.push(Override {
        freeze: "f".into(),
        scope: Scope::Everything,
        actor: "ana".into(),
        reason: "because".into(),
        at: at(10),
        expires_at: at(15),
    });
    for (now, within, overridden) in [(9, false, 1), (10, true, 1), (15, true, 0), (20, false, 0)] {
        let deny = freeze(&of(Kind::Deny), &page, at(now));
        assert_eq!(
            (deny.is_active, deny.overridden),
            (within, overridden),
            "{now}"
        );
        let allow = freeze(&of(Kind::Allow), &page, at(now));
        assert_eq!(allow.is_active, !within, "{now}");
    }
}
