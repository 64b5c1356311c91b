//! Handshakes in memory, and files that must be refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, ProtocolVersion,
    ServerConfig, ServerConnection, SignatureScheme, SupportedProtocolVersion,
};
use tempfile::TempDir;

use crate::listener::tls::{CertificatePair, Tickets, TlsError, TlsSettings, load};

/// Certificates in a directory of their own.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a certificate for these names, and its key.
    fn pair(&self, file: &str, names: &[&str]) -> CertificatePair {
        self.pair_of(file, names, &KeyPair::generate().unwrap())
    }

    fn pair_of(&self, file: &str, names: &[&str], key: &KeyPair) -> CertificatePair {
        CertificatePair {
            cert: self.write(&format!("{file}.crt"), &certificate(names, key)),
            key: self.write(&format!("{file}.key"), &key.serialize_pem()),
        }
    }
}

fn certificate(names: &[&str], key: &KeyPair) -> String {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let params = CertificateParams::new(names).unwrap();
    params.self_signed(key).unwrap().pem()
}

fn settings(certificates: Vec<CertificatePair>) -> TlsSettings {
    TlsSettings {
        certificates,
        h2: true,
        http1: true,
    }
}

fn server(certificates: Vec<CertificatePair>) -> Arc<ServerConfig> {
    load(&settings(certificates), &Tickets::new().unwrap()).unwrap()
}

fn refusal(certificates: Vec<CertificatePair>) -> TlsError {
    load(&settings(certificates), &Tickets::new().unwrap()).unwrap_err()
}

/// A client that takes any certificate: it is the server that is tested.
#[derive(Debug)]
struct TakeAny(Vec<SignatureScheme>);

impl ServerCertVerifier for TakeAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

fn client_with(
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
    schemes: &[SignatureScheme],
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakeAny(schemes.to_vec())))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(4);
    config
}

fn client(versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> ClientConfig {
    let schemes = aws_lc_rs::default_provider()
        .signature_verification_algorithms
        .supported_schemes();
    client_with(versions, alpn, &schemes)
}

/// Shakes hands until nobody has anything to say any more.
fn shake_hands(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut input = &bytes[..];
        while !input.is_empty() {
            server.read_tls(&mut input).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut input = &bytes[..];
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

/// The certificate that a client of this name gets, as the file of `candidates` that holds it.
#[track_caller]
fn check_choice(server: &Arc<ServerConfig>, name: &str, expected: &CertificatePair) {
    for version in [&TLS13, &TLS12] {
        let client = Arc::new(client(&[version], &[]));
        let (client, _) = shake_hands(&client, server, name).unwrap();
        assert_eq!(
            client.peer_certificates().unwrap()[0].as_ref(),
            der(&expected.cert),
            "{name}"
        );
    }
}

fn der(file: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(file).unwrap().to_vec()
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let files = Files::new();
    let default = files.pair("default", &["default.test"]);
    let exact = files.pair("exact", &["a.example.com", "Other.example.com"]);
    let wildcard = files.pair("wildcard", &["*.example.com"]);
    let server = server(vec![default.clone(), wildcard.clone(), exact.clone()]);

    check_choice(&server, "a.example.com", &exact);
    check_choice(&server, "A.Example.COM", &exact);
    check_choice(&server, "a.example.com.", &exact);
    check_choice(&server, "other.example.com", &exact);
    check_choice(&server, "b.example.com", &wildcard);
    // A wildcard stands for one label, no more and no less.
    check_choice(&server, "c.b.example.com", &default);
    check_choice(&server, "example.com", &default);
    check_choice(&server, "default.test", &default);
    check_choice(&server, "com", &default);
    // A client that connects to an address asks for no name.
    check_choice(&server, "192.0.2.1", &default);
}

#[test]
fn a_name_may_have_certificates_of_two_kinds_of_key() {
    let files = Files::new();
    let modern = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let modern = files.pair_of("modern", &["*.a.test"], &modern);
    let common = files.pair("common", &["*.a.test"]);
    let server = server(vec![modern.clone(), common.clone()]);
    check_choice(&server, "x.a.test", &modern);

    let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let client = Arc::new(client_with(&[&TLS13], &[], &schemes));
    for name in ["x.a.test", "unknown.test"] {
        let (client, _) = shake_hands(&client, &server, name).unwrap();
        let got = client.peer_certificates().unwrap()[0].to_vec();
        assert_eq!(got, der(&common.cert), "{name}");
    }
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let files = Files::new();
    let server = server(vec![files.pair("a", &["a.test"])]);
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let client = Arc::new(client(&[version], &[]));
        let (client, _) = shake_hands(&client, &server, "a.test").unwrap();
        assert_eq!(client.protocol_version(), Some(expected));
    }
}

#[test]
fn the_protocol_is_the_first_of_ours_that_the_client_has() {
    let files = Files::new();
    let pair = files.pair("a", &["a.test"]);
    let mut settings = settings(vec![pair]);
    let tickets = Tickets::new().unwrap();
    let negotiate = |settings: &TlsSettings, offered: &[&str]| {
        let server = load(settings, &tickets).unwrap();
        let client = Arc::new(client(&[&TLS12, &TLS13], offered));
        shake_hands(&client, &server, "a.test")
            .ok()
            .map(|(_, server)| server.alpn_protocol().map(<[u8]>::to_vec))
    };

    assert_eq!(
        negotiate(&settings, &["http/1.1", "h2"]),
        Some(Some(b"h2".to_vec()))
    );
    assert_eq!(
        negotiate(&settings, &["http/1.1"]),
        Some(Some(b"http/1.1".to_vec()))
    );
    assert_eq!(negotiate(&settings, &[]), Some(None));
    // RFC 7301, section 3.2: nothing in common is the end of the handshake.
    assert_eq!(negotiate(&settings, &["spdy/3"]), None);

    settings.h2 = false;
    assert_eq!(
        negotiate(&settings, &["h2", "http/1.1"]),
        Some(Some(b"http/1.1".to_vec()))
    );
}

#[test]
fn a_session_is_resumed_after_a_reload_with_a_new_certificate() {
    let files = Files::new();
    let tickets = Tickets::new().unwrap();
    for version in [&TLS12, &TLS13] {
        let before = load(&settings(vec![files.pair("a", &["a.test"])]), &tickets).unwrap();
        let after = load(&settings(vec![files.pair("a", &["a.test"])]), &tickets).unwrap();
        let client = Arc::new(client(&[version], &["h2"]));
        let kind = |server| {
            let (_, server) = shake_hands(&client, server, "a.test").unwrap();
            server.handshake_kind().unwrap()
        };
        assert_eq!(kind(&before), HandshakeKind::Full);
        assert_eq!(kind(&before), HandshakeKind::Resumed);
        assert_eq!(kind(&after), HandshakeKind::Resumed);
        // One ticket at a time is enough: each resumption brings the next.
        assert_eq!(kind(&after), HandshakeKind::Resumed);
    }
}

#[test]
fn a_listener_with_other_ticket_keys_does_not_resume() {
    let files = Files::new();
    let pair = files.pair("a", &["a.test"]);
    let client = Arc::new(client(&[&TLS13], &[]));
    for _ in 0..2 {
        let server = server(vec![pair.clone()]);
        let (_, server) = shake_hands(&client, &server, "a.test").unwrap();
        assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
    }
}

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
