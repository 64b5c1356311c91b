//! References: where a text names flags.
//!
//! A name counts where it stands by itself: between quotes, dots or spaces, but not inside a longer
//! word. To the words of code belong letters, digits, `_` and `-`, so `new-checkout-2` is not
//! `new-checkout`. A dot separates words (`flags.checkout.enabled` names `checkout`), unless the
//! whole is a name, as `checkout-2.4.0` may be. Two dashes in front are those of an option.

use std::collections::HashMap;

/// Text with a zero byte so near to its beginning is none.
const BINARY_WITHIN: usize = 8 * 1024;

/// What may be within a name, or between two.
const JOINERS: [char; 2] = ['.', '+'];

/// The names that are looked for.
#[derive(Clone, Debug)]
pub struct References {
    names: HashMap<String, usize>,
    /// The length of the longest name, in bytes.
    longest: usize,
}

/// A place where a text names a flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reference<'t> {
    /// The flag, by its place among the names.
    pub name: usize,
    /// The line, from 1.
    pub line: usize,
    /// The column of the name's first letter, from 1, in characters.
    pub column: usize,
    /// The text of the line.
    pub text: &'t [u8],
}

impl References {
    /// Looks for these names.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let names = names.into_iter().enumerate();
        let names: HashMap<_, _> = names.map(|(at, name)| (name.to_owned(), at)).collect();
        Self {
            longest: names.keys().map(String::len).max().unwrap_or(0),
            names,
        }
    }

    /// All places where a text names any of them, in their order. What is no text names none.
    pub fn find<'t>(&self, text: &'t [u8]) -> Vec<Reference<'t>> {
        let start = &text[..text.len().min(BINARY_WITHIN)];
        if memchr::memchr(0, start).is_some() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let text = line.strip_suffix(b"\r").unwrap_or(line);
            // What is not UTF-8 stands between words.
            let line = String::from_utf8_lossy(text);
            for (at, name) in self.find_in(&line) {
                found.push(Reference {
                    name,
                    line: index + 1,
                    column: 1 + line[..at].chars().count(),
                    text,
                });
            }
        }
        found
    }

    /// Where a line names any of them, in bytes.
    fn find_in(&self, line: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for word in words(line) {
            let plain = word.plain();
            let whole = [word, plain].into_iter();
            let mut whole = whole.filter_map(|word| self.named(word));
            match whole.next() {
                Some(name) => found.push(name),
                None => found.extend(plain.parts().filter_map(|part| self.named(part))),
            }
        }
        found
    }

    /// Where the word is, and which name, if it is one.
    fn named(&self, word: Word<'_>) -> Option<(usize, usize)> {
        // Many words are in no need of a hash.
        if self.longest < word.text.len() {
            return None;
        }
        Some((word.at, *self.names.get(word.text)?))
    }
}

/// A part of a line, and where it begins, in bytes.
#[derive(Clone, Copy, Debug)]
struct Word<'l> {
    at: usize,
    text: &'l str,
}

/// The words of a line, those that dots and pluses join as one.
fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    let is_outside = |letter: char| !letter.is_alphanumeric() && !"_-.+".contains(letter);
    let mut end = 0;
    let pieces = line.split_inclusive(is_outside);
    let words = pieces.map(move |piece| {
        let at = end;
        end += piece.len();
        let text = piece.trim_end_matches(is_outside);
        Word { at, text }
    });
    words.filter(|word| !word.text.is_empty())
}

impl Word<'_> {
    /// The word without the dots of a sentence and the dashes of an option.
    fn plain(self) -> Self {
        let text = self.text.trim_start_matches(JOINERS);
        let text = text.strip_prefix("--").unwrap_or(text);
        Self {
            at: self.at + self.text.len() - text.len(),
            text: text.trim_end_matches(JOINERS),
        }
    }

    /// What the dots and pluses join.
    fn parts(self) -> impl Iterator<Item = Self> {
        let mut at = self.at;
        self.text.split(JOINERS).map(move |text| {
            let part = Self { at, text };
            at += text.len() + 1;
            part
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::flag::References;

    const NAMES: [&str; 4] = [
        "new-checkout",
        "new-checkout-2",
        "checkout-2.4.0",
        "dark_mode",
    ];

    /// Holds where a text names flags: line, column and name.
    #[track_caller]
    fn check(text: &str, expected: &[(usize, usize, &str)]) {
        let references = References::new(NAMES);
        let found = references.find(text.as_bytes());
        let found = found.iter().map(|it| (it.line, it.column, NAMES[it.name]));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn a_name_counts_where_it_stands_by_itself() {
        for text in [
            "new-checkout",
            "\"new-checkout\"",
            "'new-checkout'",
            "`new-checkout`",
            "“new-checkout”",
            "(new-checkout)",
            "[new-checkout]",
            "<new-checkout/>",
            "new-checkout.",
            "new-checkout…",
            "new-checkout: on",
            "new-checkout=on",
            "flag:new-checkout",
            "flags/new-checkout/kill",
            "--new-checkout=on",
            "flag.new-checkout.enabled",
            "[flag.new-checkout]",
            "[flag.\"new-checkout\"]",
            "{% if new-checkout %}",
            "$new-checkout",
            "new-checkout + 1",
            "...new-checkout",
        ] {
            let column = text.find("new").unwrap();
            let column = text[..column].chars().count() + 1;
            check(text, &[(1, column, "new-checkout")]);
        }
    }

    #[test]
    fn a_name_inside_a_longer_word_is_not_that_name() {
        for text in [
            "new-checkout-3",
            "my-new-checkout",
            "new-checkouts",
            "xnew-checkout",
            "new-checkout_",
            "_new-checkout",
            "new-checkout-",
            "-new-checkout",
            "---new-checkout",
            "new-checkoutü",
            "énew-checkout",
            "New-Checkout",
            "newCheckout",
            "new_checkout",
            "new-check out",
            "new-\ncheckout",
            "checkout-2.4",
            "checkout-2.4.01",
            "xcheckout-2.4.0",
            "",
        ] {
            check(text, &[]);
        }
        check("new-checkout-2", &[(1, 1, "new-checkout-2")]);
    }

    #[test]
    fn a_name_with_dots_is_the_whole_word() {
        check("use checkout-2.4.0.", &[(1, 5, "checkout-2.4.0")]);
        check("flag.\"checkout-2.4.0\"", &[(1, 7, "checkout-2.4.0")]);
        check("checkout-2.4.0.1", &[]);
        check(
            "a.new-checkout+dark_mode",
            &[(1, 3, "new-checkout"), (1, 16, "dark_mode")],
        );
    }

    #[test]
    fn lines_and_columns_are_counted_as_editors_do() {
        check(
            "// ü dark_mode\r\n\n\tnew-checkout dark_mode\nnew-checkout",
            &[
                (1, 6, "dark_mode"),
                (3, 2, "new-checkout"),
                (3, 15, "dark_mode"),
                (4, 1, "new-checkout"),
            ],
        );
        let references = References::new(NAMES);
        let found = references.find(b"a\n  if dark_mode {\r\n");
        assert_eq!(found[0].text, b"  if dark_mode {");
    }

    #[test]
    fn what_is_no_text_names_nothing() {
        let references = References::new(NAMES);
        assert_eq!(references.find(b"\0dark_mode"), []);
        let mut late = vec![b' '; 8 * 1024];
        late.extend(b"\0 dark_mode");
        assert_eq!(references.find(&late).len(), 1);
        // Latin-1 is text, if not UTF-8.
        let found = references.find(b"caf\xe9 dark_mode \xe9dark_mode");
        let columns: Vec<_> = found.iter().map(|it| it.column).collect();
        assert_eq!(columns, [6, 17]);
    }

    #[test]
    fn a_name_may_begin_and_end_as_words_do_not() {
        let references = References::new(["--x.", "y+"]);
        let found = references.find(b"a --x. y+ --x y");
        let found: Vec<_> = found.iter().map(|it| (it.column, it.name)).collect();
        assert_eq!(found, [(3, 0), (8, 1)]);
    }

    #[test]
    fn no_names_are_found_nowhere() {
        assert_eq!(References::new([]).find(b"dark_mode"), []);
    }
}
