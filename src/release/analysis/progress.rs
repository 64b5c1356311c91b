//! A step, as far as the analysis is concerned: where users are, whether it is warm, who is silent.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::release::analysis::Arm;
use crate::release::analysis::evidence::Tick;

/// An arm that had requests is silent after so many ticks without any. One tick without is nothing
/// where requests are few.
const SILENT_TICKS: u64 = 5;

/// A step, as far as the analysis is concerned.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// Where users are.
    pub users: Users,
    /// How long the step takes at least; before, nobody is told that there is no regression.
    pub at_least: Duration,
}

/// Where users are in a step.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Users {
    /// On both arms, which are compared.
    Divided,
    /// All on the candidate: it is compared with what the baseline was in the last ticks before the
    /// step, and fails when it is shown to be worse than the pass margin, which is the wider one,
    /// because the past is not the present.
    AllOnCandidate,
    /// All on stable, in a preview or while requests are mirrored: only mismatches are looked at.
    AllOnStable,
}

/// Where a step stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Progress {
    pub(crate) step: Step,
    pub(crate) since: SystemTime,
    is_warm: bool,
    pub(crate) n_ticks: u64,
    /// In which tick each had its last requests, counted from 1; 0: in none.
    candidate_heard: u64,
    baseline_heard: u64,
    mirror_heard: u64,
}

impl Progress {
    /// At its start.
    pub(crate) fn new(step: Step, since: SystemTime) -> Self {
        Self {
            step,
            since,
            is_warm: false,
            n_ticks: 0,
            candidate_heard: 0,
            baseline_heard: 0,
            mirror_heard: 0,
        }
    }

    /// Whether a tick that began at `began` is past the warm-up.
    pub(crate) fn warms_up(&mut self, began: SystemTime, warmup: Duration) -> bool {
        self.is_warm = self.is_warm
            || began
                .duration_since(self.since)
                .is_ok_and(|after| after >= warmup);
        self.is_warm
    }

    /// Whether the step took its time.
    pub(crate) fn is_over(&self, at: SystemTime) -> bool {
        at.duration_since(self.since)
            .is_ok_and(|spent| spent >= self.step.at_least)
    }

    /// Notes who had requests in a tick.
    pub(crate) fn hear(&mut self, tick: &Tick) {
        self.n_ticks += 1;
        let mirrored = tick.mirrored.unwrap_or_default();
        for (requests, heard) in [
            (tick.candidate.requests, &mut self.candidate_heard),
            (tick.baseline.requests, &mut self.baseline_heard),
            (mirrored.requests, &mut self.mirror_heard),
        ] {
            if requests > 0.0 {
                *heard = self.n_ticks;
            }
        }
    }

    /// What should have requests and has none.
    pub(crate) fn silent(&self, compares: bool) -> Option<Arm> {
        let silent = |heard: u64| {
            let never = heard == 0 && self.n_ticks > 0;
            never || self.n_ticks - heard >= SILENT_TICKS
        };
        match self.step.users {
            Users::AllOnStable => silent(self.mirror_heard).then_some(Arm::Mirror),
            Users::Divided | Users::AllOnCandidate if silent(self.candidate_heard) => {
                Some(Arm::Candidate)
            }
            Users::Divided if compares && silent(self.baseline_heard) => Some(Arm::Baseline),
            Users::Divided | Users::AllOnCandidate => None,
        }
    }
}
