//! What a file makes of what runs.

use crate::release::overlay::{Override, Weights, same_shares, weights as of_share};
use crate::release::percent::Percent;
use crate::release::reconcile::{File, Known, reconcile};
use crate::release::state::{Phase, State};
use crate::release::tests::fixture::{file, later, percent, spec, start, weights};

fn obey(file: &File, known: &mut Known, seconds: u64) -> Vec<&'static str> {
    let changes = reconcile(file, known, later(seconds));
    for change in &changes {
        known.apply(change);
    }
    let changes = changes.iter().map(|change| change.action);
    changes
        .filter(|action| !action.ends_with(".file"))
        .collect()
}

fn served(file: &File, known: &Known) -> Weights {
    let overlay = known.overlay(file, later(1000));
    match overlay.routes.get("shop") {
        Some(route) => route.weights.clone(),
        None => file.weights["shop"].clone(),
    }
}

/// A release that has a share, and the file that it came with.
fn running(share: f64) -> (File, Known) {
    let file = file(&[("v1", 100), ("v2", 0)], &[spec("r", "v1", "v2")]);
    let mut known = Known::default();
    obey(&file, &mut known, 0);
    change(&mut known, |state| {
        state.file_weights = weights(&[("v1", 100), ("v2", 0)]);
        state.enter(1, percent(share), start());
    });
    (file, known)
}

fn change(known: &mut Known, edit: impl FnOnce(&mut State)) {
    edit(known.releases.get_mut("r").unwrap());
}

#[track_caller]
fn check_served(file: &File, known: &Known, expected: &[(&str, u32)]) {
    let (served, expected) = (served(file, known), weights(expected));
    assert!(
        same_shares(&served, &expected),
        "{served:?} is not {expected:?}"
    );
}

#[test]
fn r1_the_same_file_again_changes_nothing() {
    let (file, mut known) = running(25.0);
    let before = known.clone();
    assert_eq!(obey(&file, &mut known, 10), [""; 0]);
    assert_eq!(known, before);
}

#[test]
fn r2_what_changes_elsewhere_leaves_a_release_alone() {
    let (mut file, mut known) = running(25.0);
    file.weights
        .insert("blog".into(), weights(&[("a", 1), ("b", 1)]));
    let before = known.releases.clone();
    assert_eq!(obey(&file, &mut known, 10), [""; 0]);
    assert_eq!(known.releases, before);
    check_served(&file, &known, &[("v1", 75), ("v2", 25)]);
}

#[test]
fn r3_without_a_release_the_weights_of_the_file_are_obeyed_at_once() {
    let mut known = Known::default();
    for (stable, canary) in [(100, 0), (90, 10), (50, 50)] {
        let file = file(&[("v1", stable), ("v2", canary)], &[]);
        obey(&file, &mut known, 0);
        check_served(&file, &known, &[("v1", stable), ("v2", canary)]);
    }
}

#[test]
fn r4_less_for_the_candidate_is_obeyed_nothing_aborts_and_more_is_a_conflict() {
    let (mut less, mut known) = running(25.0);
    less.weights = file(&[("v1", 90), ("v2", 10)], &[]).weights;
    assert_eq!(obey(&less, &mut known, 10), ["release.weight"]);
    check_served(&less, &known, &[("v1", 90), ("v2", 10)]);
    assert!(known.releases["r"].paused.is_some());

    let mut nothing = less.clone();
    nothing.weights = file(&[("v1", 1), ("v2", 0)], &[]).weights;
    assert_eq!(obey(&nothing, &mut known, 20), ["release.abort"]);
    check_served(&nothing, &known, &[("v1", 1), ("v2", 0)]);
    assert_eq!(known.releases["r"].phase, Phase::Aborted);

    let (first, mut known) = running(25.0);
    let mut more = first.clone();
    more.weights = file(&[("v1", 50), ("v2", 50)], &[]).weights;
    assert_eq!(obey(&more, &mut known, 10), ["release.conflict"]);
    assert_eq!(obey(&more, &mut known, 11), [""; 0], "told once");
    check_served(&more, &known, &[("v1", 75), ("v2", 25)]);
    assert_eq!(obey(&first, &mut known, 20), ["release.conflict.clear"]);
    assert_eq!(known.releases["r"].conflict, None);
}

#[test]
fn r5_a_release_that_is_taken_out_gives_everything_back() {
    let (mut file, mut known) = running(25.0);
    file.releases.clear();
    assert_eq!(obey(&file, &mut known, 10), ["release.cancel"]);
    check_served(&file, &known, &[("v1", 100), ("v2", 0)]);

    let (file, mut known) = running(100.0);
    promote(&file, &mut known);
    let mut without = file.clone();
    without.releases.clear();
    assert_eq!(
        obey(&without, &mut known, 20),
        [""; 0],
        "it is over: that is its archive"
    );
    check_served(&without, &known, &[("v1", 0), ("v2", 1)]);
}

fn promote(file: &File, known: &mut Known) {
    change(known, |state| {
        state.end(Phase::Promoted, "so".into(), start());
    });
    let state = known.releases["r"].clone();
    let left = crate::release::overlay::left_by(&state, &file.weights["shop"], start());
    known.overrides.insert("shop".into(), left.unwrap());
}

#[test]
fn r6_the_commit_that_follows_a_promotion_changes_no_traffic() {
    let (first, mut known) = running(100.0);
    promote(&first, &mut known);
    check_served(&first, &known, &[("v1", 0), ("v2", 1)]);
    let mut followed = first.clone();
    followed.weights = file(&[("v1", 0), ("v2", 100)], &[]).weights;
    assert_eq!(obey(&followed, &mut known, 10), ["weights.absorb"]);
    check_served(&followed, &known, &[("v1", 0), ("v2", 1)]);
    assert!(known.overrides.is_empty());
}

#[test]
fn r7_another_stable_is_a_conflict() {
    let (mut first, mut known) = running(25.0);
    first.weights = file(&[("v1", 100), ("v2", 0), ("v3", 0)], &[]).weights;
    obey(&first, &mut known, 1);
    let mut other = first.clone();
    other.releases = [("r".to_owned(), spec("r", "v3", "v2"))].into();
    assert_eq!(obey(&other, &mut known, 10), ["release.conflict"]);
    check_served(&other, &known, &[("v1", 75), ("v2", 25)]);
}

#[test]
fn r8_another_candidate_or_another_release_takes_the_place_of_one() {
    let (mut first, mut known) = running(25.0);
    first.weights = file(&[("v1", 100), ("v2", 0), ("v3", 0)], &[]).weights;
    let mut candidate = first.clone();
    candidate.releases = [("r".to_owned(), spec("r", "v1", "v3"))].into();
    let mut there = known.clone();
    assert_eq!(
        obey(&candidate, &mut there, 10),
        ["release.adopt", "release.supersede", "release.create"]
    );
    let state = &there.releases["r"];
    assert_eq!((state.phase, state.attempt), (Phase::Pending, 2));
    check_served(&candidate, &there, &[("v1", 1), ("v2", 0), ("v3", 0)]);

    let mut release = first.clone();
    release.releases = [("s".to_owned(), spec("s", "v1", "v3"))].into();
    assert_eq!(
        obey(&release, &mut known, 10),
        ["release.supersede", "release.create"]
    );
    assert_eq!(known.releases["r"].phase, Phase::Superseded);
    assert_eq!(known.releases["s"].phase, Phase::Pending);
    check_served(&release, &known, &[("v1", 1), ("v2", 0), ("v3", 0)]);
}

#[test]
fn r9_steps_to_come_are_adopted_and_steps_taken_are_not_changed() {
    let (first, known) = running(5.0);
    let with = |place: usize, share: f64| {
        let mut file = first.clone();
        let strategy = &mut file.releases.get_mut("r").unwrap().strategy;
        strategy.steps[place].action = crate::release::strategy::Action::Weight(percent(share));
        file
    };
    let mut there = known.clone();
    assert_eq!(obey(&with(2, 30.0), &mut there, 10), ["release.adopt"]);
    assert_eq!(there.releases["r"].spec.strategy.weight(2), percent(30.0));
    let mut there = known;
    assert_eq!(obey(&with(1, 10.0), &mut there, 10), ["release.conflict"]);
    assert_eq!(there.releases["r"].spec.strategy.weight(1), percent(5.0));
}

#[test]
fn r12_what_was_set_gives_way_to_a_file_that_changed() {
    let set = |known: &mut Known| {
        let set = Override {
            weights: weights(&[("v1", 1), ("v2", 1)]),
            basis: weights(&[("v1", 100), ("v2", 0)]),
            by: "ana".into(),
            reason: "a try".into(),
            at: start(),
            expires: Some(later(5000)),
            release: None,
        };
        known.overrides.insert("shop".into(), set);
    };
    let first = file(&[("v1", 100), ("v2", 0)], &[]);
    let mut known = Known::default();
    obey(&first, &mut known, 0);
    set(&mut known);
    assert_eq!(obey(&first, &mut known, 1), [""; 0]);
    check_served(&first, &known, &[("v1", 1), ("v2", 1)]);
    let same = file(&[("v1", 30), ("v2", 30)], &[]);
    let mut there = known.clone();
    assert_eq!(obey(&same, &mut there, 2), ["weights.absorb"]);
    let other = file(&[("v1", 80), ("v2", 20)], &[]);
    let mut there = known.clone();
    assert_eq!(obey(&other, &mut there, 2), ["weights.drop"]);
    check_served(&other, &there, &[("v1", 80), ("v2", 20)]);
    assert_eq!(obey(&first, &mut known, 5000), ["weights.expire"]);
    check_served(&first, &known, &[("v1", 100), ("v2", 0)]);
}

#[test]
fn r14_an_aborted_release_stays_aborted_while_the_file_has_it() {
    let (file, mut known) = running(25.0);
    change(&mut known, |state| {
        state.end(Phase::Aborted, "so".into(), start());
    });
    assert_eq!(obey(&file, &mut known, 10), [""; 0]);
    assert_eq!(known.releases["r"].phase, Phase::Aborted);
    // Something else by the same name is something else.
    let mut other = file.clone();
    other.releases.get_mut("r").unwrap().commit = Some("9f1c".into());
    assert_eq!(obey(&other, &mut known, 20), ["release.create"]);
    assert_eq!(known.releases["r"].attempt, 2);
}

#[test]
fn an_aborted_release_keeps_its_route_on_stable_where_the_file_gives_the_candidate_a_share() {
    let first = file(&[("v1", 95), ("v2", 5)], &[spec("r", "v1", "v2")]);
    let mut known = Known::default();
    obey(&first, &mut known, 0);
    change(&mut known, |state| {
        state.file_weights = weights(&[("v1", 95), ("v2", 5)]);
        state.enter(2, percent(50.0), start());
        state.end(Phase::Aborted, "so".into(), start());
    });
    let state = known.releases["r"].clone();
    let left = crate::release::overlay::left_by(&state, &first.weights["shop"], start()).unwrap();
    assert_eq!(left.weights, of_share("v1", "v2", Percent::NONE));
    known.overrides.insert("shop".into(), left);
    assert_eq!(obey(&first, &mut known, 10), [""; 0]);
    check_served(&first, &known, &[("v1", 1), ("v2", 0)]);
    let overlay = known.overlay(&first, start());
    assert_eq!(overlay.routes.len(), 1);
}
