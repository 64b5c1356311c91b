//! Listeners: from bytes of clients to requests.

mod accept;
mod peer;
mod socket;
mod stream;
mod tls;

pub use accept::{Gate, Pauses, Permit, accept};
pub use peer::{Client, ForwardedSource, Peer, TrustedProxies};
pub use socket::{BindError, Bound, bind};
pub use stream::{HandshakeError, Stream};
pub use tls::{CertificatePair, Tickets, TlsError, TlsSettings, load as load_tls};
