//! Conditions as written: an attribute, an operator, and what it compares with.

use std::fmt;

use crate::segment::test::Test;
use crate::segment::{Attribute, SegmentError};

/// A condition as written.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionSpec {
    /// What it is about.
    pub attribute: Attribute,
    /// How it compares.
    pub operator: Operator,
    /// What it compares with.
    pub operand: Operand,
}

/// What a condition compares with.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// One text.
    Text(String),
    /// Several texts, at least one.
    Texts(Vec<String>),
    /// A finite number.
    Number(f64),
    /// Whether something is there.
    Presence(bool),
}

/// The kind of operand that an operator takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Takes {
    /// [`Operand::Text`]: any text.
    Text,
    /// [`Operand::Text`]: a date of RFC 3339.
    Moment,
    /// [`Operand::Texts`].
    Texts,
    /// [`Operand::Number`].
    Number,
    /// [`Operand::Presence`].
    Presence,
}

/// Makes the operators, with the word for each and what it takes.
macro_rules! operators {
    ($( $(#[$doc:meta])* $operator:ident = $word:literal $takes:ident, )+) => {
        /// How a condition compares.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Operator {
            $( $(#[$doc])* $operator, )+
        }

        impl Operator {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$operator, )+];

            /// The word for it in the configuration.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$operator => $word, )+
                }
            }

            /// The kind of operand that it takes.
            pub fn takes(self) -> Takes {
                match self {
                    $( Self::$operator => Takes::$takes, )+
                }
            }
        }
    };
}

operators! {
    /// Equal, byte by byte; addresses as addresses.
    Eq = "eq" Text,
    /// Not equal.
    Ne = "ne" Text,
    /// Equal to one of several.
    In = "in" Texts,
    /// Equal to none of several.
    NotIn = "not_in" Texts,
    /// The text is in the value.
    Contains = "contains" Text,
    /// The value begins with the text.
    StartsWith = "starts_with" Text,
    /// The value ends with the text.
    EndsWith = "ends_with" Text,
    /// The regular expression matches the whole value.
    Matches = "matches" Text,
    /// A smaller number.
    Lt = "lt" Number,
    /// A smaller number, or the same.
    Le = "le" Number,
    /// A greater number.
    Gt = "gt" Number,
    /// A greater number, or the same.
    Ge = "ge" Number,
    /// The same version (semver.org 2.0; what is behind `+` does not count).
    SemverEq = "semver_eq" Text,
    /// An earlier version.
    SemverLt = "semver_lt" Text,
    /// An earlier version, or the same.
    SemverLe = "semver_le" Text,
    /// A later version.
    SemverGt = "semver_gt" Text,
    /// A later version, or the same.
    SemverGe = "semver_ge" Text,
    /// An address in one of several networks.
    Cidr = "cidr" Texts,
    /// An earlier date (RFC 3339).
    Before = "before" Moment,
    /// A later date.
    After = "after" Moment,
    /// There is a value, or there is none.
    Exists = "exists" Presence,
}

impl Takes {
    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Moment => "a date such as \"2026-11-24\" or \"2026-11-24T09:00:00Z\"",
            Self::Texts => "a list of texts",
            Self::Number => "a number",
            Self::Presence => "true or false",
        }
    }
}

impl ConditionSpec {
    /// Tells what is wrong with it.
    ///
    /// # Errors
    /// The first thing in it that cannot be.
    pub fn check(&self) -> Result<(), SegmentError> {
        Test::new(self).map(drop)
    }
}

impl fmt::Display for ConditionSpec {
    /// As one says it: `cookie:plan eq beta`, `client_ip cidr 10.0.0.0/8, ::1/128`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.attribute, self.operator.name())?;
        match &self.operand {
            Operand::Text(text) => write!(formatter, " {text}"),
            Operand::Texts(texts) => write!(formatter, " {}", texts.join(", ")),
            Operand::Number(number) => write!(formatter, " {number}"),
            Operand::Presence(true) => Ok(()),
            Operand::Presence(false) => formatter.write_str(" not"),
        }
    }
}
