//! Tests: conditions made ready, and what they say of a value.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use memchr::memmem::Finder;
use semver::Version;

use crate::message::Networks;
use crate::route::FullRegex;
use crate::segment::condition::{ConditionSpec, Operand, Operator};
use crate::segment::moment;
use crate::segment::{Attribute, SegmentError, Value};

/// What a value must be.
#[derive(Clone, Debug)]
pub(in crate::segment) enum Test {
    /// One of these.
    Among(Texts),
    /// None of these.
    NotAmong(Texts),
    /// Something with this in it.
    Contains(Box<Finder<'static>>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
    Matches(FullRegex),
    Number(Side, f64),
    Version(Side, Version),
    /// An address in these networks.
    Within(Networks),
    /// An address in none of these.
    Outside(Networks),
    Moment(Side, Timestamp),
    Present,
    Absent,
}

/// Texts in their order: most lists are short, and comparing with a few costs less than a hash.
#[derive(Clone, Debug)]
pub(in crate::segment) struct Texts(Box<[Box<[u8]>]>);

impl Texts {
    /// True when this text is one of them.
    fn have(&self, text: &[u8]) -> bool {
        self.0.binary_search_by(|one| (**one).cmp(text)).is_ok()
    }
}

/// On which side of the operand a value must be.
#[derive(Clone, Copy, Debug)]
pub(in crate::segment) enum Side {
    Below,
    BelowOrAt,
    At,
    AtOrAbove,
    Above,
}

impl Side {
    /// Tells of a value by how it compares with the operand.
    fn has(self, ordering: Ordering) -> bool {
        match self {
            Self::Below => ordering.is_lt(),
            Self::BelowOrAt => ordering.is_le(),
            Self::At => ordering.is_eq(),
            Self::AtOrAbove => ordering.is_ge(),
            Self::Above => ordering.is_gt(),
        }
    }
}

impl Test {
    /// Makes a condition ready.
    pub(in crate::segment) fn new(spec: &ConditionSpec) -> Result<Self, SegmentError> {
        let is_address = spec.attribute.is_address();
        let operand = Reader { spec };
        let test = match spec.operator {
            Operator::Eq if is_address => Self::Within(addresses(&[operand.text()?])?),
            Operator::Ne if is_address => Self::Outside(addresses(&[operand.text()?])?),
            Operator::In if is_address => Self::Within(addresses(&operand.texts()?)?),
            Operator::NotIn if is_address => Self::Outside(addresses(&operand.texts()?)?),
            Operator::Cidr => Self::Within(networks(&operand.texts()?)?),
            Operator::Exists => match spec.operand {
                Operand::Presence(true) => Self::Present,
                Operand::Presence(false) => Self::Absent,
                Operand::Text(_) | Operand::Texts(_) | Operand::Number(_) => {
                    return Err(operand.is_wrong());
                }
            },
            _ if is_address => {
                return Err(SegmentError::Address {
                    attribute: spec.attribute.to_string(),
                });
            }
            Operator::Eq => Self::Among(operand.set(&[operand.text()?])),
            Operator::Ne => Self::NotAmong(operand.set(&[operand.text()?])),
            Operator::In => Self::Among(operand.set(&operand.texts()?)),
            Operator::NotIn => Self::NotAmong(operand.set(&operand.texts()?)),
            Operator::Contains => {
                Self::Contains(Box::new(Finder::new(&*operand.part()?).into_owned()))
            }
            Operator::StartsWith => Self::StartsWith(operand.part()?),
            Operator::EndsWith => Self::EndsWith(operand.part()?),
            Operator::Matches => {
                let pattern = operand.text()?;
                Self::Matches(
                    FullRegex::new(pattern).map_err(|reason| SegmentError::Pattern {
                        pattern: pattern.to_owned(),
                        reason,
                    })?,
                )
            }
            Operator::Lt => Self::Number(Side::Below, operand.number()?),
            Operator::Le => Self::Number(Side::BelowOrAt, operand.number()?),
            Operator::Gt => Self::Number(Side::Above, operand.number()?),
            Operator::Ge => Self::Number(Side::AtOrAbove, operand.number()?),
            Operator::SemverEq => Self::Version(Side::At, operand.version()?),
            Operator::SemverLt => Self::Version(Side::Below, operand.version()?),
            Operator::SemverLe => Self::Version(Side::BelowOrAt, operand.version()?),
            Operator::SemverGt => Self::Version(Side::Above, operand.version()?),
            Operator::SemverGe => Self::Version(Side::AtOrAbove, operand.version()?),
            Operator::Before => Self::Moment(Side::Below, operand.moment()?),
            Operator::After => Self::Moment(Side::Above, operand.moment()?),
        };
        Ok(test)
    }

    /// Tells whether a value is what it must be; `None` is that there is none.
    pub(in crate::segment) fn holds(&self, value: Option<&Value<'_>>) -> bool {
        let Some(value) = value else {
            return matches!(self, Self::Absent);
        };
        match (self, value) {
            (Self::Present, _) => true,
            (Self::Absent, _) => false,
            // Who says what a value must not be means all of them.
            (Self::NotAmong(_) | Self::Outside(_), Value::List(texts)) => {
                texts.iter().all(|text| self.holds_of(text.as_bytes()))
            }
            (_, Value::List(texts)) => texts.iter().any(|text| self.holds_of(text.as_bytes())),
            (Self::Within(networks), Value::Address(address)) => networks.contains(*address),
            (Self::Outside(networks), Value::Address(address)) => !networks.contains(*address),
            (_, Value::Address(_)) => false,
            (_, Value::Text(bytes)) => self.holds_of(bytes),
        }
    }

    /// Tells whether a text is what the value must be.
    fn holds_of(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Among(texts) => texts.have(bytes),
            Self::NotAmong(texts) => !texts.have(bytes),
            Self::Contains(finder) => finder.find(bytes).is_some(),
            Self::StartsWith(start) => bytes.starts_with(start),
            Self::EndsWith(end) => bytes.ends_with(end),
            Self::Matches(regex) => regex.is_match(bytes),
            Self::Number(side, operand) => number(bytes)
                .and_then(|number| number.partial_cmp(operand))
                .is_some_and(|ordering| side.has(ordering)),
            Self::Version(side, operand) => text(bytes)
                .and_then(|text| Version::parse(text).ok())
                .is_some_and(|version| side.has(version.cmp_precedence(operand))),
            Self::Moment(side, operand) => text(bytes)
                .and_then(moment::read)
                .is_some_and(|moment| side.has(moment.cmp(operand))),
            Self::Within(networks) => {
                address(bytes).is_some_and(|address| networks.contains(address))
            }
            Self::Outside(networks) => {
                address(bytes).is_some_and(|address| !networks.contains(address))
            }
            Self::Present => true,
            Self::Absent => false,
        }
    }
}

/// Reads the operand of a condition.
struct Reader<'a> {
    spec: &'a ConditionSpec,
}

impl<'a> Reader<'a> {
    fn text(&self) -> Result<&'a str, SegmentError> {
        match &self.spec.operand {
            Operand::Text(text) => Ok(text),
            Operand::Texts(_) | Operand::Number(_) | Operand::Presence(_) => Err(self.is_wrong()),
        }
    }

    fn texts(&self) -> Result<Vec<&'a str>, SegmentError> {
        match &self.spec.operand {
            Operand::Texts(texts) if texts.is_empty() => Err(SegmentError::NoValues),
            Operand::Texts(texts) => Ok(texts.iter().map(String::as_str).collect()),
            Operand::Text(_) | Operand::Number(_) | Operand::Presence(_) => Err(self.is_wrong()),
        }
    }

    fn number(&self) -> Result<f64, SegmentError> {
        match self.spec.operand {
            Operand::Number(number) if number.is_finite() => Ok(number),
            Operand::Number(_) => Err(SegmentError::Number),
            Operand::Text(_) | Operand::Texts(_) | Operand::Presence(_) => Err(self.is_wrong()),
        }
    }

    /// A text that is looked for in another: not the empty one.
    fn part(&self) -> Result<Box<[u8]>, SegmentError> {
        match self.text()? {
            "" => Err(SegmentError::Always {
                operator: self.spec.operator.name(),
            }),
            text => Ok(self.bytes(text)),
        }
    }

    fn version(&self) -> Result<Version, SegmentError> {
        let text = self.text()?;
        Version::parse(text).map_err(|_| SegmentError::Text {
            text: text.to_owned(),
            what: "a version of semver.org such as 1.4.0 or 2.0.0-beta.1",
        })
    }

    fn moment(&self) -> Result<Timestamp, SegmentError> {
        let text = self.text()?;
        moment::read(text).ok_or_else(|| SegmentError::Text {
            text: text.to_owned(),
            what: moment::WHAT,
        })
    }

    fn set(&self, texts: &[&str]) -> Texts {
        let mut texts: Box<[_]> = texts.iter().map(|text| self.bytes(text)).collect();
        texts.sort_unstable();
        Texts(texts)
    }

    /// A text as it is compared: a host in lower case.
    fn bytes(&self, text: &str) -> Box<[u8]> {
        match self.spec.attribute {
            Attribute::Host => text.to_ascii_lowercase().into_bytes().into(),
            _ => text.as_bytes().into(),
        }
    }

    fn is_wrong(&self) -> SegmentError {
        let operator = self.spec.operator;
        SegmentError::Operand {
            operator: operator.name(),
            takes: operator.takes().name(),
        }
    }
}

/// The networks of single addresses.
fn addresses(texts: &[&str]) -> Result<Networks, SegmentError> {
    let networks = texts.iter().map(|text| {
        let address: IpAddr = text.parse().map_err(|_| SegmentError::Text {
            text: (*text).to_owned(),
            what: "an IP address",
        })?;
        Ok(IpNet::from(address.to_canonical()))
    });
    Ok(Networks::new(networks.collect::<Result<_, _>>()?))
}

fn networks(texts: &[&str]) -> Result<Networks, SegmentError> {
    let networks = texts.iter().map(|text| {
        text.parse().map_err(|_| SegmentError::Text {
            text: (*text).to_owned(),
            what: "a network such as 10.0.0.0/8 or 2001:db8::/32",
        })
    });
    Ok(Networks::new(networks.collect::<Result<_, _>>()?))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    text(bytes)?.parse().ok()
}

fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

/// A number in decimal, with a fraction and an exponent or without; nothing infinite.
fn number(bytes: &[u8]) -> Option<f64> {
    let number: f64 = text(bytes)?.parse().ok()?;
    number.is_finite().then_some(number)
}
