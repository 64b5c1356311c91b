//! Paths with wildcards: `conf.d/*.toml`.
//!
//! `*` stands for any characters of a name and `?` for one; neither for a `/`, nor for the dot that
//! a name begins with. So `*` passes over what editors hide.
//!
//! A volume of Kubernetes shows its files by links into the folder that its link `..data` leads to.
//! That one is swapped, and then the links are made and removed one by one: so what it leads to
//! tells which files there are, and not the links.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The most names that a step of a pattern may match: as many as there may be files.
const MAX_MATCHES: usize = 10_000;

/// The link in a volume of Kubernetes to the folder with all of its files.
pub(crate) const VOLUME: &str = "..data";

/// A path with wildcards, at least one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Pattern {
    /// The folder in which it begins; no character in its path is a wildcard.
    folder: PathBuf,
    steps: Vec<Step>,
}

/// A step of a pattern.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Step {
    /// To the one of this name.
    Name(String),
    /// To each that matches.
    Wild(Wild),
}

/// A name with wildcards.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Wild(String);

/// What a path with or without wildcards leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// To one file.
    File(PathBuf),
    /// To any number of them.
    Files(Pattern),
}

/// What matches a pattern.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Matches {
    /// The files, in the order of their names.
    pub(crate) files: Vec<Match>,
    /// The links that lead nowhere, likewise.
    pub(crate) dangling: Vec<PathBuf>,
}

/// A name that matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Match {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Where it is to be found: there, or where its link will lead as soon as it is made.
    pub(crate) at: PathBuf,
}

impl Target {
    /// Reads a path that is relative to a folder; the error says what is wrong with it.
    pub(crate) fn parse(folder: &Path, text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.contains('\0') {
            return Err("is not the path of a file or a pattern such as \"conf.d/*.toml\"");
        }
        if text.split('/').any(|step| step.contains("**")) {
            return Err(
                "has \"**\": a pattern goes into as many folders as it has steps, such as \
                 \"*/*.toml\"",
            );
        }
        if !text.contains(['*', '?']) {
            return Ok(Self::File(folder.join(text)));
        }
        let steps = text.split('/').filter(|step| !matches!(*step, "" | "."));
        let steps = steps.map(|step| {
            if step.contains(['*', '?']) {
                Step::Wild(Wild(step.to_owned()))
            } else {
                Step::Name(step.to_owned())
            }
        });
        let folder = if text.starts_with('/') {
            Path::new("/")
        } else {
            folder
        };
        Ok(Self::Files(Pattern {
            folder: folder.to_path_buf(),
            steps: steps.collect(),
        }))
    }
}

impl Pattern {
    /// The folder in which it begins.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The steps from there to the files.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Looks for what matches now.
    ///
    /// # Errors
    /// When a folder is there and cannot be read, or far too much matches.
    pub(crate) fn look(&self) -> io::Result<Matches> {
        let mut matches = vec![Match {
            path: self.folder.clone(),
            at: self.folder.clone(),
        }];
        for step in &self.steps {
            match step {
                Step::Name(name) => {
                    for Match { path, at } in &mut matches {
                        path.push(name);
                        at.push(name);
                    }
                }
                Step::Wild(wild) => {
                    let mut next = Vec::new();
                    for folder in &matches {
                        next.extend(wild.within(folder)?);
                        if MAX_MATCHES < next.len() {
                            let message = format!("more than {MAX_MATCHES} names match");
                            return Err(io::Error::other(message));
                        }
                    }
                    matches = next;
                }
            }
        }
        let mut found = Matches::default();
        for it in matches {
            match fs::metadata(&it.at) {
                Ok(metadata) if metadata.is_file() => found.files.push(it),
                Ok(_) => {}
                Err(_) if it.at.is_symlink() => found.dangling.push(it.path),
                Err(_) => {}
            }
        }
        Ok(found)
    }
}

impl Wild {
    /// What matches in a folder, in the order of the names; nothing where there is no such folder.
    pub(crate) fn within(&self, folder: &Match) -> io::Result<Vec<Match>> {
        let mut names: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        let volume = folder.at.join(VOLUME);
        let is_volume = volume.is_symlink();
        if is_volume {
            for name in self.names(&volume)? {
                let at = volume.join(&name);
                names.insert(name, at);
            }
        }
        for name in self.names(&folder.at)? {
            let at = folder.at.join(&name);
            // The link of a file that has gone from the volume goes, too.
            let is_gone = is_volume
                && !names.contains_key(&name)
                && at.read_link().is_ok_and(|link| link.starts_with(VOLUME));
            if !is_gone {
                names.insert(name, at);
            }
        }
        let matches = names.into_iter().map(|(name, at)| Match {
            path: folder.path.join(name),
            at,
        });
        Ok(matches.collect())
    }

    /// The names in a folder that match; none where there is no such folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        // An empty path is where the process is.
        let place = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let entries = match fs::read_dir(place) {
            Ok(entries) => entries,
            Err(error) => {
                use io::ErrorKind::{NotADirectory, NotFound};
                return match error.kind() {
                    NotFound | NotADirectory => Ok(Vec::new()),
                    _ => Err(error),
                };
            }
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            if self.matches(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// True for a name that matches; one that is not UTF-8 never does.
    pub(crate) fn matches(&self, name: &OsStr) -> bool {
        let Some(name) = name.to_str() else {
            return false;
        };
        if name.starts_with('.') && !self.0.starts_with('.') {
            return false;
        }
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut read) = (0, 0);
        // The last star, and up to where it has eaten the name.
        let mut star = None;
        while read < name.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(&wanted) if wanted == '?' || wanted == name[read] => {
                    at += 1;
                    read += 1;
                }
                _ => {
                    let Some((place, eaten)) = star else {
                        return false;
                    };
                    star = Some((place, eaten + 1));
                    at = place + 1;
                    read = eaten + 1;
                }
            }
        }
        pattern[at..].iter().all(|rest| *rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use crate::config::pattern::{Pattern, Target, Wild};

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        let matches = Wild(pattern.to_owned()).matches(OsStr::new(name));
        assert_eq!(matches, expected, "{pattern} {name}");
    }

    #[test]
    fn a_star_is_any_characters_and_a_question_mark_is_one() {
        for name in [".toml", "a.toml~", "a.tom", "toml", ".a.toml", "..data", ""] {
            check("*.toml", name, false);
        }
        for name in ["a.toml", "a.toml.toml", "ü.toml"] {
            check("*.toml", name, true);
        }
        check("?.toml", "a.toml", true);
        check("?.toml", "ü.toml", true);
        check("?.toml", "ab.toml", false);
        check("?.toml", ".toml", false);
        check(".*", ".a", true);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-b-b", false);
        check("*", "a", true);
        check("a*", "a", true);
        check("[a].*", "[a].toml", true);
        check("[a].*", "a.toml", false);
    }

    #[test]
    fn matching_takes_no_more_than_a_square_of_time() {
        check(&"*a".repeat(50), &"a".repeat(2000), true);
        check(&format!("{}b", "*a".repeat(50)), &"a".repeat(2000), false);
    }

    fn pattern(folder: &Path, text: &str) -> Pattern {
        match Target::parse(folder, text).unwrap() {
            Target::Files(pattern) => pattern,
            Target::File(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn what_has_no_wildcard_is_one_file() {
        let parse = |text: &str| Target::parse(Path::new("/etc/a*"), text);
        let file = |path: &str| Ok(Target::File(PathBuf::from(path)));
        assert_eq!(parse("b/c.toml"), file("/etc/a*/b/c.toml"));
        assert_eq!(parse("/c.toml"), file("/c.toml"));
        for text in ["", "a\0b*", "**/*.toml", "a/**.toml"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn files_are_found_in_the_order_of_their_names() {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path().join("[x]*");
        for folder in ["b/c", "a/c", "a/d.toml", "b/.hidden"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in [
            "b/c/2.toml",
            "b/c/10.toml",
            "a/c/1.toml",
            "a/1.toml",
            "b/.hidden/1.toml",
        ] {
            fs::write(root.join(file), "").unwrap();
        }
        symlink("c/1.toml", root.join("a/link.toml")).unwrap();
        symlink("nowhere", root.join("a/lost.toml")).unwrap();
        let check = |text: &str, files: &[&str], dangling: &[&str]| {
            for (pattern, prefix) in [
                (pattern(&root, text), &*root),
                (pattern(&root, &format!("./{text}")), &*root),
            ] {
                let all = |names: &[&str]| -> Vec<PathBuf> {
                    names.iter().map(|name| prefix.join(name)).collect()
                };
                let matches = pattern.look().unwrap();
                let found: Vec<_> = matches.files.into_iter().map(|it| it.path).collect();
                assert_eq!(found, all(files), "{text}");
                assert_eq!(matches.dangling, all(dangling), "{text}");
            }
        };
        check("a/*.toml", &["a/1.toml", "a/link.toml"], &["a/lost.toml"]);
        check("*/c/*", &["a/c/1.toml", "b/c/10.toml", "b/c/2.toml"], &[]);
        check("*/c/1.toml", &["a/c/1.toml"], &[]);
        check("b/../a/?.toml", &["b/../a/1.toml"], &[]);
        check("c/*.toml", &[], &[]);
        check("a/1.toml/*", &[], &[]);
        let absolute = pattern(Path::new("/nowhere"), "/proc/self/sta?us");
        let found = absolute.look().unwrap().files;
        assert_eq!(found[0].path, Path::new("/proc/self/status"));
    }

    #[test]
    fn of_a_volume_the_files_count_and_not_the_links() {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path();
        fs::create_dir(root.join("..1")).unwrap();
        for name in ["a.toml", "c.toml"] {
            fs::write(root.join("..1").join(name), "").unwrap();
        }
        symlink("..1", root.join("..data")).unwrap();
        // The link of c is not made yet, that of b not removed yet, and d is from elsewhere.
        for name in ["a.toml", "b.toml"] {
            symlink(format!("..data/{name}"), root.join(name)).unwrap();
        }
        fs::write(root.join("d.toml"), "").unwrap();
        symlink("nowhere", root.join("e.toml")).unwrap();
        let matches = pattern(root, "*.toml").look().unwrap();
        let found: Vec<_> = matches
            .files
            .iter()
            .map(|it| {
                let name = it.path.file_name().unwrap().to_str().unwrap();
                (name, it.at.strip_prefix(root).unwrap().to_str().unwrap())
            })
            .collect();
        let expected = [
            ("a.toml", "a.toml"),
            ("c.toml", "..data/c.toml"),
            ("d.toml", "d.toml"),
        ];
        assert_eq!(found, expected);
        assert_eq!(matches.dangling, [root.join("e.toml")]);
    }
}
