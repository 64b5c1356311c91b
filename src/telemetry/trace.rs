//! What happens, as lines on standard error: errors, warnings and what operators did.
//!
//! Standard output belongs to the access log.

use std::io::{IsTerminal, stderr};

use thiserror::Error;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, fmt};

use crate::telemetry::colour::Colour;

/// The environment variable with the filter, such as `info,tidegate::control=debug`.
pub const FILTER_VARIABLE: &str = "TIDEGATE_LOG";

/// The environment variable with the format, `text` or `json`.
pub const FORMAT_VARIABLE: &str = "TIDEGATE_LOG_FORMAT";

/// The filter unless told otherwise.
pub const DEFAULT_FILTER: &str = "info";

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// How a line looks.
    pub format: Format,
    /// What is logged: levels by module.
    pub filter: String,
    /// Whether text has colours.
    pub colours: bool,
}

/// Why logging did not begin.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The format is not known.
    #[error("{FORMAT_VARIABLE} is {value:?} and not text or json")]
    Format {
        /// What was given.
        value: String,
    },
    /// The filter cannot be read.
    #[error("{FILTER_VARIABLE} is not a filter")]
    Filter(#[source] ParseError),
    /// Logging has begun before.
    #[error("logging has begun before")]
    Begun(#[source] TryInitError),
}

impl Settings {
    /// Reads the settings from the environment, which `variable` looks up; what is not set or
    /// empty has its default. Colours are for terminals, unless told otherwise.
    ///
    /// # Errors
    /// When the format is neither `text` nor `json`.
    pub fn read(
        colour: Colour,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, TraceError> {
        let colours = colour.is_on(stderr().is_terminal(), &variable);
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let format = match variable(FORMAT_VARIABLE).as_deref() {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(value) => {
                let value = value.to_owned();
                return Err(TraceError::Format { value });
            }
        };
        let filter = variable(FILTER_VARIABLE).unwrap_or_else(|| DEFAULT_FILTER.to_owned());
        Ok(Self {
            format,
            filter,
            colours,
        })
    }
}

/// Begins logging, for the whole process and once.
///
/// # Errors
/// When the filter cannot be read, or when logging has begun before.
pub fn init(settings: &Settings) -> Result<(), TraceError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(TraceError::Filter)?;
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        // A line that cannot be written is lost. The default is to say so on standard error, which is
        // what cannot be written to, and that would be a panic of whoever had something to log.
        .log_internal_errors(false)
        .with_ansi(settings.colours);
    match settings.format {
        Format::Text => builder.finish().try_init(),
        Format::Json => builder.json().flatten_event(true).finish().try_init(),
    }
    .map_err(TraceError::Begun)
}

#[cfg(test)]
mod tests {
    use crate::telemetry::colour::Colour;
    use crate::telemetry::trace::{
        FILTER_VARIABLE, FORMAT_VARIABLE, Format, Settings, TraceError, init,
    };

    fn read(set: &[(&str, &str)]) -> Result<Settings, TraceError> {
        Settings::read(Colour::Never, |name| {
            let found = set.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_means_text_from_info_on() {
        let expected = Settings {
            format: Format::Text,
            filter: "info".to_owned(),
            colours: false,
        };
        assert_eq!(read(&[]).unwrap(), expected);
        assert_eq!(read(&[(FILTER_VARIABLE, "")]).unwrap(), expected);
    }

    #[test]
    fn format_and_filter_come_from_the_environment() {
        let settings = read(&[(FORMAT_VARIABLE, "json"), (FILTER_VARIABLE, "debug")]).unwrap();
        assert_eq!(settings.format, Format::Json);
        assert_eq!(settings.filter, "debug");
        assert!(read(&[(FORMAT_VARIABLE, "xml")]).is_err());
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        let settings = Settings {
            format: Format::Text,
            filter: "tidegate=loudly".to_owned(),
            colours: false,
        };
        assert!(matches!(init(&settings), Err(TraceError::Filter(_))));
    }
}
