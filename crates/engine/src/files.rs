//! From folders to units: what has not changed is not read again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::folder::{FileProblem, Seen, Snapshot};
use config::store::Store;
use config::{File, FileKind};
use diagnostic::{Code, Diagnostic, Span};
use rustc_hash::FxHashMap;

use crate::generation::modified_at;
use crate::parse::{Kinds, Text, parse};
use crate::unit::{Items, RuleItem, Unit};
use crate::view::ManagedBy;

/// The newest versions of all files, by path. Whoever chooses paths and ids may write rules, so that a fast hash will do.
pub(crate) type Known = FxHashMap<Arc<Path>, Arc<Unit>>;

/// What need not be read again, of the folders and of the store.
#[derive(Debug, Default)]
pub(crate) struct Unchanged {
    folders: Seen,
    store: Seen,
}

/// Where the set comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    /// The rules folders.
    pub(crate) dirs: Vec<PathBuf>,
    /// Where the API stores what it is told; absent for a mere check.
    pub(crate) store: Option<Store>,
}

impl Origins {
    /// Reads every file that is not what it was. Blocks: touches the disk and compiles SQL.
    pub(crate) fn read(&self, kinds: Kinds, known: &Known, unchanged: &mut Unchanged) -> Vec<Arc<Unit>> {
        let folders = Snapshot::read_changed(&self.dirs, &mut unchanged.folders);
        let mut units = units(folders, kinds, known, from_file);
        if let Some(store) = &self.store {
            let stored = store.read_changed(&mut unchanged.store);
            units.extend(self::units(stored, kinds, known, |_| ManagedBy::Rest));
        }
        units
    }
}

/// Reads the folders alone, and the files of tests in them beside what makes the set.
pub(crate) fn read_folders(dirs: &[PathBuf], kinds: Kinds) -> (Vec<Arc<Unit>>, Vec<File>) {
    let snapshot = Snapshot::read(dirs);
    let tests = snapshot.files.iter().filter(|file| file.kind == FileKind::Tests).cloned().collect();
    (units(snapshot, kinds, &Known::default(), from_file), tests)
}

fn from_file(path: &Arc<Path>) -> ManagedBy {
    ManagedBy::File(Arc::clone(path))
}

fn units(
    snapshot: Snapshot,
    kinds: Kinds,
    known: &Known,
    managed_by: impl Fn(&Arc<Path>) -> ManagedBy,
) -> Vec<Arc<Unit>> {
    let mut units = Vec::with_capacity(snapshot.files.len() + snapshot.unchanged.len());
    let readable: HashSet<&Path> = snapshot.files.iter().map(|file| file.path.as_path()).collect();
    let mut problems: HashMap<PathBuf, Vec<Diagnostic>> = HashMap::new();
    for problem in snapshot.problems {
        if readable.contains(problem.path.as_path()) {
            problems.entry(problem.path).or_default().push(problem.diagnostic);
        } else {
            let path = Arc::from(problem.path.as_path());
            let managed_by = managed_by(&path);
            units.push(Arc::new(unreadable(problem, path, managed_by)));
        }
    }
    // Whatever was read stays known until it is gone.
    units.extend(snapshot.unchanged.iter().filter_map(|path| known.get(path.as_path()).cloned()));
    for file in snapshot.files.into_iter().filter(|file| file.kind != FileKind::Tests) {
        let before = known.get(file.path.as_path());
        // Rules refer to nothing outside of their file. Resources are checked anew each time, since secrets and
        // certificates change behind an unchanged file.
        if let Some(unit) = before.filter(|unit| unit.hash == Some(file.hash) && unit.rule().is_some()) {
            units.push(Arc::clone(unit));
            continue;
        }
        let path = Arc::from(file.path.as_path());
        let text = Text {
            managed_by: managed_by(&path),
            kind: file.kind,
            hash: file.hash,
            source: file.source(),
            text: file.text,
            modified_at: modified_at(&file.path),
            diagnostics: problems.remove(&file.path).unwrap_or_default(),
            path,
        };
        let unit = parse_guarded(text, kinds);
        units.push(match before {
            Some(before) if before.means_the_same(&unit) => Arc::clone(before),
            _ => Arc::new(unit),
        });
    }
    units.sort_by(|a, b| a.path.cmp(&b.path));
    units
}

/// [`parse`], which a mistake of ours in one file does not keep from reading the others.
fn parse_guarded(text: Text, kinds: Kinds) -> Unit {
    let (path, managed_by) = (Arc::clone(&text.path), text.managed_by.clone());
    let (source, hash, modified_at) = (text.source.clone(), text.hash, text.modified_at);
    let what = format!("reading `{}`", path.display());
    supervise::caught(what, || parse(text, kinds)).unwrap_or_else(|panic| {
        let message = format!("the server failed to read this: {panic}");
        let help = "this is a bug of Sluicegate: please report it, with this file";
        let diagnostic = Diagnostic::new(Code::InternalFault, Span::at(0), message).help(help);
        let (items, source) = (items_unread(&path), Arc::new(source));
        Unit { path, managed_by, hash: Some(hash), source, modified_at, items, diagnostics: vec![diagnostic] }
    })
}

fn unreadable(problem: FileProblem, path: Arc<Path>, managed_by: ManagedBy) -> Unit {
    Unit {
        managed_by,
        hash: None,
        source: Arc::new(problem.source()),
        modified_at: modified_at(&problem.path),
        items: items_unread(&path),
        diagnostics: vec![problem.diagnostic],
        path,
    }
}

/// What cannot be read keeps its last good version. Of a rule, the name tells at least which it would be.
fn items_unread(path: &Path) -> Items {
    match FileKind::of(path) {
        Some(FileKind::Rule) => Items::Rule(Box::new(RuleItem::unread(FileKind::Rule.stem(path)))),
        Some(FileKind::Resources | FileKind::Tests) | None => Items::Resources(Vec::new()),
    }
}
