//! `tidegate check`: everything that is wrong with a configuration, with the lines themselves.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use clap::{Args, ValueEnum};

use crate::cli::NamedFile;
use crate::cli::output::{Failure, Ink, json};
use crate::config;
use crate::config::Problem;

/// The most that is shown of a line: it fits an ordinary terminal beside the number.
const LINE_WIDTH: usize = 100;

/// Check a configuration as `run` would.
#[derive(Args, Debug)]
pub(in crate::cli) struct Check {
    #[command(flatten)]
    file: NamedFile,
    /// How to print.
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    format: Format,
    /// The same as `--format json`.
    #[arg(long)]
    json: bool,
    /// Take warnings for problems: exit 1 when there is one.
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

impl Check {
    /// Whether JSON was asked for.
    pub(in crate::cli) fn json(&self) -> bool {
        self.json || matches!(self.format, Format::Json)
    }

    pub(in crate::cli) fn run(self, out: &mut dyn Write, ink: Ink) -> Result<(), Failure> {
        let as_json = self.json();
        let path = self.file.path()?;
        let (problems, warnings) = match config::load(&path) {
            Ok(loaded) => (Vec::new(), loaded.warnings),
            Err(problems) => (problems.into_vec(), Vec::new()),
        };
        let ok = problems.is_empty() && (!self.strict || warnings.is_empty());
        if as_json {
            json(
                out,
                &serde_json::json!({
                    "file": path,
                    "ok": ok,
                    "problems": problems,
                    "warnings": warnings,
                }),
            )?;
        } else {
            show(out, ink, &problems)?;
            show(
                out,
                ink,
                &warnings.iter().map(as_warning).collect::<Vec<_>>(),
            )?;
            let verdict = match (problems.len(), warnings.len()) {
                (0, 0) => String::from(" OK"),
                (0, n) if ok => format!(" OK, {}", count(n, "warning")),
                (0, n) => format!(": {}", count(n, "warning")),
                (n, _) => format!(": {}", count(n, "problem")),
            };
            writeln!(out, "configuration {}{verdict}", path.display())?;
        }
        if ok { Ok(()) } else { Err(Failure::Negative) }
    }
}

/// A warning as it is shown among problems.
fn as_warning(warning: &Problem) -> Problem {
    Problem {
        message: format!("warning: {}", warning.message),
        ..warning.clone()
    }
}

fn count(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

fn show(out: &mut dyn Write, ink: Ink, problems: &[Problem]) -> Result<(), Failure> {
    let mut texts: BTreeMap<&Path, String> = BTreeMap::new();
    for problem in problems {
        let text = texts
            .entry(&problem.file)
            .or_insert_with(|| std::fs::read_to_string(&problem.file).unwrap_or_default());
        writeln!(out, "{}", ink.bold(problem))?;
        if let Some(line) = problem
            .line
            .checked_sub(1)
            .and_then(|n| text.lines().nth(n))
        {
            point(out, ink, problem, line)?;
        }
    }
    Ok(())
}

/// Shows a line with its number and a caret under the column.
fn point(out: &mut dyn Write, ink: Ink, problem: &Problem, line: &str) -> Result<(), Failure> {
    let (shown, caret) = window(line, problem.column.saturating_sub(1));
    let number = problem.line.to_string();
    let margin = " ".repeat(number.len());
    let blank = " ".repeat(caret);
    writeln!(out, " {margin} |")?;
    writeln!(out, " {number} | {shown}")?;
    writeln!(out, " {margin} | {blank}{}\n", ink.red("^"))?;
    Ok(())
}

/// Cuts a long line to the part around a column, and tells where in it the column is. Tabs become
/// single blanks, so that the caret stands where it should.
fn window(line: &str, column: usize) -> (String, usize) {
    let start = (column + 20).saturating_sub(LINE_WIDTH);
    let shown = line
        .chars()
        .skip(start)
        .take(LINE_WIDTH)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect::<String>();
    (shown.trim_end().to_owned(), column - start)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::cli::check::{point, window};
    use crate::cli::output::Ink;
    use crate::config::Problem;

    #[test]
    fn the_caret_stands_under_the_column() {
        let problem = Problem {
            file: PathBuf::from("tidegate.toml"),
            line: 14,
            column: 11,
            key: "route.shop.split.canary.weight".to_owned(),
            message: "must not be less than 0".to_owned(),
        };
        let mut out = Vec::new();
        point(&mut out, Ink::Plain, &problem, "\tweight = -5").unwrap();
        let text = String::from_utf8(out).unwrap();
        let expected = "    |\n 14 |  weight = -5\n    |           ^\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_long_line_is_cut_around_its_column() {
        let line = format!("{}X{}", "a".repeat(300), "b".repeat(300));
        let (shown, caret) = window(&line, 300);
        assert!(shown.chars().count() <= 100);
        assert_eq!(shown.chars().nth(caret), Some('X'));
    }
}
