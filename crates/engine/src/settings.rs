//! What holds for all rules: the settings of `GET` and `PUT /api/v5/rule_engine`, kept in the data folder.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use config::store::{Store, StoreError};
use config::toml_text::section_text;
use config::{Field, FieldDefault, FieldKind, Section, Settings, field};
use connector::options::without_effect;
use diagnostic::{Code, Diagnostic};
use eval::{JqTime, Surroundings};
use parking_lot::Mutex;

use crate::view::{Finding, WriteError};

/// The settings that hold for all rules.
pub static RULE_ENGINE_FIELDS: &[Field] = &[
    field(
        "ignore_sys_message",
        FieldKind::Bool,
        FieldDefault::Bool(true),
        "Whether rules hear nothing of what is published below `$SYS/`, even where their FROM would match it.",
    ),
    field(
        "jq_function_default_timeout",
        FieldKind::Duration,
        FieldDefault::Text("1s"),
        "How long `jq` may take where the call does not say: at least 1ms, at most 10s.",
    ),
    field(
        "limit_selects_in_namespace",
        FieldKind::Bool,
        FieldDefault::Bool(true),
        "Kept for the reference's files: there are no namespaces.",
    ),
    field(
        "jq_implementation_module",
        FieldKind::OneOf(&["jq_nif", "jq_port"]),
        FieldDefault::Absent,
        "Kept for the reference's files: there is one implementation.",
    ),
    field(
        "ssrf",
        FieldKind::Any,
        FieldDefault::Absent,
        "Refused: it is set under `[ssrf]` in `sluicegate.toml`, where whoever may write rules cannot switch it off.",
    ),
];

/// Settings that are taken and change nothing; their summaries say why.
const WITHOUT_EFFECT: &[&str] = &["limit_selects_in_namespace", "jq_implementation_module"];

/// The settings in force. Read at every event, so what that needs is in an atomic.
pub(crate) struct RuleEngineSettings {
    store: Store,
    surroundings: Arc<Surroundings>,
    ignore_sys_message: AtomicBool,
    /// As they were given. The lock also keeps two writers from mixing file and memory.
    given: Mutex<Section>,
}

impl RuleEngineSettings {
    /// Those of the data folder; the defaults where there are none, or where somebody has spoilt the file.
    pub(crate) fn open(store: Store, surroundings: Arc<Surroundings>) -> Self {
        let settings = Self {
            store,
            surroundings,
            ignore_sys_message: AtomicBool::new(true),
            given: Mutex::new(Section::default()),
        };
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
    pub(crate) fn replace(&self, section: &Section) -> Result<(), WriteError> {
        let mut diagnostics = Vec::new();
        // Read back from its text, so that what is wrong has a place.
        let section = Section::parse_toml(&section_text(section), &mut diagnostics);
        let checked = check(&section, &mut diagnostics);
        if diagnostics.iter().any(Diagnostic::is_error) {
            return Err(WriteError::Invalid(Finding::of_body(diagnostics, &section)));
        }
        for Diagnostic { code, message, help, .. } in diagnostics {
            tracing::warn!(
                "the settings of the rule engine: {code}: {message} ({})",
                help.unwrap_or_default()
            );
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
        self.surroundings.jq_time.set(settings.duration("jq_function_default_timeout"));
    }
}

fn check(section: &Section, diagnostics: &mut Vec<Diagnostic>) -> Settings {
    let settings = config::check(section, RULE_ENGINE_FIELDS, Path::new(""), diagnostics);
    let jq = "jq_function_default_timeout";
    if !(Duration::from_millis(1)..=JqTime::MAX).contains(&settings.duration(jq)) {
        let message = format!("`{jq}` is from 1ms to {} s", JqTime::MAX.as_secs());
        diagnostics.push(Diagnostic::new(Code::OutOfRange, settings.span(jq), message));
    }
    if settings.is_set("ssrf") {
        let message = "`ssrf` is no setting of the rule engine here";
        let help = "write it under `[ssrf]` in `sluicegate.toml`, where whoever may write rules cannot switch it off";
        let diagnostic = Diagnostic::new(Code::UnknownKey, settings.key_span("ssrf"), message);
        diagnostics.push(diagnostic.help(help));
    }
    without_effect(&settings, WITHOUT_EFFECT, diagnostics);
    settings
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
        let surroundings = Arc::new(Surroundings::default());
        let open =
            || RuleEngineSettings::open(Store::open(folder.path()).unwrap(), Arc::clone(&surroundings));
        let settings = open();
        assert!(settings.ignores("$SYS/brokers") && !settings.ignores("sys/a"));
        let written = serde_json::json!({"ignore_sys_message": false, "jq_function_default_timeout": "5s"});
        settings.replace(&section(&written)).unwrap();
        assert!(!settings.ignores("$SYS/brokers"));
        assert_eq!(surroundings.jq_time.get(), Duration::from_secs(5));
        let read = open().to_json();
        assert_eq!(
            (&read["ignore_sys_message"], &read["jq_function_default_timeout"]),
            (&false.into(), &"5s".into())
        );
        let refused = settings.replace(&section(&serde_json::json!({"ignore_sys": false})));
        assert!(matches!(refused, Err(WriteError::Invalid(_))));
        settings.replace(&Section::default()).unwrap();
        assert!(open().ignores("$SYS/brokers"));
        assert_eq!(surroundings.jq_time.get(), JqTime::DEFAULT);
    }

    #[test]
    fn what_is_out_of_place_is_told() {
        for (json, expected) in [
            (serde_json::json!({"jq_function_default_timeout": "11s"}), Code::OutOfRange),
            (serde_json::json!({"ssrf": {"enable": false}}), Code::UnknownKey),
            (serde_json::json!({"limit_selects_in_namespace": false}), Code::IneffectiveSetting),
            (serde_json::json!({"jq_implementation_module": "jq_nif"}), Code::IneffectiveSetting),
        ] {
            let mut diagnostics = Vec::new();
            check(&section(&json), &mut diagnostics);
            let codes: Vec<Code> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
            assert_eq!(codes, [expected], "{json}");
        }
    }

    #[test]
    fn a_spoilt_file_leaves_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rule_engine.toml"), "ignore_sys_message = 7 8").unwrap();
        let settings = RuleEngineSettings::open(Store::open(folder.path()).unwrap(), Arc::default());
        assert!(settings.ignores("$SYS/brokers"));
    }
}
