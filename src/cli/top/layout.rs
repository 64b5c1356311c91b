//! A table that fits: names are cut before columns are left out, the least needed first.

use crate::cli::output::Ink;

/// Between two columns.
const GAP: usize = 2;
/// What a name is not cut below, so that it can still be told from others.
const MIN_NAME: usize = 12;
/// In the place of what was cut off.
const CUT: char = '…';

/// A column of the table.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli::top) struct Column {
    /// What stands above it.
    pub(in crate::cli::top) title: &'static str,
    /// What is in it.
    pub(in crate::cli::top) kind: Kind,
    /// How much it is needed: columns with less are left out earlier.
    pub(in crate::cli::top) need: u8,
}

/// What is in a column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli::top) enum Kind {
    /// Names: at the left, and cut where there is no room.
    Name,
    /// Words: at the left.
    Word,
    /// Numbers: at the right.
    Number,
}

/// One cell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::cli::top) struct Cell {
    /// What it says.
    pub(in crate::cli::top) text: String,
    /// How it says it.
    pub(in crate::cli::top) tone: Tone,
}

/// How something is said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli::top) enum Tone {
    /// As anything else.
    Usual,
    /// As what needs nobody.
    Quiet,
    /// As what needs somebody.
    Alarming,
}

impl Cell {
    /// A cell like any other.
    pub(in crate::cli::top) fn usual(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Usual,
        }
    }

    /// A cell that is said in a tone.
    pub(in crate::cli::top) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

/// Makes the lines of a table, the titles first, none wider than `width` where there is one. Every
/// row has a cell for every column.
pub(in crate::cli::top) fn table(
    columns: &[Column],
    rows: &[Vec<Cell>],
    width: Option<usize>,
    ink: Ink,
) -> Vec<String> {
    let mut widths: Vec<Option<usize>> = columns
        .iter()
        .enumerate()
        .map(|(n, column)| {
            let cells = rows.iter().map(|row| length(&row[n].text));
            Some(cells.max().unwrap_or(0).max(length(column.title)))
        })
        .collect();
    if let Some(width) = width {
        fit(columns, &mut widths, width);
    }
    let titles: Vec<Cell> = columns
        .iter()
        .map(|column| Cell::toned(column.title, Tone::Quiet))
        .collect();
    std::iter::once(&titles)
        .chain(rows)
        .map(|row| line(columns, &widths, row, width, ink))
        .collect()
}

/// Takes columns out until the rest fits with its names cut, then gives names what room is left. One
/// column stays in any case.
fn fit(columns: &[Column], widths: &mut [Option<usize>], width: usize) {
    let whole: Vec<_> = widths.iter().map(|width| width.unwrap_or(0)).collect();
    for (column, width) in columns.iter().zip(&mut *widths) {
        if column.kind == Kind::Name {
            *width = width.map(|width| width.min(MIN_NAME));
        }
    }
    while width < needed(widths) && widths.iter().flatten().count() > 1 {
        let all = columns.iter().zip(&mut *widths);
        let left = all.filter(|(_, width)| width.is_some());
        if let Some((_, least)) = left.min_by_key(|(column, _)| column.need) {
            *least = None;
        }
    }
    for _ in needed(widths)..width {
        let cut = widths.iter_mut().zip(&whole);
        let cut = cut.filter_map(|(width, whole)| {
            let width = width.as_mut()?;
            Some((whole.saturating_sub(*width), width))
        });
        match cut.max_by_key(|(missing, _)| *missing) {
            Some((1.., width)) => *width += 1,
            Some((0, _)) | None => return,
        }
    }
}

fn needed(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten().count();
    widths.iter().flatten().sum::<usize>() + GAP * shown.saturating_sub(1)
}

fn line(
    columns: &[Column],
    widths: &[Option<usize>],
    row: &[Cell],
    width: Option<usize>,
    ink: Ink,
) -> String {
    let mut line = String::new();
    let shown = columns.iter().zip(widths).zip(row);
    let shown = shown.filter_map(|((column, width), cell)| Some((column, (*width)?, cell)));
    let mut blanks = 0;
    for (n, (column, cell_width, cell)) in shown.enumerate() {
        // Only one column is left when it alone is too wide.
        let text = cut(&cell.text, cell_width.min(width.unwrap_or(cell_width)));
        let padding = cell_width.saturating_sub(length(&text));
        blanks += if n == 0 { 0 } else { GAP };
        if column.kind == Kind::Number {
            blanks += padding;
        }
        if !text.is_empty() {
            line.extend(std::iter::repeat_n(' ', std::mem::take(&mut blanks)));
            match cell.tone {
                Tone::Usual => line.push_str(&text),
                Tone::Quiet => line.push_str(&ink.dim(text).to_string()),
                Tone::Alarming => line.push_str(&ink.red(text).to_string()),
            }
        }
        if column.kind != Kind::Number {
            blanks += padding;
        }
    }
    line
}

/// The beginning of a text, marked when it is not all of it.
pub(in crate::cli::top) fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let mut text: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        text.push(CUT);
    }
    text
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use crate::cli::output::Ink;
    use crate::cli::top::layout::{Cell, Column, Kind, Tone, cut, table};

    const COLUMNS: [Column; 3] = [
        Column {
            title: "NAME",
            kind: Kind::Name,
            need: 9,
        },
        Column {
            title: "N",
            kind: Kind::Number,
            need: 1,
        },
        Column {
            title: "STATE",
            kind: Kind::Word,
            need: 5,
        },
    ];

    fn rows() -> Vec<Vec<Cell>> {
        let row = |name: &str, n: &str, state: &str| [name, n, state].map(Cell::usual).to_vec();
        vec![
            row("a-name-that-is-long", "1", "on"),
            row("b", "12345", "draining"),
        ]
    }

    #[track_caller]
    fn check(width: Option<usize>, expected: &[&str]) {
        let lines = table(&COLUMNS, &rows(), width, Ink::Plain);
        assert_eq!(lines, expected);
    }

    #[test]
    fn without_a_width_everything_is_shown() {
        check(
            None,
            &[
                "NAME                     N  STATE",
                "a-name-that-is-long      1  on",
                "b                    12345  draining",
            ],
        );
    }

    #[test]
    fn names_are_cut_before_columns_are_left_out() {
        check(
            Some(30),
            &[
                "NAME               N  STATE",
                "a-name-that-…      1  on",
                "b              12345  draining",
            ],
        );
        check(
            Some(26),
            &[
                "NAME              STATE",
                "a-name-that-is-…  on",
                "b                 draining",
            ],
        );
        check(Some(13), &["NAME", "a-name-that-…", "b"]);
        check(Some(5), &["NAME", "a-na…", "b"]);
    }

    #[test]
    fn no_line_is_wider_than_there_is_room() {
        for width in 1..60 {
            for line in table(&COLUMNS, &rows(), Some(width), Ink::Plain) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_tone_is_ink_and_takes_no_room() {
        let rows = [vec![
            Cell::toned("a", Tone::Alarming),
            Cell::usual(""),
            Cell::usual("on"),
        ]];
        let lines = table(&COLUMNS, &rows, None, Ink::Colour);
        assert_eq!(lines[1], "\x1b[31ma\x1b[0m        on");
    }

    #[test]
    fn what_is_cut_is_marked() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abcd", 0), "");
    }
}
