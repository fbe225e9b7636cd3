//! TLS settings for connections that we open.

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedCipherSuite,
    SupportedProtocolVersion,
};

use crate::private_key;

/// Whom to trust, and who we are.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// Whom to trust.
    pub trust: Trust,
    /// Who we are, where the server asks.
    pub identity: Option<Identity>,
    /// Whether to tell the server which name is wanted.
    pub sni: bool,
    /// How many certificates may stand between the server's and the one we trust.
    pub depth: usize,
    /// The versions to offer; 1.3 and 1.2 where there is none.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// The cipher suites to offer, the best first; all that are safe where there is none.
    pub ciphers: Vec<SupportedCipherSuite>,
}

impl ClientTls {
    /// How many certificates may stand in between, unless somebody says otherwise.
    pub const DEPTH: usize = 10;

    /// One that trusts these and leaves everything else as it is best.
    pub fn new(trust: Trust) -> Self {
        let (versions, ciphers) = (Vec::new(), Vec::new());
        Self { trust, identity: None, sni: true, depth: Self::DEPTH, versions, ciphers }
    }
}

/// Which servers a client trusts.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those that the certificates of the operating system vouch for.
    System,
    /// Those that these certificates vouch for (PEM).
    Pem(Vec<u8>),
    /// Those that either vouches for.
    SystemAndPem(Vec<u8>),
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
    /// What opens the key if it is encrypted.
    pub password: Option<String>,
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
    #[error("no private key in PEM format found")]
    Key,
    /// The private key is encrypted, and nothing was given to open it.
    #[error("the private key is encrypted, and there is no password")]
    KeyLocked,
    /// The private key is encrypted with another password.
    #[error("the password does not open the private key")]
    KeyPassword,
    /// The private key is encrypted in an old way.
    #[error(
        "the private key is encrypted in a way that is not supported: `openssl pkcs8 -topk8 -v2 aes256` makes one that is"
    )]
    KeyFormat,
    /// They are readable and do not go together.
    #[error("the TLS settings do not fit together: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Makes a configuration of TLS 1.2 and 1.3. Reads the certificates of the operating system where they are trusted:
/// call it once for all connections of a connector, off the runtime's threads if that matters.
pub fn client_config(tls: &ClientTls) -> Result<Arc<ClientConfig>, TlsError> {
    let mut provider = ring::default_provider();
    if !tls.ciphers.is_empty() {
        provider.cipher_suites.clone_from(&tls.ciphers);
    }
    let provider = Arc::new(provider);
    let versions = if tls.versions.is_empty() { rustls::DEFAULT_VERSIONS } else { &tls.versions };
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
    let verifier: Arc<dyn ServerCertVerifier> = match roots(&tls.trust)? {
        None => Arc::new(Verifier::anyone(provider)),
        Some(roots) => Arc::new(Verifier::trusting(roots, provider, tls.depth)?),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.certificates).ok_or(TlsError::Certificate)?;
            let key = private_key::read(&identity.key, identity.password.as_deref())?;
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

/// Those whose certificates are trusted, for a client that sets up rustls by itself; none for [`Trust::Anyone`].
pub fn authorities(trust: &Trust) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut found = Vec::new();
    if matches!(trust, Trust::System | Trust::SystemAndPem(_)) {
        let mut system = rustls_native_certs::load_native_certs();
        if system.certs.is_empty() {
            return Err(TlsError::System(system.errors.pop()));
        }
        found.append(&mut system.certs);
    }
    if let Trust::Pem(pem) | Trust::SystemAndPem(pem) = trust {
        found.extend(certificates(pem).ok_or(TlsError::Authorities)?);
    }
    Ok(found)
}

/// The cryptography that everything here uses.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Whom to trust; `None` for anyone.
fn roots(trust: &Trust) -> Result<Option<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Anyone => return Ok(None),
        Trust::System => add_system_roots(&mut roots)?,
        Trust::Pem(pem) => add_pem_roots(&mut roots, pem)?,
        Trust::SystemAndPem(pem) => {
            add_system_roots(&mut roots)?;
            add_pem_roots(&mut roots, pem)?;
        }
    }
    Ok(Some(roots))
}

fn add_system_roots(roots: &mut RootCertStore) -> Result<(), TlsError> {
    let mut found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 { Err(TlsError::System(found.errors.pop())) } else { Ok(()) }
}

pub(crate) fn add_pem_roots(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsError> {
    let (added, _) = roots.add_parsable_certificates(certificates(pem).ok_or(TlsError::Authorities)?);
    if added == 0 { Err(TlsError::Authorities) } else { Ok(()) }
}

pub(crate) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    Some(found).filter(|found| !found.is_empty())
}

/// Whether the server is the one that is meant. Whomever it trusts, the handshake must be signed with the key that the
/// certificate names.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Whom to trust; `None` for whoever answers.
    trusted: Option<Trusted>,
}

/// The verifier of rustls, with a bound on the length of the chain.
#[derive(Debug)]
struct Trusted {
    inner: Arc<WebPkiServerVerifier>,
    depth: usize,
}

impl Verifier {
    fn anyone(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, trusted: None }
    }

    fn trusting(roots: RootCertStore, provider: Arc<CryptoProvider>, depth: usize) -> Result<Self, TlsError> {
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let inner = inner.map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self { provider, trusted: Some(Trusted { inner, depth }) })
    }
}

impl Trusted {
    fn verify(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // A path through no more than these has no more than these in it.
        let near = &between[..between.len().min(self.depth)];
        let verified = self.inner.verify_server_cert(end, near, name, ocsp, now);
        if verified.is_ok() || near.len() == between.len() {
            return verified;
        }
        self.inner.verify_server_cert(end, between, name, ocsp, now)?;
        let message =
            format!("more than {} certificates stand between the server's and a trusted one", self.depth);
        Err(rustls::Error::General(message))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.trusted {
            Some(trusted) => trusted.verify(end, between, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
