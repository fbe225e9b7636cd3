//! The `url` of a connector: the part of every address that is the same for all requests.

use std::fmt;

use hyper::Uri;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// Without the slash at its end; a query stays at its end.
    path: String,
}

impl Base {
    /// Reads a URL.
    ///
    /// # Errors
    /// In words: what is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or("it does not begin with `http://` or `https://`")?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(format!("`{scheme}` is neither `http` nor `https`"));
        }
        let authority = parts.authority.ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("a user name and a password belong into `username` and `password`".to_owned());
        }
        if authority.host().is_empty() {
            return Err("it names no host".to_owned());
        }
        let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::as_str);
        let path = if path.contains('?') { path } else { path.trim_end_matches('/') };
        Ok(Self { scheme, authority, path: path.to_owned() })
    }

    /// Whether TLS is spoken there.
    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The host as resolvers and certificates want it: without the brackets of IPv6.
    pub(crate) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The address of a request: `target` appended to the path, with a slash between them where both have none and the
    /// target does not begin a query.
    pub(crate) fn join(&self, target: &str) -> Result<Uri, hyper::http::Error> {
        let needs_slash = !target.is_empty() && !target.starts_with(['/', '?', '&']);
        let slash = if needs_slash && !self.path.contains('?') { "/" } else { "" };
        let mut path = format!("{}{slash}{target}", self.path);
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
    }
}

impl fmt::Display for Base {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined() {
        let joined = |base: &str, target: &str| Base::parse(base).unwrap().join(target).unwrap().to_string();
        assert_eq!(joined("http://h", ""), "http://h/");
        assert_eq!(joined("http://h/", "/a?b=c"), "http://h/a?b=c");
        assert_eq!(joined("https://h:8443/in/", "a"), "https://h:8443/in/a");
        assert_eq!(joined("http://h/in", ""), "http://h/in");
        assert_eq!(joined("http://h/in", "?b=c"), "http://h/in?b=c");
        assert_eq!(joined("http://h/in?key=1", "&b=c"), "http://h/in?key=1&b=c");
        assert_eq!(joined("http://[::1]:80/x", "/y"), "http://[::1]:80/x/y");
    }

    #[test]
    fn what_is_no_url_is_said() {
        for (url, words) in [
            ("host:80", "does not begin"),
            ("ftp://h", "neither"),
            ("/path", "does not begin"),
            ("http://u:p@h", "belong into"),
            ("http://:80/", "host"),
            ("http://h h/", "invalid"),
        ] {
            let error = Base::parse(url).unwrap_err();
            assert!(error.contains(words), "{url}: {error}");
        }
        assert_eq!(Base::parse("http://[::1]:1/").unwrap().host(), "::1");
    }
}
