//! Certificates for the tests: an authority of their own, and clients that trust it.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{
    ALL_VERSIONS, ClientConfig, ConfigBuilder, RootCertStore, ServerConfig,
    SupportedProtocolVersion,
};

use crate::support::proxy;

/// A certificate authority.
#[derive(Clone)]
pub(crate) struct Authority {
    issuer: Arc<Issuer<'static, KeyPair>>,
    /// Its own certificate in PEM.
    pub(crate) pem: String,
    der: CertificateDer<'static>,
}

/// A certificate with its key, in PEM.
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) cert: String,
    /// The key.
    pub(crate) key: String,
}

/// Makes an authority.
pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate for its own issuer when both have one name.
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "authority of the tests");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    Authority {
        issuer: Arc::new(Issuer::new(params, key)),
        pem: certificate.pem(),
        der: certificate.der().clone(),
    }
}

impl Authority {
    /// Makes a certificate for these names.
    pub(crate) fn pair(&self, names: &[&str]) -> Pair {
        self.pair_with(names, |_| {})
    }

    /// Makes a certificate for these names that `change` has changed.
    pub(crate) fn pair_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    /// The roots of who trusts it.
    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        Arc::new(roots)
    }

    /// Looks at the certificates of clients: they must be from here.
    pub(crate) fn asking(&self) -> Arc<dyn ClientCertVerifier> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiClientVerifier::builder_with_provider(self.roots(), provider)
            .build()
            .expect("an authority")
    }

    /// A client that trusts it and offers these protocols by ALPN.
    pub(crate) fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        self.client_of(ALL_VERSIONS, alpn)
    }

    /// A client that trusts it and shows this certificate.
    pub(crate) fn client_as(&self, pair: &Pair, alpn: &[&str]) -> Arc<ClientConfig> {
        let (chain, key) = pair.parts();
        let mut config = self
            .trusting(ALL_VERSIONS)
            .with_client_auth_cert(chain, key)
            .expect("a certificate");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client that trusts it and has only these groups for the key exchange.
    pub(crate) fn client_with_groups(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        groups: &[&'static dyn SupportedKxGroup],
    ) -> Arc<ClientConfig> {
        let provider = with_groups(groups);
        let config = self.trusting_with(provider, versions);
        Arc::new(config.with_no_client_auth())
    }

    fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        self.trusting_with(aws_lc_rs::default_provider(), versions)
    }

    fn trusting_with(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(self.roots())
    }

    /// A client that trusts it and speaks only these versions of TLS.
    pub(crate) fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let mut config = self.trusting(versions).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// The library with only these groups for the key exchange.
fn with_groups(groups: &[&'static dyn SupportedKxGroup]) -> CryptoProvider {
    CryptoProvider {
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    }
}

impl Pair {
    /// A server with this certificate that offers these protocols by ALPN.
    pub(crate) fn server(&self, alpn: &[&str]) -> ServerConfig {
        self.server_with(ALL_VERSIONS, alpn, WebPkiClientVerifier::no_client_auth())
    }

    /// A server that speaks only these versions of TLS, and looks at its clients, too.
    pub(crate) fn server_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> ServerConfig {
        self.server_of(aws_lc_rs::default_provider(), versions, alpn, clients)
    }

    /// A server that has only these groups for the key exchange.
    pub(crate) fn server_with_groups(
        &self,
        groups: &[&'static dyn SupportedKxGroup],
    ) -> ServerConfig {
        let anybody = WebPkiClientVerifier::no_client_auth();
        self.server_of(with_groups(groups), ALL_VERSIONS, &["http/1.1"], anybody)
    }

    fn server_of(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> ServerConfig {
        let (chain, key) = self.parts();
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .expect("a certificate");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// The certificates and the key.
    pub(crate) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_slice_iter(self.cert.as_bytes());
        let chain = chain.collect::<Result<_, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key");
        (chain, key)
    }

    /// Writes `name.crt` and `name.key` to a directory, replacing what was there.
    pub(crate) fn write(&self, dir: &Path, name: &str) {
        proxy::replace(&dir.join(format!("{name}.crt")), &self.cert);
        proxy::replace(&dir.join(format!("{name}.key")), &self.key);
    }
}

/// The keys of a listener with TLS and these certificates.
pub(crate) fn listener_keys(names: &[&str]) -> String {
    let pairs: Vec<String> = names
        .iter()
        .map(|name| format!("{{ cert = \"{name}.crt\", key = \"{name}.key\" }}"))
        .collect();
    format!("tls = {{ certificates = [{}] }}", pairs.join(", "))
}
