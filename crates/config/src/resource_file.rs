//! Resource files: `[connectors.TYPE.NAME]`, `[sources.TYPE.NAME]`, `[actions.TYPE.NAME]`.

use std::fmt;

use diagnostic::{Code, Diagnostic, Span, did_you_mean};

use crate::section::{Entry, Node, Section, in_order_of_the_file};
use crate::text_file::{check_name, without_bom};
use crate::toml_text::table_text;

/// What a declaration declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// A connection to a far side.
    Connector,
    /// What comes in from a far side.
    Source,
    /// What goes out to a far side.
    Action,
}

impl Category {
    /// All of them.
    pub const ALL: [Category; 3] = [Category::Connector, Category::Source, Category::Action];

    /// As it stands in files and paths: `connectors`, `sources`, `actions`.
    pub fn plural(self) -> &'static str {
        match self {
            Category::Connector => "connectors",
            Category::Source => "sources",
            Category::Action => "actions",
        }
    }

    /// One of them: `connector`, `source`, `action`.
    pub fn singular(self) -> &'static str {
        match self {
            Category::Connector => "connector",
            Category::Source => "source",
            Category::Action => "action",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.singular())
    }
}

/// One `[category.TYPE.NAME]` of a file. Whether the type exists and the settings are right is its owner's to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// What it declares.
    pub category: Category,
    /// The type, such as `mqtt`.
    pub kind: String,
    /// Where the type stood.
    pub kind_span: Span,
    /// The name.
    pub name: String,
    /// Where the name stood.
    pub name_span: Span,
    /// Its settings.
    pub section: Section,
}

impl Declaration {
    /// `type:name`, as rules and answers write it.
    pub fn id(&self) -> String {
        format!("{}:{}", self.kind, self.name)
    }

    /// The declaration as the text of a file of its own.
    pub fn to_toml(&self) -> String {
        table_text(&[self.category.plural(), &self.kind, &self.name], &self.section)
    }
}

/// Reads a resource file. Spans are those of `text`, the whole file.
pub fn parse_resource_file(text: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Declaration> {
    let reported = diagnostics.len();
    let file = Section::parse_toml(&without_bom(text), diagnostics);
    let mut declarations = Vec::new();
    for entry in file.entries() {
        let Some(category) = Category::ALL.into_iter().find(|category| category.plural() == entry.key) else {
            let message = format!("a resource file has no `{}`", entry.key);
            let help = did_you_mean(&entry.key, Category::ALL.map(Category::plural));
            let known = || "it has `connectors`, `sources` and `actions`".to_owned();
            let diagnostic = Diagnostic::new(Code::UnknownKey, entry.key_span, message);
            diagnostics.push(diagnostic.help(help.unwrap_or_else(known)));
            continue;
        };
        for kind in tables(entry, category, "TYPE.NAME", diagnostics) {
            for name in tables(kind, category, "NAME", diagnostics) {
                if let Err(diagnostic) =
                    check_name(&format!("name of {}", article(category)), &name.key, name.key_span)
                {
                    diagnostics.push(diagnostic);
                    continue;
                }
                let Some(section) = name.node.as_section() else {
                    diagnostics.push(not_a_table(name, category, "settings"));
                    continue;
                };
                declarations.push(Declaration {
                    category,
                    kind: kind.key.clone(),
                    kind_span: kind.key_span,
                    name: name.key.clone(),
                    name_span: name.key_span,
                    section: section.clone(),
                });
            }
        }
    }
    in_order_of_the_file(&mut diagnostics[reported..]);
    declarations
}

/// The entries of a table of tables.
fn tables<'s>(
    entry: &'s Entry,
    category: Category,
    missing: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> &'s [Entry] {
    match entry.node.as_section() {
        Some(section) => section.entries(),
        None => {
            diagnostics.push(not_a_table(entry, category, missing));
            &[]
        }
    }
}

fn not_a_table(entry: &Entry, category: Category, missing: &str) -> Diagnostic {
    let message =
        format!("`{}` needs a table of {missing}, found {}", entry.key, Node::kind_text(&entry.node));
    let help = format!("{} is declared as `[{}.TYPE.NAME]`", article(category), category.plural());
    Diagnostic::new(Code::WrongType, entry.node.span, message).help(help)
}

fn article(category: Category) -> &'static str {
    match category {
        Category::Connector => "a connector",
        Category::Source => "a source",
        Category::Action => "an action",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read_in_order_with_their_places() {
        let text = "\u{feff}[connectors.mqtt.cloud]\r\nserver = \"h\"\r\n[actions.mqtt.\"up.link\"]\nconnector = 'cloud'\n\
                    [sources]\nmqtt.s1 = { connector = 'cloud' }\n";
        let mut diagnostics = Vec::new();
        let read = parse_resource_file(text, &mut diagnostics);
        assert_eq!(diagnostics, []);
        let ids: Vec<_> = read.iter().map(|d| (d.category.plural(), d.id())).collect();
        let expected = [("connectors", "mqtt:cloud"), ("actions", "mqtt:up.link"), ("sources", "mqtt:s1")];
        assert_eq!(ids, expected.map(|(category, id)| (category, id.to_owned())));
        assert_eq!(&text[read[0].name_span.range()], "cloud");
        assert_eq!(&text[read[0].section.get("server").unwrap().span.range()], "\"h\"");
        assert_eq!(&text[read[1].kind_span.range()], "mqtt");

        let again = parse_resource_file(&read[1].to_toml(), &mut diagnostics);
        assert_eq!((again[0].id(), &again[0].section), (read[1].id(), &read[1].section));
    }

    #[test]
    fn what_does_not_belong_is_told() {
        let text =
            "connector = {}\n[bridges.mqtt.x]\n[sources]\nmqtt = 5\n[actions.mqtt]\na = 1\n\"b c\" = {}\n";
        let mut diagnostics = Vec::new();
        assert_eq!(parse_resource_file(text, &mut diagnostics), []);
        let told: Vec<_> = diagnostics
            .iter()
            .map(|d| format!("{} {} ({})", d.code, d.message, d.help.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(
            told,
            [
                "E401 a resource file has no `connector` (did you mean `connectors`?)",
                "E401 a resource file has no `bridges` (it has `connectors`, `sources` and `actions`)",
                "E402 `mqtt` needs a table of NAME, found a whole number (a source is declared as `[sources.TYPE.NAME]`)",
                "E402 `a` needs a table of settings, found a whole number (an action is declared as `[actions.TYPE.NAME]`)",
                "E410 `b c` cannot be a name of an action (begin with a letter or digit and go on with letters, digits, \
                 `_`, `.` and `-`, 255 at most)",
            ]
        );
    }
}
