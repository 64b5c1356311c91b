//! Facts of certificates, and of what is none.

use proptest::prelude::{any, prop, proptest};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;

use crate::tls::x509::{Element, Elements, Facts, Parts, common_name, days, rfc4514, time};

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

/// The text of the name that these attributes make.
fn named(attributes: &[(DnType, DnValue)]) -> String {
    let der = certificate(|params| {
        let mut name = DistinguishedName::new();
        for (kind, value) in attributes {
            name.push(kind.clone(), value.clone());
        }
        params.distinguished_name = name;
    });
    rfc4514(Facts::of(&der).unwrap().subject).unwrap()
}

fn text(text: &str) -> DnValue {
    DnValue::Utf8String(text.to_owned())
}

#[test]
fn the_time_of_a_certificate_is_read_in_both_forms() {
    // Years from 2050 on have four digits.
    for (not_before, not_after) in [
        ((2001, 2, 3), (2026, 11, 24)),
        ((1970, 1, 1), (2077, 2, 28)),
    ] {
        let date = |(y, m, d)| date_time_ymd(y, m, d);
        let der = certificate(|params| {
            params.not_before = date(not_before);
            params.not_after = date(not_after);
        });
        let facts = Facts::of(&der).unwrap();
        assert_eq!(facts.not_before, date(not_before).unix_timestamp());
        assert_eq!(facts.not_after, date(not_after).unix_timestamp());
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    for (date, expected) in [
        ((1970, 1, 1), 0),
        ((1969, 12, 31), -1),
        ((2000, 2, 29), 11_016),
        ((2000, 3, 1), 11_017),
        ((2100, 3, 1), 47_541),
        ((9999, 12, 31), 2_932_896),
    ] {
        let (year, month, day) = date;
        assert_eq!(days(year, month, day), expected, "{date:?}");
    }
}

#[test]
fn what_is_no_time_is_none() {
    let read = |tag, text: &[u8]| {
        time(Element {
            tag,
            contents: text,
            whole: text,
        })
    };
    assert_eq!(read(0x17, b"700101000001Z"), Some(1));
    assert_eq!(read(0x17, b"500101000000Z"), Some(-631_152_000));
    assert_eq!(read(0x17, b"491231235959Z"), Some(2_524_607_999));
    assert_eq!(read(0x18, b"19700101000001Z"), Some(1));
    for (tag, text) in [
        (0x17, &b"700101000001"[..]),
        (0x17, b"19700101000001Z"),
        (0x18, b"700101000001Z"),
        (0x17, b"701301000001Z"),
        (0x17, b"700100000001Z"),
        (0x17, b"700101240001Z"),
        (0x17, b"7001010000+1Z"),
        (0x17, b""),
        (0x02, b"700101000001Z"),
    ] {
        assert_eq!(read(tag, text), None, "{text:?}");
    }
}

#[test]
fn a_certificate_names_whose_it_is_and_whose_word_it_is() {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "authority");
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let leaf = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    let leaf = leaf
        .signed_by(&KeyPair::generate().unwrap(), &issuer)
        .unwrap();
    let (authority, leaf) = (Facts::of(authority.der()), Facts::of(leaf.der()));
    let (authority, leaf) = (authority.unwrap(), leaf.unwrap());
    assert_eq!(leaf.issuer, authority.subject);
    assert_eq!(authority.issuer, authority.subject);
    assert_ne!(leaf.subject, authority.subject);
}

#[test]
fn a_name_is_written_from_its_last_part_to_its_first() {
    let name = [
        (
            DnType::CountryName,
            DnValue::PrintableString("DE".try_into().unwrap()),
        ),
        (DnType::OrganizationName, text("Example")),
        (DnType::CommonName, text("alice")),
    ];
    assert_eq!(named(&name), "CN=alice,O=Example,C=DE");
    assert_eq!(named(&[]), "");
}

#[test]
fn what_could_be_misread_in_a_name_is_escaped() {
    for (value, expected) in [
        ("a b", "a b"),
        (" a ", "\\ a\\ "),
        (" ", "\\ "),
        ("#1", "\\#1"),
        ("a#1", "a#1"),
        ("a,O=b+c", "a\\,O=b\\+c"),
        ("\"<a;>\\", "\\\"\\<a\\;\\>\\\\"),
        ("a\r\nb: c\0", "a\\0D\\0Ab: c\\00"),
        ("Müller", "M\\C3\\BCller"),
        ("", ""),
    ] {
        assert_eq!(
            named(&[(DnType::CommonName, text(value))]),
            format!("CN={expected}")
        );
    }
}

#[test]
fn every_kind_of_text_is_read() {
    let bmp = DnValue::BmpString("Mü".try_into().unwrap());
    assert_eq!(named(&[(DnType::CommonName, bmp)]), "CN=M\\C3\\BC");
    let teletex = DnValue::TeletexString("M".try_into().unwrap());
    assert_eq!(named(&[(DnType::CommonName, teletex)]), "CN=M");
    let ia5 = DnValue::Ia5String("a@b.test".try_into().unwrap());
    let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
    assert_eq!(named(&[(email, ia5)]), "emailAddress=a@b.test");
}

#[test]
fn what_has_no_word_is_written_in_numbers() {
    let serial = DnType::CustomDnType(vec![2, 5, 4, 5]);
    assert_eq!(named(&[(serial, text("1"))]), "2.5.4.5=#0C0131");
    let large = DnType::CustomDnType(vec![2, 999, 1_000_000]);
    assert_eq!(named(&[(large, text("1"))]), "2.999.1000000=#0C0131");
}

#[test]
fn a_cut_certificate_has_no_facts() {
    let der = certificate(|_| {});
    assert!(Facts::of(&der).is_some());
    for n in 0..der.len() {
        assert_eq!(Facts::of(&der[..n]), None, "{n}");
    }
    assert_eq!(Facts::of(&[der.as_slice(), b"0"].concat()), None);
}

#[test]
fn a_certificate_is_taken_apart() {
    let der = certificate(|params| {
        let names = ["a.test", "*.b.test", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        // Whatever is in an extension that nobody knows.
        let odd = CustomExtension::from_oid_content(&[1, 2, 3], vec![0xff]);
        params.custom_extensions = vec![odd];
    });
    let parts = Parts::of(&der).unwrap();
    assert_eq!(parts.facts, Facts::of(&der).unwrap());
    assert_eq!(parts.dns_names, ["a.test", "*.b.test"]);
    assert_eq!(parts.addresses[0], [192, 0, 2, 1]);
    assert_eq!(parts.addresses[1].len(), 16);
    assert_eq!((parts.is_authority, parts.names_issuer), (false, false));
    assert_eq!(parts.purposes, None);
    assert_eq!(parts.key.rsa_bits(), None);
    // It is signed with its own key.
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let mut fitting = algorithms.all.iter().filter(|algorithm| {
        algorithm.signature_alg_id().as_ref() == parts.algorithm
            && algorithm.public_key_alg_id().as_ref() == parts.key.algorithm
    });
    let algorithm = fitting.next().unwrap();
    let verified = algorithm.verify_signature(parts.key.bytes, parts.signed, parts.signature);
    assert!(verified.is_ok());
}

#[test]
fn a_common_name_is_one_that_can_be_shown() {
    let named = |names: &[&str]| {
        let der = certificate(|params| {
            let mut name = DistinguishedName::new();
            name.push(DnType::OrganizationName, "Example");
            for value in names {
                name.push(DnType::CommonName, text(value));
            }
            params.distinguished_name = name;
        });
        common_name(Facts::of(&der).unwrap().subject)
    };
    assert_eq!(named(&["Müller, \"M\""]).as_deref(), Some("Müller, \"M\""));
    assert_eq!(named(&[]), None);
    assert_eq!(named(&["a\nb"]), None);
    assert_eq!(named(&[""]), None);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _facts = Facts::of(&bytes);
        let _parts = Parts::of(&bytes).and_then(|parts| parts.key.rsa_bits());
        let _name = (rfc4514(&bytes), common_name(&bytes));
        for element in Elements(&bytes) {
            let _time = time(element);
        }
    }

    #[test]
    fn no_change_of_a_certificate_makes_it_panic(at in 0usize..400, byte in any::<u8>()) {
        let mut der = certificate(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "Example");
        });
        let at = at % der.len();
        der[at] = byte;
        let _parts = Parts::of(&der);
        if let Some(facts) = Facts::of(&der) {
            let _name = common_name(facts.subject);
            let name = rfc4514(facts.subject).unwrap_or_default();
            assert!(name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
