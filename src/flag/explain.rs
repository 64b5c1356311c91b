//! Explanations: what each line of the order of decision said.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::flag::evaluate::{Said, override_reason};
use crate::flag::{Asking, Context, Flag, Flags, Reason};
use crate::segment::{ConditionSpec, Segment};

/// One line of the order of decision, and what it said.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'f> {
    /// The line.
    pub line: Line<'f>,
    /// What it said.
    pub outcome: Outcome<'f>,
}

/// A line of the order of decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'f> {
    /// Whether it is killed.
    Kill,
    /// Whether it is disabled.
    Disable,
    /// Whether another flag has the variant that it has to have.
    Prerequisite {
        /// The name of the other flag.
        flag: &'f str,
        /// The variant that it has to have.
        wants: &'f str,
        /// The variant that it has.
        has: &'f str,
    },
    /// What was set at run time for everybody.
    Override,
    /// A rule.
    Rule {
        /// Its index.
        rule: usize,
        /// What it is called, see [`Flags::rule_name`].
        name: Cow<'f, str>,
        /// The name of its segment.
        segment: Option<&'f str>,
        /// The conditions of its segment, by groups, of which one has to hold as a whole.
        groups: Vec<Vec<ConditionStep<'f>>>,
    },
    /// The weights of the release that rolls it out.
    Release,
    /// The default.
    Default,
}

/// A condition of a segment, and whether it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConditionStep<'f> {
    /// The condition.
    pub condition: &'f ConditionSpec,
    /// Whether it holds by itself.
    pub holds: bool,
}

/// What a line said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<'f> {
    /// It decided.
    Decided {
        /// The variant.
        variant: &'f str,
        /// The reason.
        reason: Reason,
    },
    /// There is nothing to obey: not killed, not disabled, nothing set.
    NotSet,
    /// The prerequisite is met.
    Met,
    /// The rule does not hold before this.
    NotBefore(SystemTime),
    /// The rule does not hold since this.
    NotSince(SystemTime),
    /// The segment of the rule does not hold.
    SegmentFails,
    /// The context has nothing to divide by.
    NoBucketKey,
    /// A release stands in for the rule.
    Replaced,
    /// A line before it decided.
    NotAsked,
}

impl Outcome<'_> {
    /// True for the line that decided.
    pub fn is_decisive(&self) -> bool {
        matches!(self, Self::Decided { .. })
    }
}

/// What each line said, in their order.
pub(in crate::flag) fn explain<'f, C: Context + ?Sized>(
    flags: &'f Flags,
    flag: usize,
    context: &C,
) -> Vec<Step<'f>> {
    let explainer = Explainer {
        flags,
        flag: &flags.flags[flag],
        asking: flags.asking(context),
        context,
    };
    let mut steps = explainer.gates();
    steps.push(explainer.of_override());
    for index in 0..explainer.flag.rules.len() {
        steps.push(explainer.rule(flags.rule_name(flag, index), index));
    }
    if let Some(release) = &explainer.flag.release {
        let given = release.of(context);
        let outcome = explainer.given(given, Reason::Split);
        steps.push(Step::new(Line::Release, outcome));
    }
    let given = explainer.flag.default.of(context);
    let reason = explainer.flag.default_reason(given);
    let given = given.or(Some(explainer.flag.off));
    let outcome = explainer.given(given, reason);
    steps.push(Step::new(Line::Default, outcome));

    let decided = steps.iter().position(|step| step.outcome.is_decisive());
    let after = decided.map_or(steps.len(), |decided| decided + 1);
    for step in &mut steps[after..] {
        step.outcome = Outcome::NotAsked;
    }
    steps
}

/// Asks each line of a flag by itself, as if none before it had decided.
struct Explainer<'f, 'c, C: ?Sized> {
    flags: &'f Flags,
    flag: &'f Flag,
    asking: Asking<'f, 'c, C>,
    context: &'c C,
}

impl<'f, C: Context + ?Sized> Explainer<'f, '_, C> {
    /// What leaves everybody with the off variant.
    fn gates(&self) -> Vec<Step<'f>> {
        let off = || self.given(Some(self.flag.off), Reason::Disabled);
        let unless = |fine: bool, outcome| if fine { outcome } else { off() };
        let mut steps = vec![
            Step::new(Line::Kill, unless(!self.flag.killed, Outcome::NotSet)),
            Step::new(Line::Disable, unless(self.flag.enabled, Outcome::NotSet)),
        ];
        for needed in &self.flag.prerequisites {
            let other = &self.flags.flags[needed.flag];
            let has = self.asking.variant(needed.flag);
            let line = Line::Prerequisite {
                flag: &other.name,
                wants: &other.names[needed.variant],
                has: &other.names[has],
            };
            steps.push(Step::new(line, unless(has == needed.variant, Outcome::Met)));
        }
        steps
    }

    fn of_override(&self) -> Step<'f> {
        let outcome = self.flag.over.as_ref().map_or(Outcome::NotSet, |over| {
            self.given(over.of(self.context), override_reason(over))
        });
        Step::new(Line::Override, outcome)
    }

    fn rule(&self, name: Cow<'f, str>, index: usize) -> Step<'f> {
        let rule = &self.flag.rules[index];
        let open = self.flag.rules.iter().position(|it| it.segment.is_none());
        let is_replaced = self.flag.release.is_some() && open.is_some_and(|open| open <= index);
        let outcome = match self.asking.ask(rule) {
            _ if is_replaced => Outcome::Replaced,
            Said::Gives(variant) => self.given(Some(variant), rule.reason()),
            Said::NotBefore(from) => Outcome::NotBefore(from),
            Said::NotSince(to) => Outcome::NotSince(to),
            Said::SegmentFails => Outcome::SegmentFails,
            Said::NoBucketKey => Outcome::NoBucketKey,
        };
        let segment = self.flag.spec.rules[index].segment.as_ref();
        let line = Line::Rule {
            rule: index,
            name,
            segment: segment.map(|(name, _)| name.as_str()),
            groups: segment.map_or_else(Vec::new, |(_, segment)| self.groups(segment)),
        };
        Step::new(line, outcome)
    }

    /// Each condition of a segment by itself.
    fn groups(&self, segment: &'f Segment) -> Vec<Vec<ConditionStep<'f>>> {
        let held = segment.each(|attribute| self.asking.value(attribute));
        let groups = segment.spec().any.iter().zip(held);
        let groups = groups.map(|(group, held)| {
            let steps = group.iter().zip(held);
            let steps = steps.map(|(condition, holds)| ConditionStep { condition, holds });
            steps.collect()
        });
        groups.collect()
    }

    fn given(&self, variant: Option<usize>, reason: Reason) -> Outcome<'f> {
        variant.map_or(Outcome::NoBucketKey, |variant| Outcome::Decided {
            variant: &self.flag.names[variant],
            reason,
        })
    }
}

impl<'f> Step<'f> {
    fn new(line: Line<'f>, outcome: Outcome<'f>) -> Self {
        Self { line, outcome }
    }
}
