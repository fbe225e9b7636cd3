use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// A certificate authority of a test's own, and what it has signed: a certificate for a server on `localhost` and
/// `127.0.0.1`, and one for a client.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's certificate, PEM: what clients are told to trust.
    pub ca: PathBuf,
    /// The server's certificate, PEM.
    pub certificate: PathBuf,
    /// The server's private key, PEM.
    pub key: PathBuf,
    /// A client's certificate for [`Certificates::CLIENT`], PEM.
    pub client: PathBuf,
    /// The client's private key, PEM.
    pub client_key: PathBuf,
    authority: Authority,
}

/// Whoever signs, with the key of the server.
#[derive(Clone)]
struct Authority(Arc<(Issuer<'static, KeyPair>, KeyPair)>);

impl fmt::Debug for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Authority")
    }
}

impl Authority {
    /// A certificate for the server, which is good until the beginning of this year.
    fn server(&self, until: i32) -> String {
        let (issuer, key) = &*self.0;
        let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])
            .expect("both names are valid");
        server.distinguished_name.push(DnType::CommonName, "localhost");
        server.not_after = rcgen::date_time_ymd(until, 1, 1);
        server.signed_by(key, issuer).expect("the CA signs the server").pem()
    }
}

impl Certificates {
    const GOOD_UNTIL: i32 = 4096;
    const EXPIRED_SINCE: i32 = 2001;

    /// The common name in the client's certificate.
    pub const CLIENT: &str = "plant-7";

    /// Writes new ones into `folder`.
    pub fn write(folder: &Path) -> Self {
        let authority_key = KeyPair::generate().expect("a key can be made");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "Sluicegate tests");
        let authority_certificate = authority.self_signed(&authority_key).expect("a CA signs itself");
        let issuer = Issuer::new(authority, authority_key);

        let client_key = KeyPair::generate().expect("a key can be made");
        let mut client = CertificateParams::default();
        client.distinguished_name.push(DnType::CommonName, Self::CLIENT);
        let client = client.signed_by(&client_key, &issuer).expect("the CA signs the client");

        let key = KeyPair::generate().expect("a key can be made");
        let key_pem = key.serialize_pem();
        let authority = Authority(Arc::new((issuer, key)));
        Self {
            ca: write(folder, "ca.pem", &authority_certificate.pem()),
            certificate: write(folder, "server.pem", &authority.server(Self::GOOD_UNTIL)),
            key: write(folder, "server.key", &key_pem),
            client: write(folder, "client.pem", &client.pem()),
            client_key: write(folder, "client.key", &client_key.serialize_pem()),
            authority,
        }
    }

    /// Puts a certificate in the server's place that has expired long ago. Whoever serves it reads it at its start.
    pub fn expire(&self) {
        self.replace(Self::EXPIRED_SINCE);
    }

    /// Puts one in the server's place that is good again.
    pub fn renew(&self) {
        self.replace(Self::GOOD_UNTIL);
    }

    fn replace(&self, until: i32) {
        let path = &self.certificate;
        std::fs::write(path, self.authority.server(until))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    path
}
