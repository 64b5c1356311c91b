//! Where a file says which share of users a flag gives which variant, and what it is to say.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::export::find;

/// What changes in a file so that its flag divides users by these weights: places, and what stands
/// there then. It is what a release moves: the first rule without a segment, else the default.
pub(in crate::cli::export) fn edits(
    root: &DeTable<'_>,
    flag: &str,
    weights: &BTreeMap<String, u32>,
) -> Result<Vec<(Range<usize>, String)>, String> {
    let table = table_of(root, "flag").and_then(|flags| table_of(flags, flag));
    let table = table.ok_or_else(|| format!("has no flag.{flag}: is the flag in another file?"))?;
    let rules = table.get("rules").map(Spanned::get_ref);
    let rules = rules.and_then(|rules| rules.as_array()).into_iter();
    let rules = rules.flat_map(|rules| rules.iter()).enumerate();
    let mut rules = rules.filter_map(|(n, rule)| Some((n, rule.get_ref().as_table()?)));
    let open = rules.find(|(_, rule)| !rule.contains_key("segment"));
    let Some((n, rule)) = open else {
        return served(table, "default_variant", weights)
            .map_err(|why| format!("flag.{flag}.default_variant {why}"));
    };
    let key = format!("flag.{flag}.rules[{n}]");
    if !rule.contains_key("split") {
        let edits = served(rule, "serve", weights);
        return edits.map_err(|why| format!("{key}.serve {why}"));
    }
    let mut edits = Vec::new();
    for (variant, weight) in weights {
        match find(rule, &["split", variant]) {
            Some(place) => edits.push((place, weight.to_string())),
            // Who is not named has no weight.
            None if *weight == 0 => {}
            None => {
                return Err(format!(
                    "{key}.split has no {variant}, which is to have {weight}"
                ));
            }
        }
    }
    Ok(edits)
}

/// The one variant that everybody gets, in the place of another one.
fn served(
    table: &DeTable<'_>,
    key: &str,
    weights: &BTreeMap<String, u32>,
) -> Result<Vec<(Range<usize>, String)>, String> {
    let mut some = weights.iter().filter(|(_, weight)| **weight != 0);
    let (Some((variant, _)), None) = (some.next(), some.next()) else {
        return Err(
            "is one variant, and several are to have a share: a split belongs there".into(),
        );
    };
    let place = find(table, &[key]);
    let place = place.ok_or_else(|| format!("is not there; it is to be {variant:?}"))?;
    Ok(vec![(
        place,
        toml::Value::from(variant.as_str()).to_string(),
    )])
}

fn table_of<'t>(table: &'t DeTable<'_>, key: &str) -> Option<&'t DeTable<'t>> {
    let (_, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::cli::export;

    const TEXT: &str = "\
[flag.a]
rules = [
  { segment = \"beta\", serve = \"on\" },
  { split = { on = 10, off = 90 } }, # as ever
]
[flag.\"b.c\"]
default_variant = \"off\"
[flag.d]
[[flag.d.rules]]
serve = 'off'
[flag.e]
rules = [{ split = { off = 1 } }]
[flag.f]
";

    fn edited(flag: &str, on: u32) -> Result<String, String> {
        let weights = BTreeMap::from([("on".to_owned(), on), ("off".to_owned(), 100 - on)]);
        export::edited(TEXT, &BTreeMap::from([(flag, weights)]), &BTreeMap::new())
    }

    #[test]
    fn a_flag_says_what_is_obeyed_wherever_it_says_it() {
        let expected = TEXT.replace("{ on = 10, off = 90 }", "{ on = 100, off = 0 }");
        assert_eq!(edited("flag:a", 100).unwrap(), expected);
        let expected = TEXT.replace("default_variant = \"off\"", "default_variant = \"on\"");
        assert_eq!(edited("flag:b.c", 100).unwrap(), expected);
        let expected = TEXT.replace("serve = 'off'", "serve = \"on\"");
        assert_eq!(edited("flag:d", 100).unwrap(), expected);
        let expected = TEXT.replace("split = { off = 1 }", "split = { off = 100 }");
        assert_eq!(edited("flag:e", 0).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_said_in_its_place_is_told_of() {
        for (flag, on, why) in [
            ("flag:x", 100, "has no flag.x: is the flag in another file?"),
            (
                "flag:e",
                50,
                "flag.e.rules[0].split has no on, which is to have 50",
            ),
            (
                "flag:d",
                50,
                "flag.d.rules[0].serve is one variant, and several are to have a share: a split \
                 belongs there",
            ),
            (
                "flag:f",
                100,
                "flag.f.default_variant is not there; it is to be \"on\"",
            ),
        ] {
            assert_eq!(edited(flag, on).unwrap_err(), why, "{flag}");
        }
    }
}
