//! The streams of one HTTP/2 connection: a task for each that is answered, and for each tunnel that
//! one has become. They run on the connection's worker and end with it at the latest.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::listener::LINGER;
use crate::listener::connect::Sending;
use crate::listener::stall::Notes;

/// The streams of one connection. Dropped, it cuts them.
pub(crate) struct Streams {
    runner: Runner,
}

/// What runs them, for all who have something to run; it holds itself through what it runs.
#[derive(Clone)]
pub(crate) struct Runner {
    inner: Rc<Inner>,
}

struct Inner {
    /// What hyper runs.
    tasks: RefCell<JoinSet<()>>,
    tunnels: RefCell<JoinSet<()>>,
    /// The sending side of the tunnel that is about to be opened.
    opening: RefCell<Option<Arc<Sending>>>,
    notes: Notes,
    /// How long a client may take nothing of an answer.
    patience: Duration,
}

impl Streams {
    /// Makes them, none as yet.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            runner: Runner {
                inner: Rc::new(Inner {
                    tasks: RefCell::default(),
                    tunnels: RefCell::default(),
                    opening: RefCell::default(),
                    notes: Notes::default(),
                    patience,
                }),
            },
        }
    }

    /// What runs them.
    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// How many there are; forgets those that ended.
    pub(crate) fn n_running(&self) -> usize {
        self.runner.n_running()
    }

    /// Ends them after their connection. Tunnels notice that it is gone, and end by themselves.
    pub(crate) async fn end(self) {
        let mut tasks = self.runner.inner.tasks.take();
        tasks.shutdown().await;
        let mut tunnels = self.runner.inner.tunnels.take();
        let all = async { while tunnels.join_next().await.is_some() {} };
        // One that does not is cut.
        let _in_time = timeout(LINGER, all).await;
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        drop(self.runner.inner.tunnels.take());
        drop(self.runner.inner.tasks.take());
    }
}

impl Runner {
    fn n_running(&self) -> usize {
        let count = |tasks: &RefCell<JoinSet<()>>| {
            let mut tasks = tasks.borrow_mut();
            while tasks.try_join_next().is_some() {}
            tasks.len()
        };
        count(&self.inner.tasks) + count(&self.inner.tunnels)
    }

    /// Notes that tell who a stream waits for.
    pub(crate) fn notes(&self) -> &Notes {
        &self.inner.notes
    }

    /// Runs a tunnel. To be called directly before the answer that opens it is given to hyper, which
    /// then has its sending side run.
    pub(crate) fn tunnel(&self, sending: Arc<Sending>, tunnel: Pin<Box<dyn Future<Output = ()>>>) {
        *self.inner.opening.borrow_mut() = Some(sending);
        self.inner.tunnels.borrow_mut().spawn_local(tunnel);
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Runner {
    fn execute(&self, task: F) {
        self.n_running();
        let inner = &self.inner;
        let mut tasks = inner.tasks.borrow_mut();
        match inner.opening.take() {
            Some(sending) => {
                tasks.spawn_local(sending.run(task));
            }
            None => {
                tasks.spawn_local(inner.notes.until_stalled(task, inner.patience));
            }
        }
    }
}
