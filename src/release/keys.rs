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
/// What was said of flags at run time: `flags/NAME`.
pub const FLAGS: &str = "flags/";
/// The versions of flags in the file that was obeyed last: `flag-file/NAME`.
pub const FLAG_FILE: &str = "flag-file/";
/// What is known of the use of flags, without history: `flag-use/NAME`.
pub const FLAG_USES: &str = "flag-use/";
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

/// The key of what was said of a flag.
pub fn flag(name: &str) -> String {
    format!("{FLAGS}{name}")
}

/// The key of a flag's version in the file.
pub fn flag_file(name: &str) -> String {
    format!("{FLAG_FILE}{name}")
}

/// The key of what is known of a flag's use.
pub fn flag_use(name: &str) -> String {
    format!("{FLAG_USES}{name}")
}

/// The key of what was seen of a release so far.
pub fn progress(id: &str) -> String {
    format!("{PROGRESS}{id}")
}
