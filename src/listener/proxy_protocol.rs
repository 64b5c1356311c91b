//! The PROXY protocol: what a load balancer that forwards bytes says of the connection before them.
//!
//! Versions 1 and 2, by HAProxy's "The PROXY protocol" (2020). It is read from trusted proxies
//! alone, for anybody could write it; and from them it has to be there, for what is optional can be
//! forged by whoever reaches them. Nothing behind the header is read with it: that is for whoever
//! speaks TLS or HTTP.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the header may take: it is the first that a proxy sends, in one packet.
const WAIT: Duration = Duration::from_secs(5);
/// The shortest header, which is of version 1: `PROXY UNKNOWN`. No header has fewer bytes, so that
/// many can be read whichever it is.
const SHORTEST: usize = 15;
/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of version 2: signature, version and command, family, length.
const FIXED: usize = 16;
/// The most that may follow it: addresses are 36 bytes, and what else proxies tell is certificates
/// at worst.
const MAX_REST: usize = 4096;

/// From whom a listener's connections begin with a header.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProxyProtocol {
    /// From nobody.
    #[default]
    Off,
    /// From everybody; who is no trusted proxy may not connect.
    Required,
    /// From trusted proxies; all others connect themselves.
    FromTrusted,
}

/// Whether a connection begins with a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::listener) enum Expected {
    No,
    Yes,
    /// It would have to, and nobody would believe it.
    Refused,
}

impl ProxyProtocol {
    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Required => "required",
            Self::FromTrusted => "from_trusted",
        }
    }

    /// What is expected of a peer.
    pub(in crate::listener) fn of(self, is_trusted: impl Fn() -> bool) -> Expected {
        match self {
            Self::Off => Expected::No,
            Self::Required if is_trusted() => Expected::Yes,
            Self::Required => Expected::Refused,
            Self::FromTrusted if is_trusted() => Expected::Yes,
            Self::FromTrusted => Expected::No,
        }
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The connection is the proxy's own, as for its health checks, or it knows of no addresses.
    Peer,
    /// The connection is from an address, and went to another one.
    Client {
        /// Where it is from.
        from: SocketAddr,
        /// Where it went to.
        to: SocketAddr,
    },
}

/// Why there is no header.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// What came is none.
    #[error("no PROXY header")]
    Malformed,
    /// It did not come in time.
    #[error("no PROXY header in time")]
    TooSlow,
    /// The connection failed or ended before it.
    #[error("connection failed before its PROXY header")]
    Io(#[from] io::Error),
}

/// Reads the header that a connection begins with, and nothing behind it.
///
/// # Errors
/// When there is none.
pub async fn read(stream: &mut TcpStream) -> Result<Origin, HeaderError> {
    let reading = async {
        let mut start = [0; SHORTEST];
        stream.read_exact(&mut start).await?;
        if start.starts_with(SIGNATURE) {
            read_binary(stream, start).await
        } else if start.starts_with(b"PROXY ") {
            read_line(stream, start).await
        } else {
            Err(HeaderError::Malformed)
        }
    };
    timeout(WAIT, reading)
        .await
        .unwrap_or(Err(HeaderError::TooSlow))
}

async fn read_line(stream: &mut TcpStream, start: [u8; SHORTEST]) -> Result<Origin, HeaderError> {
    let mut line = [0; LONGEST_LINE];
    line[..SHORTEST].copy_from_slice(&start);
    let mut n = SHORTEST;
    while !line[..n].ends_with(b"\n") {
        // What is there is looked at first, so that what follows the line stays where it is.
        let there = stream.peek(&mut line[n..]).await?;
        if there == 0 {
            return Err(HeaderError::Malformed);
        }
        let found = line[n..n + there].iter().position(|&byte| byte == b'\n');
        let taken = found.map_or(there, |at| at + 1);
        stream.read_exact(&mut line[n..n + taken]).await?;
        n += taken;
    }
    parse_line(&line[..n])
}

async fn read_binary(stream: &mut TcpStream, start: [u8; SHORTEST]) -> Result<Origin, HeaderError> {
    let low = stream.read_u8().await?;
    let length = usize::from(u16::from_be_bytes([start[FIXED - 2], low]));
    if length > MAX_REST {
        return Err(HeaderError::Malformed);
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    parse_binary(start[12], start[13], &rest)
}

/// Reads a line of version 1, with its end.
fn parse_line(line: &[u8]) -> Result<Origin, HeaderError> {
    let line = line.strip_suffix(b"\r\n").ok_or(HeaderError::Malformed)?;
    let line = str::from_utf8(line).map_err(|_| HeaderError::Malformed)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Origin::Peer);
    }
    let rest: Vec<&str> = words.collect();
    let &[from, to, from_port, to_port] = rest.as_slice() else {
        return Err(HeaderError::Malformed);
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse().ok().map(IpAddr::V4),
            "TCP6" => text.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| -> Option<u16> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number)
    };
    let socket = |ip: &str, of: &str| Some(SocketAddr::new(address(ip)?, port(of)?));
    match (socket(from, from_port), socket(to, to_port)) {
        (Some(from), Some(to)) => Ok(Origin::Client { from, to }),
        _ => Err(HeaderError::Malformed),
    }
}

/// Reads version 2: its version and command, its family and protocol, and what follows.
fn parse_binary(command: u8, family: u8, rest: &[u8]) -> Result<Origin, HeaderError> {
    match command {
        0x20 => return Ok(Origin::Peer),
        0x21 => {}
        _ => return Err(HeaderError::Malformed),
    }
    let (from, to, ports) = match family {
        0x11 => {
            let from = take::<4>(rest, 0)?;
            let to = take::<4>(rest, 4)?;
            let v4 = |bytes| IpAddr::V4(Ipv4Addr::from(bytes));
            (v4(from), v4(to), 8)
        }
        0x21 => {
            let from = take::<16>(rest, 0)?;
            let to = take::<16>(rest, 16)?;
            let v6 = |bytes: [u8; 16]| IpAddr::V6(Ipv6Addr::from(bytes));
            (v6(from), v6(to), 32)
        }
        // Unspecified, and sockets of Unix: there is no address to learn.
        0x00 | 0x31 => return Ok(Origin::Peer),
        _ => return Err(HeaderError::Malformed),
    };
    let from_port = u16::from_be_bytes(take(rest, ports)?);
    let to_port = u16::from_be_bytes(take(rest, ports + 2)?);
    Ok(Origin::Client {
        from: SocketAddr::new(from, from_port),
        to: SocketAddr::new(to, to_port),
    })
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], HeaderError> {
    bytes
        .get(at..at + N)
        .and_then(|part| part.try_into().ok())
        .ok_or(HeaderError::Malformed)
}
