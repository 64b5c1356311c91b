//! Problems: why a flag cannot be, and where in it.

use std::fmt;

use thiserror::Error;

use crate::flag::Kind;
use crate::split::MAX_WEIGHT;

/// Why a flag cannot be.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("flag `{flag}`: {problem}")]
pub struct FlagError {
    flag: String,
    problem: Problem,
}

/// What is wrong with a flag, and where in it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{place}: {fault}")]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What; its message stands for itself, for whoever shows the place in another way.
    pub fault: Fault,
}

/// A place in a flag. Rules and prerequisites are told by their index, from 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// The flag as a whole, or its name.
    Flag,
    /// The table of its variants.
    Variants,
    /// One of them, its name or its value.
    Variant(String),
    /// The off variant.
    OffVariant,
    /// The default: one variant, or a split; then the fault may name one of its keys.
    Default,
    /// The salt.
    Salt,
    /// The name of the flag in a prerequisite.
    PrerequisiteFlag(usize),
    /// The name of the variant in a prerequisite.
    PrerequisiteVariant(usize),
    /// Something of a rule.
    Rule(usize, Part),
    /// The header that the proxy tells it by.
    InjectHeader,
    /// What was set at run time for everybody.
    Override,
    /// The weights of a release.
    Release,
}

/// Something of a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The rule as a whole.
    Whole,
    /// Its name.
    Name,
    /// Its segment.
    Segment,
    /// What it gives: one variant, or a split; then the fault may name one of its keys.
    Serve,
    /// What it divides by.
    BucketBy,
    /// Its salt.
    Salt,
    /// When it ends.
    To,
}

/// What is wrong with something of a flag.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the fields are what the message says")]
pub enum Fault {
    /// Its name is no name.
    #[error("not the name of a flag: 1 to 128 letters, digits, `-`, `_`, `.` or `+`")]
    Name,
    /// It has no variants.
    #[error("empty; at least one variant belongs here")]
    NoVariants,
    /// The name of a variant is no name.
    #[error("`{variant}` is not the name of a variant: 1 to 64 letters, digits, `-`, `_` or `.`")]
    VariantName { variant: String },
    /// A value of another kind than the flag's.
    #[error("not {takes}, as the values of a flag of type {kind} are", takes = kind.takes())]
    Kind { kind: Kind, found: Kind },
    /// A number without a size.
    #[error("not a finite number")]
    NotFinite,
    /// A variant that there is not.
    #[error("`{variant}` is not a variant; there {}", listed(known))]
    UnknownVariant { variant: String, known: Vec<String> },
    /// A split among none.
    #[error("empty; at least one variant with its weight belongs here")]
    EmptySplit,
    /// A weight that is too large.
    #[error("weight {weight} of `{variant}` is over {MAX_WEIGHT}")]
    Weight { variant: String, weight: u32 },
    /// Nobody would get anything.
    #[error("all weights are 0; at least one must be more")]
    AllZero,
    /// An empty salt.
    #[error("empty; without a salt the name of the flag is it")]
    EmptySalt,
    /// A rule that holds at no time.
    #[error("`to` is not after `from`, so the rule never holds")]
    Schedule,
    /// Everybody with the same variant would be in one place.
    #[error("`{attribute}` tells no users apart")]
    BucketBy { attribute: String },
    /// Two rules of one name.
    #[error("rule {} has this name already", first + 1)]
    RuleRepeated { first: usize },
    /// A rule after one that serves everybody always.
    #[error("never asked: rule {} before it serves everybody always", all + 1)]
    NeverAsked { all: usize },
    /// Two prerequisites for one flag.
    #[error("prerequisite {} is about flag `{flag}` already", first + 1)]
    PrerequisiteRepeated { flag: String, first: usize },
    /// A flag that there is not.
    #[error("there is no flag `{flag}`")]
    UnknownFlag { flag: String },
    /// A variant that another flag has not.
    #[error(
        "`{variant}` is not a variant of flag `{flag}`; there {}",
        listed(known)
    )]
    UnknownVariantOf {
        flag: String,
        variant: String,
        known: Vec<String>,
    },
    /// A flag whose answer would depend on itself: the circle, its first flag again at its end.
    #[error("the flag depends on itself: {}", circle.join(" → "))]
    Circle { circle: Vec<String> },
    /// Flags that wait for flags that wait for flags.
    #[error("over {limit} flags depend on each other in a row")]
    TooDeep { limit: usize },
    /// A header that no request can have.
    #[error("`{header}` is not the name of a header")]
    Header { header: String },
}

impl FlagError {
    pub(in crate::flag) fn new(flag: &str, problem: Problem) -> Self {
        Self {
            flag: flag.to_owned(),
            problem,
        }
    }

    /// The name of the flag.
    pub fn flag(&self) -> &str {
        &self.flag
    }

    /// What is wrong with it, and where in it.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl Fault {
    pub(in crate::flag) fn at(self, place: Place) -> Problem {
        Problem { place, fault: self }
    }

    /// The variant that it is about, if it is about one: in a split a key.
    pub fn variant(&self) -> Option<&str> {
        match self {
            Self::VariantName { variant }
            | Self::UnknownVariant { variant, .. }
            | Self::UnknownVariantOf { variant, .. }
            | Self::Weight { variant, .. } => Some(variant),
            Self::Name
            | Self::NoVariants
            | Self::Kind { .. }
            | Self::NotFinite
            | Self::EmptySplit
            | Self::AllZero
            | Self::EmptySalt
            | Self::Schedule
            | Self::BucketBy { .. }
            | Self::RuleRepeated { .. }
            | Self::NeverAsked { .. }
            | Self::PrerequisiteRepeated { .. }
            | Self::UnknownFlag { .. }
            | Self::Circle { .. }
            | Self::TooDeep { .. }
            | Self::Header { .. } => None,
        }
    }
}

impl fmt::Display for Place {
    /// In words, rules and prerequisites counted from 1.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => formatter.write_str("the flag"),
            Self::Variants => formatter.write_str("the variants"),
            Self::Variant(name) => write!(formatter, "variant `{name}`"),
            Self::OffVariant => formatter.write_str("the off variant"),
            Self::Default => formatter.write_str("the default"),
            Self::Salt => formatter.write_str("the salt"),
            Self::PrerequisiteFlag(index) | Self::PrerequisiteVariant(index) => {
                write!(formatter, "prerequisite {}", index + 1)
            }
            Self::Rule(index, part) => {
                let part = match part {
                    Part::Whole => "",
                    Part::Name => ", name",
                    Part::Segment => ", segment",
                    Part::Serve => ", what it serves",
                    Part::BucketBy => ", bucket_by",
                    Part::Salt => ", salt",
                    Part::To => ", to",
                };
                write!(formatter, "rule {}{part}", index + 1)
            }
            Self::InjectHeader => formatter.write_str("the header to inject"),
            Self::Override => formatter.write_str("the override"),
            Self::Release => formatter.write_str("the weights of the release"),
        }
    }
}

/// `are a, b`, `is a`, or `is none`.
fn listed(names: &[String]) -> String {
    match names {
        [] => "is none".to_owned(),
        [only] => format!("is {only}"),
        _ => format!("are {}", names.join(", ")),
    }
}
