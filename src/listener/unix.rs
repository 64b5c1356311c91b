//! Listening at the path of a UNIX socket.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use tracing::{debug, info, warn};

use crate::listener::socket::BACKLOG;

/// The file of a UNIX socket that this process listens at; dropped, it takes it away.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and number of the file, for another one may be there by then.
    is: (u64, u64),
    /// True where another process listens at it, too.
    stays: AtomicBool,
}

impl SocketFile {
    /// The file at a path.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_path_buf(),
            is: identity(path)?,
            stays: AtomicBool::new(false),
        })
    }

    /// Gives it these rights, which a reload may change.
    pub fn set_mode(&self, mode: u32) {
        let rights = fs::Permissions::from_mode(mode);
        if let Err(error) = fs::set_permissions(&self.path, rights) {
            warn!(path = %self.path.display(), %error, "the rights of a socket stay as they were");
        }
    }

    /// Leaves it to another process.
    pub fn leave(&self) {
        self.stays.store(true, Ordering::SeqCst);
    }

    /// Takes it over from another process.
    pub fn take_over(&self) {
        self.stays.store(false, Ordering::SeqCst);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.stays.load(Ordering::SeqCst) && identity(&self.path).is_ok_and(|is| is == self.is)
        {
            remove(&self.path);
        }
    }
}

/// Listens, with a socket that does not block and is closed on exec.
pub(in crate::listener) fn listen(path: &Path, mode: u32) -> io::Result<TcpListener> {
    if is_left_behind(path)? {
        info!(path = %path.display(), "nobody listens there any more");
        fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before it listens, so that there is no moment of other rights.
    let ready = fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .and_then(|()| socket.listen(BACKLOG));
    if let Err(error) = ready {
        remove(path);
        return Err(error);
    }
    Ok(TcpListener::from(OwnedFd::from(socket)))
}

/// True where there is a socket that nobody listens at.
fn is_left_behind(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::other("something is there that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    let asking = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match asking.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        // Of those who do some have no time.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Errno::ADDRINUSE.into()),
        Ok(()) => Err(Errno::ADDRINUSE.into()),
        Err(error) => Err(error),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        debug!(path = %path.display(), %error, "the file of a socket stays");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::sync::Arc;

    use tempfile::TempDir;

    use crate::listener::socket::{BindError, bind_unix, local_address};
    use crate::listener::unix::SocketFile;

    #[test]
    fn the_file_has_its_rights_and_takes_connections() {
        let dir = TempDir::new().unwrap();
        let path: Arc<Path> = dir.path().join("s").into();
        let bound = bind_unix(&path, 0o640).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        UnixStream::connect(&path).unwrap();
        assert_eq!(local_address(&bound.sockets[0]).unwrap(), bound.address);
    }

    #[test]
    fn what_was_left_behind_is_replaced_and_who_listens_is_not() {
        let dir = TempDir::new().unwrap();
        let path: Arc<Path> = dir.path().join("s").into();
        drop(bind_unix(&path, 0o600).unwrap());
        assert!(path.exists());
        let bound = bind_unix(&path, 0o600).unwrap();
        let error = bind_unix(&path, 0o600).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error:?}");
        drop(bound);
        let file: Arc<Path> = dir.path().join("file").into();
        fs::write(&file, "precious").unwrap();
        let error = bind_unix(&file, 0o600).unwrap_err();
        assert!(matches!(error, BindError::Failed { .. }), "{error:?}");
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }

    #[test]
    fn the_file_goes_with_its_owner_unless_it_is_anothers() {
        let dir = TempDir::new().unwrap();
        let path: Arc<Path> = dir.path().join("s").into();
        let own = || {
            drop(bind_unix(&path, 0o600).unwrap());
            SocketFile::new(&path).unwrap()
        };
        drop(own());
        assert!(!path.exists());
        let left = own();
        left.leave();
        drop(left);
        assert!(path.exists());
        let former = own();
        fs::rename(&path, dir.path().join("former")).unwrap();
        let _other = bind_unix(&path, 0o600).unwrap();
        drop(former);
        assert!(path.exists());
    }
}
