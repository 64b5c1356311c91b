//! Reading files of a bounded size.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::config::unit::write_size;

/// Reads a file that may have so many bytes: a path that leads to a device ends here.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if most < bytes.len() as u64 {
        let message = format!("larger than {}", write_size(most));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}
