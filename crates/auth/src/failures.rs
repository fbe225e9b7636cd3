use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Where wrong passwords came from lately, so that whoever guesses waits in a line of his own and not before everybody else.
///
/// An address is an IPv4 address, or the first half of an IPv6 one, which is what one network gets.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// A lock since many connections ask at once; held for a look-up.
    seen: Mutex<HashMap<IpAddr, Seen>>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    count: u32,
    last: Instant,
}

/// Wrong passwords that may be mistakes.
const MISTAKES_MAX: u32 = 10;
/// How long an address must have been quiet to count as new.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Addresses at the most: about a megabyte.
const ADDRESSES_MAX: usize = 10_000;

impl Failures {
    /// Notes a wrong password.
    pub(crate) fn note(&self, from: IpAddr, now: Instant) {
        let mut seen = self.seen.lock();
        if seen.len() >= ADDRESSES_MAX {
            seen.retain(|_, seen| now - seen.last < FORGOTTEN_AFTER);
        }
        // Where a flood comes from more addresses than are kept, telling them apart helps no longer.
        if seen.len() < ADDRESSES_MAX || seen.contains_key(&network(from)) {
            let entry = seen.entry(network(from)).or_insert(Seen { count: 0, last: now });
            if now - entry.last >= FORGOTTEN_AFTER {
                entry.count = 0;
            }
            *entry = Seen { count: entry.count.saturating_add(1), last: now };
        }
    }

    /// Whether so many wrong passwords came from there that the next is probably wrong, too.
    pub(crate) fn suspects(&self, from: IpAddr, now: Instant) -> bool {
        let seen = self.seen.lock();
        seen.get(&network(from))
            .is_some_and(|seen| seen.count > MISTAKES_MAX && now - seen.last < FORGOTTEN_AFTER)
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_guesses_is_suspected_for_a_minute_and_nobody_else() {
        let failures = Failures::default();
        let (start, guesser): (_, IpAddr) = (Instant::now(), [10, 0, 0, 7].into());
        for _ in 0..MISTAKES_MAX {
            failures.note(guesser, start);
            assert!(!failures.suspects(guesser, start));
        }
        failures.note(guesser, start);
        assert!(failures.suspects(guesser, start));
        assert!(!failures.suspects([10, 0, 0, 8].into(), start));
        assert!(failures.suspects("::ffff:10.0.0.7".parse().unwrap(), start), "the same, written otherwise");
        let later = start + FORGOTTEN_AFTER;
        assert!(!failures.suspects(guesser, later));
        failures.note(guesser, later);
        assert!(!failures.suspects(guesser, later), "it begins anew");
    }

    #[test]
    fn one_network_of_version_6_is_one_address() {
        let failures = Failures::default();
        let now = Instant::now();
        for host in 0..=MISTAKES_MAX {
            failures.note(format!("2001:db8::{host:x}").parse().unwrap(), now);
        }
        assert!(failures.suspects("2001:db8::ffff".parse().unwrap(), now));
        assert!(!failures.suspects("2001:db8:0:1::1".parse().unwrap(), now));
    }
}
