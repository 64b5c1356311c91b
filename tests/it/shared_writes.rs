//! What workers share: each place in the source that writes what several threads may write is known.

use std::fs;
use std::path::Path;

/// Where the data plane writes what several threads may write, and why no request waits for that.
/// A request does none of it, but for a line of the access log, which has a lane for each worker.
const SHARED_WRITES: &[(&str, &str)] = &[
    (
        "listener/accept.rs",
        "a limit over all workers: by connection",
    ),
    ("listener/connect.rs", "of one stream: by tunnel"),
    (
        "listener/crew.rs",
        "a number of each worker's own: by connection",
    ),
    ("listener/woken.rs", "of one connection: its worker's own"),
    ("proxy/mirror/cap.rs", "a limit over all workers: by copy"),
    ("proxy/rate_limit.rs", "where a route has limits"),
    ("proxy/switch.rs", "of a variant's tunnels: by tunnel"),
    (
        "telemetry/access_log/outputs.rs",
        "when a snapshot is built",
    ),
    (
        "telemetry/access_log/sink.rs",
        "a lane of each worker's own; else by batch",
    ),
    ("telemetry/recorder.rs", "the control plane's numbers"),
    (
        "telemetry/registry.rs",
        "when a snapshot is built or a scraper asks",
    ),
    ("telemetry/stats/connections.rs", "when accepting pauses"),
    (
        "telemetry/stats/flag.rs",
        "an evaluation that no worker makes",
    ),
    ("telemetry/stats/variant.rs", "when a snapshot is built"),
    (
        "upstream/endpoint.rs",
        "when an endpoint is made, or checked",
    ),
    (
        "upstream/guard.rs",
        "where there is a limit; else by connection, or a request that failed",
    ),
    (
        "upstream/outlier.rs",
        "a request that failed, and the first that goes well after it",
    ),
    ("upstream/resolve/client.rs", "the control plane's look-ups"),
];

/// The modules of the data plane.
const DATA_PLANE: [&str; 10] = [
    "message",
    "telemetry",
    "route",
    "segment",
    "split",
    "ring",
    "http1",
    "listener",
    "upstream",
    "proxy",
];

/// What writes to memory that other threads may write to.
const WRITES: [&str; 8] = [
    ".fetch_add(",
    ".fetch_sub(",
    ".fetch_or(",
    ".fetch_and(",
    ".fetch_update(",
    ".compare_exchange",
    "Mutex<",
    "RwLock<",
];

/// Calls `each` with every file of a folder that is no test, by its path and its text up to its
/// tests.
fn sources(folder: &Path, each: &mut impl FnMut(&Path, &str)) {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        if name == "tests" || name.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, each);
        } else {
            let text = fs::read_to_string(&path).expect("a file");
            let end = text.find("#[cfg(test)]\nmod tests {");
            each(&path, &text[..end.unwrap_or(text.len())]);
        }
    }
}

#[test]
fn every_write_that_workers_could_share_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for module in DATA_PLANE {
        sources(&root.join(module), &mut |path, text| {
            if WRITES.iter().any(|write| text.contains(write)) {
                let path = path.strip_prefix(&root).expect("it is below");
                found.push(path.display().to_string());
            }
        });
    }
    found.sort();
    let known: Vec<_> = SHARED_WRITES.iter().map(|(path, _)| *path).collect();
    assert_eq!(found, known, "say why a new one is not on a request's way");
}
