//! Where somebody listens: an address of TCP, or a UNIX socket on this machine.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// How the address of a UNIX socket begins, where it is written down.
pub const UNIX: &str = "unix:";

/// What the other end of a UNIX socket counts as where an address of IP is asked for. It has none; but
/// it is a process of this machine, and so it is taken for any other that comes by loopback.
pub const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Where somebody listens.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Address {
    /// By TCP.
    Tcp(SocketAddr),
    /// At a path of the file system.
    Unix(Arc<Path>),
}

impl Address {
    /// The address of IP; of a UNIX socket [`LOCAL`].
    pub fn ip(&self) -> IpAddr {
        self.tcp().unwrap_or(LOCAL).ip()
    }

    /// The address, if it is one of TCP.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The path, if it is a UNIX socket.
    pub fn unix(&self) -> Option<&Arc<Path>> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }

    /// True where the port is left to the system.
    pub fn is_any_port(&self) -> bool {
        self.tcp().is_some_and(|address| address.port() == 0)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl FromStr for Address {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(UNIX) {
            Some(path) => Ok(Self::Unix(Path::new(path).into())),
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "{UNIX}{}", path.display()),
        }
    }
}
