//! The test vectors: what any other implementation has to agree with, kept in
//! `tests/vectors/split.json`.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value, json};

use crate::split::hash::{KeyHash, NameHash};
use crate::split::tests::{noise, spec};
use crate::split::{ClientKey, Identity, Split, SplitSpec, ln};

const FILE: &str = include_str!("../../tests/vectors/split.json");

const ABOUT: &str = "hash = mix(xxh3_64(key; seed = xxh3_64(salt)) xor xxh3_64(name)), where mix is the finalizer of SplitMix64; u = ((hash >> 11) + 0.5) / 2^53; \
the variant with the greatest weight / -ln u is chosen. Hashes are hexadecimal; ln lists the bits of u and of ln u as f64.";

const SPLITS: [(&str, &str); 6] = [
    ("shop", "stable=95 canary=5"),
    ("shop", "stable=50 canary=50"),
    ("checkout", "blue=100 green=0"),
    ("", "a=1 b=1 c=1"),
    ("search é", "v1=800000 v2=150000 v3=49999 v4=1"),
    ("blog", "a=7 b=6 c=5 d=4 e=3 f=2 g=1 h=0"),
];

fn keys() -> Vec<String> {
    let mut keys: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    keys.extend((0..10).map(|n| format!("user-{n:05}@example.com")));
    keys.extend((0..10).map(|n| {
        let identity = Identity::from_bits(u128::from(noise(n)) << 64 | u128::from(noise(n + 100)));
        String::from_utf8_lossy(identity.as_bytes()).into_owned()
    }));
    keys.extend(["192.0.2.1", "203.0.113.254", "2001:db8:1:2::", "::"].map(str::to_owned));
    keys.extend(["", " ", "é", "用户"].map(str::to_owned));
    // Around the lengths at which XXH3 changes its way of hashing, and past our own buffer.
    keys.extend([1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 255, 256, 1025].map(|n| "k".repeat(n)));
    keys
}

/// Everything, one line for each key, so that a change of the file can be read.
fn render() -> String {
    let mut out = format!("{{\n\"about\": {},\n\"client_keys\": [\n", json!(ABOUT));
    let addresses = [
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "2001:db8:1:2:3:4:5:6",
        "2001:0:0:1::1",
        "::1",
    ];
    lines(
        &mut out,
        addresses.iter().map(|address| {
            let client = ClientKey::new(address.parse().unwrap());
            json!({"address": address, "key": String::from_utf8_lossy(client.as_bytes())})
        }),
    );
    out.push_str("],\n\"ln\": [\n");
    let hashes = (0..40)
        .map(noise)
        .chain([0, 1 << 11, 1 << 62, 1 << 63, u64::MAX - (1 << 13)]);
    lines(
        &mut out,
        hashes.map(|hash| {
            let u = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            json!([
                format!("{:016x}", u.to_bits()),
                format!("{:016x}", ln(u).to_bits())
            ])
        }),
    );
    out.push_str("],\n\"splits\": [\n");
    for (n, (salt, variants)) in SPLITS.iter().enumerate() {
        let split = Split::new(SplitSpec {
            salt: (*salt).to_owned(),
            ..spec(variants)
        })
        .unwrap();
        let weights: Map<String, Value> = split
            .variants()
            .iter()
            .map(|variant| (variant.name.clone(), json!(variant.weight)))
            .collect();
        let seed = format!("{:016x}", split.seed);
        let start = if n == 0 { "" } else { ",\n" };
        let (salt, seed, weights) = (json!(salt), json!(seed), json!(weights));
        writeln!(
            out,
            "{start}{{\"salt\": {salt}, \"seed\": {seed}, \"weights\": {weights}, \"keys\": ["
        )
        .unwrap();
        lines(
            &mut out,
            keys().iter().map(|key| {
                let hash = KeyHash::new(split.seed, key.as_bytes());
                let hashes: Vec<_> = split
                    .variants()
                    .iter()
                    .map(|variant| format!("{:016x}", hash.of(NameHash::new(&variant.name))))
                    .collect();
                let chosen = &split.variants()[split.explain(None, key.as_bytes()).chosen].name;
                json!({"key": key, "hashes": hashes, "chosen": chosen})
            }),
        );
        out.push_str("]}");
    }
    out.push_str("\n]\n}\n");
    out
}

fn lines(out: &mut String, values: impl Iterator<Item = Value>) {
    let lines: Vec<_> = values.map(|value| value.to_string()).collect();
    out.push_str(&lines.join(",\n"));
    out.push('\n');
}

/// Set, it has the vectors written anew: only for more of them, as published ones never change.
const WRITE: &str = "TIDEGATE_WRITE_VECTORS";

#[test]
fn the_test_vectors_hold() {
    if std::env::var_os(WRITE).is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/split.json");
        fs::write(path, render()).unwrap();
        return;
    }
    assert!(
        FILE == render(),
        "a user would get another variant than before"
    );
    let read: Value = serde_json::from_str(FILE).unwrap();
    assert_eq!(read["splits"].as_array().unwrap().len(), SPLITS.len());
}

#[test]
fn the_readme_shows_vectors_that_hold() {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let known = file["splits"][0]["keys"].as_array().unwrap();
    let shown: Vec<Vec<&str>> = include_str!("../../README.md")
        .lines()
        .skip_while(|line| !line.starts_with("| key | hash of stable |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect()
        })
        .collect();
    assert_eq!(shown.len(), 4);
    for cells in shown {
        let row = json!({"key": cells[1], "hashes": [cells[2], cells[3]], "chosen": cells[4]});
        assert!(known.contains(&row), "{row}");
    }
}
