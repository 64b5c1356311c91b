//! `tidegate flag references`: where the files of a directory name flags.
//!
//! What is fetched, built or kept by tools is not looked at, nor what is larger than any source.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde::Serialize;

use crate::admin::wire::Flags;
use crate::cli::block_on;
use crate::cli::client::{Client, Instance};
use crate::cli::output::{Failure, json, table};
use crate::config;
use crate::flag;

/// Folders that hold no source of the repository's own.
const SKIPPED: [&str; 4] = [".git", ".hg", "node_modules", "target"];

/// The largest file that is looked at: sources are smaller, and what is not takes long.
const MAX_BYTES: u64 = 1 << 20;

/// Characters of a line that are shown.
const MOST_SHOWN: usize = 120;

/// List where files name flags.
#[derive(Args, Debug)]
pub(in crate::cli::flag) struct References {
    /// The directory.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Look for this flag, whether it is there or gone; may be given several times. All that there
    /// are, where none is named.
    #[arg(long = "flag", value_name = "NAME")]
    flags: Vec<String>,
    /// Take the names of this configuration file instead of a running instance.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Exit with 1 when a flag is named anywhere.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    instance: Instance,
    /// Print JSON.
    #[arg(long)]
    pub(in crate::cli::flag) json: bool,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Found {
    references: Vec<Reference>,
    /// Flags that no file names.
    unreferenced: Vec<String>,
    /// How many files were looked at.
    n_files: usize,
}

/// A place that names a flag.
#[derive(Debug, Serialize)]
struct Reference {
    flag: String,
    file: PathBuf,
    line: usize,
    column: usize,
    text: String,
}

impl References {
    pub(in crate::cli::flag) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let names = self.names()?;
        let found = search(&self.dir, &names)?;
        if self.json {
            json(out, &found)?;
        } else {
            print(out, &found)?;
        }
        if self.exit_code && !found.references.is_empty() {
            return Err(Failure::Negative);
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, Failure> {
        if !self.flags.is_empty() {
            let names: BTreeSet<&String> = self.flags.iter().collect();
            return Ok(names.into_iter().cloned().collect());
        }
        if let Some(file) = &self.config {
            let loaded = config::load(file);
            let loaded = loaded.map_err(|problems| Failure::of_file(file, &problems))?;
            return Ok(loaded.config.flags.specs.into_keys().collect());
        }
        let client = Client::new(&self.instance)?;
        let flags: Flags = block_on(client.get("/api/v1/flags"))?.value()?;
        Ok(flags.flags.into_iter().map(|flag| flag.name).collect())
    }
}

fn search(dir: &Path, names: &[String]) -> Result<Found, Failure> {
    let looked_for = flag::References::new(names.iter().map(String::as_str));
    let mut found = Found::default();
    let mut is_named = vec![false; names.len()];
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::Refused(format!("{}: {error}", dir.join(&folder).display()))
        };
        let entries = fs::read_dir(dir.join(&folder)).map_err(|error| cannot(&error))?;
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| cannot(&error))?;
            // What a link leads to is looked at where it is, or is none of the directory's.
            let kind = entry.file_type().map_err(|error| cannot(&error))?;
            let (name, path) = (entry.file_name(), folder.join(entry.file_name()));
            if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
                folders.push(path);
            } else if kind.is_file() && entry.metadata().is_ok_and(|it| it.len() <= MAX_BYTES) {
                files.push(path);
            }
        }
        for file in files {
            // What may not be read, or has just gone, names nothing.
            let Ok(text) = fs::read(dir.join(&file)) else {
                continue;
            };
            found.n_files += 1;
            for place in looked_for.find(&text) {
                is_named[place.name] = true;
                let text = String::from_utf8_lossy(place.text);
                found.references.push(Reference {
                    flag: names[place.name].clone(),
                    file: file.clone(),
                    line: place.line,
                    column: place.column,
                    text: text.trim().chars().take(MOST_SHOWN).collect(),
                });
            }
        }
    }
    let place = |it: &Reference| (it.flag.clone(), it.file.clone(), it.line, it.column);
    found.references.sort_by_cached_key(place);
    let unnamed = names.iter().zip(is_named).filter(|(_, is_named)| !is_named);
    found.unreferenced = unnamed.map(|(name, _)| name.clone()).collect();
    Ok(found)
}

fn print(out: &mut dyn Write, found: &Found) -> Result<(), Failure> {
    if !found.references.is_empty() {
        let rows = found.references.iter().map(|place| {
            let at = format!("{}:{}:{}", place.file.display(), place.line, place.column);
            vec![place.flag.clone(), at, place.text.clone()]
        });
        table(
            out,
            &["FLAG", "WHERE", "LINE"],
            &[],
            &rows.collect::<Vec<_>>(),
        )?;
        writeln!(out)?;
    }
    let n_files = found.n_files;
    match found.unreferenced.as_slice() {
        [] => writeln!(out, "{n_files} files looked at")?,
        names => writeln!(
            out,
            "{n_files} files looked at; none names {}",
            names.join(", ")
        )?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use crate::cli::flag::references::{print, search};

    #[test]
    fn sources_are_looked_at_and_what_tools_keep_is_not() {
        let dir = TempDir::new().unwrap();
        let write = |path: &str, text: &[u8]| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("src/cart.ts", b"a\n  if (is('new-cart')) {\n");
        write(
            "src/deep/er/b.py",
            b"flag(\"new-cart\")  # not new-cart-2\n",
        );
        write("node_modules/x/a.js", b"'new-cart'");
        write("target/debug/a", b"'new-cart'");
        write(".git/packed", b"'new-cart'");
        write("image.png", b"\0\0'new-cart'");
        write("huge.txt", &b"'new-cart'\n".repeat(200_000));
        let names = ["new-cart".to_owned(), "old-cart".to_owned()];
        let found = search(dir.path(), &names).unwrap();
        let places: Vec<String> = found
            .references
            .iter()
            .map(|it| {
                format!(
                    "{} {}:{}:{}",
                    it.flag,
                    it.file.display(),
                    it.line,
                    it.column
                )
            })
            .collect();
        assert_eq!(
            places,
            ["new-cart src/cart.ts:2:11", "new-cart src/deep/er/b.py:1:7"]
        );
        assert_eq!(found.references[0].text, "if (is('new-cart')) {");
        assert_eq!(found.unreferenced, ["old-cart"]);
        let mut out = Vec::new();
        print(&mut out, &found).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.ends_with("\n3 files looked at; none names old-cart\n"),
            "{text}"
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let refused = search("/nowhere/at/all".as_ref(), &[]);
        assert!(refused.is_err());
    }
}
