//! Noticing that something in the rules folders changed.
//!
//! The system tells of most changes (inotify). What it cannot tell of is looked at several times a second: what links lead to
//! elsewhere, folders that are not there yet, certificates elsewhere, and everything where inotify is not to be had.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::content::Identity;
use crate::folder::Walk;

/// How long it must be quiet before a change is told.
pub const QUIET: Duration = Duration::from_millis(100);

/// How long after its first sign a change is told at the latest, quiet or not.
pub const PATIENCE: Duration = Duration::from_millis(300);

/// How often to look at what the system does not tell of.
pub const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How much of its time the watch may spend on looking, as one part of so many: where there is much to look at, it looks
/// less often.
const POLL_SHARE: u32 = 50;

/// Watches folders until it is dropped, on a thread of its own, which the drop ends and joins.
#[derive(Debug)]
pub struct Watch {
    sender: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    /// The system told of a change.
    Changed,
    /// Look at these files too.
    Files(Vec<PathBuf>),
    Stop,
}

impl Watch {
    /// Calls `on_change` after changes in `dirs` and what lies in them, once for a burst of them; it runs on the watching
    /// thread, which waits for it. Changes that happen after this returns are not missed, so read the folders after it.
    ///
    /// A folder may be missing, appear, and be replaced. Fails only when no thread can be had.
    pub fn start(dirs: Vec<PathBuf>, on_change: impl FnMut() + Send + 'static) -> std::io::Result<Watch> {
        let (sender, receiver) = channel();
        let mut watching = Watching::new(dirs, sender.clone());
        watching.arm();
        watching.look();
        let thread = std::thread::Builder::new()
            .name("watch-rules".to_owned())
            .spawn(move || watching.keep_on(&receiver, on_change))?;
        Ok(Watch { sender, thread: Some(thread) })
    }

    /// Looks at these files too from now on, in place of those named before: certificates and the like, which settings
    /// refer to and which may lie anywhere. A file that was not named before counts as a change, since it may have changed
    /// between being read and being named.
    pub fn set_files(&self, files: Vec<PathBuf>) {
        // The thread ends when it is dropped.
        let _ = self.sender.send(Message::Files(files));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.sender.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watching {
    dirs: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// `None` where the system offers no such service, or refused once.
    watcher: Option<RecommendedWatcher>,
    /// What is watched, with the folder it was when the watch began.
    watches: Vec<Watched>,
    /// What is looked at, and what it was the last time.
    seen: Vec<(PathBuf, Option<Identity>)>,
    /// Set while a message of a change is under way, so that a thousand changes make one.
    pending: Arc<AtomicBool>,
}

struct Watched {
    dir: PathBuf,
    mode: RecursiveMode,
    /// Device and inode; `None` while it is not watched.
    watched: Option<(u64, u64)>,
}

impl Watching {
    fn new(dirs: Vec<PathBuf>, sender: Sender<Message>) -> Watching {
        let dirs: Vec<PathBuf> =
            dirs.into_iter().map(|dir| std::path::absolute(&dir).unwrap_or(dir)).collect();
        let pending = Arc::new(AtomicBool::new(false));
        let watches = watches_of(&dirs);
        let watcher = {
            let (dirs, pending) = (dirs.clone(), Arc::clone(&pending));
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if concerns(&event, &dirs) && !pending.swap(true, Ordering::AcqRel) {
                    let _ = sender.send(Message::Changed);
                }
            })
        };
        Watching { dirs, files: Vec::new(), watcher: watcher.ok(), watches, seen: Vec::new(), pending }
    }

    /// Watches until it is told to stop. After a panic it begins anew, with what may have changed meanwhile.
    fn keep_on(mut self, receiver: &Receiver<Message>, mut on_change: impl FnMut()) {
        const WHAT: &str = "the watch over the folders";
        let mut burst = None;
        while supervise::caught(WHAT, || self.run(receiver, &mut on_change, burst)).is_err() {
            std::thread::sleep(supervise::PAUSE);
            burst = Some(Burst::with(None, Instant::now()));
        }
    }

    fn run(&mut self, receiver: &Receiver<Message>, on_change: &mut impl FnMut(), mut burst: Option<Burst>) {
        let mut next_look = Instant::now() + POLL_INTERVAL;
        let mut looked_for = Duration::ZERO;
        loop {
            let deadline = burst.map_or(next_look, |burst| burst.told_at().min(next_look));
            let message = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let now = Instant::now();
            match message {
                Ok(Message::Changed) => {
                    self.pending.store(false, Ordering::Release);
                    burst = Some(Burst::with(burst, now));
                }
                // Nothing is looked at that was not before, and what was has its turn.
                Ok(Message::Files(files)) if files == self.files => {}
                Ok(Message::Files(files)) => {
                    // What changed meanwhile must not be taken in unseen.
                    if self.differs() || files.iter().any(|file| !self.files.contains(file)) {
                        burst = Some(Burst::with(burst, now));
                    }
                    self.files = files;
                    self.look();
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if now >= next_look {
                if self.arm() | self.differs() {
                    self.look();
                    burst = Some(Burst::with(burst, now));
                } else {
                    looked_for = now.elapsed();
                }
                next_look = now + POLL_INTERVAL.max(looked_for * POLL_SHARE);
            }
            if burst.is_some_and(|burst| now >= burst.told_at()) {
                burst = None;
                // Before the call: what changes from here on is a change of its own.
                self.arm();
                self.look();
                // Tried again at the next change, and not before: it may well break off each time.
                let _ = supervise::caught("what follows a change of the folders", &mut *on_change);
            }
        }
    }

    /// Watches what is there and not watched yet, or is another folder than it was. Whether there was any such.
    fn arm(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let mut changed = false;
        for watched in &mut self.watches {
            let present = std::fs::metadata(&watched.dir).ok().filter(std::fs::Metadata::is_dir);
            let present = present.map(|dir| (dir.dev(), dir.ino()));
            if present == watched.watched {
                continue;
            }
            changed = true;
            if watched.watched.take().is_some() {
                // The system has often dropped the watch with the folder by itself.
                let _ = watcher.unwatch(&watched.dir);
            }
            if present.is_some() && watcher.watch(&watched.dir, watched.mode).is_ok() {
                watched.watched = present;
            } else if present.is_some() && watched.mode == RecursiveMode::Recursive {
                // Too many watches on this machine, most likely: from here on everything is looked at.
                self.watcher = None;
                return true;
            }
        }
        changed
    }

    /// Takes in what there is to look at, and what it is now.
    fn look(&mut self) {
        let walk = Walk::over(&self.dirs);
        let mut paths = walk.linked;
        // What a link leads to within the folders, the system tells of: the files of a ConfigMap are all links.
        if self.watcher.is_some() {
            let roots: Vec<PathBuf> = self.dirs.iter().filter_map(|dir| dir.canonicalize().ok()).collect();
            let is_inside = |path: &PathBuf| {
                path.canonicalize().is_ok_and(|real| roots.iter().any(|root| real.starts_with(root)))
            };
            paths.retain(|path| !is_inside(path));
        }
        if self.watcher.is_none() {
            paths = walk.dirs;
            paths.extend(walk.files.into_iter().map(|(path, _)| path));
        }
        paths.extend(self.dirs.iter().cloned());
        paths.extend(self.files.iter().cloned());
        let with_identity = |path: PathBuf| {
            let now = Identity::of(&path);
            (path, now)
        };
        self.seen = paths.into_iter().map(with_identity).collect();
    }

    /// Whether something is no longer what it was when it was last taken in.
    fn differs(&self) -> bool {
        self.seen.iter().any(|(path, before)| Identity::of(path) != *before)
    }
}

/// Changes that come shortly after one another.
#[derive(Clone, Copy)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl Burst {
    fn with(burst: Option<Burst>, now: Instant) -> Burst {
        Burst { first: burst.map_or(now, |burst| burst.first), last: now }
    }

    fn told_at(self) -> Instant {
        (self.last + QUIET).min(self.first + PATIENCE)
    }
}

/// The folders with all below them, and their parents alone, which tell when a folder appears or is replaced.
fn watches_of(dirs: &[PathBuf]) -> Vec<Watched> {
    let watched = |dir: &Path, mode| Watched { dir: dir.to_owned(), mode, watched: None };
    let mut watches: Vec<Watched> = Vec::new();
    for dir in dirs {
        let lies_in_another = dirs.iter().any(|other| dir != other && dir.starts_with(other));
        if !lies_in_another && !watches.iter().any(|watched| watched.dir == *dir) {
            watches.push(watched(dir, RecursiveMode::Recursive));
        }
    }
    for parent in dirs.iter().filter_map(|dir| dir.parent()) {
        let is_watched = watches.iter().any(|watched| watched.dir == parent);
        if !is_watched && !dirs.iter().any(|dir| parent.starts_with(dir)) {
            watches.push(watched(parent, RecursiveMode::NonRecursive));
        }
    }
    watches
}

/// Whether an event may mean a change of what the folders hold. Reading them makes events too, which do not.
fn concerns(event: &notify::Result<notify::Event>, dirs: &[PathBuf]) -> bool {
    // An error, or a note that events were lost, may mean anything.
    let Ok(event) = event else { return true };
    let reads_only = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => false,
    };
    let elsewhere = !event.paths.is_empty()
        && !event.paths.iter().any(|path| dirs.iter().any(|dir| path.starts_with(dir)));
    event.need_rescan() || !(reads_only || elsewhere)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc::Receiver;

    use super::*;

    struct Watched {
        dir: tempfile::TempDir,
        watch: Watch,
        changes: Receiver<Instant>,
    }

    impl Watched {
        /// Watches `rules` in a new folder, which `prepare` fills.
        fn new(prepare: impl FnOnce(&Path)) -> Watched {
            let dir = tempfile::tempdir().unwrap();
            prepare(dir.path());
            let (sender, changes) = channel();
            let watch = Watch::start(vec![dir.path().join("rules")], move || {
                let _ = sender.send(Instant::now());
            });
            Watched { dir, watch: watch.unwrap(), changes }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.at(name), text).unwrap();
        }

        /// Waits until a change is told.
        fn told(&self, what: &str) -> Instant {
            self.changes.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("not told: {what}"))
        }

        /// Waits until nothing is told any more; how often something was.
        fn quiet(&self) -> u128 {
            let mut told = 0;
            while self.changes.recv_timeout(PATIENCE * 2).is_ok() {
                told += 1;
            }
            told
        }

        /// Waits until a change is told that was read with the file as it now is: a burst may be told in two.
        fn told_until(&self, what: &str, condition: impl Fn() -> bool) {
            self.told(what);
            while !condition() {
                self.told(what);
            }
        }
    }

    fn rules(dir: &Path) {
        fs::create_dir(dir.join("rules")).unwrap();
    }

    #[test]
    fn a_burst_is_told_once_and_soon() {
        let watched = Watched::new(rules);
        let begin = Instant::now();
        for n in 0..50 {
            watched.write(&format!("rules/{n}.sql"), "SELECT");
        }
        let told = watched.told("fifty files");
        assert!(told >= begin + QUIET, "not before it is quiet");
        let more = watched.quiet();
        // However busy the machine, two signals are at least so far apart.
        let bound = begin.elapsed().as_millis() / QUIET.as_millis();
        assert!(more < bound, "{more} more, where {bound} were possible");
    }

    #[test]
    fn what_breaks_off_after_a_change_is_called_at_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        rules(dir.path());
        let (sender, changes) = channel();
        let watch = Watch::start(vec![dir.path().join("rules")], move || {
            let _ = sender.send(());
            panic!("as bugs do");
        });
        for text in ["1", "22", "333"] {
            fs::write(dir.path().join("rules/a.sql"), text).unwrap();
            changes.recv_timeout(Duration::from_secs(20)).expect("told");
        }
        drop(watch.unwrap());
    }

    #[test]
    fn reading_is_no_change() {
        let watched = Watched::new(rules);
        watched.write("rules/a.sql", "1");
        watched.told("created");
        watched.quiet();
        assert_eq!(crate::Snapshot::read(&[watched.at("rules")]).files.len(), 1);
        assert_eq!(watched.quiet(), 0);
    }

    #[test]
    fn whatever_editors_do_is_seen() {
        let watched = Watched::new(rules);
        watched.write("rules/a.sql", "1");
        watched.told("created");
        watched.write("rules/.a.sql.swp", "2");
        fs::rename(watched.at("rules/.a.sql.swp"), watched.at("rules/a.sql")).unwrap();
        watched.told("renamed over");
        fs::remove_file(watched.at("rules/a.sql")).unwrap();
        watched.told("deleted");
    }

    #[test]
    fn new_folders_are_watched() {
        let watched = Watched::new(rules);
        fs::create_dir_all(watched.at("rules/x/y")).unwrap();
        watched.told("new folder");
        watched.write("rules/x/y/a.sql", "1");
        watched.told("file in a new folder");
    }

    #[test]
    fn the_folder_itself_may_come_and_go() {
        let watched = Watched::new(|_| ());
        fs::create_dir(watched.at("rules")).unwrap();
        watched.told("folder created");
        watched.write("rules/a.sql", "1");
        watched.told("file in it");
        fs::remove_dir_all(watched.at("rules")).unwrap();
        watched.told("folder deleted");
        fs::create_dir(watched.at("rules")).unwrap();
        watched.write("rules/a.sql", "2");
        watched.told("folder recreated");
        // A burst that was told in two leaves a signal behind; empty the channel before the last step.
        watched.quiet();
        watched.write("rules/a.sql", "3");
        watched.told("file in the new folder");
    }

    #[test]
    fn links_are_seen_through() {
        let watched = Watched::new(|dir| {
            rules(dir);
            fs::create_dir_all(dir.join("rules/..1")).unwrap();
            fs::write(dir.join("rules/..1/a.sql"), "1").unwrap();
            symlink("..1", dir.join("rules/..data")).unwrap();
            symlink("..data/a.sql", dir.join("rules/a.sql")).unwrap();
            fs::create_dir(dir.join("elsewhere")).unwrap();
            fs::write(dir.join("elsewhere/b.sql"), "1").unwrap();
            symlink("../elsewhere/b.sql", dir.join("rules/b.sql")).unwrap();
        });
        // As a ConfigMap is replaced.
        fs::create_dir(watched.at("rules/..2")).unwrap();
        watched.write("rules/..2/a.sql", "2");
        symlink("..2", watched.at("rules/..tmp")).unwrap();
        fs::rename(watched.at("rules/..tmp"), watched.at("rules/..data")).unwrap();
        let read = |name: &str| fs::read_to_string(watched.at(name)).unwrap();
        watched.told_until("config map", || read("rules/a.sql") == "2");
        watched.quiet();
        watched.write("elsewhere/b.sql", "22");
        watched.told("the target of a link");
    }

    #[test]
    fn files_elsewhere_are_looked_at() {
        let watched = Watched::new(rules);
        watched.watch.set_files(vec![watched.at("ca.pem")]);
        watched.told("newly named");
        watched.watch.set_files(vec![watched.at("ca.pem")]);
        watched.write("ca.pem", "1");
        watched.told("a certificate");
    }

    #[test]
    fn without_inotify_everything_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        rules(dir.path());
        let (sender, _receiver) = channel();
        let mut watching = Watching::new(vec![dir.path().join("rules")], sender);
        watching.watcher = None;
        watching.look();
        assert!(!watching.differs());
        fs::write(dir.path().join("rules/a.sql"), "1").unwrap();
        assert!(watching.differs(), "a new file changes its folder");
        watching.look();
        fs::write(dir.path().join("rules/a.sql"), "22").unwrap();
        assert!(watching.differs());
    }

    #[test]
    fn nested_and_repeated_folders_are_watched_once() {
        let dirs = ["/a/rules", "/a/rules/x", "/a/more", "/a/more"].map(PathBuf::from);
        let watches = watches_of(&dirs);
        let shown: Vec<_> = watches.iter().map(|w| (w.dir.to_str().unwrap(), w.mode)).collect();
        let (all, alone) = (RecursiveMode::Recursive, RecursiveMode::NonRecursive);
        assert_eq!(shown, [("/a/rules", all), ("/a/more", all), ("/a", alone)]);
    }
}
