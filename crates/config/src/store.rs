//! What REST creates, kept in the data folder in the formats of the rules folder, one file each:
//! `rest/rules/ID.sql` and `rest/resources/CATEGORY.TYPE.NAME.toml`. Copied into a rules folder, they are its files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::content::ContentHash;
use crate::folder::{Seen, Snapshot};
use crate::resource_file::{Category, Declaration};
use crate::rule_file::{RuleFile, rule_text};
use crate::section::Section;
use crate::text_file::is_name;
use crate::toml_text::section_text;

/// Why something could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An id, type or name that is none, and so makes no file name.
    #[error("`{0}` cannot be an id or a name")]
    BadName(String),
    /// A rule id that no file name can hold.
    #[error("a rule id that is stored has at most {RULE_ID_BYTES_MAX} characters")]
    TooLong,
    /// The disk refused.
    #[error("cannot write `{path}`: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// The longest id of a stored rule: with its ending a file name, which has at most 255 bytes.
pub const RULE_ID_BYTES_MAX: usize = 251;

/// The store, below a data folder that one process has to itself. One writer at a time.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    rules: PathBuf,
    resources: PathBuf,
}

impl Store {
    /// The store in `data_dir`; makes its folders, which only their owner may enter, and takes away what a crash left
    /// half written.
    pub fn open(data_dir: &Path) -> Result<Store, StoreError> {
        let root = data_dir.join("rest");
        let store = Store { rules: root.join("rules"), resources: root.join("resources"), root };
        for dir in [&store.rules, &store.resources] {
            // Secrets of REST bodies lie here.
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
            for entry in fs::read_dir(dir).map_err(failed(dir))?.flatten() {
                if entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY)) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(store)
    }

    /// The folder of the store.
    pub fn dir(&self) -> &Path {
        &self.root
    }

    /// What is stored: files as those of a rules folder.
    pub fn read(&self) -> Snapshot {
        self.read_changed(&mut Seen::default())
    }

    /// As [`read`](Store::read), without the rules that are unchanged since the last call with this `seen`.
    pub fn read_changed(&self, seen: &mut Seen) -> Snapshot {
        Snapshot::read_changed(std::slice::from_ref(&self.root), seen)
    }

    /// Stores a rule in place of the one of this id, if there is one. It is on the disk when this returns.
    pub fn put_rule(&self, id: &str, settings: &Section, sql: &str) -> Result<(), StoreError> {
        write_atomically(&self.rule_path(id)?, rule_text(settings, sql).as_bytes())
    }

    /// [`put_rule`](Store::put_rule) for several, all or none: a disk without room for one of them takes none.
    pub fn put_rules(&self, rules: &[(Arc<str>, RuleFile)]) -> Result<(), StoreError> {
        let staged = rules.iter().map(|(id, file)| {
            Staged::write(self.rule_path(id)?, rule_text(&file.section, &file.sql).as_bytes())
        });
        staged.collect::<Result<Vec<_>, _>>()?.into_iter().try_for_each(Staged::put)
    }

    /// Takes a rule away. Whether it was there.
    pub fn delete_rule(&self, id: &str) -> Result<bool, StoreError> {
        delete(&self.rule_path(id)?)
    }

    /// Stores a connector, source or action in place of the one of this name, if there is one. It is on the disk when this
    /// returns.
    pub fn put_resource(&self, declaration: &Declaration) -> Result<(), StoreError> {
        let path = self.resource_path(declaration.category, &declaration.kind, &declaration.name)?;
        write_atomically(&path, declaration.to_toml().as_bytes())
    }

    /// Takes a connector, source or action away. Whether it was there.
    pub fn delete_resource(&self, category: Category, kind: &str, name: &str) -> Result<bool, StoreError> {
        delete(&self.resource_path(category, kind, name)?)
    }

    /// The settings that hold for all rules, as they were stored: TOML.
    pub fn rule_engine(&self) -> Option<String> {
        fs::read_to_string(self.rule_engine_path()).ok()
    }

    /// Stores the settings that hold for all rules. They are on the disk when this returns.
    pub fn put_rule_engine(&self, settings: &Section) -> Result<(), StoreError> {
        write_atomically(&self.rule_engine_path(), section_text(settings).as_bytes())
    }

    /// Beside the folder of the files: they are no file of a rules folder.
    fn rule_engine_path(&self) -> PathBuf {
        self.root.with_file_name("rule_engine.toml")
    }

    /// The file of a rule.
    pub fn rule_path(&self, id: &str) -> Result<PathBuf, StoreError> {
        if id.len() > RULE_ID_BYTES_MAX && is_name(id) {
            return Err(StoreError::TooLong);
        }
        Ok(self.rules.join(format!("{}.sql", named(id)?)))
    }

    /// The file of a connector, source or action.
    pub fn resource_path(&self, category: Category, kind: &str, name: &str) -> Result<PathBuf, StoreError> {
        // A type has no full stop, so that no two resources share a file.
        if kind.contains('.') {
            return Err(StoreError::BadName(kind.to_owned()));
        }
        let mut file = format!("{}.{}.{}.toml", category.singular(), named(kind)?, named(name)?);
        if file.len() > FILE_NAME_BYTES_MAX {
            // The name stands in the file; the file's own name need only be its alone.
            file = format!("{}.{}.toml", category.singular(), ContentHash::of(file.as_bytes()));
        }
        Ok(self.resources.join(file))
    }
}

/// What file systems allow, less what a temporary name adds.
const FILE_NAME_BYTES_MAX: usize = 200;

/// What names of half-written files begin with; such files are ignored wherever files are read.
const TEMPORARY: &str = ".tmp-";

fn named(name: &str) -> Result<&str, StoreError> {
    if is_name(name) { Ok(name) } else { Err(StoreError::BadName(name.to_owned())) }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    |cause| StoreError::Io { path: path.to_owned(), cause }
}

/// Replaces a file so that a crash at any moment leaves the old one or the new one, whole.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    Staged::write(path.to_owned(), bytes)?.put()
}

/// The next content of a file, on the disk beside it; gone again unless it is put in its place.
struct Staged {
    temporary: PathBuf,
    path: PathBuf,
}

impl Staged {
    fn write(path: PathBuf, bytes: &[u8]) -> Result<Self, StoreError> {
        let name = format!("{TEMPORARY}{}", ContentHash::of(path.as_os_str().as_encoded_bytes()));
        let staged = Self { temporary: path.with_file_name(name), path };
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&staged.temporary)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(failed(&staged.path))?;
        Ok(staged)
    }

    fn put(self) -> Result<(), StoreError> {
        let put = || {
            fs::rename(&self.temporary, &self.path)?;
            sync_dir(self.path.parent().unwrap_or(Path::new("")))
        };
        put().map_err(failed(&self.path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Of what was put in its place there is none any more.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn delete(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => sync_dir(path.parent().unwrap_or(Path::new(""))).map(|()| true).map_err(failed(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(path)(error)),
    }
}

/// A rename or removal is on the disk once its folder is.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use diagnostic::Span;

    use super::*;
    use crate::resource_file::parse_resource_file;
    use crate::section::Node;

    fn connector(name: &str, password: &str) -> Declaration {
        let json =
            serde_json::json!({"server": "h", "password": password, "ssl": {"enable": true}, "tags": ["a"]});
        Declaration {
            category: Category::Connector,
            kind: "mqtt".to_owned(),
            kind_span: Span::default(),
            name: name.to_owned(),
            name_span: Span::default(),
            section: Section::from_json(json.as_object().unwrap()),
        }
    }

    fn names(store: &Store) -> Vec<String> {
        let snapshot = store.read();
        assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
        let name = |file: &crate::File| file.path.strip_prefix(store.dir()).unwrap().display().to_string();
        snapshot.files.iter().map(name).collect()
    }

    #[test]
    fn what_is_stored_reads_as_files_do() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data")).unwrap();
        let mut settings = Section::default();
        settings.set("description", Node::str("two\nlines"));
        settings.set("enable", Node::new(crate::NodeValue::Bool(false)));
        store.put_rule("heat", &settings, "SELECT *\nFROM \"t\"").unwrap();
        store.put_resource(&connector("cloud.eu", "p1")).unwrap();
        store.put_resource(&connector("cloud.eu", "p2")).unwrap();
        assert_eq!(names(&store), ["resources/connector.mqtt.cloud.eu.toml", "rules/heat.sql"]);

        let snapshot = store.read();
        let read = parse_resource_file(&snapshot.files[0].text, &mut Vec::new());
        assert_eq!(
            (read[0].id().as_str(), &read[0].section),
            ("mqtt:cloud.eu", &connector("cloud.eu", "p2").section)
        );
        let rule = RuleFile::parse(&snapshot.files[1].text, &mut Vec::new());
        assert_eq!(
            (rule.sql.as_str(), rule.description(), rule.enable()),
            ("SELECT *\nFROM \"t\"", "two\nlines", false)
        );
        assert!(!snapshot.files[0].source().text().contains("p2"));

        assert!(store.delete_rule("heat").unwrap() && !store.delete_rule("heat").unwrap());
        assert!(store.delete_resource(Category::Connector, "mqtt", "cloud.eu").unwrap());
        assert_eq!(names(&store), [""; 0]);
    }

    #[test]
    fn only_the_owner_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.put_resource(&connector("cloud", "p")).unwrap();
        let path = store.resource_path(Category::Connector, "mqtt", "cloud").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn half_written_files_are_neither_read_nor_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let half = store.rules.join(format!("{TEMPORARY}heat.sql"));
        fs::write(&half, "SEL").unwrap();
        assert_eq!(names(&store), [""; 0]);
        Store::open(dir.path()).unwrap();
        assert!(!half.exists());
    }

    #[test]
    fn names_stay_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for bad in ["", "../x", "a/b", ".x", "a\0"] {
            assert!(
                matches!(store.put_rule(bad, &Section::default(), ""), Err(StoreError::BadName(_))),
                "{bad}"
            );
            assert!(matches!(
                store.delete_resource(Category::Action, "mqtt", bad),
                Err(StoreError::BadName(_))
            ));
        }
        assert!(matches!(store.resource_path(Category::Action, "a.b", "c"), Err(StoreError::BadName(_))));
        let long = "x".repeat(255);
        assert!(matches!(store.put_rule(&long, &Section::default(), ""), Err(StoreError::TooLong)));
        store.put_rule(&long[..RULE_ID_BYTES_MAX], &Section::default(), "SELECT").unwrap();
        store.put_resource(&connector(&long, "p")).unwrap();
        assert!(store.delete_resource(Category::Connector, "mqtt", &long).unwrap());
    }
}
