//! What is found in chains of all kinds, and what is not.

use std::slice;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::tls::flaw::{FlawKind, Purpose, flaws, of_authorities};
use crate::tls::x509::Parts;

/// 2027-01-15.
const NOW: i64 = 1_800_000_000;

/// Made with OpenSSL: an RSA key of 1024 bits, signed by another with SHA-1, until 2126.
const WEAK: &str = "-----BEGIN CERTIFICATE-----
MIICCTCCAXKgAwIBAgIUUjMPuDd6ZrQff80KBaqXENHuPC0wDQYJKoZIhvcNAQEF
BQAwGDEWMBQGA1UEAwwNb2xkIGF1dGhvcml0eTAgFw0yNjExMjUyMTIxMTZaGA8y
MTI2MTEwMTIxMjExNlowETEPMA0GA1UEAwwGYS50ZXN0MIGfMA0GCSqGSIb3DQEB
AQUAA4GNADCBiQKBgQDAO0Ymmc+riCtY1eogoWUZWb934DmRAr6QUS4bZq3rXfVg
ZCgRdZ+cEhAi0wCA0EJAfssjX2bPtv2YOvhlfPHkDosim37xxdXP4nc3sfsAT8ay
ftkMc4DQy9OvvFgj3CvAOtN5sIuFJDFFjnfZRyKSMV2pvhNGLJDwI8gCc+JHWQID
AQABo1UwUzARBgNVHREECjAIggZhLnRlc3QwHQYDVR0OBBYEFHef36NZDNXfCVvu
1fRYC+1uKihAMB8GA1UdIwQYMBaAFBiUuGR429oHDnSykX+7d46g81UvMA0GCSqG
SIb3DQEBBQUAA4GBAKpiIG3FgKvvc6FaUr3zkOvESfi8jVWL8+IHTxZnWzAA2+A5
TJ2xoeBffLjvSp0FHsyGvb923I6Z6r0FwtKInsO4q0xrlrggFNw/UON2H0bOcTek
WXHwQF0GAfqt34A293mGgZzhlL8QLhycnNmcaFBJgJmdubFuOvaCCpIPVmrs
-----END CERTIFICATE-----
";

type Der = CertificateDer<'static>;

/// Who vouches for others, and his own certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Der,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    params
}

fn names(name: &str) -> Vec<SanType> {
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.subject_alt_names
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn root(name: &str) -> Authority {
    let (params, key) = (authority(name), KeyPair::generate().unwrap());
    let der = params.self_signed(&key).unwrap().der().clone();
    Authority {
        issuer: Issuer::new(params, key),
        der,
    }
}

impl Authority {
    fn below(&self, name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Der {
        let mut params = params("leaf");
        params.subject_alt_names = names("a.test");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().clone()
    }
}

/// The texts of what is wrong with a chain that a server shows.
fn found(chain: &[Der]) -> Vec<String> {
    found_as(chain, Purpose::Server, None)
}

/// Likewise, where the system knows authorities of this name only.
fn found_as(chain: &[Der], purpose: Purpose, known: Option<&[u8]>) -> Vec<String> {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let knows = |name: &[u8]| Some(name == known?);
    let flaws = flaws(chain, purpose, NOW, &algorithms, knows);
    flaws.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_chain_has_no_flaw() {
    let root = root("root");
    let middle = root.below("middle");
    let leaf = middle.leaf(|_| {});
    for chain in [
        vec![leaf.clone()],
        vec![leaf.clone(), middle.der.clone()],
        vec![leaf, middle.der, root.der],
    ] {
        assert_eq!(found(&chain), [""; 0]);
    }
    // Who vouches for himself is believed by those who have his certificate.
    let key = KeyPair::generate().unwrap();
    let mut own = params("own");
    own.subject_alt_names = names("a.test");
    assert_eq!(
        found(&[own.self_signed(&key).unwrap().der().clone()]),
        [""; 0]
    );
}

#[test]
fn certificates_that_do_not_hold_are_told_wherever_they_stand() {
    let root = root("root");
    let at = |from: (i32, u8, u8), to: (i32, u8, u8)| {
        root.leaf(|params| {
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(to.0, to.1, to.2);
        })
    };
    let (early, late) = ((2026, 1, 1), (2036, 1, 1));
    assert_eq!(
        found(&[at(early, (2027, 1, 14))]),
        ["the certificate expired on 2027-01-14T00:00:00Z, 32 hours ago"]
    );
    assert_eq!(
        found(&[at((2027, 1, 16), late)]),
        ["the certificate does not hold before 2027-01-16T00:00:00Z"]
    );
    assert_eq!(
        found(&[at(early, (2027, 2, 14))]),
        ["the certificate expires on 2027-02-14T00:00:00Z, in 29 days"]
    );
    assert_eq!(found(&[at(early, (2027, 2, 15))]), [""; 0]);

    let mut old = authority("old");
    old.not_after = date_time_ymd(2026, 12, 1);
    let key = KeyPair::generate().unwrap();
    let old = Authority {
        der: old.signed_by(&key, &root.issuer).unwrap().der().clone(),
        issuer: Issuer::new(old, key),
    };
    assert_eq!(
        found(&[old.leaf(|_| {}), old.der]),
        ["certificate 2, CN=old, expired on 2026-12-01T00:00:00Z, 45 days ago"]
    );
}

#[test]
fn what_is_renewed_by_itself_in_time_never_expires_soon() {
    let root = root("root");
    // A life of 90 days, of which 23 are left: who renews at a third has done so a week ago.
    let left = |days: i64| {
        let at = |days| {
            let since = Duration::from_secs(u64::try_from(NOW + days * 86_400).unwrap());
            date_time_ymd(1970, 1, 1) + since
        };
        root.leaf(|params| {
            params.not_before = at(days - 90);
            params.not_after = at(days);
        })
    };
    assert_eq!(found(&[left(23)]), [""; 0]);
    assert_eq!(found(&[left(22)]).len(), 1);
}

#[test]
fn a_leaf_that_clients_would_refuse_is_told() {
    let root = root("root");
    let nameless = root.leaf(|params| params.subject_alt_names.clear());
    assert_eq!(
        found(slice::from_ref(&nameless)),
        ["the certificate has no name in subjectAltName, so that clients take it for nobody's"]
    );
    // Servers do not look at the names of their clients.
    assert_eq!(found_as(&[nameless], Purpose::Client, None), [""; 0]);
    let address = root.leaf(|params| params.subject_alt_names = names("192.0.2.1"));
    assert_eq!(found(&[address]), [""; 0]);
    let authority = root.leaf(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(
        found(&[authority]),
        ["the certificate is that of an authority (CA:TRUE), which some clients refuse"]
    );
    let explicit = root.leaf(|params| params.is_ca = IsCa::ExplicitNoCa);
    assert_eq!(found(&[explicit]), [""; 0]);
}

#[test]
fn a_certificate_is_for_what_it_says() {
    let root = root("root");
    let of = |purposes: &[ExtendedKeyUsagePurpose]| {
        root.leaf(|params| params.extended_key_usages = purposes.to_vec())
    };
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    for (purposes, server, client) in [
        (&[ServerAuth][..], true, false),
        (&[ClientAuth], false, true),
        (&[CodeSigning], false, false),
        (&[CodeSigning, ServerAuth, ClientAuth], true, true),
        (&[Any], true, true),
        (&[], true, true),
    ] {
        let leaf = of(purposes);
        let as_server = found(slice::from_ref(&leaf));
        let as_client = found_as(&[leaf], Purpose::Client, None);
        let text = |who, fits: bool| match fits {
            true => Vec::new(),
            false => vec![format!(
                "the certificate is not for {who} (extendedKeyUsage)"
            )],
        };
        assert_eq!(as_server, text("servers", server), "{purposes:?}");
        assert_eq!(as_client, text("clients", client), "{purposes:?}");
    }
}

#[test]
fn each_of_a_chain_vouches_for_the_one_before_it() {
    let root = root("root");
    let middle = root.below("middle");
    let leaf = middle.leaf(|_| {});
    assert_eq!(
        found(&[leaf.clone(), root.der.clone(), middle.der.clone()]),
        [
            "certificate 2, CN=root, does not vouch for the one before it, CN=middle does, which is \
             number 3",
            "certificate 3, CN=middle, does not vouch for the one before it, CN=root does, which is \
             number 2",
        ]
    );
    assert_eq!(
        found(&[leaf.clone(), root.der.clone()]),
        [
            "certificate 2, CN=root, does not vouch for the one before it, CN=middle does, which is \
             missing"
        ]
    );
    // Renewed with another key.
    let other = root.below("middle");
    assert_eq!(
        found(&[leaf, other.der]),
        ["certificate 2, CN=middle, has not the key that the one before it is signed with"]
    );
}

#[test]
fn a_missing_certificate_is_told_where_the_leaf_says_that_there_is_one() {
    let root = root("root");
    let middle = root.below("middle");
    // SEQUENCE { SEQUENCE { caIssuers, [6] "http:" } }.
    let access = [
        &[0x30, 0x11, 0x30, 0x0f, 6, 8, 0x2b, 6, 1, 5, 5, 7, 48, 2][..],
        &[0x86, 3],
        b"a:b",
    ];
    let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access.concat());
    let leaf = middle.leaf(|params| params.custom_extensions = vec![access]);
    let name = |authority: &Authority| {
        let parts = Parts::of(&authority.der).unwrap();
        parts.facts.subject.to_vec()
    };
    let root_name = name(&root);
    let found = |chain: &[Der], known: Option<&[u8]>| found_as(chain, Purpose::Server, known);
    assert_eq!(
        found(slice::from_ref(&leaf), Some(&root_name)),
        [
            "the certificate ends the chain, and its issuer CN=middle is no authority of this system: \
             the certificate in between seems to be missing"
        ]
    );
    assert_eq!(
        found(&[leaf.clone(), middle.der.clone()], Some(&root_name)),
        [""; 0]
    );
    assert_eq!(found(slice::from_ref(&leaf), Some(&name(&middle))), [""; 0]);
    // A system that trusts nobody knows nothing.
    assert_eq!(found(&[leaf], None), [""; 0]);
    assert_eq!(found(&[middle.leaf(|_| {})], Some(&root_name)), [""; 0]);
}

#[test]
fn weak_keys_and_signatures_are_told() {
    let weak = Der::from_pem_slice(WEAK.as_bytes()).unwrap();
    assert_eq!(
        found(&[weak]),
        [
            "the certificate has an RSA key of 1024 bits, and 2048 is the least that clients take",
            "the certificate is signed with SHA-1, which clients do not believe",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_told_and_does_not_hide_the_rest() {
    let root = root("root");
    let garbage = Der::from(vec![0x30, 0]);
    let late = root.leaf(|params| params.not_before = date_time_ymd(2030, 1, 1));
    assert_eq!(
        found(&[late, garbage]),
        [
            "the certificate does not hold before 2030-01-01T00:00:00Z",
            "certificate 2 cannot be read",
        ]
    );
}

#[test]
fn authorities_need_only_hold() {
    let mut old = authority("old");
    old.not_after = date_time_ymd(2026, 12, 1);
    let key = KeyPair::generate().unwrap();
    let old = old.self_signed(&key).unwrap().der().clone();
    let flaws = of_authorities(&[root("root").der, old], NOW);
    assert_eq!(flaws.len(), 1);
    assert_eq!(
        (flaws[0].position, flaws[0].subject.as_str()),
        (2, "CN=old")
    );
    assert!(matches!(flaws[0].kind, FlawKind::Expired { .. }));
}
