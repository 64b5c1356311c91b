//! The control plane over HTTP: probes, metrics, status, explanations, reload.
//!
//! It runs on the control runtime, never on a worker. Whatever changes something is a `mutation`,
//! goes through [`Control`], and is answered when it is live. What may be asked stands in one table,
//! `actions`, with the permission that it needs; who asks is found out in one place, `guard`, before
//! anything else looks at the request.

mod actions;
mod actor;
mod denied;
mod drift;
mod dora;
mod events;
pub mod explain;
mod fault;
pub mod flags;
mod freezes;
mod guard;
mod handlers;
mod incidents;
mod line;
mod mutation;
mod openapi;
mod params;
mod releases;
mod reply;
mod schedule;
mod server;
mod state;
mod trail;
mod upstreams;
mod weights;
pub mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::admin::denied::Denials;
use crate::admin::mutation::Memory;
use crate::control::Control;
use crate::ring::Backend;
use crate::telemetry::Telemetry;

/// How many large answers are made at a time: with thousands of routes one has many MiB, and takes
/// a core while it is made.
const LARGE_ANSWERS: usize = 2;

/// What the admin API tells of and acts on.
#[derive(Clone)]
pub struct Admin {
    control: Control,
    telemetry: Arc<Telemetry>,
    backend: Backend,
    started_at: SystemTime,
}

impl Admin {
    /// Makes the admin API of an instance whose workers have such a backend, and that was started at
    /// some time.
    pub fn new(
        control: Control,
        telemetry: Arc<Telemetry>,
        backend: Backend,
        started_at: SystemTime,
    ) -> Self {
        Self {
            control,
            telemetry,
            backend,
            started_at,
        }
    }
}

/// What a handler needs: the instance, and where it was asked.
#[derive(Clone)]
struct Served {
    admin: Admin,
    bound: SocketAddr,
    /// Who may make a large answer now.
    large: Arc<Semaphore>,
    /// The answers that mutations were given.
    memory: Memory,
    /// What goes on also when who asked for it has gone.
    tasks: TaskTracker,
    /// Who may listen to what happens.
    listeners: Arc<Semaphore>,
    /// The attempts that were denied of late.
    denials: Denials,
    /// The end.
    shutdown: CancellationToken,
}

/// Serves the admin API until `shutdown`; requests that run then may still finish.
pub async fn serve(listener: TcpListener, admin: Admin, shutdown: CancellationToken) {
    match listener.local_addr() {
        Ok(bound) => {
            let tasks = TaskTracker::new();
            let router = handlers::router(Served {
                admin,
                bound,
                large: Arc::new(Semaphore::new(LARGE_ANSWERS)),
                memory: Memory::default(),
                tasks: tasks.clone(),
                listeners: Arc::new(Semaphore::new(events::MAX_LISTENERS)),
                denials: Denials::default(),
                shutdown: shutdown.clone(),
            });
            server::run(listener, router, shutdown).await;
            tasks.close();
            tasks.wait().await;
        }
        Err(error) => error!(%error, "admin listener has no address"),
    }
}
