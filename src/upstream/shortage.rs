//! Shortage: what fails to connect for want of something here says nothing of the endpoint.
//!
//! An endpoint that is blamed for it would be left alone, and a variant judged by it, though both are
//! as well as before. So such errors are told apart where they come up, and from there on they are
//! tidegate's own.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use rustix::io::Errno;

/// True when an error of connecting says that this process or this machine is short of what a
/// connection takes: descriptors, local ports, or memory of the kernel's.
pub(crate) fn is_ours(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| {
        matches!(
            errno,
            Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOBUFS | Errno::NOMEM
        )
    })
}

/// Tells what an error of connecting to an address is. Having no port left and having no address at
/// all to speak from, as towards IPv6 on a machine without it, are one error to the kernel; the second
/// one is the address's, and comes out as [`io::ErrorKind::NetworkUnreachable`].
pub(crate) fn told_apart(error: io::Error, address: SocketAddr) -> io::Error {
    let is_doubtful = error.kind() == io::ErrorKind::AddrNotAvailable;
    if is_doubtful && !can_be_spoken_with(address) {
        return io::Error::new(io::ErrorKind::NetworkUnreachable, error);
    }
    error
}

/// True when there is an address here from which that one can be spoken with. Nothing is sent, and
/// ports of UDP are others than those of TCP.
fn can_be_spoken_with(address: SocketAddr) -> bool {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    UdpSocket::bind(any)
        .and_then(|socket| socket.connect(address))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use rustix::io::Errno;

    use crate::upstream::shortage::{is_ours, told_apart};

    #[test]
    fn what_is_wanting_here_is_ours_and_all_else_the_endpoints() {
        for (errno, ours) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::NOBUFS, true),
            (Errno::NOMEM, true),
            (Errno::CONNREFUSED, false),
            (Errno::CONNRESET, false),
            (Errno::TIMEDOUT, false),
            (Errno::HOSTUNREACH, false),
            (Errno::NETUNREACH, false),
            (Errno::ACCESS, false),
            // Of a UNIX socket: its queue is full.
            (Errno::AGAIN, false),
            (Errno::NOENT, false),
        ] {
            assert_eq!(is_ours(&io::Error::from(errno)), ours, "{errno:?}");
        }
        assert!(!is_ours(&io::Error::other(
            "cannot assign requested address"
        )));
    }

    #[test]
    fn an_address_that_nothing_here_can_speak_with_is_no_shortage() {
        let no_port = || io::Error::from(Errno::ADDRNOTAVAIL);
        let here = SocketAddr::from(([127, 0, 0, 1], 80));
        assert!(is_ours(&told_apart(no_port(), here)));
        // An address of a link, which does not say of which (RFC 4291, section 2.5.6).
        let nowhere = "[fe80::1]:80".parse().unwrap();
        let error = told_apart(no_port(), nowhere);
        assert!(!is_ours(&error));
        assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable);
        let refused = told_apart(io::Error::from(Errno::CONNREFUSED), nowhere);
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
