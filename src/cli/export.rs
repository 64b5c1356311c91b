//! `tidegate export`: the file as it would have to be for what runs to be what it says: the commit that
//! follows a release.
//!
//! The program never writes the file: it prints it, or what to change as a patch.

mod flag;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use clap::Args;
use toml::de::{DeTable, DeValue};

use crate::admin::wire::{Drift, RouteDrift};
use crate::cli::client::{Client, Instance};
use crate::cli::output::{Failure, json};
use crate::cli::{NamedFile, block_on};
use crate::release::spec::FLAG;

/// Lines of a patch around what changes.
const CONTEXT: usize = 3;

/// Print the file with the weights that are obeyed.
#[derive(Args, Debug)]
#[command(after_help = "\
Weights that a release is moving, and those that were set for a while, are left as they are. To apply:
tidegate export --patch tidegate.toml | patch -p1")]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    file: NamedFile,
    /// Print what changes, as a unified diff; nothing where nothing does.
    #[arg(long)]
    patch: bool,
    #[command(flatten)]
    instance: Instance,
    /// Print JSON: the file, the routes and releases that change, and the text that was asked for.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Export {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let path = self.file.path()?;
        let refused = |why: String| Failure::Refused(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
        let client = Client::new(&self.instance)?;
        let drift: Drift = block_on(client.get("/api/v1/drift"))?.value()?;
        let wished: BTreeMap<&str, BTreeMap<String, u32>> = drift
            .routes
            .iter()
            .filter(|(_, drift)| is_lasting(drift))
            .map(|(name, drift)| (name.as_str(), simplified(&drift.weights)))
            .collect();
        let edited = edited(&text, &wished, &drift.stable).map_err(refused)?;
        let shown = if self.patch {
            patch(&path, &text, &edited)
        } else {
            edited
        };
        if self.json {
            let routes: Vec<_> = wished.keys().collect();
            let releases: Vec<_> = drift.stable.keys().collect();
            let answer = serde_json::json!({
                "file": path, "routes": routes, "releases": releases, "text": shown,
            });
            return json(out, &answer);
        }
        write!(out, "{shown}")?;
        Ok(())
    }
}

/// Whether it is to stay.
fn is_lasting(drift: &RouteDrift) -> bool {
    drift.cause != "release" && drift.expires_at.is_none()
}

/// Weights of the same shares that add up to 100, if there are any in whole numbers; else in the least
/// whole numbers.
fn simplified(weights: &BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    let sum: u64 = weights.values().copied().map(u64::from).sum();
    if sum == 0 {
        return weights.clone();
    }
    let is_whole = |weight: &u32| (u64::from(*weight) * 100).is_multiple_of(sum);
    let simple = |weight: u32| {
        if weights.values().all(is_whole) {
            u64::from(weight) * 100 / sum
        } else {
            let divisor = weights
                .values()
                .fold(0, |divisor, &other| gcd(divisor, other));
            u64::from(weight / divisor.max(1))
        }
    };
    let simplified = weights.iter().map(|(name, &weight)| {
        let weight = u32::try_from(simple(weight)).unwrap_or(weight);
        (name.clone(), weight)
    });
    simplified.collect()
}

fn gcd(one: u32, other: u32) -> u32 {
    if other == 0 {
        one
    } else {
        gcd(other, one % other)
    }
}

/// Replaces the weights of routes and flags and the stable variants of releases, and leaves everything
/// else as it is.
fn edited(
    text: &str,
    weights: &BTreeMap<&str, BTreeMap<String, u32>>,
    stable: &BTreeMap<String, String>,
) -> Result<String, String> {
    let root = DeTable::parse(text).map_err(|error| error.to_string())?;
    let place = |keys: &[&str]| {
        let place = find(root.get_ref(), keys);
        place.ok_or_else(|| format!("has no {}: is it in another file?", keys.join(".")))
    };
    let mut edits = Vec::new();
    for (route, weights) in weights {
        if let Some(flag) = route.strip_prefix(FLAG) {
            edits.extend(flag::edits(root.get_ref(), flag, weights)?);
            continue;
        }
        for (variant, weight) in weights {
            let place = place(&["route", route, "split", variant, "weight"])?;
            edits.push((place, weight.to_string()));
        }
    }
    for (release, variant) in stable {
        let place = place(&["release", release, "stable"])?;
        // A text of JSON is one of TOML.
        edits.push((place, serde_json::json!(variant).to_string()));
    }
    edits.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut edited = text.to_owned();
    for (place, value) in edits {
        edited.replace_range(place, &value);
    }
    Ok(edited)
}

/// Where a value stands, by its keys.
fn find(table: &DeTable<'_>, keys: &[&str]) -> Option<Range<usize>> {
    let (key, rest) = keys.split_first()?;
    let (_, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    match value.get_ref() {
        DeValue::Table(table) => find(table, rest),
        _ => rest.is_empty().then(|| value.span()),
    }
}

/// What changes, as a unified diff of texts with the same number of lines.
fn patch(path: &Path, before: &str, after: &str) -> String {
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let changed = (0..old.len()).filter(|&n| old[n] != new[n]);
    let mut hunks: Vec<Range<usize>> = Vec::new();
    for n in changed {
        let around = n.saturating_sub(CONTEXT)..(n + CONTEXT + 1).min(old.len());
        match hunks.last_mut() {
            Some(last) if around.start <= last.end => last.end = around.end,
            _ => hunks.push(around),
        }
    }
    if hunks.is_empty() {
        return String::new();
    }
    let name = path.display().to_string();
    let name = name.trim_start_matches("./").trim_start_matches('/');
    let mut text = format!("--- a/{name}\n+++ b/{name}\n");
    for hunk in hunks {
        let (first, lines) = (hunk.start + 1, hunk.len());
        // Writing to a string cannot fail.
        let _written = writeln!(text, "@@ -{first},{lines} +{first},{lines} @@");
        let mut n = hunk.start;
        while n < hunk.end {
            if old[n] == new[n] {
                put(&mut text, ' ', old[n]);
                n += 1;
                continue;
            }
            let changes = (n..hunk.end).take_while(|&n| old[n] != new[n]).count();
            old[n..n + changes]
                .iter()
                .for_each(|line| put(&mut text, '-', line));
            new[n..n + changes]
                .iter()
                .for_each(|line| put(&mut text, '+', line));
            n += changes;
        }
    }
    text
}

fn put(text: &mut String, mark: char, line: &str) {
    text.push(mark);
    text.push_str(line);
    if !line.ends_with('\n') {
        text.push_str("\n\\ No newline at end of file\n");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use crate::cli::export::{edited, patch, simplified};

    const TEXT: &str = "\
# weight = 1 is no weight here
[route.shop]
match = { path = \"/\" }
[route.shop.split]
stable = { upstream = \"v1\", weight = 95 } # as ever
[route.shop.split.canary]
upstream = \"v2\"
weight = 5
[route.other.split]
stable = { upstream = \"v1\", weight = 5 }";

    fn weights(weights: [(&str, u32); 2]) -> BTreeMap<String, u32> {
        weights
            .map(|(name, weight)| (name.to_owned(), weight))
            .into()
    }

    #[test]
    fn weights_are_as_simple_as_they_can_be() {
        for (given, expected) in [
            ([0, 10_000], [0, 100]),
            ([9_975, 25], [399, 1]),
            ([3, 1], [75, 25]),
        ] {
            let [a, b] = given;
            let [c, d] = expected;
            let simple = simplified(&weights([("a", a), ("b", b)]));
            assert_eq!(simple, weights([("a", c), ("b", d)]));
        }
    }

    #[test]
    fn weights_are_changed_however_they_are_written_and_nothing_else_is() {
        let shop = weights([("stable", 0), ("canary", 100)]);
        let edited = edited(TEXT, &BTreeMap::from([("shop", shop)]), &BTreeMap::new()).unwrap();
        let expected = TEXT
            .replace("weight = 95", "weight = 0")
            .replace("weight = 5\n", "weight = 100\n");
        assert_eq!(edited, expected);
        let diff = patch(Path::new("./t.toml"), TEXT, &edited);
        let expected = "\
--- a/t.toml
+++ b/t.toml
@@ -2,9 +2,9 @@
 [route.shop]
 match = { path = \"/\" }
 [route.shop.split]
-stable = { upstream = \"v1\", weight = 95 } # as ever
+stable = { upstream = \"v1\", weight = 0 } # as ever
 [route.shop.split.canary]
 upstream = \"v2\"
-weight = 5
+weight = 100
 [route.other.split]
 stable = { upstream = \"v1\", weight = 5 }
\\ No newline at end of file
";
        assert_eq!(diff, expected);
        assert_eq!(patch(Path::new("t.toml"), TEXT, TEXT), "");
    }

    #[test]
    fn a_release_that_waits_begins_with_what_serves_by_then() {
        let text = "[release]\n\"shop-2.1\" = { stable = 'v1', candidate = \"v3\" } # next\n";
        let stable = BTreeMap::from([("shop-2.1".to_owned(), "v2".to_owned())]);
        let edited = edited(text, &BTreeMap::new(), &stable).unwrap();
        assert_eq!(edited, text.replace("'v1'", "\"v2\""));
    }

    #[test]
    fn a_route_that_is_not_in_the_file_is_told_of() {
        let there = weights([("stable", 0), ("canary", 1)]);
        let there = BTreeMap::from([("api", there)]);
        let error = edited(TEXT, &there, &BTreeMap::new()).unwrap_err();
        assert!(error.contains("route.api.split.canary.weight"), "{error}");
    }
}
