//! Records as bytes.

use std::ops::Range;

use memchr::memmem::Finder;

pub(crate) const MAGIC: [u8; 2] = [0xD1, 0x5C];
pub(crate) const KIND_ENTRY: u8 = 1;
pub(crate) const KIND_GONE: u8 = 2;
/// Magic, kind, lane, length, checksum (bytes).
pub(crate) const HEAD: usize = 12;
/// Id and time of an entry (bytes).
pub(crate) const ENTRY_HEAD: usize = 16;
/// One range of a gone record (bytes).
pub(crate) const RANGE: usize = 12;

/// An entry as it lies in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number; never used twice.
    pub id: u64,
    /// Whatever its owner sorts entries by.
    pub lane: u8,
    /// When it came (milliseconds since 1970 UTC).
    pub at_ms: i64,
    /// Its bytes.
    pub body: &'a [u8],
    /// Where they lie in what was read.
    pub range: Range<usize>,
}

/// A record that says which entries are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone<'a>(pub(crate) &'a [u8]);

impl Gone<'_> {
    /// The ids, as ranges.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.chunks_exact(RANGE).map(|range| {
            let first = u64_at(range, 0);
            first..first.saturating_add(u64::from(u32_at(range, 8)))
        })
    }
}

/// What [`Frames`] finds, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// An entry.
    Entry(Entry<'a>),
    /// Ids that are gone.
    Gone(Gone<'a>),
    /// So many bytes are no records; good ones follow.
    Damage {
        /// How many.
        bytes: usize,
    },
    /// No good record follows any more.
    Tail {
        /// How many bytes are left.
        bytes: usize,
        /// Whether they look like a record whose end is missing, or like room that was never filled, rather than like
        /// damage.
        is_cut: bool,
    },
}

/// Reads records from bytes that begin at a record.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    /// Begins at `at`.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where the next record begins.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The record at `at` and where it ends, if there is a good one.
    fn record(&self, at: usize) -> Option<(Found<'a>, usize)> {
        let head = self.bytes.get(at..at + HEAD)?;
        let end = (at + HEAD).checked_add(u32_at(head, 4) as usize)?;
        let payload = self.bytes.get(at + HEAD..end)?;
        if head[..2] != MAGIC || u32_at(head, 8) != checksum(head, payload) {
            return None;
        }
        let found = match head[2] {
            KIND_ENTRY if payload.len() >= ENTRY_HEAD => Found::Entry(Entry {
                id: u64_at(payload, 0),
                lane: head[3],
                at_ms: u64_at(payload, 8).cast_signed(),
                body: &payload[ENTRY_HEAD..],
                range: at + HEAD + ENTRY_HEAD..end,
            }),
            KIND_GONE => Found::Gone(Gone(payload)),
            _ => return None,
        };
        Some((found, end))
    }

    /// Where the first good record after `at` begins.
    fn next_good(&self, at: usize) -> Option<usize> {
        let finder = Finder::new(&MAGIC);
        let mut from = at + 1;
        loop {
            let found = from + finder.find(self.bytes.get(from..)?)?;
            if self.record(found).is_some() {
                return Some(found);
            }
            from = found + 1;
        }
    }

    /// Whether the bytes from `at` on are the beginning of a record, or were never written.
    fn is_cut(&self, at: usize) -> bool {
        let rest = &self.bytes[at..];
        let Some(head) = rest.get(..HEAD) else { return true };
        let begins = head[..2] == MAGIC && matches!(head[2], KIND_ENTRY | KIND_GONE);
        let is_short = rest.len() - HEAD < u32_at(head, 4) as usize;
        (begins && is_short) || rest.iter().all(|byte| *byte == 0)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let start = self.at;
        if let Some((found, end)) = self.record(start) {
            self.at = end;
            return Some(found);
        }
        if let Some(good) = self.next_good(start) {
            self.at = good;
            return Some(Found::Damage { bytes: good - start });
        }
        self.at = self.bytes.len();
        Some(Found::Tail { bytes: self.bytes.len() - start, is_cut: self.is_cut(start) })
    }
}

/// The checksum of a record: of everything in its head behind the magic and before the checksum, and of its payload.
pub(crate) fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[2..8]);
    hasher.update(payload);
    hasher.finalize()
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
