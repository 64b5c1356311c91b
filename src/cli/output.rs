//! Where commands print, and how: plain text for people, JSON for scripts, colour for terminals.
//!
//! Nothing here uses `println!`, which panics when the reader of a pipe has gone: that is how
//! `tidegate status | head -1` ends, and it is no error.

use std::fmt::{Display, Formatter};
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, TableStyle};
use serde::Serialize;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(in crate::cli) enum Failure {
    /// It was refused or failed; the text says why.
    Refused(String),
    /// Its verdict is "no", and it has said so.
    Negative,
    /// It was asked in a wrong way; the text says what is wrong.
    Usage(String),
    /// Its output could not be written.
    Output(std::io::Error),
}

impl Failure {
    /// Says what went wrong on standard error and gives the exit code: 1 for what was refused or
    /// failed, 2 for usage, 0 when the reader had read enough.
    pub(in crate::cli) fn report(self) -> ExitCode {
        let (text, code) = match self {
            Self::Refused(text) => (text, 1),
            Self::Negative => return ExitCode::FAILURE,
            Self::Usage(text) => (text, 2),
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Output(error) => (format!("cannot write: {error}"), 1),
        };
        // Nobody is left to tell when standard error is closed as well.
        let _ = writeln!(std::io::stderr(), "tidegate: {text}");
        ExitCode::from(code)
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

/// Colours, or none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Ink {
    /// ANSI sequences.
    Colour,
    /// Text alone.
    Plain,
}

impl Ink {
    /// Chooses for standard output: colour on a terminal, unless `NO_COLOR` is set (no-color.org).
    pub(in crate::cli) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !refused {
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
    use crate::cli::output::{percent, table};

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
