//! The stream of an extended CONNECT (RFC 8441) of HTTP/2: a tunnel for bytes both ways, once it is
//! answered with 200.
//!
//! hyper sends by a task of its own, which this module watches and can stop: only so a reset by the
//! client is noticed while nothing is to be sent, and only so a tunnel that broke is reset, which
//! is what stands for a TCP connection's reset (RFC 8441, section 5).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream of an extended CONNECT that has not been answered; it comes with the request, among
/// its extensions.
#[derive(Clone, Debug)]
pub struct Connect {
    upgrade: OnUpgrade,
    sending: Arc<Sending>,
}

impl Connect {
    /// Makes it of what hyper gives with the request.
    pub(crate) fn new(upgrade: OnUpgrade) -> Self {
        Self {
            upgrade,
            sending: Arc::default(),
        }
    }

    /// Its sending side, for who runs it.
    pub(crate) fn sending(&self) -> &Arc<Sending> {
        &self.sending
    }

    /// Waits until it was answered with 200.
    ///
    /// # Errors
    /// When the client took it back before.
    pub async fn open(self) -> hyper::Result<ConnectStream> {
        Ok(ConnectStream {
            inner: TokioIo::new(self.upgrade.await?),
            sending: self.sending,
            is_ending: false,
            has_ended: false,
        })
    }
}

/// The sending side of a stream, as the tunnel and hyper's task for it see it. Both are on one
/// worker; the lock is for extensions, which must be fit for any thread.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The task has ended, whatever it was that ended it.
    ended: bool,
    /// The task is to end at once.
    stopped: bool,
    task: Option<Waker>,
    tunnel: Option<Waker>,
}

impl Sending {
    /// Runs hyper's task until it ends or is stopped; dropped, it has ended as well.
    pub(crate) async fn run(self: Arc<Self>, task: impl Future<Output = ()>) {
        let _end = End(Arc::clone(&self));
        let mut task = pin!(task);
        poll_fn(|context| {
            let stopped = self.with(|state| {
                note(&mut state.task, context);
                state.stopped
            });
            if stopped {
                return Poll::Ready(());
            }
            task.as_mut().poll(context)
        })
        .await;
    }

    /// True when nothing is sent any more; otherwise the tunnel is woken when that is so.
    fn has_ended(&self, context: &Context<'_>) -> bool {
        self.with(|state| {
            note(&mut state.tunnel, context);
            state.ended
        })
    }

    /// Ends the task without an end of the stream: what is not sent by then is lost.
    fn stop(&self) {
        self.with(|state| {
            state.stopped = true;
            state.task.take()
        })
        .inspect(Waker::wake_by_ref);
    }

    fn end(&self) {
        self.with(|state| {
            state.ended = true;
            state.tunnel.take()
        })
        .inspect(Waker::wake_by_ref);
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps the waker of who is polled.
fn note(waker: &mut Option<Waker>, context: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(context.waker()),
        None => *waker = Some(context.waker().clone()),
    }
}

/// Notes the end of a task, also of one that is dropped.
struct End(Arc<Sending>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The stream of an extended CONNECT that was answered with 200.
///
/// Dropped before it was shut down, it is reset.
#[derive(Debug)]
pub struct ConnectStream {
    inner: TokioIo<Upgraded>,
    sending: Arc<Sending>,
    /// Its shutting down has begun.
    is_ending: bool,
    /// It has been shut down.
    has_ended: bool,
}

impl ConnectStream {
    /// Fails once the client has reset the stream, or is gone.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        if self.sending.has_ended(context) && !self.is_ending {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for ConnectStream {
    fn drop(&mut self) {
        if !self.has_ended {
            self.sending.stop();
        }
    }
}

impl AsyncRead for ConnectStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper takes a reset with CANCEL for an end.
        self.check(context)?;
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for ConnectStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_ending = true;
        let outcome = ready!(Pin::new(&mut self.inner).poll_shutdown(context));
        self.has_ended = true;
        Poll::Ready(outcome)
    }
}
