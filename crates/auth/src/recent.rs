use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring::hmac::{self, Key};
use ring::rand::SystemRandom;

/// Passwords that were right a short while ago, so that a thousand devices that reconnect at once do not cost a thousand
/// hashes.
///
/// What is kept is a keyed digest of user, hash and password. Its key exists in this process alone, and the hash is part of
/// it: a password that was changed is forgotten with that. Wrong passwords are never kept; each costs its full time.
pub(crate) struct Recent {
    key: Key,
    /// A lock since many connections ask at once; held for a look-up.
    seen: Mutex<HashMap<Digest, Instant>>,
}

type Digest = [u8; 32];

/// How long a password that was right is taken without hashing.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// Entries at the most: 1.5 MB.
const ENTRIES_MAX: usize = 20_000;

impl Recent {
    /// Without randomness from the system nothing is ever remembered.
    pub(crate) fn new() -> Option<Self> {
        let key = Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        Some(Self { key, seen: Mutex::new(HashMap::new()) })
    }

    pub(crate) fn knows(&self, username: &str, hash: &str, password: &[u8], now: Instant) -> bool {
        let digest = self.digest(username, hash, password);
        self.seen.lock().get(&digest).is_some_and(|until| now < *until)
    }

    pub(crate) fn remember(&self, username: &str, hash: &str, password: &[u8], now: Instant) {
        let digest = self.digest(username, hash, password);
        let mut seen = self.seen.lock();
        if seen.len() >= ENTRIES_MAX {
            seen.retain(|_, until| now < *until);
        }
        if seen.len() < ENTRIES_MAX {
            seen.insert(digest, now + REMEMBERED);
        }
    }

    fn digest(&self, username: &str, hash: &str, password: &[u8]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [username.as_bytes(), hash.as_bytes(), password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_same_is_known_and_only_for_a_while() {
        let recent = Recent::new().unwrap();
        let now = Instant::now();
        recent.remember("ann", "h1", b"pw", now);
        assert!(recent.knows("ann", "h1", b"pw", now));
        assert!(!recent.knows("ann", "h2", b"pw", now), "the password was changed");
        assert!(!recent.knows("annh", "1", b"pw", now) && !recent.knows("ann", "h1", b"PW", now));
        assert!(!recent.knows("ann", "h1", b"pw", now + REMEMBERED));
    }
}
