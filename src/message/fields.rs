//! The fields of a head: ranges over one buffer, in the order in which they came.
//!
//! Each field's name is looked at once, when it is added: the names that tidegate itself acts on
//! become a [`Known`], so that the code behind compares a byte and not a string.

use crate::message::Span;
use crate::message::cookies::Cookies;

/// The names under which upstreams are told of a client's certificate: those of RFC 9440, and ours
/// for whose it is and for its hash.
const CLIENT_CERT: [&[u8]; 4] = [
    b"client-cert",
    b"client-cert-chain",
    b"x-client-cert-subject",
    b"x-client-cert-fingerprint",
];

/// The names under which upstreams and clients are told of an assignment, and upstreams of a mirror.
const ASSIGNMENT: [&[u8]; 3] = [
    b"x-tidegate-route",
    b"x-tidegate-variant",
    b"x-tidegate-mirror",
];

/// A field name that tidegate acts on; every other one is [`Known::Other`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each is the field of that name")]
pub enum Known {
    Other,
    Accept,
    /// Any of those that tell of an assignment.
    Assignment,
    CacheControl,
    /// Any of those that tell of a client's certificate.
    ClientCert,
    Connection,
    ContentLength,
    Cookie,
    Date,
    Expect,
    Forwarded,
    Host,
    Http2Settings,
    KeepAlive,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    SetCookie,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    Via,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedPrefix,
    XForwardedProto,
    XRealIp,
}

impl Known {
    /// Tells which one a name is; the case of its letters does not matter.
    pub fn of(name: &[u8]) -> Self {
        let Some(first) = name.first() else {
            return Self::Other;
        };
        // By length and first letter: most names end here, and at most two are compared.
        let candidates: &[(&[u8], Self)] = match (name.len(), first.to_ascii_lowercase()) {
            (2, b't') => &[(b"te", Self::Te)],
            (3, b'v') => &[(b"via", Self::Via)],
            (4, b'h') => &[(b"host", Self::Host)],
            (4, b'd') => &[(b"date", Self::Date)],
            (6, b'a') => &[(b"accept", Self::Accept)],
            (6, b'c') => &[(b"cookie", Self::Cookie)],
            (6, b'e') => &[(b"expect", Self::Expect)],
            (7, b'u') => &[(b"upgrade", Self::Upgrade)],
            (7, b't') => &[(b"trailer", Self::Trailer)],
            (9, b'f') => &[(b"forwarded", Self::Forwarded)],
            (9, b'x') => &[(b"x-real-ip", Self::XRealIp)],
            (10, b'c') => &[(b"connection", Self::Connection)],
            (10, b'k') => &[(b"keep-alive", Self::KeepAlive)],
            (10, b's') => &[(b"set-cookie", Self::SetCookie)],
            (13, b'c') => &[(b"cache-control", Self::CacheControl)],
            (14, b'c') => &[(b"content-length", Self::ContentLength)],
            (14, b'h') => &[(b"http2-settings", Self::Http2Settings)],
            (15, b'x') => &[(b"x-forwarded-for", Self::XForwardedFor)],
            (16, b'x') => &[
                (b"x-forwarded-host", Self::XForwardedHost),
                (b"x-forwarded-port", Self::XForwardedPort),
            ],
            (16, b'p') => &[(b"proxy-connection", Self::ProxyConnection)],
            (17, b't') => &[(b"transfer-encoding", Self::TransferEncoding)],
            (17, b'x') => &[(b"x-forwarded-proto", Self::XForwardedProto)],
            (18, b'x') => &[(b"x-forwarded-prefix", Self::XForwardedPrefix)],
            (18, b'p') => &[(b"proxy-authenticate", Self::ProxyAuthenticate)],
            (19, b'p') => &[(b"proxy-authorization", Self::ProxyAuthorization)],
            (11 | 17, b'c') | (21 | 25, b'x') => &[],
            _ => return Self::Other,
        };
        candidates
            .iter()
            .find(|(candidate, _)| is_folded(name, candidate))
            .map_or_else(|| Self::told(name), |&(_, known)| known)
    }

    /// Tells whether a name is one of those under which tidegate tells something. Servers that hand
    /// fields on as variables take `_` for `-`, and so must who keeps clients from sending them.
    fn told(name: &[u8]) -> Self {
        let is = |candidate: &&[u8]| {
            let mut pairs = name.iter().zip(*candidate);
            name.len() == candidate.len()
                && pairs.all(|(a, b)| a.eq_ignore_ascii_case(b) || (*a, *b) == (b'_', b'-'))
        };
        if CLIENT_CERT.iter().any(is) {
            Self::ClientCert
        } else if ASSIGNMENT.iter().any(is) {
            Self::Assignment
        } else {
            Self::Other
        }
    }
}

/// True when `name` is `lower`, which is as long and in lower case, but for the case of its letters.
///
/// Eight bytes at a time. Setting bit 5 makes a letter small; of all others it changes only control
/// characters into those that names are made of, and a field's name has none.
fn is_folded(name: &[u8], lower: &[u8]) -> bool {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
        word.map(u64::from_ne_bytes)
    };
    let n = lower.len();
    if !(8..=24).contains(&n) {
        return name.eq_ignore_ascii_case(lower);
    }
    let differs = |at| match (word(name, at), word(lower, at)) {
        (Some(name), Some(lower)) => (name | SMALL) ^ lower,
        _ => u64::MAX,
    };
    // The words overlap where the length is no multiple of eight.
    let ends = differs(0) | differs(n - 8);
    ends == 0 && (n <= 16 || differs(8) == 0)
}

/// Where a field lies in its head's buffer.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: Span,
    value: Span,
    known: Known,
}

impl Entry {
    fn read<'a>(&self, text: &'a [u8]) -> Field<'a> {
        Field {
            name: self.name.of(text),
            value: self.value.of(text),
            known: self.known,
            at: Span {
                start: self.name.start,
                end: self.value.end,
            },
        }
    }
}

/// One field of a head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    /// The name as it was sent: a token, in any case.
    pub name: &'a [u8],
    /// The value without the white space around it.
    pub value: &'a [u8],
    /// Which of the names that tidegate acts on it is.
    pub known: Known,
    /// From its name to the end of its value.
    at: Span,
}

impl Field<'_> {
    /// True when the field has this name, in any case.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.len() == name.len() && self.name.eq_ignore_ascii_case(name)
    }

    /// The field as a line of HTTP/1, if it stands in its head's `text` just as it would be written.
    pub fn line<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let line = text.get(self.at.start as usize..self.at.end as usize + 2)?;
        let colon = line.get(self.name.len()..self.name.len() + 2)?;
        let is_plain = colon == b": "
            && line.ends_with(b"\r\n")
            && line.len() == self.name.len() + self.value.len() + 4;
        is_plain.then_some(line)
    }
}

/// The fields of a head or of trailers. The bytes are the head's own; this holds only ranges.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    entries: Vec<Entry>,
    /// A bit for each [`Known`] that is among them: most that are looked for are not there.
    present: u32,
    cookies: Cookies,
}

impl Fields {
    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.present = 0;
        self.cookies.clear();
    }

    /// Adds a field by where its name and value lie in `text`; tells which one it is.
    pub fn push(&mut self, text: &[u8], name: Span, value: Span) -> Known {
        let known = Known::of(name.of(text));
        self.entries.push(Entry { name, value, known });
        self.present |= bit(known);
        if known == Known::Cookie {
            self.cookies.clear();
        }
        known
    }

    /// Forgets all fields of a name.
    pub fn remove(&mut self, text: &[u8], name: &[u8]) {
        self.entries
            .retain(|entry| !entry.name.of(text).eq_ignore_ascii_case(name));
        let present = self.entries.iter().map(|entry| bit(entry.known));
        self.present = present.fold(0, |all, one| all | one);
        self.cookies.clear();
    }

    /// True when there is a field of this kind.
    pub fn has(&self, known: Known) -> bool {
        self.present & bit(known) != 0
    }

    /// Where the cookies in them are, for who looks for one.
    pub(in crate::message) fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    /// The value of the first one of a name, in any case.
    pub fn find<'a>(&self, text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
        let mut entries = self.entries.iter();
        // Most names end here, by their length.
        let found = entries.find(|entry| {
            entry.name.len() == name.len() && entry.name.of(text).eq_ignore_ascii_case(name)
        });
        Some(found?.value.of(text))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of them, in the order in which they came, read from their head's `text`.
    pub fn iter<'a>(&'a self, text: &'a [u8]) -> impl DoubleEndedIterator<Item = Field<'a>> {
        self.entries.iter().map(|entry| entry.read(text))
    }

    /// Those of one kind, likewise.
    pub fn known<'a>(
        &'a self,
        text: &'a [u8],
        known: Known,
    ) -> impl DoubleEndedIterator<Item = Field<'a>> {
        let among = if self.has(known) { &*self.entries } else { &[] };
        let of_it = among.iter().filter(move |entry| entry.known == known);
        of_it.map(|entry| entry.read(text))
    }
}

fn bit(known: Known) -> u32 {
    1 << known as u32
}

#[cfg(test)]
mod tests {
    use crate::message::{Fields, Known, Span};

    #[test]
    fn a_known_name_is_known_in_any_case() {
        for (name, known) in [
            ("Host", Known::Host),
            ("TRANSFER-ENCODING", Known::TransferEncoding),
            ("x-Forwarded-For", Known::XForwardedFor),
            ("te", Known::Te),
            ("HTTP2-Settings", Known::Http2Settings),
            ("x-other", Known::Other),
            ("", Known::Other),
            ("hosts", Known::Other),
            ("Client-Cert", Known::ClientCert),
            ("client-cert-chain", Known::ClientCert),
            ("X-Client-Cert-Subject", Known::ClientCert),
            ("x-client-cert-FINGERPRINT", Known::ClientCert),
            ("X_Client_Cert-Subject", Known::ClientCert),
            ("client_cert_chain", Known::ClientCert),
            ("X-Tidegate-Route", Known::Assignment),
            ("x-tidegate-variant", Known::Assignment),
            ("X-Tidegate-Mirror", Known::Assignment),
            ("X_TIDEGATE_variant", Known::Assignment),
            ("x-tidegate-variants", Known::Other),
            ("x-tidegate-wroute", Known::Other),
            ("client-certs", Known::Other),
            ("client+cert", Known::Other),
            ("transfer_encoding", Known::Other),
        ] {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
        }
    }

    #[test]
    fn fields_come_back_in_their_order() {
        let text = b"a: 1\r\nHost: x\r\n";
        let mut fields = Fields::default();
        fields.push(text, Span::new(0, 1), Span::new(3, 4));
        fields.push(text, Span::new(6, 10), Span::new(12, 13));
        let seen: Vec<_> = fields
            .iter(text)
            .map(|field| (field.name, field.value, field.known))
            .collect();
        assert_eq!(
            seen,
            [
                (&b"a"[..], &b"1"[..], Known::Other),
                (b"Host", b"x", Known::Host)
            ]
        );
    }
}
