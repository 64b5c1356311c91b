//! The line and freezes: what stops everything, and when nothing moves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::wire::releases::{Changed, Said};

/// Whether anything moves forward: the answer of `GET /api/v1/stop-the-line`, with its revision as
/// `ETag`. `PUT` stops, `DELETE` lets go on; both need a reason, and answer [`LineChanged`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Line {
    /// True when nothing does.
    pub is_stopped: bool,
    /// Who stopped it, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Said>,
    /// The revision of this.
    pub revision: u64,
}

/// What came of stopping the line, or of letting it go on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct LineChanged {
    /// What was written.
    #[serde(flatten)]
    pub changed: Changed,
    /// The line now.
    pub line: Line,
}

/// The freezes: the answer of `GET /api/v1/freezes?at=&route=`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Freezes {
    /// The moment that is told of; now, unless another was asked for.
    pub at: String,
    /// All that are configured, in the order of the file.
    pub freezes: Vec<FreezeStatus>,
    /// The moves that are closed at that moment, of the route that was asked for, else of the routes
    /// of releases that are not over.
    pub closed: Vec<Closed>,
}

/// A window.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FreezeStatus {
    /// Its name.
    pub name: String,
    /// `deny` (nothing moves in the window) or `allow` (nothing moves outside of it).
    pub kind: String,
    /// True when the moment is in the window.
    pub is_active: bool,
    /// The window, for people: `mon-thu 09:00-16:00 Europe/Berlin`.
    pub window: String,
    /// When the moment is not, or is, in it any more; none when never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_at: Option<String>,
    /// The moves: `start`, `advance`, `promote`, `flag`.
    pub blocks: Vec<String>,
    /// The routes, as patterns.
    pub routes: Vec<String>,
    /// Who may pass it; nobody when there is none.
    pub override_roles: Vec<String>,
    /// Who passed it, until when.
    #[serde(default)]
    pub overrides: Vec<FreezeOverride>,
}

/// A freeze that does not hold for a while.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FreezeOverride {
    /// The release that it is for; for everything where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Who did it, why and when.
    #[serde(flatten)]
    pub said: Said,
    /// When the freeze holds again.
    pub expires_at: String,
}

/// A move that is closed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Closed {
    /// The route.
    pub route: String,
    /// The release that wants to move there; an override may be for it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The move.
    pub act: String,
    /// The freezes in the way.
    pub freezes: Vec<String>,
    /// When it opens; none when not within 400 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
}

/// What came of passing a freeze.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FreezeOverridden {
    /// What was written.
    #[serde(flatten)]
    pub changed: Changed,
    /// The freeze now.
    pub freeze: FreezeStatus,
}

/// What `POST /api/v1/freezes/{name}/override` takes, besides `reason` and `ticket`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideFreeze {
    /// The release that may pass; all that the freeze concerns where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// When it holds again: an instant, or a duration from now such as `2h`.
    pub until: String,
}

/// What is planned: the answer of `GET /api/v1/schedule?days=`; with `Accept: text/calendar` it is an
/// iCalendar (RFC 5545).
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Schedule {
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Releases that have not started.
    pub releases: Vec<ScheduledRelease>,
    /// When which move of which route is closed.
    pub closed: Vec<ClosedPeriod>,
}

/// A release that has not started.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ScheduledRelease {
    /// Its identity.
    pub id: String,
    /// The route.
    pub route: String,
    /// No earlier than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// When the calendar lets it start; none when not within 400 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
}

/// A time in which a move is closed, `[from, to)`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ClosedPeriod {
    /// The route.
    pub route: String,
    /// The move.
    pub act: String,
    /// Where it begins.
    pub from: String,
    /// Where it ends, or nobody looked further.
    pub to: String,
    /// The freezes in the way.
    pub freezes: Vec<String>,
}
