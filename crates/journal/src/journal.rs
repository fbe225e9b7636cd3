//! A folder of segments.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::Batch;
use crate::frame::{Entry, Found, Frames};
use crate::recover::{Recovered, recover};
use crate::segment::{self, HEAD, OpenError, Segment};

/// How a journal is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// At this size a segment is closed and another begun (bytes). A batch is never split, so one can become larger.
    pub segment_bytes: u64,
    /// Whether the folder itself is synced when a file comes into it, so that the file survives a power cut.
    pub sync_folder: bool,
    /// Noted in every segment that is begun: how whoever writes it deals out lanes, for whoever reads it later.
    pub lanes_version: u16,
}

/// A place in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The number of the segment.
    pub segment: u64,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// A log on disk. For one writer.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    options: Options,
    pub(crate) segments: VecDeque<Segment>,
    next_number: u64,
    /// The id after the last that was written.
    pub(crate) next_id: u64,
    /// With fewer segments compacting was of no use.
    pub(crate) compact_again_at: usize,
    /// Files that were written since they were last synced.
    unsynced: Vec<Arc<File>>,
}

impl Journal {
    /// Opens a folder, which is made if it is not there, and reads everything in it.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovered), OpenError> {
        let failed = |cause| OpenError::Io { path: dir.to_owned(), cause };
        fs::create_dir_all(dir).map_err(failed)?;
        if options.sync_folder
            && let Some(parent) = dir.parent()
        {
            sync_folder(parent).map_err(failed)?;
        }
        Self::read_in(dir, options, true)
    }

    /// Opens a folder only to read it, and changes nothing there.
    pub fn open_to_read(dir: &Path) -> Result<(Self, Recovered), OpenError> {
        Self::read_in(dir, Options { segment_bytes: 0, sync_folder: false, lanes_version: 0 }, false)
    }

    fn read_in(dir: &Path, options: Options, writable: bool) -> Result<(Self, Recovered), OpenError> {
        let (segments, recovered) = recover(dir, writable)?;
        let failed = |cause| OpenError::Io { path: dir.to_owned(), cause };
        let numbers = segment::numbers(dir).map_err(failed)?;
        let next_number = numbers.last().map_or(1, |last| last + 1);
        let mut journal = Self {
            dir: dir.to_owned(),
            options,
            segments: segments.into(),
            next_number,
            next_id: recovered.next_id,
            compact_again_at: 0,
            unsynced: Vec::new(),
        };
        if writable {
            segment::remove_unfinished(dir).map_err(failed)?;
            journal.reclaim();
        }
        Ok((journal, recovered))
    }

    /// Writes a batch at the end, and says where it begins. After an error nothing has changed: the same batch, or a
    /// longer one that begins with it, may be tried again.
    pub fn write(&mut self, batch: &mut Batch) -> io::Result<Cursor> {
        batch.seal();
        let size = batch.len() as u64;
        let has_room = |segment: &&mut Segment| {
            !segment.is_sealed
                && (segment.bytes == HEAD || segment.bytes + size <= self.options.segment_bytes)
        };
        let segment = match self.segments.back_mut().filter(has_room) {
            Some(segment) => segment,
            None => {
                self.seal();
                let first_id = batch.ids().map_or(self.next_id, |ids| ids.start);
                let segment =
                    Segment::create(&self.dir, self.next_number, first_id, self.options.lanes_version)?;
                if self.options.sync_folder {
                    sync_folder(&self.dir)?;
                }
                self.next_number += 1;
                self.segments.push_back(segment);
                self.segments.back_mut().ok_or(io::ErrorKind::NotFound)?
            }
        };
        segment.file.write_all_at(batch.bytes(), segment.bytes)?;
        let place = Cursor { segment: segment.number, offset: segment.bytes };
        segment.bytes += size;
        if let Some(ids) = batch.ids() {
            segment.end_id = ids.end;
            segment.live += ids.end - ids.start;
            self.next_id = ids.end;
        }
        if !self.unsynced.last().is_some_and(|file| Arc::ptr_eq(file, &segment.file)) {
            self.unsynced.push(Arc::clone(&segment.file));
        }
        Ok(place)
    }

    /// Ends the present segment: the next batch begins another.
    pub fn seal(&mut self) {
        if let Some(segment) = self.segments.back_mut().filter(|segment| !segment.is_sealed) {
            segment.is_sealed = true;
            // A write that failed may have left bytes behind the end; they would look like damage.
            let _ = segment.file.set_len(segment.bytes);
        }
    }

    /// Takes back the last batch, which was written and could not be synced: it is to be written again, elsewhere, since
    /// the system may have forgotten that it is not on the disk.
    pub fn unwrite(&mut self, batch: &Batch) {
        if let (Some(segment), Some(ids)) = (self.segments.back_mut(), batch.ids()) {
            segment.live -= ids.end - ids.start;
            segment.end_id = ids.start.max(segment.first_id);
        }
        self.seal();
    }

    /// The files that were written since the last call, to be synced by whoever wants to.
    pub fn take_unsynced(&mut self) -> Vec<Arc<File>> {
        std::mem::take(&mut self.unsynced)
    }

    /// Syncs everything that was written.
    pub fn sync(&mut self) -> io::Result<()> {
        self.take_unsynced().iter().try_for_each(|file| file.sync_data())
    }

    /// Notes that entries are gone, as a record in a batch that was written says. Deletes what is not needed any more.
    pub fn forget(&mut self, ids: Range<u64>) {
        let mut first = ids.start;
        while first < ids.end {
            let after = self.segments.partition_point(|segment| segment.first_id <= first);
            // Of a segment that is not there any more.
            let Some(segment) = after.checked_sub(1).and_then(|place| self.segments.get_mut(place)) else {
                return;
            };
            let end = segment.end_id.min(ids.end);
            if end <= first {
                return;
            }
            segment.live = segment.live.saturating_sub(end - first);
            first = end;
        }
    }

    /// Deletes the segments at the front that have nothing any more. One that is being written is spared as long as it
    /// is small.
    pub fn reclaim(&mut self) {
        const SMALL: u64 = 256 << 10;
        while let Some(front) = self.segments.front()
            && front.live == 0
            && (front.is_sealed || front.bytes > SMALL.min(self.options.segment_bytes))
        {
            // What cannot be deleted now is found empty, and deleted, at the next start.
            let _ = fs::remove_file(segment::path(&self.dir, front.number));
            let gone = self.segments.pop_front();
            self.unsynced.retain(|file| !gone.as_ref().is_some_and(|gone| Arc::ptr_eq(file, &gone.file)));
        }
    }

    /// Where the first record is, if there is any.
    pub fn start(&self) -> Option<Cursor> {
        self.segments.front().map(|segment| Cursor { segment: segment.number, offset: HEAD })
    }

    /// Where the next batch of the present segment would be written.
    pub fn end(&self) -> Option<Cursor> {
        self.segments.back().map(|segment| Cursor { segment: segment.number, offset: segment.bytes })
    }

    /// Reads whole records from `at` on, about `want` bytes but never more than one segment has, and says where the next
    /// ones are. `None` at the end. What is damaged is read too: [`Frames`] tells.
    pub fn read(&self, at: Cursor, want: usize) -> io::Result<Option<(Vec<u8>, Cursor)>> {
        let place = self.segments.partition_point(|segment| segment.number < at.segment);
        let Some(segment) = self.segments.get(place) else { return Ok(None) };
        // A segment that was deleted had nothing to read.
        let offset = if segment.number == at.segment { at.offset } else { HEAD };
        if offset >= segment.bytes {
            let Some(next) = self.segments.get(place + 1) else { return Ok(None) };
            return self.read(Cursor { segment: next.number, offset: HEAD }, want);
        }
        let mut want = want as u64;
        loop {
            let length = want.min(segment.bytes - offset);
            let mut bytes = vec![0; length as usize];
            segment.file.read_exact_at(&mut bytes, offset)?;
            let whole = if offset + length == segment.bytes { bytes.len() } else { whole_records(&bytes) };
            if whole > 0 {
                bytes.truncate(whole);
                let next = Cursor { segment: segment.number, offset: offset + whole as u64 };
                return Ok(Some((bytes, next)));
            }
            want = want.saturating_mul(4).max(1 << 16);
        }
    }

    /// Shows every entry that is on disk, gone or not, with where it is.
    pub fn for_each(&self, mut visit: impl FnMut(Cursor, &Entry<'_>)) -> io::Result<()> {
        for segment in &self.segments {
            let bytes = segment.read()?;
            let mut frames = Frames::new(&bytes, 0);
            loop {
                let offset = HEAD + frames.position() as u64;
                match frames.next() {
                    Some(Found::Entry(entry)) => visit(Cursor { segment: segment.number, offset }, &entry),
                    Some(Found::Gone(_) | Found::Damage { .. } | Found::Tail { .. }) => {}
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// The `lanes_version` of the segment with this number. `None` where there is none, or its head is damaged.
    pub fn lanes_version(&self, segment: u64) -> Option<u16> {
        let place = self.segments.partition_point(|found| found.number < segment);
        self.segments.get(place).filter(|found| found.number == segment)?.lanes_version
    }

    /// Whether some entries may lie in lanes that were dealt out in another way than that of this version.
    pub fn has_other_lanes(&self, version: u16) -> bool {
        self.segments.iter().any(|segment| segment.live > 0 && segment.lanes_version != Some(version))
    }

    /// The bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The id after the last that was written.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// The number of segments.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Changes at which size a segment is closed.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Where the last whole record in `bytes` ends.
fn whole_records(bytes: &[u8]) -> usize {
    let mut frames = Frames::new(bytes, 0);
    let mut whole = 0;
    while let Some(found) = frames.next() {
        if !matches!(found, Found::Tail { .. }) {
            whole = frames.position();
        }
    }
    whole
}

/// Makes sure that a file which came into a folder is found there after a power cut.
pub(crate) fn sync_folder(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}
