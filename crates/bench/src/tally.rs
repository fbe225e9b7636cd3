//! Which messages have arrived: the identity each payload carries, and what is missing, doubled or out of order.

/// Who sent a message, its number from 0, and when it was sent or due (nanoseconds since the start).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: usize,
    pub(crate) number: u64,
    pub(crate) at_ns: u64,
}

/// What stands before the stamp in each payload.
const HEAD: &[u8] = br#"{"temp": 31.5, "id": ""#;

impl Stamp {
    /// Writes a JSON payload of `bytes` bytes, or as many as it takes, that carries the stamp.
    pub(crate) fn write(self, bytes: usize, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(HEAD);
        let Stamp { publisher, number, at_ns } = self;
        out.extend_from_slice(format!(r#"{publisher:05}-{number:010}-{at_ns:015}", "pad": ""#).as_bytes());
        out.resize(bytes.saturating_sub(2).max(out.len()), b'x');
        out.extend_from_slice(br#""}"#);
    }

    /// The stamp of a payload; `None` if it is none of ours.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload.strip_prefix(HEAD)?.get(..32)?).ok()?;
        let mut parts = text.split('-');
        let publisher = parts.next()?.parse().ok()?;
        Some(Stamp { publisher, number: parts.next()?.parse().ok()?, at_ns: parts.next()?.parse().ok()? })
    }
}

/// What one receiver has got.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    publishers: Vec<Seen>,
    pub(crate) received: u64,
    pub(crate) doubled: u64,
    pub(crate) disordered: u64,
}

/// What has arrived of one publisher: a bit for each number, and one past the highest.
#[derive(Debug, Clone, Default)]
struct Seen {
    bits: Vec<u64>,
    next: u64,
}

impl Tally {
    /// Counts a message.
    pub(crate) fn count(&mut self, stamp: Stamp) {
        self.received += 1;
        if self.publishers.len() <= stamp.publisher {
            self.publishers.resize(stamp.publisher + 1, Seen::default());
        }
        let seen = &mut self.publishers[stamp.publisher];
        let (word, bit) = ((stamp.number / 64) as usize, 1 << (stamp.number % 64));
        if seen.bits.len() <= word {
            seen.bits.resize(word + 1, 0);
        }
        if seen.bits[word] & bit != 0 {
            self.doubled += 1;
        } else if stamp.number < seen.next {
            self.disordered += 1;
        }
        seen.bits[word] |= bit;
        seen.next = seen.next.max(stamp.number + 1);
    }

    /// How many different messages have come.
    pub(crate) fn distinct(&self) -> u64 {
        self.received - self.doubled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_survive_their_payload() {
        let stamp = Stamp { publisher: 12, number: 345, at_ns: 678_901 };
        let mut payload = Vec::new();
        stamp.write(200, &mut payload);
        assert_eq!((payload.len(), Stamp::read(&payload)), (200, Some(stamp)));
        assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
        assert_eq!(Stamp::read(b"{}"), None);
    }

    #[test]
    fn counts_what_is_amiss() {
        let mut tally = Tally::default();
        for number in [0, 1, 3, 2, 3, 200] {
            tally.count(Stamp { publisher: 1, number, at_ns: 0 });
        }
        assert_eq!((tally.received, tally.doubled, tally.disordered, tally.distinct()), (6, 1, 1, 5));
    }
}
