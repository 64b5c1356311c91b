//! What the process is told by signals.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::telemetry::Telemetry;

/// The signals that are obeyed.
pub(crate) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// Logs are rotated.
    user1: Signal,
    /// Another process takes over.
    user2: Signal,
}

impl Signals {
    /// Begins to watch; from now on these signals do nothing else.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End { patient: true },
            _ = self.quit.recv() => Told::End { patient: true },
            _ = self.interrupt.recv() => Told::End { patient: false },
            _ = self.hangup.recv() => Told::Reload,
            _ = self.user1.recv() => Told::ReopenLogs,
            _ = self.user2.recv() => Told::Upgrade,
        }
    }

    /// Waits for a signal that ends the process; logs are rotated meanwhile.
    pub(crate) async fn end(&mut self, telemetry: &Telemetry) {
        loop {
            match self.next().await {
                Told::End { .. } => return,
                Told::ReopenLogs => telemetry.access_logs().reopen(),
                Told::Reload | Told::Upgrade => {}
            }
        }
    }
}

/// What a signal asks for.
pub(crate) enum Told {
    /// To reload.
    Reload,
    /// To open the files of logs anew.
    ReopenLogs,
    /// To let another process take over.
    Upgrade,
    /// To end. Patience is for whoever sends traffic here and has to be turned away first; a
    /// person at a terminal has none.
    End { patient: bool },
}
