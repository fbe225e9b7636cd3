//! Reading files within bounds, and knowing content by its hash.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// SHA-256 of a file's bytes: a file is known by its content, not by its time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> ContentHash {
        ContentHash(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What tells whether a file is still the one it was, without reading it. The time of its last change of any kind cannot be
/// set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    place: (u64, u64),
    pub(crate) bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// That of the file at `path`, links followed; `None` where there is none.
    pub(crate) fn of(path: &Path) -> Option<Identity> {
        let file = std::fs::metadata(path).ok()?;
        Some(Identity {
            place: (file.dev(), file.ino()),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }

    /// Whether a further change would show. One that follows at once may fall into the same tick of the file system's
    /// clock.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        const SETTLED_AFTER: Duration = Duration::from_secs(2);
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .is_ok_and(|age| age > SETTLED_AFTER)
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A folder, pipe, socket or device: reading one could block for ever.
    #[error("it is not a file")]
    NotAFile,
    /// More bytes than allowed.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
}

/// Reads a regular file, links followed, of at most `bytes_max` bytes.
pub fn read_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    // Asked before the file is opened: opening a pipe waits for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max { Err(ReadError::TooLarge(bytes_max)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_has_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_file(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_file(&path, 4), Err(ReadError::TooLarge(4))));
        assert!(matches!(read_file(dir.path(), 4), Err(ReadError::NotAFile)));
        assert!(matches!(read_file(&dir.path().join("none"), 4), Err(ReadError::Io(_))));
    }

    #[test]
    fn a_hash_prints_as_sha256sum_does() {
        let printed = ContentHash::of(b"").to_string();
        assert_eq!(printed, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
