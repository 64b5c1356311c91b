//! Reads `[segment.NAME]`, and the rules of routes, which name segments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::advice;
use crate::config::flags::KnownFlags;
use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::segment::{Attribute, ConditionSpec, Operand, Operator, Segment, SegmentSpec, Takes};
use crate::split::{MAX_WEIGHT, RuleSpec, VariantSpec};

/// A named group of requests.
#[derive(Clone, Debug)]
pub struct SegmentConfig {
    /// What its requests have in common, as written.
    pub spec: SegmentSpec,
    /// The same, checked.
    pub segment: Arc<Segment>,
}

/// The segments of a file.
#[derive(Debug, Default)]
pub(crate) struct Segments<'d> {
    /// The names of all, also of those with problems: such a segment is not unknown.
    names: BTreeSet<&'d str>,
    /// Those without.
    pub(crate) read: BTreeMap<String, SegmentConfig>,
}

impl<'d> Segments<'d> {
    /// Reads the section with all of them, which may name these flags.
    pub(crate) fn of(section: &Value<'d>, flags: &KnownFlags<'_>) -> Self {
        let names = section.keys().collect();
        let read = section
            .names(|_, value| segment(value, flags))
            .into_iter()
            .map(|(name, segment)| (name.to_owned(), segment))
            .collect();
        Self { names, read }
    }

    /// Reads the name of one; one with problems is not unknown.
    pub(crate) fn named(&self, value: &Value<'_>) -> Option<String> {
        let name = value.parsed("the name of a segment", Some)?;
        if !self.names.contains(name) {
            let hint = near::hint(name, self.names.iter().copied());
            value.refuse(format!("there is no segment {}{hint}", value.shown()));
            return None;
        }
        Some(name.to_owned())
    }
}

/// Reads one segment; `None` when a problem was recorded.
fn segment(value: &Value<'_>, flags: &KnownFlags<'_>) -> Option<SegmentConfig> {
    let spec = value.table(
        |table| match (table.optional("all"), table.optional("any")) {
            (Some(all), None) => Some(SegmentSpec {
                any: vec![group(&all, flags)?],
            }),
            (None, Some(any)) => {
                let groups = any.list("a list of groups such as [{ all = […] }]", |value| {
                    value.table(|table| {
                        let all = table.required("all", "a list of conditions")?;
                        group(&all, flags)
                    })?
                })?;
                if groups.is_empty() {
                    any.refuse("empty; at least one group belongs here");
                    return None;
                }
                Some(SegmentSpec { any: groups })
            }
            (Some(_), Some(any)) => {
                any.refuse_key("there is `all` already; one of the two says what the segment is");
                None
            }
            (None, None) => {
                table.refuse("empty; `all = […]` or `any = [{ all = […] }]` belongs here");
                None
            }
        },
    )??;
    // Each condition was looked at where it is written.
    let segment = Segment::new(&spec).map_err(|error| value.refuse_key(error.to_string()));
    Some(SegmentConfig {
        segment: Arc::new(segment.ok()?),
        spec,
    })
}

/// Reads conditions that have to hold together.
fn group(value: &Value<'_>, flags: &KnownFlags<'_>) -> Option<Vec<ConditionSpec>> {
    let what = "a list of conditions such as [{ attr = \"header:x-plan\", op = \"eq\", value = \"beta\" }]";
    let conditions = value.list(what, |value| {
        value.table(|table| condition(table, flags))?
    })?;
    if conditions.is_empty() {
        value.refuse("empty, which would hold always; at least one condition belongs here");
        return None;
    }
    Some(conditions)
}

fn condition(table: &mut Table<'_>, flags: &KnownFlags<'_>) -> Option<ConditionSpec> {
    let attribute = table
        .required("attr", Attribute::WHAT)
        .and_then(|value| attribute(&value, flags));
    let operators: Vec<_> = Operator::ALL.iter().map(|it| (it.name(), *it)).collect();
    let operator = table
        .required("op", "an operator such as \"eq\"")
        .and_then(|value| value.choice(&operators));
    let (one, several) = match operator.map(Operator::takes) {
        Some(Takes::Texts) => {
            let operator = operator.map_or("", Operator::name);
            table.refuse_key("value", &format!("`{operator}` takes `values`, a list"));
            (None, table.needed("values", "a list of texts"))
        }
        Some(Takes::Presence) => {
            table.refuse_key("values", "`exists` takes `value`: true or false");
            (table.optional("value"), None)
        }
        Some(takes) => {
            let operator = operator.map_or("", Operator::name);
            table.refuse_key("values", &format!("`{operator}` takes one `value`"));
            (table.needed("value", takes.name()), None)
        }
        None => {
            table.optional("value");
            table.optional("values");
            (None, None)
        }
    };
    let spec = |operand| {
        Some(ConditionSpec {
            attribute: attribute.clone()?,
            operator: operator?,
            operand,
        })
    };
    let check = |value: &Value<'_>, operand| {
        let spec = spec(operand)?;
        let checked = spec
            .check()
            .map_err(|error| value.refuse(error.to_string()));
        checked.ok().map(|()| spec)
    };
    // The variant that a flag has is one of its own.
    let check_variant = |value: &Value<'_>, text: &str| {
        let compares = matches!(
            operator,
            Some(Operator::Eq | Operator::Ne | Operator::In | Operator::NotIn)
        );
        match &attribute {
            Some(Attribute::Flag(flag)) if compares => flags.check_variant(flag, value, text),
            _ => Some(()),
        }
    };
    if let Some(values) = several {
        let texts = values.list("a list of texts", |value| {
            let text = value.string()?.to_owned();
            check_variant(value, &text)?;
            check(value, Operand::Texts(vec![text.clone()]))?;
            Some(text)
        })?;
        return check(&values, Operand::Texts(texts));
    }
    let Some(value) = one else {
        // Whether something is there needs nothing to compare with.
        let takes = operator?.takes();
        return (takes == Takes::Presence).then(|| spec(Operand::Presence(true)))?;
    };
    let operand = match operator?.takes() {
        Takes::Text => {
            let text = value.string()?;
            check_variant(&value, text)?;
            Operand::Text(text.to_owned())
        }
        Takes::Moment => Operand::Text(value.date_text()?),
        Takes::Number => Operand::Number(value.finite()?),
        Takes::Presence => Operand::Presence(value.boolean()?),
        Takes::Texts => return None,
    };
    check(&value, operand)
}

/// Reads what a condition is about.
fn attribute(value: &Value<'_>, flags: &KnownFlags<'_>) -> Option<Attribute> {
    let attribute = value.parsed(Attribute::WHAT, |text| text.parse::<Attribute>().ok())?;
    if let Attribute::Flag(flag) = &attribute {
        flags.check(value, flag)?;
    }
    Some(attribute)
}

/// Reads a route's rules; `None` when a problem was recorded. Without the variants, which have
/// problems of their own, the weights cannot be looked at.
pub(crate) fn rules(
    value: &Value<'_>,
    variants: Option<&[VariantSpec]>,
    segments: &Segments<'_>,
) -> Option<Vec<RuleSpec>> {
    let mut names = BTreeSet::new();
    let what = "a list of rules such as [[route.NAME.rule]]";
    value.list(what, |value| {
        let mut is_first = true;
        let rule = value.table(|table| {
            let name = table
                .required("segment", "the name of a segment")
                .and_then(|value| segments.named(&value));
            is_first = name.as_ref().is_none_or(|name| names.insert(name.clone()));
            let weights = table
                .required("weights", "the weights of variants")
                .and_then(|value| weights(&value, variants?));
            let name = name?;
            Some(RuleSpec {
                segment: Arc::clone(&segments.read.get(&name)?.segment),
                name,
                weights: weights?,
            })
        })?;
        if !is_first {
            value.refuse("a rule above has the same segment, so this one would never decide");
            return None;
        }
        rule
    })
}

/// Reads weights by the names of variants; who is not named has 0.
fn weights(value: &Value<'_>, variants: &[VariantSpec]) -> Option<Vec<u32>> {
    let mut weights = vec![0; variants.len()];
    let mut is_whole = value.is_table();
    value.entries(|name, value| {
        let names = || variants.iter().map(|variant| variant.name.as_str());
        let place = names().position(|known| known == name);
        if place.is_none() {
            let hint = near::hint(name, names());
            value.refuse_key(format!("there is no variant {name:?} in this route{hint}"));
        }
        let weight = value.whole(0..=u64::from(MAX_WEIGHT));
        let weight = weight.and_then(|weight| u32::try_from(weight).ok());
        match (place, weight) {
            (Some(place), Some(weight)) => weights[place] = weight,
            _ => is_whole = false,
        }
        None::<()>
    });
    if !is_whole {
        return None;
    }
    if weights.iter().all(|&weight| weight == 0) {
        value.refuse_key("all weights are 0; at least one must be more");
        return None;
    }
    advice::closed_rule(value, variants, &weights);
    Some(weights)
}
