//! Sockets that listen: one for each worker, all on one address.
//!
//! `SO_REUSEPORT` lets the kernel spread new connections over the workers, but it would also let a
//! second tidegate, started by mistake, take half of them without a word. So the first socket binds
//! and listens without it, which fails when anybody listens on that address; only then does it let
//! its siblings in. From there on a process of another user is refused by the kernel, and a second
//! tidegate by its own first socket.
//!
//! That also refuses addresses which overlap: `0.0.0.0:80` beside `127.0.0.1:80`, and `0.0.0.0:80`
//! beside `[::]:80`, for `[::]` takes IPv4 clients too, whatever `net.ipv6.bindv6only` says.
//!
//! Sockets may also be inherited, from the instance that this one replaces or from the service
//! manager. There may be more or fewer of those than workers, and clients wait in the queue of each,
//! so each is accepted from as long as it is open: no queue is left without a worker.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;

use crate::listener::unix;
use crate::message::Address;

/// How many connections may wait in the kernel for each socket, as long as `net.core.somaxconn`
/// (4096 on Linux since 5.4) allows it: a burst of clients that reconnect after a failover is not
/// turned away.
pub(in crate::listener) const BACKLOG: i32 = 4096;

/// How long nothing comes until the kernel asks a peer whether it is there (`SO_KEEPALIVE`), and how
/// often it asks then: networks forget connections that are silent for minutes.
const SILENCE: Duration = Duration::from_secs(60);
const BETWEEN_PROBES: Duration = Duration::from_secs(10);

/// How long a peer may acknowledge nothing, or take nothing, before it is given up
/// (`TCP_USER_TIMEOUT`, RFC 5482): far longer than what is out of reach for a while, far shorter than
/// the quarter of an hour that the kernel takes. Whoever waits for a body has given up before.
const GONE: Duration = Duration::from_secs(300);

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody listens there already: another process, or another listener of this one.
    #[error("cannot listen on {address}: another socket listens there")]
    InUse {
        /// The address that was asked for.
        address: Address,
    },
    /// The kernel refused for another reason.
    #[error("cannot listen on {address}")]
    Failed {
        /// The address that was asked for.
        address: Address,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Sockets that listen on one address.
#[derive(Debug)]
pub struct Bound {
    /// The address, with the port that the kernel picked where 0 was asked for.
    pub address: Address,
    /// The sockets: one for each worker, one for all of a UNIX socket, or what was inherited.
    /// Non-blocking, closed on exec, and what they accept by TCP has `TCP_NODELAY` set. A UNIX socket
    /// goes by this type, too, for below it is a descriptor like another.
    pub sockets: Vec<TcpListener>,
}

impl Bound {
    /// The sockets that each of `n` workers accepts from: its own, and its part of those that are too
    /// many; where they are too few, several workers share one.
    ///
    /// # Errors
    /// When no descriptors are left.
    pub fn shares(&self, n: usize) -> io::Result<Vec<Vec<TcpListener>>> {
        let mut shares: Vec<Vec<TcpListener>> = (0..n).map(|_| Vec::new()).collect();
        for nth in 0..self.sockets.len().max(n) {
            let socket = &self.sockets[nth % self.sockets.len()];
            shares[nth % n].push(socket.try_clone()?);
        }
        Ok(shares)
    }
}

/// Listens on an address with `n` sockets, at least one.
///
/// # Errors
/// When somebody listens there already, or the kernel refuses: no such address on this machine, a
/// port below 1024 without the capability for it, no descriptors left.
pub fn bind(address: SocketAddr, n: usize) -> Result<Bound, BindError> {
    bind_all(address, n).map_err(|source| failed(address.into(), source))
}

/// Listens at the path of a UNIX socket, whose file gets these rights. A file that nobody listens at
/// any more, left behind by a process that was killed, is replaced.
///
/// # Errors
/// When somebody listens there, something else is there, or the kernel refuses.
pub fn bind_unix(path: &Arc<Path>, mode: u32) -> Result<Bound, BindError> {
    let address = || Address::Unix(Arc::clone(path));
    let socket = unix::listen(path, mode).map_err(|source| failed(address(), source))?;
    Ok(Bound {
        address: address(),
        sockets: vec![socket],
    })
}

/// Where a socket listens.
///
/// # Errors
/// When it is neither of TCP nor at a path.
pub fn local_address(socket: &impl AsFd) -> io::Result<Address> {
    let local = SockRef::from(socket).local_addr()?;
    let path = local.as_pathname().map(|path| Address::Unix(path.into()));
    let tcp = || local.as_socket().map(Address::Tcp);
    path.or_else(tcp)
        .ok_or_else(|| io::Error::other("the socket has neither an address nor a path"))
}

fn failed(address: Address, source: io::Error) -> BindError {
    if Errno::from_io_error(&source) == Some(Errno::ADDRINUSE) {
        BindError::InUse { address }
    } else {
        BindError::Failed { address, source }
    }
}

/// Goes on listening with sockets that were inherited, all of them on one address, and adds to them
/// until there is one for each of `n` workers.
///
/// None is added to a socket that others do not share their address with, such as one of the service
/// manager: clients would wait in the queues of both, and those of this process end with it. Nor
/// where the kernel does not let this process in, because it has become that of another user.
///
/// # Errors
/// When one is no socket that listens.
pub fn adopt(mut sockets: Vec<TcpListener>, n: usize) -> io::Result<Bound> {
    let first = sockets.first().ok_or(io::ErrorKind::NotFound)?;
    let address = local_address(first)?;
    let shares_address = SockRef::from(first).reuse_port()?;
    for socket in &sockets {
        let socket = SockRef::from(socket);
        if !socket.is_listener()? {
            return Err(io::Error::other("the socket does not listen"));
        }
        socket.set_nonblocking(true)?;
        socket.set_cloexec(true)?;
        if address.tcp().is_some() {
            socket.set_tcp_nodelay(true)?;
            keep_alive(&socket)?;
        }
    }
    while let Some(tcp) = address
        .tcp()
        .filter(|_| shares_address && sockets.len() < n)
    {
        match sibling(tcp) {
            Ok(socket) => sockets.push(socket),
            Err(_) => break,
        }
    }
    Ok(Bound { address, sockets })
}

/// Lets the kernel find out that a peer is gone without a word, as a machine that lost its power or its
/// network is: idle connections and tunnels would wait for it. What a listening socket accepts has what
/// the socket itself has.
///
/// # Errors
/// What the kernel says.
pub(crate) fn keep_alive(socket: &SockRef<'_>) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(BETWEEN_PROBES);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(GONE))
}

fn bind_all(address: SocketAddr, n: usize) -> io::Result<Bound> {
    let first = socket(address)?;
    listen(&first, address)?;
    // Set only now that it listens: see the head of this file.
    first.set_reuse_port(true)?;
    let first = TcpListener::from(first);
    let address = first.local_addr()?;

    let mut sockets = vec![first];
    for _ in 1..n {
        sockets.push(sibling(address)?);
    }
    Ok(Bound {
        address: address.into(),
        sockets,
    })
}

/// One more socket on an address that sockets of ours listen on.
fn sibling(address: SocketAddr) -> io::Result<TcpListener> {
    let sibling = socket(address)?;
    sibling.set_reuse_port(true)?;
    listen(&sibling, address)?;
    Ok(sibling.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    // Old connections in TIME_WAIT must not stand in the way of a restart.
    socket.set_reuse_address(true)?;
    if address.ip() == IpAddr::from([0u16; 8]) {
        socket.set_only_v6(false)?;
    }
    // Linux hands these down to what is accepted, which saves system calls per connection.
    socket.set_tcp_nodelay(true)?;
    keep_alive(&SockRef::from(&socket))?;
    Ok(socket)
}

fn listen(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use socket2::SockRef;

    use crate::listener::socket::{BETWEEN_PROBES, BindError, Bound, GONE, SILENCE, adopt, bind};

    fn is_kept_alive(stream: &TcpStream) -> bool {
        let socket = SockRef::from(stream);
        let (silence, gone) = (socket.tcp_keepalive_time(), socket.tcp_user_timeout());
        socket.keepalive().unwrap()
            && silence.unwrap() == SILENCE
            && socket.tcp_keepalive_interval().unwrap() == BETWEEN_PROBES
            && gone.unwrap() == Some(GONE)
    }

    fn any_port() -> Bound {
        bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 3).unwrap()
    }

    fn tcp(bound: &Bound) -> SocketAddr {
        bound.address.tcp().unwrap()
    }

    fn accept_all(socket: &TcpListener) -> Vec<TcpStream> {
        std::iter::from_fn(|| socket.accept().ok().map(|(stream, _)| stream)).collect()
    }

    #[test]
    fn every_socket_has_the_port_that_the_first_one_got() {
        let bound = any_port();
        let ports: HashSet<_> = bound
            .sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap())
            .collect();
        assert_eq!(ports, HashSet::from([tcp(&bound)]));
        assert_ne!(tcp(&bound).port(), 0);
        assert_eq!(bound.sockets.len(), 3);
    }

    #[test]
    fn connections_spread_over_the_sockets_and_have_their_options() {
        let bound = any_port();
        // Each goes to one of three by a hash of its port: that one gets none of 96 has a chance
        // of 1 in 10^16.
        let clients: Vec<_> = (0..96)
            .map(|_| TcpStream::connect(tcp(&bound)).unwrap())
            .collect();
        let mut n_accepted = 0;
        for socket in &bound.sockets {
            let streams = accept_all(socket);
            assert!(!streams.is_empty());
            n_accepted += streams.len();
            assert!(streams.iter().all(|stream| stream.nodelay().unwrap()));
            assert!(streams.iter().all(is_kept_alive));
        }
        assert_eq!(n_accepted, clients.len());
    }

    #[test]
    fn an_address_that_somebody_listens_on_is_refused() {
        let bound = any_port();
        let error = bind(tcp(&bound), 2).unwrap_err();
        assert!(matches!(&error, BindError::InUse { address } if *address == bound.address));
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {}: another socket listens there",
                bound.address
            )
        );
    }

    #[test]
    fn an_address_is_free_again_once_its_sockets_are_gone() {
        let bound = any_port();
        let client = TcpStream::connect(tcp(&bound)).unwrap();
        // Accepted and closed by the server first, this one stays behind in TIME_WAIT.
        let accepted: Vec<_> = bound.sockets.iter().flat_map(accept_all).collect();
        drop(accepted);
        drop(client);
        let address = tcp(&bound);
        drop(bound.sockets);
        assert_eq!(tcp(&bind(address, 3).unwrap()), address);
    }

    #[test]
    fn an_address_of_another_machine_is_refused_by_name() {
        // 192.0.2.0/24 is for documentation (RFC 5737) and nobody's.
        let error = bind("192.0.2.1:80".parse().unwrap(), 1).unwrap_err();
        assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:80");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn the_sockets_do_not_block_and_are_closed_on_exec() {
        let bound = any_port();
        for socket in &bound.sockets {
            assert!(SockRef::from(socket).nonblocking().unwrap());
            let flags = rustix::io::fcntl_getfd(socket.as_fd()).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[track_caller]
    fn check_shares(n_sockets: usize, n_workers: usize, expected: &[usize]) {
        let bound = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), n_sockets).unwrap();
        let shares = bound.shares(n_workers).unwrap();
        let counts: Vec<_> = shares.iter().map(Vec::len).collect();
        assert_eq!(counts, expected);
        // Whatever the kernel chose, some worker finds who waits.
        let clients: Vec<_> = (0..64)
            .map(|_| TcpStream::connect(tcp(&bound)).unwrap())
            .collect();
        let accepted = shares.iter().flatten().flat_map(accept_all);
        assert_eq!(accepted.count(), clients.len());
    }

    #[test]
    fn every_worker_has_a_socket_and_every_socket_a_worker() {
        check_shares(3, 3, &[1, 1, 1]);
        check_shares(5, 2, &[3, 2]);
        check_shares(1, 3, &[1, 1, 1]);
        check_shares(2, 3, &[1, 1, 1]);
    }

    #[test]
    fn sockets_that_are_inherited_keep_who_waits_and_get_siblings() {
        let bound = any_port();
        let (address, sockets) = (tcp(&bound), bound.sockets);
        let clients: Vec<_> = (0..64)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let bound = adopt(sockets, 5).unwrap();
        assert_eq!((tcp(&bound), bound.sockets.len()), (address, 5));
        let accepted: Vec<_> = bound.sockets.iter().flat_map(accept_all).collect();
        assert_eq!(accepted.len(), clients.len());
        let bound = adopt(bound.sockets, 2).unwrap();
        assert_eq!(bound.sockets.len(), 5, "none is given up");
    }

    #[test]
    fn a_socket_that_shares_its_address_with_nobody_stays_the_only_one() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let bound = adopt(vec![socket], 4).unwrap();
        assert_eq!(bound.sockets.len(), 1);
        let client = TcpStream::connect(tcp(&bound)).unwrap();
        let accepted = accept_all(&bound.sockets[0]);
        assert!(accepted.iter().all(|stream| stream.nodelay().unwrap()));
        assert!(accepted.iter().all(is_kept_alive));
        assert_eq!(accepted.len(), 1);
        drop(client);
    }

    #[test]
    fn any_ipv6_address_takes_ipv4_clients_too() {
        // A machine without IPv6 has nothing to show here.
        let Ok(bound) = bind("[::]:0".parse().unwrap(), 2) else {
            return;
        };
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, tcp(&bound).port())).unwrap();
        let accepted: Vec<_> = bound.sockets.iter().flat_map(accept_all).collect();
        assert_eq!(accepted.len(), 1);
        drop(client);
    }
}
