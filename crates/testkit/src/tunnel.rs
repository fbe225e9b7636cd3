use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificates::Certificates;

/// How to be a TLS client of a server whose certificate the authority in `ca` (PEM) vouches for.
pub fn tls_client_config(ca: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that ring has")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// An address on this machine from which every connection goes on to `to` in TLS, which is checked against the authority
/// in `ca` (PEM): for clients that speak no TLS themselves. It stays as long as the runtime does.
pub async fn tls_tunnel(to: SocketAddr, ca: &Path) -> SocketAddr {
    let connector = TlsConnector::from(Arc::new(tls_client_config(ca)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            let connector = connector.clone();
            tokio::spawn(async move {
                let tcp = TcpStream::connect(to).await.expect("somebody listens");
                let name = ServerName::IpAddress(to.ip().into());
                let mut tls = connector.connect(name, tcp).await.expect("the handshake succeeds");
                // However it ends, it is over.
                let _ = tokio::io::copy_bidirectional(&mut plain, &mut tls).await;
            });
        }
    });
    address
}

/// An address on this machine that ends TLS and leads on to `to` in the clear, as what stands in front of a web server does.
/// It stays as long as the runtime does.
pub async fn tls_front(to: SocketAddr, certificates: &Certificates) -> SocketAddr {
    let chain = CertificateDer::from_pem_file(&certificates.certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&certificates.key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that ring has")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us goes.
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                let mut plain = TcpStream::connect(to).await.expect("somebody listens");
                let _ = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
            });
        }
    });
    address
}
