//! Any text as a configuration: it is one, or what is wrong with it is said at its place; and one
//! that is accepted is the same when it is written as a file and read again.
//!
//! Nothing outside the text is looked at: no file that it names, and no environment.

use std::path::Path;

use tidegate::config::{Problem, of_effective, parse_alone};

const NAME: &str = "/etc/tidegate/t.toml";

/// Bytes of a text that are looked at.
const MOST: usize = 32 * 1024;

pub(in crate::statement) fn holds(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MOST)];
    let name = Path::new(NAME);
    match parse_alone(bytes.to_vec(), name) {
        Err(problems) => {
            assert_ne!(problems.iter().len(), 0, "refused for nothing");
            let problems = problems.into_vec();
            problems.iter().for_each(|problem| placed(problem, bytes));
            let places = problems
                .iter()
                .map(|problem| (problem.line, problem.column));
            assert!(places.is_sorted(), "{problems:?}");
            for (n, problem) in problems.iter().enumerate() {
                assert!(!problems[..n].contains(problem), "twice: {problem}");
            }
        }
        Ok((config, warnings)) => {
            warnings.iter().for_each(|problem| placed(problem, bytes));
            let effective = config.effective();
            let again = of_effective(&effective, name)
                .unwrap_or_else(|problems| panic!("not read again: {problems}\n{effective:#}"));
            assert_eq!(again.effective(), effective);
            assert_eq!(format!("{again:#?}"), format!("{config:#?}"));
        }
    }
}

/// A problem is a line of text, with a place in the file that exists.
fn placed(problem: &Problem, bytes: &[u8]) {
    assert_eq!(problem.file, Path::new(NAME), "{problem:?}");
    let is_line = |text: &str| !text.contains(['\n', '\r']);
    assert!(is_line(&problem.to_string()), "{problem:?}");
    assert!(!problem.message.is_empty(), "{problem:?}");
    if problem.line == 0 {
        assert_eq!(problem.column, 0, "{problem:?}");
        return;
    }
    let line = bytes.split(|&byte| byte == b'\n').nth(problem.line - 1);
    let line = line.unwrap_or_else(|| panic!("no such line: {problem:?}"));
    let n_characters = String::from_utf8_lossy(line).chars().count();
    assert!(
        (1..=n_characters + 1).contains(&problem.column),
        "{problem:?}"
    );
}
