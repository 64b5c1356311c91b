//! A worker: one thread with its own runtime, its own sockets and its own connections.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tracing::{debug, info, warn};

use crate::listener::accept::listening;
use crate::listener::crew::{Arrival, Crew};
use crate::listener::drain::{Connections, Drain};
use crate::listener::serving::begin;
use crate::listener::{Gate, Permit, Service, Settings, Stop, accept};
use crate::ring::{self, Backend};
use crate::telemetry::stats::{ListenerStats, RejectReason};

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Accept on these sockets, for the listener of this name.
    Listen {
        /// The listener's name.
        name: Arc<str>,
        /// This worker's sockets.
        sockets: Vec<TcpListener>,
        /// The listener's limit on connections, over all workers.
        gate: Arc<Gate>,
        /// The listener's numbers.
        stats: Arc<ListenerStats>,
    },
    /// Stop accepting for this listener.
    Close {
        /// The listener's name.
        name: Arc<str>,
        /// How its connections end; `None` keeps them.
        drain: Option<Drain>,
    },
    /// Stop accepting altogether, drain all connections and end.
    Drain {
        /// How the connections end.
        drain: Drain,
        /// Whose clients are that wait in the backlog.
        backlog: Backlog,
        /// Is told how many connections had to be cut.
        done: oneshot::Sender<usize>,
    },
    /// Cut all connections; a drain under way then ends at once.
    Cut,
}

/// Whose clients are that have connected, and that nobody has accepted yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backlog {
    /// This process's: they are served and sent away.
    Ours,
    /// Those of another process, which has the sockets, too.
    Theirs,
}

/// One worker, as those who command it see it.
#[derive(Debug)]
pub struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker of a crew, with such a backend. `service` makes, on the worker's thread, what
    /// answers its requests, and what has to be done there besides.
    ///
    /// # Errors
    /// When the system gives no thread, or no descriptors for what waits on it.
    pub fn start<V, B>(
        index: usize,
        crew: &Arc<Crew>,
        backend: Backend,
        service: impl FnOnce() -> (V, B) + Send + 'static,
    ) -> io::Result<Self>
    where
        V: Service,
        B: Future<Output = ()> + 'static,
    {
        let (commands, received) = mpsc::unbounded_channel();
        let crew = Arc::clone(crew);
        // Here and not on its thread: what another worker accepts meanwhile could take the last
        // descriptors.
        let mut runtime = runtime::Builder::new_current_thread();
        runtime.enable_all();
        if backend == Backend::IoUring {
            runtime
                .on_thread_park(ring::turn)
                .on_thread_unpark(ring::turn);
        }
        let runtime = runtime.build()?;
        let thread = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || run(index, crew, backend, &runtime, service, received))?;
        Ok(Self { commands, thread })
    }

    /// Tells the worker something. One that has ended hears nothing.
    pub fn tell(&self, command: Command) {
        if self.commands.send(command).is_err() {
            debug!("a worker that ended was told something");
        }
    }

    /// Waits until the worker has ended.
    pub fn join(self) {
        drop(self.commands);
        if self.thread.join().is_err() {
            warn!("a worker panicked");
        }
    }
}

fn run<V: Service, B: Future<Output = ()> + 'static>(
    index: usize,
    crew: Arc<Crew>,
    backend: Backend,
    runtime: &Runtime,
    service: impl FnOnce() -> (V, B),
    commands: mpsc::UnboundedReceiver<Command>,
) {
    if backend == Backend::IoUring
        && let Err(error) = ring::start()
    {
        warn!(index, %error, "a worker without a ring, so it is epoll");
    }
    let local = LocalSet::new();
    local.block_on(runtime, async move {
        let (service, background) = service();
        let mut tasks = JoinSet::new();
        tasks.spawn_local(background);
        let handed = crew.join(index);
        tasks.spawn_local(async {
            if let Err(error) = ring::run().await {
                warn!(%error, "the ring cannot be waited for");
            }
        });
        Inner {
            index,
            crew,
            service,
            connections: Rc::default(),
            accepting: HashMap::new(),
            n_listenings: 0,
            early: Vec::new(),
            tasks,
        }
        .obey(commands, handed)
        .await;
    });
    // What its connections said last is still to be handed to the kernel.
    drop(local);
    ring::turn();
}

/// One listening: sockets from when they are opened to when they are given up.
struct Accepting {
    id: u64,
    stop: Stop,
}

/// What a worker keeps.
struct Inner<V> {
    index: usize,
    crew: Arc<Crew>,
    service: V,
    connections: Rc<Connections>,
    accepting: HashMap<Arc<str>, Accepting>,
    n_listenings: u64,
    /// Connections that others accepted for listeners which this worker is still to be told of.
    early: Vec<Arrival>,
    /// Everything that runs on this worker; it ends with it.
    tasks: JoinSet<()>,
}

impl<V: Service> Inner<V> {
    /// Serves a connection that another worker accepted; not before this one is told of the listener,
    /// unless that is given up.
    fn take(&mut self, mut arrival: Arrival) {
        let listening = self.accepting.get(&arrival.listener).map(|it| it.id);
        if let Some(settings) = self.service.settings(&arrival.listener) {
            if listening.is_none() {
                self.early.push(arrival);
                return;
            }
            arrival.settings = settings;
        }
        let (service, connections) = (&self.service, &self.connections);
        begin(arrival, self.index, service, connections, listening);
    }

    async fn obey(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut handed: mpsc::UnboundedReceiver<Arrival>,
    ) {
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                Some(handed) = handed.recv() => {
                    self.take(handed);
                    continue;
                }
                Some(_) = self.tasks.join_next() => continue,
            };
            match command {
                Some(Command::Listen {
                    name,
                    sockets,
                    gate,
                    stats,
                }) => self.listen(name, sockets, &gate, &stats),
                Some(Command::Close { name, drain }) => self.close(&name, drain),
                Some(Command::Drain {
                    drain,
                    backlog,
                    done,
                }) => {
                    self.stop_all(backlog);
                    let cut = self.drain(drain, &mut commands, &mut handed).await;
                    // Who asked may have gone; the drain is done all the same.
                    let _heard = done.send(cut);
                    return;
                }
                Some(Command::Cut) => self.connections.cut(),
                None => return,
            }
        }
    }

    fn listen(
        &mut self,
        name: Arc<str>,
        sockets: Vec<TcpListener>,
        gate: &Arc<Gate>,
        stats: &Arc<ListenerStats>,
    ) {
        let stop = Stop::default();
        self.n_listenings += 1;
        let id = self.n_listenings;
        for socket in sockets {
            let local = socket.local_addr();
            let socket = match listening(socket) {
                Ok(socket) => socket,
                Err(error) => {
                    warn!(listener = %name, %error, "cannot accept");
                    continue;
                }
            };
            let acceptor = Acceptor {
                index: self.index,
                listening: id,
                local: local.ok().filter(|it| !it.ip().is_unspecified()),
                settings: RefCell::new(self.service.settings(&name)),
                name: Arc::clone(&name),
                crew: Arc::clone(&self.crew),
                service: self.service.clone(),
                connections: Rc::clone(&self.connections),
                stats: Arc::clone(stats),
            };
            let accepting = accept(
                socket,
                Arc::clone(gate),
                stop.clone(),
                move |stream, address, permit| {
                    acceptor.accepted(stream, address, permit);
                },
            );
            self.tasks.spawn_local(accepting);
        }
        if let Some(former) = self.accepting.insert(name, Accepting { id, stop }) {
            former.stop.call();
        }
        for early in std::mem::take(&mut self.early) {
            self.take(early);
        }
    }

    fn close(&mut self, name: &Arc<str>, drain: Option<Drain>) {
        let Some(former) = self.accepting.remove(name) else {
            return;
        };
        former.stop.call();
        if let Some(drain) = drain {
            let (connections, name) = (Rc::clone(&self.connections), Arc::clone(name));
            self.tasks.spawn_local(async move {
                let cut = connections.drain(Some(former.id), drain).await;
                info!(listener = %name, cut, "listener drained");
            });
        }
    }

    fn stop_all(&self, backlog: Backlog) {
        self.crew.leave(self.index);
        for accepting in self.accepting.values() {
            match backlog {
                Backlog::Ours => accepting.stop.call(),
                Backlog::Theirs => accepting.stop.leave_the_rest(),
            }
        }
    }

    /// Drains all connections; gives how many had to be cut.
    async fn drain(
        &mut self,
        drain: Drain,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        handed: &mut mpsc::UnboundedReceiver<Arrival>,
    ) -> usize {
        let mut n_cut = 0;
        loop {
            let connections = Rc::clone(&self.connections);
            let drained = connections.drain(None, drain);
            tokio::pin!(drained);
            n_cut += loop {
                tokio::select! {
                    cut = &mut drained => break cut,
                    // It was on its way here when the others had not heard yet.
                    Some(handed) = handed.recv() => self.take(handed),
                    Some(command) = commands.recv() => {
                        if let Command::Cut = command {
                            connections.cut();
                        }
                    }
                }
            };
            // From here on whoever would hand something over keeps it.
            handed.close();
            let mut is_last = true;
            while let Ok(late) = handed.try_recv() {
                is_last = false;
                self.take(late);
            }
            if is_last {
                return n_cut;
            }
        }
    }
}

/// What an accepted connection needs.
struct Acceptor<V> {
    index: usize,
    crew: Arc<Crew>,
    listening: u64,
    /// The address of whatever it accepts, unless each has to be asked for its own.
    local: Option<SocketAddr>,
    /// The last settings: a listener that is being given up has none any more.
    settings: RefCell<Option<Arc<Settings>>>,
    name: Arc<str>,
    service: V,
    connections: Rc<Connections>,
    stats: Arc<ListenerStats>,
}

impl<V: Service> Acceptor<V> {
    fn accepted(&self, stream: TcpStream, address: SocketAddr, permit: Permit) {
        if let Some(settings) = self.service.settings(&self.name) {
            *self.settings.borrow_mut() = Some(settings);
        }
        let Some(settings) = self.settings.borrow().clone() else {
            return;
        };
        let overload = &settings.overload;
        let refused = match () {
            () if overload.refuses() => Some(RejectReason::Overload),
            () if overload.is_full(|| self.crew.n_open()) => Some(RejectReason::Limit),
            () => None,
        };
        if let Some(reason) = refused {
            self.stats.shard(self.index).connection_rejected(reason);
            return;
        }
        let arrival = Arrival {
            stream,
            address,
            local: self.local,
            listener: Arc::clone(&self.name),
            settings,
            stats: Arc::clone(&self.stats),
            permit,
            seat: self.crew.seat(self.index),
        };
        let (service, connections) = (&self.service, &self.connections);
        let here = self.index;
        if let Some(arrival) = self.crew.hand(arrival, here) {
            begin(arrival, here, service, connections, Some(self.listening));
        }
    }
}
