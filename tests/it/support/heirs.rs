//! The processes that take over from a proxy under test; they end with the test.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::command::{self, Output};
use crate::support::proxy::Proxy;
use crate::support::wait;

/// All processes that have taken over from a proxy, or are about to.
pub(crate) struct Heirs {
    /// The proxy's directory, which is among their arguments.
    dir: PathBuf,
    /// Those that have other arguments.
    others: Vec<Pid>,
}

/// The processes that will take over from a proxy. To be had before there are any: whatever fails,
/// they end with the test.
pub(crate) fn of(proxy: &Proxy) -> Heirs {
    Heirs {
        dir: proxy.dir().to_path_buf(),
        others: Vec::new(),
    }
}

impl Heirs {
    /// Has the instance replaced that serves now; gives the new process.
    pub(crate) async fn upgrade(&self, proxy: &Proxy) -> Pid {
        let output = try_upgrade(proxy).await;
        assert_eq!(output.code, 0, "{output:?}");
        let answer: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        let pid = answer["pid"]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok());
        process(pid.expect("a process"))
    }

    /// Waits until another process than this one serves; gives it.
    pub(crate) async fn other_than(&self, former: u32, proxy: &Proxy) -> Pid {
        let mut pid = former;
        wait::until("another process", async || {
            pid = u32::try_from(proxy.status().await["pid"].as_u64().expect("a process"))
                .expect("a process");
            pid != former
        })
        .await;
        process(i32::try_from(pid).expect("a process"))
    }

    /// Adds one that has to end with the test.
    pub(crate) fn add(&mut self, pid: i32) -> Pid {
        self.others.push(process(pid));
        process(pid)
    }

    fn all(&self) -> Vec<Pid> {
        let mut all = self.others.clone();
        let dir = self.dir.to_str().expect("a path");
        for entry in fs::read_dir("/proc").expect("processes").flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok());
            let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&arguments).contains(dir) {
                all.extend(pid.and_then(Pid::from_raw));
            }
        }
        all
    }
}

fn process(pid: i32) -> Pid {
    Pid::from_raw(pid).expect("a process")
}

impl Drop for Heirs {
    fn drop(&mut self) {
        for pid in self.all() {
            // It may have ended meanwhile.
            kill_process(pid, Signal::KILL).unwrap_or_default();
        }
    }
}

/// Asks for an upgrade as a user does, whatever comes of it.
pub(crate) async fn try_upgrade(proxy: &Proxy) -> Output {
    command::run(&["upgrade", "--json", "--admin", &proxy.admin_url()]).await
}

/// Waits for the end of a process that is no child of the test.
pub(crate) async fn ended(pid: Pid) {
    wait::until("the end of a process", async || {
        let state = fs::read_to_string(format!("/proc/{pid}/status"));
        // Where nobody reaps it, it stays behind as a zombie.
        test_kill_process(pid).is_err() || state.is_ok_and(|state| state.contains("\nState:\tZ"))
    })
    .await;
}
