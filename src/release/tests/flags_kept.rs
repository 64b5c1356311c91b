//! What is said of flags over a real store: kept, told, and found again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::flag::Serve;
use crate::release::controller::{World, conform};
use crate::release::desk::{Board, Desk, DeskError};
use crate::release::flags::{FlagCommand, FlagInFile, FlagRefusal, Kept, Lasts, target};
use crate::release::freeze::{Act, Freeze, Kind, Pattern, Span, Window};
use crate::release::ledger::{Cause, Ledger};
use crate::release::look::Rules;
use crate::release::overlay::left_by;
use crate::release::percent::Percent;
use crate::release::reconcile::{Change, Effect, File};
use crate::release::role::Roles;
use crate::release::state::Phase;
use crate::release::tests::fixture::{file, later, spec, start, weights};
use crate::store::{
    Actor, ActorKind, ConfigOrigin, OUTBOX, Order, Query, Settings, Store, Urgency, Via,
};

/// A store, a desk, and a file with the flag `f`, told to the route `shop`, that the release `r` rolls
/// out.
struct Instance {
    ledger: Ledger,
    desk: Desk,
    file: File,
}

fn with_flag() -> File {
    let mut release = spec("r", "off", "on");
    release.route = target("f");
    let mut file = file(&[("v1", 1)], &[release]);
    let of_flag = weights(&[("off", 100), ("on", 0)]);
    file.weights.insert(target("f"), of_flag);
    let flag = FlagInFile {
        version: "v1".into(),
        enabled: true,
        everyone: Some(Serve::Variant("off".into())),
        variants: vec!["off".into(), "on".into()],
        kill_switch: true,
        routes: vec!["shop".into()],
    };
    file.flags.insert("f".into(), flag);
    file
}

impl Instance {
    async fn start(path: &Path, rules: Rules) -> Self {
        let opened = Store::open(Settings::new(path, "test", "here")).unwrap();
        let ledger = Ledger::new(opened.store, "test".into());
        let file = with_flag();
        let world = World {
            file: Arc::new(file.clone()),
            rules: Arc::new(rules),
            ..World::default()
        };
        let board = Board {
            world: Arc::new(world),
            releases: BTreeMap::new(),
        };
        let board = Arc::new(ArcSwap::from_pointee(board));
        let instance = Self {
            desk: Desk::new(ledger.clone(), board),
            ledger,
            file,
        };
        let config = ConfigOrigin {
            sha256: "f11e".into(),
            revision: None,
        };
        conform(
            &instance.ledger,
            &instance.file,
            &config,
            Via::Start,
            start(),
        )
        .await
        .unwrap();
        instance
    }

    async fn ask(&self, command: &FlagCommand) -> Result<Kept, DeskError> {
        let (roles, cause) = (Roles::every(), cause());
        let asked = self.desk.flag("f", command, &roles, None, &cause).await;
        asked.map(|(kept, _)| kept)
    }

    fn kept(&self) -> Kept {
        let page = self.ledger.read();
        page.known.flags.get("f").cloned().unwrap_or_default()
    }

    /// The kinds of the events about the flag, in their order.
    fn told(&self) -> Vec<String> {
        let mut entries = self.ledger.store().list(OUTBOX);
        entries.sort_by_key(|(_, entry)| entry.revision);
        let events = entries.into_iter().map(|(_, entry)| entry.value);
        let of_flag = events.filter(|event| event["flag"] == "f");
        let kinds = of_flag.map(|event: Value| event["kind"].as_str().unwrap().to_owned());
        kinds.collect()
    }
}

fn cause() -> Cause {
    Cause {
        actor: Actor::new(ActorKind::Local, "ana", Via::Api),
        reason: "because".into(),
        at: later(5),
        config: None,
        evidence: None,
        request_id: None,
        ticket: None,
    }
}

fn everyone_on() -> FlagCommand {
    FlagCommand::Override(Serve::Variant("on".into()), Lasts::Usual)
}

#[tokio::test]
async fn what_is_said_is_kept_told_and_found_again() {
    let dir = TempDir::new().unwrap();
    let it = Instance::start(dir.path(), Rules::default()).await;
    it.ask(&FlagCommand::Kill).await.unwrap();
    it.ask(&everyone_on()).await.unwrap();
    it.ask(&FlagCommand::Unkill).await.unwrap();
    it.ask(&FlagCommand::Kill).await.unwrap();
    let kept = it.kept();
    assert!(kept.killed.is_some() && kept.serve.is_some());
    assert_eq!(
        it.told(),
        [
            "flag.killed",
            "flag.changed",
            "flag.unkilled",
            "flag.killed"
        ]
    );
    it.ledger.store().close();
    let again = Instance::start(dir.path(), Rules::default()).await;
    assert_eq!(again.kept(), kept);
}

#[tokio::test]
async fn a_flag_that_changes_in_the_file_is_told_with_its_versions() {
    let dir = TempDir::new().unwrap();
    let it = Instance::start(dir.path(), Rules::default()).await;
    assert_eq!(it.told(), [""; 0], "it has come, and has not changed");
    let mut file = it.file.clone();
    file.flags.get_mut("f").unwrap().version = "v2".into();
    let config = ConfigOrigin {
        sha256: "f11e".into(),
        revision: None,
    };
    conform(&it.ledger, &file, &config, Via::Reload, later(1))
        .await
        .unwrap();
    assert_eq!(it.told(), ["flag.changed"]);
    let query = Query {
        object_kind: Some("flag".into()),
        object_id: Some("f".into()),
        order: Order::Newest,
        ..Query::default()
    };
    let record = &it.ledger.store().records(&query).unwrap()[0];
    assert_eq!(record.action, "flag.file");
    assert_eq!(record.before, Some(json!({ "f": "v1" })));
    assert_eq!(record.after, Some(json!({ "f": "v2" })));
}

#[tokio::test]
async fn what_is_said_of_nothing_is_refused() {
    let dir = TempDir::new().unwrap();
    let it = Instance::start(dir.path(), Rules::default()).await;
    let asked = it
        .desk
        .flag("g", &FlagCommand::Kill, &Roles::every(), None, &cause())
        .await;
    assert!(matches!(asked, Err(DeskError::Unknown { .. })));
    let stale = it
        .desk
        .flag("f", &FlagCommand::Kill, &Roles::every(), Some(77), &cause())
        .await;
    assert!(matches!(stale, Err(DeskError::Changed(0))));
}

#[tokio::test]
async fn a_freeze_of_a_route_that_a_flag_is_told_to_is_one_of_the_flag() {
    let freeze = |route: &str| Freeze {
        name: "xmas".into(),
        kind: Kind::Deny,
        window: Window::Span(Span::default()),
        blocks: vec![Act::Flag],
        routes: vec![route.parse::<Pattern>().unwrap()],
        override_roles: Vec::new(),
    };
    for (route, is_blocked) in [("shop", true), ("*", true), ("blog", false)] {
        let dir = TempDir::new().unwrap();
        let rules = Rules {
            gates: BTreeMap::new(),
            freezes: vec![freeze(route)],
        };
        let it = Instance::start(dir.path(), rules).await;
        let asked = it.ask(&everyone_on()).await;
        let is_refused = matches!(asked, Err(DeskError::Flag(FlagRefusal::Frozen(_))));
        assert_eq!(is_refused, is_blocked, "{route}: {asked:?}");
        let page = it.ledger.read();
        let release = &page.known.releases["r"];
        let rules = &it.desk.board().world.rules;
        let frozen = rules.frozen(&page, release, &it.file, later(5));
        assert_eq!(!frozen.is_empty(), is_blocked, "its release: {frozen:?}");
        it.ask(&FlagCommand::Kill).await.unwrap();
    }
}

#[tokio::test]
async fn a_kill_holds_the_release_of_the_flag_and_a_release_that_ends_takes_overrides_with_it() {
    let dir = TempDir::new().unwrap();
    let it = Instance::start(dir.path(), Rules::default()).await;
    it.ask(&everyone_on()).await.unwrap();
    it.ask(&FlagCommand::Kill).await.unwrap();
    let mut state = it.ledger.read().known.releases["r"].clone();
    let held = state.paused.clone().unwrap();
    assert_eq!(
        (held.by.as_str(), held.reason.as_str()),
        ("ana", "its flag is killed: because")
    );
    // Whoever lets it go on is not held again by the same kill.
    state.paused = None;
    state.file_weights = it.file.weights[&target("f")].clone();
    state.enter(1, Percent::new(25.0).unwrap(), start());
    let write = async |state: crate::release::state::State| {
        let left = left_by(&state, &it.file.weights[&target("f")], later(6));
        let change = Change {
            action: "release.test",
            reason: String::new(),
            effect: Effect::Release(Box::new(state), left),
        };
        let page = it.ledger.read();
        it.ledger.write(&page, &change, cause()).await.unwrap();
    };
    write(state.clone()).await;
    let refused = it.ask(&everyone_on()).await;
    assert!(
        matches!(&refused, Err(DeskError::Flag(FlagRefusal::Released(id))) if id == "r"),
        "{refused:?}"
    );
    assert!(it.kept().serve.is_some());
    state.end(Phase::Promoted, "so".into(), later(6));
    write(state).await;
    let kept = it.kept();
    assert!(kept.serve.is_none() && kept.killed.is_some(), "{kept:?}");
    let left = &it.ledger.read().known.overrides[&target("f")];
    assert_eq!(left.weights, weights(&[("off", 0), ("on", 10_000)]));
}

#[tokio::test]
async fn what_takes_a_flag_off_is_obeyed_although_the_disk_is_full() {
    let dir = TempDir::new().unwrap();
    let it = Instance::start(dir.path(), Rules::default()).await;
    let urgency = |action: &'static str| {
        let change = Change {
            action,
            reason: String::new(),
            effect: Effect::Flag("f".into(), Kept::default(), None),
        };
        it.ledger
            .commit(&it.ledger.read(), &change, cause())
            .urgency
    };
    for action in ["flag.kill", "flag.disable", "flag.expire", "flag.drop"] {
        assert_eq!(urgency(action), Urgency::TowardStable, "{action}");
    }
    for action in ["flag.unkill", "flag.enable", "flag.override", "flag.clear"] {
        assert_eq!(urgency(action), Urgency::Durable, "{action}");
    }
}

#[test]
fn what_is_kept_is_written_in_words() {
    let kept: Kept = serde_json::from_value(json!({
        "serve": {
            "value": { "on": 1, "off": 9 }, "basis": "v1", "by": "ana", "reason": "a try",
            "at": "2026-01-01T00:00:00Z", "expires": null,
        },
    }))
    .unwrap();
    let serve = &kept.serve.as_ref().unwrap().value.0;
    assert!(matches!(serve, Serve::Split(weights) if weights["off"] == 9));
    let written = serde_json::to_value(&kept).unwrap();
    assert_eq!(written["serve"]["value"], json!({ "on": 1, "off": 9 }));
    assert!(written.get("killed").is_none());
}
