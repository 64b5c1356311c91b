//! Accepting from something that is told what to say, on a paused clock; and from real sockets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::AsyncWriteExt;
use tokio::task::{JoinHandle, LocalSet, yield_now};
use tokio::time::Instant;

use crate::listener::accept::{Gate, Permit, Stop, accept, canonical, listening, serve};
use crate::listener::socket::bind;
use crate::telemetry::stats::ListenerStats;

/// How long a client waits before a test calls it forgotten.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be accepted: the number of a client, or an error.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Result<u32, Errno>>,
    waker: Option<Waker>,
    n_asked: usize,
}

fn stats() -> Arc<ListenerStats> {
    Arc::new(ListenerStats::new("test".into(), 1))
}

/// An accept loop over a [`Queue`], and what it has let in.
struct Fixture {
    queue: Rc<RefCell<Queue>>,
    let_in: Rc<RefCell<Vec<(u32, Instant, Permit)>>>,
    gate: Arc<Gate>,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Fixture {
    /// Starts a loop; only within a [`LocalSet`].
    fn start(limit: usize) -> Self {
        Self::with_gate(Arc::new(Gate::new(stats(), limit)))
    }

    fn with_gate(gate: Arc<Gate>) -> Self {
        let queue = Rc::new(RefCell::new(Queue::default()));
        let let_in = Rc::new(RefCell::new(Vec::new()));
        let stop = Stop::default();
        let task = tokio::task::spawn_local({
            let (queue, let_in) = (Rc::clone(&queue), Rc::clone(&let_in));
            let (gate, stop) = (Arc::clone(&gate), stop.clone());
            async move {
                let poll_accept = |context: &mut Context<'_>| poll(&queue, context);
                let mut on_connection = |client, _, permit| {
                    let_in.borrow_mut().push((client, Instant::now(), permit));
                };
                serve(
                    poll_accept,
                    |_| true,
                    &gate,
                    &stop.called,
                    &mut on_connection,
                )
                .await;
            }
        });
        Self {
            queue,
            let_in,
            gate,
            stop,
            task,
        }
    }

    fn push(&self, waiting: impl IntoIterator<Item = Result<u32, Errno>>) {
        let mut queue = self.queue.borrow_mut();
        queue.waiting.extend(waiting);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// Lets the loop run until it waits.
    async fn settle(&self) {
        for _ in 0..50 {
            yield_now().await;
        }
    }

    fn n_let_in(&self) -> usize {
        self.let_in.borrow().len()
    }

    fn close_one(&self) {
        self.let_in.borrow_mut().remove(0);
    }
}

fn poll(queue: &RefCell<Queue>, context: &mut Context<'_>) -> Poll<io::Result<(u32, SocketAddr)>> {
    let mut queue = queue.borrow_mut();
    queue.n_asked += 1;
    let Some(next) = queue.waiting.pop_front() else {
        queue.waker = Some(context.waker().clone());
        return Poll::Pending;
    };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    Poll::Ready(next.map(|client| (client, peer)).map_err(io::Error::from))
}

#[tokio::test(start_paused = true)]
async fn the_limit_holds_and_a_closed_connection_makes_room() {
    let test = async {
        let fixture = Fixture::start(2);
        fixture.push((0..5).map(Ok));
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 2);
        assert_eq!(fixture.gate.n_open(), 2);
        // One is accepted and held; the others wait where they are.
        assert_eq!(fixture.queue.borrow().waiting.len(), 2);
        assert_eq!(fixture.gate.stats.pauses(), [1, 0]);

        fixture.close_one();
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 2);
        assert_eq!(fixture.let_in.borrow()[1].0, 2);

        fixture.let_in.borrow_mut().clear();
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 2);
        assert!(fixture.queue.borrow().waiting.is_empty());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_freed_goes_to_whichever_worker_has_a_client() {
    let test = async {
        let gate = Arc::new(Gate::new(stats(), 1));
        let (one, other) = (
            Fixture::with_gate(Arc::clone(&gate)),
            Fixture::with_gate(gate),
        );
        one.push([Ok(1)]);
        one.settle().await;
        other.push([Ok(2)]);
        other.settle().await;
        assert_eq!((one.n_let_in(), other.n_let_in()), (1, 0));
        one.close_one();
        one.settle().await;
        assert_eq!((one.n_let_in(), other.n_let_in()), (0, 1));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_lets_in_at_once_and_a_lowered_one_closes_nothing() {
    let test = async {
        let fixture = Fixture::start(1);
        fixture.push((0..4).map(Ok));
        fixture.settle().await;
        fixture.gate.set_limit(3);
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 3);
        fixture.gate.set_limit(1);
        fixture.close_one();
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 2);
        fixture.let_in.borrow_mut().clear();
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 1);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn without_descriptors_it_rests_longer_and_longer_and_recovers() {
    let test = async {
        let fixture = Fixture::start(10);
        let began = Instant::now();
        fixture.push([Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(Err));
        fixture.push([Ok(1), Err(Errno::MFILE), Ok(2)]);
        // The paused clock runs on by itself only when everybody waits.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let waits: Vec<_> = fixture
            .let_in
            .borrow()
            .iter()
            .map(|(_, at, _)| (*at - began).as_millis())
            .collect();
        // Ten milliseconds doubled three times; and ten again, for the loop was well between.
        assert_eq!(waits, [10 + 20 + 40 + 80, 150 + 10]);
        assert_eq!(fixture.gate.stats.pauses(), [0, 5]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_rest_never_lasts_longer_than_a_second() {
    let test = async {
        let fixture = Fixture::start(1);
        fixture.push([Err(Errno::MFILE); 20]);
        fixture.push([Ok(1)]);
        tokio::time::sleep(Duration::from_secs(15)).await;
        // 10 + 20 + … + 640 ms make 1.27 s; thirteen times 1 s follow.
        let expected = Duration::from_millis(14_270);
        let before = Instant::now() - Duration::from_secs(15);
        assert_eq!(fixture.let_in.borrow()[0].1 - before, expected);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_ends_a_rest_at_once() {
    let test = async {
        let fixture = Fixture::start(10);
        fixture.push([Ok(1)]);
        fixture.settle().await;
        fixture.push([Err(Errno::MFILE), Ok(2)]);
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 1);
        let now = Instant::now();
        fixture.close_one();
        fixture.settle().await;
        assert_eq!(fixture.let_in.borrow()[0].0, 2);
        assert_eq!(Instant::now(), now);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_already_disturbs_nobody() {
    let test = async {
        let fixture = Fixture::start(10);
        fixture.push([Errno::CONNABORTED, Errno::PROTO, Errno::PERM].map(Err));
        fixture.push([Ok(1)]);
        let now = Instant::now();
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 1);
        assert_eq!(Instant::now(), now);
        assert_eq!(fixture.gate.stats.pauses(), [0, 0]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_leaves_other_tasks_their_turn() {
    let test = async {
        let fixture = Fixture::start(1000);
        fixture.push((0..1000).map(Ok));
        yield_now().await;
        assert_eq!(fixture.n_let_in(), 64);
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 1000);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn it_stops_while_it_accepts_waits_or_rests() {
    let test = async {
        for (limit, waiting) in [
            (1, vec![]),
            (1, vec![Ok(1), Ok(2)]),
            (1, vec![Err(Errno::MFILE); 3]),
        ] {
            let fixture = Fixture::start(limit);
            fixture.push(waiting);
            fixture.settle().await;
            let now = Instant::now();
            fixture.stop.call();
            let n_asked = fixture.queue.borrow().n_asked;
            fixture.task.await.unwrap();
            assert_eq!(Instant::now(), now);
            assert_eq!(fixture.queue.borrow().n_asked, n_asked);
        }
    };
    LocalSet::new().run_until(test).await;
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address() {
    let mapped = "[::ffff:192.0.2.1]:4711".parse().unwrap();
    assert_eq!(canonical(mapped), "192.0.2.1:4711".parse().unwrap());
    let v6 = "[2001:db8::1]:4711".parse().unwrap();
    assert_eq!(canonical(v6), v6);
}

fn local() -> (SocketAddr, Vec<TcpListener>) {
    let bound = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 1).unwrap();
    (bound.address.tcp().unwrap(), bound.sockets)
}

#[tokio::test]
async fn clients_are_accepted_from_a_socket_and_counted_while_they_last() {
    let test = async {
        let (address, sockets) = local();
        let socket = sockets.into_iter().next().unwrap();
        let listener = listening(socket).unwrap();
        let gate = Arc::new(Gate::new(stats(), 10));
        let stop = Stop::default();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let accepting = accept(listener, Arc::clone(&gate), stop.clone(), {
            move |stream, peer, permit| sender.send((stream, peer, permit)).unwrap()
        });
        let task = tokio::task::spawn_local(accepting);

        let client = TcpStream::connect(address).unwrap();
        let (stream, peer, permit) = receiver.recv().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
        assert_eq!(gate.n_open(), 1);
        drop(permit);
        assert_eq!(gate.n_open(), 0);

        stop.call();
        task.await.unwrap();
        assert!(TcpStream::connect(address).is_err());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_waits_in_the_backlog_is_still_served_when_accepting_stops() {
    let (address, sockets) = local();
    let socket = sockets.into_iter().next().unwrap();
    let listener = listening(socket).unwrap();
    let clients: Vec<_> = (0..3)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let gate = Arc::new(Gate::new(stats(), 2));
    let stop = Stop::default();
    stop.call();
    let mut let_in = Vec::new();
    accept(listener, Arc::clone(&gate), stop, |stream, peer, permit| {
        let_in.push((stream, peer, permit));
    })
    .await;
    let peers: Vec<_> = let_in.iter().map(|(_, peer, _)| *peer).collect();
    let expected: Vec<_> = clients[..2]
        .iter()
        .map(|client| client.local_addr().unwrap())
        .collect();
    assert_eq!(peers, expected);
    assert_eq!(gate.n_open(), 2);
}

#[tokio::test]
async fn who_waits_in_the_backlog_is_left_to_another_process_that_has_it() {
    let (address, sockets) = local();
    let others = sockets[0].try_clone().unwrap();
    let socket = sockets.into_iter().next().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let gate = Arc::new(Gate::new(stats(), 2));
    let stop = Stop::default();
    stop.leave_the_rest();
    accept(listening(socket).unwrap(), gate, stop, |_, _, _| {
        panic!("it was to be left alone");
    })
    .await;
    let (_, peer) = others.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_when_accepting_stops_is_let_in() {
    let test = async {
        let fixture = Fixture::start(1);
        fixture.push([Ok(1), Ok(2)]);
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 1);
        fixture.stop.leave_the_rest();
        fixture.settle().await;
        assert_eq!(fixture.n_let_in(), 2);
        assert!(fixture.task.is_finished());
    };
    LocalSet::new().run_until(test).await;
}

/// Serves each client of a socket one byte on a thread of its own, until stopped.
fn worker(socket: TcpListener, gate: Arc<Gate>, stop: Stop) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = listening(socket).unwrap();
        accept(listener, gate, stop, |stream, _, permit| {
            let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
            tokio::task::spawn_local(async move {
                let _ = stream.write_all(b"x").await;
                drop(stream);
                drop(permit);
            });
        })
        .await;
    });
}

#[test]
fn every_client_gets_through_a_narrow_gate_to_two_workers() {
    let bound = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 2).unwrap();
    let address = bound.address.tcp().unwrap();
    let gate = Arc::new(Gate::new(stats(), 1));
    let stop = Stop::default();
    std::thread::scope(|scope| {
        for socket in bound.sockets {
            let (gate, stop) = (Arc::clone(&gate), stop.clone());
            scope.spawn(move || worker(socket, gate, stop));
        }
        let stop = stop.called.drop_guard();
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || {
                    for _ in 0..50 {
                        let mut client = TcpStream::connect(address).unwrap();
                        client.set_read_timeout(Some(PATIENCE)).unwrap();
                        client.read_exact(&mut [0]).unwrap();
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        drop(stop);
    });
    assert_eq!(gate.n_open(), 0);
    assert!(gate.stats.pauses()[0] > 0);
}
