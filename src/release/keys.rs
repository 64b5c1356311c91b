//! Where in the store what is kept of releases lies.

/// All releases: `release/ID`.
pub const RELEASES: &str = "release/";
/// What was set at run time of the weights of routes: `weights/ROUTE`.
pub const WEIGHTS: &str = "weights/";
/// The weights of the file that was obeyed last: `file/ROUTE`.
pub const FILE: &str = "file/";
/// Who stopped everything, if somebody did.
pub const LINE: &str = "line";
/// Freezes that somebody has overridden: `freeze/NAME/RELEASE`.
pub const FREEZES: &str = "freeze/";
/// What was seen of a release so far, without history: `progress/ID`.
pub const PROGRESS: &str = "progress/";

/// The key of a release.
pub fn release(id: &str) -> String {
    format!("{RELEASES}{id}")
}

/// The key of what was set of a route's weights.
pub fn weights(route: &str) -> String {
    format!("{WEIGHTS}{route}")
}

/// The key of a route's weights in the file.
pub fn file(route: &str) -> String {
    format!("{FILE}{route}")
}

/// The key of what was seen of a release so far.
pub fn progress(id: &str) -> String {
    format!("{PROGRESS}{id}")
}
