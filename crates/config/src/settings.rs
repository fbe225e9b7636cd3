//! The values of a checked section: typed, complete with defaults, each with the place it came from.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::Span;

use crate::field::Field;
use crate::secret::{Secret, SecretOrigin};
use crate::section::{Node, NodeValue, Text};

pub use crate::check::check;
pub(crate) use crate::setting_value::{Anything, Setting, SettingValue};
pub use crate::setting_value::{MapEntry, OrTemplate};

/// A checked section: one value for every declared field.
///
/// A field whose value was wrong holds its default, or the empty value of its kind; its owner looks at the diagnostics
/// before it uses the settings. Two settings are equal when they mean the same: resolved secrets and the content of the
/// files that paths name count, the places and the spelling do not. That decides whether something has changed.
/// `Debug` shows what [`to_json`](Settings::to_json) does.
#[derive(Clone)]
pub struct Settings {
    pub(crate) fields: &'static [Field],
    /// One for each field, in the order of the fields.
    pub(crate) values: Vec<Setting>,
    pub(crate) span: Span,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_json(), f)
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Settings) -> bool {
        self.values.iter().map(|setting| &setting.value).eq(other.values.iter().map(|setting| &setting.value))
    }
}

impl Eq for Settings {}

impl Hash for Settings {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.values.iter().for_each(|setting| setting.value.hash(state));
    }
}

static ABSENT: Setting = Setting {
    value: SettingValue::Absent,
    node: Node::NULL,
    key_span: Span::new(0, 0),
    given: false,
    file: None,
};

static EMPTY: Settings = Settings { fields: &[], values: Vec::new(), span: Span::new(0, 0) };

/// Declares the getters of simple values: one that gives the empty value where there is none, one that gives `None`.
macro_rules! getters {
    ($($(#[$doc:meta])* $get:ident / $opt:ident : $variant:ident -> $type:ty, $empty:expr;)*) => {$(
        $(#[$doc])*
        pub fn $get(&self, name: &str) -> $type {
            self.$opt(name).unwrap_or($empty)
        }

        #[doc = concat!("As [`", stringify!($get), "`](Settings::", stringify!($get), "), `None` if it is absent.")]
        pub fn $opt(&self, name: &str) -> Option<$type> {
            match &self.setting(name).value {
                SettingValue::$variant(value) => Some(*value),
                value => self.no_value(name, value),
            }
        }
    )*};
}

/// Getters take the name that the field declares. Asking for a field that is not declared, or for another kind than it
/// has, is a mistake in the program: a debug build stops, a release build answers as if it were absent.
impl Settings {
    getters! {
        /// A boolean; false if it is absent.
        bool / opt_bool: Bool -> bool, false;
        /// A whole number within the field's bounds; 0 if it is absent.
        int / opt_int: Int -> i64, 0;
        /// A time span; zero if it is absent.
        duration / opt_duration: Duration -> Duration, Duration::ZERO;
        /// A number of bytes; 0 if it is absent.
        bytes / opt_bytes: Bytes -> u64, 0;
        /// One of the field's words; empty if it is absent.
        one_of / opt_one_of: Word -> &'static str, "";
    }

    /// Text, also that of a path as it was written; empty if it is absent.
    pub fn str(&self, name: &str) -> &str {
        self.opt_str(name).unwrap_or_default()
    }

    /// As [`str`](Settings::str), `None` if it is absent.
    pub fn opt_str(&self, name: &str) -> Option<&str> {
        self.text(name).map(|text| text.text)
    }

    /// Text with its place, also that of a path or template as it was written; `None` if it is absent.
    pub fn text(&self, name: &str) -> Option<Text<'_>> {
        let setting = self.setting(name);
        match &setting.value {
            SettingValue::Text(_) | SettingValue::Path(..) => setting.node.as_text(),
            value => self.no_value(name, value),
        }
    }

    /// A template with its place; `None` if it is absent.
    pub fn template(&self, name: &str) -> Option<Text<'_>> {
        self.text(name)
    }

    /// A number, or a template that gives one; `None` if it is absent.
    pub fn int_template(&self, name: &str) -> Option<OrTemplate<'_, i64>> {
        match &self.setting(name).value {
            SettingValue::Int(int) => Some(OrTemplate::Value(*int)),
            _ => self.text(name).map(OrTemplate::Template),
        }
    }

    /// A boolean, or a template that gives one; `None` if it is absent.
    pub fn bool_template(&self, name: &str) -> Option<OrTemplate<'_, bool>> {
        match &self.setting(name).value {
            SettingValue::Bool(b) => Some(OrTemplate::Value(*b)),
            _ => self.text(name).map(OrTemplate::Template),
        }
    }

    /// A time span; `None` for `infinity`, and if it is absent.
    pub fn duration_or_infinity(&self, name: &str) -> Option<Duration> {
        match &self.setting(name).value {
            SettingValue::Infinity => None,
            _ => self.opt_duration(name),
        }
    }

    /// A secret; `None` if it is absent.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        match &self.setting(name).value {
            SettingValue::Secret(secret) => Some(secret),
            value => self.no_value(name, value),
        }
    }

    /// Where a secret comes from, to read it anew; `None` if it is absent.
    pub fn secret_origin(&self, name: &str) -> Option<SecretOrigin> {
        let setting = self.setting(name);
        match (&setting.value, &setting.file) {
            (SettingValue::Secret(_), Some(file)) => Some(SecretOrigin::File(file.clone())),
            (SettingValue::Secret(secret), None) => Some(SecretOrigin::Plain(secret.reveal().to_owned())),
            _ => None,
        }
    }

    /// A path, made absolute against the folder of the file that names it; `None` if it is absent.
    pub fn path(&self, name: &str) -> Option<&Path> {
        match &self.setting(name).value {
            SettingValue::Path(path, _) => Some(path),
            value => self.no_value(name, value),
        }
    }

    /// The items of a list of text; none if it is absent.
    pub fn str_list(&self, name: &str) -> Vec<Text<'_>> {
        match &self.setting(name).value {
            SettingValue::StrList(items) => items.iter().map(MapEntry::text).collect(),
            value => self.no_value(name, value).unwrap_or_default(),
        }
    }

    /// The entries of a table with free keys; none if it is absent.
    pub fn template_map(&self, name: &str) -> &[MapEntry] {
        match &self.setting(name).value {
            SettingValue::Map(entries) => entries,
            value => self.no_value(name, value).unwrap_or_default(),
        }
    }

    /// A value that its owner checks; `None` if it is absent.
    pub fn node(&self, name: &str) -> Option<&Node> {
        match &self.setting(name).value {
            SettingValue::Any(anything) => Some(&anything.0),
            value => self.no_value(name, value),
        }
    }

    /// A table, which must be required or default to [`FieldDefault::Empty`](crate::field::FieldDefault::Empty).
    pub fn table(&self, name: &str) -> &Settings {
        self.opt_table(name).unwrap_or(&EMPTY)
    }

    /// A table; `None` if it is absent.
    pub fn opt_table(&self, name: &str) -> Option<&Settings> {
        match &self.setting(name).value {
            SettingValue::Table(settings) => Some(settings),
            value => self.no_value(name, value),
        }
    }

    /// The tables of a list; none if it is absent.
    pub fn tables(&self, name: &str) -> &[Settings] {
        match &self.setting(name).value {
            SettingValue::Tables(tables) => tables,
            value => self.no_value(name, value).unwrap_or_default(),
        }
    }

    /// Where the value stood; where the section stood, if it was left out.
    pub fn span(&self, name: &str) -> Span {
        self.setting(name).node.span
    }

    /// Where the key stood; where the section stood, if it was left out.
    pub fn key_span(&self, name: &str) -> Span {
        self.setting(name).key_span
    }

    /// Where the section stood.
    pub fn section_span(&self) -> Span {
        self.span
    }

    /// Whether the setting was written, rather than left to its default.
    pub fn is_given(&self, name: &str) -> bool {
        self.setting(name).given
    }

    /// Whether the setting has a value, written or by default.
    pub fn is_set(&self, name: &str) -> bool {
        self.setting(name).value != SettingValue::Absent
    }

    /// Settings in which nothing is declared.
    pub fn empty() -> Settings {
        EMPTY.clone()
    }

    /// Whether both mean the same by this setting. They are settings of the same fields.
    pub fn agrees(&self, other: &Settings, name: &str) -> bool {
        self.setting(name).value == other.setting(name).value
    }

    /// What was declared.
    pub fn fields(&self) -> &'static [Field] {
        self.fields
    }

    /// All settings as JSON: as they were written, defaults filled in, secrets as
    /// [`REDACTED`](crate::secret::REDACTED), absent ones left out.
    pub fn to_json(&self) -> serde_json::Value {
        let shown = self.fields.iter().zip(&self.values).filter(|(_, s)| s.value != SettingValue::Absent);
        shown.map(|(field, setting)| (field.name.to_owned(), setting.to_json())).collect()
    }

    /// The files that paths and secrets among these settings name, there or not: a change of one may be a change of the
    /// settings, which then have to be checked anew.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.collect_files(&mut files);
        files
    }

    /// The files that paths among these settings name, without those that hold secrets.
    pub fn paths(&self) -> Vec<&Path> {
        let inner = self.values.iter().map(|setting| match &setting.value {
            SettingValue::Path(path, _) => vec![path.as_path()],
            SettingValue::Table(settings) => settings.paths(),
            SettingValue::Tables(tables) => tables.iter().flat_map(Settings::paths).collect(),
            _ => Vec::new(),
        });
        inner.flatten().collect()
    }

    fn collect_files(&self, files: &mut Vec<PathBuf>) {
        for setting in &self.values {
            files.extend(setting.file.clone());
            match &setting.value {
                SettingValue::Table(settings) => settings.collect_files(files),
                SettingValue::Tables(tables) => tables.iter().for_each(|table| table.collect_files(files)),
                _ => {}
            }
        }
    }

    fn setting(&self, name: &str) -> &Setting {
        let at = self.fields.iter().position(|field| field.name == name);
        debug_assert!(at.is_some(), "the field `{name}` is not declared");
        at.and_then(|at| self.values.get(at)).unwrap_or(&ABSENT)
    }

    /// The answer of a getter that finds no value of its kind.
    fn no_value<T>(&self, name: &str, value: &SettingValue) -> Option<T> {
        debug_assert!(
            matches!(value, SettingValue::Absent),
            "the field `{name}` is of another kind: {value:?}"
        );
        None
    }
}

/// Whether a text that should be a path holds a private key itself.
pub(crate) fn holds_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

/// Whether a text that should be a path is the content of a certificate or key file, as the reference allows.
pub(crate) fn is_pem(text: &str) -> bool {
    text.contains("-----BEGIN ")
}

impl Node {
    const NULL: Node = Node { value: NodeValue::Null, span: Span::new(0, 0), text_start: None };
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::DefaultHasher;

    use diagnostic::{Code, Diagnostic};

    use super::*;
    use crate::field::{FieldDefault, FieldKind, field};
    use crate::section::Section;

    const SSL: &[Field] = &[
        field("enable", FieldKind::Bool, FieldDefault::Bool(false), ""),
        field("cacertfile", FieldKind::Path, FieldDefault::Absent, ""),
        field("versions", FieldKind::StrList, FieldDefault::Empty, ""),
    ];
    const PARAMETERS: &[Field] = &[
        field("topic", FieldKind::Template, FieldDefault::Required, ""),
        field("qos", FieldKind::IntTemplate { min: 0, max: 2 }, FieldDefault::Int(1), ""),
        field("retain", FieldKind::BoolTemplate, FieldDefault::Bool(false), ""),
        field("user_properties", FieldKind::TemplateMap, FieldDefault::Empty, ""),
    ];
    const IDS: &[Field] = &[
        field("clientid", FieldKind::Str, FieldDefault::Required, ""),
        field("password", FieldKind::Secret, FieldDefault::Absent, ""),
    ];
    const FIELDS: &[Field] = &[
        field("server", FieldKind::Str, FieldDefault::Required, ""),
        field("pool_size", FieldKind::Int { min: 1, max: i64::MAX }, FieldDefault::Int(8), ""),
        field("proto_ver", FieldKind::OneOf(&["v3", "v4", "v5"]), FieldDefault::Text("v4"), ""),
        field("keepalive", FieldKind::Duration, FieldDefault::Text("160s"), ""),
        field("request_ttl", FieldKind::DurationOrInfinity, FieldDefault::Text("45s"), ""),
        Field {
            aliases: &["max_queue_bytes"],
            ..field("max_buffer_bytes", FieldKind::Bytes, FieldDefault::Text("256MB"), "")
        },
        field("password", FieldKind::Secret, FieldDefault::Absent, ""),
        field("ssl", FieldKind::Table(SSL), FieldDefault::Empty, ""),
        field("parameters", FieldKind::Table(PARAMETERS), FieldDefault::Absent, ""),
        field("ids", FieldKind::TableList(IDS), FieldDefault::Empty, ""),
        field("extra", FieldKind::Any, FieldDefault::Absent, ""),
    ];

    fn read_in(dir: &Path, text: &str) -> (Settings, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let section = Section::parse_toml(text, &mut diagnostics);
        let settings = check(&section, FIELDS, dir, &mut diagnostics);
        (settings, diagnostics)
    }

    fn good(text: &str) -> Settings {
        let (settings, diagnostics) = read_in(Path::new("/base"), text);
        assert_eq!(diagnostics, [], "{text}");
        settings
    }

    /// The diagnostics of a text, one a line, each with the text it underlines.
    fn bad(text: &str) -> Vec<String> {
        let (_, diagnostics) = read_in(Path::new("/base"), text);
        let line = |d: &Diagnostic| {
            let help = d.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{} {}{help} @ {}", d.code, d.message, &text[d.span.range()])
        };
        diagnostics.iter().map(line).collect()
    }

    #[test]
    fn defaults_fill_in_what_is_left_out() {
        let settings = good("server = 'h'");
        assert_eq!(settings.str("server"), "h");
        assert_eq!(settings.int("pool_size"), 8);
        assert_eq!(settings.one_of("proto_ver"), "v4");
        assert_eq!(settings.duration("keepalive"), Duration::from_secs(160));
        assert_eq!(settings.duration_or_infinity("request_ttl"), Some(Duration::from_secs(45)));
        assert_eq!(settings.bytes("max_buffer_bytes"), 256 << 20);
        assert!(settings.secret("password").is_none() && !settings.is_set("password"));
        assert!(!settings.table("ssl").bool("enable") && settings.table("ssl").path("cacertfile").is_none());
        assert!(settings.opt_table("parameters").is_none() && settings.tables("ids").is_empty());
        assert!(!settings.is_given("pool_size") && settings.is_given("server"));
    }

    #[test]
    fn what_is_written_wins() {
        let text = "server = 'h'\npool_size = '4'\nproto_ver = 'v5'\nkeepalive = 1500\nrequest_ttl = 'infinity'\n\
            max_buffer_bytes = '1GB'\nssl = { enable = 'true', cacertfile = 'ca.pem', versions = ['a', 'b'] }\n\
            ids = ['c1', { clientid = 'c2', password = 'p' }]\nextra = [1]\n\
            [parameters]\ntopic = 'x/${t}'\nqos = '${qos}'\nretain = true\nuser_properties = { a = 1, b = '${b}' }\n";
        let settings = good(text);
        assert_eq!((settings.int("pool_size"), settings.one_of("proto_ver")), (4, "v5"));
        assert_eq!(settings.duration("keepalive"), Duration::from_millis(1500));
        assert_eq!(settings.duration_or_infinity("request_ttl"), None);
        assert_eq!(settings.bytes("max_buffer_bytes"), 1 << 30);
        let ssl = settings.table("ssl");
        assert_eq!((ssl.bool("enable"), ssl.path("cacertfile")), (true, Some(Path::new("/base/ca.pem"))));
        assert_eq!(ssl.str_list("versions").iter().map(|v| v.text).collect::<Vec<_>>(), ["a", "b"]);
        let ids = settings.tables("ids");
        assert_eq!((ids[0].str("clientid"), ids[1].secret("password").unwrap().reveal()), ("c1", "p"));
        let parameters = settings.table("parameters");
        let topic = parameters.template("topic").unwrap();
        assert_eq!(&text[topic.part(2..6).range()], "${t}");
        assert!(
            matches!(parameters.int_template("qos"), Some(OrTemplate::Template(t)) if t.text == "${qos}")
        );
        assert!(matches!(parameters.bool_template("retain"), Some(OrTemplate::Value(true))));
        let map = parameters.template_map("user_properties");
        assert_eq!((map[0].text().text, map[1].key.as_str(), map[1].text().text), ("1", "b", "${b}"));
        assert_eq!(&text[settings.span("proto_ver").range()], "'v5'");
        assert_eq!(&text[parameters.key_span("qos").range()], "qos");
    }

    #[test]
    fn a_bare_number_counts_what_it_counts_in_the_reference() {
        const FIELDS: &[Field] = &[
            field("keepalive", FieldKind::Duration, FieldDefault::Text("160s"), ""),
            field("ttl", FieldKind::DurationOrInfinity, FieldDefault::Text("45s"), ""),
            field("connect_timeout", FieldKind::Seconds, FieldDefault::Text("10s"), ""),
            field("fsync_interval", FieldKind::Duration, FieldDefault::Text("10ms"), ""),
        ];
        for (text, name, millis, is_told) in [
            ("keepalive = 30000", "keepalive", 30_000, false),
            ("keepalive = 0", "keepalive", 0, false),
            ("keepalive = 30", "keepalive", 30, true),
            ("ttl = '45'", "ttl", 45, true),
            ("connect_timeout = 5", "connect_timeout", 5000, false),
            ("connect_timeout = '5'", "connect_timeout", 5000, false),
            ("connect_timeout = '500ms'", "connect_timeout", 500, false),
            ("fsync_interval = 20", "fsync_interval", 20, false),
        ] {
            let mut diagnostics = Vec::new();
            let section = Section::parse_toml(text, &mut diagnostics);
            let settings = check(&section, FIELDS, Path::new("/base"), &mut diagnostics);
            assert_eq!(settings.duration_or_infinity(name), Some(Duration::from_millis(millis)), "{text}");
            let codes: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
            assert_eq!(codes, if is_told { &["W608"][..] } else { &[] }, "{text}");
        }
    }

    #[test]
    fn every_mistake_is_reported_at_its_place() {
        let text = "srever = 'h'\npool_size = 0\nproto_ver = 'v6'\nkeepalive = '15'\nrequest_ttl = true\n\
            max_buffer_bytes = '1PB'\nssl = { enable = 1 }\nids = [5, {}]\n\
            [parameters]\nqos = 3\nretain = 'maybe'\nuser_properties = { a = [] }\n";
        assert_eq!(
            bad(text),
            [
                "E401 there is no setting `srever` (did you mean `server`?) @ srever",
                "E403 `server` is missing @ ",
                "E404 `pool_size` is at least 1, not `0` @ 0",
                "E413 `proto_ver` is one of `v3`, `v4`, `v5`, not `v6` @ 'v6'",
                "W608 `keepalive` is 15 milliseconds here (a number without a unit counts milliseconds: write `15s` or `15ms`) @ '15'",
                "E402 `request_ttl` needs a time span such as `15s`, or `infinity`, found `true` @ true",
                "E413 `max_buffer_bytes` needs a size such as `256MB`, found `1PB` (a size is written like `64KB`, \
                 `256MB` or `1GB` (KB, MB, GB, TB, or bytes without a unit)) @ '1PB'",
                "E402 `ssl.enable` needs `true` or `false`, found `1` @ 1",
                "E403 `parameters.topic` is missing @ [parameters]",
                "E404 `parameters.qos` is from 0 to 2, not `3` @ 3",
                "E402 `parameters.retain` needs `true`, `false` or a template such as `${retain}`, found `maybe` @ 'maybe'",
                "E402 `parameters.user_properties.a` needs text, found a list @ []",
                "E402 `ids[0]` needs a table, found `5` @ 5",
                "E403 `ids[1].clientid` is missing @ {}",
            ]
        );
        assert_eq!(bad("server = 'h'\nssl = 5"), ["E402 `ssl` needs a table, found `5` @ 5"]);
    }

    #[test]
    fn an_old_spelling_works_and_is_told() {
        let (settings, diagnostics) = read_in(Path::new("/"), "server = 'h'\nmax_queue_bytes = '1KB'");
        assert_eq!((settings.bytes("max_buffer_bytes"), diagnostics[0].code), (1024, Code::DeprecatedKey));
        let both = bad("server = 'h'\nmax_buffer_bytes = '1KB'\nmax_queue_bytes = '1KB'");
        let expected =
            "E416 `max_buffer_bytes` and `max_queue_bytes` are the same setting (give one of them)";
        assert_eq!(both, [format!("{expected} @ max_queue_bytes")]);
    }

    #[test]
    fn secrets_are_read_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pw"), "hunter2\n").unwrap();
        for written in ["'hunter2'", "{ file = 'pw' }", "'file://pw'"] {
            let (settings, diagnostics) = read_in(dir.path(), &format!("server = 'h'\npassword = {written}"));
            assert_eq!(diagnostics, []);
            assert_eq!(settings.secret("password").unwrap().reveal(), "hunter2");
            let shown = format!("{settings:?} {}", settings.to_json());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let secret = bad("server = 'h'\npassword = { env = 'SLUICEGATE_TEST_NONE' }");
        assert!(secret[0].starts_with("E415 `password`: the environment variable"), "{secret:?}");
        assert!(
            bad("server = 'h'\npassword = 5")[0].starts_with("E402 `password` needs a secret, found a whole")
        );
    }

    #[test]
    fn json_has_the_defaults_and_keeps_the_spelling() {
        let json = good("server = 'h'\nkeepalive = '60s'\nids = ['c']").to_json();
        assert_eq!(
            json,
            serde_json::json!({
                "server": "h", "pool_size": 8, "proto_ver": "v4", "keepalive": "60s", "request_ttl": "45s",
                "max_buffer_bytes": "256MB", "ssl": {"enable": false, "versions": []}, "ids": [{"clientid": "c"}],
            })
        );
        let key = "-----BEGIN PRIVATE KEY-----\\nMII\\n";
        let json = good(&format!("server = 'h'\nssl.cacertfile = \"{key}\"")).to_json();
        assert_eq!(json["ssl"]["cacertfile"], "******");
    }

    #[test]
    fn equal_means_the_same_whatever_the_spelling() {
        let hash = |settings: &Settings| {
            let mut hasher = DefaultHasher::new();
            settings.hash(&mut hasher);
            hasher.finish()
        };
        let a = good("server = 'h'\nkeepalive = '1m'\npool_size = 8");
        let b = good("# moved\nkeepalive = '60s'\nserver = \"h\"");
        assert!(a == b && hash(&a) == hash(&b));
        assert_ne!(a, good("server = 'h'\nkeepalive = '61s'"));

        let dir = tempfile::tempdir().unwrap();
        let read = || read_in(dir.path(), "server = 'h'\nssl.cacertfile = 'ca.pem'").0;
        std::fs::write(dir.path().join("ca.pem"), "one").unwrap();
        let before = read();
        assert_eq!(before, read());
        std::fs::write(dir.path().join("ca.pem"), "two").unwrap();
        assert_ne!(before, read(), "the content of a certificate counts");
        assert_eq!(before.files(), [dir.path().join("ca.pem")]);
        let text =
            "server = 'h'\npassword = { file = 'pw' }\nids = [{ clientid = 'c', password = 'file:///x/pw' }]";
        let missing = read_in(dir.path(), text).0;
        assert_eq!(missing.files(), [dir.path().join("pw"), "/x/pw".into()], "also what is not there yet");
    }

    #[test]
    fn a_null_is_as_good_as_nothing() {
        let json = serde_json::json!({"server": "h", "pool_size": null});
        let mut diagnostics = Vec::new();
        let section = Section::from_json(json.as_object().unwrap());
        let settings = check(&section, FIELDS, Path::new("/"), &mut diagnostics);
        assert_eq!((settings.int("pool_size"), diagnostics), (8, Vec::new()));
    }
}
