//! Flags as they are told of: the file, what is set at run time, and the evidence of their use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::admin::Admin;
use crate::admin::releases::{said, stamp};
use crate::admin::wire::{
    Flag, FlagAnswers, FlagDrift, FlagInject, FlagNeed, FlagRow, FlagRule, FlagSet, Said,
    StaleFlag, StaleStatus,
};
use crate::control::Live;
use crate::flag::{FlagSpec, Flags, Runtime, Settings, Stale, Use, judge};
use crate::release::flags::{Kept, Set, target, text};
use crate::release::keys;
use crate::release::ledger::{Page, why_stale};
use crate::release::overlay::{Owner, RouteOverlay, same_shares};
use crate::release::spec::flag_of;
use crate::release::state;

/// What is known of flags at a moment.
pub(in crate::admin::flags) struct Seen {
    live: Arc<Live>,
    page: Arc<Page>,
    uses: Arc<BTreeMap<String, Use>>,
    now: SystemTime,
}

impl Seen {
    /// What is known now; without a store it is what the file says.
    pub(in crate::admin::flags) fn of(admin: &Admin) -> Self {
        let desk = admin.control.desk();
        Self {
            live: admin.control.live(),
            page: desk
                .as_ref()
                .map(|desk| desk.ledger().read())
                .unwrap_or_default(),
            uses: desk.map(|desk| desk.uses()).unwrap_or_default(),
            now: SystemTime::now(),
        }
    }

    /// The flags that are in force.
    pub(in crate::admin::flags) fn flags(&self) -> &Flags {
        &self.live.config.flags.built
    }

    /// The revision of what is set of a flag.
    pub(in crate::admin::flags) fn revision(&self, name: &str) -> u64 {
        self.page.revision(&keys::flag(name))
    }

    /// Who killed a flag, whether it is in the file or not.
    pub(in crate::admin::flags) fn killed(&self, name: &str) -> Option<&state::Said> {
        self.page.known.flags.get(name)?.killed.as_ref()
    }

    /// A flag in a few words.
    pub(in crate::admin::flags) fn row(&self, flag: usize) -> FlagRow {
        let (flags, name) = (self.flags(), self.flags().name(flag));
        let spec = flags.spec(flag);
        let (decided_by, serves) = self.decided(flag);
        FlagRow {
            name: name.to_owned(),
            revision: self.revision(name),
            kind: spec.kind.name().to_owned(),
            description: spec.description.clone(),
            owner: spec.owner.clone(),
            tags: spec.tags.clone(),
            decided_by: decided_by.to_owned(),
            serves,
            is_enabled: flags.is_enabled(flag),
            is_killed: flags.is_killed(flag),
            variants: flags.variants(flag).to_vec(),
            version: flags.version(flag).to_owned(),
            is_permanent: spec.permanent,
            expires_at: spec.expires.map(stamp),
            stale: self.stale(flag),
            last_evaluated_at: self.last_evaluated(name),
        }
    }

    /// A flag.
    pub(in crate::admin::flags) fn flag(&self, flag: usize) -> Flag {
        let (flags, name) = (self.flags(), self.flags().name(flag));
        let spec = flags.spec(flag);
        let none = Kept::default();
        let kept = self.page.known.flags.get(name).unwrap_or(&none);
        let runtime = self.runtime(name);
        let values = flags.variants(flag).iter().enumerate();
        let values = values.map(|(variant, name)| {
            let value = flags.value(flag, variant).to_json();
            (name.clone(), value)
        });
        let rules = spec.rules.iter().enumerate().map(|(n, rule)| FlagRule {
            name: flags.rule_name(flag, n).into_owned(),
            segment: rule.segment.as_ref().map(|(name, _)| name.clone()),
            serves: text(&rule.serve),
            bucket_by: rule.bucket_by.as_ref().map(ToString::to_string),
            from: rule.from.map(stamp),
            to: rule.to.map(stamp),
        });
        let needs = spec.prerequisites.iter().map(|need| FlagNeed {
            flag: need.flag.clone(),
            variant: need.variant.clone(),
        });
        let seen = self.uses.get(name);
        let answers = seen.into_iter().flat_map(Use::answers);
        let answers = answers.map(|(variant, answer)| {
            let told = FlagAnswers {
                count: answer.count,
                last_at: stamp(answer.last),
            };
            (variant.clone(), told)
        });
        let switched = kept.enabled.as_ref();
        let switched = switched.filter(|_| runtime.is_some_and(|it| it.enabled.is_some()));
        let overridden = kept.serve.as_ref();
        let overridden = overridden.filter(|_| runtime.is_some_and(|it| it.serve.is_some()));
        Flag {
            row: self.row(flag),
            created_at: spec.created.map(stamp),
            values: values.collect(),
            off_variant: spec.off_variant.clone(),
            prerequisites: needs.collect(),
            rules: rules.collect(),
            default: text(&spec.default),
            has_kill_switch: spec.kill_switch,
            is_client_visible: spec.client_visible,
            inject: spec.inject.as_ref().map(|inject| FlagInject {
                header: inject.header.clone(),
                routes: inject.routes.clone(),
            }),
            is_enabled_in_file: spec.enabled,
            killed: kept.killed.as_ref().map(said),
            switched: switched.map(|set| was_set(set, on_off(set.value))),
            overridden: overridden.map(|set| was_set(set, text(&set.value.0))),
            release: self.release(name),
            answers: answers.collect(),
            watched_since: seen.map(|seen| stamp(seen.since())),
        }
    }

    /// A flag that should be taken out, if it should.
    pub(in crate::admin::flags) fn stale_flag(&self, flag: usize) -> Option<StaleFlag> {
        let name = self.flags().name(flag);
        let stale = self.stale(flag);
        (!stale.is_empty()).then(|| StaleFlag {
            name: name.to_owned(),
            owner: self.flags().spec(flag).owner.clone(),
            stale,
            last_evaluated_at: self.last_evaluated(name),
        })
    }

    fn runtime(&self, name: &str) -> Option<&Runtime> {
        self.live.overlay.flags.get(name)
    }

    fn ramp(&self, name: &str) -> Option<&RouteOverlay> {
        self.live.overlay.routes.get(&target(name))
    }

    /// What decides first, and what is served then.
    fn decided(&self, flag: usize) -> (&'static str, String) {
        let (flags, name) = (self.flags(), self.flags().name(flag));
        let spec = flags.spec(flag);
        let runtime = self.runtime(name);
        if flags.is_killed(flag) {
            return ("killed", spec.off_variant.clone());
        }
        if !flags.is_enabled(flag) {
            return ("disabled", spec.off_variant.clone());
        }
        if let Some(serve) = runtime.and_then(|runtime| runtime.serve.as_ref()) {
            return ("override", text(serve));
        }
        if let Some(ramp) = self.ramp(name) {
            // What stands before the ramp: rules for some alone.
            let own = spec.rules.iter().take_while(|rule| rule.segment.is_some());
            let weights = ramp.weights.clone();
            let serves = after(own.count(), text(&crate::flag::Serve::Split(weights)));
            return ("release", serves);
        }
        ("file", served(spec))
    }

    fn release(&self, name: &str) -> Option<String> {
        let ramp = self.ramp(name)?;
        match &ramp.owner {
            Owner::Release(id) => Some(id.clone()),
            Owner::Person(_) => {
                let left = self.page.known.overrides.get(&target(name))?;
                left.release.clone()
            }
        }
    }

    fn stale(&self, flag: usize) -> Vec<StaleStatus> {
        let config = &self.live.config.flags;
        let settings = Settings {
            unused_after: config.unused_after,
            constant_after: config.constant_after,
        };
        let (flags, name) = (self.flags(), self.flags().name(flag));
        let causes = judge(flags.spec(flag), self.uses.get(name), self.now, settings);
        causes.iter().map(stale).collect()
    }

    fn last_evaluated(&self, name: &str) -> Option<String> {
        self.uses.get(name)?.last_evaluated().map(stamp)
    }
}

/// What of flags runs against the file.
pub(in crate::admin) fn drifted(live: &Live, page: &Page) -> Vec<FlagDrift> {
    let mut drifted = Vec::new();
    for (name, kept) in &page.known.flags {
        let spec = live.written.flags.specs.get(name);
        if let Some(by) = &kept.killed {
            let advice = match spec {
                Some(_) => "take it out, or unkill it",
                None => "it is not in the file any more: unkill it, so that it may come back",
            };
            drifted.push(FlagDrift {
                obeyed: spec.map_or_else(String::new, |spec| spec.off_variant.clone()),
                ..drift(name, spec, "killed", said(by), advice)
            });
        }
        let runtime = live.overlay.flags.get(name);
        let of = |set: bool| runtime.filter(|_| set);
        let enabled = kept.enabled.as_ref();
        if let Some(set) = enabled.filter(|_| of(true).is_some_and(|it| it.enabled.is_some())) {
            let cause = on_off(set.value);
            let advice = format!("commit `enabled = {}`, or take it back", set.value);
            drifted.push(FlagDrift {
                file: spec.map_or_else(String::new, |spec| on_off(spec.enabled)),
                obeyed: cause.clone(),
                expires_at: set.expires.map(stamp),
                ..drift(name, spec, &cause, who(set), &advice)
            });
        }
        let serve = kept.serve.as_ref();
        if let Some(set) = serve.filter(|_| of(true).is_some_and(|it| it.serve.is_some())) {
            drifted.push(FlagDrift {
                obeyed: text(&set.value.0),
                expires_at: set.expires.map(stamp),
                ..drift(name, spec, "override", who(set), "commit it, or clear it")
            });
        }
    }
    for (route, overlay) in &live.overlay.routes {
        let Some(name) = flag_of(route) else {
            continue;
        };
        drifted.extend(ramp(live, page, name, overlay));
    }
    drifted
}

/// A flag that a release rolls out, or left in another way than the file has it.
fn ramp(live: &Live, page: &Page, name: &str, overlay: &RouteOverlay) -> Option<FlagDrift> {
    let target = target(name);
    let file = live.file.weights.get(&target)?;
    if same_shares(&overlay.weights, file) {
        return None;
    }
    let spec = live.written.flags.specs.get(name);
    let left = page.known.overrides.get(&target);
    let (cause, by, advice) = match &overlay.owner {
        Owner::Release(id) => {
            let advice =
                format!("the release {id} rolls it out: nothing is to be done before it ends");
            let state = page.known.releases.get(id)?;
            let said = Said {
                by: format!("release {id}"),
                reason: state.place(),
                at: stamp(state.entered_at),
            };
            ("release", said, advice)
        }
        Owner::Person(_) => {
            let left = left?;
            let said = Said {
                by: left.by.clone(),
                reason: left.reason.clone(),
                at: stamp(left.at),
            };
            (
                "left",
                said,
                format!("commit what the {} has left", left.by),
            )
        }
    };
    Some(FlagDrift {
        file: text(&crate::flag::Serve::Split(file.clone())),
        obeyed: text(&crate::flag::Serve::Split(overlay.weights.clone())),
        ..drift(name, spec, cause, by, &advice)
    })
}

fn drift(name: &str, spec: Option<&FlagSpec>, cause: &str, said: Said, advice: &str) -> FlagDrift {
    FlagDrift {
        flag: name.to_owned(),
        file: spec.map_or_else(|| "it is not there".to_owned(), served),
        obeyed: String::new(),
        cause: cause.to_owned(),
        said,
        expires_at: None,
        advice: advice.to_owned(),
    }
}

/// What a flag serves by its file, up to the first rule that is for everyone.
fn served(spec: &FlagSpec) -> String {
    let for_some = spec.rules.iter().take_while(|rule| rule.segment.is_some());
    let n_rules = for_some.count();
    let rest = spec.rules.get(n_rules).map(|rule| &rule.serve);
    after(n_rules, text(rest.unwrap_or(&spec.default)))
}

fn after(n_rules: usize, rest: String) -> String {
    match n_rules {
        0 => rest,
        1 => format!("1 rule, else {rest}"),
        n => format!("{n} rules, else {rest}"),
    }
}

fn on_off(is_on: bool) -> String {
    if is_on { "enabled" } else { "disabled" }.to_owned()
}

fn was_set<T>(set: &Set<T>, value: String) -> FlagSet {
    FlagSet {
        value,
        said: who(set),
        expires_at: set.expires.map(stamp),
    }
}

fn who<T>(set: &Set<T>) -> Said {
    Said {
        by: set.by.clone(),
        reason: set.reason.clone(),
        at: stamp(set.at),
    }
}

fn stale(cause: &Stale) -> StaleStatus {
    let (since, variant) = match cause {
        Stale::Expired { at } => (*at, None),
        Stale::OneAnswer { variant, since } => (*since, Some(variant.clone())),
        Stale::Unused { since } => (*since, None),
    };
    StaleStatus {
        cause: cause.name().to_owned(),
        since: stamp(since),
        variant,
        text: why_stale(cause),
    }
}
