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

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// How many connections may wait in the kernel for each socket, as long as `net.core.somaxconn`
/// (4096 on Linux since 5.4) allows it: a burst of clients that reconnect after a failover is not
/// turned away.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody listens there already: another process, or another listener of this one.
    #[error("cannot listen on {address}: another socket listens there")]
    InUse {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The kernel refused for another reason.
    #[error("cannot listen on {address}")]
    Failed {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Sockets that listen on one address.
#[derive(Debug)]
pub struct Bound {
    /// The address, with the port that the kernel picked where 0 was asked for.
    pub address: SocketAddr,
    /// The sockets, one for each worker: non-blocking, closed on exec, and what they accept has
    /// `TCP_NODELAY` set.
    pub sockets: Vec<TcpListener>,
}

/// Listens on an address with `n` sockets, at least one.
///
/// # Errors
/// When somebody listens there already, or the kernel refuses: no such address on this machine, a
/// port below 1024 without the capability for it, no descriptors left.
pub fn bind(address: SocketAddr, n: usize) -> Result<Bound, BindError> {
    bind_all(address, n).map_err(|source| {
        if Errno::from_io_error(&source) == Some(Errno::ADDRINUSE) {
            BindError::InUse { address }
        } else {
            BindError::Failed { address, source }
        }
    })
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
        let sibling = socket(address)?;
        sibling.set_reuse_port(true)?;
        listen(&sibling, address)?;
        sockets.push(sibling.into());
    }
    Ok(Bound { address, sockets })
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
    // Linux hands it down to what is accepted, which saves a system call per connection.
    socket.set_tcp_nodelay(true)?;
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

    use crate::listener::socket::{BindError, Bound, bind};

    fn any_port() -> Bound {
        bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 3).unwrap()
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
        assert_eq!(ports, HashSet::from([bound.address]));
        assert_ne!(bound.address.port(), 0);
        assert_eq!(bound.sockets.len(), 3);
    }

    #[test]
    fn connections_spread_over_the_sockets_and_have_nodelay() {
        let bound = any_port();
        // Each goes to one of three by a hash of its port: that one gets none of 96 has a chance
        // of 1 in 10^16.
        let clients: Vec<_> = (0..96)
            .map(|_| TcpStream::connect(bound.address).unwrap())
            .collect();
        let mut n_accepted = 0;
        for socket in &bound.sockets {
            let streams = accept_all(socket);
            assert!(!streams.is_empty());
            n_accepted += streams.len();
            assert!(streams.iter().all(|stream| stream.nodelay().unwrap()));
        }
        assert_eq!(n_accepted, clients.len());
    }

    #[test]
    fn an_address_that_somebody_listens_on_is_refused() {
        let bound = any_port();
        let error = bind(bound.address, 2).unwrap_err();
        assert!(matches!(error, BindError::InUse { address } if address == bound.address));
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
        let client = TcpStream::connect(bound.address).unwrap();
        // Accepted and closed by the server first, this one stays behind in TIME_WAIT.
        let accepted: Vec<_> = bound.sockets.iter().flat_map(accept_all).collect();
        drop(accepted);
        drop(client);
        let address = bound.address;
        drop(bound.sockets);
        assert_eq!(bind(address, 3).unwrap().address, address);
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

    #[test]
    fn any_ipv6_address_takes_ipv4_clients_too() {
        // A machine without IPv6 has nothing to show here.
        let Ok(bound) = bind("[::]:0".parse().unwrap(), 2) else {
            return;
        };
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, bound.address.port())).unwrap();
        let accepted: Vec<_> = bound.sockets.iter().flat_map(accept_all).collect();
        assert_eq!(accepted.len(), 1);
        drop(client);
    }
}
