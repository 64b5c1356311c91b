//! The server behind routes that answer evaluations: on a thread of its own, so that no amount of
//! them delays what the control plane does, and on a socket that nobody else can reach.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// How long to wait when accepting fails, as it does while the file table is full.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long requests that run may go on after the end was called.
const GRACE: Duration = Duration::from_secs(2);

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    socket: PathBuf,
    shutdown: CancellationToken,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no place for its socket, or no thread.
    pub fn start(router: Router) -> io::Result<Self> {
        let folder = folder()?;
        let server = Self {
            socket: folder.join("ofrep.sock"),
            folder,
            shutdown: CancellationToken::new(),
        };
        let listener = std::os::unix::net::UnixListener::bind(&server.socket)?;
        listener.set_nonblocking(true)?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shutdown = server.shutdown.clone();
        thread::Builder::new().name("ofrep".into()).spawn(move || {
            runtime.block_on(async {
                match UnixListener::from_std(listener) {
                    Ok(listener) => run(listener, router, shutdown).await,
                    Err(error) => warn!(%error, "the socket of evaluations cannot be used"),
                }
            });
        })?;
        Ok(server)
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
        // Who comes after finds another one; a folder that stays behind is empty.
        let _gone = fs::remove_file(&self.socket).and_then(|()| fs::remove_dir(&self.folder));
    }
}

/// Makes a folder that belongs to this process alone.
fn folder() -> io::Result<PathBuf> {
    let mut bits = [0; 8];
    getrandom::fill(&mut bits)?;
    let name = format!("tidegate-{:016x}", u64::from_ne_bytes(bits));
    let folder = std::env::temp_dir().join(name);
    DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

async fn run(listener: UnixListener, router: Router, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, router.clone(), shutdown.clone()));
            }
            Err(error) => {
                warn!(%error, "the socket of evaluations cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    if timeout(GRACE, connections.wait()).await.is_err() {
        debug!(connections = connections.len(), "evaluations cut");
    }
}

async fn serve(stream: UnixStream, router: Router, shutdown: CancellationToken) {
    // The data plane holds the other end, with bounds on everything that a client can do.
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection with evaluations ended");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use crate::ofrep::server::Server;

    #[tokio::test]
    async fn it_answers_on_a_socket_of_its_own_and_leaves_nothing_behind() {
        let server = Server::start(Router::new().route("/", get(|| async { "here" }))).unwrap();
        let socket = server.socket().to_owned();
        let folder = socket.parent().unwrap().to_owned();
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        drop(server);
        assert!(!folder.exists());
    }
}
