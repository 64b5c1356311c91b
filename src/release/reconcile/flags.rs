//! What becomes of what was said of flags at run time when the file changes, or time does.

use std::collections::BTreeMap;

use crate::release::flags::{FlagInFile, Kept, serve_the_same};
use crate::release::reconcile::{Effect, Known, Plan, parted};
use crate::release::spec::flag_of;

/// So many flags that change in the file at once have a record each; more have one in all.
const MOST_APART: usize = 16;

/// What becomes of one thing that was set.
enum Fate {
    /// It holds on.
    Stays,
    /// It goes: what that is called, and why.
    Goes(&'static str, &'static str),
}

impl Known {
    /// What is kept of the flag that a target is, without what was set to be served to everyone: a
    /// release that has ended decides that. Nothing where that was not set.
    pub fn without_serve(&self, target: &str) -> Option<(String, Kept)> {
        let name = flag_of(target)?;
        let kept = self.flags.get(name)?;
        kept.serve.as_ref()?;
        let mut kept = kept.clone();
        kept.serve = None;
        Some((name.to_owned(), kept))
    }

    pub(in crate::release::reconcile) fn keep_flag(&mut self, name: &str, kept: Kept) {
        if kept.is_empty() {
            self.flags.remove(name);
        } else {
            self.flags.insert(name.to_owned(), kept);
        }
    }
}

impl Plan<'_> {
    /// Flags of which something was set: what has run out goes, and what the file changed.
    pub(in crate::release::reconcile) fn flags(&mut self) {
        let file = self.file;
        for (name, kept) in self.known.flags.clone() {
            let fates = match file.flags.get(&name) {
                Some(in_file) => [self.enabled(&kept, in_file), self.serve(&kept, in_file)],
                None => [kept.enabled.is_some(), kept.serve.is_some()].map(|is_set| {
                    if is_set {
                        Fate::Goes("flag.drop", "the flag is not in the file any more")
                    } else {
                        Fate::Stays
                    }
                }),
            };
            let mut kept = kept;
            for (n, fate) in fates.into_iter().enumerate() {
                let Fate::Goes(action, reason) = fate else {
                    continue;
                };
                if n == 0 {
                    kept.enabled = None;
                } else {
                    kept.serve = None;
                }
                let effect = Effect::Flag(name.clone(), kept.clone(), None);
                self.push(action, reason.to_owned(), effect);
            }
        }
    }

    /// Keeps the versions of flags in the file, so that their history tells when they changed.
    pub(in crate::release::reconcile) fn read_flags(&mut self) {
        let mut changed = BTreeMap::new();
        for (name, flag) in &self.file.flags {
            if self.known.flag_file.get(name) != Some(&flag.version) {
                changed.insert(name.clone(), Some(flag.version.clone()));
            }
        }
        for name in self.known.flag_file.keys() {
            if !self.file.flags.contains_key(name) {
                changed.insert(name.clone(), None);
            }
        }
        if changed.len() <= MOST_APART {
            for (name, version) in changed {
                let reason = match (self.known.flag_file.get(&name), &version) {
                    (None, _) => "it is in the file".to_owned(),
                    (Some(_), None) => "it is not in the file any more".to_owned(),
                    (Some(old), Some(new)) => format!("it is {new} in the file, and was {old}"),
                };
                let effect = Effect::FlagFile(BTreeMap::from([(name, version)]));
                self.push("flag.file", reason, effect);
            }
        } else {
            for changed in parted(changed) {
                let reason = format!("{} flags in the file", changed.len());
                self.push("flag.file", reason, Effect::FlagFile(changed));
            }
        }
    }

    fn enabled(&self, kept: &Kept, file: &FlagInFile) -> Fate {
        let Some(set) = &kept.enabled else {
            return Fate::Stays;
        };
        let has_expired = set.expires.is_some_and(|expires| expires <= self.now);
        let has_changed = set.basis != file.enabled_basis();
        fate(has_expired, has_changed, set.value == file.enabled)
    }

    fn serve(&self, kept: &Kept, file: &FlagInFile) -> Fate {
        let Some(set) = &kept.serve else {
            return Fate::Stays;
        };
        let has_expired = set.expires.is_some_and(|expires| expires <= self.now);
        let has_changed = set.basis != file.version;
        let everyone = file.everyone.as_ref();
        let is_same = everyone.is_some_and(|everyone| serve_the_same(everyone, &set.value.0));
        fate(has_expired, has_changed, is_same)
    }
}

fn fate(has_expired: bool, has_changed: bool, is_same: bool) -> Fate {
    match (has_expired, has_changed, is_same) {
        (true, _, _) => Fate::Goes("flag.expire", "the time of what was set is over"),
        (false, true, true) => Fate::Goes("flag.absorb", "the file says now what was set"),
        (false, true, false) => Fate::Goes("flag.drop", "the file says something else now"),
        // It did not change: it is no wish.
        (false, false, _) => Fate::Stays,
    }
}
