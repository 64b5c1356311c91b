//! All of it, in order: settings, workers, control, admin; signals; and the end.

mod last_good;
mod signals;

use std::io::{self, Write};
use std::net::{self, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use sd_notify::NotifyState;
use serde_json::json;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::{self, Admin};
use crate::app::last_good::instead_of;
use crate::app::signals::{Signals, Told};
use crate::config::watch::Watcher;
use crate::config::{self, Io, Problems, Sources};
use crate::control::{
    Control, Inherited, Predecessor, Prepared, Rejected, Start, Upgrades, note_program,
};
use crate::listener::{Backlog, Command, Crew, Drain, Worker};
use crate::proxy::Proxy;
use crate::ring::{self, Backend};
use crate::telemetry::Telemetry;
use crate::telemetry::colour::Colour;
use crate::telemetry::stats::{Buckets, BucketsError};
use crate::telemetry::trace::{self, TraceError};

/// How long the admin listener may take to finish what it is answering, at the very end.
const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_secs(1);

pub use crate::app::last_good::StandIn;

/// What `tidegate run` was told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// A file to write when everything serves: JSON with the addresses that are bound.
    pub ready_file: Option<PathBuf>,
    /// What is obeyed where the file is refused.
    pub stand_in: StandIn,
    /// Whether the log has colours.
    pub colour: Colour,
}

/// Why nothing was started.
#[derive(Debug, Error)]
enum StartError {
    #[error("{0}")]
    Config(#[from] Problems),
    #[error("{problems}\n{hint}")]
    Refusable { problems: Problems, hint: String },
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

/// Runs until a signal ends it, or another process has taken over; gives the exit code: 0 after a
/// drain, 1 when it could not start.
pub fn run(options: &Options) -> ExitCode {
    note_program();
    match inherit() {
        Ok((inherited, predecessor)) => match try_run(options, inherited, predecessor.as_ref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let why = with_causes(&error);
                if let Some(predecessor) = &predecessor {
                    predecessor.failed(why.clone());
                }
                complain(&why)
            }
        },
        Err(error) => complain(&with_causes(&error)),
    }
}

fn complain(why: &str) -> ExitCode {
    // Nobody may be reading, and then nobody needs to be told.
    let _told = writeln!(io::stderr(), "{why}");
    ExitCode::FAILURE
}

/// Takes what others have bound. First of all: a descriptor that is opened before may be taken for
/// one that was passed.
fn inherit() -> Result<(Inherited, Option<Predecessor>), StartError> {
    let io = |what| move |source| StartError::Io { what, source };
    let mut inherited = Inherited::default();
    inherited
        .add_activated()
        .map_err(io("sockets of the service manager"))?;
    let predecessor = Predecessor::hear(&mut inherited).map_err(io("upgrade"))?;
    Ok((inherited, predecessor))
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

fn try_run(
    options: &Options,
    inherited: Inherited,
    predecessor: Option<&Predecessor>,
) -> Result<(), StartError> {
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
            let running = start(options, inherited, predecessor).await?;
            serve(running).await;
            Ok(())
        })
}

/// Everything that runs.
struct Running {
    control: Control,
    controller: JoinHandle<()>,
    upgrades: Upgrades,
    workers: Arc<Vec<Worker>>,
    telemetry: Arc<Telemetry>,
    admin: JoinHandle<()>,
    stop_admin: CancellationToken,
    signals: Signals,
}

async fn start(
    options: &Options,
    mut inherited: Inherited,
    predecessor: Option<&Predecessor>,
) -> Result<Running, StartError> {
    let started_at = SystemTime::now();
    let io = |what| move |source| StartError::Io { what, source };
    let signals = Signals::new().map_err(io("no signals"))?;
    // It watches before the file is read, so that no change falls in between.
    let watcher = Watcher::start(Sources::of(options.config.clone()));
    let (loaded, stands_in) = match config::load(&options.config) {
        Ok(loaded) => (loaded, None),
        // Who is to take over leaves it to who serves.
        Err(problems) if predecessor.is_some() => return Err(problems.into()),
        Err(problems) => {
            let (loaded, why) = instead_of(&options.config, problems, &options.stand_in)?;
            (loaded, Some(why))
        }
    };
    let n_workers = match loaded.config.runtime.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let backend = backend(loaded.config.runtime.io);
    let buckets = Buckets::new(&loaded.config.metrics.buckets)?;
    let telemetry = Arc::new(Telemetry::new(n_workers, buckets));
    let address = loaded.config.admin.address;
    let listener = admin_listener(address, &mut inherited)
        .await
        .map_err(|source| StartError::Admin { address, source })?;
    let admin_address = listener.local_addr().map_err(io("no admin address"))?;
    let prepared = Prepared::new(Start {
        path: options.config.clone(),
        loaded,
        stands_in,
        telemetry: Arc::clone(&telemetry),
        n_workers,
        watcher,
        inherited,
    })
    .await
    .map_err(StartError::Refused)?;
    info!(
        pid = std::process::id(),
        n_workers,
        io = backend.name(),
        "workers start"
    );
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
    let to_pass = listener.try_clone().map_err(io("no admin listener"))?;
    let listener = TcpListener::from_std(listener).map_err(io("no admin listener"))?;
    if let Some(predecessor) = predecessor {
        predecessor.ready().map_err(io("upgrade"))?;
    }
    // Nothing fails from here on: with the word given, nobody else serves.
    let (control, controller, upgrades) =
        prepared.commit(Arc::clone(&workers), (address, to_pass), predecessor);
    let stop_admin = CancellationToken::new();
    let admin = admin::serve(
        listener,
        Admin::new(control.clone(), Arc::clone(&telemetry), backend, started_at),
        stop_admin.clone(),
    );
    info!(address = %admin_address, "admin listening");
    let running = Running {
        controller: tokio::spawn(controller.run()),
        upgrades,
        admin: tokio::spawn(admin),
        control,
        workers,
        telemetry,
        stop_admin,
        signals,
    };
    if let Some(path) = &options.ready_file
        && let Err(error) = write_ready_file(path, admin_address, &running.control)
    {
        error!(path = %path.display(), %error, "no ready file");
    }
    // Of one that succeeds another its predecessor tells: it is the one that is listened to.
    if predecessor.is_none() {
        notify(&[NotifyState::Ready]);
    }
    Ok(running)
}

/// A socket for the admin listener.
async fn admin_listener(
    address: SocketAddr,
    inherited: &mut Inherited,
) -> io::Result<net::TcpListener> {
    let Some(listener) = inherited.admin(address) else {
        return TcpListener::bind(address).await?.into_std();
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
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
    let mut reloads = JoinSet::new();
    let end = loop {
        let told = tokio::select! {
            told = running.signals.next() => told,
            pid = running.upgrades.succeeded() => break End::Succeeded { pid },
            Some(_) = reloads.join_next() => continue,
        };
        match told {
            Told::End { patient } => break End::Stop { patient },
            // Not here: while another process gets ready, reloads wait for what becomes of that.
            Told::Reload => drop(reloads.spawn(reload(running.control.clone()))),
            Told::ReopenLogs => running.telemetry.access_logs().reopen(),
            Told::Upgrade => running.control.begin_upgrade(),
        }
    };
    reloads.shutdown().await;
    drain(running, end).await;
}

/// Reloads, and tells the service manager when it begins and when it is done.
async fn reload(control: Control) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
    // What is wrong was logged where it was found.
    let _refused = control.reload().await;
    notify(&[NotifyState::Ready]);
}

/// Why a process ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It was told to.
    Stop { patient: bool },
    /// This one serves in its place.
    Succeeded { pid: u32 },
}

/// Ends as those who use it need: first not ready, then no new connections, then those that are
/// there, and at the deadline whatever is left. Who comes anew is served by the successor, if there
/// is one, and then nobody has to be turned away first.
async fn drain(mut running: Running, end: End) {
    let shutdown = running.control.live().config.shutdown.clone();
    running.control.start_draining();
    running.telemetry.recorder().draining();
    let mut upgrades = Some(running.upgrades);
    let mut cut = false;
    match end {
        End::Stop { .. } => {
            // A successor that is not ready is ended with this.
            upgrades = None;
            notify(&[NotifyState::Stopping]);
            info!(delay = ?shutdown.delay, timeout = ?shutdown.timeout, "draining");
        }
        End::Succeeded { pid } => {
            notify(&[NotifyState::MainPid(pid), NotifyState::Ready]);
            info!(pid, timeout = ?shutdown.timeout, "draining: another process serves");
            running.stop_admin.cancel();
        }
    }
    if let End::Stop { patient: true } = end {
        tokio::select! {
            () = sleep(shutdown.delay) => {}
            () = running.signals.end(&running.telemetry) => cut = true,
        }
    }
    if let End::Stop { .. } = end {
        running.control.note_uses().await;
    }
    // The controller holds the listening sockets, too: with it they close, and who comes now is
    // refused instead of waiting in a backlog that nobody serves.
    running.controller.abort();
    let _ended = (&mut running.controller).await;
    drop(upgrades);
    let drain = Drain {
        spread: shutdown.spread,
        timeout: shutdown.timeout,
    };
    let backlog = match end {
        End::Stop { .. } => Backlog::Ours,
        End::Succeeded { .. } => Backlog::Theirs,
    };
    let mut waiting = Vec::new();
    for worker in running.workers.iter() {
        let (done, answer) = oneshot::channel();
        worker.tell(Command::Drain {
            drain,
            backlog,
            done,
        });
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
fn notify(states: &[NotifyState<'_>]) {
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
