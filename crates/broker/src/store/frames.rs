//! Frames of a log file: each written as a whole, found as a whole, and told from a torn or damaged one.
//!
//! ```text
//! file   = "SLGBROKR" format:u32 number:u64 frame*
//! frame  = "FRM1" length:u32 crc32:u32 payload          the checksum is of the payload; numbers are little-endian
//! ```

/// The format that this version writes and reads.
pub(super) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"SLGBROKR";
const MARK: &[u8; 4] = b"FRM1";
/// Bytes before the first frame.
pub(super) const HEADER: usize = 8 + 4 + 8;
/// Bytes before the payload of a frame.
pub(super) const FRAME: usize = 4 + 4 + 4;

/// The first bytes of the file with this number.
pub(super) fn header(number: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12..].copy_from_slice(&number.to_le_bytes());
    header
}

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Frames follow.
    Fine,
    /// The process ended before the first bytes were whole: nothing was ever in it.
    Torn,
    /// Another format.
    Format(u32),
    /// No log at all.
    Foreign,
}

/// Reads the first bytes of a file.
pub(super) fn head(bytes: &[u8]) -> Head {
    if bytes.len() < HEADER {
        return if MAGIC.starts_with(&bytes[..bytes.len().min(8)]) { Head::Torn } else { Head::Foreign };
    }
    if bytes[..8] != *MAGIC {
        return Head::Foreign;
    }
    match u32_at(bytes, 8) {
        FORMAT => Head::Fine,
        other => Head::Format(other),
    }
}

/// Makes `frame`, which has [`FRAME`] bytes of room before its payload, a frame. `false` if it is too long for one.
pub(super) fn seal(frame: &mut [u8]) -> bool {
    let (head, payload) = frame.split_at_mut(FRAME);
    let Ok(length) = u32::try_from(payload.len()) else { return false };
    head[..4].copy_from_slice(MARK);
    head[4..8].copy_from_slice(&length.to_le_bytes());
    head[8..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    true
}

/// What is found in a file, from front to back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A payload.
    Frame(&'a [u8]),
    /// Bytes that are no frame, with frames behind them: from here to there.
    Damaged(usize, usize),
    /// Bytes that are no frame, up to the end of the file: what was being written when the process ended.
    Torn(usize),
}

/// Walks over the frames of a whole file, whose head is fine.
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: HEADER }
    }

    fn frame_at(&self, at: usize) -> Option<&'a [u8]> {
        let head = self.bytes.get(at..at + FRAME)?;
        if head[..4] != *MARK {
            return None;
        }
        let start = at + FRAME;
        let payload = self.bytes.get(start..start.checked_add(u32_at(head, 4) as usize)?)?;
        (crc32fast::hash(payload) == u32_at(head, 8)).then_some(payload)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        if let Some(payload) = self.frame_at(self.at) {
            self.at += FRAME + payload.len();
            return Some(Found::Frame(payload));
        }
        let from = self.at;
        let later = memchr::memmem::find_iter(&self.bytes[from + 1..], MARK).map(|at| from + 1 + at);
        match later.into_iter().find(|at| self.frame_at(*at).is_some()) {
            Some(at) => {
                self.at = at;
                Some(Found::Damaged(from, at))
            }
            None => {
                self.at = self.bytes.len();
                Some(Found::Torn(from))
            }
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payloads: &[&[u8]]) -> Vec<u8> {
        let mut file = header(1).to_vec();
        for payload in payloads {
            let mut frame = vec![0; FRAME];
            frame.extend_from_slice(payload);
            assert!(seal(&mut frame));
            file.extend(frame);
        }
        file
    }

    #[test]
    fn a_frame_is_whole_or_not_there() {
        let whole = file(&[b"one", b"", b"three"]);
        assert_eq!(head(&whole), Head::Fine);
        let all = [Found::Frame(b"one"), Found::Frame(b""), Found::Frame(b"three")];
        assert_eq!(Frames::new(&whole).collect::<Vec<_>>(), all);
        let last = whole.len() - FRAME - 5;
        for cut in last + 1..whole.len() {
            let found: Vec<_> = Frames::new(&whole[..cut]).collect();
            assert_eq!(found, [Found::Frame(b"one"), Found::Frame(b""), Found::Torn(last)], "{cut}");
        }
    }

    #[test]
    fn what_stands_behind_a_damaged_frame_is_found() {
        let whole = file(&[b"one", b"two", b"three"]);
        for at in HEADER..HEADER + FRAME + 3 {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            let found: Vec<_> = Frames::new(&damaged).collect();
            let end = HEADER + FRAME + 3;
            let rest = [Found::Damaged(HEADER, end), Found::Frame(b"two"), Found::Frame(b"three")];
            assert_eq!(found, rest, "{at}");
        }
    }

    #[test]
    fn files_of_others_are_known_as_such() {
        assert_eq!(head(b""), Head::Torn);
        assert_eq!(head(&header(7)[..10]), Head::Torn);
        assert_eq!(head(b"SQLite format 3\0 and so on and so on"), Head::Foreign);
        let mut newer = header(7);
        newer[8] = 2;
        assert_eq!(head(&newer), Head::Format(2));
    }
}
