//! Cipher suites by name.

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite as suite;

/// What there is, each with the names it goes by: that of IANA, and that of OpenSSL where it is another.
const SUITES: [(&[&str], SupportedCipherSuite); 9] = [
    (&["TLS_AES_256_GCM_SHA384"], suite::TLS13_AES_256_GCM_SHA384),
    (&["TLS_AES_128_GCM_SHA256"], suite::TLS13_AES_128_GCM_SHA256),
    (&["TLS_CHACHA20_POLY1305_SHA256"], suite::TLS13_CHACHA20_POLY1305_SHA256),
    (
        &["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"],
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        &["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        &["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"],
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        &["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        &["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"],
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// The cipher suite of this name, as IANA or OpenSSL spells it; `None` for one that is not offered here.
pub fn cipher_suite(name: &str) -> Option<SupportedCipherSuite> {
    let named = |names: &&[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name.trim()));
    SUITES.iter().find(|(names, _)| named(names)).map(|(_, suite)| *suite)
}

/// The names that [`cipher_suite`] knows, the shorter ones of two.
pub fn cipher_names() -> impl Iterator<Item = &'static str> {
    SUITES.iter().filter_map(|(names, _)| names.iter().copied().min_by_key(|name| name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_the_provider_has_a_name() {
        let named: Vec<_> = cipher_names().filter_map(cipher_suite).collect();
        for suite in rustls::crypto::ring::ALL_CIPHER_SUITES {
            assert!(named.contains(suite), "{suite:?}");
        }
        assert_eq!(
            cipher_suite("ecdhe-rsa-aes128-gcm-sha256"),
            cipher_suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
        );
        assert!(cipher_suite("AES256-SHA").is_none());
    }
}
