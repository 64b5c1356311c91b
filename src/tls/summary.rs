//! A certificate in a few words: what it is called, what it is for, how long it holds.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use crate::tls::x509::{Facts, Parts, common_name};

/// A day, in seconds.
pub(in crate::tls) const DAY: i64 = 86_400;

/// The longest time before its end in which a certificate is said to expire soon, in seconds: a
/// month is enough for those that people renew by hand.
const SOON: i64 = 30 * DAY;

/// The part of its life in which a certificate expires soon. Whoever renews by itself does so when
/// a third of the life is left, and is not to be told before that is overdue.
const SOON_PART: i64 = 4;

/// A certificate that is shown to others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// The file that it is in.
    pub file: PathBuf,
    /// What it is called: by its first DNS name, else its first address, its subject's common name,
    /// or its file.
    pub name: String,
    /// The DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// The last second in which all of its chain holds, in Unix time; `None` when it cannot be read.
    pub not_after: Option<i64>,
    /// How long it holds altogether, in seconds.
    lifetime: i64,
    /// The SHA-256 of the certificate in lower-case hexadecimal digits.
    pub fingerprint: String,
}

impl Summary {
    /// Tells of the first certificate of a chain that came from a file.
    pub(in crate::tls) fn of(file: &Path, chain: &[CertificateDer<'_>]) -> Self {
        let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
        let parts = Parts::of(leaf);
        let names = parts.as_ref().map(names).unwrap_or_default();
        let subject = parts
            .as_ref()
            .and_then(|parts| common_name(parts.facts.subject));
        let called = names.first().cloned().or(subject);
        let facts = chain.iter().filter_map(|der| Facts::of(der));
        let first = facts.min_by_key(|facts| facts.not_after);
        Self {
            file: file.to_owned(),
            name: called.unwrap_or_else(|| file_name(file)),
            names,
            not_after: first.map(|facts| facts.not_after),
            lifetime: first.map_or(0, |facts| facts.not_after - facts.not_before),
            fingerprint: fingerprint(leaf),
        }
    }

    /// True when it has expired, or will soon: within 30 days, or a quarter of its life if that is
    /// less.
    pub fn is_due(&self, now: SystemTime) -> bool {
        let is_due = |not_after| is_due(not_after, self.lifetime, unix(now));
        self.not_after.is_some_and(is_due)
    }

    /// How many whole days it still holds; less than 0 when it has expired.
    pub fn days_left(&self, now: SystemTime) -> Option<i64> {
        Some((self.not_after? - unix(now)).div_euclid(DAY))
    }
}

/// True when what holds until then has expired, or will soon.
pub(in crate::tls) fn is_due(not_after: i64, lifetime: i64, now: i64) -> bool {
    not_after - now < SOON.min(lifetime / SOON_PART)
}

/// The SHA-256 of some bytes in lower-case hexadecimal digits.
pub(in crate::tls) fn fingerprint(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names and addresses that a certificate is for.
fn names(parts: &Parts<'_>) -> Vec<String> {
    let dns = parts.dns_names.iter().map(|name| name.to_ascii_lowercase());
    let addresses = parts.addresses.iter().filter_map(|&bytes| {
        let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        let sixteen = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
        four.or_else(|_| sixteen()).ok()
    });
    dns.chain(addresses.map(|ip| ip.to_string())).collect()
}

/// A moment in seconds of Unix time.
pub(in crate::tls) fn unix(time: SystemTime) -> i64 {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()),
        Err(before) => i64::try_from(before.duration().as_secs()).map(|seconds| -seconds),
    };
    seconds.unwrap_or(i64::MAX)
}

fn file_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
    use rustls::pki_types::CertificateDer;

    use crate::tls::summary::{Summary, fingerprint, unix};

    /// What is told of a certificate for these names.
    fn summary(names: &[&str], common_name: &str) -> Summary {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 4, 11);
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Summary::of(Path::new("/etc/certs/edge.crt"), &[own.der().clone()])
    }

    #[test]
    fn a_certificate_is_called_by_the_first_of_its_names() {
        let full = summary(&["A.test", "b.test", "192.0.2.1", "2001:db8::1"], "c");
        assert_eq!(full.name, "a.test");
        assert_eq!(full.names, ["a.test", "b.test", "192.0.2.1", "2001:db8::1"]);
        assert_eq!(summary(&["192.0.2.1"], "c").name, "192.0.2.1");
        assert_eq!(summary(&[], "c").name, "c");
        assert_eq!(summary(&[], "").name, "edge.crt");
        let unreadable = CertificateDer::from(b"abc".as_slice());
        let unreadable = Summary::of(Path::new("/etc/certs/odd"), &[unreadable]);
        assert_eq!(
            (unreadable.name.as_str(), unreadable.not_after),
            ("odd", None)
        );
        assert_eq!(unreadable.fingerprint, fingerprint(b"abc"));
        assert!(!unreadable.is_due(SystemTime::now()));
    }

    #[test]
    fn days_are_counted_down_to_the_end_and_beyond() {
        // It holds for 100 days, and is due when a quarter of them is left.
        let certificate = summary(&["a.test"], "c");
        let end = unix(SystemTime::from(date_time_ymd(2026, 4, 11)));
        assert_eq!(certificate.not_after, Some(end));
        let before = |seconds: u64| {
            let end = SystemTime::from(date_time_ymd(2026, 4, 11));
            end - Duration::from_secs(seconds)
        };
        let told = |now| (certificate.days_left(now).unwrap(), certificate.is_due(now));
        assert_eq!(told(before(26 * 86_400)), (26, false));
        assert_eq!(told(before(25 * 86_400)), (25, false));
        assert_eq!(told(before(25 * 86_400 - 1)), (24, true));
        assert_eq!(told(before(0)), (0, true));
        let after = SystemTime::from(date_time_ymd(2026, 4, 11)) + Duration::from_secs(1);
        assert_eq!(told(after), (-1, true));
    }

    #[test]
    fn a_chain_holds_as_long_as_all_of_it() {
        let make = |to| {
            let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
            params.not_after = to;
            let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            own.der().clone()
        };
        let (long, short) = (date_time_ymd(2030, 1, 1), date_time_ymd(2028, 1, 1));
        let summary = Summary::of(Path::new("a"), &[make(long), make(short)]);
        assert_eq!(summary.not_after, Some(short.unix_timestamp()));
    }
}
