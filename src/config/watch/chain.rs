//! Which names in which folders decide what a path leads to.
//!
//! A path may lead over symbolic links, as a file or as a folder on the way: Kubernetes swaps the
//! link `..data` beside the file and never touches the file itself. So the path is followed hop by
//! hop, and every name on the way counts.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// How many links are followed, as many as Linux follows: a circle ends here.
const MAX_LINKS: usize = 40;

/// What to look at, so that no change of a set of files is missed.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Interest {
    /// The paths that matter, each without a link on its way.
    pub(crate) names: BTreeSet<PathBuf>,
    /// The folders that these names are in; they exist, as far as they can be looked at.
    pub(crate) folders: BTreeSet<PathBuf>,
}

impl Interest {
    /// Follows each of the files to its end.
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        let mut interest = Self::default();
        for file in files {
            if let Ok(path) = std::path::absolute(file) {
                interest.follow(&path);
            }
        }
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

    fn follow(&mut self, path: &Path) {
        let mut here = PathBuf::from("/");
        let mut ahead: VecDeque<OsString> = parts(path);
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
                    let Ok(target) = next.read_link() else { return };
                    if MAX_LINKS < n_links {
                        return;
                    }
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    let mut way = parts(&target);
                    way.append(&mut ahead);
                    ahead = way;
                }
                Ok(_) if ahead.is_empty() => self.add(next, &here),
                Ok(_) => here = next,
                Err(_) => {
                    // It is not there, or cannot be looked at: here is where it would appear.
                    self.add(next, &here);
                    return;
                }
            }
        }
    }

    fn add(&mut self, name: PathBuf, folder: &Path) {
        self.names.insert(name);
        self.folders.insert(folder.to_path_buf());
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

    use crate::config::watch::chain::Interest;

    /// A folder whose own path has no link in it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[track_caller]
    fn check(root: &Path, file: &str, names: &[&str], folders: &[&str]) {
        let interest = Interest::of(&[root.join(file)]);
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
        assert_eq!(Interest::of(&[root.join("a/f")]).names.len(), 2);
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
}
