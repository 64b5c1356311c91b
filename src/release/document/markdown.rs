//! Markdown that says what a text says: nothing in a text becomes a table, a heading or a tag.
//!
//! The dialect is GitHub's (github.github.com/gfm, whose sections are named below): CommonMark with
//! tables.

/// What means something within a line. A pipe does so in a table alone, and [`row`] sees to it.
const SPECIAL: &str = "\\`*_[]<>#~&";

/// The text within a line: as it is, on one line, with nothing that Markdown would act on.
pub(in crate::release::document) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        if SPECIAL.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The text as code within a line; nothing when it is blank.
pub(in crate::release::document) fn code(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() {
        return String::new();
    }
    // Section 6.3: the fence is longer than any run within, and a blank keeps an outer one apart.
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A row of a table, of cells that are Markdown already.
pub(in crate::release::document) fn row(cells: &[String]) -> String {
    // Section 4.10: a pipe ends a cell even within code, unless a backslash is before it.
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The head of a table: its titles and the line below them.
pub(in crate::release::document) fn head(titles: &[&str]) -> String {
    let rule = vec!["---"; titles.len()].join(" | ");
    format!("| {} |\n| {rule} |\n", titles.join(" | "))
}

/// What somebody wrote as Markdown, as a quotation: what it leaves open ends with it (section 5.1),
/// and its headings are none of the document. Its tags are shown and not acted on.
pub(in crate::release::document) fn quotation(text: &str) -> String {
    let mut reader = Reader::default();
    let mut out = String::new();
    for line in text.trim_matches(['\n', '\r']).trim_end().lines() {
        let kept = line.chars().filter(|c| *c == '\t' || !c.is_control());
        let line = reader.harmless(&kept.collect::<String>());
        out.push_str(format!("> {line}").trim_end());
        out.push('\n');
    }
    out
}

/// Knows of a line whether it is surely code, whose `<` are no tags.
///
/// It errs to one side: where it cannot be sure without being a whole parser, from there on nothing
/// is code, and code shows `&lt;` for `<`.
#[derive(Default)]
struct Reader {
    fence: Option<Fence>,
    unsure: bool,
    /// A run of backticks is open since an earlier line of the paragraph.
    open_span: bool,
}

struct Fence {
    mark: char,
    length: usize,
    indent: usize,
}

impl Reader {
    fn harmless(&mut self, line: &str) -> String {
        let indent = indent(line);
        let bare = line.trim();
        if let Some(fence) = self.fence.take_if(|fence| {
            // What is indented less may end a list, and the fence with it.
            bare.is_empty() || fence.indent <= indent
        }) {
            let closes = bare.chars().all(|c| c == fence.mark) && fence.length <= bare.len();
            if bare.is_empty() || !closes {
                self.fence = Some(fence);
            } else {
                self.unsure |= indent > 3;
            }
            return line.to_owned();
        }
        self.unsure |= self.fence.take().is_some();
        let opened = opening(line, indent);
        self.unsure |= opened.is_none() && (bare.contains("```") || bare.contains("~~~"));
        if opened.is_some() && !self.unsure {
            self.fence = opened;
            self.open_span = false;
            return without_tags(line);
        }
        self.open_span &= !bare.is_empty();
        // A pipe may end a cell of a table, and a span with it.
        if self.unsure || self.open_span || line.contains("\\`") || line.contains('|') {
            self.open_span |= line.contains('`');
            return without_tags(line);
        }
        self.outside_spans(line)
    }

    /// The line without tags in what is no span of code (section 6.3).
    fn outside_spans(&mut self, line: &str) -> String {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(at) = rest.find('`') {
            let run = rest[at..].len() - rest[at..].trim_start_matches('`').len();
            let (text, span) = rest.split_at(at);
            out.push_str(&without_tags(text));
            let Some(length) = closing(&span[run..], run) else {
                self.open_span = true;
                out.push_str(&without_tags(span));
                return out;
            };
            let (span, after) = span.split_at(run + length);
            out.push_str(span);
            rest = after;
        }
        out + &without_tags(rest)
    }
}

/// How long a span is from behind its first run to the end of the next run of that length.
fn closing(text: &str, run: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let begins = at + found;
        let rest = &text[begins..];
        at = begins + rest.len() - rest.trim_start_matches('`').len();
        if at - begins == run {
            return Some(at);
        }
    }
    None
}

/// The fence that a line opens (section 4.5).
fn opening(line: &str, indent: usize) -> Option<Fence> {
    let line = line.trim_start_matches(' ');
    let mark = line.chars().next().filter(|c| *c == '`' || *c == '~')?;
    let rest = line.trim_start_matches(mark);
    let length = line.len() - rest.len();
    let is_one = indent <= 3 && length >= 3 && !rest.contains(mark);
    is_one.then_some(Fence {
        mark,
        length,
        indent,
    })
}

/// The columns before the text; a tab is worth four.
fn indent(line: &str) -> usize {
    let blanks = line.chars().take_while(|c| *c == ' ' || *c == '\t');
    blanks.map(|c| if c == ' ' { 1 } else { 4 }).sum()
}

/// Shows what would begin a tag of HTML, a comment or an address in brackets (section 6.10).
fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let next = text[at + c.len_utf8()..].chars().next();
        let begins = next.is_some_and(|next| next.is_ascii_alphabetic() || "/!?".contains(next));
        if c == '<' && begins {
            out.push_str("&lt;");
        } else {
            out.push(c);
        }
    }
    out
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}
