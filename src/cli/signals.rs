//! What a command that goes on is told by signals: to end, to pause, that the terminal has changed.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::cli::output::Failure;

/// What ends a command: Ctrl-C, a signal, or its time.
pub(in crate::cli) struct Ends {
    signals: [Signal; 3],
    at: Option<Instant>,
}

impl Ends {
    /// Begins to watch; from now on these signals do nothing else.
    pub(in crate::cli) fn new(after: Option<Duration>) -> Result<Self, Failure> {
        Ok(Self {
            signals: [
                watch(SignalKind::interrupt())?,
                watch(SignalKind::terminate())?,
                watch(SignalKind::hangup())?,
            ],
            at: after.map(|after| Instant::now() + after),
        })
    }

    /// Waits for the end.
    pub(in crate::cli) async fn come(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        let time = async {
            match self.at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = time => {}
        }
    }
}

/// What happens to the terminal of a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Told {
    /// Its user wants the command to pause (Ctrl-Z).
    Pause,
    /// It has another size.
    Resized,
}

/// The signals about the terminal.
pub(in crate::cli) struct Terminal {
    pause: Signal,
    resized: Signal,
}

impl Terminal {
    /// Begins to watch.
    pub(in crate::cli) fn new() -> Result<Self, Failure> {
        Ok(Self {
            pause: watch(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            resized: watch(SignalKind::window_change())?,
        })
    }

    /// Waits for the next.
    pub(in crate::cli) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.pause.recv() => Told::Pause,
            _ = self.resized.recv() => Told::Resized,
        }
    }
}

fn watch(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::Refused(format!("cannot watch signals: {error}")))
}
