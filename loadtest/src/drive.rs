//! The generator: keeps connections busy, or keeps to a rate, and checks every response.
//!
//! *closed*: each connection sends its next request when the last is answered. *open*: requests
//! are due at a fixed rate whether or not the proxy keeps up, and latency counts from when one was
//! due, so that a stall is seen by all the requests it delays. *churn*: a connection per request.

use crate::arguments::Arguments;
use crate::fields::Fields;
use crate::reply::{Finished, Reply};
use crate::requests::{Requests, Shape};
use crate::tally::Tally;
use crate::wire::{self, Got, Poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long requests that are under way at the end may still take.
const GRACE: Duration = Duration::from_secs(5);

/// A connection to this machine that takes longer is not being accepted.
const STUCK: Duration = Duration::from_secs(1);

/// With this many errors the run is over: it has failed, and would only spin.
const MAX_ERRORS: u64 = 10_000;

const BUFFER: usize = 256 << 10;

#[derive(Clone, Copy, Eq, PartialEq)]
enum Mode {
    Closed,
    Open,
    Churn,
}

struct Settings {
    address: SocketAddr,
    mode: Mode,
    n_connections: usize,
    seconds: f64,
    /// Bytes asked for, which every 200 must have.
    size: usize,
    /// Requests a second, of all connections together; for the open loop.
    rate: f64,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Connecting,
    Idle,
    Busy,
}

struct Client {
    stream: Option<TcpStream>,
    state: State,
    /// When the present request was due.
    due: Instant,
    /// Since when it has been free, or not connected.
    since: Instant,
    /// The number of the present request.
    request: usize,
    sent: usize,
    reply: Reply,
}

struct Drive {
    settings: Settings,
    requests: Requests,
    poll: Poll,
    clients: Vec<Client>,
    idle: VecDeque<usize>,
    tally: Tally,
    start: Instant,
    deadline: Instant,
    n_busy: usize,
    /// Requests of the open loop that were sent so far.
    n_started: u64,
}

/// Drives one run and prints what came of it as one JSON object.
///
/// # Errors
/// When the arguments are wrong or the kernel refuses an epoll.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let settings = Settings::from(arguments)?;
    let shape = Shape {
        host: arguments
            .one("host")?
            .unwrap_or_else(|| settings.address.to_string()),
        size: settings.size,
        closes: settings.mode == Mode::Churn,
        body: arguments.one("post")?,
    };
    let requests = Requests::new(arguments, &shape)?;
    let mut tally = Tally::default();
    tally.noted.fields = Fields::new(arguments.all("count-field"));
    let drive = Drive::new(settings, requests, tally).map_err(|error| format!("drive: {error}"))?;
    println!(
        "{}",
        drive.finish().map_err(|error| format!("drive: {error}"))?
    );
    Ok(())
}

impl Settings {
    fn from(arguments: &Arguments) -> Result<Self, String> {
        let address: SocketAddr = arguments
            .one("address")?
            .ok_or("drive wants --address IP:PORT")?;
        let mode = match arguments.one::<String>("mode")?.as_deref() {
            None | Some("closed") => Mode::Closed,
            Some("open") => Mode::Open,
            Some("churn") => Mode::Churn,
            Some(other) => return Err(format!("--mode {other}: closed, open or churn")),
        };
        let size = arguments.one("size")?.unwrap_or(200);
        let rate = arguments.one("rate")?.unwrap_or(1000.0);
        let seconds = arguments.one("seconds")?.unwrap_or(3.0);
        let n_connections = arguments.one("connections")?.unwrap_or(64);
        if n_connections == 0 || !(rate > 0.0 && seconds > 0.0) {
            return Err("connections, rate and seconds must be above zero".to_owned());
        }
        Ok(Self {
            address,
            mode,
            n_connections,
            seconds,
            size,
            rate,
        })
    }
}

impl Drive {
    fn new(settings: Settings, requests: Requests, tally: Tally) -> io::Result<Self> {
        let start = Instant::now();
        let deadline = start + Duration::from_secs_f64(settings.seconds);
        let clients = (0..settings.n_connections)
            .map(|_| Client {
                stream: None,
                state: State::Connecting,
                due: start,
                since: start,
                request: 0,
                sent: 0,
                reply: Reply::default(),
            })
            .collect();
        Ok(Self {
            settings,
            requests,
            poll: Poll::new()?,
            clients,
            idle: VecDeque::new(),
            tally,
            start,
            deadline,
            n_busy: 0,
            n_started: 0,
        })
    }

    fn finish(mut self) -> io::Result<String> {
        let mut buffer = vec![0; BUFFER];
        for index in 0..self.clients.len() {
            self.connect(index);
        }
        while let Some(limit) = self.patience() {
            self.poll.wait(Some(limit))?;
            for index in 0..self.poll.n_events() {
                let (token, ended) = self.poll.event(index);
                self.step(token as usize, &mut buffer, ended);
            }
            self.dispatch();
        }
        self.tally.errors.timeout += self.n_busy as u64 + self.backlog();
        self.tally.errors.connect += self.n_stuck();
        Ok(self.tally.json(self.settings.seconds, &self.requests))
    }

    /// How long to wait for events; `None` when the run is over.
    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        if MAX_ERRORS < self.tally.errors.total() {
            return None;
        }
        if self.deadline <= now {
            let waits = self.n_busy > 0 || self.backlog() > 0;
            let left = (self.deadline + GRACE).checked_duration_since(now)?;
            return (waits && !left.is_zero()).then_some(left);
        }
        let mut until = self.deadline;
        if self.settings.mode == Mode::Open && !self.idle.is_empty() {
            until = until.min(self.due(self.n_started));
        }
        Some(until.saturating_duration_since(now))
    }

    /// When the open loop's request number `n` is due.
    fn due(&self, n: u64) -> Instant {
        self.start + Duration::from_secs_f64(n as f64 / self.settings.rate)
    }

    /// Requests of the open loop that were due before the end and are not sent yet.
    fn backlog(&self) -> u64 {
        if self.settings.mode != Mode::Open {
            return 0;
        }
        let due = (self.settings.seconds * self.settings.rate) as u64;
        due.saturating_sub(self.n_started)
    }

    /// Connections that were begun well before the end and are still not made.
    fn n_stuck(&self) -> u64 {
        let stuck = self.clients.iter().filter(|client| {
            let waited = self.deadline.saturating_duration_since(client.due);
            client.state == State::Connecting && client.stream.is_some() && STUCK < waited
        });
        stuck.count() as u64
    }

    fn connect(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.stream = None;
        client.state = State::Connecting;
        client.reply = Reply::default();
        client.due = Instant::now();
        self.tally.opened += 1;
        let opened = connecting(self.settings.address)
            .and_then(|stream| self.poll.watch(&stream, index as u64).map(|()| stream));
        match opened {
            Ok(stream) => client.stream = Some(stream),
            Err(_) => self.tally.errors.connect += 1,
        }
    }

    /// Does what can be done on one connection without waiting.
    fn step(&mut self, index: usize, buffer: &mut [u8], ended: bool) {
        if self.clients[index].state == State::Connecting {
            let Some(stream) = &self.clients[index].stream else {
                return;
            };
            if !matches!(stream.take_error(), Ok(None)) {
                self.tally.errors.connect += 1;
                self.again(index);
                return;
            }
            self.clients[index].state = State::Idle;
            // Only where each request has a connection of its own does connecting belong to it.
            let since = match self.settings.mode {
                Mode::Churn => self.clients[index].due,
                Mode::Closed | Mode::Open => Instant::now(),
            };
            self.ready(index, since);
        } else if self.clients[index].state == State::Busy {
            self.send(index);
        }
        while let Some(stream) = &self.clients[index].stream {
            let n = match wire::read(stream, buffer) {
                Ok(Got::Bytes(n)) => n,
                Ok(Got::Nothing) => return,
                Ok(Got::End) => return self.lost(index, false),
                Err(_) => return self.lost(index, true),
            };
            self.take(index, &buffer[..n]);
            if n < buffer.len() && !ended {
                return;
            }
        }
    }

    fn take(&mut self, index: usize, bytes: &[u8]) {
        let client = &mut self.clients[index];
        self.tally.bytes += bytes.len() as u64;
        if client.state != State::Busy {
            self.tally.errors.framing += 1;
            return self.again(index);
        }
        match client
            .reply
            .take(bytes, self.settings.size, &mut self.tally.noted)
        {
            Ok(None) => {}
            Ok(Some(finished)) => self.answered(index, &finished),
            Err(fault) => {
                self.n_busy -= 1;
                self.tally.errors.add_fault(&fault);
                self.again(index);
            }
        }
    }

    fn answered(&mut self, index: usize, finished: &Finished) {
        let now = Instant::now();
        let client = &mut self.clients[index];
        client.state = State::Idle;
        self.n_busy -= 1;
        let took = now.saturating_duration_since(client.due);
        if let Some(group) = finished.group {
            self.requests.answered(client.request, group);
        }
        self.tally
            .answered(finished.status, took, now <= self.deadline);
        if self.settings.mode == Mode::Churn {
            return self.again(index);
        }
        if finished.closes {
            self.tally.announced_closes += 1;
            return self.again(index);
        }
        self.ready(index, now);
    }

    /// The connection can take a request.
    fn ready(&mut self, index: usize, since: Instant) {
        if self.settings.mode == Mode::Open {
            self.clients[index].since = Instant::now();
            self.idle.push_back(index);
        } else if Instant::now() < self.deadline {
            self.start_request(index, since);
        }
    }

    /// Sends the requests that are due on the connections that are free; for the open loop.
    fn dispatch(&mut self) {
        while self.settings.mode == Mode::Open && self.backlog() > 0 {
            let due = self.due(self.n_started);
            let now = Instant::now();
            if now < due {
                return;
            }
            let Some(index) = self.idle.pop_front() else {
                return;
            };
            // One that was lost while idle is in the queue no more than once: see `again`.
            self.n_started += 1;
            let since = self.clients[index].since;
            let late = now.saturating_duration_since(due.max(since));
            self.tally.sent(late, due < since);
            self.start_request(index, due);
        }
    }

    fn start_request(&mut self, index: usize, due: Instant) {
        let client = &mut self.clients[index];
        client.due = due;
        client.sent = 0;
        client.request = self.requests.turn();
        client.state = State::Busy;
        self.n_busy += 1;
        self.send(index);
    }

    fn send(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let left = &self.requests.bytes(client.request)[client.sent..];
        let Some(stream) = &client.stream else {
            return;
        };
        if left.is_empty() {
            return;
        }
        // A write that fails is told by the read that follows: the connection is broken.
        if let Ok(n) = wire::write(stream, left) {
            client.sent += n;
        }
    }

    /// The other side has ended the connection, or it is broken.
    fn lost(&mut self, index: usize, broken: bool) {
        if self.clients[index].state == State::Busy {
            self.n_busy -= 1;
        }
        if broken {
            self.tally.errors.broken += 1;
        } else {
            self.tally.errors.closed += 1;
        }
        self.again(index);
    }

    /// Drops the connection and opens another in its place, while the run goes on.
    fn again(&mut self, index: usize) {
        self.clients[index].stream = None;
        self.clients[index].state = State::Connecting;
        self.idle.retain(|&other| other != index);
        if Instant::now() < self.deadline && self.tally.errors.total() <= MAX_ERRORS {
            self.connect(index);
        }
    }
}

/// A socket that is on its way to `address`.
fn connecting(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    match rustix::net::connect(&stream, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(stream),
        Err(error) => Err(error.into()),
    }
}
