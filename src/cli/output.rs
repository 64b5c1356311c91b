//! Where commands print, and how: plain text for people, JSON for scripts, colour for terminals.
//!
//! Nothing here uses `println!`, which panics when the reader of a pipe has gone: that is how
//! `tidegate status | head -1` ends, and it is no error.

use std::fmt::{Display, Formatter};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, TableStyle};
use serde::Serialize;

use crate::admin::wire::ConfigProblem;
use crate::config::Problems;
use crate::telemetry::colour::Colour;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(in crate::cli) enum Failure {
    /// It was refused or failed; the text says why.
    Refused(String),
    /// A configuration is not valid.
    Invalid {
        /// What that means, in words.
        what: String,
        /// Everything that is wrong with it.
        problems: Vec<ConfigProblem>,
    },
    /// Its verdict is "no", and it has said so.
    Negative,
    /// What it has to say is said, as JSON; the exit code tells of it as well.
    Told(u8),
    /// It was asked in a wrong way; the text says what is wrong.
    Usage(String),
    /// It was done, but for what conflicts with something else; the text says what that is.
    Conflicts(String),
    /// What it waited for did not come; the text says what that was.
    TimedOut(String),
    /// What it waited for will not come any more; the text says what has come in its place.
    Ended(String),
    /// Its output could not be written.
    Output(std::io::Error),
}

impl Failure {
    /// The failure of a command that was given a file that is no valid configuration.
    pub(in crate::cli) fn of_file(file: &Path, problems: &Problems) -> Self {
        Self::Invalid {
            what: format!("configuration {} is not valid", file.display()),
            problems: problems.iter().map(ConfigProblem::from).collect(),
        }
    }

    /// Says on standard error what went wrong and gives the exit code.
    pub(in crate::cli) fn report(self) -> ExitCode {
        if let Some(text) = self.text() {
            // Nobody is left to tell when standard error is closed as well.
            let _told = writeln!(std::io::stderr(), "tidegate: {text}");
        }
        self.exit_code()
    }

    /// Says as JSON on standard output what went wrong, in the place of the answer that a script
    /// waits for, and gives the exit code.
    pub(in crate::cli) fn report_as_json(self) -> ExitCode {
        let Some(error) = self.as_json() else {
            return self.exit_code();
        };
        match json(&mut std::io::stdout().lock(), &error) {
            Ok(()) => self.exit_code(),
            Err(_) => self.report(),
        }
    }

    /// 1 for what was refused or failed, 2 for usage, 3 for what was done but for conflicts, 4 for what
    /// did not come in time, 5 for what will not come; 0 when the reader of a pipe had read enough.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Refused(_) | Self::Invalid { .. } | Self::Negative | Self::Output(_) => {
                ExitCode::FAILURE
            }
            Self::Told(code) => ExitCode::from(*code),
            Self::Usage(_) => ExitCode::from(2),
            Self::Conflicts(_) => ExitCode::from(3),
            Self::TimedOut(_) => ExitCode::from(4),
            Self::Ended(_) => ExitCode::from(5),
        }
    }

    /// What is told of it; nothing when that was done, or when nobody listens.
    fn text(&self) -> Option<String> {
        match self {
            Self::Refused(text)
            | Self::Usage(text)
            | Self::Conflicts(text)
            | Self::TimedOut(text)
            | Self::Ended(text) => Some(text.clone()),
            Self::Invalid { what, problems } => {
                let problems = problems.iter().map(|problem| format!("\n{problem}"));
                Some(format!("{what}{}", problems.collect::<String>()))
            }
            Self::Negative | Self::Told(_) => None,
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => None,
            Self::Output(error) => Some(format!("cannot write: {error}")),
        }
    }

    fn as_json(&self) -> Option<serde_json::Value> {
        let error = match self {
            Self::Invalid { what, .. } => what.clone(),
            Self::Output(_) => return None,
            _ => self.text()?,
        };
        let problems = match self {
            Self::Invalid { problems, .. } => problems.as_slice(),
            _ => &[],
        };
        Some(serde_json::json!({ "error": error, "problems": problems }))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

/// Prints a value as JSON.
pub(in crate::cli) fn json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Refused(format!("cannot write as JSON: {error}")))?;
    writeln!(out, "{text}")?;
    Ok(())
}

/// Prints rows under a header; the columns of `numbers` are aligned to the right.
pub(in crate::cli) fn table(
    out: &mut dyn Write,
    header: &[&str],
    numbers: &[usize],
    rows: &[Vec<String>],
) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for (n, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if numbers.contains(&n) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A share as people read it: `5 %`, `0.01 %`.
pub(in crate::cli) fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

/// A number with one digit behind the point, and no sign where it is nothing then.
pub(in crate::cli) fn tenths(number: f64) -> String {
    let text = format!("{number:.1}");
    if text == "-0.0" {
        "0.0".to_owned()
    } else {
        text
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Ink {
    /// ANSI sequences.
    Colour,
    /// Text alone.
    Plain,
}

impl Ink {
    /// Chooses for standard output.
    pub(in crate::cli) fn of_stdout(colour: Colour) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        if colour.is_on(is_terminal, |name| std::env::var(name).ok()) {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    pub(in crate::cli) fn bold<T: Display>(self, text: T) -> Inked<T> {
        self.with("1", text)
    }

    pub(in crate::cli) fn dim<T: Display>(self, text: T) -> Inked<T> {
        self.with("2", text)
    }

    pub(in crate::cli) fn red<T: Display>(self, text: T) -> Inked<T> {
        self.with("31", text)
    }

    pub(in crate::cli) fn green<T: Display>(self, text: T) -> Inked<T> {
        self.with("32", text)
    }

    pub(in crate::cli) fn cyan<T: Display>(self, text: T) -> Inked<T> {
        self.with("36", text)
    }

    fn with<T: Display>(self, code: &'static str, text: T) -> Inked<T> {
        Inked {
            ink: self,
            code,
            text,
        }
    }
}

/// A text in an ink. Its width is the text's: pad the text, not this.
pub(in crate::cli) struct Inked<T> {
    ink: Ink,
    code: &'static str,
    text: T,
}

impl<T: Display> Display for Inked<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.ink {
            Ink::Colour => write!(f, "\x1b[{}m{}\x1b[0m", self.code, self.text),
            Ink::Plain => self.text.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::output::{percent, table, tenths};

    #[test]
    fn what_is_nothing_in_tenths_has_no_sign() {
        for (number, text) in [
            (-0.04, "0.0"),
            (-0.06, "-0.1"),
            (0.0, "0.0"),
            (4.605, "4.6"),
        ] {
            assert_eq!(tenths(number), text);
        }
    }

    #[test]
    fn a_share_is_written_without_needless_zeros() {
        for (share, text) in [
            (0.05, "5 %"),
            (1.0, "100 %"),
            (0.0, "0 %"),
            (0.0001, "0.01 %"),
            (0.333_333, "33.3333 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn numbers_stand_at_the_right_and_no_line_ends_in_blanks() {
        let mut out = Vec::new();
        let rows = [["a", "1"], ["bcd", "100"]].map(|row| row.map(str::to_owned).to_vec());
        table(&mut out, &["name", "n"], &[1], &rows).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "name    n\na       1\nbcd   100\n");
    }
}
