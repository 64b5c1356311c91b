//! The parts of a certificate that tell whether it is fit for use.

use crate::tls::x509::{Element, Elements, Facts, SEQUENCE};

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The extensions, among what is signed.
const EXTENSIONS: u8 = 0xa3;
/// Two kinds of name (RFC 5280, section 4.2.1.6).
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// Extensions by their DER (RFC 5280, sections 4.2.1 and 4.2.2).
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const PURPOSES: &[u8] = &[0x55, 0x1d, 37];
const AUTHORITY_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
/// Where the certificate of who vouches for this one can be had (section 4.2.2.1).
const ISSUERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 2];
/// Keys of RSA (RFC 8017, appendix C).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

/// A public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Key<'a> {
    /// What kind of key it is, with its parameters, as DER without the head of its sequence.
    pub(crate) algorithm: &'a [u8],
    /// The key itself.
    pub(crate) bytes: &'a [u8],
}

impl Key<'_> {
    /// How many bits an RSA key has; none of another kind.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
        let kind = Elements(self.algorithm).next()?;
        if kind.within(OBJECT_IDENTIFIER)? != RSA {
            return None;
        }
        let numbers = Element::only(self.bytes)?.within(SEQUENCE)?;
        let modulus = Elements(numbers).next()?.within(INTEGER)?;
        let significant = modulus.iter().skip_while(|&&byte| byte == 0);
        let (n_bytes, first) = (significant.clone().count(), significant.clone().next()?);
        Some(n_bytes * 8 - first.leading_zeros() as usize)
    }
}

/// What a certificate is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Parts<'a> {
    /// Whose it is, whose word, and how long it holds.
    pub(crate) facts: Facts<'a>,
    /// What is signed.
    pub(crate) signed: &'a [u8],
    /// How it is signed, as DER without the head of its sequence.
    pub(crate) algorithm: &'a [u8],
    /// The signature.
    pub(crate) signature: &'a [u8],
    /// Whose key it is.
    pub(crate) key: Key<'a>,
    /// True when it may vouch for others.
    pub(crate) is_authority: bool,
    /// The DNS names that it is for.
    pub(crate) dns_names: Vec<&'a str>,
    /// The addresses that it is for, of 4 or 16 bytes.
    pub(crate) addresses: Vec<&'a [u8]>,
    /// The object identifiers of what it may be used for; `None` is anything.
    pub(crate) purposes: Option<Vec<&'a [u8]>>,
    /// True when it says where the certificate of who vouches for it can be had.
    pub(crate) names_issuer: bool,
}

impl<'a> Parts<'a> {
    /// Takes a certificate apart; `None` when the bytes are none.
    pub(crate) fn of(certificate: &'a [u8]) -> Option<Self> {
        let certificate = Element::only(certificate)?.within(SEQUENCE)?;
        let mut outer = Elements(certificate);
        let (signed, algorithm, signature) = (outer.next()?, outer.next()?, outer.next()?);
        let mut fields = Elements(signed.within(SEQUENCE)?);
        let facts = Facts::read(&mut fields)?;
        let mut key = fields.next()?.within(SEQUENCE).map(Elements)?;
        let mut parts = Self {
            facts,
            signed: signed.whole,
            algorithm: algorithm.within(SEQUENCE)?,
            signature: bits(signature)?,
            key: Key {
                algorithm: key.next()?.within(SEQUENCE)?,
                bytes: bits(key.next()?)?,
            },
            is_authority: false,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            purposes: None,
            names_issuer: false,
        };
        if let Some(extensions) = fields.find(|field| field.tag == EXTENSIONS) {
            let extensions = Element::only(extensions.contents)?.within(SEQUENCE)?;
            for extension in Elements(extensions) {
                parts.add(extension.within(SEQUENCE)?)?;
            }
        }
        Some(parts)
    }

    /// Reads an extension, if it is one that counts here.
    fn add(&mut self, extension: &'a [u8]) -> Option<()> {
        let mut fields = Elements(extension);
        let kind = fields.next()?.within(OBJECT_IDENTIFIER)?;
        let value = fields.next()?;
        // In between it may stand that the extension is critical.
        let value = match value.tag {
            BOOLEAN => fields.next()?,
            _ => value,
        };
        let octets = value.within(OCTET_STRING)?;
        let value = || Element::only(octets)?.within(SEQUENCE).map(Elements);
        match kind {
            BASIC_CONSTRAINTS => {
                let first = value()?.next();
                let is_authority = first.and_then(|first| first.within(BOOLEAN));
                self.is_authority = is_authority.is_some_and(|value| value != [0]);
            }
            ALTERNATIVE_NAMES => {
                for name in value()? {
                    match name.tag {
                        DNS_NAME => self.dns_names.push(str::from_utf8(name.contents).ok()?),
                        IP_ADDRESS => self.addresses.push(name.contents),
                        _ => {}
                    }
                }
            }
            PURPOSES => {
                let purposes = value()?.map(|purpose| purpose.within(OBJECT_IDENTIFIER));
                self.purposes = Some(purposes.collect::<Option<_>>()?);
            }
            AUTHORITY_ACCESS => {
                self.names_issuer = value()?.any(|place| {
                    let kind = Elements(place.contents).next();
                    kind.and_then(|kind| kind.within(OBJECT_IDENTIFIER)) == Some(ISSUERS)
                });
            }
            _ => {}
        }
        Some(())
    }
}

/// The bytes of a bit string that has whole bytes.
fn bits<'a>(element: Element<'a>) -> Option<&'a [u8]> {
    element.within(BIT_STRING)?.strip_prefix(&[0])
}
