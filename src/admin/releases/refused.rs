//! Why the desk refuses something, as it is answered.

use crate::admin::Served;
use crate::admin::fault::{Code, Fault};
use crate::admin::mutation::Mutation;
use crate::release::command::Refusal;
use crate::release::desk::DeskError;
use crate::release::flags::FlagRefusal;
use crate::release::freeze::OverrideError;
use crate::release::gate::VoteError;
use crate::release::readiness::ReviewError;
use crate::release::role::Role;
use crate::store::CommitError;

/// What may go wrong with whatever is kept.
pub(in crate::admin) const OF_STORE: [Code; 3] = [
    Code::StoreMissing,
    Code::StoreUnavailable,
    Code::StoreClosed,
];

/// What is wrong, as it is answered. Where it is who asks, it is an attempt that is denied.
pub(in crate::admin) fn refused(served: &Served, mutation: &Mutation, error: DeskError) -> Fault {
    let fault = fault(error);
    if matches!(fault.code(), Code::RoleMissing | Code::SomebodyElse) {
        served.denials.of_mutation(served, mutation, &fault);
    }
    fault
}

/// What there is not.
pub(in crate::admin) fn unknown(kind: &str, name: &str) -> Fault {
    Fault::new(Code::NotFound, format!("there is no {kind} `{name}`"))
}

fn fault(error: DeskError) -> Fault {
    let said = error.to_string();
    match error {
        DeskError::Unknown { .. } => Fault::new(Code::NotFound, said),
        DeskError::Exists(_) => Fault::new(Code::Exists, said),
        DeskError::Busy { .. } => Fault::new(Code::Busy, said),
        DeskError::Weights(_) => Fault::new(Code::BodyInvalid, said).at("/weights"),
        DeskError::Changed(revision) => changed(revision),
        DeskError::Refused(refusal) => refusal_fault(&refusal, said),
        DeskError::Freeze(error) => match error {
            OverrideError::NotAllowed { may, .. } => denied(said, &may),
            OverrideError::NoReason { .. } => no_reason(said),
            OverrideError::Expired { .. } => Fault::new(Code::BodyInvalid, said).at("/until"),
        },
        DeskError::Flag(refusal) => of_flag(&refusal, said),
        DeskError::Store(error) => of_store(&error),
    }
}

fn of_flag(refusal: &FlagRefusal, said: String) -> Fault {
    match refusal {
        FlagRefusal::NotAllowed(may) => denied(said, may),
        FlagRefusal::Released(_) => Fault::new(Code::Busy, said),
        FlagRefusal::Frozen(_)
        | FlagRefusal::Stopped(_)
        | FlagRefusal::NotKilled
        | FlagRefusal::NotSet => Fault::new(Code::Refused, said),
        FlagRefusal::NoVariant { .. } => Fault::new(Code::BodyInvalid, said).at("/variant"),
        FlagRefusal::Weights(_) => Fault::new(Code::BodyInvalid, said).at("/split"),
        FlagRefusal::Over => Fault::new(Code::BodyInvalid, said).at("/expires"),
    }
}

fn refusal_fault(refusal: &Refusal, said: String) -> Fault {
    match refusal {
        Refusal::NoSuchGate(_) => Fault::new(Code::NotFound, said),
        Refusal::Phase { .. }
        | Refusal::Held(_)
        | Refusal::GateClosed(_)
        | Refusal::WindowOver
        | Refusal::StableUnavailable(_)
        | Refusal::NoConflict
        | Refusal::CannotAdopt(_) => Fault::new(Code::Refused, said),
        Refusal::Review(error) => match error {
            ReviewError::NothingToReview | ReviewError::AlreadyClosed { .. } => {
                Fault::new(Code::Refused, said)
            }
            ReviewError::SamePerson { .. } => Fault::new(Code::SomebodyElse, said),
            ReviewError::NotAllowed { may, .. } => denied(said, may),
            ReviewError::NoReason { .. } => no_reason(said),
        },
        Refusal::Vote(error) => match error {
            VoteError::NotAllowed { may, .. } => denied(said, may),
            VoteError::Author { .. } => Fault::new(Code::SomebodyElse, said),
            VoteError::NoReason { .. } => no_reason(said),
        },
    }
}

/// What is wrong with a commit.
pub(in crate::admin) fn of_store(error: &CommitError) -> Fault {
    let said = error.to_string();
    match error {
        CommitError::Conflict { found, .. } => changed(*found),
        CommitError::Unavailable(_) => Fault::new(Code::StoreUnavailable, said),
        CommitError::Closed => {
            let why = "what is kept is being handed over to another process: ask again";
            Fault::new(Code::StoreClosed, why)
        }
        CommitError::TooLarge { .. } | CommitError::BadKey(_) | CommitError::Unreadable(_) => {
            Fault::new(Code::BodyInvalid, said)
        }
    }
}

fn changed(revision: u64) -> Fault {
    let why = format!("it is \"{revision}\" now: look at it again");
    Fault::new(Code::PreconditionFailed, why)
}

fn denied(said: String, may: &[Role]) -> Fault {
    let fault = Fault::new(Code::RoleMissing, said);
    if may.is_empty() {
        return fault;
    }
    fault.needs(may)
}

fn no_reason(said: String) -> Fault {
    Fault::new(Code::ReasonMissing, said).at("/reason")
}

#[cfg(test)]
mod tests {
    use crate::admin::fault::Code;
    use crate::admin::releases::refused::fault;
    use crate::release::command::Refusal;
    use crate::release::desk::DeskError;
    use crate::release::gate::VoteError;
    use crate::store::CommitError;

    #[track_caller]
    fn check(error: DeskError, code: Code, status: u16) {
        let fault = fault(error);
        assert_eq!(fault.code(), code, "{}", fault.detail());
        assert_eq!(code.status().as_u16(), status);
    }

    #[test]
    fn each_refusal_has_its_code_and_status() {
        let name = || "a".to_owned();
        let unknown = DeskError::Unknown {
            kind: "release",
            name: name(),
        };
        check(unknown, Code::NotFound, 404);
        check(DeskError::Exists(name()), Code::Exists, 409);
        let busy = DeskError::Busy {
            route: name(),
            release: name(),
        };
        check(busy, Code::Busy, 409);
        check(DeskError::Changed(7), Code::PreconditionFailed, 412);
        check(Refusal::WindowOver.into(), Code::Refused, 409);
        check(Refusal::NoSuchGate(name()).into(), Code::NotFound, 404);
        let author = VoteError::Author {
            gate: name(),
            actor: name(),
        };
        let author = DeskError::Refused(author.into());
        check(author, Code::SomebodyElse, 403);
        let may_not = VoteError::NotAllowed {
            gate: name(),
            actor: name(),
            may: vec!["sre".parse().unwrap()],
        };
        check(DeskError::Refused(may_not.into()), Code::RoleMissing, 403);
        let full = CommitError::Unavailable("no space".to_owned());
        check(full.into(), Code::StoreUnavailable, 503);
        check(CommitError::Closed.into(), Code::StoreClosed, 503);
    }
}
