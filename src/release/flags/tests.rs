//! What may be asked of a flag, and what is in force.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::flag::{FlagSpec, Inject, Ramp, RuleSpec, Runtime, Serve};
use crate::release::flags::{
    FlagCommand, FlagContext, FlagInFile, FlagRefusal, Kept, Lasts, in_force, obey, serve_the_same,
    target,
};
use crate::release::freeze::{Blocking, Kind};
use crate::release::overlay::{Overlay, Owner, RouteOverlay, Weights};
use crate::release::role::{Role, Roles};
use crate::release::spec::flag_of;
use crate::release::state::Said;

const DAY: u64 = 24 * 60 * 60;

fn later(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn split(of: &[(&str, u32)]) -> Serve {
    let weights = of.iter().map(|&(name, weight)| (name.to_owned(), weight));
    Serve::Split(weights.collect())
}

fn variant(name: &str) -> Serve {
    Serve::Variant(name.to_owned())
}

fn file() -> FlagInFile {
    FlagInFile {
        version: "v1".into(),
        enabled: true,
        everyone: Some(variant("off")),
        variants: vec!["off".into(), "on".into()],
        kill_switch: true,
        routes: Vec::new(),
    }
}

fn operator() -> Roles {
    [Role::Operator].into_iter().collect()
}

/// What anybody asks at second 1, with nothing in the way.
fn context<'a>(file: &'a FlagInFile, roles: &'a Roles) -> FlagContext<'a> {
    FlagContext {
        file: Some(file),
        by: "ana",
        roles,
        reason: "because",
        now: later(1),
        frozen: Vec::new(),
        line: None,
        release: None,
    }
}

fn frozen() -> Vec<Blocking> {
    vec![Blocking {
        freeze: "xmas".into(),
        kind: Kind::Deny,
        until: Some(later(60)),
        who_may_override: Vec::new(),
    }]
}

fn all() -> [FlagCommand; 6] {
    [
        FlagCommand::Kill,
        FlagCommand::Unkill,
        FlagCommand::Enable(Lasts::Usual),
        FlagCommand::Disable(Lasts::Usual),
        FlagCommand::Override(variant("on"), Lasts::Usual),
        FlagCommand::Clear,
    ]
}

/// A flag of which everything is said.
fn full() -> Kept {
    let (file, roles) = (file(), operator());
    let mut kept = Kept::default();
    for command in [&all()[0], &all()[3], &all()[4]] {
        kept = obey(command, &kept, &context(&file, &roles)).unwrap();
    }
    kept
}

#[test]
fn what_takes_a_flag_off_is_in_nobodys_way_and_what_takes_it_forward_waits() {
    let (file, roles) = (file(), operator());
    let said = Said {
        by: "rita".into(),
        reason: "it burns".into(),
        at: later(0),
    };
    for command in all() {
        let mut context = context(&file, &roles);
        assert!(obey(&command, &full(), &context).is_ok(), "{command:?}");
        context.frozen = frozen();
        let by_freeze = obey(&command, &full(), &context);
        context.frozen = Vec::new();
        context.line = Some(&said);
        let by_line = obey(&command, &full(), &context);
        if matches!(command, FlagCommand::Kill | FlagCommand::Disable(_)) {
            assert!(by_freeze.is_ok() && by_line.is_ok(), "{command:?}");
        } else {
            assert_eq!(by_freeze, Err(FlagRefusal::Frozen(frozen())), "{command:?}");
            assert_eq!(by_line, Err(FlagRefusal::Stopped(said.clone())));
        }
    }
    let told = FlagRefusal::Frozen(frozen()).to_string();
    assert_eq!(
        told,
        "the freeze xmas is in the way until 1970-01-01T00:01:00Z"
    );
}

#[test]
fn a_flag_without_a_kill_switch_is_killed_by_those_who_edit_flags_alone() {
    let mut file = file();
    file.kill_switch = false;
    let kill = |roles: &Roles| obey(&FlagCommand::Kill, &Kept::default(), &context(&file, roles));
    let refused = kill(&operator()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "it needs the role release-manager or flag-editor: the flag has no kill switch for others"
    );
    assert!(kill(&[Role::FlagEditor].into_iter().collect()).is_ok());
}

#[test]
fn what_goes_forward_runs_out_after_a_day_and_what_goes_off_does_not() {
    let (mut file, roles) = (file(), operator());
    let expires = |kept: Kept| {
        let of_serve = kept.serve.map(|set| set.expires);
        of_serve.or(kept.enabled.map(|set| set.expires)).unwrap()
    };
    let ask = |file: &FlagInFile, command: FlagCommand| {
        obey(&command, &Kept::default(), &context(file, &roles)).map(expires)
    };
    let in_a_day = Some(later(1 + DAY));
    let on = || variant("on");
    assert_eq!(
        ask(&file, FlagCommand::Override(on(), Lasts::Usual)),
        Ok(in_a_day)
    );
    assert_eq!(
        ask(&file, FlagCommand::Override(on(), Lasts::Permanent)),
        Ok(None)
    );
    let until = Lasts::Until(later(9));
    assert_eq!(
        ask(&file, FlagCommand::Override(on(), until)),
        Ok(Some(later(9)))
    );
    assert_eq!(ask(&file, FlagCommand::Disable(Lasts::Usual)), Ok(None));
    assert_eq!(ask(&file, FlagCommand::Disable(until)), Ok(Some(later(9))));
    let over = Lasts::Until(later(1));
    assert_eq!(
        ask(&file, FlagCommand::Override(on(), over)),
        Err(FlagRefusal::Over)
    );
    file.enabled = false;
    assert_eq!(ask(&file, FlagCommand::Enable(Lasts::Usual)), Ok(in_a_day));
}

#[test]
fn to_say_what_the_file_says_leaves_nothing_to_keep() {
    let (file, roles) = (file(), operator());
    let disabled = obey(&all()[3], &Kept::default(), &context(&file, &roles)).unwrap();
    assert!(!disabled.is_empty());
    let enabled = obey(&all()[2], &disabled, &context(&file, &roles)).unwrap();
    assert!(enabled.is_empty(), "{enabled:?}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (file, roles) = (file(), operator());
    let ask = |command: FlagCommand| {
        let refused = obey(&command, &Kept::default(), &context(&file, &roles));
        refused.unwrap_err().to_string()
    };
    let serving = |serve: Serve| ask(FlagCommand::Override(serve, Lasts::Usual));
    assert_eq!(ask(FlagCommand::Unkill), "it is not killed");
    assert_eq!(ask(FlagCommand::Clear), "nothing was set that it serves");
    assert_eq!(
        serving(variant("blue")),
        "it has no variant `blue`; it has off, on"
    );
    let nothing = serving(split(&[("on", 0)]));
    assert_eq!(nothing, "one weight at least has to be more than 0");
    let too_much = serving(split(&[("on", 1_000_001)]));
    assert_eq!(too_much, "1000001 is over 1000000");
    let mut released = context(&file, &roles);
    released.release = Some("r");
    let refused = obey(&all()[4], &Kept::default(), &released);
    assert_eq!(refused, Err(FlagRefusal::Released("r".into())));
}

#[test]
fn a_target_stands_for_a_flag_and_a_route_for_none() {
    assert_eq!(flag_of(&target("new-checkout")), Some("new-checkout"));
    assert_eq!(flag_of("shop"), None);
}

#[test]
fn a_variant_is_a_split_that_gives_it_everything() {
    let on = variant("on");
    for (other, same) in [
        (variant("on"), true),
        (split(&[("on", 7), ("off", 0)]), true),
        (split(&[("on", 7), ("off", 1)]), false),
        (variant("off"), false),
    ] {
        assert_eq!(serve_the_same(&on, &other), same, "{other:?}");
    }
    let half = split(&[("on", 1), ("off", 1)]);
    assert!(serve_the_same(&half, &split(&[("on", 50), ("off", 50)])));
}

#[test]
fn what_is_in_force_is_what_was_said_of_the_flag_as_the_file_has_it() {
    let ask = |edit: &dyn Fn(&mut FlagInFile), now: u64| {
        let mut file = file();
        edit(&mut file);
        let file = BTreeMap::from([("f".to_owned(), file)]);
        let kept = BTreeMap::from([("f".to_owned(), full())]);
        let none = |_: &str| false;
        let mut flags = in_force(&file, &kept, &Overlay::default(), none, later(now));
        flags.remove("f").unwrap_or_default()
    };
    let all = Runtime {
        killed: true,
        enabled: Some(false),
        serve: Some(variant("on")),
        release: None,
    };
    assert_eq!(ask(&|_| {}, 2), all);
    // The override has run out; to be off has no end.
    let without_serve = Runtime {
        serve: None,
        ..all.clone()
    };
    assert_eq!(ask(&|_| {}, 1 + DAY), without_serve);
    assert_eq!(ask(&|file| file.version = "v2".into(), 2), without_serve);
    let off_in_file = ask(&|file| file.enabled = false, 2);
    assert_eq!((off_in_file.killed, off_in_file.enabled), (true, None));
}

#[test]
fn a_release_comes_before_what_was_set_and_a_kill_before_the_release() {
    let file = BTreeMap::from([("f".to_owned(), file())]);
    let kept = BTreeMap::from([("f".to_owned(), full())]);
    let weights = Weights::from([("off".to_owned(), 9_500), ("on".to_owned(), 500)]);
    let ramp = RouteOverlay {
        weights: weights.clone(),
        salt: Some("s".into()),
        preview: None,
        mirror: None,
        owner: Owner::Release("r".into()),
    };
    let overlay = Overlay {
        routes: BTreeMap::from([(target("f"), ramp)]),
        flags: BTreeMap::new(),
    };
    let of = |is_released: bool| {
        let released = |_: &str| is_released;
        in_force(&file, &kept, &overlay, released, later(2))["f"].clone()
    };
    let ramp = Some(Ramp {
        weights,
        salt: Some("s".into()),
    });
    let while_it_runs = of(true);
    assert_eq!(
        (
            while_it_runs.killed,
            while_it_runs.serve,
            while_it_runs.release
        ),
        (true, None, ramp.clone())
    );
    // What a release has left is like the file: what somebody sets after it holds.
    let after = of(false);
    assert_eq!((after.serve, after.release), (Some(variant("on")), ramp));
}

#[test]
fn what_the_file_serves_to_everyone_is_known_where_nobody_is_told_apart() {
    let mut spec = FlagSpec::switch();
    let of = |spec: &FlagSpec| FlagInFile::of("f", spec).everyone;
    assert_eq!(of(&spec), Some(variant("off")));
    spec.rules = vec![RuleSpec::new(split(&[("on", 1), ("off", 9)]))];
    assert_eq!(of(&spec), Some(split(&[("on", 1), ("off", 9)])));
    spec.rules[0].to = Some(later(9));
    assert_eq!(of(&spec), None);
    spec.rules[0].to = None;
    spec.rules[0].bucket_by = Some("org".parse().unwrap());
    assert_eq!(of(&spec), None);
}

#[test]
fn a_freeze_may_name_a_flag_or_a_route_that_it_is_told_to() {
    let mut spec = FlagSpec::switch();
    assert_eq!(FlagInFile::of("f", &spec).routes, ["flag:f"]);
    spec.inject = Some(Inject {
        header: "x-f".into(),
        routes: vec!["shop".into()],
    });
    assert_eq!(FlagInFile::of("f", &spec).routes, ["flag:f", "shop"]);
}
