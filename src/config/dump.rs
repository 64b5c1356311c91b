//! The effective configuration as a file, and back.

use std::path::Path;

use serde_json::Value;

use crate::config::load::check;
use crate::config::problem::Problems;
use crate::config::reader::Disk;
use crate::config::settings::Config;

/// Writes an effective configuration as a file that is read as the same.
///
/// # Errors
/// When TOML cannot say it: a number that is too large for it.
pub fn as_file(effective: &Value) -> Result<String, toml::ser::Error> {
    toml::to_string(effective)
}

/// Reads an effective configuration, such as a running instance has: nothing of it is looked for on
/// this machine, and secrets are what stands in their place. `name` stands for the file in problems.
///
/// # Errors
/// All that is wrong with it: an instance of another version may know other keys.
pub fn of_effective(effective: &Value, name: &Path) -> Result<Config, Problems> {
    let text = as_file(effective)
        .map_err(|error| Problems::of_file(name.to_path_buf(), error.to_string()))?;
    check(text.into_bytes(), name, Disk::Ignore, &|_| None, |_| {}).config
}
