//! Permissions: what there is to be allowed, and to whom it is.

use serde::{Deserialize, Serialize};

use crate::release::role::Role;

/// Something that an actor asks to do. Moving traffic back to stable is never more than an
/// operator's; what opens a way forward that was shut is a release manager's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Reads everything, the audit trail included.
    View,
    /// Makes a release through the API.
    CreateRelease,
    /// Makes one that is a standard change, and so meets no gate.
    Preauthorise,
    /// Starts a release.
    Start,
    /// Holds a release where it is.
    Pause,
    /// Takes the hold of a person away.
    Resume,
    /// Advances without waiting for time or evidence.
    Skip,
    /// Promotes without the steps that are left.
    Promote,
    /// Sends the candidate's traffic back to stable.
    Abort,
    /// Sends traffic back after a promotion.
    Rollback,
    /// Begins an aborted release again.
    Retry,
    /// Decides a conflict of file and release: accepts the file, or keeps the release.
    Reconcile,
    /// Divides the traffic of a route without a release.
    SetWeights,
    /// Votes at a gate that names no roles of its own.
    Vote,
    /// Passes a gate without its approvals.
    OverrideGate,
    /// Passes a freeze that names no roles of its own.
    OverrideFreeze,
    /// Closes the review of an emergency.
    CloseReview,
    /// Stops every forward move everywhere.
    StopTheLine,
    /// Lets forward moves go on after that.
    ReleaseTheLine,
    /// Links an incident with a release.
    LinkIncident,
    /// Serves a flag's off variant to everyone.
    KillFlag,
    /// Changes a flag in any other way, and takes a kill back.
    EditFlag,
    /// Reads the file again.
    Reload,
    /// Does what concerns the process and not its traffic: log level, upgrade, shutdown.
    Administer,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 24] = [
        Self::View,
        Self::CreateRelease,
        Self::Preauthorise,
        Self::Start,
        Self::Pause,
        Self::Resume,
        Self::Skip,
        Self::Promote,
        Self::Abort,
        Self::Rollback,
        Self::Retry,
        Self::Reconcile,
        Self::SetWeights,
        Self::Vote,
        Self::OverrideGate,
        Self::OverrideFreeze,
        Self::CloseReview,
        Self::StopTheLine,
        Self::ReleaseTheLine,
        Self::LinkIncident,
        Self::KillFlag,
        Self::EditFlag,
        Self::Reload,
        Self::Administer,
    ];

    /// The least roles that have it; whoever includes one of them has it as well.
    pub fn granted_to(self) -> &'static [Role] {
        match self {
            Self::View => &[Role::Viewer],
            Self::CreateRelease
            | Self::Start
            | Self::Pause
            | Self::Resume
            | Self::Skip
            | Self::Abort
            | Self::Rollback
            | Self::Retry
            | Self::Reconcile
            | Self::SetWeights
            | Self::StopTheLine
            | Self::LinkIncident
            | Self::Reload => &[Role::Operator],
            Self::Promote | Self::Vote | Self::CloseReview => &[Role::Approver],
            Self::Preauthorise
            | Self::OverrideGate
            | Self::OverrideFreeze
            | Self::ReleaseTheLine => &[Role::ReleaseManager],
            Self::KillFlag => &[Role::Operator, Role::FlagEditor],
            Self::EditFlag => &[Role::ReleaseManager, Role::FlagEditor],
            Self::Administer => &[Role::Admin],
        }
    }
}
