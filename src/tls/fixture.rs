//! The vocabulary of tests with TLS: certificate files, a client, a handshake in memory.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};
use tempfile::TempDir;

use crate::tls::{Acceptor, CertificatePair, ServerSettings, Terms, Tickets, TlsError};

/// Certificates in a directory of their own.
pub(crate) struct Files {
    pub(crate) directory: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a certificate for these names, and its key.
    pub(crate) fn pair(&self, file: &str, names: &[&str]) -> CertificatePair {
        self.pair_of(file, names, &KeyPair::generate().unwrap())
    }

    pub(crate) fn pair_of(&self, file: &str, names: &[&str], key: &KeyPair) -> CertificatePair {
        write_pair_of(self.directory.path(), file, names, key)
    }
}

/// Writes a certificate for these names, and its key, to a folder.
pub(crate) fn write_pair(folder: &Path, file: &str, names: &[&str]) -> CertificatePair {
    write_pair_of(folder, file, names, &KeyPair::generate().unwrap())
}

/// Writes a certificate for these names and this key likewise.
pub(crate) fn write_pair_of(
    folder: &Path,
    file: &str,
    names: &[&str],
    key: &KeyPair,
) -> CertificatePair {
    let pair = CertificatePair {
        cert: folder.join(format!("{file}.crt")),
        key: folder.join(format!("{file}.key")),
    };
    std::fs::write(&pair.cert, certificate(names, key)).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    let only_ours = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&pair.key, only_ours).unwrap();
    pair
}

fn certificate(names: &[&str], key: &KeyPair) -> String {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let params = CertificateParams::new(names).unwrap();
    params.self_signed(key).unwrap().pem()
}

pub(crate) fn settings(certificates: Vec<CertificatePair>) -> ServerSettings {
    ServerSettings {
        certificates,
        h2: true,
        http1: true,
        clients: None,
        terms: Terms::default(),
    }
}

pub(crate) fn server(certificates: Vec<CertificatePair>) -> Arc<Acceptor> {
    Acceptor::load(&settings(certificates), &Tickets::new().unwrap()).unwrap()
}

pub(crate) fn refusal(certificates: Vec<CertificatePair>) -> TlsError {
    Acceptor::load(&settings(certificates), &Tickets::new().unwrap()).unwrap_err()
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

pub(crate) fn client_with(
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
    schemes: &[SignatureScheme],
) -> ClientConfig {
    let provider = aws_lc_rs::default_provider();
    let mut config = taking_any(provider, versions, schemes);
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(4);
    config
}

/// A client of this library.
pub(crate) fn client_of(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let algorithms = provider.signature_verification_algorithms;
    taking_any(provider, versions, &algorithms.supported_schemes())
}

fn taking_any(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    schemes: &[SignatureScheme],
) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakeAny(schemes.to_vec())))
        .with_no_client_auth()
}

pub(crate) fn client(
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> ClientConfig {
    let schemes = aws_lc_rs::default_provider()
        .signature_verification_algorithms
        .supported_schemes();
    client_with(versions, alpn, &schemes)
}

/// Shakes hands until nobody has anything to say any more.
pub(crate) fn shake_hands(
    client: &Arc<ClientConfig>,
    server: &Arc<Acceptor>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(&server.config)).unwrap();
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
pub(crate) fn check_choice(server: &Arc<Acceptor>, name: &str, expected: &CertificatePair) {
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

pub(crate) fn der(file: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(file).unwrap().to_vec()
}
