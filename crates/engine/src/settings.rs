//! What holds for all rules: the settings of `GET` and `PUT /api/v5/rule_engine`, kept in the data folder.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use config::store::{Store, StoreError};
use config::{Field, FieldDefault, FieldKind, Section, Settings, field};
use diagnostic::Diagnostic;
use parking_lot::Mutex;

use crate::view::{Finding, WriteError};

/// The settings that hold for all rules.
pub static RULE_ENGINE_FIELDS: &[Field] = &[field(
    "ignore_sys_message",
    FieldKind::Bool,
    FieldDefault::Bool(true),
    "Whether rules hear nothing of what is published below `$SYS/`, even where their FROM would match it.",
)];

/// The settings in force. Read at every event, so what that needs is in an atomic.
pub(crate) struct RuleEngineSettings {
    store: Store,
    ignore_sys_message: AtomicBool,
    /// As they were given. The lock also keeps two writers from mixing file and memory.
    given: Mutex<Section>,
}

impl RuleEngineSettings {
    /// Those of the data folder; the defaults where there are none, or where somebody has spoilt the file.
    pub(crate) fn open(store: Store) -> Self {
        let settings =
            Self { store, ignore_sys_message: AtomicBool::new(true), given: Mutex::new(Section::default()) };
        let mut diagnostics = Vec::new();
        let section = match settings.store.rule_engine() {
            Some(text) => Section::parse_toml(&text, &mut diagnostics),
            None => Section::default(),
        };
        let checked = check(&section, &mut diagnostics);
        if diagnostics.iter().any(Diagnostic::is_error) {
            tracing::error!("the stored settings of the rule engine are spoilt, so the defaults hold");
        } else {
            settings.adopt(&checked);
            *settings.given.lock() = section;
        }
        settings
    }

    /// With defaults filled in, as a JSON object.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        check(&self.given.lock(), &mut Vec::new()).to_json()
    }

    /// Checks, stores and adopts; what is left out goes back to its default. Touches the disk.
    pub(crate) fn replace(&self, section: Section) -> Result<(), WriteError> {
        let mut diagnostics = Vec::new();
        let checked = check(&section, &mut diagnostics);
        if diagnostics.iter().any(Diagnostic::is_error) {
            return Err(WriteError::Invalid(Finding::of_body(diagnostics)));
        }
        let mut given = self.given.lock();
        let stored = self.store.put_rule_engine(&section);
        stored.map_err(|error: StoreError| WriteError::Storage(error.to_string()))?;
        self.adopt(&checked);
        *given = section;
        Ok(())
    }

    /// Whether rules hear nothing of `topic`, because it is the broker's own.
    pub(crate) fn ignores(&self, topic: &str) -> bool {
        topic.starts_with("$SYS/") && self.ignore_sys_message.load(Ordering::Relaxed)
    }

    fn adopt(&self, settings: &Settings) {
        self.ignore_sys_message.store(settings.bool("ignore_sys_message"), Ordering::Relaxed);
    }
}

fn check(section: &Section, diagnostics: &mut Vec<Diagnostic>) -> Settings {
    config::check(section, RULE_ENGINE_FIELDS, Path::new(""), diagnostics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(json: &serde_json::Value) -> Section {
        Section::from_json(json.as_object().unwrap())
    }

    #[test]
    fn they_survive_and_go_back_to_their_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RuleEngineSettings::open(Store::open(folder.path()).unwrap());
        let settings = open();
        assert!(settings.ignores("$SYS/brokers") && !settings.ignores("sys/a"));
        settings.replace(section(&serde_json::json!({"ignore_sys_message": false}))).unwrap();
        assert!(!settings.ignores("$SYS/brokers"));
        assert_eq!(open().to_json(), serde_json::json!({"ignore_sys_message": false}));
        let refused = settings.replace(section(&serde_json::json!({"ignore_sys": false})));
        assert!(matches!(refused, Err(WriteError::Invalid(_))));
        settings.replace(Section::default()).unwrap();
        assert!(open().ignores("$SYS/brokers"));
    }

    #[test]
    fn a_spoilt_file_leaves_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rule_engine.toml"), "ignore_sys_message = 7 8").unwrap();
        let settings = RuleEngineSettings::open(Store::open(folder.path()).unwrap());
        assert!(settings.ignores("$SYS/brokers"));
    }
}
