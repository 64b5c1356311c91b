//! TLS on both sides: certificates, handshakes, and the stream that both sides speak through.
//!
//! What a handshake obeys is made of files when a configuration is loaded, so that what is wrong
//! with them is refused while the old one still serves. This module knows neither HTTP nor where
//! connections come from or lead.

mod authority;
mod certificate;
mod choice;
mod client;
mod error;
mod flaw;
#[cfg(test)]
pub(crate) mod fixture;
mod identity;
mod inspect;
mod server;
mod stream;
mod summary;
mod terms;
#[cfg(test)]
mod tests;
mod x509;

pub use authority::Clients;
pub use certificate::CertificatePair;
pub use client::{ClientSettings, Connector, Secured, Verify};
pub use error::{Fault, HandshakeError, TlsError};
pub use flaw::{Flaw, FlawKind, Purpose};
pub use identity::Identity;
pub use inspect::{Inspected, Inspector};
pub use server::{Acceptor, ServerSettings, Tickets};
pub use stream::Stream;
pub use summary::Summary;
pub use terms::{Group, Suite, Terms, Version};
