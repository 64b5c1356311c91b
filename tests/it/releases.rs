//! Releases with the real binary and real requests: up by steps while the numbers allow it, back at
//! once when they do not, and never a request that fails by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::support::client;
use crate::support::config::{self, Config};
use crate::support::journal;
use crate::support::origin::{self, Origin};
use crate::support::proxy::{self, Proxy, replace};
use crate::support::wait;

/// One of so many requests to a candidate that has turned bad fails: 5 %.
const ONE_OF: u64 = 20;

/// What the two origins of a release are.
struct Origins {
    stable: Origin,
    candidate: Origin,
    /// Makes the candidate bad.
    is_bad: Arc<AtomicBool>,
}

async fn origins() -> Origins {
    let is_bad = Arc::new(AtomicBool::new(false));
    let (bad, count) = (Arc::clone(&is_bad), Arc::new(AtomicU64::new(0)));
    let candidate = origin::serving(move |mut conversation| {
        let (bad, count) = (Arc::clone(&bad), Arc::clone(&count));
        async move {
            while conversation.request().await.is_some() {
                let n = count.fetch_add(1, Ordering::Relaxed);
                if bad.load(Ordering::Relaxed) && n.is_multiple_of(ONE_OF) {
                    let broken = "HTTP/1.1 500 Broken\r\ncontent-length: 3\r\n\r\nbad";
                    conversation.send(broken).await;
                } else {
                    conversation.ok(b"candidate").await;
                }
            }
        }
    });
    Origins {
        stable: origin::answering("stable").await,
        candidate: candidate.await,
        is_bad,
    }
}

/// Three short steps, and checks that a few hundred requests a second can answer.
const STRATEGY: &str = r#"
[strategy.quick]
kind = "canary"
steps = [
  { weight = 10, for = "1s" },
  { weight = 50, for = "2s", require = "no-regression" },
  { weight = 100, bake = "1s" },
]
[strategy.quick.analysis]
interval = "1s"
warmup = "0s"
[strategy.quick.check.errors]
kind = "error_rate"
bad = ["5xx", "timeout", "reset"]
pass_abs = 0.1
"#;

const RELEASE: &str = r#"
[release."shop-2.0"]
route = "shop"
stable = "stable"
candidate = "canary"
strategy = "quick"
"#;

fn config(origins: &Origins, weights: [u32; 2], release: &str) -> Config {
    let weights = [("stable", weights[0]), ("canary", weights[1])];
    config::new()
        .upstream("stable", &[origins.stable.address])
        .upstream("canary", &[origins.candidate.address])
        .split_route("shop", "", &weights)
        .section(STRATEGY)
        .section(release)
}

/// Clients that ask all the time, and what they were answered.
struct Load {
    clients: JoinSet<()>,
    answers: Arc<Answers>,
}

#[derive(Default)]
struct Answers {
    good: AtomicU64,
    /// Those that the candidate itself spoilt.
    bad: AtomicU64,
    /// Those that nobody had to spoil.
    lost: AtomicU64,
}

impl Load {
    fn start(proxy: &Proxy) -> Self {
        let answers = Arc::new(Answers::default());
        let mut clients = JoinSet::new();
        let address = proxy.http();
        for _ in 0..4 {
            let answers = Arc::clone(&answers);
            clients.spawn(async move {
                let mut client = client::connect(address).await;
                loop {
                    let answer = client.get("/").await;
                    let count = match (answer.status, answer.text().as_str()) {
                        (200, "stable" | "candidate") => &answers.good,
                        (500, "bad") => &answers.bad,
                        _ => &answers.lost,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { clients, answers }
    }

    /// Ends it, and says how many requests nobody had to lose were lost.
    async fn end(mut self) -> u64 {
        self.clients.shutdown().await;
        assert!(
            100 < self.answers.good.load(Ordering::Relaxed),
            "there was a load"
        );
        self.answers.lost.load(Ordering::Relaxed)
    }
}

/// The share of the candidate, as it is obeyed.
async fn share(proxy: &Proxy) -> f64 {
    let status = proxy.status().await;
    let share = &status["routes"]["shop"]["variants"]["canary"]["share"];
    share
        .as_f64()
        .unwrap_or_else(|| panic!("no share: {status}"))
}

async fn has_share(proxy: &Proxy, expected: f64) {
    wait::until("the candidate's share", async || {
        (share(proxy).await - expected).abs() < 1e-9
    })
    .await;
}

async fn has_done(proxy: &Proxy, action: &str) {
    wait::until(action, async || {
        journal::actions(proxy.dir())
            .iter()
            .any(|done| done == action)
    })
    .await;
}

#[tokio::test]
async fn a_healthy_candidate_goes_through_all_steps_and_wins() {
    let origins = origins().await;
    let proxy = proxy::start(&config(&origins, [100, 0], RELEASE)).await;
    let load = Load::start(&proxy);
    has_done(&proxy, "release.promote").await;
    assert_eq!(load.end().await, 0);
    has_share(&proxy, 1.0).await;
    assert_eq!(
        journal::actions(proxy.dir()),
        [
            "release.create",
            "weights.file",
            "release.start",
            "release.step",
            "release.step",
            "release.promote"
        ]
    );
    // The commit that follows says in the file what runs, and nothing moves by it.
    let followed = config(&origins, [0, 100], RELEASE);
    proxy.reload(&followed).await;
    has_share(&proxy, 1.0).await;
    let actions = journal::actions(proxy.dir());
    assert!(
        actions.contains(&"weights.absorb".to_owned()),
        "{actions:?}"
    );
}

#[tokio::test]
async fn a_candidate_that_turns_bad_is_back_at_nothing_and_no_request_fails_by_the_move() {
    let origins = origins().await;
    let proxy = proxy::start(&config(&origins, [100, 0], RELEASE)).await;
    let load = Load::start(&proxy);
    has_share(&proxy, 0.5).await;
    origins.is_bad.store(true, Ordering::Relaxed);
    has_done(&proxy, "release.abort").await;
    has_share(&proxy, 0.0).await;
    let served = origins.candidate.n_requests();
    wait::until("others are served", async || {
        1000 < load.answers.good.load(Ordering::Relaxed)
    })
    .await;
    // What was under way when it ended may still have come.
    assert!(origins.candidate.n_requests() <= served + 4);
    assert_eq!(load.end().await, 0);
    let records = journal::records(proxy.dir());
    let abort = records
        .iter()
        .find(|record| record["action"] == "release.abort")
        .expect("it");
    let reason = abort["reason"].as_str().expect("a reason");
    assert!(reason.contains("`errors` failed"), "{reason}");
    assert_eq!(abort["evidence"]["verdict"]["is"], "fail", "{abort}");
    // The same file again, and a restart, do not begin it anew.
    proxy.ask_reload().await;
    has_share(&proxy, 0.0).await;
}

#[tokio::test]
async fn a_process_that_is_killed_resumes_the_same_step_with_the_same_weights() {
    let origins = origins().await;
    let config = config(&origins, [100, 0], RELEASE);
    let mut proxy = proxy::start(&config).await;
    let mut seen = Vec::new();
    // Without a load nothing is seen, and nothing moves by itself: the share stays where it is.
    has_share(&proxy, 0.1).await;
    for _ in 0..5 {
        let dir = proxy.kill_and_keep().await;
        proxy = proxy::start_in(dir, &config).await;
        // The first answer of the new process is by the weights of before.
        seen.push(share(&proxy).await);
    }
    assert_eq!(seen, [0.1; 5]);
    let load = Load::start(&proxy);
    has_done(&proxy, "release.promote").await;
    assert_eq!(load.end().await, 0);
    let starts = journal::actions(proxy.dir());
    let starts = starts
        .iter()
        .filter(|action| *action == "release.start")
        .count();
    assert_eq!(starts, 1, "it went on, and did not begin anew");
}

#[tokio::test]
async fn taking_a_release_out_of_the_file_gives_stable_everything_back() {
    let origins = origins().await;
    let proxy = proxy::start(&config(&origins, [100, 0], RELEASE)).await;
    let load = Load::start(&proxy);
    has_share(&proxy, 0.5).await;
    proxy.reload(&config(&origins, [100, 0], "")).await;
    assert!(share(&proxy).await < f64::EPSILON, "at once");
    assert_eq!(load.end().await, 0);
    let actions = journal::actions(proxy.dir());
    assert_eq!(actions.last().map(String::as_str), Some("release.cancel"));
}

#[tokio::test]
async fn automation_that_edits_weights_goes_on_as_if_there_were_no_releases() {
    let origins = origins().await;
    // Something else has a release, so there is a store.
    let proxy = proxy::start(&config(&origins, [100, 0], "[store]\npath = \"state\"\n")).await;
    for canary in [5, 50, 0] {
        let weights = [100 - canary, canary];
        proxy
            .reload(&config(&origins, weights, "[store]\npath = \"state\"\n"))
            .await;
        let expected = f64::from(canary) / 100.0;
        assert!((share(&proxy).await - expected).abs() < 1e-9);
    }
    assert_eq!(journal::actions(proxy.dir()), ["weights.file"; 4]);
}

#[tokio::test]
async fn more_than_a_release_gives_is_a_conflict_and_less_is_obeyed() {
    let origins = origins().await;
    let slow = RELEASE.replace("\"quick\"", "\"slow\"")
        + "[strategy.slow]\nsteps = [{ weight = 30, for = \"1h\" }, { weight = 100, bake = \"1h\" }]\n";
    let proxy = proxy::start(&config(&origins, [100, 0], &slow)).await;
    has_share(&proxy, 0.3).await;
    proxy.reload(&config(&origins, [50, 50], &slow)).await;
    assert!(
        (share(&proxy).await - 0.3).abs() < 1e-9,
        "a conflict is not obeyed"
    );
    has_done(&proxy, "release.conflict").await;
    proxy.reload(&config(&origins, [100, 0], &slow)).await;
    has_done(&proxy, "release.conflict.clear").await;
    proxy.reload(&config(&origins, [90, 10], &slow)).await;
    assert!(
        (share(&proxy).await - 0.1).abs() < 1e-9,
        "less is obeyed at once"
    );
    proxy.reload(&config(&origins, [100, 0], &slow)).await;
    assert!(share(&proxy).await < f64::EPSILON, "nothing ends it");
    has_done(&proxy, "release.abort").await;
}

#[tokio::test]
async fn a_test_has_to_be_passed_before_the_candidate_gets_users() {
    let origins = origins().await;
    let smoke = |path: &str, status: u16| {
        format!(
            "[strategy.quick.check.smoke]\nkind = \"http\"\nrequests = \
             [{{ method = \"GET\", path = \"{path}\", expect = {{ status = {status} }} }}]\n"
        )
    };
    let failing = format!("{RELEASE}{}", smoke("/", 404));
    let proxy = proxy::start(&config(&origins, [100, 0], &failing)).await;
    has_done(&proxy, "release.abort").await;
    assert!(share(&proxy).await < f64::EPSILON);
    let records = journal::records(proxy.dir());
    let abort = records
        .iter()
        .find(|record| record["action"] == "release.abort")
        .expect("it");
    let reason = abort["reason"].as_str().expect("a reason");
    assert!(reason.contains("answered 200, not 404"), "{reason}");

    let passing = format!("{RELEASE}{}", smoke("/", 200));
    let proxy = proxy::start(&config(&origins, [100, 0], &passing)).await;
    has_share(&proxy, 0.1).await;
    let actions = journal::actions(proxy.dir());
    let place = |action: &str| actions.iter().position(|done| done == action);
    assert!(
        place("release.test") < place("release.start"),
        "{actions:?}"
    );
}

#[tokio::test]
async fn a_store_belongs_to_one_process() {
    let origins = origins().await;
    let config = config(&origins, [100, 0], RELEASE);
    let proxy = proxy::start(&config).await;
    let text = std::fs::read_to_string(proxy.file()).expect("a file");
    replace(&proxy.dir().join("other.toml"), text);
    let mut other = crate::support::command::tidegate();
    other
        .args(["run", "--config"])
        .arg(proxy.dir().join("other.toml"));
    let output = other.output().expect("it ran");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    let pid = proxy.process.id();
    assert!(
        said.contains(&format!("in use by the process {pid}")),
        "{said}"
    );
    proxy.signal(Signal::TERM);
}
