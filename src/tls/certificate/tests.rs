//! Which files make a certificate, and which are refused.

use std::path::{Path, PathBuf};

use rcgen::KeyPair;

use crate::tls::fixture::{Files, check_choice, der, refusal, server};
use crate::tls::{CertificatePair, TlsError};

#[test]
fn a_certificate_and_its_key_may_share_a_file() {
    let files = Files::new();
    let pair = files.pair("a", &["a.test"]);
    let both = [&pair.key, &pair.cert].map(|file| std::fs::read_to_string(file).unwrap());
    let both = files.write("both.pem", &both.concat());
    let server = server(vec![CertificatePair {
        cert: both.clone(),
        key: both,
    }]);
    check_choice(&server, "a.test", &pair);
}

#[test]
fn a_certificate_without_a_name_may_only_come_first() {
    let files = Files::new();
    let named = files.pair("named", &["a.test"]);
    let nameless = files.pair("nameless", &["192.0.2.1"]);
    let server = server(vec![nameless.clone(), named.clone()]);
    check_choice(&server, "192.0.2.1", &nameless);
    check_choice(&server, "a.test", &named);

    let error = refusal(vec![named, nameless.clone()]);
    assert!(matches!(error, TlsError::Nameless { file } if file == nameless.cert));
}

#[test]
fn a_certificate_of_x509_version_1_is_served() {
    let files = Files::new();
    let key = KeyPair::generate().unwrap();
    let mut pair = files.pair_of("v1", &[], &key);
    let v1 = version_1(&der(&pair.cert));
    pair.cert = files.write("v1.crt", &v1);
    let loaded = server(vec![pair.clone()]);
    check_choice(&loaded, "a.test", &pair);

    let other = files.pair("other", &["a.test"]);
    let error = refusal(vec![CertificatePair {
        cert: pair.cert,
        key: other.key,
    }]);
    assert!(matches!(error, TlsError::Mismatch { .. }), "{error:?}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let files = Files::new();
    let (a, b) = (files.pair("a", &["a.test"]), files.pair("b", &["b.test"]));
    let error = refusal(vec![CertificatePair {
        cert: a.cert,
        key: b.key,
    }]);
    let path = files.directory.path().display();
    assert_eq!(
        error.to_string(),
        format!("{path}/b.key does not hold the key of the certificate in {path}/a.crt")
    );
}

#[test]
fn a_chain_in_the_wrong_order_is_refused() {
    let files = Files::new();
    let (a, issuer) = (files.pair("a", &["a.test"]), files.pair("ca", &["ca.test"]));
    let read = |file| std::fs::read_to_string(file).unwrap();
    let right = files.write("right.crt", &[read(&a.cert), read(&issuer.cert)].concat());
    let wrong = files.write("wrong.crt", &[read(&issuer.cert), read(&a.cert)].concat());
    let pair = |cert| CertificatePair {
        cert,
        key: a.key.clone(),
    };
    check_choice(&server(vec![pair(right)]), "a.test", &a);
    let error = refusal(vec![pair(wrong.clone())]);
    assert!(matches!(error, TlsError::NotFirst { file, position: 2 } if file == wrong));
}

#[test]
fn what_cannot_be_used_is_refused_by_the_name_of_its_file() {
    let files = Files::new();
    let good = files.pair("good", &["a.test"]);
    let text = |file: &Path| std::fs::read_to_string(file).unwrap();
    let missing = files.path("missing");
    let empty = files.write("empty", "");
    let cut = text(&good.cert).replace("-----END CERTIFICATE-----", "");
    let cut = files.write("cut", &cut);
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let garbage = files.write("garbage", garbage);
    let bad_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let bad_key = files.write("bad-key", bad_key);
    let sealed = text(&good.key).replace("PRIVATE", "ENCRYPTED PRIVATE");
    let sealed = files.write("sealed", &sealed);

    let with_cert = |cert: &PathBuf| CertificatePair {
        cert: cert.clone(),
        key: good.key.clone(),
    };
    let with_key = |key: &PathBuf| CertificatePair {
        cert: good.cert.clone(),
        key: key.clone(),
    };
    for (pair, name, words) in [
        (with_cert(&missing), "missing", "cannot read "),
        (with_key(&missing), "missing", "cannot read "),
        (with_cert(&empty), "empty", "holds no certificate"),
        (with_cert(&good.key), "good.key", "holds no certificate"),
        (with_cert(&cut), "cut", "is not valid PEM"),
        (with_cert(&garbage), "garbage", "cannot be read"),
        (
            with_key(&empty),
            "empty",
            "holds no unencrypted private key",
        ),
        (
            with_key(&sealed),
            "sealed",
            "holds no unencrypted private key",
        ),
        (with_key(&bad_key), "bad-key", "cannot be used"),
    ] {
        // Wherever it stands in the list.
        let error = refusal(vec![good.clone(), pair]).to_string();
        let path = files.path(name).display().to_string();
        assert!(error.contains(&path), "{error}");
        assert!(error.contains(words), "{error}");
    }
    assert!(matches!(refusal(vec![]), TlsError::NoCertificate));
}

/// Makes a certificate of version 1 out of one of version 3, by taking its version and its
/// extensions away (RFC 5280, section 4.1). Its signature is wrong then, which nobody looks at.
fn version_1(der: &[u8]) -> String {
    let (certificate, _) = contents(der);
    let (to_be_signed, rest) = contents(certificate);
    let mut fields = Vec::new();
    let mut at = to_be_signed;
    while !at.is_empty() {
        let (_, after) = contents(at);
        let field = &at[..at.len() - after.len()];
        // [0] is the version, [3] the extensions.
        if field[0] != 0xa0 && field[0] != 0xa3 {
            fields.extend_from_slice(field);
        }
        at = after;
    }
    let mut inside = sequence(&fields);
    inside.extend_from_slice(rest);
    pem(&sequence(&inside))
}

/// Splits DER into the contents of its first element and what follows that.
fn contents(der: &[u8]) -> (&[u8], &[u8]) {
    let n_length_bytes = if der[1] < 0x80 {
        0
    } else {
        usize::from(der[1] & 0x7f)
    };
    let start = 2 + n_length_bytes;
    let length = der[2..start]
        .iter()
        .fold(0, |length, &byte| length << 8 | usize::from(byte));
    let length = if n_length_bytes == 0 {
        usize::from(der[1])
    } else {
        length
    };
    der[start..].split_at(length)
}

fn sequence(contents: &[u8]) -> Vec<u8> {
    // A length is as short as can be (X.690, section 10.1).
    let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
    let head: &[u8] = match length {
        [0, low @ ..0x80] => &[0x30, low],
        [0, low] => &[0x30, 0x81, low],
        [high, low] => &[0x30, 0x82, high, low],
    };
    [head, contents].concat()
}

fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
    for group in der.chunks(3) {
        let mut bytes = [0; 4];
        bytes[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bytes) as usize;
        for at in 0..4 {
            if at <= group.len() {
                base64.push(char::from(DIGITS[bits >> (18 - 6 * at) & 63]));
            } else {
                base64.push('=');
            }
        }
    }
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}
