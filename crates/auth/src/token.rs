use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker::ReasonCode;
use config::mqtt_config::{JwtConfig, JwtKey};
use config::secret::SecretError;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::ring_provider;

/// Tokens as a configuration takes them, with the keys that sign them.
pub struct Tokens {
    keys: Vec<TokenKey>,
    algorithms: Vec<Algorithm>,
    pub(crate) in_username: bool,
    username_claim: Option<String>,
    claims: Vec<(String, String)>,
    leeway: Duration,
}

struct TokenKey {
    /// Its id in a set of keys.
    id: Option<String>,
    key: DecodingKey,
}

/// Why the keys of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The secret cannot be read.
    #[error("the secret of `[mqtt.jwt]`: {0}")]
    Secret(#[from] SecretError),
    /// A file cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is no public key.
    #[error("there is no public key of RSA, an elliptic curve or Ed25519 in PEM format in it")]
    PublicKey,
    /// It is no set of keys.
    #[error("it is no JSON Web Key Set: {0}")]
    Jwks(#[from] serde_json::Error),
    /// No key of the set can be used.
    #[error("no key in it can check a signature")]
    NoKey,
    /// There is no such algorithm, or none that goes with the keys.
    #[error("`{0}` in `mqtt.jwt.algorithms` is no algorithm that goes with the key")]
    Algorithm(String),
    /// An empty secret would let everybody in.
    #[error("the secret of `[mqtt.jwt]` is empty")]
    EmptySecret,
}

/// What a token that is valid says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The user, where the configuration takes it from the token.
    pub(crate) username: Option<String>,
    /// When it is no longer valid.
    pub(crate) expires_at: Option<SystemTime>,
}

/// Every algorithm that can be checked.
const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

impl Tokens {
    /// Reads the keys.
    pub fn open(config: &JwtConfig) -> Result<Self, TokenKeyError> {
        ring_provider::install();
        let keys = match &config.key {
            JwtKey::Secret(origin) => {
                let secret = origin.read()?;
                if secret.reveal().is_empty() {
                    return Err(TokenKeyError::EmptySecret);
                }
                vec![TokenKey { id: None, key: DecodingKey::from_secret(secret.reveal().as_bytes()) }]
            }
            JwtKey::PublicKey(path) => vec![TokenKey { id: None, key: public_key(path)? }],
            JwtKey::Jwks(path) => key_set(path)?,
        };
        let fits = |algorithm: Algorithm| keys.iter().any(|key| key.key.family() == algorithm.family());
        let algorithm = |name: &String| {
            let known = ALGORITHMS.iter().find(|(known, _)| known == name).map(|(_, algorithm)| *algorithm);
            known.filter(|algorithm| fits(*algorithm)).ok_or_else(|| TokenKeyError::Algorithm(name.clone()))
        };
        let algorithms = match &config.algorithms[..] {
            [] => ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).filter(|it| fits(*it)).collect(),
            named => named.iter().map(algorithm).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            keys,
            algorithms,
            in_username: config.in_username,
            username_claim: config.username_claim.clone(),
            claims: config.claims.clone(),
            leeway: config.leeway,
        })
    }

    /// Whether `text` looks like a token at all, valid or not: three parts, and a header that says how it is signed.
    pub(crate) fn is_token(text: &str) -> bool {
        text.split('.').count() == 3 && decode_header(text).is_ok()
    }

    /// Checks a token for one client.
    pub(crate) fn check(
        &self,
        token: &str,
        clientid: &str,
        username: Option<&str>,
        now: SystemTime,
    ) -> Result<Token, ReasonCode> {
        let refused = ReasonCode::BadUserNameOrPassword;
        let header = decode_header(token).map_err(|_| refused)?;
        if !self.algorithms.contains(&header.alg) {
            tracing::debug!(clientid, algorithm = ?header.alg, "token refused: its algorithm is not taken");
            return Err(refused);
        }
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        validation.validate_nbf = true;
        // The audience is one of the claims that the configuration may ask for.
        validation.validate_aud = false;
        validation.leeway = self.leeway.as_secs();
        let candidates =
            self.keys.iter().filter(|key| key.key.family() == header.alg.family()).filter(|key| {
                match (&key.id, &header.kid) {
                    (Some(id), Some(wanted)) => id == wanted,
                    (_, None) | (None, _) => true,
                }
            });
        let mut why = "no key goes with it".to_owned();
        for key in candidates {
            match decode::<Map<String, Value>>(token, &key.key, &validation) {
                Ok(data) => return self.judge(&data.claims, clientid, username, now).ok_or(refused),
                Err(error) => why = error.to_string(),
            }
        }
        tracing::debug!(clientid, "token refused: {why}");
        Err(refused)
    }

    /// Looks at the claims of a token whose signature and times are right.
    fn judge(
        &self,
        claims: &Map<String, Value>,
        clientid: &str,
        username: Option<&str>,
        now: SystemTime,
    ) -> Option<Token> {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let issued = claims.get("iat").and_then(Value::as_f64);
        if issued.is_some_and(|at| at > (since_epoch + self.leeway).as_secs_f64()) {
            tracing::debug!(clientid, "token refused: it was issued in the future");
            return None;
        }
        for (name, template) in &self.claims {
            let wanted = expected(template, clientid, username)?;
            if !claims.get(name).is_some_and(|claim| says(claim, &wanted)) {
                tracing::debug!(clientid, claim = name, "token refused: a claim is not what it must be");
                return None;
            }
        }
        let username = match &self.username_claim {
            None => None,
            Some(name) => {
                let claim = claims.get(name).and_then(Value::as_str).filter(|name| !name.is_empty());
                Some(claim?.to_owned())
            }
        };
        let expires_at = claims.get("exp").and_then(Value::as_f64).and_then(|at| {
            let valid_to = Duration::try_from_secs_f64(at).ok()?.checked_add(self.leeway)?;
            UNIX_EPOCH.checked_add(valid_to)
        });
        Some(Token { username, expires_at })
    }
}

/// What a claim must be for this client; `None` where it names a user and there is none.
fn expected(template: &str, clientid: &str, username: Option<&str>) -> Option<String> {
    let names_user = template.contains("${username}") || template.contains("%u");
    if names_user && username.is_none() {
        return None;
    }
    // One pass each, and what was put in is not looked at again.
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['$', '%']) {
        text.push_str(&rest[..at]);
        let after = &rest[at..];
        let found = [
            ("${clientid}", clientid),
            ("%c", clientid),
            ("${username}", username.unwrap_or_default()),
            ("%u", username.unwrap_or_default()),
        ]
        .into_iter()
        .find(|(name, _)| after.starts_with(name));
        match found {
            Some((name, value)) => {
                text.push_str(value);
                rest = &after[name.len()..];
            }
            None => {
                text.push_str(&after[..1]);
                rest = &after[1..];
            }
        }
    }
    text.push_str(rest);
    Some(text)
}

/// Whether a claim is `wanted`, or a list that has it.
fn says(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(text) => text == wanted,
        Value::Number(number) => number.to_string() == wanted,
        Value::Bool(b) => b.to_string() == wanted,
        Value::Array(items) => items.iter().any(|item| !item.is_array() && says(item, wanted)),
        Value::Null | Value::Object(_) => false,
    }
}

fn public_key(path: &Path) -> Result<DecodingKey, TokenKeyError> {
    let pem = fs::read(path)?;
    DecodingKey::from_rsa_pem(&pem)
        .or_else(|_| DecodingKey::from_ec_pem(&pem))
        .or_else(|_| DecodingKey::from_ed_pem(&pem))
        .map_err(|_| TokenKeyError::PublicKey)
}

fn key_set(path: &PathBuf) -> Result<Vec<TokenKey>, TokenKeyError> {
    let set: JwkSet = serde_json::from_slice(&fs::read(path)?)?;
    let usable = |key: &DecodingKey| {
        // An empty shared secret would let everybody in.
        key.family() != AlgorithmFamily::Hmac || key.try_get_as_bytes().is_ok_and(|secret| !secret.is_empty())
    };
    let keys: Vec<TokenKey> = set
        .keys
        .iter()
        .filter_map(|jwk| {
            Some(TokenKey { id: jwk.common.key_id.clone(), key: DecodingKey::from_jwk(jwk).ok()? })
        })
        .filter(|key| usable(&key.key))
        .collect();
    if keys.is_empty() { Err(TokenKeyError::NoKey) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    use config::secret::SecretOrigin;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    /// Made for this test with `openssl genrsa` and `openssl dgst -sha256 -sign`; the private key is gone.
    const RSA_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtSrLQ+bkPYbqfMD/vUbg\n\
        ke5UNlY8ryWTA4PC+NurMLKlWTf4+cL/8o1MapyZuyBzff0bWa9R/DArfMwvPSEN\n\
        1cuQvzAodO5sO/u7dHJWwNMB1y3Cmqm50N+r30KHUh01nHfe/82UOm5ggdYd/Q4T\n\
        ETcKkVkj4A992he0De0i583/tFNOVEJfB9JdcVi3Ijtzhr/7ztlbrmTHDPBE02Jq\n\
        Ceiah5kGiB5AsQExgosOQyuyYdsrITt1D/bxthfj2w4cOHxXOVJW9caHbyb5Yh37\n\
        JoMzJQIwsezmy4jZo+lqHY5utC/1wj2HrYGny9Iiqi8Go5GuUUeNaj+q9UZSfN42\n\
        wQIDAQAB\n\
        -----END PUBLIC KEY-----\n";
    const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJwbGFudC03In0.e_203ZynitnvscmhmFvAkWg6b7Wzg9elY_Nz4f0zlz74IF8CI_ZOW4QibIzy6ISvBCfhVCcr62KZSpool20lDc7yKvzTIT2ZXvRnBvuOSh75m5jRNdvhE_OCoMmtcJQr8t59tNYysiFP4vyKKgwtNUiGAIdasL6GRi9SKV1I87CEuYo4ScdHLuWIDc2PzCOc0L-RSJE5us9JXvHV6QMqdA8SRLsy0rUIvfgNCmj9RwjlnTf7tSjt9GRTEFWnnaJJyRoqam0OSiua0K2mFqIG3mZ0qxXLLTDeYDlGPvK4_KjSkKg_4xegZa4wXyT1AB2NEOOmAz5ky_QmJGLEgTYWWA";
    const NOW: u64 = 1_800_000_000;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn config(key: JwtKey) -> JwtConfig {
        JwtConfig {
            key,
            algorithms: Vec::new(),
            in_username: false,
            username_claim: None,
            claims: Vec::new(),
            leeway: Duration::ZERO,
        }
    }

    fn secret() -> JwtConfig {
        config(JwtKey::Secret(SecretOrigin::Plain("hush".to_owned())))
    }

    fn unsigned(algorithm: &str, claims: &Value) -> String {
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": "k1" });
        format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
    }

    fn signed(claims: &Value) -> String {
        let message = unsigned("HS256", claims);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"hush");
        let signature = ring::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", BASE64.encode(signature.as_ref()))
    }

    fn check(config: &JwtConfig, token: &str) -> Result<Token, ReasonCode> {
        Tokens::open(config).unwrap().check(token, "c1", Some("ann"), now())
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    fn later(seconds: u64) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds
    }

    #[test]
    fn a_secret_signs_and_its_times_count() {
        let exp = later(60);
        let token = check(&secret(), &signed(&json!({ "exp": exp }))).unwrap();
        assert_eq!(token.expires_at, Some(UNIX_EPOCH + Duration::from_secs(exp)));
        assert_eq!(check(&secret(), &signed(&json!({}))), Ok(Token { username: None, expires_at: None }));
        let refused = Err(ReasonCode::BadUserNameOrPassword);
        for claims in [json!({ "exp": 1_000 }), json!({ "nbf": later(60) }), json!({ "iat": NOW + 60 })] {
            assert_eq!(check(&secret(), &signed(&claims)), refused, "{claims}");
        }
        let other = config(JwtKey::Secret(SecretOrigin::Plain("hushed".to_owned())));
        assert_eq!(check(&other, &signed(&json!({}))), refused);
        let none = format!("{}.", unsigned("none", &json!({})));
        assert_eq!(check(&secret(), &none), refused);
        for broken in ["", "a.b", "a.b.c", &signed(&json!({}))[1..]] {
            assert_eq!(check(&secret(), broken), refused, "{broken}");
        }
    }

    #[test]
    fn claims_are_held_against_what_connect_says() {
        let with =
            |name: &str, wanted: &str| JwtConfig { claims: vec![(name.into(), wanted.into())], ..secret() };
        let token = signed(&json!({ "sub": "ann", "aud": ["a", "gate"], "id": "dev-c1", "n": 7 }));
        for (name, wanted, fits) in [
            ("sub", "${username}", true),
            ("sub", "%u", true),
            ("sub", "bob", false),
            ("id", "dev-${clientid}", true),
            ("aud", "gate", true),
            ("aud", "other", false),
            ("n", "7", true),
            ("absent", "", false),
        ] {
            assert_eq!(check(&with(name, wanted), &token).is_ok(), fits, "{name} = {wanted}");
        }
        assert_eq!(expected("%u", "c", None), None);
        assert_eq!(expected("%c", "${username}", Some("x")).as_deref(), Some("${username}"));
        let named = JwtConfig { username_claim: Some("sub".to_owned()), ..secret() };
        assert_eq!(check(&named, &token).unwrap().username.as_deref(), Some("ann"));
        assert!(check(&named, &signed(&json!({}))).is_err(), "no name in it");
    }

    #[test]
    fn public_keys_sign() {
        let (_dir, path) = file(RSA_PEM);
        let rsa = config(JwtKey::PublicKey(path));
        assert!(check(&rsa, RSA_TOKEN).is_ok());
        assert!(
            check(&JwtConfig { algorithms: vec!["RS512".to_owned()], ..rsa.clone() }, RSA_TOKEN).is_err()
        );
        assert!(Tokens::open(&JwtConfig { algorithms: vec!["HS256".to_owned()], ..rsa.clone() }).is_err());
        // The key is public: who signs with it as if it were a secret must not get in.
        let message = unsigned("HS256", &json!({}));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, RSA_PEM.as_bytes());
        let forged =
            format!("{message}.{}", BASE64.encode(ring::hmac::sign(&key, message.as_bytes()).as_ref()));
        assert!(check(&rsa, &forged).is_err());

        let random = SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let der = [
            &[0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00][..],
            pair.public_key().as_ref(),
        ]
        .concat();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64::prelude::BASE64_STANDARD.encode(der)
        );
        let (_dir, path) = file(&pem);
        let message = unsigned("EdDSA", &json!({}));
        let token = format!("{message}.{}", BASE64.encode(pair.sign(message.as_bytes()).as_ref()));
        assert!(check(&config(JwtKey::PublicKey(path)), &token).is_ok());
    }

    #[test]
    fn keys_of_a_set_are_found_by_their_id() {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let set = |id: &str| {
            let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": BASE64.encode(x), "y": BASE64.encode(y) });
            json!({ "keys": [{ "kty": "oct", "kid": "k0", "k": BASE64.encode("hush") }, jwk] }).to_string()
        };
        let message = unsigned("ES256", &json!({}));
        let token =
            format!("{message}.{}", BASE64.encode(pair.sign(&random, message.as_bytes()).unwrap().as_ref()));
        for (id, fits) in [("k1", true), ("k2", false)] {
            let (_dir, path) = file(&set(id));
            let jwks = config(JwtKey::Jwks(path));
            assert_eq!(check(&jwks, &token).is_ok(), fits, "{id}");
            assert!(check(&jwks, &signed(&json!({}))).is_err(), "k1 is no shared secret");
        }
        let (_dir, path) = file(r#"{"keys":[]}"#);
        assert!(matches!(Tokens::open(&config(JwtKey::Jwks(path))), Err(TokenKeyError::NoKey)));
    }
}
