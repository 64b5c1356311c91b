//! The retries of an upstream: after what, how often, and where to.

use crate::upstream::Budget;

/// When an attempt that came to nothing is followed by another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// How many further attempts a request may have.
    pub attempts: u32,
    /// After what.
    pub on: RetryKinds,
    /// Whether a further attempt may go to another variant.
    pub other_variant: OtherVariant,
    /// How many there may be in all, where a request may have been processed.
    pub budget: Budget,
}

/// What an attempt may have come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetryKind {
    /// No connection, or no TLS on it.
    Connect,
    /// The endpoint has not processed the request: it said so, or its connection had been closed
    /// before the request was on it.
    Unsent,
    /// A connection or stream that ended before an answer.
    Reset,
    /// A status of 502.
    Status502,
    /// A status of 503.
    Status503,
    /// A status of 504.
    Status504,
    /// No answer in time.
    Timeout,
}

impl RetryKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Unsent,
        Self::Reset,
        Self::Status502,
        Self::Status503,
        Self::Status504,
        Self::Timeout,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Unsent => "unsent",
            Self::Reset => "reset",
            Self::Status502 => "502",
            Self::Status503 => "503",
            Self::Status504 => "504",
            Self::Timeout => "timeout",
        }
    }

    /// The kind of a status, if it is one.
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            502 => Some(Self::Status502),
            503 => Some(Self::Status503),
            504 => Some(Self::Status504),
            _ => None,
        }
    }
}

/// Kinds of what an attempt may have come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RetryKinds(u8);

impl RetryKinds {
    /// Those after which the request certainly was not processed.
    const UNPROCESSED: Self = Self(1 << RetryKind::Connect as u8 | 1 << RetryKind::Unsent as u8);

    /// True when a kind is among them.
    #[inline]
    pub fn has(self, kind: RetryKind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }

    /// Those of them after which the request certainly was not processed.
    pub fn unprocessed(self) -> Self {
        Self(self.0 & Self::UNPROCESSED.0)
    }

    /// The one kind of them, if it is among them.
    pub fn only(self, kind: RetryKind) -> Self {
        Self(self.0 & 1 << kind as u8)
    }

    /// True when there are others, after which a request may be processed twice, so that all of it
    /// has to be kept.
    #[inline]
    pub fn may_repeat(self) -> bool {
        self.0 & !Self::UNPROCESSED.0 != 0
    }
}

impl FromIterator<RetryKind> for RetryKinds {
    fn from_iter<I: IntoIterator<Item = RetryKind>>(kinds: I) -> Self {
        let bits = kinds.into_iter().map(|kind| 1 << kind as u8);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

/// Whether a further attempt may go to another variant of the route.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OtherVariant {
    /// It stays with the variant that was chosen.
    #[default]
    Never,
    /// Where the request certainly was not processed.
    Unsent,
    /// Also where it may have been, as that does no harm.
    Idempotent,
}

impl OtherVariant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Never, Self::Unsent, Self::Idempotent];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Unsent => "unsent",
            Self::Idempotent => "idempotent",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::upstream::{RetryKind, RetryKinds};

    #[test]
    fn kinds_are_told_apart() {
        for one in RetryKind::ALL {
            let only = RetryKinds::from_iter([one]);
            for kind in RetryKind::ALL {
                assert_eq!(only.has(kind), kind == one);
            }
            let is_unprocessed = matches!(one, RetryKind::Connect | RetryKind::Unsent);
            assert_eq!(only.may_repeat(), !is_unprocessed);
            assert_eq!(only.unprocessed().has(one), is_unprocessed);
        }
    }
}
