//! All of it, in order: settings, workers, control, admin; signals; and the end.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use serde_json::json;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::{self, Admin};
use crate::config::watch::Watcher;
use crate::config::{self, Io, Problems, Sources};
use crate::control::{Control, Prepared, Rejected, Start};
use crate::listener::{Command, Crew, Drain, Worker};
use crate::proxy::Proxy;
use crate::ring::{self, Backend};
use crate::telemetry::Telemetry;
use crate::telemetry::colour::Colour;
use crate::telemetry::stats::{Buckets, BucketsError};
use crate::telemetry::trace::{self, TraceError};

/// How long the admin listener may take to finish what it is answering, at the very end.
const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_secs(1);

/// What `tidegate run` was told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// A file to write when everything serves: JSON with the addresses that are bound.
    pub ready_file: Option<PathBuf>,
    /// Whether the log has colours.
    pub colour: Colour,
}

/// Why nothing was started.
#[derive(Debug, Error)]
enum StartError {
    #[error("{0}")]
    Config(#[from] Problems),
    #[error("{0}")]
    Refused(Rejected),
    #[error("metrics.buckets")]
    Buckets(#[from] BucketsError),
    #[error("logging")]
    Trace(#[from] TraceError),
    #[error("admin.address {address}")]
    Admin {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("{what}")]
    Io {
        what: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Runs until a signal ends it; gives the exit code: 0 after a drain, 1 when it could not start.
pub fn run(options: &Options) -> ExitCode {
    match try_run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be reading, and then nobody needs to be told.
            let _told = writeln!(io::stderr(), "{}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn try_run(options: &Options) -> Result<(), StartError> {
    let variable = |name: &str| std::env::var(name).ok();
    trace::init(&trace::Settings::read(options.colour, variable)?)?;
    raise_file_limit();
    // The control plane has a runtime of its own, so that nothing it does delays a request.
    runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("control")
        .build()
        .map_err(|source| StartError::Io {
            what: "no runtime",
            source,
        })?
        .block_on(async {
            let running = start(options).await?;
            serve(running).await;
            Ok(())
        })
}

/// Everything that runs.
struct Running {
    control: Control,
    controller: JoinHandle<()>,
    workers: Arc<Vec<Worker>>,
    telemetry: Arc<Telemetry>,
    admin: JoinHandle<()>,
    stop_admin: CancellationToken,
    signals: Signals,
}

/// The signals that are obeyed.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// Logs are rotated.
    user1: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next signal.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End { patient: true },
            _ = self.quit.recv() => Told::End { patient: true },
            _ = self.interrupt.recv() => Told::End { patient: false },
            _ = self.hangup.recv() => Told::Reload,
            _ = self.user1.recv() => Told::ReopenLogs,
        }
    }

    /// Waits for a signal that ends the process; logs are rotated meanwhile.
    async fn end(&mut self, telemetry: &Telemetry) {
        loop {
            match self.next().await {
                Told::End { .. } => return,
                Told::ReopenLogs => telemetry.access_logs().reopen(),
                Told::Reload => {}
            }
        }
    }
}

/// What a signal asks for.
enum Told {
    /// To reload.
    Reload,
    /// To open the files of logs anew.
    ReopenLogs,
    /// To end. Patience is for whoever sends traffic here and has to be turned away first; a
    /// person at a terminal has none.
    End { patient: bool },
}

async fn start(options: &Options) -> Result<Running, StartError> {
    let started_at = SystemTime::now();
    let io = |what| move |source| StartError::Io { what, source };
    let signals = Signals::new().map_err(io("no signals"))?;
    // It watches before the file is read, so that no change falls in between.
    let watcher = Watcher::start(Sources::of(options.config.clone()));
    let loaded = config::load(&options.config)?;
    let n_workers = match loaded.config.runtime.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let backend = backend(loaded.config.runtime.io);
    let buckets = Buckets::new(&loaded.config.metrics.buckets)?;
    let telemetry = Arc::new(Telemetry::new(n_workers, buckets));
    let address = loaded.config.admin.address;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Admin { address, source })?;
    let admin_address = listener.local_addr().map_err(io("no admin address"))?;
    let prepared = Prepared::new(Start {
        path: options.config.clone(),
        loaded,
        telemetry: Arc::clone(&telemetry),
        n_workers,
        watcher,
    })
    .await
    .map_err(StartError::Refused)?;
    info!(n_workers, io = backend.name(), "workers start");
    let crew = Crew::new(n_workers);
    let mut workers = Vec::with_capacity(n_workers);
    for index in 0..n_workers {
        let pointer = prepared.pointer();
        let worker = Worker::start(index, &crew, backend, move || {
            let proxy = Proxy::new(index, pointer);
            (proxy.clone(), proxy.look_after())
        });
        workers.push(worker.map_err(io("no worker"))?);
    }
    let workers = Arc::new(workers);
    let (control, controller) = prepared.commit(Arc::clone(&workers));
    let stop_admin = CancellationToken::new();
    let admin = admin::serve(
        listener,
        Admin::new(control.clone(), Arc::clone(&telemetry), backend, started_at),
        stop_admin.clone(),
    );
    info!(address = %admin_address, "admin listening");
    let running = Running {
        controller: tokio::spawn(controller.run()),
        admin: tokio::spawn(admin),
        control,
        workers,
        telemetry,
        stop_admin,
        signals,
    };
    if let Some(path) = &options.ready_file {
        write_ready_file(path, admin_address, &running.control).map_err(io("no ready file"))?;
    }
    notify(&[sd_notify::NotifyState::Ready]);
    Ok(running)
}

/// What the workers read and write by.
fn backend(asked: Io) -> Backend {
    match asked {
        Io::Epoll => Backend::Epoll,
        Io::Auto | Io::IoUring => match ring::probe() {
            Ok(()) => Backend::IoUring,
            Err(error) => {
                let said = "runtime.io: no io_uring here, so it is epoll";
                if asked == Io::Auto {
                    info!(%error, "{said}");
                } else {
                    warn!(%error, "{said}");
                }
                Backend::Epoll
            }
        },
    }
}

/// Obeys signals until the end.
async fn serve(mut running: Running) {
    let patient = loop {
        match running.signals.next().await {
            Told::End { patient } => break patient,
            Told::Reload => {
                // What is wrong was logged where it was found.
                let _refused = running.control.reload().await;
            }
            Told::ReopenLogs => running.telemetry.access_logs().reopen(),
        }
    };
    drain(running, patient).await;
}

/// Ends as those who use it need: first not ready, then no new connections, then those that are
/// there, and at the deadline whatever is left.
async fn drain(mut running: Running, patient: bool) {
    let shutdown = running.control.live().config.shutdown.clone();
    running.control.start_draining();
    running.telemetry.recorder().draining();
    notify(&[sd_notify::NotifyState::Stopping]);
    info!(delay = ?shutdown.delay, timeout = ?shutdown.timeout, "draining");
    let mut cut = false;
    if patient {
        tokio::select! {
            () = sleep(shutdown.delay) => {}
            () = running.signals.end(&running.telemetry) => cut = true,
        }
    }
    // The controller holds the listening sockets, too: with it they close, and who comes now is
    // refused instead of waiting in a backlog that nobody serves.
    running.controller.abort();
    let _ended = (&mut running.controller).await;
    let drain = Drain {
        spread: shutdown.spread,
        timeout: shutdown.timeout,
    };
    let mut waiting = Vec::new();
    for worker in running.workers.iter() {
        let (done, answer) = oneshot::channel();
        worker.tell(Command::Drain { drain, done });
        waiting.push(answer);
    }
    let all = async {
        let mut n_cut = 0;
        for answer in waiting {
            n_cut += answer.await.unwrap_or(0);
        }
        n_cut
    };
    tokio::pin!(all);
    let n_cut = loop {
        if cut {
            for worker in running.workers.iter() {
                worker.tell(Command::Cut);
            }
        }
        tokio::select! {
            n_cut = &mut all => break n_cut,
            () = running.signals.end(&running.telemetry), if !cut => {
                warn!("second signal: cutting what is left");
                cut = true;
            }
        }
    };
    info!(connections_cut = n_cut, "drained");
    running.stop_admin.cancel();
    if timeout(LAST_ANSWERS, running.admin).await.is_err() {
        warn!("the admin listener did not end in time");
    }
    if let Some(log) = &running.control.live().snapshot.access_log {
        log.close();
    }
}

/// Writes where everything listens, whole or not at all.
fn write_ready_file(path: &Path, admin: SocketAddr, control: &Control) -> io::Result<()> {
    let listeners: serde_json::Map<_, _> = control
        .listener_addresses()
        .into_iter()
        .map(|(name, address)| (name.to_string(), json!(address.to_string())))
        .collect();
    let ready = json!({
        "pid": std::process::id(),
        "admin": admin.to_string(),
        "listeners": listeners,
    });
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, ready.to_string())?;
    std::fs::rename(&temporary, path)
}

/// Tells the service manager, where there is one.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        error!(%error, "cannot tell the service manager");
    }
}

/// Takes as many descriptors as the system allows: each connection needs one, and the soft limit
/// is low for the sake of programs that use `select`.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            warn!(%error, "cannot raise the limit of open files");
        }
    }
}
