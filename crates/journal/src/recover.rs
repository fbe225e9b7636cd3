//! What a journal finds when it is opened.

use std::ops::Range;
use std::path::Path;

use crate::bitmap::Bitmap;
use crate::frame::{Found, Frames};
use crate::segment::{self, HEAD, OpenError, Segment};

/// What a journal had in it when it was opened.
#[derive(Debug)]
pub struct Recovered {
    /// The entries that are not gone, by lane.
    pub lanes: Box<[Count; 256]>,
    /// The ids that are gone although their entries are still on disk.
    pub gone: Bitmap,
    /// The id of the next entry.
    pub next_id: u64,
    /// Entries that are damaged.
    pub lost: u64,
    /// Bytes cut off at the end: a record that was never written whole.
    pub torn_bytes: u64,
}

/// A number of entries and the bytes of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Recovered {
    /// All lanes together.
    pub fn total(&self) -> Count {
        self.lanes.iter().fold(Count::default(), |total, lane| Count {
            entries: total.entries + lane.entries,
            bytes: total.bytes + lane.bytes,
        })
    }
}

/// Reads every segment of a folder twice: which ids are gone, then whose entries are not. Memory stays at one segment
/// and a bit per entry.
pub(crate) fn recover(dir: &Path, writable: bool) -> Result<(Vec<Segment>, Recovered), OpenError> {
    let failed = |cause| OpenError::Io { path: dir.to_owned(), cause };
    let numbers = segment::numbers(dir).map_err(failed)?;
    let mut segments = Vec::with_capacity(numbers.len());
    for number in numbers {
        match Segment::open(dir, number, writable)? {
            Some(segment) => segments.push(segment),
            None if writable => std::fs::remove_file(segment::path(dir, number)).map_err(failed)?,
            None => {}
        }
    }
    let mut survey = Survey::default();
    let last = segments.len().saturating_sub(1);
    for (place, segment) in segments.iter_mut().enumerate() {
        let bytes = segment.read().map_err(failed)?;
        survey.read(segment, &bytes, place == last);
        if survey.torn_bytes > 0 && writable {
            // What is cut off was never written whole; where it cannot be cut, a new segment is begun all the same.
            let _ = segment.file.set_len(segment.bytes);
        }
    }
    place_heads(&mut segments);
    let mut recovered = survey.conclude(segments.first().map(|segment| segment.first_id));
    let mut last_id = 0;
    for place in 0..segments.len() {
        let bytes = segments[place].read().map_err(failed)?;
        for found in Frames::new(&bytes, 0) {
            let Found::Entry(entry) = found else { continue };
            if entry.id > last_id && !recovered.gone.contains(entry.id) {
                // A copy in a later segment is the one that counts, since that is where it will be looked for.
                let after = segments.partition_point(|segment| segment.first_id <= entry.id);
                segments[after.max(1) - 1].live += 1;
                let lane = &mut recovered.lanes[usize::from(entry.lane)];
                lane.entries += 1;
                lane.bytes += entry.body.len() as u64;
            }
            last_id = last_id.max(entry.id);
        }
    }
    Ok((segments, recovered))
}

/// Gives segments whose head was damaged, and that have no entry to tell, a place among the others.
fn place_heads(segments: &mut [Segment]) {
    let mut floor = 1;
    for segment in segments {
        if segment.first_id == u64::MAX {
            (segment.first_id, segment.end_id) = (floor, floor);
        }
        segment.end_id = segment.end_id.max(segment.first_id);
        floor = segment.end_id;
    }
}

/// The first look at everything.
#[derive(Default)]
struct Survey {
    /// In the order in which they were found.
    gone: Vec<Range<u64>>,
    /// The highest id of an entry so far, and the id after whatever was named.
    last_id: Option<u64>,
    next_id: u64,
    /// Ids that should be there and are not.
    gaps: Vec<Range<u64>>,
    /// The end is damaged: no id follows to tell how much was there.
    is_end_damaged: bool,
    torn_bytes: u64,
}

impl Survey {
    fn conclude(self, first: Option<u64>) -> Recovered {
        let next_id = self.next_id.max(1);
        let mut gone = Bitmap::new(first.unwrap_or(next_id));
        self.gone.into_iter().for_each(|ids| gone.insert(ids, next_id));
        let missing = self.gaps.into_iter().flatten().filter(|id| !gone.contains(*id)).count();
        Recovered {
            lanes: Box::new([Count::default(); 256]),
            gone,
            next_id,
            lost: missing as u64 + u64::from(self.is_end_damaged),
            torn_bytes: self.torn_bytes,
        }
    }

    fn read(&mut self, segment: &mut Segment, bytes: &[u8], is_last: bool) {
        if segment.first_id != u64::MAX {
            self.next_id = self.next_id.max(segment.first_id);
            // The very first entry is missed too.
            self.last_id = self.last_id.or(segment.first_id.checked_sub(1));
        }
        for found in Frames::new(bytes, 0) {
            match found {
                Found::Entry(entry) => {
                    segment.first_id = segment.first_id.min(entry.id);
                    segment.end_id = segment.end_id.max(entry.id + 1);
                    self.entry(entry.id);
                }
                Found::Gone(gone) => {
                    for ids in gone.ranges() {
                        self.next_id = self.next_id.max(ids.end);
                        match self.gone.last_mut() {
                            Some(last) if last.end == ids.start => last.end = ids.end,
                            _ => self.gone.push(ids),
                        }
                    }
                }
                // How many entries it hit the gap in the ids will say.
                Found::Damage { .. } => {}
                Found::Tail { bytes, is_cut } if is_last && is_cut => {
                    self.torn_bytes = bytes as u64;
                    segment.bytes -= bytes as u64;
                }
                // At the very end no id follows to tell.
                Found::Tail { .. } => self.is_end_damaged |= is_last,
            }
        }
        debug_assert!(segment.bytes >= HEAD, "only records are cut off");
    }

    fn entry(&mut self, id: u64) {
        match self.last_id {
            // A copy, from a batch that was written once more.
            Some(last) if id <= last => return,
            Some(last) if id > last + 1 => self.gaps.push(last + 1..id),
            Some(_) | None => {}
        }
        self.last_id = Some(id);
        self.next_id = self.next_id.max(id + 1);
    }
}
