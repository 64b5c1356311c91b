//! The use of flags: how often each variant was the answer is looked at each minute, kept over
//! restarts, and judged. A flag that has become stale is told of once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use crate::config::FlagsConfig;
use crate::control::handle::Shared;
use crate::flag::{Look, Settings, Stale, Use, judge};
use crate::release::desk::Desk;
use crate::release::ledger::{FlagNews, Ledger};
use crate::telemetry::Telemetry;

/// How often it is looked at. What was counted since the last look is lost when a process is killed,
/// and makes nothing look unused that is not: only what was looked at is evidence.
const EACH: Duration = Duration::from_secs(60);

/// How long the last look may take when everything ends.
const GRACE: Duration = Duration::from_secs(2);

/// How often each variant of each flag was the answer since the process began.
#[derive(Clone, Debug, Default)]
struct Counted(BTreeMap<String, BTreeMap<String, u64>>);

/// What is kept of a flag.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Noted {
    seen: Use,
    /// The causes for which others were told that it is stale.
    #[serde(default)]
    told: BTreeSet<String>,
}

/// Looks at the use of flags, if it is time.
pub(in crate::control) async fn look_after(shared: &Shared, desk: &Desk, now: SystemTime) {
    let live = shared.live.load_full();
    let mut uses = shared.uses.lock().await;
    let counted = || Counted::of(&shared.telemetry);
    uses.look_after(&live.config.flags, desk, counted, now)
        .await;
}

/// Looks a last time, so that nothing is lost that was counted.
pub(in crate::control) async fn end(shared: &Shared, now: SystemTime) {
    let Some(desk) = shared.desk.load_full() else {
        return;
    };
    let live = shared.live.load_full();
    let counted = Counted::of(&shared.telemetry);
    let looking = async {
        let mut uses = shared.uses.lock().await;
        uses.look(&live.config.flags, &desk, counted, now).await;
    };
    if timeout(GRACE, looking).await.is_err() {
        warn!("the use of flags is not noted in time");
    }
}

/// Looks at the use of flags.
#[derive(Default)]
pub(crate) struct Uses {
    noted: BTreeMap<String, Noted>,
    /// What was counted up to the last look, and when that was.
    last: Option<(Counted, SystemTime)>,
}

impl Counted {
    fn of(telemetry: &Telemetry) -> Self {
        let mut counted = Self::default();
        for stats in telemetry.registry().flags() {
            let labels = stats.labels();
            let flag = counted.0.entry(labels.flag.to_string()).or_default();
            flag.insert(labels.variant.to_string(), stats.read().uses());
        }
        counted
    }
}

impl Uses {
    /// Looks, if it is time.
    async fn look_after(
        &mut self,
        flags: &FlagsConfig,
        desk: &Desk,
        counted: impl FnOnce() -> Counted,
        now: SystemTime,
    ) {
        match &self.last {
            None => {
                self.noted = desk.ledger().noted_uses();
                self.last = Some((counted(), now));
                self.show(desk);
            }
            Some((_, at)) if now.duration_since(*at).is_ok_and(|since| since < EACH) => {}
            Some(_) => self.look(flags, desk, counted(), now).await,
        }
    }

    async fn look(&mut self, flags: &FlagsConfig, desk: &Desk, counted: Counted, now: SystemTime) {
        let Some((before, from)) = self.last.take() else {
            return;
        };
        let ledger = desk.ledger();
        for (name, variants) in &flags.specs {
            let look = Look {
                from,
                to: now,
                answers: since(&before, &counted, name, variants.variants.keys()),
            };
            match self.noted.get_mut(name) {
                Some(noted) => noted.seen.note(&look),
                None => {
                    let noted = Noted {
                        seen: Use::new(&look),
                        told: BTreeSet::new(),
                    };
                    self.noted.insert(name.clone(), noted);
                }
            }
        }
        self.last = Some((counted, now));
        let settings = Settings {
            unused_after: flags.unused_after,
            constant_after: flags.constant_after,
        };
        for (name, noted) in &mut self.noted {
            let stale = match flags.specs.get(name) {
                Some(spec) => judge(spec, Some(&noted.seen), now, settings),
                None => Vec::new(),
            };
            noted.tell(ledger, name, &stale, now).await;
        }
        self.forget(flags, ledger, now).await;
        self.show(desk);
        self.note(flags, ledger).await;
    }

    /// Notes all of it. Together that is few writes, one after the other it would be many.
    async fn note(&self, flags: &FlagsConfig, ledger: &Ledger) {
        let mut notes = JoinSet::new();
        let noted = self.noted.iter();
        for (name, noted) in noted.filter(|(name, _)| flags.specs.contains_key(*name)) {
            let (ledger, name, noted) = (ledger.clone(), name.clone(), noted.clone());
            notes.spawn(async move { ledger.note_use(&name, Some(&noted)).await });
        }
        let written = notes.join_all().await;
        if let Some(error) = written.into_iter().find_map(Result::err) {
            warn!(%error, "the use of flags cannot be noted");
        }
    }

    /// Forgets flags that are not in the file any more, once they would be stale if they were: until
    /// then a file that loses them for a while loses no evidence.
    async fn forget(&mut self, flags: &FlagsConfig, ledger: &Ledger, now: SystemTime) {
        let is_over = |noted: &Noted| {
            let gone = now.duration_since(noted.seen.until());
            gone.is_ok_and(|gone| flags.unused_after <= gone)
        };
        let over = self
            .noted
            .iter()
            .filter(|(name, noted)| !flags.specs.contains_key(*name) && is_over(noted));
        let over: Vec<String> = over.map(|(name, _)| name.clone()).collect();
        for name in over {
            self.noted.remove(&name);
            if let Err(error) = ledger.note_use::<Noted>(&name, None).await {
                warn!(flag = name, %error, "the use of a flag that is gone cannot be forgotten");
            }
        }
    }

    fn show(&self, desk: &Desk) {
        let uses = self.noted.iter();
        desk.show_uses(
            uses.map(|(name, noted)| (name.clone(), noted.seen.clone()))
                .collect(),
        );
    }
}

impl Noted {
    /// Tells others what has become stale, each cause once, and when nothing is any more.
    async fn tell(&mut self, ledger: &Ledger, name: &str, stale: &[Stale], now: SystemTime) {
        let causes: BTreeSet<String> = stale.iter().map(|cause| cause.name().to_owned()).collect();
        if causes == self.told {
            return;
        }
        let new: Vec<&Stale> = stale
            .iter()
            .filter(|cause| !self.told.contains(cause.name()))
            .collect();
        let news = match new.as_slice() {
            [] if !causes.is_empty() => None,
            [] => Some(FlagNews::Settled),
            new => Some(FlagNews::Stale(new)),
        };
        if let Some(news) = news
            && let Err(error) = ledger.tell_flag(name, &news, now).await
        {
            warn!(flag = name, %error, "that a flag is stale cannot be told yet");
            return;
        }
        self.told = causes;
    }
}

/// What was answered between two countings.
fn since<'n>(
    before: &Counted,
    after: &Counted,
    flag: &str,
    variants: impl Iterator<Item = &'n String>,
) -> BTreeMap<String, u64> {
    let of = |counted: &Counted, variant: &str| {
        let flag = counted.0.get(flag);
        flag.and_then(|flag| flag.get(variant).copied())
            .unwrap_or_default()
    };
    let answers = variants.map(|variant| {
        // Numbers begin anew where a variant was gone for long.
        let (before, after) = (of(before, variant), of(after, variant));
        let more = after.checked_sub(before).unwrap_or(after);
        (variant.clone(), more)
    });
    answers.filter(|(_, more)| 0 < *more).collect()
}

#[cfg(test)]
mod tests;
