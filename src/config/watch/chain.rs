//! Which names in which folders decide what is read.
//!
//! A path may lead over symbolic links, as a file or as a folder on the way: Kubernetes swaps the
//! link `..data` beside the file and never touches the file itself. So the path is followed hop by
//! hop, and every name on the way counts. A pattern counts each name that matches, there or not.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::config::pattern::{Match, Pattern, Step, VOLUME, Wild};
use crate::config::sources::Sources;

/// How many links are followed, as many as Linux follows: a circle ends here.
const MAX_LINKS: usize = 40;

/// What to look at, so that no change of a configuration's sources is missed.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Interest {
    /// The paths that matter, each without a link on its way.
    pub(crate) names: BTreeSet<PathBuf>,
    /// The folders that these names are in; they exist, as far as they can be looked at.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Those of the folders where every name matters that matches.
    pub(crate) wild: BTreeMap<PathBuf, BTreeSet<Wild>>,
}

impl Interest {
    /// Follows each of the files to its end, and each of the patterns to all of its.
    pub(crate) fn of(sources: &Sources) -> Self {
        let mut tracer = Tracer::default();
        for file in sources.files() {
            tracer.file(file);
        }
        for pattern in sources.patterns() {
            tracer.pattern(pattern);
        }
        let mut interest = tracer.interest;
        // A folder may be replaced as a whole, and then nothing happens within it.
        let parents: Vec<(PathBuf, PathBuf)> = interest
            .folders
            .iter()
            .filter_map(|folder| Some((folder.clone(), folder.parent()?.to_path_buf())))
            .collect();
        for (folder, parent) in parents {
            interest.names.insert(folder);
            interest.folders.insert(parent);
        }
        interest
    }

    /// True for a name that matters.
    pub(crate) fn has(&self, name: &Path) -> bool {
        self.names.contains(name) || self.matches(name)
    }

    fn matches(&self, name: &Path) -> bool {
        let wild = name.parent().and_then(|folder| self.wild.get(folder));
        let (Some(wild), Some(name)) = (wild, name.file_name()) else {
            return false;
        };
        wild.iter().any(|wild| wild.matches(name))
    }
}

/// Follows paths.
#[derive(Default)]
struct Tracer {
    interest: Interest,
    /// Where the folders lead that were followed already; nowhere where they are not there.
    folders: HashMap<PathBuf, Option<PathBuf>>,
}

impl Tracer {
    fn file(&mut self, file: &Path) {
        let Ok(path) = std::path::absolute(file) else {
            return;
        };
        let end = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => {
                let Some(folder) = self.folder(folder) else {
                    return;
                };
                self.follow(folder, VecDeque::from([name.to_owned()]))
            }
            _ => self.follow(PathBuf::from("/"), parts(&path)),
        };
        if let Some(end) = end
            && let Some(folder) = end.parent()
        {
            let folder = folder.to_path_buf();
            self.add(end, &folder);
        }
    }

    fn pattern(&mut self, pattern: &Pattern) {
        let Ok(folder) = std::path::absolute(pattern.folder()) else {
            return;
        };
        let mut paths = vec![folder];
        for step in pattern.steps() {
            match step {
                Step::Name(name) => paths.iter_mut().for_each(|path| path.push(name)),
                Step::Wild(wild) => {
                    let mut next = Vec::new();
                    for path in paths {
                        let Some(folder) = self.folder(&path) else {
                            continue;
                        };
                        let place = Match {
                            path: folder.clone(),
                            at: folder.clone(),
                        };
                        let matches = wild.within(&place).unwrap_or_default();
                        next.extend(matches.into_iter().map(|it| it.path));
                        self.file(&folder.join(VOLUME));
                        self.interest.folders.insert(folder.clone());
                        let wilds = self.interest.wild.entry(folder).or_default();
                        wilds.insert(wild.clone());
                    }
                    paths = next;
                }
            }
        }
        for path in paths {
            self.file(&path);
        }
    }

    /// Where the path of a folder leads.
    fn folder(&mut self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.folders.get(path) {
            return known.clone();
        }
        let end = self.follow(PathBuf::from("/"), parts(path));
        self.folders.insert(path.to_path_buf(), end.clone());
        end
    }

    /// Follows the steps of a path to its end, link by link; `None` where it ends before.
    fn follow(&mut self, mut here: PathBuf, mut ahead: VecDeque<OsString>) -> Option<PathBuf> {
        let mut n_links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&part);
            match next.symlink_metadata() {
                Ok(metadata) if metadata.is_symlink() => {
                    self.add(next.clone(), &here);
                    n_links += 1;
                    let target = next.read_link().ok()?;
                    if MAX_LINKS < n_links {
                        return None;
                    }
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    let mut way = parts(&target);
                    way.append(&mut ahead);
                    ahead = way;
                }
                Ok(_) => here = next,
                Err(_) => {
                    // It is not there, or cannot be looked at: here is where it would appear.
                    self.add(next, &here);
                    return None;
                }
            }
        }
        Some(here)
    }

    fn add(&mut self, name: PathBuf, folder: &Path) {
        self.interest.names.insert(name);
        self.interest.folders.insert(folder.to_path_buf());
    }
}

/// The steps of a path, without its root and without steps that lead nowhere.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use crate::config::pattern::Target;
    use crate::config::sources::Sources;
    use crate::config::watch::chain::Interest;

    /// A folder whose own path has no link in it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[track_caller]
    fn check(root: &Path, file: &str, names: &[&str], folders: &[&str]) {
        let interest = Interest::of(&Sources::of(root.join(file)));
        for name in names {
            assert!(
                interest.names.contains(&root.join(name)),
                "{name}: {interest:?}"
            );
        }
        for folder in folders {
            assert!(
                interest.folders.contains(&root.join(folder)),
                "{folder}: {interest:?}"
            );
        }
    }

    #[test]
    fn a_plain_file_is_watched_in_its_folder_and_the_folder_in_its_own() {
        let (_guard, root) = folder();
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/f"), "").unwrap();
        check(&root, "a/f", &["a/f", "a"], &["a", ""]);
        assert_eq!(Interest::of(&Sources::of(root.join("a/f"))).names.len(), 2);
    }

    #[test]
    fn every_hop_counts_links_to_folders_too() {
        let (_guard, root) = folder();
        fs::create_dir_all(root.join("k/..1")).unwrap();
        fs::create_dir(root.join("l")).unwrap();
        fs::write(root.join("k/..1/f"), "").unwrap();
        symlink("..1", root.join("k/..data")).unwrap();
        symlink("..data/f", root.join("k/f")).unwrap();
        symlink(root.join("k/f"), root.join("l/f")).unwrap();
        let names = ["l/f", "k/f", "k/..data", "k/..1/f"];
        check(&root, "l/f", &names, &["l", "k", "k/..1"]);
        check(&root, "l/../k/f", &names[1..], &["k", "k/..1"]);
    }

    #[test]
    fn what_is_missing_is_awaited_where_it_would_appear() {
        let (_guard, root) = folder();
        check(&root, "a/b/f", &["a"], &[""]);
        symlink("nowhere/f", root.join("f")).unwrap();
        check(&root, "f", &["f", "nowhere"], &[""]);
    }

    #[test]
    fn a_circle_ends() {
        let (_guard, root) = folder();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        check(&root, "a", &["a", "b"], &[""]);
    }

    fn of_pattern(root: &Path, pattern: &str) -> Interest {
        let mut sources = Sources::default();
        match Target::parse(root, pattern).unwrap() {
            Target::Files(pattern) => sources.add_pattern(pattern),
            Target::File(path) => panic!("{}", path.display()),
        }
        Interest::of(&sources)
    }

    #[test]
    fn a_pattern_counts_what_matches_there_or_not() {
        let (_guard, root) = folder();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/1.toml"), "").unwrap();
        let interest = of_pattern(&root, "a/*/*.toml");
        let names = [
            "a/b/1.toml",
            "a/b/2.toml",
            "a/c",
            "a/b",
            "a",
            "a/..data",
            "a/b/..data",
        ];
        for name in names {
            assert!(interest.has(&root.join(name)), "{name}: {interest:?}");
        }
        for name in ["a/b/1.toml~", "a/.c", "a/b/c/1.toml", "a/c/1.toml", "b"] {
            assert!(!interest.has(&root.join(name)), "{name}: {interest:?}");
        }
        for folder in ["", "a", "a/b"] {
            assert!(interest.folders.contains(&root.join(folder)), "{folder}");
        }
        // Where nothing is yet, it is awaited.
        let interest = of_pattern(&root, "c/*.toml");
        assert!(interest.has(&root.join("c")));
        assert!(interest.folders.contains(&root));
    }
}
