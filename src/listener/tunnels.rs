//! The tunnels that streams of one HTTP/2 connection have become, each in a task of its own. They
//! end with their connection.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::listener::LINGER;

/// The tunnels of one connection. Dropped, it cuts them.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    tasks: RefCell<JoinSet<()>>,
}

impl Tunnels {
    /// Runs one.
    pub(crate) fn run(&self, tunnel: Pin<Box<dyn Future<Output = ()>>>) {
        self.tasks.borrow_mut().spawn_local(tunnel);
    }

    /// True while there is none; forgets those that ended.
    pub(crate) fn is_empty(&self) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.is_empty()
    }

    /// Ends them after their connection: they notice that it is gone, and end by themselves, so that
    /// they know by whose doing. One that does not is cut.
    pub(crate) async fn end(self) {
        let mut tasks = self.tasks.take();
        let all = async { while tasks.join_next().await.is_some() {} };
        let _in_time = timeout(LINGER, all).await;
    }
}
