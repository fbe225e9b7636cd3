//! What is to be written in one go.

use std::ops::Range;

use crate::frame::{ENTRY_HEAD, Frames, HEAD, KIND_ENTRY, KIND_GONE, MAGIC, RANGE, checksum, u32_at};

/// Records in the form in which they are written. Cheap to fill: checksums are made by [`Batch::seal`], which may run
/// elsewhere.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    sealed: usize,
    ids: Option<Range<u64>>,
}

impl Batch {
    /// The longest body of an entry (bytes).
    pub const BODY_BYTES_MAX: usize = u32::MAX as usize - ENTRY_HEAD;

    /// Appends an entry whose body consists of `parts`. Ids rise by one from entry to entry of a journal.
    pub fn entry(&mut self, id: u64, lane: u8, at_ms: i64, parts: [&[u8]; 3]) {
        let body_bytes: usize = parts.iter().map(|part| part.len()).sum();
        debug_assert!(body_bytes <= Self::BODY_BYTES_MAX, "a body this long has no length");
        self.bytes.reserve(HEAD + ENTRY_HEAD + body_bytes);
        self.head(KIND_ENTRY, lane, ENTRY_HEAD + body_bytes);
        self.bytes.extend_from_slice(&id.to_le_bytes());
        self.bytes.extend_from_slice(&at_ms.to_le_bytes());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        let first = self.ids.take().map_or(id, |ids| ids.start);
        self.ids = Some(first..id + 1);
    }

    /// Appends that these entries are gone, in any order; `ids` is sorted.
    pub fn gone(&mut self, ids: &mut [u64]) {
        if ids.is_empty() {
            return;
        }
        ids.sort_unstable();
        let head_at = self.bytes.len();
        self.head(KIND_GONE, 0, 0);
        for range in ranges(ids) {
            self.bytes.extend_from_slice(&range.start.to_le_bytes());
            self.bytes.extend_from_slice(&((range.end - range.start) as u32).to_le_bytes());
        }
        let length = (self.bytes.len() - head_at - HEAD) as u32;
        self.bytes[head_at + 4..head_at + 8].copy_from_slice(&length.to_le_bytes());
    }

    fn head(&mut self, kind: u8, lane: u8, length: usize) {
        self.bytes.extend_from_slice(&MAGIC);
        self.bytes.extend_from_slice(&[kind, lane]);
        self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
    }

    /// Makes the checksums of what was appended since the last call.
    pub fn seal(&mut self) {
        let mut at = self.sealed;
        while at < self.bytes.len() {
            let end = at + HEAD + u32_at(&self.bytes, at + 4) as usize;
            let sum = checksum(&self.bytes[at..at + HEAD], &self.bytes[at + HEAD..end]);
            self.bytes[at + 8..at + HEAD].copy_from_slice(&sum.to_le_bytes());
            at = end;
        }
        self.sealed = at;
    }

    /// Moves everything out of `other` to the end of this one.
    pub fn append(&mut self, other: &mut Batch) {
        self.seal();
        other.seal();
        self.bytes.extend_from_slice(&other.bytes);
        self.sealed = self.bytes.len();
        self.ids = match (self.ids.take(), other.ids.take()) {
            (Some(first), Some(last)) => Some(first.start..last.end),
            (first, last) => first.or(last),
        };
        other.clear();
    }

    /// Empties it and keeps its memory, unless that has grown large.
    pub fn clear(&mut self) {
        const BYTES_KEPT: usize = 1 << 20;
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_KEPT);
        (self.sealed, self.ids) = (0, None);
    }

    /// Its size (bytes).
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The ids of its entries.
    pub fn ids(&self) -> Option<Range<u64>> {
        self.ids.clone()
    }

    /// Its bytes; sealed ones can be read with [`Frames`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its records from `at` on. Call [`Batch::seal`] before.
    pub fn frames(&self, at: usize) -> Frames<'_> {
        Frames::new(&self.bytes, at)
    }
}

/// The runs in sorted ids, each short enough for its count.
fn ranges(ids: &[u64]) -> impl Iterator<Item = Range<u64>> + '_ {
    const COUNT_MAX: u64 = u32::MAX as u64;
    let mut rest = ids;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let mut end = first + 1;
        let mut taken = 1;
        while let Some(next) = rest.get(taken)
            && *next <= end
            && end - first < COUNT_MAX
        {
            end = next + 1;
            taken += 1;
        }
        rest = &rest[taken..];
        Some(first..end)
    })
}

const _: () = assert!(RANGE == 12, "a range is a first id of eight bytes and a count of four");
