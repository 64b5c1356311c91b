//! Sockets that this process did not bind: those of the instance that it replaces, and those that
//! the service manager bound for it. Which of them is for which listener is decided here.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::SockRef;
use thiserror::Error;
use tracing::warn;

use crate::listener::{SocketFile, local_address};
use crate::message::Address;

/// Why a socket that was passed is not taken.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum InheritError {
    /// It has the name of a listener that is to listen elsewhere.
    #[error("the socket that was passed as {name} listens on {passed}, not on {wanted}")]
    Elsewhere {
        /// The name.
        name: String,
        /// Where it listens.
        passed: Address,
        /// Where it should.
        wanted: Address,
    },
}

/// Who a socket is for, as the one says who passes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Meant {
    /// A listener of the instance before, with the address in its configuration.
    Listener { name: String, configured: Address },
    /// The admin listener of the instance before.
    Admin { configured: SocketAddr },
    /// Whoever has this name, or this address; for the service manager may give any name.
    Named(String),
}

/// Sockets that listen on one address.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) meant: Meant,
    /// Where they listen.
    pub(crate) address: Address,
    /// True where the file of a UNIX socket is to be taken away at the end.
    pub(crate) owns_file: bool,
    pub(crate) sockets: Vec<TcpListener>,
}

/// What was inherited and nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    passed: Vec<Passed>,
}

impl Inherited {
    /// Adds sockets; to those that are meant for the same, if there are any.
    pub(crate) fn add(&mut self, mut more: Passed) {
        let same =
            |passed: &&mut Passed| passed.meant == more.meant && passed.address == more.address;
        match self.passed.iter_mut().find(same) {
            Some(passed) => passed.sockets.append(&mut more.sockets),
            None => self.passed.push(more),
        }
    }

    /// Adds the sockets that the service manager has bound (systemd's socket activation,
    /// sd_listen_fds(3)). Only once, and before this process opens anything.
    ///
    /// # Errors
    /// When one is no socket that listens, or the environment is not as it should be.
    pub fn add_activated(&mut self) -> io::Result<()> {
        for (name, socket) in sd_listen_fds::get().map_err(io::Error::other)? {
            let socket = TcpListener::from(socket);
            let name = name.unwrap_or_default();
            let unfit =
                |why| io::Error::other(format!("the socket that was passed as {name:?} {why}"));
            // Successors get it by another road.
            SockRef::from(&socket).set_cloexec(true)?;
            let address = local_address(&socket).map_err(|_| unfit("is none to listen with"))?;
            if !SockRef::from(&socket).is_listener()? {
                return Err(unfit("does not listen"));
            }
            self.add(Passed {
                meant: Meant::Named(name),
                address,
                owns_file: false,
                sockets: vec![socket],
            });
        }
        Ok(())
    }

    /// Takes the sockets for a listener: those that listen on its address. Where the address leaves
    /// the port to the system, it is those that a listener of this name had for such an address.
    ///
    /// # Errors
    /// When the service manager passed one by this name that listens elsewhere.
    pub(crate) fn listener(
        &mut self,
        name: &str,
        wanted: &Address,
    ) -> Result<Option<Passed>, InheritError> {
        let found = self.take(wanted, |meant| {
            matches!(meant, Meant::Listener { name: former, configured }
                if former == name && configured == wanted)
        });
        let namesake = |passed: &&Passed| passed.meant == Meant::Named(name.to_owned());
        match (found, self.passed.iter().find(namesake)) {
            (None, Some(passed)) => Err(InheritError::Elsewhere {
                name: name.to_owned(),
                passed: passed.address.clone(),
                wanted: wanted.clone(),
            }),
            (found, _) => Ok(found),
        }
    }

    /// Takes the socket for the admin listener, by the same rule.
    pub fn admin(&mut self, wanted: SocketAddr) -> Option<TcpListener> {
        let found = self.take(
            &wanted.into(),
            |meant| matches!(meant, Meant::Admin { configured } if *configured == wanted),
        );
        found?.sockets.pop()
    }

    /// Closes what nobody has taken, with its files, and says so where somebody will miss it.
    pub(crate) fn close_rest(&mut self) {
        for passed in self.passed.drain(..) {
            let address = &passed.address;
            if let Meant::Named(name) = &passed.meant {
                warn!(%address, name, "a socket was passed that no listener has the address of");
            }
            if let Some(path) = address.unix().filter(|_| passed.owns_file) {
                drop(SocketFile::new(path));
            }
        }
    }

    fn take(&mut self, wanted: &Address, is_meant: impl Fn(&Meant) -> bool) -> Option<Passed> {
        let at = self.passed.iter().position(|passed| {
            if wanted.is_any_port() {
                is_meant(&passed.meant)
            } else {
                passed.address == *wanted
            }
        })?;
        Some(self.passed.swap_remove(at))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use crate::control::inherit::{InheritError, Inherited, Meant, Passed};
    use crate::message::Address;

    fn passed(meant: Meant, address: &str) -> Inherited {
        let mut inherited = Inherited::default();
        inherited.add(Passed {
            meant,
            address: address.parse().unwrap(),
            owns_file: false,
            sockets: vec![TcpListener::bind("127.0.0.1:0").unwrap()],
        });
        inherited
    }

    fn former(name: &str, configured: &str) -> Meant {
        Meant::Listener {
            name: name.to_owned(),
            configured: configured.parse().unwrap(),
        }
    }

    /// Whether a listener gets what was passed.
    #[track_caller]
    fn check(mut inherited: Inherited, name: &str, wanted: &str, expected: Result<bool, &str>) {
        let taken = inherited.listener(name, &wanted.parse().unwrap());
        let taken = taken.map(|taken| taken.is_some());
        let expected = expected.map_err(str::to_owned);
        assert_eq!(taken.map_err(|error| error.to_string()), expected);
    }

    #[test]
    fn a_listener_gets_the_sockets_of_its_address_whatever_its_name() {
        let here = "127.0.0.1:80";
        for meant in [
            former("http", here),
            former("other", here),
            former("http", "127.0.0.1:0"),
            Meant::Named("http".to_owned()),
            Meant::Named("tidegate.socket".to_owned()),
        ] {
            check(passed(meant, here), "http", here, Ok(true));
        }
        check(
            passed(former("http", here), here),
            "http",
            "127.0.0.1:81",
            Ok(false),
        );
        check(
            passed(former("http", here), here),
            "http",
            "0.0.0.0:80",
            Ok(false),
        );
    }

    #[test]
    fn a_listener_of_any_port_keeps_the_one_that_it_had() {
        let any = "127.0.0.1:0";
        check(
            passed(former("http", any), "127.0.0.1:5"),
            "http",
            any,
            Ok(true),
        );
        check(
            passed(former("other", any), "127.0.0.1:5"),
            "http",
            any,
            Ok(false),
        );
        check(
            passed(former("http", "127.0.0.1:5"), "127.0.0.1:5"),
            "http",
            any,
            Ok(false),
        );
    }

    #[test]
    fn a_socket_by_the_listeners_name_must_be_of_its_address() {
        check(
            passed(Meant::Named("https".to_owned()), "[::]:443"),
            "https",
            "0.0.0.0:443",
            Err("the socket that was passed as https listens on [::]:443, not on 0.0.0.0:443"),
        );
        check(
            passed(Meant::Named("other".to_owned()), "[::]:443"),
            "https",
            "0.0.0.0:443",
            Ok(false),
        );
    }

    #[test]
    fn the_admin_listener_gets_its_own() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let admin = Meant::Admin { configured: any };
        let mut inherited = passed(admin, "127.0.0.1:5");
        let other = inherited.listener("admin", &any.into());
        assert!(matches!(other, Ok(None)), "{other:?}");
        assert!(inherited.admin(any).is_some());
        assert!(inherited.admin(any).is_none(), "once");
    }

    #[test]
    fn two_listeners_never_get_the_same() {
        let here: Address = "127.0.0.1:80".parse().unwrap();
        let mut inherited = passed(former("http", "127.0.0.1:80"), "127.0.0.1:80");
        let first = inherited.listener("http", &here);
        let second: Result<_, InheritError> = inherited.listener("again", &here);
        assert!(matches!((first, second), (Ok(Some(_)), Ok(None))));
    }
}
