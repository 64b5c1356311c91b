//! The origin: groups of listeners that answer any path that ends with `/N` with N bytes, and say
//! which group they are.
//!
//! One thread. A request is read from one shared buffer and answered with one write of bytes that
//! were made the first time that size was asked for.

use crate::arguments::Arguments;
use crate::counts::Counts;
use crate::fields::Fields;
use crate::head;
use crate::tally::object;
use crate::wire::{self, Got, Poll};
use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};

/// The largest body that is served.
const MAX_SIZE: usize = 64 << 20;

/// The room for one read: a 64 KiB body with its head fits.
const BUFFER: usize = 256 << 10;

struct Group {
    name: String,
    listener: TcpListener,
    answers: HashMap<usize, Vec<u8>>,
}

struct Connection {
    stream: TcpStream,
    group: usize,
    /// The beginning of a head that came in pieces.
    held: Vec<u8>,
    /// What is still to come of the request's body, and the answer it waits for.
    body_left: usize,
    asked: Option<Asked>,
    /// What the kernel did not take yet.
    out: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Asked {
    Bytes(usize),
    HeadOnly(usize),
    Counts,
    Fields,
    Timeline,
    Unknown,
}

struct Origin {
    poll: Poll,
    groups: Vec<Group>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    counts: Counts,
    fields: Fields,
}

/// Serves until it is killed; prints `NAME ADDRESS` for every group once all of them listen.
///
/// # Errors
/// When the arguments are wrong or an address cannot be had.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let mut groups = Vec::new();
    for given in arguments.all("group") {
        let (name, address) = given
            .split_once('=')
            .ok_or_else(|| format!("--group {given}: not NAME=ADDRESS"))?;
        let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
        groups.push(Group {
            name: name.to_owned(),
            listener,
            answers: HashMap::new(),
        });
    }
    if groups.is_empty() {
        return Err("origin wants at least one --group NAME=ADDRESS".to_owned());
    }
    Origin::new(groups, Fields::new(arguments.all("count-field")))
        .and_then(Origin::serve)
        .map_err(|error| format!("origin: {error}"))
}

impl Origin {
    fn new(groups: Vec<Group>, fields: Fields) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (index, group) in groups.iter().enumerate() {
            group.listener.set_nonblocking(true)?;
            poll.watch_listener(&group.listener, index as u64)?;
            println!("{} {}", group.name, group.listener.local_addr()?);
        }
        let names = groups.iter().map(|group| group.name.clone()).collect();
        Ok(Self {
            poll,
            groups,
            connections: Vec::new(),
            free: Vec::new(),
            counts: Counts::new(names),
            fields,
        })
    }

    fn serve(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            self.poll.wait(None)?;
            let slice = self.counts.slice();
            for index in 0..self.poll.n_events() {
                let (token, ended) = self.poll.event(index);
                let token = token as usize;
                if token < self.groups.len() {
                    self.accept(token)?;
                    continue;
                }
                let slot = token - self.groups.len();
                let Some(mut connection) = self.connections[slot].take() else {
                    continue;
                };
                if self.step(&mut connection, &mut buffer, slice, ended) {
                    self.connections[slot] = Some(connection);
                } else {
                    self.free.push(slot);
                }
            }
        }
    }

    fn accept(&mut self, group: usize) -> io::Result<()> {
        loop {
            // Anything but a connection: none waits, or it is gone already, or descriptors have
            // run out, and then the next wait tells again.
            let Ok((stream, _)) = self.groups[group].listener.accept() else {
                return Ok(());
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poll
                .watch(&stream, (self.groups.len() + slot) as u64)?;
            self.connections[slot] = Some(Connection {
                stream,
                group,
                held: Vec::new(),
                body_left: 0,
                asked: None,
                out: Vec::new(),
            });
        }
    }

    /// Does what can be done without waiting; `false` when the connection is over.
    fn step(
        &mut self,
        connection: &mut Connection,
        buffer: &mut [u8],
        slice: usize,
        ended: bool,
    ) -> bool {
        if !connection.flush() {
            return false;
        }
        loop {
            let n = match wire::read(&connection.stream, buffer) {
                Ok(Got::Bytes(n)) => n,
                Ok(Got::Nothing) => return true,
                Ok(Got::End) | Err(_) => return false,
            };
            let taken = if connection.held.is_empty() {
                self.take(connection, &buffer[..n], slice)
            } else {
                let mut held = std::mem::take(&mut connection.held);
                held.extend_from_slice(&buffer[..n]);
                self.take(connection, &held, slice)
            };
            if !taken {
                return false;
            }
            // A short read has emptied the socket, so the next edge will tell of more; but the
            // end of the stream may share its edge with the last bytes.
            if n < buffer.len() && !ended {
                return true;
            }
        }
    }

    /// Takes in bytes: bodies are counted off, every complete request is answered, the rest held.
    fn take(&mut self, connection: &mut Connection, bytes: &[u8], slice: usize) -> bool {
        let mut rest = bytes;
        loop {
            let body = connection.body_left.min(rest.len());
            connection.body_left -= body;
            rest = &rest[body..];
            if connection.body_left == 0
                && let Some(asked) = connection.asked.take()
                && !self.answer(connection, asked, slice)
            {
                return false;
            }
            if rest.is_empty() {
                return true;
            }
            let Some(length) = head::length(rest) else {
                connection.held = rest.to_vec();
                return true;
            };
            let (head, after) = rest.split_at(length);
            connection.asked = Some(asked(head));
            self.fields.look(head);
            connection.body_left = match head::field(head, b"content-length") {
                Some(digits) => match head::number(digits) {
                    Some(length) => length,
                    None => return false,
                },
                // Bodies in chunks are not served: no scenario sends them.
                None if head::field(head, b"transfer-encoding").is_some() => return false,
                None => 0,
            };
            rest = after;
        }
    }

    fn answer(&mut self, connection: &mut Connection, asked: Asked, slice: usize) -> bool {
        let group = &mut self.groups[connection.group];
        match asked {
            Asked::Bytes(size) | Asked::HeadOnly(size) => {
                self.counts.add(connection.group, slice);
                let name = &group.name;
                let whole = group
                    .answers
                    .entry(size)
                    .or_insert_with(|| whole_answer(name, size));
                let end = match asked {
                    Asked::HeadOnly(_) => whole.len() - size,
                    _ => whole.len(),
                };
                connection.send(&whole[..end])
            }
            Asked::Counts => connection.send(&json_answer(&self.counts.totals_json())),
            Asked::Fields => connection.send(&json_answer(&object(self.fields.counts()))),
            Asked::Timeline => connection.send(&json_answer(&self.counts.timeline_json())),
            Asked::Unknown => {
                connection.send(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            }
        }
    }
}

impl Connection {
    /// Writes now what the kernel takes and keeps the rest; `false` when the connection is broken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let mut done = 0;
        if self.out.is_empty() {
            match wire::write(&self.stream, bytes) {
                Ok(n) => done = n,
                Err(_) => return false,
            }
        }
        self.out.extend_from_slice(&bytes[done..]);
        true
    }

    fn flush(&mut self) -> bool {
        if self.out.is_empty() {
            return true;
        }
        match wire::write(&self.stream, &self.out) {
            Ok(n) => {
                self.out.drain(..n);
                true
            }
            Err(_) => false,
        }
    }
}

/// What the request line asks for.
fn asked(head: &[u8]) -> Asked {
    let mut words = head.split(|&byte| byte == b' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let path = target
        .split(|&byte| byte == b'?')
        .next()
        .unwrap_or_default();
    match path {
        b"/_counts" => return Asked::Counts,
        b"/_fields" => return Asked::Fields,
        b"/_timeline" => return Asked::Timeline,
        _ => {}
    }
    let last = path.rsplit(|&byte| byte == b'/').next();
    match last.and_then(head::number) {
        Some(size) if MAX_SIZE < size => Asked::Unknown,
        Some(size) if method == b"HEAD" => Asked::HeadOnly(size),
        Some(size) => Asked::Bytes(size),
        None => Asked::Unknown,
    }
}

fn whole_answer(group: &str, size: usize) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {size}\r\ncontent-type: text/plain\r\nx-group: {group}\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + size, b'x');
    answer
}

fn json_answer(text: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}
