//! The PROXY protocol in any bytes: what a listener reads is what the specification says, however
//! the bytes are cut, and not one byte behind the header is taken.
//!
//! The reader wants a socket, for it looks at what has come before it takes it; so it gets one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use tidegate::listener::{ProxiedOrigin, read_proxy_header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

/// Bytes of input: more than the longest line, and enough for a header of version 2 with more
/// behind its addresses.
const MOST: usize = 512;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of this thread alone");
}

/// What a header says, and how long it is.
type Header = (ProxiedOrigin, usize);

pub(in crate::statement) fn holds(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MOST)];
    let expected = specified(bytes);
    for step in [bytes.len().max(1), 7, 1] {
        let read = RUNTIME.with(|runtime| runtime.block_on(read(bytes, step)));
        let Some((origin, rest)) = read else {
            assert_eq!(expected, None, "{}", bytes.escape_ascii());
            continue;
        };
        let length = bytes.len() - rest.len();
        assert_eq!(expected, Some((origin, length)), "{}", bytes.escape_ascii());
        assert_eq!(&bytes[length..], rest, "what follows is whole");
    }
}

/// What is read of bytes that come in steps, and what is left behind it.
async fn read(bytes: &[u8], step: usize) -> Option<(ProxiedOrigin, Vec<u8>)> {
    let (mut near, mut far) = pair();
    let writing = async {
        for piece in bytes.chunks(step) {
            near.write_all(piece).await.expect("the buffer has room");
            yield_now().await;
        }
        drop(near);
    };
    let reading = async {
        let origin = read_proxy_header(&mut far).await;
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.expect("a pair");
        Some((origin.ok()?, rest))
    };
    tokio::join!(writing, reading).1
}

/// Two sockets that are each other's peer: no port is used up, however many there are.
fn pair() -> (TcpStream, TcpStream) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let stream = |socket: UnixStream| {
        socket.set_nonblocking(true).expect("a socket");
        let socket = std::net::TcpStream::from(OwnedFd::from(socket));
        TcpStream::from_std(socket).expect("a runtime is here")
    };
    (stream(near), stream(far))
}

/// A header as "The PROXY protocol" (HAProxy, 2020) has it, sections 2.1 and 2.2.
fn specified(bytes: &[u8]) -> Option<Header> {
    let signature = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a";
    if let Some(rest) = bytes.strip_prefix(signature) {
        return binary(rest).map(|(origin, length)| (origin, signature.len() + length));
    }
    // The longest line has 107 bytes, with its end.
    let window = &bytes[..bytes.len().min(107)];
    let length = window.windows(2).position(|two| two == b"\r\n")? + 2;
    let line = str::from_utf8(&window[..length - 2]).ok()?;
    let origin = match line.split(' ').collect::<Vec<_>>()[..] {
        ["PROXY", "UNKNOWN", ..] if !line.contains('\n') => ProxiedOrigin::Peer,
        ["PROXY", "TCP4", from, to, from_port, to_port] => {
            let ip = |text: &str| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
            client(ip(from)?, ip(to)?, port(from_port)?, port(to_port)?)
        }
        ["PROXY", "TCP6", from, to, from_port, to_port] => {
            let ip = |text: &str| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
            client(ip(from)?, ip(to)?, port(from_port)?, port(to_port)?)
        }
        _ => return None,
    };
    Some((origin, length))
}

fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Version 2 behind its signature.
fn binary(rest: &[u8]) -> Option<Header> {
    let [command, family, high, low, rest @ ..] = rest else {
        return None;
    };
    let length = usize::from(*high) << 8 | usize::from(*low);
    let rest = rest.get(..length)?;
    let origin = match (command, family) {
        // LOCAL, whatever else is there; and PROXY without an address, or with one of a file.
        (0x20, _) | (0x21, 0x00 | 0x31) => ProxiedOrigin::Peer,
        (0x21, 0x11) => {
            let ip = |at| Some(IpAddr::V4(Ipv4Addr::from(array::<4>(rest, at)?)));
            let port = |at| Some(u16::from_be_bytes(array(rest, at)?));
            client(ip(0)?, ip(4)?, port(8)?, port(10)?)
        }
        (0x21, 0x21) => {
            let ip = |at| Some(IpAddr::V6(Ipv6Addr::from(array::<16>(rest, at)?)));
            let port = |at| Some(u16::from_be_bytes(array(rest, at)?));
            client(ip(0)?, ip(16)?, port(32)?, port(34)?)
        }
        _ => return None,
    };
    Some((origin, 4 + length))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn client(from: IpAddr, to: IpAddr, from_port: u16, to_port: u16) -> ProxiedOrigin {
    ProxiedOrigin::Client {
        from: SocketAddr::new(from, from_port),
        to: SocketAddr::new(to, to_port),
    }
}
