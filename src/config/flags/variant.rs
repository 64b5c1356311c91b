//! Reads the type of a flag, and its variants with their values.

use std::collections::BTreeMap;

use crate::config::flags::known::{OFF, ON};
use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::flag::{FlagValue, Kind};

/// The largest whole number that programs in JavaScript can tell from its neighbours (RFC 8259,
/// section 6): 2^53 - 1.
const SAFE: u64 = (1 << 53) - 1;

/// The variants of a flag, and those of them that have a part.
pub(in crate::config::flags) struct Variants {
    /// All of them with their values.
    pub(in crate::config::flags) values: BTreeMap<String, FlagValue>,
    /// Who gets nothing gets this.
    pub(in crate::config::flags) off: String,
    /// Whom no rule is for gets this.
    pub(in crate::config::flags) default: String,
}

/// Reads `type`; a flag that says nothing is a boolean one.
pub(in crate::config::flags) fn kind(table: &mut Table<'_>) -> Option<Kind> {
    match table.optional("type") {
        Some(value) => value.choice(&Kind::ALL.map(|kind| (kind.name(), kind))),
        None => Some(Kind::Boolean),
    }
}

/// Reads `variants`, `off_variant` and `default_variant`; `None` when a problem was recorded. Without
/// the type, which has a problem of its own, values cannot be looked at.
pub(in crate::config::flags) fn all(table: &mut Table<'_>, kind: Option<Kind>) -> Option<Variants> {
    let values = match table.optional("variants") {
        Some(value) => values(&value, kind),
        None if kind == Some(Kind::Boolean) => Some(BTreeMap::from([
            (ON.to_owned(), FlagValue::Boolean(true)),
            (OFF.to_owned(), FlagValue::Boolean(false)),
        ])),
        None if kind.is_none() => None,
        None => {
            table.needed(
                "variants",
                "what the flag may be, such as { small = 10, large = 50 },",
            );
            None
        }
    };
    let [default, off] = ["default_variant", "off_variant"].map(|key| table.optional(key));
    let [default, off] = [default, off].map(|value| {
        let Some(value) = value else {
            return Some(None);
        };
        named(&value, values.as_ref()?).map(Some)
    });
    let values = values?;
    let by_itself = || values.contains_key(OFF).then(|| OFF.to_owned());
    let default = default.map(|said| said.or_else(by_itself));
    if default == Some(None) {
        table.needed("default_variant", "the variant for whom no rule is");
    }
    let (default, off) = (default??, off?);
    Some(Variants {
        off: off.or_else(by_itself).unwrap_or_else(|| default.clone()),
        default,
        values,
    })
}

/// Reads the name of a variant of this flag.
pub(in crate::config::flags) fn named(
    value: &Value<'_>,
    values: &BTreeMap<String, FlagValue>,
) -> Option<String> {
    let name = value.parsed("the name of a variant", Some)?;
    if !values.contains_key(name) {
        let hint = near::hint(name, values.keys().map(String::as_str));
        value.refuse(format!("the flag has no variant {}{hint}", value.shown()));
        return None;
    }
    Some(name.to_owned())
}

fn values(section: &Value<'_>, kind: Option<Kind>) -> Option<BTreeMap<String, FlagValue>> {
    let n_variants = section.keys().count();
    let values = section.names(|name, value| Some((name.to_owned(), self::value(value, kind?)?)));
    let values: BTreeMap<String, FlagValue> = values.into_iter().map(|(_, it)| it).collect();
    let is_whole = section.is_table() && values.len() == n_variants;
    if is_whole && values.is_empty() {
        section.refuse_key("empty; a flag has at least one variant");
        return None;
    }
    is_whole.then_some(values)
}

/// Reads the value of a variant.
fn value(value: &Value<'_>, kind: Kind) -> Option<FlagValue> {
    match kind {
        Kind::Boolean => value.boolean().map(FlagValue::Boolean),
        Kind::String => Some(FlagValue::String(value.string()?.to_owned())),
        Kind::Integer => {
            let number = value.integer()?;
            if SAFE < number.unsigned_abs() {
                value.warn("beyond 2^53 programs in JavaScript take it for another number");
            }
            Some(FlagValue::Integer(number))
        }
        Kind::Float => value.finite().map(FlagValue::Float),
        Kind::Object => value.object().map(FlagValue::Object),
    }
}
