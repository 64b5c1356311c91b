//! How what is said of a flag is written, and what others are told of it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::flag::Stale;
use crate::notify::{Event, Severity};
use crate::release::flags::{Kept, text};
use crate::release::keys;
use crate::release::ledger::{Cause, Ledger, Page, value};
use crate::store::instant;
use crate::store::{Actor, ActorKind, Commit, CommitError, Committed, Draft, Object, Urgency, Via};

/// What others are told of a flag that nobody has asked for anything.
#[derive(Clone, Copy, Debug)]
pub enum FlagNews<'a> {
    /// It has become stale, for these causes.
    Stale(&'a [&'a Stale]),
    /// It is stale no more.
    Settled,
}

impl Ledger {
    /// Tells others of a flag, and keeps that they were told.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn tell_flag(
        &self,
        name: &str,
        news: &FlagNews<'_>,
        now: SystemTime,
    ) -> Result<Committed, CommitError> {
        let (kind, severity, detail) = match news {
            FlagNews::Stale(causes) => {
                let causes: Vec<String> = causes.iter().map(|cause| why_stale(cause)).collect();
                ("flag.stale", Severity::Warning, causes.join("; "))
            }
            FlagNews::Settled => {
                let why = "nothing speaks for taking it out any more";
                ("flag.settled", Severity::Info, why.to_owned())
            }
        };
        let actor = Actor::new(ActorKind::Controller, "controller", Via::Analysis);
        let mut event = Event::new(now, kind, severity, &self.cluster);
        event.flag = Some(name.to_owned());
        event.detail = Some(detail.clone());
        let mut draft = Draft::new(actor, kind, Object::new("flag", name));
        draft.reason = Some(detail);
        let commit = Commit::new(now, draft).event(value(&event));
        self.store.commit(commit).await
    }
}

/// Why a flag is stale, for people.
pub fn why_stale(stale: &Stale) -> String {
    match stale {
        Stale::Expired { at } => format!("it was to be gone by {}", instant::text(*at)),
        Stale::OneAnswer { variant, since } => {
            format!(
                "everyone has got `{variant}` since {}",
                instant::text(*since)
            )
        }
        Stale::Unused { since } => {
            format!("nobody has evaluated it since {}", instant::text(*since))
        }
    }
}

/// The key of what is said of a flag, and what is written there.
pub(in crate::release::ledger) fn put(name: &str, kept: &Kept) -> (String, Option<Value>) {
    let written = (!kept.is_empty()).then(|| value(kept));
    (keys::flag(name), written)
}

/// Whether it may fail for want of a disk. What takes a flag forward may; what takes it to its off
/// variant may not, nor what the file or the time decided, which is in force before it is written.
pub(in crate::release::ledger) fn urgency(action: &str) -> Urgency {
    match action {
        "flag.unkill" | "flag.enable" | "flag.override" | "flag.clear" => Urgency::Durable,
        _ => Urgency::TowardStable,
    }
}

/// The event of a change of what is said of a flag.
pub(in crate::release::ledger) fn event(
    cluster: &str,
    name: &str,
    before: Option<&Kept>,
    after: &Kept,
    cause: &Cause,
) -> Option<Value> {
    let was_killed = before.is_some_and(|before| before.killed.is_some());
    let (kind, severity) = match (was_killed, after.killed.is_some()) {
        (false, true) => ("flag.killed", Severity::Warning),
        (true, false) => ("flag.unkilled", Severity::Info),
        (true, true) | (false, false) => ("flag.changed", Severity::Info),
    };
    let mut event = Event::new(cause.at, kind, severity, cluster);
    event.flag = Some(name.to_owned());
    event.actor = Some(cause.actor.id.clone());
    event.reason = Some(cause.reason.clone());
    event.detail = Some(told(after));
    event.data.insert("flag".into(), json!(after));
    serde_json::to_value(event).ok()
}

/// The keys of the versions of flags in the file, and what is written there.
pub(in crate::release::ledger) fn in_file(
    versions: &BTreeMap<String, Option<String>>,
) -> impl Iterator<Item = (String, Option<Value>)> {
    let written = versions.iter();
    written.map(|(name, version)| (keys::flag_file(name), version.as_ref().map(value)))
}

/// What the file that was obeyed before said, and what the record of that is about.
pub(in crate::release::ledger) fn file_before(
    page: &Page,
    versions: &BTreeMap<String, Option<String>>,
) -> (Value, Object) {
    let before = versions
        .keys()
        .map(|name| (name, page.known.flag_file.get(name)));
    let before: BTreeMap<_, _> = before.collect();
    let object = match versions.first_key_value() {
        Some((name, _)) if versions.len() == 1 => Object::new("flag", name),
        _ => Object::new("config", "flags"),
    };
    (value(&before), object)
}

/// The event of a flag that has changed in the file; none of one that has come or gone.
pub(in crate::release::ledger) fn file_event(
    cluster: &str,
    page: &Page,
    versions: &BTreeMap<String, Option<String>>,
    cause: &Cause,
) -> Option<Value> {
    let (name, version) = versions.first_key_value().filter(|_| versions.len() == 1)?;
    version.as_ref().and(page.known.flag_file.get(name))?;
    let mut event = Event::new(cause.at, "flag.changed", Severity::Info, cluster);
    event.flag = Some(name.clone());
    event.actor = Some(cause.actor.id.clone());
    event.reason = Some(cause.reason.clone());
    serde_json::to_value(event).ok()
}

/// What is said of a flag, in a line for people.
fn told(kept: &Kept) -> String {
    let until = |expires: Option<SystemTime>| match expires {
        Some(expires) => format!(" until {}", instant::text(expires)),
        None => String::new(),
    };
    let mut told = Vec::new();
    if let Some(said) = &kept.killed {
        told.push(format!("killed by {}", said.by));
    }
    if let Some(set) = &kept.enabled {
        let what = if set.value { "enabled" } else { "disabled" };
        told.push(format!("{what} by {}{}", set.by, until(set.expires)));
    }
    if let Some(set) = &kept.serve {
        told.push(format!(
            "set to {} by {}{}",
            text(&set.value.0),
            set.by,
            until(set.expires)
        ));
    }
    if told.is_empty() {
        return "as the file says".to_owned();
    }
    told.join(", ")
}
