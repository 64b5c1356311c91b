//! Segments: named groups, of requests or of those whom a flag is evaluated for, told apart by
//! their attributes.
//!
//! A segment is a choice of groups of conditions: it holds when all conditions of any group do.
//! What an attribute's value is, it asks whoever wants to know; nothing here knows what a request
//! or a flag is.
//!
//! A condition on an attribute that is missing does not hold, whatever it asks (`ne` and `not_in`
//! included); only `exists = false` is about missing itself. Nor does one on a value that is not of
//! the kind that it compares: no number, no version, no address, no date. One on a list holds when
//! it does of one of its texts, `ne` and `not_in` when they do of all.

mod attribute;
mod condition;
mod moment;
mod test;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;

use thiserror::Error;

use crate::segment::test::Test;

pub use crate::segment::attribute::{Attribute, AttributeError};
pub use crate::segment::condition::{ConditionSpec, Operand, Operator, Takes};
pub(crate) use crate::segment::moment::{WHAT as MOMENT, read as read_moment};

/// The value of an attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value<'a> {
    /// Bytes, as they were sent; most often text.
    Text(Cow<'a, [u8]>),
    /// An address.
    Address(IpAddr),
    /// Several texts, or none.
    List(&'a [String]),
}

/// A segment as written: groups of conditions, of which one has to hold as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SegmentSpec {
    /// The groups; at least one, and none empty.
    pub any: Vec<Vec<ConditionSpec>>,
}

/// A segment, checked and ready to be asked.
#[derive(Clone, Debug)]
pub struct Segment {
    spec: SegmentSpec,
    groups: Vec<Vec<Condition>>,
}

#[derive(Clone, Debug)]
struct Condition {
    attribute: Attribute,
    test: Test,
}

impl PartialEq for Segment {
    /// Segments that are written alike are alike.
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

/// Why a segment cannot be.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
#[expect(missing_docs, reason = "the fields are what the message says")]
pub enum SegmentError {
    /// It has no groups.
    #[error("a segment has at least one condition")]
    Empty,
    /// A group holds always, as it asks for nothing.
    #[error("a group without conditions holds always")]
    EmptyGroup,
    /// The operator compares with something else.
    #[error("`{operator}` takes {takes}")]
    Operand {
        operator: &'static str,
        takes: &'static str,
    },
    /// The operator says nothing of an address.
    #[error("{attribute} is an address: `eq`, `ne`, `in`, `not_in` and `cidr` apply to it")]
    Address { attribute: String },
    /// Nothing is compared with.
    #[error("empty; at least one value belongs here")]
    NoValues,
    /// Every value has the empty text in it.
    #[error("`{operator}` the empty text holds always")]
    Always { operator: &'static str },
    /// The expression cannot be compiled.
    #[error("`{pattern}` is not a regular expression: {reason}")]
    Pattern { pattern: String, reason: String },
    /// A text is not what the operator compares with.
    #[error("`{text}` is not {what}")]
    Text { text: String, what: &'static str },
    /// A number without a size.
    #[error("only finite numbers can be compared")]
    Number,
}

impl Segment {
    /// Checks a segment and prepares all that does not depend on what it is asked about.
    ///
    /// # Errors
    /// The first thing in it that cannot be.
    pub fn new(spec: &SegmentSpec) -> Result<Self, SegmentError> {
        if spec.any.is_empty() {
            return Err(SegmentError::Empty);
        }
        let mut groups = Vec::with_capacity(spec.any.len());
        for group in &spec.any {
            if group.is_empty() {
                return Err(SegmentError::EmptyGroup);
            }
            let conditions = group.iter().map(|condition| {
                Ok(Condition {
                    attribute: condition.attribute.clone(),
                    test: Test::new(condition)?,
                })
            });
            groups.push(conditions.collect::<Result<_, _>>()?);
        }
        Ok(Self {
            spec: spec.clone(),
            groups,
        })
    }

    /// The segment as it was written.
    pub fn spec(&self) -> &SegmentSpec {
        &self.spec
    }

    /// True when all conditions of any group hold. `value` tells the value of an attribute, if
    /// there is one; it is asked only as long as the answer is open.
    pub fn holds<'a>(&'a self, value: impl Fn(&'a Attribute) -> Option<Value<'a>>) -> bool {
        let holds =
            |condition: &'a Condition| condition.test.holds(value(&condition.attribute).as_ref());
        self.groups.iter().any(|group| group.iter().all(holds))
    }

    /// Tells of every condition by itself whether it holds, in the order in which they were
    /// written.
    pub fn each<'a>(
        &'a self,
        value: impl Fn(&'a Attribute) -> Option<Value<'a>>,
    ) -> Vec<Vec<bool>> {
        let holds =
            |condition: &'a Condition| condition.test.holds(value(&condition.attribute).as_ref());
        let groups = self.groups.iter();
        groups
            .map(|group| group.iter().map(holds).collect())
            .collect()
    }
}
