//! What the rules folders hold at one moment.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use diagnostic::{Code, Diagnostic, Source, Span};

use crate::content::{ContentHash, Identity, ReadError, read_file};
use crate::redact::masked;
use crate::text_file::{FileKind, check_name, decode, is_ignored};

/// The most bytes of one file.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The most files and folders in all folders together.
pub const FILES_MAX: usize = 250_000;

/// The most bytes of all files together.
pub const TOTAL_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How deep folders may lie in one another.
pub const DEPTH_MAX: usize = 32;

/// One file of the rules folders.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path, beginning with the folder as it was given.
    pub path: PathBuf,
    /// What it holds.
    pub kind: FileKind,
    /// Its text, with its BOM if it has one.
    pub text: String,
    /// The hash of its bytes.
    pub hash: ContentHash,
}

impl File {
    /// The file's name without its ending; the id of a rule.
    pub fn stem(&self) -> &str {
        self.kind.stem(&self.path)
    }

    /// The folder to which paths in the file are relative.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The file for excerpts in messages, without what sounds like a secret.
    pub fn source(&self) -> Source {
        let text = match self.kind {
            FileKind::Rule => self.text.clone(),
            FileKind::Resources | FileKind::Tests => masked(&self.text),
        };
        Source::new(self.path.display().to_string(), text)
    }
}

/// A problem of a file, or of a folder.
#[derive(Debug, Clone)]
pub struct FileProblem {
    /// The file or folder.
    pub path: PathBuf,
    /// Its text, as far as it could be read: for the excerpt.
    pub text: String,
    /// What is wrong. Its span is in `text`.
    pub diagnostic: Diagnostic,
}

impl FileProblem {
    fn new(path: &Path, diagnostic: Diagnostic) -> FileProblem {
        FileProblem { path: path.to_owned(), text: String::new(), diagnostic }
    }

    /// The file for the excerpt.
    pub fn source(&self) -> Source {
        Source::new(self.path.display().to_string(), masked(&self.text))
    }
}

/// What the folders hold at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The files that could be read, in the order of their paths. Several may claim one id: whoever knows what is loaded
    /// already, and what else declares it, says which of them stays.
    pub files: Vec<File>,
    /// Rule files that are what they were when they were last read ([`Snapshot::read_changed`]).
    pub unchanged: Vec<PathBuf>,
    /// What could not be read, and why.
    pub problems: Vec<FileProblem>,
}

/// The files of rules and tests that were good when they were last read. Such a file says all there is to say about it, so
/// as long as it is the same it need not be read again.
#[derive(Debug, Default)]
pub struct Seen(HashMap<PathBuf, Identity>);

impl Snapshot {
    /// Walks the folders and what lies in them, links followed, and reads every file that is one of ours.
    ///
    /// A file or folder that cannot be read is a problem and stops nothing. A file that two paths lead to is there twice,
    /// a folder only once.
    pub fn read(dirs: &[PathBuf]) -> Snapshot {
        Self::read_changed(dirs, &mut Seen::default())
    }

    /// As [`read`](Snapshot::read), but leaves out what is the same as at the last call with this `seen`. Files of tests
    /// are simply left out then, rules are [`unchanged`](Snapshot::unchanged).
    pub fn read_changed(dirs: &[PathBuf], seen: &mut Seen) -> Snapshot {
        Self::read_at(dirs, seen, SystemTime::now())
    }

    fn read_at(dirs: &[PathBuf], seen: &mut Seen, now: SystemTime) -> Snapshot {
        let Walk { mut files, problems, .. } = Walk::over(dirs);
        files.sort();
        files.dedup();
        let before = std::mem::take(&mut seen.0);
        let mut snapshot = Snapshot { problems, ..Snapshot::default() };
        let mut bytes = 0;
        for (path, kind) in files {
            if bytes > TOTAL_BYTES_MAX {
                let message = format!("the files have more than {} MiB together", TOTAL_BYTES_MAX >> 20);
                snapshot.problems.push(FileProblem::new(&path, too_large(message)));
                break;
            }
            if kind == FileKind::Resources {
                bytes += snapshot.add(path, kind);
                continue;
            }
            // Before it is read: what changes meanwhile is another file than the one that was read.
            let identity = Identity::of(&path).filter(|identity| identity.is_settled(now));
            if let Some(identity) = identity
                && before.get(&path) == Some(&identity)
            {
                bytes += identity.bytes as usize;
                seen.0.insert(path.clone(), identity);
                if kind == FileKind::Rule {
                    snapshot.unchanged.push(path);
                }
                continue;
            }
            let good = snapshot.files.len();
            bytes += snapshot.add(path, kind);
            if let (Some(identity), Some(file)) = (identity, snapshot.files.get(good)) {
                seen.0.insert(file.path.clone(), identity);
            }
        }
        snapshot
    }

    /// One number for everything the folders hold: equal when nothing changed.
    pub fn hash(&self) -> ContentHash {
        let mut text = String::new();
        for file in &self.files {
            text.push_str(&format!("{} {:?}\n", file.hash, file.path));
        }
        for problem in &self.problems {
            text.push_str(&format!("{:?} {}\n", problem.path, problem.diagnostic.message));
        }
        ContentHash::of(text.as_bytes())
    }

    /// Reads one file; the number of bytes it adds.
    fn add(&mut self, path: PathBuf, kind: FileKind) -> usize {
        let bytes = match read_file(&path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            // Taken away since the folder was listed, as editors do: it is simply not there.
            Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => {
                return 0;
            }
            Err(error) => {
                self.problems.push(unreadable(&path, &error));
                return 0;
            }
        };
        let (hash, len) = (ContentHash::of(&bytes), bytes.len());
        let (text, not_text) = decode(bytes);
        let bad_name = match kind {
            FileKind::Rule | FileKind::Tests => {
                check_name("rule id", kind.stem(&path), Span::default()).err()
            }
            FileKind::Resources => None,
        };
        match not_text.or(bad_name) {
            Some(diagnostic) => self.problems.push(FileProblem { path, text, diagnostic }),
            None => self.files.push(File { path, kind, text, hash }),
        }
        len
    }
}

/// A walk through folders that follows links and enters no folder twice, so that a link to its own parent ends.
#[derive(Default)]
pub(crate) struct Walk {
    seen: HashSet<PathBuf>,
    names: usize,
    /// The files that are ours.
    pub(crate) files: Vec<(PathBuf, FileKind)>,
    /// Every folder.
    pub(crate) dirs: Vec<PathBuf>,
    /// The files and folders among those that a link leads to, or that lie below such a folder.
    pub(crate) linked: Vec<PathBuf>,
    problems: Vec<FileProblem>,
}

impl Walk {
    /// Walks all of `dirs`.
    pub(crate) fn over(dirs: &[PathBuf]) -> Walk {
        let mut walk = Walk::default();
        dirs.iter().for_each(|dir| walk.dir(dir, 0, false));
        walk
    }

    fn dir(&mut self, dir: &Path, depth: usize, linked: bool) {
        let listed = std::fs::canonicalize(dir).and_then(|real| Ok((real, std::fs::read_dir(dir)?)));
        let entries = match listed {
            Ok((real, _)) if self.seen.contains(&real) => return,
            Ok((real, entries)) => {
                self.seen.insert(real);
                entries
            }
            Err(error) => return self.problems.push(unreadable(dir, &ReadError::Io(error))),
        };
        if depth > DEPTH_MAX {
            let message = format!("the folder lies more than {DEPTH_MAX} folders deep");
            return self.problems.push(FileProblem::new(dir, unreadable_because(message)));
        }
        self.dirs.push(dir.to_owned());
        let mut listed = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => {
                    let name = entry.file_name();
                    if name.to_str().is_some_and(|name| !is_ignored(name)) {
                        listed.push((name, entry));
                    }
                }
                Err(error) => self.problems.push(unreadable(dir, &ReadError::Io(error))),
            }
            if self.names + listed.len() > FILES_MAX {
                break;
            }
        }
        // In the order of names, so that what comes of the walk is in the order of paths.
        listed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (_, entry) in listed {
            self.entry(&entry, depth, linked);
            if self.names > FILES_MAX {
                return;
            }
        }
    }

    fn entry(&mut self, entry: &std::fs::DirEntry, depth: usize, linked: bool) {
        let path = entry.path();
        self.names += 1;
        if self.names == FILES_MAX + 1 {
            let message =
                format!("there are more than {FILES_MAX} files and folders; this and others are not read");
            return self.problems.push(FileProblem::new(&path, too_large(message)));
        }
        // The listing tells what an entry is, but not what a link leads to.
        let kind = entry.file_type();
        let is_link = kind.as_ref().is_ok_and(std::fs::FileType::is_symlink);
        let linked = linked || is_link;
        let is_dir = match kind {
            Ok(kind) if !is_link => kind.is_dir(),
            _ => path.is_dir(),
        };
        if is_dir {
            self.dir(&path, depth + 1, linked);
        } else if let Some(kind) = FileKind::of(&path) {
            self.files.push((path.clone(), kind));
        } else {
            return;
        }
        if linked {
            self.linked.push(path);
        }
    }
}

fn unreadable(path: &Path, error: &ReadError) -> FileProblem {
    let diagnostic = match error {
        ReadError::TooLarge(_) => too_large(format!("the file has more than {} MiB", FILE_BYTES_MAX >> 20)),
        ReadError::NotAFile => {
            unreadable_because("cannot be read".to_owned()).note("it is neither a file nor a folder")
        }
        ReadError::Io(error) if error.kind() == ErrorKind::NotFound => {
            unreadable_because("there is no such file or folder".to_owned())
        }
        ReadError::Io(error) => unreadable_because("cannot be read".to_owned()).note(error.to_string()),
    };
    FileProblem::new(path, diagnostic)
}

fn unreadable_because(message: String) -> Diagnostic {
    Diagnostic::new(Code::Unreadable, Span::default(), message)
}

fn too_large(message: String) -> Diagnostic {
    Diagnostic::new(Code::FileTooLarge, Span::default(), message)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(snapshot: &Snapshot, dir: &Path) -> Vec<String> {
        let name = |file: &File| file.path.strip_prefix(dir).unwrap().display().to_string();
        snapshot.files.iter().map(name).collect()
    }

    fn problems(snapshot: &Snapshot, dir: &Path) -> Vec<String> {
        let line = |p: &FileProblem| {
            let message = p.diagnostic.message.replace(&format!("{}/", dir.display()), "");
            format!("{}: {} {message}", p.path.strip_prefix(dir).unwrap().display(), p.diagnostic.code)
        };
        snapshot.problems.iter().map(line).collect()
    }

    #[test]
    fn ours_are_read_and_others_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["plant/line", ".git", "old~"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for name in ["b.sql", "a.sql", "plant/line/c.sql", "cloud.toml", "a.test.toml"] {
            fs::write(at(name), name).unwrap();
        }
        for name in [".git/x.sql", "old~/x.sql", ".x.sql", "x.sql~", "README.md", "x.sql.swp"] {
            fs::write(at(name), name).unwrap();
        }
        let snapshot = Snapshot::read(&[dir.path().to_owned(), at("plant")]);
        assert_eq!(
            names(&snapshot, dir.path()),
            ["a.sql", "a.test.toml", "b.sql", "cloud.toml", "plant/line/c.sql"]
        );
        assert_eq!(problems(&snapshot, dir.path()), [""; 0]);
        assert_eq!((snapshot.files[0].stem(), snapshot.files[0].text.as_str()), ("a", "a.sql"));

        let hash = snapshot.hash();
        fs::write(at("a.sql"), "a.sql").unwrap();
        let again = || Snapshot::read(&[dir.path().to_owned()]).hash();
        assert_eq!(hash, again(), "the same content is no change");
        fs::write(at("a.sql"), "other").unwrap();
        assert_ne!(hash, again());
    }

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a.sql", "b.sql", "c.test.toml", "d.toml"] {
            fs::write(at(name), name).unwrap();
        }
        let dirs = [dir.path().to_owned()];
        let mut seen = Seen::default();
        let read = |seen: &mut Seen, later: u64| {
            let now = SystemTime::now() + std::time::Duration::from_secs(later);
            let snapshot = Snapshot::read_at(&dirs, seen, now);
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            (names(&snapshot, dir.path()), snapshot.unchanged.iter().map(name).collect::<Vec<_>>())
        };
        let all: Vec<String> = ["a.sql", "b.sql", "c.test.toml", "d.toml"].map(str::to_owned).into();
        assert_eq!(read(&mut seen, 0), (all.clone(), vec![]));
        assert_eq!(read(&mut seen, 0), (all.clone(), vec![]), "they are too young to be trusted");
        assert_eq!(read(&mut seen, 5), (all, vec![]), "they were when they were read");
        let (resources, rules) = (vec!["d.toml".to_owned()], vec!["a.sql".to_owned(), "b.sql".to_owned()]);
        assert_eq!(read(&mut seen, 5), (resources, rules), "resources are always read");
        fs::write(at("b.sql"), "B.sql").unwrap();
        fs::remove_file(at("a.sql")).unwrap();
        let changed = vec!["b.sql".to_owned(), "d.toml".to_owned()];
        assert_eq!(read(&mut seen, 5), (changed, vec![]));
        fs::write(at("a.sql"), "a.sql").unwrap();
        assert_eq!(read(&mut seen, 5).1, ["b.sql"], "what was gone is read when it is back");
    }

    #[test]
    fn links_are_followed_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("..2024")).unwrap();
        fs::write(at("..2024/a.sql"), "SELECT 1").unwrap();
        symlink("..2024", at("..data")).unwrap();
        symlink("..data/a.sql", at("a.sql")).unwrap();
        symlink(".", at("loop")).unwrap();
        symlink("nowhere", at("gone.sql")).unwrap();
        let snapshot = Snapshot::read(&[dir.path().to_owned()]);
        assert_eq!(names(&snapshot, dir.path()), ["a.sql"]);
        assert_eq!(problems(&snapshot, dir.path()), ["gone.sql: E411 there is no such file or folder"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_and_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("big.sql"), vec![b' '; FILE_BYTES_MAX as usize + 1]).unwrap();
        fs::write(at("latin.sql"), b"-- \xe9\nSELECT").unwrap();
        fs::write(at("a b.sql"), "SELECT").unwrap();
        fs::write(at("good.sql"), "SELECT").unwrap();
        let snapshot = Snapshot::read(&[dir.path().to_owned(), at("missing")]);
        assert_eq!(names(&snapshot, dir.path()), ["good.sql"]);
        assert_eq!(
            problems(&snapshot, dir.path()),
            [
                "missing: E411 there is no such file or folder",
                "a b.sql: E410 `a b` cannot be a rule id",
                "big.sql: E414 the file has more than 1 MiB",
                "latin.sql: E406 byte 3 of the file is not UTF-8",
            ]
        );
    }
}
