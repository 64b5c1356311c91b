//! Plain TCP streams over io_uring, one ring for each worker.
//!
//! A [`Stream`] is read and written as any other, so that nobody above knows of it; below it is one
//! system call for many reads and writes. What is small goes through the ring: a read waits there
//! without a buffer and gets one of the worker's when bytes come, and a write is copied and on its
//! way when it returns. What is large does not, for there the copy would cost more than the call
//! saves: the ring only tells when a plain call will do something, or the reactor does for a while.

mod driver;
mod handle;
mod kernel;
mod slot;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::ready;

use crate::ring::driver::Driver;
use crate::ring::kernel::Kernel;

pub use crate::ring::stream::Stream;

/// By what a worker reads and writes its plain connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// A call for each, when epoll tells that it will do something.
    Epoll,
    /// A ring, which takes many at a time.
    IoUring,
}

impl Backend {
    /// The word for it, that of the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::IoUring => "io_uring",
        }
    }
}

thread_local! {
    static DRIVER: RefCell<Option<Driver>> = const { RefCell::new(None) };
}

/// Tells whether this process may use io_uring as it is wanted here.
///
/// # Errors
/// What the kernel says: it may be too old (before Linux 6.0), or forbid it, as the seccomp
/// profiles of most containers do.
pub fn probe() -> io::Result<()> {
    Kernel::new().map(drop)
}

/// Makes the ring of this thread.
///
/// # Errors
/// As [`probe`].
pub fn start() -> io::Result<()> {
    let driver = Driver::new(Kernel::new()?);
    DRIVER.set(Some(driver));
    Ok(())
}

/// True when this thread has a ring.
pub fn is_on() -> bool {
    DRIVER.with_borrow(Option::is_some)
}

/// Gives the kernel what is to be done, and takes what it did; for when the thread is about to
/// wait, and when it has waited.
pub fn turn() {
    DRIVER.with_borrow_mut(|driver| {
        if let Some(driver) = driver {
            driver.turn();
        }
    });
}

/// Does so whenever there is something to be done, for as long as the worker lives. Without a ring
/// it ends at once.
///
/// # Errors
/// When the runtime cannot wait for the ring.
pub async fn run() -> io::Result<()> {
    let Some(ready) = DRIVER.with_borrow(|driver| driver.as_ref().map(Driver::ready)) else {
        return Ok(());
    };
    let ready = ready?;
    poll_fn(|context| {
        DRIVER.with_borrow_mut(|driver| {
            if let Some(driver) = driver {
                driver.turn();
                driver.wake_by(context.waker());
            }
        });
        loop {
            // The turn comes after what was noted is forgotten, so that nothing is missed.
            ready!(ready.poll_read_ready(context))?.clear_ready();
            turn();
        }
    })
    .await
}

fn try_with(act: impl FnOnce(&mut Driver)) {
    // A thread that ends has nothing to be woken for.
    let _gone = DRIVER.try_with(|driver| driver.borrow_mut().as_mut().map(act));
}

fn with<T>(act: impl FnOnce(&mut Driver) -> T) -> T {
    DRIVER.with_borrow_mut(|driver| {
        act(driver
            .as_mut()
            .expect("a thread with streams has their ring"))
    })
}
