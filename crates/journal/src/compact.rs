//! Room on disk that one entry alone holds on to.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use crate::bitmap::Bitmap;
use crate::frame::{Found, Frames};
use crate::journal::{Journal, sync_folder};
use crate::segment::{self, HEAD, Segment};

/// With fewer segments there is nothing worth the reading.
const SEGMENTS_MIN: usize = 8;

impl Journal {
    /// Whether most of what is on disk is gone and only kept because of what lies before it.
    pub fn is_sparse(&self) -> bool {
        let count = |of: fn(&Segment) -> u64| self.segments.iter().map(of).sum::<u64>();
        self.segments.len() >= SEGMENTS_MIN
            && self.segments.len() >= self.compact_again_at
            && 4 * count(|segment| segment.live) < count(|segment| segment.end_id - segment.first_id)
    }

    /// Writes closed segments anew without what is gone in them, those before the segment `before` only: nobody has a
    /// place in them. What says that entries are gone stays. Reads everything; a crash on the way changes nothing.
    pub fn compact(&mut self, before: u64) -> io::Result<()> {
        let gone = self.all_gone()?;
        for place in 0..self.segments.len() {
            let segment = &self.segments[place];
            let entries = segment.end_id - segment.first_id;
            if segment.is_sealed && segment.number < before && 2 * segment.live < entries {
                let (file, bytes) = self.rewritten(segment, &gone)?;
                let segment = &mut self.segments[place];
                (segment.file, segment.bytes) = (Arc::new(file), bytes);
            }
        }
        sync_folder(self.dir())?;
        // What could not be made smaller now will not be before much more has come.
        self.compact_again_at = self.segments.len() + SEGMENTS_MIN;
        Ok(())
    }

    /// Every id that any record says is gone.
    fn all_gone(&self) -> io::Result<Bitmap> {
        let first = self.segments.front().map_or(1, |segment| segment.first_id);
        let mut gone = Bitmap::new(first);
        for segment in &self.segments {
            for found in Frames::new(&segment.read()?, 0) {
                if let Found::Gone(ids) = found {
                    ids.ranges().for_each(|ids| gone.insert(ids, self.next_id));
                }
            }
        }
        Ok(gone)
    }

    fn rewritten(&self, segment: &Segment, gone: &Bitmap) -> io::Result<(fs::File, u64)> {
        let old = segment.read()?;
        let mut head = vec![0; HEAD as usize];
        segment.file.read_exact_at(&mut head, 0)?;
        let mut kept = head;
        let mut frames = Frames::new(&old, 0);
        loop {
            let start = frames.position();
            let is_kept = match frames.next() {
                Some(Found::Entry(entry)) => !gone.contains(entry.id),
                Some(Found::Gone(_)) => true,
                Some(Found::Damage { .. } | Found::Tail { .. }) => false,
                None => break,
            };
            if is_kept {
                kept.extend_from_slice(&old[start..frames.position()]);
            }
        }
        let path = segment::path(self.dir(), segment.number);
        let aside = segment::aside(&path);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&aside)?;
        file.write_all_at(&kept, 0)?;
        file.sync_data()?;
        fs::rename(&aside, &path)?;
        Ok((file, kept.len() as u64))
    }
}
