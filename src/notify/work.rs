//! Work that somebody else's closure begins and that is awaited here.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future without a name of its own.
pub struct Work<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> Work<T> {
    /// Boxes a future.
    pub fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl<T> Future for Work<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.0.as_mut().poll(context)
    }
}

impl<T> fmt::Debug for Work<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Work(…)")
    }
}
