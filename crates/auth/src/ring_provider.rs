//! The signatures of tokens, checked by `ring`, which TLS uses already.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::{hmac, signature};
use signature_traits::Verifier;

/// Makes `jsonwebtoken` use it, once and for the whole process.
pub(crate) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: no_signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    // Fails if it is there already, which is as well.
    let _ = PROVIDER.install_default();
}

/// Tokens are checked here and never made.
fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    // A public key must never be taken for a shared secret.
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> Result<(), signature_traits::Error> {
        let checked = match self.algorithm {
            Algorithm::HS256 => self.hmac(hmac::HMAC_SHA256, message, given),
            Algorithm::HS384 => self.hmac(hmac::HMAC_SHA384, message, given),
            Algorithm::HS512 => self.hmac(hmac::HMAC_SHA512, message, given),
            Algorithm::RS256 => self.rsa(&signature::RSA_PKCS1_2048_8192_SHA256, message, given),
            Algorithm::RS384 => self.rsa(&signature::RSA_PKCS1_2048_8192_SHA384, message, given),
            Algorithm::RS512 => self.rsa(&signature::RSA_PKCS1_2048_8192_SHA512, message, given),
            Algorithm::PS256 => self.rsa(&signature::RSA_PSS_2048_8192_SHA256, message, given),
            Algorithm::PS384 => self.rsa(&signature::RSA_PSS_2048_8192_SHA384, message, given),
            Algorithm::PS512 => self.rsa(&signature::RSA_PSS_2048_8192_SHA512, message, given),
            Algorithm::ES256 => self.raw(&signature::ECDSA_P256_SHA256_FIXED, message, given),
            Algorithm::ES384 => self.raw(&signature::ECDSA_P384_SHA384_FIXED, message, given),
            Algorithm::EdDSA => self.raw(&signature::ED25519, message, given),
            _ => None,
        };
        checked.ok_or_else(signature_traits::Error::new)
    }
}

impl RingVerifier {
    fn hmac(&self, algorithm: hmac::Algorithm, message: &[u8], given: &[u8]) -> Option<()> {
        let key = hmac::Key::new(algorithm, self.key.try_get_as_bytes().ok()?);
        hmac::verify(&key, message, given).ok()
    }

    fn rsa(&self, parameters: &'static signature::RsaParameters, message: &[u8], given: &[u8]) -> Option<()> {
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(_) => self.raw(parameters, message, given),
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                signature::RsaPublicKeyComponents { n, e }.verify(parameters, message, given).ok()
            }
        }
    }

    fn raw(
        &self,
        algorithm: &'static dyn signature::VerificationAlgorithm,
        message: &[u8],
        given: &[u8],
    ) -> Option<()> {
        let key = self.key.try_get_as_bytes().ok()?;
        signature::UnparsedPublicKey::new(algorithm, key).verify(message, given).ok()
    }
}
