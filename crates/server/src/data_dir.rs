//! The data folder, which one process has to itself.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

/// Holds the data folder until it is dropped, or the process dies.
#[derive(Debug)]
pub(crate) struct DataDir {
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is not there, and locks it.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let lock = File::create(dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::WouldBlock, "another sluicegate is using it"))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
