//! Evaluations: which variant of a flag a context gets, and why.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::time::SystemTime;

use crate::flag::choice::Choice;
use crate::flag::rule::{Due, Rule};
use crate::flag::{Context, Flag, FlagValue, Flags};
use crate::segment::{Attribute, Value};

/// The answer of a flag for a context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation<'f> {
    /// The flag.
    pub flag: usize,
    /// The variant, by its place among [`Flags::variants`].
    pub variant: usize,
    /// The name of the variant.
    pub name: &'f str,
    /// The value of the variant.
    pub value: &'f FlagValue,
    /// Why, in the words of OpenFeature.
    pub reason: Reason,
    /// Why, exactly.
    pub cause: Cause<'f>,
    /// How many splits were passed over because the context has nothing that they divide by.
    pub buckets_missing: u32,
}

/// Why a flag gave its answer, in the words of OpenFeature.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// It gives everybody the same.
    Static,
    /// No rule served.
    Default,
    /// A rule with a segment served.
    TargetingMatch,
    /// A key's share decided.
    Split,
    /// It is killed or disabled, or a prerequisite is not met.
    Disabled,
    /// Nobody knows.
    Unknown,
}

/// What exactly decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause<'f> {
    /// It is killed.
    Killed,
    /// It is disabled.
    Disabled,
    /// The flag of this name has another variant than it has to have.
    Prerequisite(&'f str),
    /// What was set at run time for everybody.
    Override,
    /// The rule of this index.
    Rule(usize),
    /// The release that rolls it out.
    Release,
    /// Nothing else.
    Default,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Static,
        Self::Default,
        Self::TargetingMatch,
        Self::Split,
        Self::Disabled,
        Self::Unknown,
    ];

    /// The word for it in OpenFeature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::Default => "DEFAULT",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl Cause<'_> {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Disabled => "disabled",
            Self::Prerequisite(_) => "prerequisite",
            Self::Override => "override",
            Self::Rule(_) => "rule",
            Self::Release => "release",
            Self::Default => "default",
        }
    }
}

/// One context before several flags.
pub struct Asking<'f, 'c, C: ?Sized> {
    flags: &'f Flags,
    context: &'c C,
    /// The variants of flags that others depend on, by their slots. Made at the first of them.
    answers: OnceCell<Box<[Cell<Option<u32>>]>>,
}

impl<'f, 'c, C: Context + ?Sized> Asking<'f, 'c, C> {
    pub(in crate::flag) fn new(flags: &'f Flags, context: &'c C) -> Self {
        Self {
            flags,
            context,
            answers: OnceCell::new(),
        }
    }

    /// The answer of a flag.
    pub fn evaluate(&self, flag: usize) -> Evaluation<'f> {
        let asked = &self.flags.flags[flag];
        let Decided {
            variant,
            reason,
            cause,
            buckets_missing,
        } = self.decide(asked);
        Evaluation {
            flag,
            variant,
            name: &asked.names[variant],
            value: &asked.values[variant],
            reason,
            cause,
            buckets_missing,
        }
    }

    /// The flags that were asked because others depend on them, with their variants.
    pub fn dependencies(&self) -> impl Iterator<Item = (usize, usize)> {
        let flags = self.flags.flags.iter().enumerate();
        flags.filter_map(|(at, flag)| Some((at, self.kept(flag)?)))
    }

    /// The variant of a flag that another one depends on.
    pub(in crate::flag) fn variant(&self, flag: usize) -> usize {
        let asked = &self.flags.flags[flag];
        if let Some(variant) = self.kept(asked) {
            return variant;
        }
        let variant = self.decide(asked).variant;
        self.keep(asked, variant);
        variant
    }

    /// The value of an attribute: of a flag the name of its variant.
    pub(in crate::flag) fn value(&self, attribute: &Attribute) -> Option<Value<'_>> {
        let Attribute::Flag(name) = attribute else {
            return self.context.value(attribute);
        };
        let flag = self.flags.position(name)?;
        let name = &self.flags.flags[flag].names[self.variant(flag)];
        Some(Value::Text(Cow::Borrowed(name.as_bytes())))
    }

    fn kept(&self, flag: &Flag) -> Option<usize> {
        let kept = self.answers.get()?[flag.slot?].get()?;
        Some(kept as usize)
    }

    fn keep(&self, flag: &Flag, variant: usize) {
        let answers = || vec![Cell::new(None); self.flags.n_asked].into_boxed_slice();
        if let (Some(slot), Ok(variant)) = (flag.slot, u32::try_from(variant)) {
            self.answers.get_or_init(answers)[slot].set(Some(variant));
        }
    }

    fn decide(&self, flag: &'f Flag) -> Decided<'f> {
        let off = |cause| Decided::new(flag.off, Reason::Disabled, cause);
        if flag.killed {
            return off(Cause::Killed);
        }
        if !flag.enabled {
            return off(Cause::Disabled);
        }
        let mut prerequisites = flag.prerequisites.iter();
        if let Some(unmet) = prerequisites.find(|it| self.variant(it.flag) != it.variant) {
            let name = &self.flags.flags[unmet.flag].name;
            return off(Cause::Prerequisite(name));
        }
        let mut buckets_missing = 0;
        let mut decided = self.choose(flag, &mut buckets_missing);
        decided.buckets_missing = buckets_missing;
        decided
    }

    /// What an override, a rule, a release or the default gives.
    fn choose(&self, flag: &'f Flag, buckets_missing: &mut u32) -> Decided<'f> {
        if let Some(over) = &flag.over {
            if let Some(variant) = over.of(self.context) {
                return Decided::new(variant, override_reason(over), Cause::Override);
            }
            *buckets_missing += 1;
        }
        for (index, rule) in flag.rules.iter().enumerate() {
            if flag.release.is_some() && rule.segment.is_none() {
                break;
            }
            match self.ask(rule) {
                Said::Gives(variant) => {
                    return Decided::new(variant, rule.reason(), Cause::Rule(index));
                }
                Said::NoBucketKey => *buckets_missing += 1,
                Said::NotBefore(_) | Said::NotSince(_) | Said::SegmentFails => {}
            }
        }
        if let Some(release) = &flag.release {
            if let Some(variant) = release.of(self.context) {
                return Decided::new(variant, Reason::Split, Cause::Release);
            }
            *buckets_missing += 1;
        }
        let variant = flag.default.of(self.context);
        *buckets_missing += u32::from(variant.is_none());
        let reason = flag.default_reason(variant);
        Decided::new(variant.unwrap_or(flag.off), reason, Cause::Default)
    }

    /// What a rule says by itself.
    pub(in crate::flag) fn ask(&self, rule: &Rule) -> Said {
        match rule.due(|| self.context.now()) {
            Due::Now => {}
            Due::From(from) => return Said::NotBefore(from),
            Due::Until(to) => return Said::NotSince(to),
        }
        if let Some(segment) = &rule.segment
            && !segment.holds(|attribute| self.value(attribute))
        {
            return Said::SegmentFails;
        }
        let variant = rule.choice.of(self.context);
        variant.map_or(Said::NoBucketKey, Said::Gives)
    }
}

/// What a rule says by itself.
#[derive(Clone, Copy, Debug)]
pub(in crate::flag) enum Said {
    Gives(usize),
    /// Its time begins with this.
    NotBefore(SystemTime),
    /// Its time was over at this.
    NotSince(SystemTime),
    SegmentFails,
    NoBucketKey,
}

/// What was decided of a flag.
struct Decided<'f> {
    variant: usize,
    reason: Reason,
    cause: Cause<'f>,
    buckets_missing: u32,
}

impl<'f> Decided<'f> {
    fn new(variant: usize, reason: Reason, cause: Cause<'f>) -> Self {
        Self {
            variant,
            reason,
            cause,
            buckets_missing: 0,
        }
    }
}

/// The reason of an override.
pub(in crate::flag) fn override_reason(over: &Choice) -> Reason {
    if over.is_split() {
        Reason::Split
    } else {
        Reason::Static
    }
}

impl Rule {
    /// The reason of what it gives.
    pub(in crate::flag) fn reason(&self) -> Reason {
        if self.segment.is_some() {
            Reason::TargetingMatch
        } else if self.choice.is_split() {
            Reason::Split
        } else {
            Reason::Default
        }
    }
}

impl Flag {
    /// True for a flag that gives everybody the same: there is nothing but a default of one variant.
    fn is_static(&self) -> bool {
        let alone = self.rules.is_empty() && self.over.is_none() && self.release.is_none();
        alone && !self.default.is_split()
    }

    /// The reason of what the default gave, or could not give.
    pub(in crate::flag) fn default_reason(&self, variant: Option<usize>) -> Reason {
        if variant.is_some() && self.default.is_split() {
            Reason::Split
        } else if self.is_static() {
            Reason::Static
        } else {
            Reason::Default
        }
    }
}
