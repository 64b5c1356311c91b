//! Accepting: from a listening socket to connections, no more of them than are allowed.
//!
//! A listener that has all the connections it may have stops accepting until one closes, and so
//! does one that runs out of descriptors or memory. Of descriptors a part is left to others, without
//! which those who came could not be served: upstreams, files, the admin listener. Nobody is turned
//! away: new clients wait in the
//! kernel's backlog, as they do with HAProxy's `maxconn`. Each worker that waits for its turn holds
//! one connection that is accepted already and has no permit yet; only so can no worker keep a
//! place free for a client that the kernel gives to another worker. Every closing connection wakes
//! all that wait, so a free place never goes unseen.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use rustix::process::{Resource, getrlimit};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::message::LOCAL;
use crate::telemetry::stats::{ListenerStats, PauseReason};

/// How many connections are accepted before other tasks of the worker get their turn: a flood of
/// new connections must not starve the open ones.
const N_IN_A_ROW: u32 = 64;

/// How long accepting rests after the first failure for want of descriptors or memory; each further
/// failure doubles it. A connection that closes ends the rest at once.
const FIRST_REST: Duration = Duration::from_millis(10);

/// The longest rest: what is wanting may be given back by another process, which wakes nobody.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Of so many descriptors one is left to others.
const LEFT_TO_OTHERS: u64 = 4;

/// How often, at most, a worker says that it cannot accept.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How many connections that wait in the backlog are still taken when accepting stops: as many as
/// may wait there.
const LAST_CALL: usize = 4096;

/// How many connections a listener has and may have, over all workers.
///
/// A worker touches it when a connection opens and closes, never for a request.
#[derive(Debug)]
pub struct Gate {
    /// The listener's numbers, where pauses are counted.
    stats: Arc<ListenerStats>,
    limit: AtomicUsize,
    n_open: AtomicUsize,
    freed: Notify,
}

/// A connection's place among those of its listener; dropping it frees the place.
///
/// Drop it after the connection's socket: whoever waits for the place may want the descriptor.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
}

/// Tells when to stop accepting, to whoever has a clone of it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    called: CancellationToken,
    /// Another process has the same sockets.
    succeeded: CancellationToken,
}

impl Stop {
    /// Stops; who waits in a queue is still let in.
    pub fn call(&self) {
        self.called.cancel();
    }

    /// Stops where another process goes on: who waits in a queue is let in there.
    pub fn leave_the_rest(&self) {
        self.succeeded.cancel();
        self.called.cancel();
    }
}

impl Gate {
    /// Makes the gate of the listener with these numbers, for so many connections at a time.
    pub fn new(stats: Arc<ListenerStats>, limit: usize) -> Self {
        Self {
            stats,
            limit: AtomicUsize::new(limit),
            n_open: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Changes the limit. Connections over a lower one stay; they only let nobody follow.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::SeqCst);
        self.freed.notify_waiters();
    }

    /// How many connections there are now.
    pub fn n_open(&self) -> usize {
        self.n_open.load(Ordering::SeqCst)
    }

    fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        let limit = self.limit.load(Ordering::SeqCst);
        self.n_open
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n_open| {
                (n_open < limit).then_some(n_open + 1)
            })
            .ok()
            .map(|_| Permit {
                gate: Arc::clone(self),
            })
    }

    /// Enters whether there is a place or not.
    fn enter_last(self: &Arc<Self>) -> Permit {
        self.n_open.fetch_add(1, Ordering::SeqCst);
        Permit {
            gate: Arc::clone(self),
        }
    }

    /// Enters as soon as there is a place.
    async fn enter(self: &Arc<Self>) -> Permit {
        loop {
            // It listens from here on, so a place that is freed after the look is not missed.
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(permit) = self.try_enter() {
                return permit;
            }
            freed.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.n_open.fetch_sub(1, Ordering::SeqCst);
        self.gate.freed.notify_waiters();
    }
}

/// A socket whose connections can be waited for.
///
/// # Errors
/// When the system has no memory for that.
pub(crate) fn listening(socket: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    #[expect(
        deprecated,
        reason = "it asks no promise, and needs none: the listener owns its socket"
    )]
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Accepts connections and hands each on, with its peer's address and its permit, until `stop`. They
/// are non-blocking, and nothing waits for them yet.
///
/// The address of an IPv4 client is an IPv4 address, whatever the socket. When it stops, what waits
/// in the backlog is handed on as far as the gate lets it in, so that a client which has connected
/// is not reset, unless another process has the backlog, too; then the socket is closed. A connection
/// that is accepted and waits for its turn is handed on in any case: nobody else has it.
pub async fn accept(
    listener: AsyncFd<TcpListener>,
    gate: Arc<Gate>,
    stop: Stop,
    mut on_connection: impl FnMut(TcpStream, SocketAddr, Permit),
) {
    let poll_accept = |context: &mut Context<'_>| poll_accept(&listener, context);
    let bound = descriptors();
    let fits = |stream: &mut TcpStream| fits(stream, bound);
    serve(poll_accept, fits, &gate, &stop.called, &mut on_connection).await;
    // Not registered any more, for where another process has it, its closing would not do that.
    let listener = listener.into_inner();
    if !stop.succeeded.is_cancelled() {
        // Asks the kernel itself: the runtime may not know yet that somebody waits.
        empty_backlog(&listener, &gate, &mut on_connection);
    }
}

/// The loop of [`accept`], over anything that accepts.
async fn serve<S>(
    mut poll_accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<(S, SocketAddr)>>,
    mut fits: impl FnMut(&mut S) -> bool,
    gate: &Arc<Gate>,
    stop: &CancellationToken,
    on_connection: &mut impl FnMut(S, SocketAddr, Permit),
) {
    let mut stopped = pin!(stop.cancelled());
    let mut rests = Rests {
        gate,
        next: FIRST_REST,
        logged_at: None,
    };
    let mut n_in_a_row = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped.as_mut() => return,
            accepted = poll_fn(&mut poll_accept) => accepted,
        };
        match accepted {
            Ok((mut stream, peer)) => {
                while !fits(&mut stream) {
                    let full = io::Error::from(Errno::MFILE);
                    if !rests.rest(&full, stopped.as_mut()).await {
                        break;
                    }
                }
                rests.next = FIRST_REST;
                let permit = permit(gate, stopped.as_mut()).await;
                on_connection(stream, canonical(peer), permit);
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                if !rests.rest(&error, stopped.as_mut()).await {
                    return;
                }
            }
        }
        n_in_a_row += 1;
        if n_in_a_row == N_IN_A_ROW {
            n_in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Rests for want of descriptors or memory.
struct Rests<'a> {
    gate: &'a Gate,
    /// How long the next one is.
    next: Duration,
    logged_at: Option<Instant>,
}

impl Rests<'_> {
    /// Rests until a connection closes, or for a while; false when accepting stops meanwhile.
    async fn rest(
        &mut self,
        error: &io::Error,
        stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> bool {
        let gate = self.gate;
        gate.stats.paused(PauseReason::Resources);
        let now = Instant::now();
        if self.logged_at.is_none_or(|at| LOG_INTERVAL <= now - at) {
            self.logged_at = Some(now);
            let listener = gate.stats.listener();
            warn!(%listener, %error, n_open = gate.n_open(), "accepting pauses");
        }
        let goes_on = tokio::select! {
            () = stopped => false,
            () = gate.freed.notified() => true,
            () = tokio::time::sleep(self.next) => true,
        };
        self.next = LONGEST_REST.min(self.next * 2);
        goes_on
    }
}

/// The first descriptor that is left to others.
fn descriptors() -> i32 {
    let all = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    i32::try_from(all - all / LEFT_TO_OTHERS).unwrap_or(i32::MAX)
}

/// Tells whether a connection's descriptor is one of those that connections may have, and gives it
/// such a one if there is one by now. The kernel gives the lowest that is free, so none lower than a
/// high one was.
fn fits(stream: &mut TcpStream, bound: i32) -> bool {
    if stream.as_raw_fd() < bound {
        return true;
    }
    match stream.try_clone() {
        Ok(lower) => {
            *stream = lower;
            stream.as_raw_fd() < bound
        }
        Err(_) => false,
    }
}

fn poll_accept(
    listener: &AsyncFd<TcpListener>,
    context: &mut Context<'_>,
) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
    loop {
        let mut ready = ready!(listener.poll_read_ready(context))?;
        if let Ok(accepted) = ready.try_io(|listener| accept_one(listener.get_ref())) {
            return Poll::Ready(accepted);
        }
    }
}

fn accept_one(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, peer) = acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    // Clients of a UNIX socket have none.
    Ok((socket.into(), peer.unwrap_or(LOCAL)))
}

/// Gets a permit, at once, or when there is a place, or when accepting stops.
async fn permit(gate: &Arc<Gate>, stopped: Pin<&mut impl Future<Output = ()>>) -> Permit {
    if let Some(permit) = gate.try_enter() {
        return permit;
    }
    gate.stats.paused(PauseReason::Limit);
    tokio::select! {
        biased;
        () = stopped => gate.enter_last(),
        permit = gate.enter() => permit,
    }
}

/// Hands on what the kernel has accepted for a listener that stops.
fn empty_backlog(
    listener: &TcpListener,
    gate: &Arc<Gate>,
    on_connection: &mut impl FnMut(TcpStream, SocketAddr, Permit),
) {
    for _ in 0..LAST_CALL {
        let Some(permit) = gate.try_enter() else {
            return;
        };
        match accept_one(listener) {
            Ok((stream, peer)) => on_connection(stream, canonical(peer), permit),
            Err(error) if concerns_one_client(&error) => {}
            Err(_) => return,
        }
    }
}

/// An IPv4 client of an IPv6 socket comes as `::ffff:a.b.c.d`; everybody else knows it by its IPv4
/// address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// True when accepting failed for one client and may go on with the next. Linux passes errors of
/// the new connection's network on as errors of accepting (accept(2), "Error handling"). Any other
/// error is the listener's, so the loop must rest, or it would spin.
fn concerns_one_client(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| {
        [
            Errno::CONNABORTED,
            Errno::CONNRESET,
            Errno::HOSTDOWN,
            Errno::HOSTUNREACH,
            Errno::INTR,
            Errno::NETDOWN,
            Errno::NETUNREACH,
            Errno::NONET,
            Errno::NOPROTOOPT,
            Errno::OPNOTSUPP,
            // A firewall's doing.
            Errno::PERM,
            Errno::PROTO,
            Errno::TIMEDOUT,
        ]
        .contains(&errno)
    })
}
