//! Reads the rules of a flag: who gets which variant.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::flags::flag::salt;
use crate::config::flags::variant::named;
use crate::config::moment::moment;
use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::config::releases::word;
use crate::config::segment::Segments;
use crate::flag::{FlagValue, RuleSpec, Serve, TARGETING_KEY};
use crate::segment::{Attribute, Segment};
use crate::split::MAX_WEIGHT;

/// The longest name of a rule, in characters.
const MAX_NAME: usize = 64;

/// How many rules a flag may have: more than anybody can follow.
const MAX_RULES: usize = 256;

/// What belongs where rules are.
const RULES: &str = "a list of rules such as [{ segment = \"beta\", serve = \"on\" }, \
                     { split = { on = 10, off = 90 } }]";

/// Reads all of them; `None` when a problem was recorded. Without the variants, which have problems of
/// their own, what is served cannot be looked at.
pub(in crate::config::flags) fn all<'d>(
    value: &Value<'d>,
    variants: Option<&BTreeMap<String, FlagValue>>,
    segments: &Segments<'d>,
) -> Option<Vec<RuleSpec>> {
    let rules = value.list(RULES, |value| {
        value.table(|table| rule(table, variants, segments))?
    })?;
    if MAX_RULES < rules.len() {
        value.refuse(format!("are more than {MAX_RULES}"));
        return None;
    }
    Some(rules)
}

fn rule<'d>(
    table: &mut Table<'d>,
    variants: Option<&BTreeMap<String, FlagValue>>,
    segments: &Segments<'d>,
) -> Option<RuleSpec> {
    let name = table.maybe("name", |value| word(value, MAX_NAME));
    let segment = table.maybe("segment", |value| segment(value, segments));
    let serve = serve(table, variants);
    let is_split = table.optional("split").is_some();
    if !is_split {
        for key in ["bucket_by", "salt"] {
            table.refuse_key(key, "has no effect on a rule without a split");
        }
    }
    let bucket_by = table.maybe("bucket_by", |value| {
        value.parsed(Attribute::WHAT, |text| text.parse().ok())
    });
    let salt = table.maybe("salt", salt);
    let from = table.maybe("from", moment);
    let to = table.maybe("to", moment);
    let targeting_key = Attribute::Context(TARGETING_KEY.to_owned());
    Some(RuleSpec {
        name: name?,
        segment: segment?,
        // By the targeting key is what is done without it.
        bucket_by: bucket_by?.filter(|it| *it != targeting_key),
        salt: salt?,
        serve: serve?,
        from: from?,
        to: to?,
    })
}

fn segment(value: &Value<'_>, segments: &Segments<'_>) -> Option<(String, Arc<Segment>)> {
    let name = segments.named(value)?;
    let segment = segments.read.get(&name)?;
    let segment = Arc::clone(&segment.segment);
    Some((name, segment))
}

/// Reads what a rule gives: one variant, or several by weights.
fn serve(table: &mut Table<'_>, variants: Option<&BTreeMap<String, FlagValue>>) -> Option<Serve> {
    match (table.optional("serve"), table.optional("split")) {
        (Some(value), None) => named(&value, variants?).map(Serve::Variant),
        (None, Some(value)) => split(&value, variants?).map(Serve::Split),
        (Some(_), Some(split)) => {
            split.refuse_key("there is `serve` already; a rule gives one variant or splits");
            None
        }
        (None, None) => {
            table.refuse("gives nothing; `serve = …` or `split = { … }` belongs here");
            None
        }
    }
}

fn split(
    value: &Value<'_>,
    variants: &BTreeMap<String, FlagValue>,
) -> Option<BTreeMap<String, u32>> {
    let mut is_whole = value.is_table();
    let mut weights = BTreeMap::new();
    value.entries(|name, value| {
        let is_known = variants.contains_key(name);
        if !is_known {
            let hint = near::hint(name, variants.keys().map(String::as_str));
            value.refuse_key(format!("the flag has no variant {name:?}{hint}"));
        }
        let weight = value.whole(0..=u64::from(MAX_WEIGHT));
        match weight.and_then(|weight| u32::try_from(weight).ok()) {
            Some(weight) if is_known => {
                weights.insert(name.to_owned(), weight);
            }
            Some(_) | None => is_whole = false,
        }
        None::<()>
    });
    is_whole.then_some(weights)
}
