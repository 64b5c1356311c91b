//! Retries: whether an attempt that came to nothing is followed by another.
//!
//! What the endpoint certainly has not processed may be sent again whatever it asks for; what it may
//! have processed only where the upstream's settings say so, and doing it twice is doing it once (RFC
//! 9110, section 9.2.2). Nothing is sent again of which a part is no longer there, nor once the client
//! was told anything.

use std::cell::Cell;
use std::rc::Rc;

use crate::http1::{PumpError, ReadError};
use crate::proxy::trouble::Trouble;
use crate::telemetry::stats::RetryCause;
use crate::upstream::{Pool, Retry, RetryKind, RetryKinds, was_not_processed};

/// What of an attempt may be followed by another one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Left {
    /// What counts as a retry.
    kinds: RetryKinds,
    /// A connection that turned out to be closed, which is replaced and counts as none.
    stale: bool,
}

impl Left {
    /// What may follow the next attempt of a request: `n_retries` were made, and a connection turned
    /// out to be closed `n_stale` times. What is to change its protocol is never done twice.
    pub(crate) fn of(
        policy: &Retry,
        n_retries: u32,
        n_stale: u32,
        is_idempotent: bool,
        is_upgrade: bool,
    ) -> Self {
        let kinds = if n_retries >= policy.attempts {
            // Nothing was sent: that is no further attempt at the request.
            policy.on.only(RetryKind::Connect)
        } else if is_idempotent && !is_upgrade {
            policy.on
        } else {
            policy.on.unprocessed()
        };
        Self {
            kinds,
            stale: policy.on.has(RetryKind::Unsent) && n_stale == 0,
        }
    }

    /// True when all of the request has to be kept, as it may have to be sent again after it was
    /// sent whole.
    pub(crate) fn keeps(self) -> bool {
        self.kinds.may_repeat()
    }

    /// True when a connection that turned out to be closed is replaced.
    pub(crate) fn replaces(self) -> bool {
        self.stale
    }

    /// True when another attempt may follow what this is.
    pub(crate) fn has(self, kind: RetryKind) -> bool {
        self.kinds.has(kind)
    }

    /// True when another attempt may follow an answer with this status.
    #[inline]
    pub(crate) fn has_status(self, status: u16) -> bool {
        self.keeps() && RetryKind::of_status(status).is_some_and(|kind| self.has(kind))
    }
}

/// Looks at the status of an answer before it is passed on.
#[derive(Debug)]
pub(crate) struct Picky {
    left: Left,
    pool: Rc<Pool>,
    is_out_of_budget: Cell<bool>,
}

impl Picky {
    pub(crate) fn new(left: Left, pool: &Rc<Pool>) -> Self {
        Self {
            left,
            pool: Rc::clone(pool),
            is_out_of_budget: Cell::new(false),
        }
    }

    /// True when another attempt is made for an answer with this status; it has been taken out of
    /// the budget.
    pub(crate) fn refuses(&self, status: u16) -> bool {
        if !self.left.has_status(status) {
            return false;
        }
        let may_retry = self.pool.may_retry();
        self.is_out_of_budget.set(!may_retry);
        may_retry
    }

    /// True when there would be another attempt if the budget had one left.
    pub(crate) fn is_out_of_budget(&self) -> bool {
        self.is_out_of_budget.get()
    }
}

/// How an attempt came to nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed<'t> {
    /// What went wrong.
    pub(crate) trouble: &'t Trouble,
    /// True when its connection had been there before, and not a byte of an answer has come.
    pub(crate) is_stale: bool,
    /// True when nothing of the request was written.
    pub(crate) is_unsent: bool,
    /// True when doing it twice is doing it once.
    pub(crate) is_idempotent: bool,
    /// True when all that was read of the request is there still, and the client was told nothing.
    pub(crate) is_replayable: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// Another connection in the place of the one that was closed.
    Replace(RetryCause),
    /// Another attempt, if the budget has one.
    Again(RetryCause),
    /// Nothing: that is it.
    Nothing,
}

/// Decides what follows an attempt that came to nothing.
pub(crate) fn next(left: Left, failed: &Failed<'_>) -> Next {
    if !failed.is_replayable {
        return Next::Nothing;
    }
    if let Trouble::Stream(error) = failed.trouble
        && was_not_processed(error)
    {
        return match left.has(RetryKind::Unsent) {
            true => Next::Again(RetryCause::Refused),
            false => Next::Nothing,
        };
    }
    if failed.is_stale && left.stale {
        if failed.is_unsent {
            return Next::Replace(RetryCause::Unsent);
        }
        if failed.is_idempotent {
            return Next::Replace(RetryCause::Reset);
        }
    }
    match failed.trouble {
        Trouble::Unwanted => Next::Again(RetryCause::Status),
        trouble if is_reset(trouble) && left.has(RetryKind::Reset) => {
            Next::Again(RetryCause::Reset)
        }
        Trouble::Silent if left.has(RetryKind::Timeout) => Next::Again(RetryCause::Timeout),
        _ => Next::Nothing,
    }
}

/// True when not a byte of an answer came by a connection of HTTP/1, as by one that had been closed
/// before; `inbox` is what came and was not used.
pub(crate) fn is_silent(trouble: &Trouble, inbox: &[u8]) -> bool {
    match trouble {
        Trouble::Closed | Trouble::Read(ReadError::Io(_)) => inbox.is_empty(),
        Trouble::Upload(PumpError::Write(_)) => true,
        _ => false,
    }
}

/// True when the connection, or the stream, ended before an answer.
fn is_reset(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Closed
        | Trouble::Read(ReadError::Io(_) | ReadError::Cut)
        | Trouble::Upload(PumpError::Write(_)) => true,
        // What the library itself finds wrong is what the upstream sent.
        Trouble::Stream(error) => !error.is_library(),
        _ => false,
    }
}

/// True for the methods that may be repeated (RFC 9110, section 9.2.2).
pub(crate) fn is_idempotent(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE"
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use crate::http1::{PumpError, ReadError};
    use crate::proxy::retry::{Failed, Left, Next, next};
    use crate::proxy::trouble::Trouble;
    use crate::telemetry::stats::RetryCause;
    use crate::upstream::{Budget, OtherVariant, Retry, RetryKind};

    fn policy(attempts: u32, on: &[RetryKind]) -> Retry {
        Retry {
            attempts,
            on: on.iter().copied().collect(),
            other_variant: OtherVariant::Never,
            budget: Budget {
                share: 0.2,
                per_second: 10,
            },
        }
    }

    fn everything() -> Left {
        Left::of(&policy(1, &RetryKind::ALL), 0, 0, true, false)
    }

    fn failed(trouble: &Trouble) -> Failed<'_> {
        Failed {
            trouble,
            is_stale: false,
            is_unsent: false,
            is_idempotent: true,
            is_replayable: true,
        }
    }

    fn reset() -> Trouble {
        Trouble::Read(ReadError::Io(io::ErrorKind::ConnectionReset.into()))
    }

    #[test]
    fn there_are_as_many_as_the_policy_has() {
        let policy = policy(2, &RetryKind::ALL);
        let of = |n_retries| Left::of(&policy, n_retries, 0, true, false);
        for (n_retries, has) in [(0, true), (1, true), (2, false), (3, false)] {
            assert_eq!(of(n_retries).has(RetryKind::Reset), has, "{n_retries}");
            assert_eq!(of(n_retries).has_status(503), has, "{n_retries}");
        }
    }

    #[test]
    fn what_is_no_safe_thing_to_do_twice_is_done_again_only_where_it_was_not_done() {
        let policy = policy(1, &RetryKind::ALL);
        for (is_idempotent, is_upgrade) in [(false, false), (true, true), (false, true)] {
            let left = Left::of(&policy, 0, 0, is_idempotent, is_upgrade);
            assert!(left.has(RetryKind::Connect) && left.has(RetryKind::Unsent));
            assert!(!left.keeps() && !left.has_status(503));
            assert_eq!(next(left, &failed(&reset())), Next::Nothing);
            assert_eq!(next(left, &failed(&Trouble::Silent)), Next::Nothing);
        }
    }

    #[test]
    fn nothing_follows_what_is_no_longer_there_or_was_answered_in_part() {
        for trouble in [reset(), Trouble::Closed, Trouble::Silent] {
            let failed = Failed {
                is_replayable: false,
                is_stale: true,
                is_unsent: true,
                ..failed(&trouble)
            };
            assert_eq!(next(everything(), &failed), Next::Nothing);
        }
    }

    #[test]
    fn a_connection_that_turned_out_to_be_closed_is_replaced_once() {
        let policy = policy(0, &[RetryKind::Unsent]);
        let of = |n_stale| Left::of(&policy, 0, n_stale, false, false);
        let trouble = Trouble::Closed;
        let stale = Failed {
            is_stale: true,
            is_unsent: true,
            is_idempotent: false,
            ..failed(&trouble)
        };
        assert_eq!(next(of(0), &stale), Next::Replace(RetryCause::Unsent));
        assert_eq!(next(of(1), &stale), Next::Nothing);
        let sent = Failed {
            is_unsent: false,
            ..stale
        };
        assert_eq!(next(of(0), &sent), Next::Nothing);
        let idempotent = Failed {
            is_idempotent: true,
            ..sent
        };
        assert_eq!(next(of(0), &idempotent), Next::Replace(RetryCause::Reset));
    }

    #[test]
    fn only_what_is_named_is_followed_by_another() {
        let troubles = [
            (reset(), RetryKind::Reset, RetryCause::Reset),
            (Trouble::Closed, RetryKind::Reset, RetryCause::Reset),
            (
                Trouble::Upload(PumpError::Write(io::ErrorKind::BrokenPipe.into())),
                RetryKind::Reset,
                RetryCause::Reset,
            ),
            (Trouble::Silent, RetryKind::Timeout, RetryCause::Timeout),
        ];
        for (trouble, kind, cause) in troubles {
            for named in RetryKind::ALL {
                let left = Left::of(&policy(1, &[named]), 0, 0, true, false);
                let expected = match named == kind {
                    true => Next::Again(cause),
                    false => Next::Nothing,
                };
                assert_eq!(next(left, &failed(&trouble)), expected, "{trouble:?}");
            }
        }
        for status in 100..600 {
            let has = everything().has_status(status);
            assert_eq!(has, (502..=504).contains(&status), "{status}");
        }
    }

    #[test]
    fn what_the_client_did_or_the_upstream_said_wrongly_is_not_done_again() {
        for trouble in [
            Trouble::SlowClient,
            Trouble::Unasked,
            Trouble::Endless,
            Trouble::NotOpened,
            Trouble::Upload(PumpError::Cut),
        ] {
            assert_eq!(next(everything(), &failed(&trouble)), Next::Nothing);
        }
    }
}
