//! What is known of the use of flags, over a real store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tempfile::TempDir;

use crate::config::{self, FlagsConfig};
use crate::control::releases::uses::{Counted, Uses};
use crate::release::desk::{Board, Desk};
use crate::release::ledger::Ledger;
use crate::store::{OUTBOX, Settings, Store};

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn counted(of: &[(&str, u64)]) -> Counted {
    let answers = of.iter().map(|&(variant, n)| (variant.to_owned(), n));
    let flag = ("f".to_owned(), answers.collect::<BTreeMap<_, _>>());
    Counted(BTreeMap::from([flag]))
}

/// The flag `f`, with these keys besides.
fn flags(keys: &str) -> FlagsConfig {
    let text = format!(
        "[listener.http]\naddress = \"127.0.0.1:0\"\n[route.shop.respond]\nstatus = 200\n\
         [flags]\nunused_after = \"30d\"\nconstant_after = \"20d\"\n[flag.f]\ntype = \"boolean\"\n\
         variants = {{ on = true, off = false }}\noff_variant = \"off\"\ndefault_variant = \"off\"\n\
         {keys}\n"
    );
    let loaded = config::parse(text, Path::new("t.toml")).expect("it is valid");
    loaded.config.flags
}

fn none() -> FlagsConfig {
    let mut flags = flags("");
    flags.specs.clear();
    flags
}

/// A process: a desk over a store, and what looks at the use of flags.
struct Process {
    desk: Desk,
    uses: Uses,
}

impl Process {
    fn start(path: &Path) -> Self {
        let opened = Store::open(Settings::new(path, "test", "here")).unwrap();
        let ledger = Ledger::new(opened.store, "test".into());
        let board = Arc::new(ArcSwap::from_pointee(Board::default()));
        Self {
            desk: Desk::new(ledger, board),
            uses: Uses::default(),
        }
    }

    async fn look(&mut self, flags: &FlagsConfig, counted: &Counted, seconds: u64) {
        let counted = || counted.clone();
        self.uses
            .look_after(flags, &self.desk, counted, at(seconds))
            .await;
    }

    fn count(&self, variant: &str) -> Option<u64> {
        let uses = self.desk.uses();
        let answer = uses.get("f")?.answers().get(variant)?;
        Some(answer.count)
    }

    fn told(&self) -> Vec<String> {
        let mut entries = self.desk.ledger().store().list(OUTBOX);
        entries.sort_by_key(|(_, entry)| entry.revision);
        let kinds = entries
            .iter()
            .map(|(_, entry)| entry.value["kind"].as_str());
        kinds.map(|kind| kind.unwrap().to_owned()).collect()
    }

    fn end(self) {
        self.desk.ledger().store().close();
    }
}

#[tokio::test]
async fn what_was_counted_is_looked_at_each_minute_and_outlives_the_process() {
    let dir = TempDir::new().unwrap();
    let flags = flags("");
    let mut process = Process::start(dir.path());
    // What was there before anybody looked is nobody's.
    process.look(&flags, &counted(&[("on", 3)]), 0).await;
    process
        .look(&flags, &counted(&[("on", 9)]), MINUTE - 1)
        .await;
    assert_eq!(process.count("on"), None, "it is not a minute yet");
    process
        .look(&flags, &counted(&[("on", 10), ("off", 1)]), MINUTE)
        .await;
    assert_eq!(
        (process.count("on"), process.count("off")),
        (Some(7), Some(1))
    );
    process.end();

    let mut next = Process::start(dir.path());
    // The numbers of the next one begin anew.
    next.look(&flags, &counted(&[]), 2 * MINUTE).await;
    assert_eq!(next.count("on"), Some(7), "known at once");
    next.look(&flags, &counted(&[("on", 5)]), 3 * MINUTE).await;
    assert_eq!((next.count("on"), next.count("off")), (Some(12), Some(1)));
}

#[tokio::test]
async fn a_flag_that_becomes_stale_is_told_of_once_for_each_cause_and_when_it_is_no_more() {
    let dir = TempDir::new().unwrap();
    let expired = flags("expires = 2020-01-01");
    let mut process = Process::start(dir.path());
    let mut seconds = 0;
    process.look(&expired, &counted(&[]), seconds).await;
    for _ in 0..3 {
        seconds += MINUTE;
        process.look(&expired, &counted(&[]), seconds).await;
    }
    assert_eq!(process.told(), ["flag.stale"], "it is expired");
    seconds += 31 * DAY;
    process.look(&expired, &counted(&[]), seconds).await;
    assert_eq!(
        process.told(),
        ["flag.stale"; 2],
        "nobody has asked for 31 days"
    );
    process.end();

    let mut process = Process::start(dir.path());
    process.look(&expired, &counted(&[]), seconds).await;
    seconds += MINUTE;
    process.look(&expired, &counted(&[]), seconds).await;
    assert_eq!(
        process.told(),
        ["flag.stale"; 2],
        "a restart tells nobody again"
    );
    seconds += MINUTE;
    process
        .look(&flags(""), &counted(&[("on", 1)]), seconds)
        .await;
    let settled = ["flag.stale", "flag.stale", "flag.settled"];
    assert_eq!(
        process.told(),
        settled,
        "it is asked again, and does not expire"
    );
}

#[tokio::test]
async fn the_same_answer_for_long_is_a_cause_and_time_that_nobody_watched_is_none() {
    let dir = TempDir::new().unwrap();
    let flags = flags("");
    let mut process = Process::start(dir.path());
    process.look(&flags, &counted(&[]), 0).await;
    for day in 1..=22 {
        let answers = counted(&[("off", day)]);
        process.look(&flags, &answers, day * DAY).await;
    }
    assert_eq!(process.told(), ["flag.stale"]);
    process.end();

    let dir = TempDir::new().unwrap();
    let mut process = Process::start(dir.path());
    process.look(&flags, &counted(&[]), 0).await;
    process.look(&flags, &counted(&[("off", 1)]), DAY).await;
    process.end();
    // The process was down for a year.
    let mut process = Process::start(dir.path());
    process.look(&flags, &counted(&[]), 366 * DAY).await;
    process
        .look(&flags, &counted(&[("off", 1)]), 367 * DAY)
        .await;
    assert_eq!(process.told(), [""; 0]);
}

#[tokio::test]
async fn a_file_that_loses_a_flag_for_a_while_loses_no_evidence() {
    let dir = TempDir::new().unwrap();
    let (flags, none) = (flags(""), none());
    let mut process = Process::start(dir.path());
    process.look(&flags, &counted(&[]), 0).await;
    process.look(&flags, &counted(&[("on", 4)]), MINUTE).await;
    process.look(&none, &counted(&[("on", 4)]), DAY).await;
    assert_eq!(process.count("on"), Some(4));
    process.look(&none, &counted(&[]), 40 * DAY).await;
    assert_eq!(process.count("on"), None, "it is gone for good");
    assert!(
        process
            .desk
            .ledger()
            .store()
            .all_noted("flag-use/")
            .is_empty()
    );
}
