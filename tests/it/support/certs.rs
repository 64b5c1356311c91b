//! Certificates for the tests: an authority of their own, and clients that trust it.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::support::proxy;

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
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
    let key = KeyPair::generate().expect("a key");
    let der = params
        .self_signed(&key)
        .expect("a certificate")
        .der()
        .clone();
    Authority {
        issuer: Issuer::new(params, key),
        der,
    }
}

impl Authority {
    /// Makes a certificate for these names.
    pub(crate) fn pair(&self, names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts it and offers these protocols by ALPN.
    pub(crate) fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        self.client_of(ALL_VERSIONS, alpn)
    }

    /// A client that trusts it and speaks only these versions of TLS.
    pub(crate) fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Pair {
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
