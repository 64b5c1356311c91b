//! The figures, case by case, and that they add up.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use crate::release::dora::{
    Figures, Incident, Spread, Stage, Transition, Window, by_route, measure,
};

const HOUR: u64 = 3600;

fn at(hour: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(hour * HOUR)
}

fn window(from: u64, to: u64) -> Window {
    Window {
        from: at(from),
        to: at(to),
    }
}

fn step(release: &str, hour: u64, from: Stage, to: Stage) -> Transition {
    Transition {
        release: release.to_owned(),
        route: "shop".to_owned(),
        at: at(hour),
        from,
        to,
        commit_time: None,
        first_bad_at: None,
        stable_at: None,
        cause: "analysis".to_owned(),
        rework_of: None,
        unplanned: false,
    }
}

fn promoted(release: &str, hour: u64) -> Transition {
    step(release, hour, Stage::Full, Stage::Promoted)
}

fn rolled_back(release: &str, hour: u64) -> Transition {
    step(release, hour, Stage::Promoted, Stage::RolledBack)
}

fn spread(p50: u64, p90: u64, samples: u64) -> Option<Spread> {
    let seconds = |hours: u64| Duration::from_secs(hours * HOUR).as_secs_f64();
    Some(Spread {
        p50_seconds: seconds(p50),
        p90_seconds: seconds(p90),
        samples,
    })
}

fn of(steps: &[Transition], incidents: &[Incident]) -> Figures {
    measure(steps, incidents, window(0, 240), None)
}

#[test]
fn without_data_a_figure_is_absent_and_not_zero() {
    let none = of(&[], &[]);
    assert_eq!(none.deployments, 0);
    assert_eq!(none.deployments_per_day, None);
    assert_eq!(none.lead_time, None);
    assert_eq!(none.change_failure_rate, None);
    assert_eq!(none.recovery_time, None);
    assert_eq!(none.rework_rate, None);
    assert_eq!(none.caught.recovery_time, None);
    // With a deployment that says little, zero is what was seen.
    let one = of(&[promoted("a", 1)], &[]);
    assert_eq!(one.deployments_per_day, Some(0.1));
    assert_eq!(one.lead_time, None);
    assert_eq!(one.change_failure_rate, Some(0.0));
    assert_eq!(one.rework_rate, Some(0.0));
}

#[test]
fn lead_time_is_from_commit_to_promotion_by_nearest_rank() {
    let mut steps = Vec::new();
    for hours in 1..=10 {
        let mut step = promoted(&format!("r{hours}"), 100);
        step.commit_time = Some(at(100 - hours));
        steps.push(step);
    }
    assert_eq!(of(&steps, &[]).lead_time, spread(5, 9, 10));
    // A commit that is younger than its deployment says nothing.
    steps.truncate(2);
    steps[1].commit_time = Some(at(101));
    assert_eq!(of(&steps, &[]).lead_time, spread(1, 1, 1));
}

#[test]
fn a_deployment_fails_once_by_a_rollback_or_an_incident() {
    let mut back = rolled_back("a", 20);
    back.first_bad_at = Some(at(18));
    back.stable_at = Some(at(21));
    let steps = [
        promoted("a", 10),
        back,
        promoted("b", 30),
        promoted("c", 40),
        promoted("d", 50),
    ];
    let incident = |release: &str, from, to: Option<u64>| Incident {
        release: release.to_owned(),
        started_at: at(from),
        resolved_at: to.map(at),
    };
    let incidents = [
        incident("a", 17, Some(22)),
        incident("b", 31, Some(36)),
        incident("x", 1, None),
    ];
    let figures = of(&steps, &incidents);
    assert_eq!((figures.deployments, figures.failed), (4, 2));
    assert_eq!(figures.change_failure_rate, Some(0.5));
    // Evidence to acknowledgement for the first, the incident's length for the second.
    assert_eq!(figures.recovery_time, spread(3, 5, 2));
    // One that lasts is not recovered from.
    let lasting = [incidents[1].clone(), incident("b", 33, None)];
    assert_eq!(of(&steps[2..3], &lasting).recovery_time, None);
}

#[test]
fn without_evidence_the_incident_says_when_it_began_and_without_an_acknowledgement_nothing_ends() {
    let mut back = rolled_back("a", 20);
    let incident = Incident {
        release: "a".to_owned(),
        started_at: at(16),
        resolved_at: None,
    };
    let incidents = [incident];
    let steps = |back: &Transition| [promoted("a", 10), back.clone()];
    assert_eq!(of(&steps(&back), &incidents).recovery_time, None);
    back.stable_at = Some(at(21));
    assert_eq!(of(&steps(&back), &incidents).recovery_time, spread(5, 5, 1));
    assert_eq!(of(&steps(&back), &[]).recovery_time, None);
}

#[test]
fn what_went_back_before_promotion_is_caught_and_no_failed_deployment() {
    let mut caught = step("a", 10, Stage::Partial, Stage::Aborted);
    caught.first_bad_at = Some(at(9));
    caught.stable_at = Some(at(10));
    let mut by_hand = step("b", 11, Stage::Partial, Stage::Aborted);
    by_hand.cause = "operator".to_owned();
    let steps = [
        caught,
        by_hand,
        step("c", 12, Stage::Full, Stage::Aborted),
        step("d", 13, Stage::Waiting, Stage::Aborted),
        promoted("e", 14),
        step("f", 15, Stage::Partial, Stage::Withdrawn),
        step("late", 240, Stage::Partial, Stage::Aborted),
    ];
    let figures = of(&steps, &[]);
    assert_eq!(figures.change_failure_rate, Some(0.0));
    assert_eq!(
        (figures.caught.in_canary, figures.caught.while_baking),
        (2, 1)
    );
    let causes: Vec<_> = figures.caught.in_canary_by_cause.into_iter().collect();
    assert_eq!(
        causes,
        [("analysis".to_owned(), 1), ("operator".to_owned(), 1)]
    );
    assert_eq!(figures.caught.recovery_time, spread(1, 1, 1));
}

#[test]
fn rework_is_what_repairs_another_or_was_not_planned() {
    let mut repairs = promoted("b", 2);
    repairs.rework_of = Some("a".to_owned());
    let mut unplanned = promoted("c", 3);
    unplanned.unplanned = true;
    let steps = [promoted("a", 1), repairs, unplanned, promoted("d", 4)];
    assert_eq!(of(&steps, &[]).rework_rate, Some(0.5));
}

#[test]
fn a_deployment_is_of_the_window_in_which_it_was_promoted() {
    let steps = [rolled_back("a", 30), promoted("a", 10), promoted("b", 20)];
    let figures = measure(&steps, &[], window(10, 20), None);
    assert_eq!((figures.deployments, figures.failed), (1, 1));
    let figures = measure(&steps, &[], window(20, 40), None);
    assert_eq!((figures.deployments, figures.failed), (1, 0));
    assert_eq!(measure(&steps, &[], window(20, 20), None).deployments, 0);
}

#[test]
fn a_release_that_came_back_is_two_deployments_each_with_its_own_end() {
    let steps = [promoted("a", 1), rolled_back("a", 2), promoted("a", 3)];
    let failed = |started: u64| {
        let incident = Incident {
            release: "a".to_owned(),
            started_at: at(started),
            resolved_at: None,
        };
        let figures = of(&steps, &[incident]);
        (figures.deployments, figures.failed)
    };
    assert_eq!(failed(1), (2, 1));
    assert_eq!(failed(0), (2, 1));
    assert_eq!(failed(4), (2, 2));
}

#[test]
fn each_route_has_its_own_figures() {
    let mut cart = promoted("b", 2);
    cart.route = "cart".to_owned();
    let steps = [promoted("a", 1), cart, promoted("c", 3)];
    let figures = by_route(&steps, &[], window(0, 24));
    let counts: Vec<_> = figures
        .iter()
        .map(|(route, of)| (route.as_str(), of.deployments))
        .collect();
    assert_eq!(counts, [("cart", 1), ("shop", 2)]);
    assert_eq!(
        figures["shop"],
        measure(&steps, &[], window(0, 24), Some("shop"))
    );
}

#[test]
fn a_window_that_is_longer_than_time_begins_with_the_epoch() {
    let year = Duration::from_secs(365 * 24 * HOUR);
    assert_eq!(Window::last(year, at(9000)), window(9000 - 8760, 9000));
    assert_eq!(Window::last(Duration::MAX, at(24)), window(0, 24));
}

fn steps() -> impl Strategy<Value = Vec<Transition>> {
    let stage = || {
        prop::sample::select(vec![
            Stage::Waiting,
            Stage::Partial,
            Stage::Full,
            Stage::Promoted,
            Stage::RolledBack,
            Stage::Aborted,
            Stage::Withdrawn,
        ])
    };
    let names = prop::sample::select(vec!["a", "b", "c"]);
    let times = prop::option::of(0..200u64);
    let parts = (names, 0..240u64, stage(), stage(), times.clone(), times);
    let one = parts.prop_map(|(name, hour, from, to, bad, stable)| Transition {
        first_bad_at: bad.map(at),
        stable_at: stable.map(at),
        commit_time: bad.map(at),
        ..step(name, hour, from, to)
    });
    // One step at an instant: a journal has an order, and theirs would be a guess.
    prop::collection::vec(one, 0..20).prop_map(|mut steps| {
        steps.sort_by_key(|step| step.at);
        steps.dedup_by_key(|step| step.at);
        steps
    })
}

proptest! {
    #[test]
    fn shares_are_shares_and_windows_add_up_whatever_the_order(
        (steps, shuffled) in steps().prop_flat_map(|steps| (Just(steps.clone()), Just(steps).prop_shuffle())),
        middle in 0..240u64,
    ) {
        let whole = of(&steps, &[]);
        prop_assert_eq!(&whole, &of(&shuffled, &[]));
        let parts = [window(0, middle), window(middle, 240)].map(|part| measure(&steps, &[], part, None));
        let sum = |of: fn(&Figures) -> u64| parts.iter().map(of).sum::<u64>();
        prop_assert_eq!(whole.deployments, sum(|of| of.deployments));
        prop_assert_eq!(whole.failed, sum(|of| of.failed));
        prop_assert_eq!(whole.caught.in_canary, sum(|of| of.caught.in_canary));
        prop_assert!(whole.failed <= whole.deployments);
        prop_assert_eq!(whole.change_failure_rate.is_some(), whole.deployments > 0);
        for spread in [whole.lead_time, whole.recovery_time].into_iter().flatten() {
            prop_assert!(0.0 <= spread.p50_seconds && spread.p50_seconds <= spread.p90_seconds);
        }
    }
}
