//! Releases, files and what is seen of them, made of a few numbers.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::release::analysis::{
    Baseline, Check, Kind as CheckKind, OnFail, OnInsufficient, OnMissing, Settings,
};
use crate::release::overlay::Weights;
use crate::release::percent::Percent;
use crate::release::readiness::{ChangeType, Documents};
use crate::release::reconcile::File;
use crate::release::spec::{Spec, Start};
use crate::release::step::{Endpoints, GateSeen, Judged, Seen};
use crate::release::strategy::{
    Action, Kind, MinHealthy, OnDeadline, Preview, Requirement, Salt, Step, Strategy,
};

/// A moment on which all of them agree.
pub(in crate::release::tests) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

pub(in crate::release::tests) fn later(seconds: u64) -> SystemTime {
    start() + Duration::from_secs(seconds)
}

pub(in crate::release::tests) fn percent(percent: f64) -> Percent {
    Percent::new(percent).unwrap()
}

pub(in crate::release::tests) fn weight(share: f64, require: Requirement) -> Step {
    Step {
        action: Action::Weight(percent(share)),
        at_least: Duration::from_secs(60),
        require,
        gate: None,
    }
}

pub(in crate::release::tests) fn settings() -> Settings {
    Settings {
        interval: Duration::from_secs(1),
        warmup: Duration::ZERO,
        alpha: 0.01,
        beta_pass: 0.05,
        max_wait: Duration::from_secs(600),
        baseline: Baseline::Stable,
        on_insufficient: OnInsufficient::Hold,
        on_no_data: OnMissing::Hold,
        on_source_down: OnMissing::Hold,
        aa_guard: false,
        checks: BTreeMap::from([(
            "errors".to_owned(),
            Check {
                kind: CheckKind::ErrorRate {
                    bad: [crate::release::analysis::Bad::ServerError].into(),
                    fail_ratio: 1.25,
                    fail_abs: 0.002,
                    pass_ratio: 2.0,
                    pass_abs: 0.005,
                },
                on_fail: OnFail::Rollback,
                dry_run: false,
                required: true,
            },
        )]),
    }
}

pub(in crate::release::tests) fn strategy() -> Strategy {
    Strategy {
        name: "careful".into(),
        kind: Kind::Canary,
        salt: Salt::Release,
        steps: vec![
            Step {
                action: Action::Preview(Preview::default()),
                at_least: Duration::ZERO,
                require: Requirement::NotFailed,
                gate: None,
            },
            weight(5.0, Requirement::NoRegression),
            weight(50.0, Requirement::Proven),
            weight(100.0, Requirement::NotFailed),
        ],
        start_gate: None,
        deadline: None,
        on_deadline: OnDeadline::Hold,
        rollback_window: Duration::from_secs(3600),
        min_healthy: MinHealthy::default(),
        requires: Vec::new(),
        analysis: settings(),
        tests: BTreeMap::new(),
    }
}

pub(in crate::release::tests) fn spec(id: &str, stable: &str, candidate: &str) -> Spec {
    Spec {
        id: id.into(),
        route: "shop".into(),
        stable: stable.into(),
        candidate: candidate.into(),
        artifact: None,
        commit: None,
        commit_time: None,
        author: None,
        change: ChangeType::Normal,
        risk: None,
        documents: Documents::default(),
        not_before: None,
        after: Vec::new(),
        rework_of: None,
        start: Start::Auto,
        strategy: strategy(),
    }
}

pub(in crate::release::tests) fn weights(of: &[(&str, u32)]) -> Weights {
    of.iter()
        .map(|&(name, weight)| (name.to_owned(), weight))
        .collect()
}

/// A file with one route, `shop`, and some releases.
pub(in crate::release::tests) fn file(of: &[(&str, u32)], releases: &[Spec]) -> File {
    let releases = releases.iter().map(|spec| (spec.id.clone(), spec.clone()));
    File {
        weights: BTreeMap::from([("shop".to_owned(), weights(of))]),
        flags: BTreeMap::new(),
        releases: releases.collect(),
    }
}

/// What is seen where everything is in order.
pub(in crate::release::tests) fn fine(acknowledged: SystemTime, judged: Judged) -> Seen {
    Seen {
        acknowledged: Some(acknowledged),
        candidate: Endpoints {
            available: 2,
            total: 2,
        },
        gone_since: None,
        idle: None,
        judged,
        gate: GateSeen::Open,
        freezes: Vec::new(),
        stopped: None,
        killed: None,
        waits_for: Vec::new(),
        missing: Vec::new(),
        unwritable: None,
    }
}
