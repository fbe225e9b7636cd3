//! The client ids of a connector: stable over restarts, different on every node.

use sha1::{Digest, Sha1};

/// What all generated client ids of a connector begin with: `{prefix}:{connector}{hash}`, or `{connector}{hash}`
/// without a prefix. The hash is the first 8 hexadecimal digits of the SHA-1 of the node's name.
pub(crate) fn base(prefix: Option<&str>, connector: &str, node: &str) -> String {
    let digest = Sha1::digest(node.as_bytes());
    let hash = format!("{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
    match prefix.filter(|prefix| !prefix.is_empty()) {
        Some(prefix) => format!("{prefix}:{connector}{hash}"),
        None => format!("{connector}{hash}"),
    }
}

/// The id of the `n`th client that publishes, counted from 1.
pub(crate) fn sink(base: &str, n: usize) -> String {
    format!("{base}:{n}")
}

/// The id of the `n`th client that receives, counted from 1.
pub(crate) fn source(base: &str, n: usize) -> String {
    format!("{base}:s{n}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_documented_form() {
        // SHA1("abc") = a9993e36 4706816a …
        let base = base(Some("myprefix"), "foo", "abc");
        assert_eq!(sink(&base, 1), "myprefix:fooa9993e36:1");
        assert_eq!(source(&base, 2), "myprefix:fooa9993e36:s2");
        assert_eq!(sink(&super::base(None, "foo", "abc"), 8), "fooa9993e36:8");
        assert_eq!(super::base(Some(""), "foo", "abc"), "fooa9993e36");
    }
}
