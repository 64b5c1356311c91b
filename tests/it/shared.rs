//! What workers share: a request under way holds none of it.
//!
//! A reference count is a number that is written. Were one of the snapshot, of a route, of an
//! upstream or of the settings of a listener taken for each request, all cores would write to one
//! line of memory. So here is a proxy in this very process, and its counts are compared: with open
//! connections that are idle, and with a request on each of them.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tempfile::TempDir;
use tidegate::config::watch::Watcher;
use tidegate::config::{self, Sources};
use tidegate::control::{Control, Inherited, Live, Prepared, Start};
use tidegate::listener::{Command, Crew, Gate, Worker};
use tidegate::proxy::Proxy;
use tidegate::ring::Backend;
use tidegate::telemetry::Telemetry;
use tidegate::telemetry::stats::{Buckets, ListenerStats};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::ask;
use crate::support::http2;
use crate::support::wait;

const N_WORKERS: usize = 2;
/// Requests at a time by each protocol.
const N_REQUESTS: usize = 8;

/// An origin that holds requests for `/held` until it is told to answer.
struct Origin {
    address: SocketAddr,
    n_held: Arc<AtomicUsize>,
    release: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Origin {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let n_held = Arc::new(AtomicUsize::new(0));
        let (release, released) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let held = Arc::clone(&n_held);
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.spawn(serve(stream, Arc::clone(&held), released.clone()));
            }
        });
        Self {
            address,
            n_held,
            release,
            _tasks: tasks,
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    n_held: Arc<AtomicUsize>,
    mut released: watch::Receiver<bool>,
) {
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut head).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        if head.starts_with(b"GET /held") {
            n_held.fetch_add(1, Ordering::SeqCst);
            if released.wait_for(|released| *released).await.is_err() {
                return;
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// A proxy in this process.
struct Here {
    control: Control,
    address: SocketAddr,
    crew: Arc<Crew>,
    /// They end with it.
    _workers: Arc<Vec<Worker>>,
    _controller: JoinSet<()>,
    _dir: TempDir,
}

impl Here {
    /// Starts one whose route uses what may touch a request.
    async fn start(origin: SocketAddr) -> Self {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("tidegate.toml");
        let text = format!(
            r#"
[access_log]
output = "{log}"
[trace]
request_id = "x-request-id"
[listener.http]
address = "127.0.0.1:0"
protocols = ["h2", "http/1.1"]
[upstream.one]
endpoints = ["{origin}"]
[upstream.other]
endpoints = ["{origin}"]
[[segment.some.any]]
all = [{{ attr = "header:x-country", op = "in", values = ["DE", "FR"] }}]
[route.all]
sticky = {{ keys = ["header:x-user"], cookie = true }}
force = {{ header = "x-variant" }}
request_headers = {{ set = {{ x-set = "1" }}, add = {{ x-added = "2" }} }}
response_headers = {{ add = {{ x-added = "3" }} }}
assignment_headers = "both"
[[route.all.rule]]
segment = "some"
weights = {{ one = 1, other = 1 }}
[route.all.split]
one = {{ upstream = "one", weight = 1 }}
other = {{ upstream = "other", weight = 1 }}
"#,
            log = dir.path().join("access.log").display()
        );
        fs::write(&path, text).expect("a file");
        let watcher = Watcher::start(Sources::of(path.clone()));
        let telemetry = Arc::new(Telemetry::new(N_WORKERS, Buckets::default()));
        let prepared = Prepared::new(Start {
            loaded: config::load(&path).unwrap_or_else(|problems| panic!("{problems}")),
            stands_in: None,
            path,
            telemetry,
            n_workers: N_WORKERS,
            watcher,
            inherited: Inherited::default(),
        })
        .await
        .unwrap_or_else(|rejected| panic!("{rejected}"));
        let crew = Crew::new(N_WORKERS);
        let workers = (0..N_WORKERS).map(|index| {
            let pointer = prepared.pointer();
            Worker::start(index, &crew, Backend::Epoll, move || {
                let proxy = Proxy::new(index, pointer);
                (proxy.clone(), proxy.look_after())
            })
            .expect("a worker")
        });
        let workers = Arc::new(workers.collect::<Vec<_>>());
        let admin = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let admin = (admin.local_addr().expect("an address"), admin);
        let (control, controller, _) = prepared.commit(Arc::clone(&workers), admin, None);
        let mut tasks = JoinSet::new();
        tasks.spawn(controller.run());
        let (_, address) = control.listener_addresses().remove(0);
        Self {
            control,
            address: address.tcp().expect("an address of TCP"),
            crew,
            _workers: workers,
            _controller: tasks,
            _dir: dir,
        }
    }
}

/// How often each thing is referred to that all workers share.
fn counts(live: &Live) -> Vec<(String, usize)> {
    let snapshot = &live.snapshot;
    let mut counts = vec![
        ("the snapshot".to_owned(), Arc::strong_count(snapshot)),
        ("the table".to_owned(), Arc::strong_count(&snapshot.table)),
    ];
    if let Some(log) = &snapshot.access_log {
        counts.push(("the access log".to_owned(), Arc::strong_count(log)));
    }
    for (name, settings) in &snapshot.listeners {
        counts.push((format!("listener {name}"), Arc::strong_count(settings)));
        let stats = Arc::strong_count(&settings.stats);
        counts.push((format!("listener {name}: numbers"), stats));
    }
    for upstream in &snapshot.upstreams {
        let name = upstream.name();
        counts.push((format!("upstream {name}"), Arc::strong_count(upstream)));
        let stats = Arc::strong_count(upstream.stats());
        counts.push((format!("upstream {name}: numbers"), stats));
        let endpoints = upstream.endpoints();
        counts.push((
            format!("endpoints of {name}"),
            Arc::strong_count(&endpoints),
        ));
        for endpoint in endpoints.iter() {
            let what = format!("endpoint {}", endpoint.address());
            counts.push((what, Arc::strong_count(endpoint)));
        }
    }
    for route in &snapshot.routes {
        for (what, n) in [
            ("name", Arc::strong_count(&route.name)),
            ("split", Arc::strong_count(&route.split)),
            ("draw", Arc::strong_count(&route.draw)),
            ("numbers", Arc::strong_count(&route.stats)),
        ] {
            counts.push((format!("route {}: {what}", route.name), n));
        }
        for rule in &route.rules {
            counts.push(("rule: draw".to_owned(), Arc::strong_count(&rule.draw)));
            counts.push(("rule: numbers".to_owned(), Arc::strong_count(&rule.stats)));
        }
        for variant in &route.variants {
            for (what, n) in [
                ("name", Arc::strong_count(&variant.name)),
                ("numbers", Arc::strong_count(&variant.stats)),
                ("tunnels", Arc::strong_count(&variant.tunnels)),
            ] {
                counts.push((format!("variant {}: {what}", variant.name), n));
            }
        }
    }
    counts
}

/// Asks for a path once on each connection of HTTP/1, with one more field.
async fn ask(connections: &mut [TcpStream], path: &str, field: &str) {
    for connection in connections {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        connection
            .write_all(request.as_bytes())
            .await
            .expect("sent");
    }
}

/// Connects until each worker has a connection: before it is there, others keep what it would get.
async fn until_all_have_one(crew: &Crew, address: SocketAddr, connections: &mut Vec<TcpStream>) {
    while crew.n_connections().contains(&0) {
        connections.push(TcpStream::connect(address).await.expect("connected"));
        wait::until("it has its place", async || {
            crew.n_connections().iter().sum::<usize>() == connections.len()
        })
        .await;
    }
}

async fn heard(connections: &mut [TcpStream]) {
    for connection in connections {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            let n = wait::within("an answer", connection.read_buf(&mut answer)).await;
            let n = n.expect("an answer");
            assert_ne!(n, 0, "{}", String::from_utf8_lossy(&answer));
        }
    }
}

#[tokio::test]
async fn a_request_under_way_counts_on_nothing_that_workers_share() {
    let origin = Origin::start().await;
    let here = Here::start(origin.address).await;
    let mut http1 = Vec::new();
    for _ in 0..N_REQUESTS {
        http1.push(TcpStream::connect(here.address).await.expect("connected"));
    }
    let stream = TcpStream::connect(here.address).await.expect("connected");
    let http2 = http2::begin(stream).await;
    // What a worker makes when it first sees an upstream, a variant or a connection is there
    // after requests for each of them.
    for _ in 0..4 {
        for variant in ["one", "other"] {
            ask(&mut http1, "/", &format!("X-Variant: {variant}")).await;
            heard(&mut http1).await;
            let forced = ask::get("/").field("x-variant", variant);
            assert_eq!(http2.ask(&forced).await.status, 200);
        }
    }

    let live = here.control.live();
    let idle = counts(&live);
    let mut streams = JoinSet::new();
    let http2 = Arc::new(http2);
    for _ in 0..N_REQUESTS {
        let http2 = Arc::clone(&http2);
        streams.spawn(async move { http2.get("/held").await.status });
    }
    ask(&mut http1, "/held", "X-Country: DE").await;
    wait::until("all requests are under way", async || {
        origin.n_held.load(Ordering::SeqCst) == 2 * N_REQUESTS
    })
    .await;
    let under_way = counts(&live);
    origin.release.send_replace(true);
    heard(&mut http1).await;
    while let Some(status) = streams.join_next().await {
        assert_eq!(status.expect("it ended"), 200);
    }
    assert_eq!(under_way, idle);
}

#[tokio::test]
async fn a_connection_for_a_worker_that_does_not_listen_yet_waits_until_it_does() {
    let origin = Origin::start().await;
    let here = Here::start(origin.address).await;
    // The first one listens, and the second one is there to be handed connections.
    let crew = Crew::new(N_WORKERS);
    let pointer = here.control.live().snapshot.clone();
    let pointer = Arc::new(ArcSwap::new(pointer));
    let workers = [0, 1].map(|index| {
        let pointer = Arc::clone(&pointer);
        let service = move || {
            let proxy = Proxy::new(index, pointer);
            (proxy.clone(), proxy.look_after())
        };
        Worker::start(index, &crew, Backend::Epoll, service).expect("a worker")
    });
    let stats = Arc::new(ListenerStats::new("http".into(), N_WORKERS));
    let gate = Arc::new(Gate::new(Arc::clone(&stats), usize::MAX));
    let listen = |worker: &Worker| {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a socket");
        let address = socket.local_addr().expect("an address");
        worker.tell(Command::Listen {
            name: "http".into(),
            sockets: vec![socket],
            gate: Arc::clone(&gate),
            stats: Arc::clone(&stats),
        });
        address
    };
    let address = listen(&workers[0]);
    let mut connections = Vec::new();
    until_all_have_one(&crew, address, &mut connections).await;
    ask(&mut connections, "/", "X-Country: DE").await;
    let (handed, kept) = connections.split_last_mut().expect("one at least");
    heard(kept).await;
    listen(&workers[1]);
    heard(std::slice::from_mut(handed)).await;
    // It is not taken for one of a listener that is given up.
    ask(&mut connections, "/", "X-Country: DE").await;
    heard(&mut connections).await;
}

#[tokio::test]
async fn a_few_connections_are_spread_evenly_over_workers() {
    let origin = Origin::start().await;
    let here = Here::start(origin.address).await;
    let even = N_REQUESTS / N_WORKERS;
    let mut first = Vec::new();
    until_all_have_one(&here.crew, here.address, &mut first).await;
    drop(first);
    wait::until("all are closed", async || {
        here.crew.n_connections() == [0; N_WORKERS]
    })
    .await;
    // The kernel would put all on one worker now and then, and more than half on one most times.
    for _ in 0..10 {
        let mut connections = Vec::new();
        for n in 1..=N_REQUESTS {
            let connection = TcpStream::connect(here.address).await.expect("connected");
            let mut connection = [connection];
            ask(&mut connection, "/", "X-Country: DE").await;
            heard(&mut connection).await;
            connections.extend(connection);
            let counts = here.crew.n_connections();
            assert_eq!(counts.iter().sum::<usize>(), n);
            assert!(counts.iter().all(|&count| count <= n.div_ceil(N_WORKERS)));
        }
        assert_eq!(here.crew.n_connections(), [even; N_WORKERS]);
        // One that was handed over is served like any other.
        ask(&mut connections, "/", "X-Country: DE").await;
        heard(&mut connections).await;
        drop(connections);
        wait::until("all are closed", async || {
            here.crew.n_connections() == [0; N_WORKERS]
        })
        .await;
    }
}
