//! What the configuration says of where an upstream serves: addresses, and names of them.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::message::UNIX;

/// The longest name in bytes, without a dot at its end (RFC 1035, section 2.3.4: 255 on the wire).
const MAX_NAME: usize = 253;

/// The longest label of a name (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// How a name of a service begins.
const SERVICE: &str = "srv:";

/// One entry of an upstream's `endpoints`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EndpointSpec {
    /// One endpoint.
    Address(SocketAddr),
    /// An endpoint at each address of a host.
    Host {
        /// The host's name, in lower case.
        host: Arc<str>,
        /// The port, of all of them.
        port: u16,
    },
    /// One endpoint, at the path of a UNIX socket.
    Unix(Arc<Path>),
    /// The endpoints that the SRV records of a service tell (RFC 2782).
    Service(Arc<str>),
}

/// A name that has to be looked up.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Name {
    /// Of a host: it has addresses.
    Host(Arc<str>),
    /// Of a service: it has SRV records.
    Service(Arc<str>),
}

impl EndpointSpec {
    /// The name that has to be looked up for it, if it has one.
    pub fn name(&self) -> Option<Name> {
        match self {
            Self::Address(_) | Self::Unix(_) => None,
            Self::Host { host, .. } => Some(Name::Host(Arc::clone(host))),
            Self::Service(service) => Some(Name::Service(Arc::clone(service))),
        }
    }
}

impl FromStr for EndpointSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => Err(SpecError::PortZero),
                _ => Ok(Self::Address(address)),
            };
        }
        if let Some(path) = text.strip_prefix(UNIX) {
            return match path {
                "" => Err(SpecError::NoPath),
                _ => Ok(Self::Unix(Path::new(path).into())),
            };
        }
        if let Some(service) = text.strip_prefix(SERVICE) {
            let service = service.to_ascii_lowercase();
            let mut labels = service.split('.');
            let is_service = labels.next().is_some_and(is_underscored)
                && labels.next().is_some_and(is_underscored)
                && labels.next().is_some_and(|label| !label.is_empty());
            return if is_service && is_name(&service) {
                Ok(Self::Service(service.into()))
            } else {
                Err(SpecError::Service)
            };
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(if is_host(text) {
                SpecError::NoPort
            } else {
                SpecError::Neither
            });
        };
        if !is_host(host) {
            return Err(SpecError::Neither);
        }
        match port.parse() {
            Ok(0) => Err(SpecError::PortZero),
            Ok(port) if !port_has_sign(text) => Ok(Self::Host {
                host: host.to_ascii_lowercase().into(),
                port,
            }),
            _ => Err(SpecError::Port),
        }
    }
}

impl fmt::Display for EndpointSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            Self::Host { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "{UNIX}{}", path.display()),
            Self::Service(service) => write!(formatter, "{SERVICE}{service}"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => formatter.write_str(host),
            Self::Service(service) => write!(formatter, "{SERVICE}{service}"),
        }
    }
}

/// Why a text is not an [`EndpointSpec`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SpecError {
    /// It has port 0.
    #[error("has port 0, which nobody listens on")]
    PortZero,
    /// It is a host's name without a port.
    #[error("has no port; write it as \"shop.internal:9000\"")]
    NoPort,
    /// What stands after the colon is no port.
    #[error("has no port from 1 to 65535 after its colon")]
    Port,
    /// It is a UNIX socket without a path.
    #[error("has no path; write it as \"unix:/run/shop.sock\"")]
    NoPath,
    /// It begins as a service does and goes on differently.
    #[error("is not a service such as \"srv:_http._tcp.shop.internal\"")]
    Service,
    /// It is nothing of all that.
    #[error(
        "is not an address or a name with a port, such as \"10.0.0.11:9000\", \"[fd00::11]:9000\" \
         or \"shop.internal:9000\", nor a service such as \"srv:_http._tcp.shop.internal\""
    )]
    Neither,
}

/// True when a number with a sign stands after the last colon, which parsing would let pass.
fn port_has_sign(text: &str) -> bool {
    text.rsplit(':')
        .next()
        .is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_underscored(label: &str) -> bool {
    label.len() > 1 && label.starts_with('_')
}

/// True for a name that can be looked up and is no address that went wrong: its last label has
/// something else than digits (RFC 3696, section 2).
fn is_host(name: &str) -> bool {
    let last = name.strip_suffix('.').unwrap_or(name).rsplit('.').next();
    is_name(name) && last.is_some_and(|label| label.bytes().any(|byte| !byte.is_ascii_digit()))
}

/// True for a name that can be looked up; underscores occur in names that are no hosts by the
/// book, and are resolved all the same.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use crate::upstream::{EndpointSpec, SpecError};

    #[test]
    fn what_is_written_is_what_was_read() {
        for text in [
            "10.0.0.11:9000",
            "[fd00::11]:9000",
            "shop.internal:9000",
            "shop:1",
            "localhost:65535",
            "shop.internal.:9000",
            "a_b.c-d.x1:80",
            "srv:_http._tcp.shop.internal",
        ] {
            let spec: EndpointSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
        }
        let spec: EndpointSpec = "Shop.Internal:9000".parse().unwrap();
        assert_eq!(spec.to_string(), "shop.internal:9000");
    }

    #[test]
    fn what_cannot_be_looked_up_is_refused() {
        #[track_caller]
        fn check(text: &str, expected: SpecError) {
            assert_eq!(text.parse::<EndpointSpec>(), Err(expected), "{text}");
        }
        check("10.0.0.1:0", SpecError::PortZero);
        check("shop:0", SpecError::PortZero);
        check("shop.internal", SpecError::NoPort);
        for text in ["shop:", "shop:65536", "shop:x", "shop:+80", "shop:-1"] {
            check(text, SpecError::Port);
        }
        for text in [
            "srv:",
            "srv:shop.internal",
            "srv:_http.shop.internal",
            "srv:_http._tcp",
            "srv:_http._tcp.",
            "srv:_http._tcp.shop.internal:80",
            "srv:_._tcp.shop",
        ] {
            check(text, SpecError::Service);
        }
        let long = format!("{}:80", "a".repeat(64));
        let longer = format!("{}:80", ["abcdefgh"; 29].join("."));
        for text in [
            "",
            ":80",
            "10.0.0.300:80",
            "10.0.0.1",
            "1234:80",
            "fd00::11:9000",
            "[fd00::11]",
            "http://shop:80",
            "shop/x:80",
            "shop..internal:80",
            ".shop:80",
            "-shop:80",
            "shop-.x:80",
            "sh op:80",
            "shöp:80",
            &long,
            &longer,
        ] {
            check(text, SpecError::Neither);
        }
    }
}
