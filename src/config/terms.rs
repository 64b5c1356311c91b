//! Reads what TLS handshakes may agree on: `min_version`, `cipher_suites` and `key_exchange`.

use crate::config::near;
use crate::config::reader::{Table, Value};
use crate::tls::{Group, Suite, Terms, Version};

/// What belongs where cipher suites are listed.
const SUITES: &str = "a list of cipher suites such as [\"TLS_AES_128_GCM_SHA256\"]";
/// What belongs where groups are listed.
const GROUPS: &str = "a list of groups such as [\"X25519MLKEM768\", \"X25519\"]";

/// Reads the keys of a table; `None` when a problem was recorded.
pub(crate) fn read(table: &mut Table<'_>) -> Option<Terms> {
    let mut terms = Terms::default();
    table.set("min_version", &mut terms.min_version, |value| {
        value.choice(&Version::ALL.map(|version| (version.name(), version)))
    });
    let suites = table.optional("cipher_suites");
    let groups = table.optional("key_exchange");
    if let Some(value) = &suites {
        terms.suites = Some(list(value, SUITES, |value| {
            suite(value, terms.min_version)
        })?);
    }
    if let Some(value) = &groups {
        terms.groups = Some(list(value, GROUPS, group)?);
    }
    let mut is_spoken = false;
    for version in Version::ALL {
        if version < terms.min_version {
            continue;
        }
        if !terms.has_suite(version) {
            warn(suites.as_ref(), "suite", version);
        }
        if !terms.has_group(version) {
            warn(groups.as_ref(), "group", version);
        }
        is_spoken |= terms.allow(version);
    }
    if let Some(groups) = groups
        && !is_spoken
    {
        groups.refuse("goes with none of cipher_suites: no version of TLS could be spoken");
        return None;
    }
    Some(terms)
}

fn warn(list: Option<&Value<'_>>, what: &str, version: Version) {
    if let Some(list) = list {
        list.warn(format!(
            "has no {what} of TLS {}, which is not spoken then",
            version.name()
        ));
    }
}

/// Reads a list of at least one thing, and none twice.
fn list<'d, T: PartialEq + Copy>(
    value: &Value<'d>,
    what: &str,
    mut read: impl FnMut(&Value<'d>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut seen = Vec::new();
    value.list(what, |value| {
        let thing = read(value)?;
        if seen.contains(&thing) {
            value.refuse(format!("{} is named twice", value.shown()));
            return None;
        }
        seen.push(thing);
        Some(())
    })?;
    if seen.is_empty() {
        value.refuse(format!("empty; {what} belongs here"));
        return None;
    }
    Some(seen)
}

fn suite(value: &Value<'_>, min_version: Version) -> Option<Suite> {
    value.may_be(|| Suite::all().map(Suite::name));
    // Other spellings of the same.
    value.looks_like(|| "[A-Za-z0-9_]+");
    let name = value.string()?;
    let Some(suite) = Suite::named(name) else {
        unknown(value, "a cipher suite", name, Suite::all().map(Suite::name));
        return None;
    };
    if suite.version() < min_version {
        value.refuse(format!(
            "is of TLS {} and has no effect with min_version = \"{}\"",
            suite.version().name(),
            min_version.name()
        ));
        return None;
    }
    Some(suite)
}

fn group(value: &Value<'_>) -> Option<Group> {
    value.may_be(|| Group::all().map(Group::name));
    value.looks_like(|| "[A-Za-z0-9_]+");
    let name = value.string()?;
    let group = Group::named(name);
    if group.is_none() {
        unknown(value, "a group", name, Group::all().map(Group::name));
    }
    group
}

/// Records that a name is none of those that are known, all of which are told.
fn unknown(value: &Value<'_>, what: &str, name: &str, known: impl Iterator<Item = String>) {
    let known: Vec<String> = known.collect();
    let hint = near::hint(name, known.iter().map(String::as_str));
    value.is_not(&format!(
        "{what} that is spoken{hint} (known here: {})",
        known.join(", ")
    ));
}
