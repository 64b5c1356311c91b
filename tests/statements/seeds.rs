//! The seeds: inputs that the tests beside the code and in `tests/it` have as their cases.
//!
//! A file for each statement, a line for each input, with `\r`, `\n`, `\t`, `\\` and `\x00` as both
//! this and `printf %b` of a shell read them: `fuzz/run` makes the files of a corpus out of them.

use std::fs;
use std::path::Path;

use crate::statement;

/// The inputs of a statement.
pub(crate) fn of(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/statements/seeds");
    let path = folder.join(name).with_extension("txt");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut seeds: Vec<Vec<u8>> = text.lines().map(unescaped).collect();
    if name == "config" {
        seeds.extend(examples());
    }
    seeds
}

/// The examples of configuration.
fn examples() -> impl Iterator<Item = Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files = fs::read_dir(folder).expect("a folder");
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .map(|path| fs::read(path).expect("an example"))
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let [kind, tail @ ..] = rest else {
            panic!("nothing is escaped at the end of {line}");
        };
        rest = tail;
        bytes.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let (digits, tail) = rest.split_at(2);
                rest = tail;
                let digits = str::from_utf8(digits).expect("two digits");
                u8::from_str_radix(digits, 16).expect("two digits")
            }
            _ => panic!("an escape that not everybody knows, in {line}"),
        });
    }
    bytes
}

#[test]
fn every_statement_has_seeds_and_holds_for_each() {
    for (name, statement) in statement::ALL {
        let seeds = of(name);
        assert!(seeds.len() > 4, "{name} has hardly any seeds");
        seeds.iter().for_each(|seed| statement(seed));
    }
}

#[test]
fn every_statement_has_a_target_and_every_target_a_statement() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    let declared = manifest.split("[[bin]]").skip(1).map(|bin| {
        let name = bin.split('"').nth(1).expect("a name");
        assert!(
            bin.contains(&format!("\"fuzz_targets/{name}.rs\"")),
            "{name}"
        );
        let target = fuzz.join("fuzz_targets").join(name).with_extension("rs");
        let target = fs::read_to_string(target).expect("a target");
        assert!(
            target.contains(&format!("holds(\"{name}\", bytes)")),
            "{name}"
        );
        name
    });
    assert!(declared.eq(statement::ALL.map(|(name, _)| name)));
}

#[test]
fn an_escape_is_a_byte() {
    assert_eq!(unescaped(r"a\r\n\t\\\x00\xff0"), b"a\r\n\t\\\0\xff0");
}
