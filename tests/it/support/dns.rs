//! A name server: UDP and TCP on one port, with answers that a test writes by hand.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::support::wait;

/// The types of records (RFC 1035, section 3.2.2; RFC 3596; RFC 2782).
const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// A running name server; it stops when it is dropped.
pub(crate) struct Dns {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _tasks: JoinSet<()>,
}

/// What it answers, and what it was asked.
#[derive(Default)]
struct Zone {
    names: HashMap<String, Answer>,
    asked: HashMap<String, usize>,
    n_by_tcp: usize,
}

/// What it answers for a name.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// These addresses, of either family; a family that has none gets an empty answer.
    Addresses {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// How long they hold, in seconds.
        ttl: u32,
    },
    /// The same by TCP only; UDP gets nothing but the note that it was cut.
    Truncated(Vec<IpAddr>),
    /// Addresses of IPv4, and no word on IPv6.
    HalfSilent(Vec<IpAddr>),
    /// Servers: priority, weight, port and host.
    Servers(Vec<(u16, u16, u16, &'static str)>),
    /// There is no such name.
    NotFound,
    /// There is the name, and nothing that is asked for.
    Empty,
    /// The name server is not well.
    Failure,
    /// Nothing at all.
    Silence,
}

/// Starts a name server that knows no name.
pub(crate) async fn start() -> Dns {
    // A port that is free for TCP may not be for UDP.
    let mut bound = None;
    wait::until("a port for UDP and TCP", async || {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let tcp = TcpListener::bind(any).await.expect("a port");
        let address = tcp.local_addr().expect("an address");
        bound = UdpSocket::bind(address).await.ok().map(|udp| (udp, tcp));
        bound.is_some()
    })
    .await;
    let (udp, tcp) = bound.expect("it was waited for");
    let address = tcp.local_addr().expect("an address");
    let zone = Arc::new(Mutex::new(Zone::default()));
    let mut tasks = JoinSet::new();
    tasks.spawn(by_udp(udp, Arc::clone(&zone)));
    tasks.spawn(by_tcp(tcp, Arc::clone(&zone)));
    Dns {
        address,
        zone,
        _tasks: tasks,
    }
}

/// Addresses that hold for no time at all, so that only the least time between questions counts.
pub(crate) fn addresses(addresses: &[&str]) -> Answer {
    lasting(addresses, 0)
}

/// Addresses that hold for so many seconds.
pub(crate) fn lasting(addresses: &[&str], ttl: u32) -> Answer {
    Answer::Addresses {
        addresses: ips(addresses),
        ttl,
    }
}

/// Addresses as they are written.
pub(crate) fn ips(addresses: &[&str]) -> Vec<IpAddr> {
    let parse = |address: &&str| address.parse().expect("an address");
    addresses.iter().map(parse).collect()
}

impl Dns {
    /// Answers so for a name from now on.
    pub(crate) fn set(&self, name: &str, answer: Answer) {
        let mut zone = self.zone.lock().expect("no panic while it was held");
        zone.names.insert(name.to_owned(), answer);
    }

    /// How often a name was asked for, whatever of it.
    pub(crate) fn n_asked(&self, name: &str) -> usize {
        let zone = self.zone.lock().expect("no panic while it was held");
        zone.asked.get(name).copied().unwrap_or(0)
    }

    /// How many questions came by TCP.
    pub(crate) fn n_by_tcp(&self) -> usize {
        self.zone
            .lock()
            .expect("no panic while it was held")
            .n_by_tcp
    }

    /// Waits until a name was asked for so many times more.
    pub(crate) async fn asked_again(&self, name: &str, times: usize) {
        let before = self.n_asked(name);
        wait::until("the name is asked for again", async || {
            before + times <= self.n_asked(name)
        })
        .await;
    }
}

async fn by_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut packet = [0; 4096];
    while let Ok((n, from)) = socket.recv_from(&mut packet).await {
        if let Some(answer) = answer(&packet[..n], &zone, false) {
            // Who asked may be gone.
            socket.send_to(&answer, from).await.unwrap_or_default();
        }
    }
}

async fn by_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    let mut tasks = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let zone = Arc::clone(&zone);
        tasks.spawn(async move {
            // It ends when the peer does.
            converse(stream, &zone).await.unwrap_or_default();
        });
    }
}

async fn converse(mut stream: TcpStream, zone: &Mutex<Zone>) -> io::Result<()> {
    loop {
        let n = stream.read_u16().await?;
        let mut packet = vec![0; usize::from(n)];
        stream.read_exact(&mut packet).await?;
        if let Some(answer) = answer(&packet, zone, true) {
            let n = u16::try_from(answer.len()).expect("a message of DNS");
            stream.write_u16(n).await?;
            stream.write_all(&answer).await?;
        }
    }
}

/// The answer to a question; none is silence.
fn answer(packet: &[u8], zone: &Mutex<Zone>, is_tcp: bool) -> Option<Vec<u8>> {
    let (name, end) = question(packet)?;
    let kind = u16::from_be_bytes([packet[end], packet[end + 1]]);
    let known = {
        let mut zone = zone.lock().expect("no panic while it was held");
        *zone.asked.entry(name.clone()).or_default() += 1;
        zone.n_by_tcp += usize::from(is_tcp);
        zone.names.get(&name).cloned()
    };
    let (mut code, mut cut, mut records) = (0, false, Vec::new());
    match known.unwrap_or(Answer::NotFound) {
        Answer::Addresses { addresses, ttl } => records = of_kind(&addresses, kind, ttl),
        Answer::Truncated(_) if !is_tcp => cut = true,
        Answer::Truncated(addresses) => records = of_kind(&addresses, kind, 0),
        Answer::HalfSilent(_) if kind == AAAA => return None,
        Answer::HalfSilent(addresses) => records = of_kind(&addresses, kind, 0),
        Answer::Servers(servers) if kind == SRV => {
            records = servers.into_iter().map(server).collect();
        }
        Answer::Servers(_) | Answer::Empty => {}
        Answer::NotFound => code = 3,
        Answer::Failure => code = 2,
        Answer::Silence => return None,
    }
    // The same number and question, "response", "recursion available"; then the records.
    let mut bytes = packet[..2].to_vec();
    bytes.extend([0x81 | if cut { 2 } else { 0 }, 0x80 | code]);
    let n = u16::try_from(records.len()).expect("not that many records");
    bytes.extend([0, 1]);
    bytes.extend(n.to_be_bytes());
    bytes.extend([0, 0, 0, 0]);
    bytes.extend(&packet[12..end + 4]);
    for record in records {
        // The name is the one in the question.
        bytes.extend([0xc0, 12]);
        bytes.extend(record);
    }
    Some(bytes)
}

/// The name that is asked for, and where it ends.
fn question(packet: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let n = usize::from(*packet.get(at)?);
        at += 1;
        if n == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + n)?).to_lowercase());
        at += n;
    }
    packet.get(at..at + 4)?;
    Some((labels.join("."), at))
}

fn of_kind(addresses: &[IpAddr], kind: u16, ttl: u32) -> Vec<Vec<u8>> {
    let right = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) if kind == A => Some(address.octets().to_vec()),
        IpAddr::V6(address) if kind == AAAA => Some(address.octets().to_vec()),
        _ => None,
    });
    right.map(|data| record(kind, ttl, &data)).collect()
}

fn server((priority, weight, port, host): (u16, u16, u16, &str)) -> Vec<u8> {
    let mut data = Vec::new();
    for number in [priority, weight, port] {
        data.extend(number.to_be_bytes());
    }
    for label in host.split('.').filter(|label| !label.is_empty()) {
        data.push(u8::try_from(label.len()).expect("a label"));
        data.extend(label.as_bytes());
    }
    data.push(0);
    record(SRV, 0, &data)
}

/// A record behind its name.
fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend([0, 1]);
    bytes.extend(ttl.to_be_bytes());
    let n = u16::try_from(data.len()).expect("a short record");
    bytes.extend(n.to_be_bytes());
    bytes.extend(data);
    bytes
}
