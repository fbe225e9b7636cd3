//! The section `[ssrf]`: where HTTP connectors may connect to.

use diagnostic::{Code, Diagnostic};
use ipnet::IpNet;

use crate::settings::Settings;

/// What may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SsrfConfig {
    /// Whether the lists count at all.
    pub enable: bool,
    /// Networks that may be reached whatever the other lists say.
    pub allow_cidrs: Vec<IpNet>,
    /// Networks that may not be reached; `None` for the built-in list.
    pub deny_cidrs: Option<Vec<IpNet>>,
    /// Host names that may not be reached.
    pub deny_hosts: Vec<String>,
}

/// Reads a list of networks; a plain address is a network of one.
pub(crate) fn networks(settings: &Settings, name: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in settings.str_list(name) {
        match text.text.parse().or_else(|_| text.text.parse::<std::net::IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network),
            Err(_) => {
                let message = format!("`{}` is no network", text.text);
                let help = "write `10.20.0.0/16`, `fd00::/8` or an address";
                diagnostics.push(Diagnostic::new(Code::InvalidValue, text.span, message).help(help));
            }
        }
    }
    networks
}
