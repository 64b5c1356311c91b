//! Fields that are looked for: how many heads had each of them.
//!
//! They prove that a feature was used: the origin counts what the proxy put into requests, the
//! generator what it put into responses. A scenario that looks for nothing pays nothing.

use crate::head;

/// The names that are looked for, and how many heads had them.
#[derive(Default)]
pub struct Fields {
    counts: Vec<(String, u64)>,
}

impl Fields {
    /// Makes the counts of these names, all zero.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self {
            counts: names.map(|name| (name.to_owned(), 0)).collect(),
        }
    }

    /// Looks through one head.
    pub fn look(&mut self, head: &[u8]) {
        for (name, count) in &mut self.counts {
            *count += u64::from(head::field(head, name.as_bytes()).is_some());
        }
    }

    /// The names with their counts, in the order in which they were given.
    pub fn counts(&self) -> impl Iterator<Item = (String, u64)> {
        self.counts.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use crate::fields::Fields;

    #[test]
    fn a_head_counts_once_for_each_field_that_it_has() {
        let mut fields = Fields::new(["x-env", "x-debug"].into_iter());
        fields.look(b"HTTP/1.1 200 OK\r\nX-Env: prod\r\nx-env: again\r\n\r\n");
        fields.look(b"HTTP/1.1 200 OK\r\nx-environment: prod\r\n\r\n");
        let counts: Vec<_> = fields.counts().collect();
        assert_eq!(counts, [("x-env".to_owned(), 1), ("x-debug".to_owned(), 0)]);
    }
}
