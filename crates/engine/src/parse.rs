//! From the text of a file to a [`Unit`].

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::{
    Action, ActionTarget, Category, ContentHash, Declaration, FileKind, Function, RuleFile, Settings,
};
use connector::ConnectorKind;
use diagnostic::{Code, Diagnostic, Source, Span};

use crate::last_resort::Fallback;
use crate::placeholders;
use crate::republish::Republish;
use crate::unit::{ActionItem, Items, ResourceItem, RuleItem, Unit};
use crate::view::{ManagedBy, ResourceId};

/// The kinds of connectors that this build has.
pub type Kinds = &'static [&'static ConnectorKind];

/// The text of a file, and where it is from.
pub(crate) struct Text {
    pub(crate) path: Arc<Path>,
    pub(crate) managed_by: ManagedBy,
    pub(crate) kind: FileKind,
    pub(crate) hash: ContentHash,
    pub(crate) text: String,
    /// The text as messages show it, without secrets.
    pub(crate) source: Source,
    /// What reading it reported.
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) modified_at: SystemTime,
}

/// Reads and checks one file on its own. Files of tests are none of the engine's.
pub(crate) fn parse(file: Text, kinds: Kinds) -> Unit {
    let mut diagnostics = file.diagnostics;
    let base_dir = file.path.parent().unwrap_or(Path::new(""));
    let items = match file.kind {
        FileKind::Rule => Items::Rule(Box::new(parse_rule(
            file.kind.stem(&file.path),
            &file.text,
            base_dir,
            &mut diagnostics,
        ))),
        FileKind::Resources => {
            Items::Resources(parse_resources(&file.text, base_dir, kinds, &mut diagnostics))
        }
        FileKind::Tests => Items::Resources(Vec::new()),
    };
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    Unit {
        path: file.path,
        managed_by: file.managed_by,
        hash: Some(file.hash),
        source: Arc::new(file.source),
        modified_at: file.modified_at,
        items,
        diagnostics,
    }
}

fn parse_rule(id: &str, text: &str, base_dir: &Path, diagnostics: &mut Vec<Diagnostic>) -> RuleItem {
    if let Err(diagnostic) = config::text_file::check_name("rule id", id, Span::at(0)) {
        diagnostics.push(diagnostic.note("the id of a rule is the name of its file without `.sql`"));
    }
    let file = RuleFile::parse(text, diagnostics);
    let (program, found) = eval::prepare(&file.sql, file.sql_start, id);
    diagnostics.extend(found);
    let actions: Vec<ActionItem> =
        file.actions.iter().filter_map(|action| parse_action(action, base_dir, diagnostics)).collect();
    for action in &actions {
        if let (ActionItem::Republish(republish), Some(program)) = (action, &program) {
            let found = placeholders::check(program, &republish.templates(), "republish", |span| span);
            diagnostics.extend(found);
        }
    }
    RuleItem {
        id: id.into(),
        id_span: Span::at(file.sql_start),
        name: file.settings.str("name").to_owned(),
        description: file.description().to_owned(),
        tags: file.settings.str_list("tags").iter().map(|tag| tag.text.to_owned()).collect(),
        enable: file.enable(),
        created_at: created_at(&file),
        program: program.map(Arc::new),
        actions_json: serde_json::Value::from_iter(file.actions.iter().map(|action| action.node.to_json()))
            .to_string()
            .into(),
        actions,
        sql: Span::new(file.sql_start, file.sql_start + file.sql.len() as u32),
    }
}

/// `metadata.created_at`, milliseconds since 1970 UTC, which the API writes.
fn created_at(file: &RuleFile) -> Option<SystemTime> {
    let metadata = file.section.get("metadata")?.to_json();
    let millis = metadata.get("created_at")?.as_u64()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

fn parse_action(action: &Action, base_dir: &Path, diagnostics: &mut Vec<Diagnostic>) -> Option<ActionItem> {
    match &action.target {
        ActionTarget::Ref(target) => {
            Some(ActionItem::Resource { id: ResourceId::new(&target.kind, &target.name), span: action.span })
        }
        ActionTarget::Function { function: Function::Republish, args } => {
            Some(ActionItem::Republish(Arc::new(Republish::compile(args, base_dir, diagnostics)?)))
        }
        ActionTarget::Function { function: Function::Console, args } => {
            for entry in args.entries() {
                let message = format!("`console` has no argument `{}`", entry.key);
                diagnostics.push(Diagnostic::new(Code::UnknownKey, entry.key_span, message));
            }
            Some(ActionItem::Console)
        }
    }
}

fn parse_resources(
    text: &str,
    base_dir: &Path,
    kinds: Kinds,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<ResourceItem> {
    let declarations = config::resource_file::parse_resource_file(text, diagnostics);
    declarations
        .iter()
        .filter_map(|declaration| parse_resource(declaration, base_dir, kinds, diagnostics))
        .collect()
}

/// Checks one declaration against the fields of its kind.
pub(crate) fn parse_resource(
    declaration: &Declaration,
    base_dir: &Path,
    kinds: Kinds,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<ResourceItem> {
    let Some(kind) = find_kind(kinds, &declaration.kind) else {
        let message = format!("there is no type `{}` of {}", declaration.kind, declaration.category);
        let known: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        let help = format!("this build knows: {}", known.join(", "));
        diagnostics.push(Diagnostic::new(Code::UnknownType, declaration.kind_span, message).help(help));
        return None;
    };
    let fields = match declaration.category {
        Category::Connector => kind.fields,
        Category::Source => kind.source_fields,
        Category::Action => kind.action_fields,
    };
    let before = errors(diagnostics);
    let settings = config::check(&declaration.section, fields, base_dir, diagnostics);
    // What the fields cannot say alone is asked only of settings that have the right shape.
    let sound = errors(diagnostics) == before;
    let render = if sound { check_meaning(kind, declaration.category, &settings, diagnostics) } else { None };
    let connector = match declaration.category {
        Category::Connector => None,
        Category::Source | Category::Action => {
            settings.text("connector").map(|text| (ResourceId::new(&declaration.kind, text.text), text.span))
        }
    };
    let id = ResourceId::new(&declaration.kind, &declaration.name);
    Some(ResourceItem {
        category: declaration.category,
        id_span: declaration.name_span,
        enable: settings.bool("enable"),
        waits: !connector::options::starts_by_itself(&settings),
        fallbacks: match declaration.category {
            Category::Action if sound => parse_fallbacks(&settings, &id, base_dir, diagnostics).into(),
            Category::Action | Category::Connector | Category::Source => Arc::new([]),
        },
        id,
        connector,
        render,
        claims: match declaration.category {
            Category::Connector if sound => (kind.reach.claims)(&settings),
            _ => Vec::new(),
        },
        settings: Arc::new(settings),
    })
}

/// What an action of this id is to do with what it cannot deliver.
fn parse_fallbacks(
    settings: &Settings,
    id: &ResourceId,
    base_dir: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Fallback> {
    if !settings.fields().iter().any(|field| field.name == "fallback_actions") {
        return Vec::new();
    }
    let fallbacks = settings.tables("fallback_actions").iter();
    let fallbacks: Vec<Fallback> =
        fallbacks.filter_map(|fallback| parse_fallback(fallback, base_dir, diagnostics)).collect();
    for fallback in &fallbacks {
        if let Fallback::Reference(other, span) = fallback
            && other == id
        {
            let message = format!("`{id}` is the fallback of itself, which has no effect");
            let help = "what it cannot deliver is kept as a dead letter; name another action, or remove it";
            diagnostics.push(Diagnostic::new(Code::IneffectiveSetting, *span, message).help(help));
        }
    }
    fallbacks
}

fn parse_fallback(
    fallback: &Settings,
    base_dir: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Fallback> {
    if fallback.one_of("kind") == "republish" {
        let empty = config::Section::empty(fallback.section_span());
        let args = fallback.node("args").and_then(config::Node::as_section).unwrap_or(&empty);
        let republish = Republish::compile(args, base_dir, diagnostics)?;
        return Some(Fallback::Republish(Arc::new(republish)));
    }
    match (fallback.opt_str("type"), fallback.opt_str("name")) {
        (Some(kind), Some(name)) => {
            Some(Fallback::Reference(ResourceId::new(kind, name), fallback.span("name")))
        }
        (kind, _) => {
            let key = if kind.is_none() { "type" } else { "name" };
            let message = format!("a fallback action of the kind `reference` needs `{key}`");
            let diagnostic = Diagnostic::new(Code::MissingKey, fallback.section_span(), message);
            diagnostics.push(diagnostic.lacks(key));
            None
        }
    }
}

fn check_meaning(
    kind: &ConnectorKind,
    category: Category,
    settings: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Arc<dyn connector::Render>> {
    match category {
        Category::Connector => {
            (kind.check)(settings, diagnostics);
            None
        }
        Category::Source => {
            (kind.source)(settings, diagnostics);
            None
        }
        Category::Action => (kind.action)(settings, diagnostics).map(Arc::from),
    }
}

pub(crate) fn find_kind(kinds: Kinds, name: &str) -> Option<&'static ConnectorKind> {
    kinds.iter().copied().find(|kind| kind.name == name)
}

fn errors(diagnostics: &[Diagnostic]) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count()
}
