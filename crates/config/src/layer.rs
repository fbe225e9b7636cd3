//! The layers of which the server's settings are made: each one a text with places of its own, the environment and the
//! command line too.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use diagnostic::{Code, Diagnostic, Span, did_you_mean};

use crate::check::names;
use crate::field::{Field, FieldKind};
use crate::folder::FileProblem;
use crate::section::{Node, NodeValue, Section, in_order_of_the_file};
use crate::server_fields::SERVER_FIELDS;
use crate::server_file::Overrides;
use crate::settings::{Settings, check};

/// What the names of our variables begin with.
const ENV_PREFIX: &str = "SLUICEGATE__";

/// One layer, checked.
pub(crate) struct Layer {
    pub(crate) settings: Settings,
    /// Where its relative paths start from.
    pub(crate) dir: PathBuf,
    pub(crate) name: PathBuf,
    pub(crate) text: String,
    diagnostics: Vec<Diagnostic>,
}

impl Layer {
    /// Checks what a layer says; `name` and `text` are for the excerpts.
    pub(crate) fn new(
        name: &Path,
        text: String,
        section: &Section,
        fields: &'static [Field],
        dir: &Path,
        mut diagnostics: Vec<Diagnostic>,
    ) -> Layer {
        let settings = check(section, fields, dir, &mut diagnostics);
        Layer { settings, dir: dir.to_owned(), name: name.to_owned(), text, diagnostics }
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(crate) fn into_problems(self) -> impl Iterator<Item = FileProblem> {
        let Layer { name, text, mut diagnostics, .. } = self;
        in_order_of_the_file(&mut diagnostics);
        let problem = move |diagnostic| FileProblem { path: name.clone(), text: text.clone(), diagnostic };
        diagnostics.into_iter().map(problem)
    }
}

/// The layer of the environment: one line `NAME=value` for each of our variables. An empty value is as good as none.
pub(crate) fn env_layer(
    env: impl IntoIterator<Item = (OsString, OsString)>,
    fields: &'static [Field],
) -> Layer {
    let mut ours: Vec<(String, OsString)> = env
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| name.starts_with(ENV_PREFIX) && !value.is_empty())
        .collect();
    // The system gives them in any order.
    ours.sort();
    let (mut text, mut section, mut diagnostics) = (String::new(), Section::default(), Vec::new());
    for (name, value) in ours {
        let value = value.to_string_lossy();
        let name_span = Span::from(text.len()..text.len() + name.len());
        let start = text.len() + name.len() + 1;
        let variable =
            Variable { name: &name, name_span, value: &value, span: Span::from(start..start + value.len()) };
        text.push_str(&format!("{name}={value}\n"));
        variable.set(&mut section, fields, &mut diagnostics);
    }
    Layer::new(Path::new("environment"), text, &section, fields, Path::new(""), diagnostics)
}

/// One variable of the environment.
struct Variable<'a> {
    name: &'a str,
    name_span: Span,
    value: &'a str,
    span: Span,
}

impl Variable<'_> {
    /// Puts the value where the name says it belongs.
    fn set(&self, section: &mut Section, fields: &'static [Field], diagnostics: &mut Vec<Diagnostic>) {
        let path: Vec<String> =
            self.name[ENV_PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        match self.resolve(&path, fields) {
            Ok(kind) => match self.node(kind) {
                Ok(node) => set_at(section, &path, node, self.name_span),
                Err(message) => diagnostics.push(Diagnostic::new(Code::BadToml, self.span, message)),
            },
            Err(help) => {
                let message = format!("there is no setting `{}` for `{}`", path.join("."), self.name);
                diagnostics.push(Diagnostic::new(Code::UnknownKey, self.name_span, message).maybe_help(help));
            }
        }
    }

    /// The kind of the field that a path names; otherwise what may have been meant.
    fn resolve(&self, path: &[String], mut fields: &'static [Field]) -> Result<FieldKind, Option<String>> {
        let mut kind = FieldKind::Table(fields);
        for part in path {
            let FieldKind::Table(inner) = kind else { return Err(None) };
            fields = inner;
            let field = fields.iter().find(|field| names(field).any(|name| name == part));
            kind = field.ok_or_else(|| did_you_mean(part, fields.iter().flat_map(names)))?.kind;
        }
        Ok(kind)
    }

    /// The value as a field of this kind takes it: plain text, a list with commas, or TOML where nothing else will do.
    fn node(&self, kind: FieldKind) -> Result<Node, String> {
        let text = || Node { span: self.span, text_start: Some(self.span.start), ..Node::str(self.value) };
        match kind {
            FieldKind::StrList if !self.value.trim_start().starts_with('[') => {
                let items = self.value.split(',').map(str::trim).filter(|item| !item.is_empty());
                let items = items.map(|item| Node { span: self.span, ..Node::str(item) }).collect();
                Ok(Node { span: self.span, ..Node::new(NodeValue::List(items)) })
            }
            FieldKind::Secret if !self.value.trim_start().starts_with('{') => Ok(text()),
            FieldKind::StrList
            | FieldKind::Secret
            | FieldKind::Table(_)
            | FieldKind::TableList(_)
            | FieldKind::TemplateMap
            | FieldKind::Any => self.toml(),
            FieldKind::Bool
            | FieldKind::Int { .. }
            | FieldKind::Str
            | FieldKind::Duration
            | FieldKind::Seconds
            | FieldKind::DurationOrInfinity
            | FieldKind::Bytes
            | FieldKind::OneOf(_)
            | FieldKind::Path
            | FieldKind::Template
            | FieldKind::IntTemplate { .. }
            | FieldKind::BoolTemplate => Ok(text()),
        }
    }

    fn toml(&self) -> Result<Node, String> {
        let mut diagnostics = Vec::new();
        let mut section = Section::parse_toml(&format!("v={}", self.value), &mut diagnostics);
        match (diagnostics.first(), section.remove("v")) {
            (None, Some(entry)) => Ok(entry.node.placed(self.span)),
            (first, _) => {
                let why = first.map_or("nothing is there", |diagnostic| &diagnostic.message);
                Err(format!("the value of `{}` is not TOML: {why}", self.name))
            }
        }
    }
}

/// The layer of the command line: one line for each flag.
pub(crate) fn flag_layer(flags: &Overrides) -> Layer {
    let (mut text, mut section) = (String::new(), Section::default());
    let mut set = |flag: &str, value: &str, path: &[&str], node: Node| {
        let span = Span::from(text.len() + flag.len() + 1..text.len() + flag.len() + 1 + value.len());
        text.push_str(&format!("{flag} {value}\n"));
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        set_at(&mut section, &path, node.placed(span), span);
    };
    if let Some(listen) = &flags.mqtt_listen {
        set("--mqtt-listen", listen, &["mqtt", "listen"], Node::str(listen));
    }
    if let Some(listen) = &flags.http_listen {
        set("--http-listen", listen, &["http", "listen"], Node::str(listen));
    }
    if let Some(data) = &flags.data {
        let data = data.to_string_lossy();
        set("--data", &data, &["data", "dir"], Node::str(data.as_ref()));
    }
    if !flags.rules.is_empty() {
        let dirs: Vec<_> = flags.rules.iter().map(|dir| dir.to_string_lossy()).collect();
        let items = dirs.iter().map(|dir| Node::str(dir.as_ref())).collect();
        set("--rules", &dirs.join(" "), &["rules", "dirs"], Node::new(NodeValue::List(items)));
    }
    if flags.allow_anonymous {
        for table in ["mqtt", "http"] {
            set("--allow-anonymous", "", &[table, "allow_anonymous"], Node::new(NodeValue::Bool(true)));
        }
    }
    Layer::new(Path::new("command line"), text, &section, SERVER_FIELDS, Path::new(""), Vec::new())
}

/// Sets a value in the tables that `path` names, which are made if they are not there.
fn set_at(section: &mut Section, path: &[String], node: Node, span: Span) {
    match path {
        [] => {}
        [key] => section.set(key, node),
        [key, rest @ ..] => {
            let mut inner =
                section.get(key).and_then(Node::as_section).cloned().unwrap_or(Section::empty(span));
            set_at(&mut inner, rest, node, span);
            section.set(key, Node { span, ..Node::new(NodeValue::Table(inner)) });
        }
    }
}
