//! Files as the store makes them: private, whole, and on the disk when a function returns.

use std::fs::{DirBuilder, File, OpenOptions, read, read_dir, remove_file, rename};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde_json::Value;

use crate::store::chain;

/// The end of the name of a file that is not finished.
const UNFINISHED: &str = ".tmp";

/// Makes a folder that only its owner may enter, with those above it.
pub(in crate::store) fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent(path);
    create_folder(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

/// Opens a file that only its owner may read, and makes it where it is not there.
pub(in crate::store) fn open_private(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

/// Makes the names in a folder durable: a file's own fsync does not (fsync(2)).
pub(in crate::store) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)?.sync_all()
}

/// Puts an object into a file, with its hash: the file is the old one or the new one, whatever
/// happens.
pub(in crate::store) fn replace(folder: &Path, name: &str, object: &Value) -> Result<()> {
    let unfinished = folder.join(format!("{name}{UNFINISHED}"));
    let (text, _) = chain::seal(object);
    let written = open_private(&unfinished).and_then(|mut file| {
        file.set_len(0)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    if let Err(error) = written {
        let _best_effort = remove_file(&unfinished);
        return Err(error);
    }
    rename(&unfinished, folder.join(name))?;
    sync_folder(folder)
}

/// Reads what [`replace`] has written; an error of the kind `InvalidData` where it is damaged.
pub(in crate::store) fn read_whole(path: &Path) -> Result<Value> {
    let bytes = read(path)?;
    let damaged = || Error::new(ErrorKind::InvalidData, "it is damaged");
    let text = bytes.strip_suffix(b"\n").ok_or_else(damaged)?;
    if !chain::is_sealed(text) {
        return Err(damaged());
    }
    serde_json::from_slice(text).map_err(|_| damaged())
}

/// Removes files that were being made when the last process ended.
pub(in crate::store) fn remove_unfinished(folder: &Path) -> Result<()> {
    for entry in read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(UNFINISHED) {
            let _next_time = remove_file(path);
        }
    }
    Ok(())
}

/// The folder that something is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => Path::new("/"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{metadata, read, write};
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use crate::store::disk::{create_folder, read_whole, replace};

    #[test]
    fn folders_and_files_are_their_owners_alone() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("a/b");
        create_folder(&folder).unwrap();
        create_folder(&folder).unwrap();
        replace(&folder, "c.json", &json!({"d": 1})).unwrap();
        let mode = |path: &str| {
            let metadata = metadata(outside.path().join(path)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode("a"), 0o700);
        assert_eq!(mode("a/b"), 0o700);
        assert_eq!(mode("a/b/c.json"), 0o600);
    }

    #[test]
    fn a_file_with_any_byte_changed_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let object = json!({"value": {"a": [1, 2.5]}, "v": 1});
        replace(folder.path(), "a.json", &object).unwrap();
        let path = folder.path().join("a.json");
        let read_back = read_whole(&path).unwrap();
        assert_eq!(read_back["value"], object["value"]);
        let whole = read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            write(&path, &damaged).unwrap();
            assert!(read_whole(&path).is_err(), "byte {at}");
            write(&path, &whole[..at]).unwrap();
            assert!(read_whole(&path).is_err(), "cut at {at}");
        }
    }
}
