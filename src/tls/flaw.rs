//! What is wrong with a chain of certificates that can be served all the same.
//!
//! Nothing here reads files or the clock. A chain with a flaw is no reason to refuse to serve: with
//! fifty certificates an expired one must not take the other forty-nine down.

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;

use crate::tls::summary::{DAY, is_due};
use crate::tls::x509::{Key, Parts, rfc4514};

/// The smallest key of RSA that clients take (CA/Browser Forum, Baseline Requirements, 6.1.5).
const MIN_RSA_BITS: usize = 2048;

/// Signatures that nobody believes any more, by their DER: MD5 and SHA-1 with RSA, SHA-1 with ECDSA.
const WEAK_SIGNATURES: [(&[u8], &str); 3] = [
    (&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], "MD5"),
    (
        &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5],
        "SHA-1",
    ),
    (&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "SHA-1"),
];

/// What a certificate is shown for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// To clients.
    Server,
    /// To servers.
    Client,
}

impl Purpose {
    /// Its object identifier, and that of any purpose (RFC 5280, section 4.2.1.12).
    fn identifiers(self) -> [&'static [u8]; 2] {
        let any = &[0x55, 0x1d, 37, 0][..];
        match self {
            Self::Server => [&[0x2b, 6, 1, 5, 5, 7, 3, 1], any],
            Self::Client => [&[0x2b, 6, 1, 5, 5, 7, 3, 2], any],
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Server => "servers",
            Self::Client => "clients",
        }
    }
}

/// A flaw, and the certificate that has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flaw {
    /// Its place in the chain, from 1.
    pub position: usize,
    /// Whose it is, as RFC 4514 has it.
    pub subject: String,
    /// What is wrong.
    pub kind: FlawKind,
}

/// What can be wrong with a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the fields are what the message names")]
pub enum FlawKind {
    /// It cannot be read.
    Unreadable,
    /// It no longer holds.
    Expired { not_after: i64, now: i64 },
    /// It does not hold yet.
    NotYet { not_before: i64 },
    /// It is about to expire.
    ExpiresSoon { not_after: i64, now: i64 },
    /// It is for no name and no address.
    Nameless,
    /// It is an authority's own.
    IsAuthority,
    /// It is not for what it is used for.
    WrongPurpose(Purpose),
    /// Its key is too short.
    WeakKey { bits: usize },
    /// It is signed with what anybody could sign.
    WeakSignature { hash: &'static str },
    /// It does not vouch for the one before it.
    NotIssuer {
        issuer: String,
        /// Where the one that does is.
        position: Option<usize>,
    },
    /// It has the name of who vouches for the one before it, and another key.
    WrongKey,
    /// Nobody vouches for it that clients would know.
    IssuerMissing { issuer: String },
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.position, self.subject.as_str()) {
            (1, _) => formatter.write_str("the certificate ")?,
            (n, "") => write!(formatter, "certificate {n} ")?,
            (n, subject) => write!(formatter, "certificate {n}, {subject}, ")?,
        }
        match &self.kind {
            FlawKind::Unreadable => formatter.write_str("cannot be read"),
            FlawKind::Expired { not_after, now } => write!(
                formatter,
                "expired on {}, {} ago",
                date(*not_after),
                time(now - not_after)
            ),
            FlawKind::NotYet { not_before } => {
                write!(formatter, "does not hold before {}", date(*not_before))
            }
            FlawKind::ExpiresSoon { not_after, now } => write!(
                formatter,
                "expires on {}, in {}",
                date(*not_after),
                time(not_after - now)
            ),
            FlawKind::Nameless => formatter
                .write_str("has no name in subjectAltName, so that clients take it for nobody's"),
            FlawKind::IsAuthority => {
                formatter.write_str("is that of an authority (CA:TRUE), which some clients refuse")
            }
            FlawKind::WrongPurpose(purpose) => write!(
                formatter,
                "is not for {} (extendedKeyUsage)",
                purpose.noun()
            ),
            FlawKind::WeakKey { bits } => write!(
                formatter,
                "has an RSA key of {bits} bits, and {MIN_RSA_BITS} is the least that clients take"
            ),
            FlawKind::WeakSignature { hash } => {
                write!(
                    formatter,
                    "is signed with {hash}, which clients do not believe"
                )
            }
            FlawKind::NotIssuer { issuer, position } => {
                write!(
                    formatter,
                    "does not vouch for the one before it, {issuer} does"
                )?;
                match position {
                    Some(position) => write!(formatter, ", which is number {position}"),
                    None => formatter.write_str(", which is missing"),
                }
            }
            FlawKind::WrongKey => {
                formatter.write_str("has not the key that the one before it is signed with")
            }
            FlawKind::IssuerMissing { issuer } => write!(
                formatter,
                "ends the chain, and its issuer {issuer} is no authority of this system: \
                 the certificate in between seems to be missing"
            ),
        }
    }
}

/// Tells what is wrong with a chain, whose first certificate is shown for a purpose. `knows` tells
/// whether the system trusts the authority of a name, given as DER; nothing when it trusts nobody.
pub(in crate::tls) fn flaws(
    chain: &[CertificateDer<'_>],
    purpose: Purpose,
    now: i64,
    algorithms: &WebPkiSupportedAlgorithms,
    knows: impl Fn(&[u8]) -> Option<bool>,
) -> Vec<Flaw> {
    let chain: Vec<Option<Parts<'_>>> = chain.iter().map(|der| Parts::of(der)).collect();
    let mut flaws = Vec::new();
    for (at, parts) in chain.iter().enumerate() {
        let mut found = |kind| {
            let subject = parts.as_ref().map(|parts| name(parts.facts.subject));
            flaws.push(Flaw {
                position: at + 1,
                subject: subject.unwrap_or_default(),
                kind,
            });
        };
        let Some(parts) = parts else {
            found(FlawKind::Unreadable);
            continue;
        };
        if at == 0 {
            of_leaf(parts, purpose).into_iter().for_each(&mut found);
        } else if let Some(before) = &chain[at - 1] {
            let issuer = before.facts.issuer;
            if issuer != parts.facts.subject {
                let is_issuer = |other: &Option<Parts<'_>>| {
                    other
                        .as_ref()
                        .is_some_and(|other| other.facts.subject == issuer)
                };
                found(FlawKind::NotIssuer {
                    issuer: name(issuer),
                    position: chain.iter().position(is_issuer).map(|at| at + 1),
                });
            } else if !may_be_signed(before, &parts.key, algorithms) {
                found(FlawKind::WrongKey);
            }
        }
        of_any(parts, now).into_iter().for_each(&mut found);
        if at + 1 == chain.len() && lacks_issuer(parts, &knows) {
            let issuer = name(parts.facts.issuer);
            found(FlawKind::IssuerMissing { issuer });
        }
    }
    flaws
}

/// What is wrong with the authorities that are trusted: only whether they still hold.
pub(in crate::tls) fn of_authorities(file: &[CertificateDer<'_>], now: i64) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for (at, der) in file.iter().enumerate() {
        let Some(parts) = Parts::of(der) else {
            continue;
        };
        if let Some(kind) = of_time(&parts, now) {
            flaws.push(Flaw {
                position: at + 1,
                subject: name(parts.facts.subject),
                kind,
            });
        }
    }
    flaws
}

/// What is wrong with a certificate wherever it stands.
fn of_any(parts: &Parts<'_>, now: i64) -> Vec<FlawKind> {
    let mut found: Vec<FlawKind> = of_time(parts, now).into_iter().collect();
    if let Some(bits) = parts.key.rsa_bits()
        && bits < MIN_RSA_BITS
    {
        found.push(FlawKind::WeakKey { bits });
    }
    // Nobody looks at the signature of who vouches for himself.
    let weak = WEAK_SIGNATURES
        .iter()
        .find(|(oid, _)| parts.algorithm.starts_with(oid));
    if let Some((_, hash)) = weak
        && !vouches_for_itself(parts)
    {
        found.push(FlawKind::WeakSignature { hash });
    }
    found
}

/// What is wrong with the first certificate alone.
fn of_leaf(parts: &Parts<'_>, purpose: Purpose) -> Vec<FlawKind> {
    let mut found = Vec::new();
    let nameless = parts.dns_names.is_empty() && parts.addresses.is_empty();
    if nameless && purpose == Purpose::Server {
        found.push(FlawKind::Nameless);
    }
    if parts.is_authority {
        found.push(FlawKind::IsAuthority);
    }
    let fits = |purposes: &Vec<&[u8]>| {
        let [this, any] = purpose.identifiers();
        purposes.contains(&this) || purposes.contains(&any)
    };
    if !parts.purposes.as_ref().is_none_or(fits) {
        found.push(FlawKind::WrongPurpose(purpose));
    }
    found
}

/// What is wrong with the time in which a certificate holds.
fn of_time(parts: &Parts<'_>, now: i64) -> Option<FlawKind> {
    let (not_before, not_after) = (parts.facts.not_before, parts.facts.not_after);
    if not_after < now {
        return Some(FlawKind::Expired { not_after, now });
    }
    if now < not_before {
        return Some(FlawKind::NotYet { not_before });
    }
    is_due(not_after, not_after - not_before, now)
        .then_some(FlawKind::ExpiresSoon { not_after, now })
}

/// False when the signature of a certificate is not one by this key. What the library cannot judge,
/// or does not want to, may be right.
fn may_be_signed(parts: &Parts<'_>, key: &Key<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
    if key.rsa_bits().is_some_and(|bits| bits < MIN_RSA_BITS) {
        return true;
    }
    let mut fitting = algorithms.all.iter().filter(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == key.algorithm
            && algorithm.signature_alg_id().as_ref() == parts.algorithm
    });
    fitting.next().is_none_or(|algorithm| {
        let verified = algorithm.verify_signature(key.bytes, parts.signed, parts.signature);
        verified.is_ok()
    })
}

/// True when a chain that ends here does not lead to an authority, as far as can be told: who
/// is signed by an authority of one's own does not say where the issuer's certificate can be had,
/// and those who are known to all must (Baseline Requirements, 7.1.2.7).
fn lacks_issuer(last: &Parts<'_>, knows: impl Fn(&[u8]) -> Option<bool>) -> bool {
    last.names_issuer
        && !vouches_for_itself(last)
        && !last.is_authority
        && knows(last.facts.issuer) == Some(false)
}

fn vouches_for_itself(parts: &Parts<'_>) -> bool {
    parts.facts.issuer == parts.facts.subject
}

/// A name as a text.
fn name(der: &[u8]) -> String {
    rfc4514(der).unwrap_or_default()
}

/// The day and the time, in UTC.
fn date(seconds: i64) -> String {
    // Out of range is only what lies thousands of years away.
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}

/// A time in days, or in hours where that is less than two days.
fn time(seconds: i64) -> String {
    match (seconds / DAY, seconds / 3600) {
        (2.., _) => format!("{} days", seconds / DAY),
        (_, 1) => "1 hour".to_owned(),
        (_, hours) => format!("{hours} hours"),
    }
}
