//! Where the remote is.

use std::net::Ipv6Addr;

/// The address of a remote as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    /// The port; the default of its scheme where none was given.
    pub(crate) port: u16,
    /// What the scheme says about TLS; `None` without a scheme.
    pub(crate) tls: Option<bool>,
}

/// Why a text is no address of a remote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("there is no host")]
    NoHost,
    #[error("`{0}` is no port")]
    Port(String),
    #[error("`{0}://` is not known: there are `mqtt://` and `mqtts://`")]
    Scheme(String),
    #[error("an address of IPv6 stands in brackets, as in `[::1]:1883`")]
    Brackets,
    #[error("`{0}` is no host")]
    Host(String),
}

impl Server {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`, alone or after `mqtt://` or `mqtts://`. `tls` is what holds
    /// without a scheme, for the default of the port.
    pub(crate) fn parse(text: &str, tls: bool) -> Result<Self, ServerError> {
        let (scheme, rest) = match text.trim().split_once("://") {
            None => (None, text.trim()),
            Some(("mqtt", rest)) => (Some(false), rest),
            Some(("mqtts", rest)) => (Some(true), rest),
            Some((scheme, _)) => return Err(ServerError::Scheme(scheme.to_owned())),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(rest)?;
        if host.is_empty() {
            return Err(ServerError::NoHost);
        }
        if host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | '[' | ']')) {
            return Err(ServerError::Host(host.to_owned()));
        }
        let default = if scheme.unwrap_or(tls) { 8883 } else { 1883 };
        let port = match port {
            None => default,
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(ServerError::Port(text.to_owned())),
            },
        };
        Ok(Self { host: host.to_owned(), port, tls: scheme })
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), ServerError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(ServerError::Brackets)?;
        host.parse::<Ipv6Addr>().map_err(|_| ServerError::Host(host.to_owned()))?;
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((host, None)),
            (_, Some(port)) => Ok((host, Some(port))),
            (_, None) => Err(ServerError::Brackets),
        };
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, rest)) if rest.contains(':') => match text.parse::<Ipv6Addr>() {
            Ok(_) => Ok((text, None)),
            Err(_) => Err(ServerError::Brackets),
        },
        Some((host, port)) => Ok((host, Some(port))),
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(out, "[{host}]:{port}") } else { write!(out, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, host, port, tls) in [
            ("broker.example.com:1884", "broker.example.com", 1884, None),
            ("broker.example.com", "broker.example.com", 1883, None),
            ("mqtt://10.0.0.1", "10.0.0.1", 1883, Some(false)),
            ("mqtts://h", "h", 8883, Some(true)),
            ("mqtts://h:99/", "h", 99, Some(true)),
            ("[::1]:1883", "::1", 1883, None),
            ("mqtts://[fe80::2]", "fe80::2", 8883, Some(true)),
            ("::1", "::1", 1883, None),
        ] {
            let server = Server { host: host.to_owned(), port, tls };
            assert_eq!(Server::parse(text, false), Ok(server), "{text}");
        }
        assert_eq!(Server::parse("h", true).map(|server| server.port), Ok(8883));
        assert_eq!(
            Server::parse("[::1]", false).map(|server| server.to_string()),
            Ok("[::1]:1883".to_owned())
        );
    }

    #[test]
    fn what_is_none_is_refused_with_its_reason() {
        for (text, error) in [
            ("", ServerError::NoHost),
            (":1883", ServerError::NoHost),
            ("h:", ServerError::Port(String::new())),
            ("h:0", ServerError::Port("0".to_owned())),
            ("h:70000", ServerError::Port("70000".to_owned())),
            ("ws://h", ServerError::Scheme("ws".to_owned())),
            ("[::1", ServerError::Brackets),
            ("[::1]1883", ServerError::Brackets),
            ("a:b:c", ServerError::Brackets),
            ("[nope]:1", ServerError::Host("nope".to_owned())),
            ("user@h", ServerError::Host("user@h".to_owned())),
        ] {
            assert_eq!(Server::parse(text, false), Err(error), "{text}");
        }
    }
}
