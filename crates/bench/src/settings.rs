//! What the command line says of one load.

use std::net::SocketAddr;

use mqtt::QoS;

use crate::load::{Load, Pace};

/// One load, and what to read meanwhile.
pub(crate) struct Settings {
    pub(crate) load: Load,
    /// Messages a second, for `paced`.
    pub(crate) rate: u64,
    pub(crate) connections: usize,
    /// Whose CPU and memory count.
    pub(crate) pid: Option<u32>,
}

impl Settings {
    /// Reads `KEY=VALUE` arguments. Errors are sentences.
    pub(crate) fn parse(address: &str, args: &[&str]) -> Result<Self, String> {
        let address = resolve(address)?;
        let mut settings =
            Self { load: Load::new(address, address), rate: 1_000, connections: 1_000, pid: None };
        for arg in args {
            let (key, value) = arg.split_once('=').ok_or(format!("`{arg}` is not KEY=VALUE"))?;
            if key == "at" {
                settings.load.subscribe_at = resolve(value)?;
                continue;
            }
            let number: u64 = value.parse().map_err(|_| format!("`{value}` is no number"))?;
            match key {
                "pid" => settings.pid = u32::try_from(number).ok(),
                "qos" => {
                    settings.load.qos =
                        QoS::try_from(number as u8).map_err(|_| format!("no QoS {number}"))?;
                }
                "messages" => settings.load.messages = number,
                "publishers" => settings.load.publishers = number.max(1),
                "topics" => settings.load.topics = number,
                "subscribers" => settings.load.subscribers = number.max(1),
                "ahead" => settings.load.pace = Pace::Full { ahead: number.max(1) },
                "rate" => settings.rate = number.max(1),
                "bytes" => settings.load.bytes = number as usize,
                "connections" => settings.connections = number as usize,
                _ => return Err(format!("unknown key `{key}`")),
            }
        }
        Ok(settings)
    }
}

fn resolve(address: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = address.parse().map_err(|_| format!("`{address}` is no IP:PORT"))?;
    if address.ip().is_loopback() { Ok(address) } else { Err(format!("{address} is not on this machine")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_keys_and_stays_on_the_machine() {
        let settings = Settings::parse("127.0.0.1:1883", &["qos=1", "ahead=10", "pid=7"]).expect("settings");
        assert_eq!((settings.load.qos, settings.pid), (QoS::AtLeastOnce, Some(7)));
        for (address, arg) in
            [("192.0.2.1:1883", "qos=1"), ("127.0.0.1:1883", "qos=3"), ("127.0.0.1:1883", "speed=1")]
        {
            assert!(Settings::parse(address, &[arg]).is_err(), "{address} {arg}");
        }
    }
}
