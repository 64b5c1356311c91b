//! Binary upgrades: another process takes over all sockets, and no client sees any of it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_rustls::rustls::ClientConfig;

use crate::support::ask;
use crate::support::client::{self, Client};
use crate::support::config::{self, Config};
use crate::support::heirs::{self, Heirs};
use crate::support::http2::{self, Http2};
use crate::support::message::{End, Message};
use crate::support::origin;
use crate::support::proxy::{self, Proxy};
use crate::support::secure;
use crate::support::wait::{self, PATIENCE};
use crate::support::websocket;

/// What the clients under load share.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    n_answers: AtomicUsize,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    /// Every answer is whole and right.
    #[track_caller]
    fn count(&self, answer: &Message) {
        let got = (answer.status, answer.text(), answer.end);
        assert_eq!(got, (200, "hello".to_owned(), End::Clean));
        self.n_answers.fetch_add(1, Ordering::SeqCst);
    }
}

/// Asks on one connection, and on a new one when an answer was its last.
async fn keep_alive(address: SocketAddr, load: Arc<Load>) {
    let mut client = client::connect(address).await;
    while load.goes_on() {
        load.count(&client.ask_on(address, &ask::get("/")).await);
    }
}

/// Asks each time on a new connection.
async fn connect_anew(address: SocketAddr, load: Arc<Load>) {
    while load.goes_on() {
        load.count(&client::once(address, &ask::get("/")).await);
    }
}

async fn over_tls(address: SocketAddr, tls: &Arc<ClientConfig>) -> Client {
    let stream = client::tls(address, "edge.test", Arc::clone(tls)).await;
    client::over(stream.expect("a TLS connection"))
}

async fn keep_alive_over_tls(address: SocketAddr, tls: Arc<ClientConfig>, load: Arc<Load>) {
    let mut client = over_tls(address, &tls).await;
    while load.goes_on() {
        let answer = client.get("/").await;
        load.count(&answer);
        if answer.field("connection") == Some("close") {
            client = over_tls(address, &tls).await;
        }
    }
}

async fn over_http2(address: SocketAddr, tls: &Arc<ClientConfig>) -> Http2 {
    let stream = client::tls(address, "edge.test", Arc::clone(tls)).await;
    http2::begin(stream.expect("a TLS connection")).await
}

/// True when GOAWAY had come, and says that nothing was done with the request (RFC 9113, section 8.7).
fn is_unsent(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<h2::Error>());
    let is_left_out =
        |error: &h2::Error| error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    error.is_canceled() || cause.is_some_and(is_left_out)
}

/// Asks on one connection, and on a new one when that takes no further requests.
async fn streams(address: SocketAddr, tls: Arc<ClientConfig>, load: Arc<Load>) {
    let mut client = over_http2(address, &tls).await;
    while load.goes_on() {
        match client.try_ask(&ask::get("/")).await {
            Ok(answer) => load.count(&answer),
            Err(error) => assert!(is_unsent(&error) && client.is_closed(), "{error:?}"),
        }
        if client.is_closed() {
            client = over_http2(address, &tls).await;
        }
    }
}

/// A shutdown that tells busy connections before it closes idle ones; long enough for clients that
/// share a core with all else.
fn spread(config: Config) -> Config {
    config.shutdown("delay = \"10m\"\nspread = \"2s\"\ntimeout = \"20m\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_upgrades_under_load_lose_no_request() {
    const UPGRADES: usize = 10;
    let origin = origin::answering("hello").await;
    let config = spread(config::to(origin.address)).section("[access_log]\noutput = \"off\"");
    let mut secure = secure::start(&config).await;
    let heirs = heirs::of(&secure.proxy);
    let (plain, tls) = (secure.proxy.http(), secure.proxy.address("https"));
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(keep_alive(plain, Arc::clone(&load)));
        clients.spawn(connect_anew(plain, Arc::clone(&load)));
    }
    for _ in 0..2 {
        let authority = &secure.authority;
        let (http1, http2) = (authority.client(&["http/1.1"]), authority.client(&["h2"]));
        clients.spawn(keep_alive_over_tls(tls, http1, Arc::clone(&load)));
        clients.spawn(streams(tls, http2, Arc::clone(&load)));
    }

    for _ in 0..UPGRADES {
        heirs.upgrade(&secure.proxy).await;
        let before = load.n_answers.load(Ordering::SeqCst);
        wait::until("answers after an upgrade", async || {
            assert!(clients.try_join_next().is_none(), "a client ended early");
            load.n_answers.load(Ordering::SeqCst) >= before + 100
        })
        .await;
    }
    assert_eq!(secure.proxy.exit().await.code, Some(0));
    load.over.store(true, Ordering::SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.expect("every answer was right");
    }
    let metrics = secure.proxy.metrics().await;
    let result = |result| metrics.sum("tidegate_upgrades_total", &[("result", result)]);
    assert_eq!((result("succeeded"), result("failed")), (10.0, 0.0));
}

#[tokio::test]
async fn what_has_begun_is_finished_by_the_process_that_began_it() {
    let origin = origin::held("finished").await;
    let socket = origin::websocket().await;
    let config = spread(config::to(origin.address))
        .upstream("socket", &[socket.address])
        .route("ws", "match = { path = \"/ws\" }\nupstream = \"socket\"");
    let mut proxy = proxy::start(&config).await;
    let mut under_way = proxy.connect().await;
    under_way.wire.send(ask::get("/hold").http1()).await;
    origin.received(1).await;
    let mut idle = proxy.connect().await;
    let mut websocket = websocket::open(client::tcp(proxy.http()).await, "/ws").await;

    let heirs = heirs::of(&proxy);
    heirs.upgrade(&proxy).await;
    idle.wire.ended().await;
    assert_eq!(websocket.echo("still here").await, "still here");
    origin.release();
    let answer = under_way.answer("GET").await;
    assert_eq!(
        (answer.text().as_str(), answer.end),
        ("finished", End::Clean)
    );
    assert_eq!(answer.field("connection"), Some("close"));
    websocket.close().await;
    assert_eq!(proxy.exit().await.code, Some(0));
    assert_eq!(proxy.get("/").await.text(), "finished");
}

/// Starts a proxy by a copy of the program, so that its file can be replaced.
pub(crate) async fn start_copy(config: &Config) -> Proxy {
    proxy::start_as(
        TempDir::new().expect("a directory"),
        config,
        |command, dir| {
            let program = dir.join("tidegate");
            fs::copy(command.get_program(), &program).expect("a copy");
            let mut copy = Command::new(program);
            copy.args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => copy.env(name, value),
                    None => copy.env_remove(name),
                };
            }
            *command = copy;
        },
    )
    .await
}

/// Replaces the program by a script, as an installation would.
fn install(dir: &Path, script: &str) {
    let new = dir.join("tidegate.new");
    fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("a file");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("permissions");
    fs::rename(new, dir.join("tidegate")).expect("a rename");
}

#[tokio::test]
async fn a_file_that_was_replaced_is_the_new_program() {
    let origin = origin::answering("hello").await;
    let mut proxy = start_copy(&config::to(origin.address)).await;
    let program = proxy.dir().join("tidegate");
    let new = proxy.dir().join("new");
    fs::copy(&program, &new).expect("a copy");
    fs::rename(&new, &program).expect("a rename");
    let heirs = heirs::of(&proxy);
    let pid = heirs.upgrade(&proxy).await;
    let runs = fs::read_link(format!("/proc/{pid}/exe")).expect("a process that runs");
    assert_eq!(runs, fs::canonicalize(program).expect("a file"));
    assert_eq!(proxy.exit().await.code, Some(0));
    assert_eq!(proxy.get("/").await.text(), "hello");
}

/// An upgrade fails, for a reason of these words, and nothing has changed.
async fn fails(proxy: &Proxy, n_before: f64, why: &str) {
    let connection = &mut proxy.connect().await;
    assert_eq!(connection.get("/").await.text(), "hello");
    let output = heirs::try_upgrade(proxy).await;
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains(why), "{output:?}");
    assert_eq!(connection.get("/").await.text(), "hello");
    assert_eq!(proxy.get("/").await.text(), "hello");
    assert_eq!(proxy.get_admin("/readyz").await.status, 200);
    let status = proxy.status().await;
    assert_eq!(status["pid"], proxy.process.id());
    assert_eq!(status["upgrade"]["state"], "failed");
    let error = status["upgrade"]["error"].as_str().unwrap_or_default();
    assert!(error.contains(why), "{status}");
    let metrics = proxy.metrics().await;
    let failed = metrics.sum("tidegate_upgrades_total", &[("result", "failed")]);
    assert_eq!(failed, n_before + 1.0);
    let log = proxy.process.stderr();
    assert!(log.contains("upgrade failed") && log.contains(why), "{log}");
}

#[tokio::test]
async fn a_successor_that_does_not_get_ready_changes_nothing() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).section("[upgrade]\ntimeout = \"500ms\"");
    let mut proxy = start_copy(&config).await;
    let heirs = heirs::of(&proxy);
    let program = fs::read(proxy.dir().join("tidegate")).expect("a file");

    let wrong = config.text().replace("[upgrade]", "[upgrade]\nbogus = 1");
    proxy::replace(&proxy.file(), wrong);
    fails(&proxy, 0.0, "upgrade.bogus: unknown key").await;
    proxy::replace(&proxy.file(), config.text());
    assert_eq!(proxy.ask_reload().await.status, 200);

    install(proxy.dir(), "exit 3");
    fails(&proxy, 1.0, "ended before it was ready: exit status: 3").await;
    install(proxy.dir(), "kill -9 $$");
    fails(&proxy, 2.0, "signal: 9").await;
    install(proxy.dir(), "exec sleep 1000");
    fails(&proxy, 3.0, "not ready after 500ms").await;
    fs::remove_file(proxy.dir().join("tidegate")).expect("a file");
    fails(&proxy, 4.0, "cannot be started: No such file").await;

    // What went wrong five times goes well the sixth time.
    let new = proxy.dir().join("tidegate.new");
    fs::write(&new, program).expect("a file");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("permissions");
    fs::rename(new, proxy.dir().join("tidegate")).expect("a rename");
    heirs.upgrade(&proxy).await;
    assert_eq!(proxy.exit().await.code, Some(0));
    assert_eq!(proxy.get("/").await.text(), "hello");
    let metrics = proxy.metrics().await;
    let failed = metrics.sum("tidegate_upgrades_total", &[("result", "failed")]);
    assert_eq!(failed, 5.0);
}

/// Starts an upgrade that hangs; gives the process that does.
pub(crate) async fn hang(proxy: &Proxy, heirs: &mut Heirs) -> rustix::process::Pid {
    let file = proxy.dir().join("pid");
    install(
        proxy.dir(),
        &format!("echo $$ > {}; exec sleep 1000", file.display()),
    );
    proxy.signal(Signal::USR2);
    let mut pid = None;
    wait::until("a successor that hangs", async || {
        pid = fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        pid.is_some()
    })
    .await;
    heirs.add(pid.expect("a process"))
}

#[tokio::test]
async fn while_a_successor_starts_there_is_no_second_one_and_reloads_wait() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).section("[upgrade]\ntimeout = \"1s\"");
    let proxy = start_copy(&config).await;
    let mut heirs = heirs::of(&proxy);
    let hanging = hang(&proxy, &mut heirs).await;
    assert_eq!(proxy.status().await["upgrade"]["state"], "starting");
    let second = heirs::try_upgrade(&proxy).await;
    assert_eq!(second.code, 1);
    assert!(second.stdout.contains("under way already"), "{second:?}");
    // It is answered once it is clear who serves.
    proxy
        .reload(&config.http("limits = { connections = 1000 }"))
        .await;
    assert_eq!(proxy.status().await["upgrade"]["state"], "failed");
    heirs::ended(hanging).await;
}

#[tokio::test]
async fn who_is_told_to_end_ends_also_the_successor_that_is_not_ready() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address).section("[upgrade]\ntimeout = \"10m\"");
    let mut proxy = start_copy(&config).await;
    let mut heirs = heirs::of(&proxy);
    let hanging = hang(&proxy, &mut heirs).await;
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.exit().await.code, Some(0));
    heirs::ended(hanging).await;
}

#[tokio::test]
async fn listeners_and_the_number_of_workers_may_be_others() {
    let origin = origin::answering("hello").await;
    let config = config::to(origin.address);
    let workers = |n: usize, config: &Config| {
        let text = config.text();
        text.replace("workers = 2", &format!("workers = {n}"))
    };
    let proxy = proxy::start_text(&workers(3, &config.clone().listener("old", ""))).await;
    let (kept, old) = (proxy.http(), proxy.address("old"));
    let heirs = heirs::of(&proxy);
    for n in [1, 4, 2] {
        let text = workers(n, &config.clone().listener("new", ""));
        proxy::replace(&proxy.file(), text);
        heirs.upgrade(&proxy).await;
        // So many that the kernel puts some into every queue there is.
        let mut clients = Vec::new();
        for _ in 0..64 {
            clients.push(client::connect(kept).await);
        }
        for client in &mut clients {
            assert_eq!(client.get("/").await.text(), "hello");
        }
        let status = proxy.status().await;
        let new = status["listeners"]["new"]["address"].as_str();
        let new = new.and_then(|new| new.parse().ok()).expect("an address");
        assert_eq!(client::once(new, &ask::get("/")).await.text(), "hello");
        assert_eq!(status["listeners"]["http"]["address"], kept.to_string());
    }
    wait::until("the end of a listener", async || {
        tokio::net::TcpStream::connect(old).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn the_service_manager_is_told_which_process_is_the_service() {
    let origin = origin::answering("hello").await;
    let dir = TempDir::new().expect("a directory");
    let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("an option");
    let mut proxy = proxy::start_as(dir, &config::to(origin.address), |command, dir| {
        command.env("NOTIFY_SOCKET", dir.join("notify"));
    })
    .await;
    let heirs = heirs::of(&proxy);
    // Blocking, with a timeout: nothing else runs in this test then.
    let next = || {
        let mut buffer = [0; 4096];
        let n = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    assert_eq!(next(), "READY=1\n");
    proxy.signal(Signal::HUP);
    let reloading = next();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(next(), "READY=1\n");

    proxy.signal(Signal::USR2);
    let pid = heirs.other_than(proxy.process.id(), &proxy).await;
    assert_eq!(next(), format!("MAINPID={pid}\nREADY=1\n"));
    assert_eq!(proxy.exit().await.code, Some(0));
    rustix::process::kill_process(pid, Signal::TERM).expect("a process that runs");
    assert_eq!(next(), "STOPPING=1\n", "nothing was said of the one before");
}
