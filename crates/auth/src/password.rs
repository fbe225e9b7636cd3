use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

/// Checked in place of the hash of a user that does not exist, so that the time of an answer does not tell who does.
/// Made with the parameters of [`hash_password`]; nobody knows a password for it.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2x1aWNlZ2F0ZS1ub2JvZHk$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The hash of a password as a file of users holds it: Argon2id with a random salt, 19 MiB and two passes. Takes tens of
/// milliseconds of CPU on purpose. Fails only if the system gives no randomness.
pub fn hash_password(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password)?.to_string())
}

/// Whether `text` is a hash that [`hash_password`], or another program that writes Argon2's PHC strings, has made.
pub fn is_password_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| {
        hash.algorithm.as_str().starts_with("argon2") && hash.salt.is_some() && hash.hash.is_some()
    })
}

/// Whether `password` is the one that `hash` was made of; without a hash it takes as long and is not.
pub(crate) fn is_password(hash: Option<&str>, password: &[u8]) -> bool {
    let matches = Argon2::default().verify_password(password, hash.unwrap_or(NOBODY)).is_ok();
    matches && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let hash = hash_password(b"open sesame").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_password_hash(&hash) && is_password_hash(NOBODY));
        assert!(is_password(Some(&hash), b"open sesame"));
        assert!(!is_password(Some(&hash), b"open barley") && !is_password(None, b"open sesame"));
        assert_ne!(hash, hash_password(b"open sesame").unwrap(), "every hash has a salt of its own");
        for broken in ["", "$argon2id$x", "$2b$12$abc", "plain"] {
            assert!(!is_password_hash(broken), "{broken}");
        }
    }
}
