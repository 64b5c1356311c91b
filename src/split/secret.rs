//! Secrets that requests are measured by.

use std::fmt;

use subtle::ConstantTimeEq;

/// A secret that some clients know, or all instances; nothing shows it.
#[derive(Clone, Eq, PartialEq)]
pub struct SharedSecret(Box<[u8]>);

impl SharedSecret {
    /// Keeps a secret.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// True for the secret itself. How long it takes tells nothing but whether the length is right.
    pub(in crate::split) fn is(&self, sent: &[u8]) -> bool {
        self.0.ct_eq(sent).into()
    }

    /// The secret itself, for who signs with it.
    pub(in crate::split) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedSecret(…)")
    }
}
