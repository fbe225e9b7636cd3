//! TLS settings for connections that others open.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::client::{Identity, TlsError, add_pem_roots, certificates};
use crate::private_key;

/// Who we are, and what we ask of clients.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Our certificate and key.
    pub identity: Identity,
    /// Whether clients show a certificate.
    pub clients: ClientCertificates,
    /// Whether TLS 1.2 is spoken beside 1.3.
    pub tls12: bool,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone)]
pub enum ClientCertificates {
    /// They are not asked.
    NotAsked,
    /// They may; one that these authorities (PEM) do not vouch for ends the handshake.
    Optional(Vec<u8>),
    /// They must, and these authorities (PEM) vouch for it.
    Required(Vec<u8>),
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// What should be a certificate in PEM is not.
    #[error("there is no certificate in PEM format in it")]
    Certificate,
    /// What should be a private key in PEM is not, or cannot be opened.
    #[error("{0}")]
    Key(#[source] TlsError),
    /// What should be certificates of authorities in PEM is not, or holds none.
    #[error("there is no certificate in PEM format in it")]
    Authorities,
    /// The key is not that of the certificate, or neither can be used.
    #[error("the certificate and the key do not go together: {0}")]
    Mismatch(#[source] rustls::Error),
    /// They are readable and cannot be used.
    #[error("the authorities cannot be used: {0}")]
    Verifier(#[from] VerifierBuilderError),
    /// The versions do not go with the rest.
    #[error("{0}")]
    Versions(#[source] rustls::Error),
}

/// Makes a configuration of TLS 1.3, and 1.2 if asked for. Returns our own certificate beside it.
pub fn server_config(
    tls: &ServerTls,
) -> Result<(Arc<ServerConfig>, CertificateDer<'static>), ServerTlsError> {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    let versions = if tls.tls12 { &BOTH[..] } else { &BOTH[..1] };
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(ServerTlsError::Versions)?;
    let roots = |pem: &[u8]| {
        let mut roots = RootCertStore::empty();
        add_pem_roots(&mut roots, pem).map_err(|_| ServerTlsError::Authorities)?;
        Ok::<_, ServerTlsError>(Arc::new(roots))
    };
    let verifier = |pem: &[u8]| {
        Ok::<_, ServerTlsError>(WebPkiClientVerifier::builder_with_provider(roots(pem)?, provider))
    };
    let builder = match &tls.clients {
        ClientCertificates::NotAsked => builder.with_no_client_auth(),
        ClientCertificates::Optional(pem) => {
            builder.with_client_cert_verifier(verifier(pem)?.allow_unauthenticated().build()?)
        }
        ClientCertificates::Required(pem) => builder.with_client_cert_verifier(verifier(pem)?.build()?),
    };
    let chain = certificates(&tls.identity.certificates).ok_or(ServerTlsError::Certificate)?;
    let leaf = chain.first().cloned().ok_or(ServerTlsError::Certificate)?;
    let password = tls.identity.password.as_deref();
    let key = private_key::read(&tls.identity.key, password).map_err(ServerTlsError::Key)?;
    let config = builder.with_single_cert(chain, key).map_err(ServerTlsError::Mismatch)?;
    Ok((Arc::new(config), leaf))
}
