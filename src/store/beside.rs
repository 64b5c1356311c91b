//! What stands beside the journal: objects in files of their own, which have no history and no part in
//! the state, and can be read where there is no store that could be opened.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use serde_json::Value;

use crate::store::{Store, disk};

impl Store {
    /// Puts an object into a file of this name beside the journal: private, whole, and on the disk when
    /// this returns. Blocks while it writes.
    ///
    /// # Errors
    /// When the disk does not take it, and when the store is closed.
    pub fn put_beside(&self, name: &str, object: &Value) -> Result<()> {
        // Nobody else has the lock of the store while the desk is held.
        let desk = self.shared.desk();
        if desk.lock.is_none() {
            return Err(Error::new(ErrorKind::NotConnected, "the store is closed"));
        }
        disk::replace(&self.shared.settings.path, name, object)
    }
}

/// Reads what was put beside the journal of the store in a folder, whoever has that now. Blocks while it
/// reads.
///
/// # Errors
/// When there is none, and when it cannot be read; of the kind `InvalidData` where it is damaged.
pub fn read_beside(folder: &Path, name: &str) -> Result<Value> {
    disk::read_whole(&folder.join(name))
}

#[cfg(test)]
mod tests {
    use std::fs::metadata;
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use crate::store::{Settings, Store, read_beside};

    #[test]
    fn what_is_put_beside_outlives_the_store_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Settings::new(folder.path(), "c", "r"))
            .unwrap()
            .store;
        let read = || read_beside(folder.path(), "a.json");
        assert_eq!(read().unwrap_err().kind(), ErrorKind::NotFound);
        store.put_beside("a.json", &json!({"n": 1})).unwrap();
        store.put_beside("a.json", &json!({"n": 2})).unwrap();
        store.close();
        assert!(store.put_beside("a.json", &json!({"n": 3})).is_err());
        assert_eq!(read().unwrap()["n"], 2);
        let mode = metadata(folder.path().join("a.json")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }
}
