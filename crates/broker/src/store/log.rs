//! The files of the log: `00000001.log` and so on, the highest of which is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::Decoder;
use super::frames::{self, FRAME, Found, Frames, HEADER, Head};
use super::{Image, StoreError};

/// The log, open for writing.
pub(super) struct Log {
    dir: PathBuf,
    file: Arc<File>,
    number: u64,
    /// Bytes of the file that is written, all of them whole frames.
    bytes: u64,
    /// Files before it, with their bytes.
    older: Vec<(u64, u64)>,
}

impl Log {
    /// Reads the files of a folder, oldest first, and begins a new one.
    pub(super) fn open(dir: &Path) -> Result<(Self, Image), StoreError> {
        fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
        let mut numbers = numbers(dir)?;
        numbers.sort_unstable();
        let mut image = Image::default();
        let mut decoder = Decoder::default();
        let mut older = Vec::new();
        for number in &numbers {
            let path = path(dir, *number);
            let bytes = fs::read(&path).map_err(StoreError::io(&path))?;
            read(&path, &bytes, &mut decoder, &mut image)?;
            older.push((*number, bytes.len() as u64));
        }
        let number = numbers.last().map_or(1, |last| last + 1);
        let file = create(dir, number).map_err(StoreError::io(&path(dir, number)))?;
        Ok((Self { dir: dir.to_owned(), file, number, bytes: HEADER as u64, older }, image))
    }

    /// Appends a frame: `frame` has [`FRAME`] bytes of room before its payload. When it fails, nothing was appended, or
    /// what was is torn; then [`Log::rotate`] before the next.
    pub(super) fn append(&mut self, frame: &mut [u8]) -> io::Result<()> {
        if !frames::seal(frame) {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too much at once for one frame"));
        }
        if let Err(error) = (&*self.file).write_all(frame) {
            // Best effort: a torn frame is left out on reading anyway.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Goes on in a new file.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        let number = self.number + 1;
        let file = create(&self.dir, number)?;
        if self.bytes > 0 {
            self.older.push((self.number, self.bytes));
        }
        (self.file, self.number, self.bytes) = (file, number, HEADER as u64);
        Ok(())
    }

    /// Removes the file that is written; then [`Log::rotate`] before the next frame.
    pub(super) fn discard(&mut self) {
        // What cannot be removed is read like any other.
        if fs::remove_file(path(&self.dir, self.number)).is_ok() {
            self.bytes = 0;
        }
    }

    /// Removes the files before `number`, oldest first, so that what is left can always be read from its front.
    pub(super) fn forget_before(&mut self, number: u64) -> io::Result<()> {
        self.older.sort_unstable();
        while let Some((oldest, _)) = self.older.first().filter(|(older, _)| *older < number) {
            match fs::remove_file(path(&self.dir, *oldest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => self.older.remove(0),
            };
        }
        Ok(())
    }

    /// The file that is written.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of that file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of files.
    pub(super) fn files(&self) -> usize {
        self.older.len() + 1
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.older.iter().map(|(_, bytes)| bytes).sum::<u64>()
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

fn numbers(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let name = entry.map_err(StoreError::io(dir))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok());
        numbers.extend(number);
    }
    Ok(numbers)
}

fn create(dir: &Path, number: u64) -> io::Result<Arc<File>> {
    let mut file = OpenOptions::new().append(true).create_new(true).open(path(dir, number))?;
    if let Err(error) = file.write_all(&frames::header(number)) {
        let _ = fs::remove_file(path(dir, number));
        return Err(error);
    }
    // The name of a file is on the disk when its folder is.
    File::open(dir)?.sync_all()?;
    Ok(Arc::new(file))
}

/// Applies what a file says. What is damaged is passed over, and the file is kept aside for whoever wants to look.
fn read(path: &Path, bytes: &[u8], decoder: &mut Decoder, image: &mut Image) -> Result<(), StoreError> {
    match frames::head(bytes) {
        Head::Fine => {}
        Head::Torn => return Ok(()),
        Head::Format(found) => return Err(StoreError::Format { path: path.to_owned(), found }),
        Head::Foreign => return Err(StoreError::Foreign { path: path.to_owned() }),
    }
    let mut lost = 0;
    for found in Frames::new(bytes) {
        match found {
            Found::Frame(payload) => {
                let is_whole = decoder.read(payload, |change| image.apply(change));
                lost += if is_whole { 0 } else { payload.len() + FRAME };
            }
            Found::Damaged(from, to) => lost += to - from,
            Found::Torn(from) => {
                let bytes = bytes.len() - from;
                tracing::warn!(
                    file = %path.display(), bytes,
                    "the last write of sessions and retained messages was not finished: nothing in it was acknowledged"
                );
            }
        }
    }
    if lost > 0 {
        let aside = path.with_extension("damaged");
        let kept = fs::copy(path, &aside).map(|_| aside.display().to_string());
        tracing::error!(
            file = %path.display(), bytes = lost, kept_as = kept.unwrap_or_else(|error| error.to_string()),
            "sessions and retained messages are damaged on the disk: these bytes are lost, everything else was read; \
             check the disk"
        );
    }
    Ok(())
}
