//! The last good configuration: the texts of one that was obeyed, kept so that a start need not wait for
//! a file to be mended.
//!
//! The texts are kept as they are written: what they take from the environment and from other files
//! (certificates, keys, secrets, pages) is not in them, and is read anew.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use crate::config::disk;
use crate::config::include::MAX_FILE;
use crate::config::load::{self, Loaded};
use crate::config::locate::Texts;
use crate::config::problem::Problems;
use crate::config::releases::FOLDER;
use crate::store::instant;

/// The texts of a configuration that was obeyed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LastGood {
    /// When it was applied.
    #[serde(with = "instant::rfc3339")]
    pub at: SystemTime,
    /// The files in the order in which they were read, the first one first; beside that one, the paths
    /// are relative to its folder.
    files: Vec<(PathBuf, String)>,
}

impl LastGood {
    /// Keeps the texts of the file `path` and of all that it includes.
    pub fn new(texts: Texts, path: &Path, at: SystemTime) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = texts.into_texts().into_iter().map(|(file, text)| {
            let relative = file.strip_prefix(folder).map(Path::to_path_buf);
            (relative.unwrap_or(file), text)
        });
        Self {
            at,
            files: files.collect(),
        }
    }

    /// Loads it once more, as if the texts stood in the file `path` and beside it.
    ///
    /// # Errors
    /// All that is wrong with it: what it names may be there no more.
    pub fn load(&self, path: &Path) -> Result<Loaded, Problems> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let texts = self.files.iter().enumerate().map(|(n, (file, text))| {
            let file = if n == 0 {
                path.to_path_buf()
            } else {
                folder.join(file)
            };
            (file, text.clone())
        });
        let loaded = load::again(texts.collect(), path)?;
        Ok(Loaded {
            // Whatever the files hold, they are not what is obeyed.
            files_sha256: [0; 32],
            ..loaded
        })
    }
}

/// The folder of the store that a file names, which may be refused as a whole; where it names none, or
/// another file that it includes does, the usual one.
pub fn store_folder(path: &Path) -> PathBuf {
    let text = disk::read(path, MAX_FILE).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let named = named_folder(&text);
    let beside = path.parent().unwrap_or(Path::new(""));
    beside.join(named.as_deref().unwrap_or(FOLDER))
}

fn named_folder(text: &str) -> Option<String> {
    let (table, _) = DeTable::parse_recoverable(text);
    let DeValue::Table(store) = table.get_ref().get("store")?.get_ref() else {
        return None;
    };
    match store.get("path")?.get_ref() {
        DeValue::String(path) => Some(path.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use crate::config::{LastGood, load, store_folder};

    const ROOT: &str = r#"
include = ["conf.d/*.toml"]
[admin]
address = "127.0.0.1:0"
[listener.http]
address = "127.0.0.1:0"
[store]
path = "kept"
"#;
    const PART: &str = r#"
[upstream.web]
endpoints = ["127.0.0.1:9"]
[route.web]
upstream = "web"
[[route.web.error_page]]
"#;

    fn write(folder: &Path, part: &str) {
        fs::create_dir_all(folder.join("conf.d")).unwrap();
        fs::write(folder.join("tidegate.toml"), ROOT).unwrap();
        fs::write(folder.join("conf.d/web.toml"), part).unwrap();
    }

    #[test]
    fn what_was_read_is_read_again_whatever_the_files_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidegate.toml");
        let part = PART.replace("[[route.web.error_page]]\n", "");
        write(folder.path(), &part);
        let before = load(&path).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        let kept = LastGood::new(before.texts, &path, at);
        let kept = serde_json::to_value(&kept).unwrap();
        write(folder.path(), PART);
        assert!(load(&path).is_err());
        let kept: LastGood = serde_json::from_value(kept).unwrap();
        let again = kept.load(&path).unwrap();
        assert_eq!(kept.at, at);
        assert_eq!(again.sha256, before.sha256);
        assert_ne!(again.files_sha256, before.files_sha256);
        assert!(again.sources.has(&folder.path().join("conf.d/web.toml")));
        let upstream = &again.config.upstreams["web"];
        assert_eq!(upstream.endpoints, before.config.upstreams["web"].endpoints);
        // Relative paths are those of where it is now.
        fs::create_dir(folder.path().join("moved")).unwrap();
        let moved = folder.path().join("moved/other.toml");
        let store = kept.load(&moved).unwrap().config.releases.store;
        assert_eq!(store.path, folder.path().join("moved/kept"));
    }

    #[test]
    fn the_folder_of_the_store_is_found_in_a_file_that_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        for (text, expected) in [
            (
                "[store]\npath = \"kept\"\n[route.x]\nnonsense = 1\n",
                "kept",
            ),
            ("[store]\npath = \"/var/kept\"\n[route", "/var/kept"),
            ("[store]\n", "state"),
            ("store = 1\n", "state"),
            ("", "state"),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(store_folder(&path), folder.path().join(expected), "{text}");
        }
        let none = folder.path().join("none.toml");
        assert_eq!(store_folder(&none), folder.path().join("state"));
    }
}
