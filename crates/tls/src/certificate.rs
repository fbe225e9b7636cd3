//! What a certificate says of itself.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Which name in a client's certificate says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerName {
    /// The Common Name of its subject.
    CommonName,
    /// Its whole subject, as in `CN=plant-7,O=Example`.
    Subject,
    /// Its first Subject Alternative Name that is a DNS name, an e-mail address or a URI.
    AlternativeName,
}

impl PeerName {
    /// The name in a certificate; `None` if it has none of this sort, or cannot be read.
    pub fn of(self, certificate: &CertificateDer<'_>) -> Option<String> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let name = match self {
            PeerName::CommonName => parsed
                .subject()
                .iter_common_name()
                .next()
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            PeerName::Subject => Some(parsed.subject().to_string()),
            PeerName::AlternativeName => alternative_name(&parsed),
        };
        name.filter(|name| !name.is_empty())
    }
}

fn alternative_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        _ => None,
    })
}

/// When a certificate expires (seconds since 1970 UTC); `None` if it cannot be read.
pub fn expires_at(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// The first end among the certificates of a PEM file (seconds since 1970 UTC); `None` where it has none that can be read.
pub fn earliest_end(pem: &[u8]) -> Option<i64> {
    CertificateDer::pem_slice_iter(pem).filter_map(|found| expires_at(&found.ok()?)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    #[test]
    fn names_and_expiry_are_read() {
        let mut params = CertificateParams::new(["plant7.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "plant-7");
        params.not_after = date_time_ymd(2030, 1, 2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert_eq!(PeerName::CommonName.of(der).as_deref(), Some("plant-7"));
        assert_eq!(PeerName::Subject.of(der).as_deref(), Some("CN=plant-7"));
        assert_eq!(PeerName::AlternativeName.of(der).as_deref(), Some("plant7.example"));
        assert_eq!(expires_at(der), Some(1_893_542_400));
        assert_eq!(expires_at(&CertificateDer::from(vec![0x30, 1])), None);
        params.not_after = date_time_ymd(2031, 1, 2);
        let later = params.self_signed(&key).unwrap();
        assert_eq!(earliest_end((later.pem() + &certificate.pem()).as_bytes()), Some(1_893_542_400));
        assert_eq!(earliest_end(b"no certificate"), None);
    }
}
