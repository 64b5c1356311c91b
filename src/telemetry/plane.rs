//! What is shown of the release plane: nobody counts it while serving, the control plane gathers it
//! each second and puts it here as a whole.
//!
//! Words of closed sets come as they are shown; this module knows neither releases nor the store.

use std::time::Duration;

/// Releases, what they are kept in, and who is told of them, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlaneLive {
    /// When they were looked at, in seconds since 1970.
    pub looked_at: f64,
    /// Releases that are not over, or have not been for long.
    pub releases: Vec<ReleaseLive>,
    /// How often a release came to a phase or a step.
    pub transitions: Vec<TransitionLive>,
    /// How often something was said at a gate: the gate, the answer.
    pub approvals: Vec<(String, &'static str, u64)>,
    /// Flags.
    pub flags: Vec<FlagLive>,
    /// What became of what applications asked of flags.
    pub ofrep: OfrepLive,
    /// Routes that the file divides otherwise than they are divided, though no release moves them.
    pub drifting: Vec<String>,
    /// Whether nothing moves forward because somebody stopped the line.
    pub is_stopped: bool,
    /// Freezes that are configured.
    pub freezes: Vec<FreezeLive>,
    /// What everything is kept in.
    pub store: StoreLive,
    /// Who is told.
    pub sinks: Vec<SinkLive>,
    /// How changes have reached users, by window.
    pub dora: Vec<DoraLive>,
}

/// A release.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseLive {
    /// The route that it moves.
    pub route: String,
    /// Its identity.
    pub release: String,
    /// Every phase, and whether it is in it.
    pub phases: Vec<(&'static str, bool)>,
    /// Since when it is in its phase and step, in seconds since 1970.
    pub entered_at: f64,
    /// The step that it is in, from 1 on; 0 before it starts.
    pub step: usize,
    /// How many steps it has.
    pub n_steps: usize,
    /// Its variants with the shares that they are to have, once it has started.
    pub weights: Vec<(String, f64)>,
    /// Its variants with the shares that they have had since the step began, once there was a
    /// request.
    pub shares: Vec<(String, f64)>,
    /// Why it does not move, by kind, each once.
    pub holds: Vec<&'static str>,
    /// What its checks say.
    pub checks: Vec<CheckLive>,
    /// Time in which nothing held it.
    pub worked: Duration,
    /// Time in which it was held, by the kind of reason.
    pub waited: Vec<(&'static str, Duration)>,
    /// Whether a second person has to look at what it passed in an emergency.
    pub is_review_open: bool,
    /// Whether the file asks for something that it does not get.
    pub is_in_conflict: bool,
}

/// A flag.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlagLive {
    /// Its name.
    pub name: String,
    /// Whether everybody gets its off variant because somebody killed it.
    pub is_killed: bool,
    /// Whether something set at run time takes the place of what the file says of it.
    pub is_overridden: bool,
    /// Whether the day has come by which it was to be gone.
    pub is_expired: bool,
    /// Every kind of reason for which it can be stale, and whether it is.
    pub stale: Vec<(&'static str, bool)>,
    /// When it was evaluated last as far as is known, in seconds since 1970.
    pub last_evaluated: Option<f64>,
}

/// What became of what applications asked of flags, since the process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OfrepLive {
    /// Answers with an error, by its code.
    pub errors: Vec<(&'static str, u64)>,
    /// Those of them that were refused, by why.
    pub refused: Vec<(&'static str, u64)>,
    /// Answers with all flags, by what was sent.
    pub bulk: Vec<(&'static str, u64)>,
    /// Streams that are open.
    pub streams: u64,
}

/// One check of a release's candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckLive {
    /// Its name.
    pub name: String,
    /// The decimal logarithm of the evidence that the candidate is worse.
    pub evidence: f64,
    /// From where on it fails.
    pub threshold: f64,
    /// Every verdict, and whether it is the one.
    pub verdicts: Vec<(&'static str, bool)>,
}

/// How often releases of a route came to a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct TransitionLive {
    /// The route.
    pub route: String,
    /// The phase that they came to, or that they took a step in.
    pub to: &'static str,
    /// Who or what led to it.
    pub cause: &'static str,
    /// How often.
    pub n: u64,
}

/// A freeze.
#[derive(Clone, Debug, PartialEq)]
pub struct FreezeLive {
    /// Its name.
    pub name: String,
    /// Whether it stops anything now, by its time.
    pub is_active: bool,
    /// How many overrides of it are in force.
    pub overridden: u64,
}

/// What everything is kept in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreLive {
    /// The number of the last record that is on the disk.
    pub head_seq: u64,
    /// The beginning of its hash.
    pub head_hash: String,
    /// Whether the last write went through.
    pub is_writable: bool,
    /// Whether its history cannot be trusted.
    pub is_broken: bool,
    /// Records that are obeyed and not on the disk.
    pub unwritten: u64,
    /// What was to be kept, by what came of it.
    pub commits: Vec<(&'static str, u64)>,
}

/// A sink that events go to.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkLive {
    /// Its name.
    pub name: String,
    /// Events that it took.
    pub sent: u64,
    /// Attempts that came to nothing.
    pub failed: u64,
    /// Events that it will never be told of.
    pub dropped: u64,
    /// Events that wait for it.
    pub waiting: u64,
    /// How old the oldest of them is; nothing where none waits.
    pub oldest: Duration,
}

/// How changes have reached users within one window; what there is no data for is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DoraLive {
    /// The window, such as `30d`.
    pub window: &'static str,
    /// Releases that were promoted.
    pub deployments: u64,
    /// From commit to promotion, in seconds, by percentile.
    pub lead_time: Vec<(&'static str, f64)>,
    /// The part of them that failed.
    pub change_failure: Option<f64>,
    /// From the first sign of a failure to everybody being on stable, in seconds, by percentile.
    pub recovery: Vec<(&'static str, f64)>,
}
