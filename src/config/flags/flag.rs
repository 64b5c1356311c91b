//! Reads `[flag.NAME]`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::config::flags::inject::{self, Told};
use crate::config::flags::known::KnownFlags;
use crate::config::flags::{rule, variant};
use crate::config::moment::moment;
use crate::config::reader::{Table, Value};
use crate::config::releases::word;
use crate::config::route::RouteConfig;
use crate::config::segment::Segments;
use crate::flag::{FlagSpec, Prerequisite, Serve};

/// The longest owner, and the longest tag, in characters.
const MAX_WORD: usize = 64;

/// The longest description, in bytes: it stands in lists.
const MAX_DESCRIPTION: usize = 4 << 10;

/// How many tags a flag may have.
const MAX_TAGS: usize = 32;

/// How many flags one may hang on: each is evaluated first.
const MAX_PREREQUISITES: usize = 32;

/// What belongs where prerequisites are.
const PREREQUISITES: &str =
    "a list of flags such as [{ flag = \"payments-v5\", variant = \"on\" }]";

/// The name that no flag may have: `/api/v1/flags/stale` is something else.
const RESERVED: &str = "stale";

/// What flags may name, and what time it is.
pub(in crate::config::flags) struct Around<'a, 'd> {
    /// The flags.
    pub(in crate::config::flags) flags: &'a KnownFlags<'d>,
    /// The segments.
    pub(in crate::config::flags) segments: &'a Segments<'d>,
    /// The routes without problems.
    pub(in crate::config::flags) routes: &'a BTreeMap<String, RouteConfig>,
    /// The names of all routes.
    pub(in crate::config::flags) route_names: &'a BTreeSet<&'d str>,
    /// The field with the id of each request, if they have one.
    pub(in crate::config::flags) request_id: Option<&'a str>,
    /// What time it is, for warnings alone.
    pub(in crate::config::flags) now: SystemTime,
}

/// Reads one flag; `None` when a problem was recorded. What it tells upstreams is noted in `told`.
pub(in crate::config::flags) fn read<'d>(
    name: &'d str,
    value: &Value<'d>,
    around: &Around<'_, 'd>,
    told: &mut Told<'d>,
) -> Option<FlagSpec> {
    if name == RESERVED {
        value.refuse_key("is what the API calls the list of flags that should be gone");
        return None;
    }
    value.table(|table| flag(name, table, around, told))?
}

fn flag<'d>(
    name: &'d str,
    table: &mut Table<'d>,
    around: &Around<'_, 'd>,
    told: &mut Told<'d>,
) -> Option<FlagSpec> {
    let kind = variant::kind(table);
    let description = table.maybe("description", description);
    let owner = table.maybe("owner", |value| word(value, MAX_WORD));
    let tags = table.maybe("tags", tags);
    let created = table.maybe("created", moment);
    let mut permanent = false;
    table.set("permanent", &mut permanent, Value::boolean);
    let expires = table.maybe("expires", |value| {
        let at = moment(value)?;
        if permanent {
            value.warn_key("has no effect on a flag that is permanent");
        } else if at <= around.now {
            value.warn("is over: the flag was to be gone by then");
        }
        Some(at)
    });
    let (mut enabled, mut kill_switch, mut client_visible) = (true, true, false);
    for (key, target) in [
        ("enabled", &mut enabled),
        ("kill_switch", &mut kill_switch),
        ("client_visible", &mut client_visible),
    ] {
        table.set(key, target, Value::boolean);
    }
    let variants = variant::all(table, kind);
    let salt = table.maybe("salt", salt);
    let prerequisites = table.maybe("prerequisites", |value| prerequisites(value, around.flags));
    let values = variants.as_ref().map(|variants| &variants.values);
    let rules = table.maybe("rules", |value| rule::all(value, values, around.segments));
    let inject = table.maybe("inject", |value| inject::read(name, value, around, told));
    let variants = variants?;
    Some(FlagSpec {
        kind: kind?,
        description: description?,
        owner: owner?,
        tags: tags?.unwrap_or_default(),
        created: created?,
        expires: expires?,
        permanent,
        enabled,
        kill_switch,
        client_visible,
        variants: variants.values,
        off_variant: variants.off,
        default: Serve::Variant(variants.default),
        prerequisites: prerequisites?.unwrap_or_default(),
        rules: rules?.unwrap_or_default(),
        salt: salt?,
        inject: inject?,
    })
}

fn description(value: &Value<'_>) -> Option<String> {
    let text = value.parsed("a text", |text| (!text.trim().is_empty()).then_some(text))?;
    if MAX_DESCRIPTION < text.len() {
        value.refuse("is larger than 4KiB");
        return None;
    }
    Some(text.to_owned())
}

fn tags(value: &Value<'_>) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let tags = value.list("a list of words such as [\"checkout\"]", |value| {
        let tag = word(value, MAX_WORD)?;
        if !seen.insert(tag.clone()) {
            value.refuse(format!("{} stands there twice", value.shown()));
            return None;
        }
        Some(tag)
    })?;
    if MAX_TAGS < tags.len() {
        value.refuse(format!("are more than {MAX_TAGS}"));
        return None;
    }
    Some(tags)
}

/// Reads what takes the place of a name in hashing.
pub(in crate::config::flags) fn salt(value: &Value<'_>) -> Option<String> {
    let text = value.parsed("a text", |text| (!text.is_empty()).then_some(text))?;
    Some(text.to_owned())
}

fn prerequisites<'d>(value: &Value<'d>, flags: &KnownFlags<'d>) -> Option<Vec<Prerequisite>> {
    let prerequisites = value.list(PREREQUISITES, |value| {
        value.table(|table| {
            let flag = table.required("flag", "the name of a flag");
            let flag = flag.and_then(|value| flags.named(&value));
            let variant = table.required("variant", "the name of a variant of that flag");
            let variant = variant.and_then(|value| {
                let name = value.parsed("the name of a variant", Some)?;
                flags.check_variant(flag?, &value, name)?;
                Some(name.to_owned())
            });
            Some(Prerequisite {
                flag: flag?.to_owned(),
                variant: variant?,
            })
        })?
    })?;
    if MAX_PREREQUISITES < prerequisites.len() {
        value.refuse(format!("are more than {MAX_PREREQUISITES}"));
        return None;
    }
    Some(prerequisites)
}
