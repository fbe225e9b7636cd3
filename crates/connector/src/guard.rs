//! Which far sides connectors may talk to: a guard against requests that a rule or a REST client would have this server
//! make in its own network (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Allows or refuses hosts and addresses. The default allows everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guard {
    rules: Option<Rules>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rules {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    /// In lower case.
    deny_hosts: Vec<String>,
}

/// Why a far side may not be talked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its name is on the list.
    #[error("the host `{0}` is in `ssrf.deny_hosts`")]
    Host(String),
    /// Its address is on the list.
    #[error(
        "the address {address} is in {network}, which `ssrf.deny_cidrs` refuses; `ssrf.allow_cidrs` can except it"
    )]
    Address {
        /// The address.
        address: IpAddr,
        /// The network of the list.
        network: IpNet,
    },
}

/// What is refused where nothing else is said: addresses that are not of the public Internet (IANA special-purpose
/// registries), those of the cloud's metadata services among them.
pub const DENIED_BY_DEFAULT: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b:1::/48",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

impl Guard {
    /// A guard with these lists. `deny` left out is [`DENIED_BY_DEFAULT`]; `allow` wins over it.
    pub fn new(
        allow: Vec<IpNet>,
        deny: Option<Vec<IpNet>>,
        deny_hosts: impl IntoIterator<Item = String>,
    ) -> Self {
        let deny =
            deny.unwrap_or_else(|| DENIED_BY_DEFAULT.iter().filter_map(|net| net.parse().ok()).collect());
        let deny_hosts = deny_hosts.into_iter().map(|host| canonical(&host)).collect();
        Self { rules: Some(Rules { allow, deny, deny_hosts }) }
    }

    /// Whether this host may be resolved at all.
    ///
    /// # Errors
    /// [`Refused::Host`].
    pub fn host(&self, host: &str) -> Result<(), Refused> {
        let Some(rules) = &self.rules else { return Ok(()) };
        let host = canonical(host);
        if rules.deny_hosts.contains(&host) { Err(Refused::Host(host)) } else { Ok(()) }
    }

    /// Whether this address may be connected to: to be asked for the very address that is then used.
    ///
    /// # Errors
    /// [`Refused::Address`].
    pub fn address(&self, address: IpAddr) -> Result<(), Refused> {
        let Some(rules) = &self.rules else { return Ok(()) };
        let address = embedded_v4(address);
        if rules.allow.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        match rules.deny.iter().find(|network| network.contains(&address)) {
            Some(network) => Err(Refused::Address { address, network: *network }),
            None => Ok(()),
        }
    }
}

fn canonical(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The IPv4 address that an IPv6 one stands for, in any of the ways that reach it: mapped (RFC 4291 §2.5.5.2) or
/// translated (RFC 6052 §2.1).
fn embedded_v4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let translated = |v6: Ipv6Addr| {
        let segments = v6.segments();
        (segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0]).then(|| {
            let [a, b] = segments[6].to_be_bytes();
            let [c, d] = segments[7].to_be_bytes();
            Ipv4Addr::new(a, b, c, d)
        })
    };
    v6.to_ipv4_mapped().or_else(|| translated(v6)).map_or(address, IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn allowed(guard: &Guard, address: &str) -> bool {
        guard.address(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn without_rules_everything_is_allowed() {
        assert!(allowed(&Guard::default(), "169.254.169.254"));
        assert!(Guard::default().host("localhost").is_ok());
    }

    #[test]
    fn every_default_is_a_network() {
        assert!(DENIED_BY_DEFAULT.iter().all(|text| text.parse::<IpNet>().is_ok()));
    }

    #[test]
    fn only_public_addresses_are_allowed_by_default() {
        let guard = Guard::new(Vec::new(), None, []);
        for address in [
            "10.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "192.168.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "fd00::1",
            "64:ff9b::a00:1",
        ] {
            assert!(!allowed(&guard, address), "{address}");
        }
        for address in ["93.184.216.34", "2606:2800:220:1::1", "172.32.0.1", "64:ff9b::5db8:d822"] {
            assert!(allowed(&guard, address), "{address}");
        }
    }

    #[test]
    fn lists_of_ones_own_replace_and_except() {
        let guard = Guard::new(nets(&["10.0.5.0/24"]), None, ["Metadata.internal".to_owned()]);
        assert!(allowed(&guard, "10.0.5.9"));
        assert!(!allowed(&guard, "10.0.6.9"));
        assert_eq!(guard.host("metadata.INTERNAL."), Err(Refused::Host("metadata.internal".to_owned())));
        let guard = Guard::new(Vec::new(), Some(nets(&["203.0.113.0/24"])), []);
        assert!(allowed(&guard, "127.0.0.1"));
        assert!(!allowed(&guard, "203.0.113.7"));
    }
}
