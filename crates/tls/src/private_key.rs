//! Private keys in PEM, encrypted ones too.

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::SecretDocument;
use pkcs8::der::pem::PemLabel;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::client::TlsError;

/// Reads a private key, and opens it with `password` if it is encrypted.
///
/// # Errors
/// Where there is no key, where it is encrypted and there is no password or a wrong one, and where it is encrypted in a
/// way that cannot be opened: only PKCS#8 with PBES2 (`BEGIN ENCRYPTED PRIVATE KEY`) can.
pub(crate) fn read(pem: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::KeyFormat);
    }
    let Some(block) = encrypted_block(&text) else {
        return PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::Key);
    };
    let password = password.ok_or(TlsError::KeyLocked)?;
    let (_, document) = SecretDocument::from_pem(block).map_err(|_| TlsError::Key)?;
    let encrypted =
        EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| TlsError::KeyFormat)?;
    let key = encrypted.decrypt(password).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }) => {
            TlsError::KeyFormat
        }
        _ => TlsError::KeyPassword,
    })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// The encrypted key among what a file holds.
fn encrypted_block(text: &str) -> Option<&str> {
    let label = EncryptedPrivateKeyInfoRef::PEM_LABEL;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let start = text.find(&begin)?;
    let length = text[start..].find(&end)? + end.len();
    Some(&text[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl genpkey -algorithm ed25519 | openssl pkcs8 -topk8 -v2 aes256 -passout pass:sesame`
    const LOCKED: &str = include_str!("../tests/locked-key.pem");

    fn error(pem: &str, password: Option<&str>) -> String {
        read(pem.as_bytes(), password).unwrap_err().to_string()
    }

    #[test]
    fn an_encrypted_key_opens_with_its_password_alone() {
        let with_certificate = format!("a certificate may stand above\n{LOCKED}");
        assert!(read(with_certificate.as_bytes(), Some("sesame")).is_ok());
        assert_eq!(error(LOCKED, Some("barley")), "the password does not open the private key");
        assert_eq!(error(LOCKED, None), "the private key is encrypted, and there is no password");
    }

    #[test]
    fn what_cannot_be_opened_says_how_to_make_it_so() {
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert!(error(old, Some("x")).contains("openssl pkcs8 -topk8"), "{}", error(old, Some("x")));
        assert_eq!(error("nothing", None), "no private key in PEM format found");
    }
}
