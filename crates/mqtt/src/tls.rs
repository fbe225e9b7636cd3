//! TLS settings for connections that we open.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Whom to trust, and who we are.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// Whom to trust.
    pub trust: Trust,
    /// Who we are, where the server asks.
    pub identity: Option<Identity>,
    /// Whether to tell the server which name is wanted.
    pub sni: bool,
}

/// Which servers a client trusts.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those that the certificates of the operating system vouch for.
    System,
    /// Those that these certificates vouch for (PEM).
    Pem(Vec<u8>),
    /// Any at all: encrypted, and open to whoever stands in between.
    Anyone,
}

/// A client certificate with its key. `Debug` does not show the key.
#[derive(Clone)]
pub struct Identity {
    /// The certificate and those between it and the root (PEM).
    pub certificates: Vec<u8>,
    /// The private key (PEM).
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The operating system has no certificates, or none that can be read.
    #[error("no certificate of the operating system can be read")]
    System(#[source] Option<rustls_native_certs::Error>),
    /// What should be certificates in PEM is not, or holds none.
    #[error("no certificate in PEM format found in the CA certificates")]
    Authorities,
    /// What should be a client certificate in PEM is not.
    #[error("no certificate in PEM format found in the client certificate")]
    Certificate,
    /// What should be a private key in PEM is not.
    #[error("no private key in PEM format found in the client key")]
    Key,
    /// They are readable and do not go together.
    #[error("the TLS settings do not fit together: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Makes a configuration of TLS 1.2 and 1.3. Reads the certificates of the operating system where they are trusted:
/// call it once for all connections of a connector, off the runtime's threads if that matters.
pub fn client_config(tls: &ClientTls) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &tls.trust {
        Trust::System => builder.with_root_certificates(system_roots()?),
        Trust::Pem(pem) => builder.with_root_certificates(pem_roots(pem)?),
        Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
    };
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.certificates).ok_or(TlsError::Certificate)?;
            let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|_| TlsError::Key)?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.enable_sni = tls.sni;
    Ok(Arc::new(config))
}

/// The name that a certificate must be for: a host name or an IP address.
pub fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 { Err(TlsError::System(found.errors.pop())) } else { Ok(roots) }
}

fn pem_roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(pem).ok_or(TlsError::Authorities)?);
    if added == 0 { Err(TlsError::Authorities) } else { Ok(roots) }
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    Some(found).filter(|found| !found.is_empty())
}

/// Trusts whoever answers, but still checks that the handshake was signed with the key that the certificate names.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
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
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
