//! The command line: `--name value` pairs, each of them optional, some of them repeated.

use std::str::FromStr;

/// What was given on the command line after the subcommand.
pub struct Arguments {
    pairs: Vec<(String, String)>,
}

impl Arguments {
    /// Reads the pairs.
    ///
    /// # Errors
    /// When a word stands where a `--name` should, or a name has no value.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words;
        let mut pairs = Vec::new();
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| format!("`{word}` is not an option"))?;
            let value = words
                .next()
                .ok_or_else(|| format!("--{name} wants a value"))?;
            pairs.push((name.to_owned(), value));
        }
        Ok(Self { pairs })
    }

    /// Every value given for `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The last value given for `name`, read as a `T`.
    ///
    /// # Errors
    /// When the value is not a `T`.
    pub fn one<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        self.all(name)
            .last()
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| format!("--{name} {value}: not understood"))
            })
            .transpose()
    }
}
