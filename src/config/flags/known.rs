//! What flags are called, and what their variants are: what others may name of them.

use std::collections::BTreeMap;

use crate::config::near;
use crate::config::reader::Value;

/// The variants of a boolean flag that names none.
pub(in crate::config::flags) const ON: &str = "on";
/// The other of them.
pub(in crate::config::flags) const OFF: &str = "off";

/// The flags of a file, before any of them is read: one with problems is not unknown.
#[derive(Debug, Default)]
pub(crate) struct KnownFlags<'d> {
    /// The variants by the names of flags; `None` where it cannot be told which there are.
    variants: BTreeMap<&'d str, Option<Vec<&'d str>>>,
}

impl<'d> KnownFlags<'d> {
    /// Looks at the section with all of them.
    pub(crate) fn of(section: &Value<'d>) -> Self {
        let mut variants = BTreeMap::new();
        for name in section.keys() {
            let flag = section.entry(name);
            variants.insert(name, flag.and_then(|flag| variants_of(&flag)));
        }
        Self { variants }
    }

    /// Holds that there is a flag of this name, which stands at `value`.
    pub(crate) fn check(&self, value: &Value<'_>, name: &str) -> Option<()> {
        if !self.variants.contains_key(name) {
            let hint = near::hint(name, self.variants.keys().copied());
            value.refuse(format!("there is no flag {name:?}{hint}"));
            return None;
        }
        Some(())
    }

    /// Reads the name of a flag.
    pub(crate) fn named(&self, value: &Value<'d>) -> Option<&'d str> {
        let name = value.parsed("the name of a flag", Some)?;
        self.check(value, name).map(|()| name)
    }

    /// Holds that a flag, if it is known, has a variant of this name, which stands at `value`.
    pub(crate) fn check_variant(&self, flag: &str, value: &Value<'_>, name: &str) -> Option<()> {
        let variants = self.variants.get(flag).and_then(Option::as_ref);
        if let Some(variants) = variants
            && !variants.contains(&name)
        {
            let hint = near::hint(name, variants.iter().copied());
            value.refuse(format!("flag {flag} has no variant {name:?}{hint}"));
            return None;
        }
        Some(())
    }
}

fn variants_of<'d>(flag: &Value<'d>) -> Option<Vec<&'d str>> {
    match flag.entry("variants") {
        Some(variants) if variants.is_table() => Some(variants.keys().collect()),
        Some(_) => None,
        None => {
            let kind = flag.entry("type");
            let is_boolean = kind.is_none_or(|kind| kind.is_text("boolean"));
            (is_boolean && flag.is_table()).then(|| vec![ON, OFF])
        }
    }
}
