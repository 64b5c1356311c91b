//! The proxy of the demo: this very executable as a child process, with a file of its own.

use std::fs::{DirBuilder, File};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use crate::admin::wire::Status;
use crate::cli::client::{Address, Client};
use crate::cli::output::Failure;

/// Starting takes milliseconds; a debug build on a busy machine may take a second.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an edit may take to be live before the demo says that it is not.
const LIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Ending takes no longer than the drain of `[shutdown]` in the file below, and a little more.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to look while waiting: the precision of the times that are shown.
const LOOK: Duration = Duration::from_millis(1);

/// A running proxy and the directory that it lives in. Dropping it ends the one and removes the
/// other.
pub(in crate::cli::demo) struct Proxy {
    child: Child,
    directory: PathBuf,
    program: PathBuf,
    addresses: Addresses,
    admin: Client,
}

/// Where the proxy of the demo listens.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli::demo) struct Addresses {
    /// For clients.
    pub(in crate::cli::demo) http: SocketAddr,
    /// For the admin API.
    pub(in crate::cli::demo) admin: SocketAddr,
}

/// What became of an edit of the file.
pub(in crate::cli::demo) enum Edit {
    /// It is obeyed, so long after the file was in its place.
    Live(Division, Duration),
    /// It is not obeyed.
    NotLive,
}

/// How the proxy divides the traffic, as it says itself: stable, then canary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli::demo) struct Division {
    /// The weights.
    pub(in crate::cli::demo) weights: [u32; 2],
    /// The shares, 0 to 1.
    pub(in crate::cli::demo) shares: [f64; 2],
}

impl Division {
    /// Reads it from a status; none when the route or a variant of it has another name by now.
    fn of(status: &Status) -> Option<Self> {
        let variants = &status.routes.get("shop")?.variants;
        let (stable, canary) = (variants.get("stable")?, variants.get("canary")?);
        Some(Self {
            weights: [stable.weight, canary.weight],
            shares: [stable.share, canary.share],
        })
    }
}

impl Proxy {
    /// Starts it with a configuration and waits until it serves.
    pub(in crate::cli::demo) async fn start(config: &str) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::Refused(format!("cannot find this program: {error}")))?;
        let directory = make_directory()?;
        // From here on, whatever fails leaves nothing behind.
        let directory = Removed(Some(directory));
        let path = directory.path();
        std::fs::write(path.join("tidegate.toml"), config).map_err(cannot("write"))?;
        let log = File::create(path.join("proxy.log")).map_err(cannot("write"))?;
        let mut child = Command::new(&program)
            .arg("run")
            .arg("--config")
            .arg(path.join("tidegate.toml"))
            .arg("--ready-file")
            .arg(path.join("ready"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(cannot("write"))?)
            .stderr(log)
            // A group of its own: Ctrl-C is for the demo, which ends the proxy after its clients.
            .process_group(0)
            .spawn()
            .map_err(cannot("start the proxy"))?;
        match wait_ready(&mut child, path).await {
            Ok(addresses) => Ok(Self {
                child,
                directory: directory.keep(),
                program,
                addresses,
                admin: client_of(addresses)?,
            }),
            Err(failure) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(failure)
            }
        }
    }

    /// Where it listens.
    pub(in crate::cli::demo) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its configuration.
    pub(in crate::cli::demo) fn file(&self) -> PathBuf {
        self.directory.join("tidegate.toml")
    }

    /// The folder that it lives in.
    pub(in crate::cli::demo) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its admin API.
    pub(in crate::cli::demo) fn admin(&self) -> &Client {
        &self.admin
    }

    /// How to call this program from the directory that the user is in.
    pub(in crate::cli::demo) fn program(&self) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        match self.program.strip_prefix(&here) {
            Ok(relative) => format!("./{}", relative.display()),
            Err(_) => self.program.display().to_string(),
        }
    }

    /// Fails when it has ended by itself.
    pub(in crate::cli::demo) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(ended(status, &self.directory)),
            Err(error) => Err(cannot("watch the proxy")(error)),
        }
    }

    /// How it divides the traffic now, if that can be told.
    pub(in crate::cli::demo) async fn division(&self) -> Option<Division> {
        let answer = self.admin.get("/api/v1/status").await.ok()?;
        Division::of(&answer.value().ok()?)
    }

    /// Edits the weights in the file, as automation would: a new file is written beside it and
    /// renamed over it. Then waits until it is live.
    pub(in crate::cli::demo) async fn set_weights(
        &mut self,
        weights: [u32; 2],
    ) -> Result<Edit, Failure> {
        let file = self.file();
        let text = std::fs::read_to_string(&file).map_err(cannot("read the file"))?;
        let text = with_weights(&text, weights);
        let beside = self.directory.join("tidegate.toml.new");
        std::fs::write(&beside, &text).map_err(cannot("write"))?;
        std::fs::rename(&beside, &file).map_err(cannot("write"))?;
        let edited = Instant::now();
        let wanted: String = Sha256::digest(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        while edited.elapsed() < LIVE_TIMEOUT {
            let status: Status = self.admin.get("/api/v1/status").await?.value()?;
            if status.config_sha256 == wanted
                && let Some(division) = Division::of(&status)
            {
                return Ok(Edit::Live(division, edited.elapsed()));
            }
            self.check()?;
            sleep(LOOK).await;
        }
        Ok(Edit::NotLive)
    }

    /// Ends it as an operator would, by SIGTERM, and waits for its end.
    pub(in crate::cli::demo) async fn stop(&mut self) -> Result<(), Failure> {
        self.check()?;
        if let Some(process) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(process, Signal::TERM)
                .map_err(|error| cannot("end the proxy")(error.into()))?;
        }
        let asked = Instant::now();
        while asked.elapsed() < STOP_TIMEOUT {
            match self.child.try_wait().map_err(cannot("watch the proxy"))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(ended(status, &self.directory)),
                None => sleep(LOOK * 10).await,
            }
        }
        Err(Failure::Refused("the proxy did not end in time".to_owned()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both do nothing to a child that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A directory that is removed unless it is kept.
struct Removed(Option<PathBuf>);

impl Removed {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    fn keep(mut self) -> PathBuf {
        self.0.take().unwrap_or_default()
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

fn cannot(what: &str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Refused(format!("cannot {what}: {error}"))
}

fn ended(status: std::process::ExitStatus, directory: &Path) -> Failure {
    let log = std::fs::read_to_string(directory.join("proxy.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(10)..].join("\n  ");
    Failure::Refused(format!(
        "the proxy ended with {status}; its last words:\n  {last}"
    ))
}

/// Makes a directory that nobody else can write to, under a name that nobody has taken.
fn make_directory() -> Result<PathBuf, Failure> {
    let process = std::process::id();
    for n in 0..100 {
        let path = std::env::temp_dir().join(format!("tidegate-demo-{process}-{n}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot("make a directory")(error)),
        }
    }
    Err(Failure::Refused(format!(
        "no free directory name in {}",
        std::env::temp_dir().display()
    )))
}

fn client_of(addresses: Addresses) -> Result<Client, Failure> {
    let address = Address {
        admin: format!("http://{}", addresses.admin),
        token_file: None,
    };
    Client::of(&address, START_TIMEOUT)
}

async fn wait_ready(child: &mut Child, directory: &Path) -> Result<Addresses, Failure> {
    let started = Instant::now();
    while started.elapsed() < START_TIMEOUT {
        if let Some(addresses) = read_ready(&directory.join("ready")) {
            return Ok(addresses);
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(ended(status, directory));
        }
        sleep(LOOK * 5).await;
    }
    Err(Failure::Refused(
        "the proxy did not start in time".to_owned(),
    ))
}

/// Reads the addresses that the proxy has written; none while they are not there whole.
fn read_ready(path: &Path) -> Option<Addresses> {
    let text = std::fs::read_to_string(path).ok()?;
    let ready: serde_json::Value = serde_json::from_str(&text).ok()?;
    let address = |value: &serde_json::Value| value.as_str()?.parse().ok();
    Some(Addresses {
        http: address(&ready["listeners"]["http"])?,
        admin: address(&ready["admin"])?,
    })
}

/// Replaces the two weights and leaves everything else as it is, the user's own edits included.
fn with_weights(text: &str, weights: [u32; 2]) -> String {
    let weight = Regex::new(r"\bweight\s*=\s*\d+").expect("the expression is a constant");
    let mut edited = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let variant = ["stable", "canary"]
            .iter()
            .position(|name| line.trim_start().starts_with(name));
        match variant {
            Some(n) => {
                let replacement = format!("weight = {}", weights[n]);
                edited.push_str(&weight.replace(line, replacement.as_str()));
            }
            None => edited.push_str(line),
        }
    }
    edited
}

#[cfg(test)]
mod tests {
    use crate::cli::demo::proxy::with_weights;

    const TEXT: &str = "\
# A weight = 1 that is none.
stable = { upstream = \"shop-v1\", weight = 95 }
canary = { upstream = \"shop-v2\", weight = 5 }
other = { upstream = \"shop-v3\", weight = 1 }
";

    #[test]
    fn only_the_two_weights_change() {
        let edited = with_weights(TEXT, [50, 60]);
        let expected = TEXT
            .replace("weight = 95", "weight = 50")
            .replace("weight = 5 ", "weight = 60 ");
        assert_eq!(edited, expected);
        assert_eq!(with_weights(&edited, [95, 5]), TEXT);
    }
}
