//! What a file makes of what was said of flags, and that a restart makes nothing of it.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use crate::flag::{Runtime, Serve};
use crate::release::flags::{
    FlagCommand, FlagContext, FlagInFile, Kept, Lasts, obey as obey_command, target,
};
use crate::release::overlay::{Override, left_by};
use crate::release::percent::Percent;
use crate::release::reconcile::{Change, Effect, File, Known, reconcile};
use crate::release::role::Roles;
use crate::release::spec::Spec;
use crate::release::state::{Phase, State};
use crate::release::tests::fixture::{file, later, spec, start, weights};

const DAY: u64 = 24 * 60 * 60;

fn on_off(version: &str, everyone: &str) -> FlagInFile {
    FlagInFile {
        version: version.into(),
        enabled: true,
        everyone: Some(Serve::Variant(everyone.into())),
        variants: vec!["off".into(), "on".into()],
        kill_switch: true,
        routes: Vec::new(),
    }
}

fn with(flag: FlagInFile, releases: &[Spec]) -> File {
    let mut file = file(&[("v1", 1)], releases);
    let share = match &flag.everyone {
        Some(Serve::Variant(name)) if name == "on" => 100,
        _ => 0,
    };
    let of_flag = weights(&[("off", 100 - share), ("on", share)]);
    file.weights.insert(target("f"), of_flag);
    file.flags.insert("f".into(), flag);
    file
}

fn of_flag(id: &str) -> Spec {
    let mut spec = spec(id, "off", "on");
    spec.route = target("f");
    spec
}

fn load(file: &File, known: &mut Known, seconds: u64) -> Vec<&'static str> {
    let changes = reconcile(file, known, later(seconds));
    for change in &changes {
        known.apply(change);
    }
    let changes = changes.iter().map(|change| change.action);
    changes
        .filter(|action| !action.ends_with(".file"))
        .collect()
}

fn ask(command: &FlagCommand, file: &File, known: &mut Known, seconds: u64) {
    let kept = known.flags.get("f").cloned().unwrap_or_default();
    let release = known.active(&target("f"));
    let release = release.filter(|state| state.phase.owns_weights());
    let roles = Roles::every();
    let context = FlagContext {
        file: file.flags.get("f"),
        by: "ana",
        roles: &roles,
        reason: "because",
        now: later(seconds),
        frozen: Vec::new(),
        line: None,
        release: release.map(|state| state.spec.id.as_str()),
    };
    if let Ok(next) = obey_command(command, &kept, &context) {
        let effect = Effect::Flag("f".into(), next, None);
        known.apply(&change(effect));
    }
}

fn change(effect: Effect) -> Change {
    Change {
        action: "test",
        reason: String::new(),
        effect,
    }
}

fn in_force(file: &File, known: &Known, seconds: u64) -> Runtime {
    let mut overlay = known.overlay(file, later(seconds));
    overlay.flags.remove("f").unwrap_or_default()
}

fn everyone(variant: &str) -> FlagCommand {
    FlagCommand::Override(Serve::Variant(variant.into()), Lasts::Usual)
}

/// A flag that is off for everyone in the file, and of which something was asked.
fn asked(commands: &[FlagCommand]) -> (File, Known) {
    let file = with(on_off("v1", "off"), &[]);
    let mut known = Known::default();
    load(&file, &mut known, 0);
    for command in commands {
        ask(command, &file, &mut known, 0);
    }
    (file, known)
}

#[test]
fn r11_an_override_stays_while_the_flag_is_the_same_in_the_file() {
    let (mut file, mut known) = asked(&[everyone("on")]);
    let on = Some(Serve::Variant("on".into()));
    assert_eq!(in_force(&file, &known, 1).serve, on);
    file.weights.insert("blog".into(), weights(&[("a", 1)]));
    assert_eq!(load(&file, &mut known, 1), [""; 0]);
    assert_eq!(in_force(&file, &known, 1).serve, on);
    // What is over holds no more, also before that is written.
    assert!(!known.has_expired(later(DAY - 1)));
    assert!(known.has_expired(later(DAY)));
    assert_eq!(in_force(&file, &known, DAY), Runtime::default());
    assert_eq!(load(&file, &mut known, DAY), ["flag.expire"]);
    assert!(known.flags.is_empty());
}

#[test]
fn r12_an_override_is_absorbed_or_gives_way_when_the_flag_changes_in_the_file() {
    let (_, known) = asked(&[everyone("on"), FlagCommand::Disable(Lasts::Usual)]);
    let mut there = known.clone();
    let same = with(on_off("v2", "on"), &[]);
    assert_eq!(load(&same, &mut there, 1), ["flag.absorb"]);
    assert_eq!(in_force(&same, &there, 1).serve, None);
    let mut there = known.clone();
    let mut other = on_off("v3", "off");
    other.everyone = None;
    assert_eq!(load(&with(other, &[]), &mut there, 1), ["flag.drop"]);
    // Whether it is on is a field of its own, which did not change.
    assert_eq!(in_force(&same, &there, 1).enabled, Some(false));
    let mut off = on_off("v1", "off");
    off.enabled = false;
    let off = with(off, &[]);
    let mut there = known;
    assert_eq!(load(&off, &mut there, 1), ["flag.absorb"]);
    assert_eq!(in_force(&off, &there, 1).enabled, None);
}

#[test]
fn a_kill_stays_whatever_the_file_says_until_somebody_takes_it_back() {
    let (mut file, mut known) = asked(&[FlagCommand::Kill, everyone("on")]);
    for (n, flag) in [on_off("v2", "off"), on_off("v3", "on")]
        .into_iter()
        .enumerate()
    {
        file = with(flag, &[]);
        load(&file, &mut known, n as u64);
        assert!(in_force(&file, &known, 9).killed);
    }
    let mut gone = file.clone();
    gone.flags.clear();
    gone.weights.remove(&target("f"));
    assert_eq!(load(&gone, &mut known, 10), [""; 0]);
    assert_eq!(known.overlay(&gone, later(10)).flags, BTreeMap::new());
    assert!(known.flags["f"].killed.is_some());
    load(&file, &mut known, 11);
    assert!(
        in_force(&file, &known, 11).killed,
        "it is back, and so is its kill"
    );
    ask(&FlagCommand::Unkill, &file, &mut known, 12);
    assert_eq!(in_force(&file, &known, 12), Runtime::default());
}

#[test]
fn what_was_set_of_a_flag_that_is_taken_out_of_the_file_is_dropped() {
    let (mut file, mut known) = asked(&[
        everyone("on"),
        FlagCommand::Disable(Lasts::Usual),
        FlagCommand::Kill,
    ]);
    file.flags.clear();
    file.weights.remove(&target("f"));
    assert_eq!(load(&file, &mut known, 1), ["flag.drop", "flag.drop"]);
    let kept = &known.flags["f"];
    assert!(kept.killed.is_some() && kept.enabled.is_none() && kept.serve.is_none());
}

#[test]
fn a_flag_that_changes_in_the_file_has_a_record_of_its_own_and_many_have_one() {
    let mut known = Known::default();
    let load = |known: &mut Known, file: &File| {
        let changes = reconcile(file, known, later(0));
        changes.iter().for_each(|change| known.apply(change));
        let of_file = changes.iter().filter(|change| change.action == "flag.file");
        let reasons = of_file.map(|change| change.reason.clone());
        reasons.collect::<Vec<_>>()
    };
    let first = with(on_off("v1", "off"), &[]);
    assert_eq!(load(&mut known, &first), ["it is in the file"]);
    assert_eq!(load(&mut known, &first), [""; 0]);
    let next = with(on_off("v2", "off"), &[]);
    assert_eq!(
        load(&mut known, &next),
        ["it is v2 in the file, and was v1"]
    );
    let mut many = next.clone();
    for n in 0..20 {
        many.flags.insert(format!("f{n}"), on_off("v1", "off"));
    }
    assert_eq!(load(&mut known, &many), ["20 flags in the file"]);
    for n in 20..620 {
        many.flags.insert(format!("f{n}"), on_off("v1", "off"));
    }
    assert_eq!(
        load(&mut known, &many),
        [
            "250 flags in the file",
            "250 flags in the file",
            "100 flags in the file"
        ]
    );
    many.flags.remove("f7");
    assert_eq!(load(&mut known, &many), ["it is not in the file any more"]);
}

/// A release of the flag with a share.
fn running(share: f64) -> (File, Known) {
    let file = with(on_off("v1", "off"), &[of_flag("r")]);
    let mut known = Known::default();
    load(&file, &mut known, 0);
    let state = known.releases.get_mut("r").unwrap();
    state.file_weights = file.weights[&target("f")].clone();
    state.enter(1, Percent::new(share).unwrap(), start());
    (file, known)
}

fn end(file: &File, known: &mut Known, phase: Phase) {
    let mut state: State = known.releases["r"].clone();
    state.end(phase, "so".into(), later(5));
    let left = left_by(&state, &file.weights[&target("f")], later(5));
    known.apply(&change(Effect::Release(Box::new(state), left)));
}

#[test]
fn a_release_of_a_flag_is_its_ramp_and_what_it_leaves_is_one_too() {
    let (file, mut known) = running(25.0);
    let ramp = |known: &Known| in_force(&file, known, 5).release.unwrap().weights;
    assert_eq!(ramp(&known), weights(&[("off", 7_500), ("on", 2_500)]));
    assert!(in_force(&file, &known, 5).release.unwrap().salt.is_some());
    end(&file, &mut known, Phase::Promoted);
    assert_eq!(ramp(&known), weights(&[("off", 0), ("on", 10_000)]));
    // The commit that follows is absorbed.
    let followed = with(on_off("v2", "on"), &[of_flag("r")]);
    assert_eq!(load(&followed, &mut known, 6), ["weights.absorb"]);
    assert_eq!(in_force(&followed, &known, 6), Runtime::default());
}

#[test]
fn what_was_set_before_a_release_does_not_come_back_when_it_has_ended() {
    let (file, mut known) = running(25.0);
    let before = asked(&[everyone("off"), FlagCommand::Kill]).1;
    known.flags = before.flags;
    assert_eq!(
        in_force(&file, &known, 5).serve,
        None,
        "the release decides"
    );
    end(&file, &mut known, Phase::Promoted);
    assert_eq!(known.flags["f"].serve, None);
    assert!(known.flags["f"].killed.is_some(), "a kill is another thing");
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    File {
        version: u8,
        enabled: bool,
        is_there: bool,
    },
    Ask(u8),
    Wait(u64),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let file = (0u8..4, any::<bool>(), 0u8..5).prop_map(|(version, enabled, there)| Event::File {
        version,
        enabled,
        is_there: there > 0,
    });
    let asked = (0u8..8).prop_map(Event::Ask);
    let wait = (1..2 * DAY).prop_map(Event::Wait);
    let restart = proptest::prelude::Just(Event::Restart);
    proptest::prop_oneof![3 => file, 6 => asked, 2 => wait, 1 => restart]
}

fn written_and_read<T: serde::Serialize + serde::de::DeserializeOwned>(
    map: &BTreeMap<String, T>,
) -> BTreeMap<String, T> {
    serde_json::from_str(&serde_json::to_string(map).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn whatever_happens_what_is_in_force_is_what_was_kept(events in prop::collection::vec(event(), 1..40)) {
        let mut file = with(on_off("v0", "off"), &[]);
        let mut known = Known::default();
        let mut seconds = 0;
        load(&file, &mut known, seconds);
        for event in events {
            let was_killed = known.flags.get("f").is_some_and(|kept| kept.killed.is_some());
            match event {
                Event::File { version, enabled, is_there } => {
                    let everyone = if version % 2 == 0 { "off" } else { "on" };
                    let mut flag = on_off(&format!("v{version}{enabled}"), everyone);
                    flag.enabled = enabled;
                    file = with(flag, &[]);
                    if !is_there {
                        file.flags.clear();
                        file.weights.remove(&target("f"));
                    }
                }
                Event::Ask(which) => {
                    let command = match which {
                        0 => FlagCommand::Kill,
                        1 => FlagCommand::Unkill,
                        2 => FlagCommand::Enable(Lasts::Usual),
                        3 => FlagCommand::Disable(Lasts::Usual),
                        4 => FlagCommand::Disable(Lasts::Until(later(seconds + 60))),
                        5 => everyone("on"),
                        6 => FlagCommand::Override(Serve::Variant("off".into()), Lasts::Permanent),
                        _ => FlagCommand::Clear,
                    };
                    ask(&command, &file, &mut known, seconds);
                    if command == FlagCommand::Unkill {
                        let is_killed = known.flags.get("f").is_some_and(|kept| kept.killed.is_some());
                        prop_assert!(!is_killed);
                    }
                }
                Event::Wait(more) => seconds += more,
                Event::Restart => {
                    let before = known.clone();
                    known.flags = written_and_read::<Kept>(&known.flags);
                    known.overrides = written_and_read::<Override>(&known.overrides);
                    prop_assert_eq!(&known, &before);
                }
            }
            // What is in force does not wait for what is written.
            let foreseen = known.overlay(&file, later(seconds));
            load(&file, &mut known, seconds);
            prop_assert_eq!(&known.overlay(&file, later(seconds)), &foreseen);
            // The same file again changes nothing.
            prop_assert_eq!(reconcile(&file, &known, later(seconds)), Vec::new());
            prop_assert!(!known.has_expired(later(seconds)));
            // Only who takes it back ends a kill.
            if was_killed && !matches!(event, Event::Ask(1)) {
                prop_assert!(known.flags["f"].killed.is_some());
            }
        }
    }
}
