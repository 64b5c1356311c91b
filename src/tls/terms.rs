//! What a handshake may agree on: versions of TLS, cipher suites, groups for the key exchange.
//!
//! All names are those of IANA's registries ("TLS Cipher Suites", "TLS Supported Groups"), and all
//! that the library has can be named.

#[cfg(test)]
mod tests;

use std::fmt;

use rustls::crypto::aws_lc_rs::{self, ALL_CIPHER_SUITES, ALL_KX_GROUPS};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// All that are spoken, the oldest first.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    /// Its number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    fn supported(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &TLS12,
            Self::Tls13 => &TLS13,
        }
    }

    fn number(self) -> ProtocolVersion {
        self.supported().version
    }
}

/// A cipher suite.
#[derive(Clone, Copy, PartialEq)]
pub struct Suite(SupportedCipherSuite);

impl Eq for Suite {}

impl Suite {
    /// All that there are, those that the library prefers first.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL_CIPHER_SUITES.iter().copied().map(Self)
    }

    /// The one of this name, such as `TLS_AES_128_GCM_SHA256`. That of the library, which begins
    /// with `TLS13_` for those of TLS 1.3, is known, too.
    pub fn named(name: &str) -> Option<Self> {
        let iana = name.replacen("TLS13_", "TLS_", 1);
        Self::all().find(|suite| suite.name() == iana)
    }

    /// The name.
    pub fn name(self) -> String {
        format!("{:?}", self.0.suite()).replacen("TLS13_", "TLS_", 1)
    }

    /// The version of TLS that it is of.
    pub fn version(self) -> Version {
        match self.0 {
            SupportedCipherSuite::Tls12(_) => Version::Tls12,
            SupportedCipherSuite::Tls13(_) => Version::Tls13,
        }
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}

/// A group for the key exchange.
#[derive(Clone, Copy)]
pub struct Group(&'static dyn SupportedKxGroup);

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for Group {}

impl Group {
    /// All that there are, those that the library prefers first.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL_KX_GROUPS.iter().copied().map(Self)
    }

    /// The one of this name, such as `X25519MLKEM768`, in letters of either case.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|group| group.name().eq_ignore_ascii_case(name))
    }

    /// The name.
    pub fn name(self) -> String {
        format!("{:?}", self.0.name())
    }

    /// True when this version of TLS has it: those that a quantum computer does not break are of
    /// TLS 1.3 alone.
    pub fn is_of(self, version: Version) -> bool {
        self.0.usable_for_version(version.number())
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}

/// What handshakes may agree on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Terms {
    /// The oldest version of TLS.
    pub min_version: Version,
    /// The cipher suites, the preferred one first; `None` are all, as the other side prefers them.
    pub suites: Option<Vec<Suite>>,
    /// The groups for the key exchange, the preferred one first; `None` are those that the library
    /// prefers, of which the first is X25519MLKEM768.
    pub groups: Option<Vec<Group>>,
}

impl Terms {
    /// True when this version of TLS may be spoken: it is not too old, and there are a suite and a
    /// group for it.
    pub fn allow(&self, version: Version) -> bool {
        self.min_version <= version && self.has_suite(version) && self.has_group(version)
    }

    /// True when there is a suite for this version.
    pub fn has_suite(&self, version: Version) -> bool {
        let suites = self.suites.as_ref();
        suites.is_none_or(|all| all.iter().any(|suite| suite.version() == version))
    }

    /// True when there is a group for this version.
    pub fn has_group(&self, version: Version) -> bool {
        let groups = self.groups.as_ref();
        groups.is_none_or(|all| all.iter().any(|group| group.is_of(version)))
    }

    /// The versions that may be spoken.
    pub(in crate::tls) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let allowed = Version::ALL.into_iter().rev();
        let allowed = allowed.filter(|&version| self.allow(version));
        allowed.map(Version::supported).collect()
    }

    /// The library with what may be agreed on.
    pub(in crate::tls) fn provider(&self) -> CryptoProvider {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(suites) = &self.suites {
            provider.cipher_suites = suites.iter().map(|suite| suite.0).collect();
        }
        if let Some(groups) = &self.groups {
            provider.kx_groups = groups.iter().map(|group| group.0).collect();
        }
        provider
    }
}
