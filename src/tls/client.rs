//! TLS towards upstreams: whom we trust, who we say we are, and the handshake.
//!
//! A [`Connector`] is made of files when a configuration is loaded and kept while neither they nor
//! its settings change. Whoever does not have the certificate that was asked for gets not a byte
//! but those of the handshake.

#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::Stream;
use crate::tls::authority::{authorities, system_authorities};
use crate::tls::certificate::{Certificate, CertificatePair, read_file};
use crate::tls::error::TlsError;
use crate::tls::summary::Summary;
use crate::tls::terms::Terms;

/// Whether the certificate of an endpoint is looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Verify {
    /// It is from an authority that is trusted, for the right name, and in its time.
    #[default]
    Full,
    /// Whoever answers is taken for the endpoint.
    Off,
}

/// What TLS with the endpoints of an upstream is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientSettings {
    /// The file of the authorities that are trusted; `None` are those of the system.
    pub ca: Option<PathBuf>,
    /// The name that is asked for and that the certificate must have; `None` is each endpoint's own.
    pub name: Option<ServerName<'static>>,
    /// What we show when we are asked who we are.
    pub certificate: Option<CertificatePair>,
    /// Whether the endpoint's certificate is looked at.
    pub verify: Verify,
    /// What may be agreed on.
    pub terms: Terms,
    /// The protocols that are offered by ALPN (RFC 7301), the preferred one first.
    pub alpn: &'static [&'static str],
}

/// What handshakes with the endpoints of an upstream obey.
#[derive(Debug)]
pub struct Connector {
    settings: ClientSettings,
    /// The SHA-256 over the files.
    contents: [u8; 32],
    config: Arc<ClientConfig>,
    /// What we show, in a few words.
    certificate: Option<Summary>,
}

impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.contents == other.contents
    }
}

impl Eq for Connector {}

impl Connector {
    /// Reads the files that `settings` name. The connector of before is kept when it is the same:
    /// its endpoints, their connections and sessions are, too, and the authorities of the system
    /// are not read again.
    ///
    /// # Errors
    /// When a file cannot be read or used; the first such problem is told.
    pub fn load(
        settings: ClientSettings,
        before: Option<&Arc<Connector>>,
    ) -> Result<Arc<Self>, TlsError> {
        let contents = contents(&settings)?;
        if let Some(before) = before
            && before.settings == settings
            && before.contents == contents
        {
            return Ok(Arc::clone(before));
        }
        let provider = Arc::new(settings.terms.provider());
        let verifier: Arc<dyn ServerCertVerifier> = match settings.verify {
            Verify::Off => Arc::new(Anybody(Arc::clone(&provider))),
            Verify::Full => {
                let roots = Arc::new(match &settings.ca {
                    Some(file) => authorities(file)?,
                    None => system_authorities()?,
                });
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(TlsError::NoAuthority)?
            }
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&settings.terms.versions())
            .map_err(TlsError::Crypto)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let (mut config, certificate) = match &settings.certificate {
            None => (builder.with_no_client_auth(), None),
            Some(pair) => {
                let Certificate { chain, summary, .. } = Certificate::read(pair, &provider)?;
                let only = SingleCertAndKey::from(Arc::unwrap_or_clone(chain));
                let config = builder.with_client_cert_resolver(Arc::new(only));
                (config, Some(summary))
            }
        };
        config.alpn_protocols = settings
            .alpn
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Ok(Arc::new(Self {
            settings,
            contents,
            config: Arc::new(config),
            certificate,
        }))
    }

    /// The certificate that endpoints are shown when they ask for one.
    pub fn certificate(&self) -> Option<&Summary> {
        self.certificate.as_ref()
    }

    /// What handshakes with one endpoint need, which has this host name, if any, and this address.
    pub fn towards(&self, host: Option<&str>, ip: IpAddr) -> Secured {
        let own = || {
            let host = host.and_then(|host| ServerName::try_from(host.to_owned()).ok());
            host.unwrap_or(ServerName::IpAddress(ip.into()))
        };
        Secured {
            config: Arc::clone(&self.config),
            name: self.settings.name.clone().unwrap_or_else(own),
        }
    }
}

/// What handshakes with one endpoint need.
#[derive(Clone, Debug)]
pub struct Secured {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Secured {
    /// Does the client's side of a TLS handshake. An address is never sent as a name (RFC 6066,
    /// section 3), but the certificate must have it all the same.
    ///
    /// # Errors
    /// When the endpoint is not who it should be, or does not speak TLS as we do.
    pub async fn handshake(&self, tcp: TcpStream) -> io::Result<Stream> {
        let stream = self.connect(tcp).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }

    /// The same, for one that may go from thread to thread.
    ///
    /// # Errors
    /// Likewise.
    pub async fn connect(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(self.name.clone(), tcp).await
    }
}

/// The SHA-256 over the files of the settings.
fn contents(settings: &ClientSettings) -> Result<[u8; 32], TlsError> {
    let mut hash = Sha256::new();
    let pair = settings.certificate.iter();
    let pair = pair.flat_map(|pair| [&pair.cert, &pair.key]);
    for file in settings.ca.iter().chain(pair) {
        hash.update(Sha256::digest(read_file(file)?));
    }
    Ok(hash.finalize().into())
}

/// Takes whoever answers, if only the handshake is sound.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.0.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
