//! One file of a journal.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::frame::u64_at;

const MAGIC: [u8; 8] = *b"SLUICELG";
const VERSION: u16 = 1;
/// The head of a segment (bytes).
pub(crate) const HEAD: u64 = 32;

/// Why a journal cannot be opened. Nothing on disk was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file that is none of ours lies where a segment should.
    #[error("`{}` is no segment of a buffer: move it out of the folder", .0.display())]
    Foreign(PathBuf),
    /// A later release wrote it.
    #[error("`{}` has version {found} of the format, and this release reads version {VERSION}: run the release that wrote it until the buffer is empty, or move the folder away", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it says.
        found: u16,
    },
    /// The disk.
    #[error("`{}` cannot be opened: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// A segment and what is known of its entries.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) file: Arc<File>,
    /// How lanes were dealt out when it was written; `None` with a damaged head.
    pub(crate) lanes_version: Option<u16>,
    /// Up to where it is written.
    pub(crate) bytes: u64,
    /// No entry of it has an id below.
    pub(crate) first_id: u64,
    /// Nor at or above this.
    pub(crate) end_id: u64,
    /// Entries that are not gone.
    pub(crate) live: u64,
    /// Nothing more is written into it.
    pub(crate) is_sealed: bool,
}

impl Segment {
    /// Makes a new file.
    pub(crate) fn create(dir: &Path, number: u64, first_id: u64, lanes_version: u16) -> io::Result<Self> {
        let path = path(dir, number);
        // One that is there already was left by an attempt that failed half way, and has no record.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.write_all_at(&head(number, first_id, lanes_version), 0)?;
        Ok(Self {
            number,
            file: Arc::new(file),
            lanes_version: Some(lanes_version),
            bytes: HEAD,
            first_id,
            end_id: first_id,
            live: 0,
            is_sealed: false,
        })
    }

    /// Opens a file that is there. `None` if its head was never written whole: then there is no record in it.
    pub(crate) fn open(dir: &Path, number: u64, writable: bool) -> Result<Option<Self>, OpenError> {
        let path = path(dir, number);
        let failed = |cause| OpenError::Io { path: path.clone(), cause };
        let file = OpenOptions::new().read(true).write(writable).open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes < HEAD {
            return Ok(None);
        }
        let mut head = [0; HEAD as usize];
        file.read_exact_at(&mut head, 0).map_err(failed)?;
        if head.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let is_whole = head[28..] == checksum(&head).to_le_bytes();
        if head[..8] != MAGIC && !is_whole {
            return Err(OpenError::Foreign(path));
        }
        let found = u16::from_le_bytes([head[8], head[9]]);
        if is_whole && found != VERSION {
            return Err(OpenError::Version { path, found });
        }
        // With a damaged head the records say all there is to know.
        let first_id = if is_whole { u64_at(&head, 12) } else { u64::MAX };
        let segment = Self {
            number,
            file: Arc::new(file),
            lanes_version: is_whole.then(|| u16::from_le_bytes([head[10], head[11]])),
            bytes,
            first_id,
            end_id: if is_whole { first_id } else { 0 },
            live: 0,
            is_sealed: true,
        };
        Ok(Some(segment))
    }

    /// Everything behind the head.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (self.bytes - HEAD) as usize];
        self.file.read_exact_at(&mut bytes, HEAD)?;
        Ok(bytes)
    }
}

fn head(number: u64, first_id: u64, lanes_version: u16) -> [u8; HEAD as usize] {
    let mut head = [0; HEAD as usize];
    head[..8].copy_from_slice(&MAGIC);
    head[8..10].copy_from_slice(&VERSION.to_le_bytes());
    head[10..12].copy_from_slice(&lanes_version.to_le_bytes());
    head[12..20].copy_from_slice(&first_id.to_le_bytes());
    head[20..28].copy_from_slice(&number.to_le_bytes());
    let sum = checksum(&head);
    head[28..].copy_from_slice(&sum.to_le_bytes());
    head
}

fn checksum(head: &[u8; HEAD as usize]) -> u32 {
    crc32fast::hash(&head[8..28])
}

pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.log"))
}

/// Where a segment is written anew before it takes the place of the old one.
pub(crate) fn aside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Removes what a compaction left behind that did not come to its end.
pub(crate) fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for file in std::fs::read_dir(dir)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "new") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The numbers of the segments in a folder, rising.
pub(crate) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(dir)? {
        let name = file?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|stem| stem.len() == 16);
        numbers.extend(number.and_then(|stem| u64::from_str_radix(stem, 16).ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
