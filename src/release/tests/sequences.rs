//! Anything may happen in any order: files, commands, ticks, restarts.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use crate::release::analysis::OnFail;
use crate::release::command::{Command, Context, obey};
use crate::release::overlay::left_by;
use crate::release::percent::Percent;
use crate::release::reconcile::{Change, Effect, File, Known, reconcile};
use crate::release::role::Roles;
use crate::release::state::{Phase, State, has_ended};
use crate::release::step::{Endpoints, Judged, Move, allowed, decide};
use crate::release::tests::fixture::{file, fine, later, spec};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A file is loaded.
    File(u32, u32, u8),
    /// A tick, with what the analysis says and how much of the candidate is available.
    Tick(u8, usize),
    /// A command.
    Command(u8),
    /// The process is started again.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let shares = (0u32..3, 0u32..3, any::<u8>());
    let file = shares.prop_map(|(one, two, releases)| Event::File(one, two, releases));
    let tick = (any::<u8>(), 0usize..3).prop_map(|(says, up)| Event::Tick(says, up));
    let command = any::<u8>().prop_map(Event::Command);
    proptest::prop_oneof![2 => file, 6 => tick, 3 => command, 1 => proptest::prelude::Just(Event::Restart)]
}

fn loaded(one: u32, two: u32, releases: u8) -> File {
    let all = [
        spec("r", "v1", "v2"),
        spec("s", "v1", "v3"),
        spec("t", "v2", "v3"),
    ];
    let chosen = all
        .into_iter()
        .enumerate()
        .filter(|(n, _)| releases >> n & 1 == 1);
    let chosen: Vec<_> = chosen.map(|(_, spec)| spec).take(2).collect();
    file(
        &[("v1", one * 10 + 1), ("v2", two * 10), ("v3", 0)],
        &chosen,
    )
}

/// What the controller and the writer make of what happens, with the store as a value.
struct Machine {
    known: Known,
    file: File,
    seconds: u64,
}

impl Machine {
    fn apply(&mut self, change: &Change) {
        self.known.apply(change);
    }

    fn load(&mut self, file: File) {
        self.file = file;
        for change in reconcile(&self.file, &self.known, later(self.seconds)) {
            self.apply(&change);
        }
    }

    fn keep(&mut self, state: State) {
        let file = self.file.weights.get(&state.spec.route);
        let left = file.and_then(|file| left_by(&state, file, later(self.seconds)));
        self.apply(&Change {
            action: "test",
            reason: String::new(),
            effect: Effect::Release(Box::new(state), left),
        });
    }

    fn tick(&mut self, says: u8, available: usize) {
        self.seconds += 61;
        let now = later(self.seconds);
        let active = self
            .known
            .releases
            .values()
            .filter(|state| state.phase.is_active());
        let active: Vec<State> = active.cloned().collect();
        for mut state in active {
            let judged = match says % 6 {
                0 => Judged::Nothing,
                1 => Judged::Insufficient(String::new()),
                2 => Judged::Failed {
                    check: "errors".into(),
                    on_fail: OnFail::Rollback,
                    detail: String::new(),
                },
                _ => Judged::Proven,
            };
            let mut seen = fine(state.entered_at, judged);
            seen.candidate = Endpoints {
                available,
                total: 2,
            };
            let decision = decide(&state, &seen, now);
            match decision.next {
                Move::Stay => {
                    state.weight = decision.weight;
                }
                Move::Enter(step) => {
                    if state.step.is_none() {
                        state.file_weights = self.file.weights["shop"].clone();
                    }
                    state.enter(step, Percent::NONE, now);
                    state.weight = allowed(&state, seen.candidate);
                }
                Move::Promote => state.end(Phase::Promoted, "so".into(), now),
                Move::Abort(cause) => state.end(Phase::Aborted, cause, now),
            }
            self.keep(state);
        }
    }

    fn command(&mut self, which: u8) {
        let commands = [
            Command::Pause,
            Command::Resume,
            Command::Skip,
            Command::Promote,
            Command::Abort,
            Command::Rollback(true),
            Command::Retry,
            Command::AcceptFile,
            Command::KeepRunning,
        ];
        let releases: Vec<State> = self.known.releases.values().cloned().collect();
        let Some(state) = releases.get(usize::from(which / 16) % releases.len().max(1)) else {
            return;
        };
        // The desk refuses to retry beside another release of the route.
        let command = &commands[usize::from(which % 16) % commands.len()];
        if *command == Command::Retry && self.known.active("shop").is_some() {
            return;
        }
        let context = Context {
            actor: "ana".into(),
            roles: Roles::every(),
            reason: "because".into(),
            holds: state.holds.iter().map(|hold| hold.reason.clone()).collect(),
            gates: Vec::new(),
            configured: BTreeMap::new(),
            now: later(self.seconds),
            stable: Endpoints::default(),
            wished: self.file.releases.get(&state.spec.id).cloned(),
            file_weights: self.file.weights["shop"].clone(),
        };
        if let Ok(next) = obey(command, state, &context) {
            self.keep(next);
        }
    }

    /// Everything is read again from what was kept.
    fn restart(&mut self) {
        let releases = self.known.releases.iter().map(|(id, state)| {
            let text = serde_json::to_string(state).unwrap();
            (id.clone(), serde_json::from_str(&text).unwrap())
        });
        self.known.releases = releases.collect();
        let overrides = self.known.overrides.iter().map(|(route, set)| {
            let text = serde_json::to_string(set).unwrap();
            (route.clone(), serde_json::from_str(&text).unwrap())
        });
        self.known.overrides = overrides.collect();
        let file = self.file.clone();
        self.load(file);
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_promises_hold(events in prop::collection::vec(event(), 1..40)) {
        let mut machine = Machine {
            known: Known::default(),
            file: File::default(),
            seconds: 0,
        };
        machine.load(loaded(1, 0, 1));
        for event in events {
            let before = machine.known.clone();
            match event {
                Event::File(one, two, releases) => machine.load(loaded(one, two, releases)),
                Event::Tick(says, available) => machine.tick(says, available),
                Event::Command(which) => machine.command(which),
                Event::Restart => {
                    machine.restart();
                    // A restart is no event for traffic or releases.
                    prop_assert_eq!(&machine.known, &before);
                }
            }
            // The writer sees to what waited: a release that comes after another one.
            machine.load(machine.file.clone());
            let now = later(machine.seconds);
            // One release of a route at a time.
            let active = machine.known.releases.values().filter(|state| state.phase.is_active());
            prop_assert!(active.count() <= 1);
            // The same file again changes nothing.
            prop_assert_eq!(reconcile(&machine.file, &machine.known, now), Vec::new());
            for (id, state) in &machine.known.releases {
                // What has ended begins again only when somebody, or another file, says so.
                let was = before.releases.get(id);
                if let Some(was) = was.filter(|was| !was.phase.is_active() && state.phase.is_active()) {
                    prop_assert!(was.attempt < state.attempt);
                    prop_assert!(!matches!(event, Event::Tick(..) | Event::Restart));
                }
                // The candidate of what has ended gets nothing but what the file changed to since.
                if has_ended(state) && state.phase != Phase::Promoted {
                    prop_assert_eq!(state.weight, Percent::NONE);
                }
            }
            // The weights that are obeyed divide everything.
            let overlay = machine.known.overlay(&machine.file, now);
            for route in overlay.routes.values() {
                prop_assert!(route.weights.values().any(|&weight| weight > 0));
            }
        }
    }
}
