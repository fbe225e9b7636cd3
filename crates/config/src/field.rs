//! The declaration of a setting: from it come checking, defaults, error messages and the docs page.

/// One setting, declared once.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// Other keys that mean the same, from older versions of the reference.
    pub aliases: &'static [&'static str],
    /// What values it takes.
    pub kind: FieldKind,
    /// What holds when it is left out.
    pub default: FieldDefault,
    /// One sentence for the docs.
    pub summary: &'static str,
}

/// What values a setting takes, with its unit and its bounds.
#[derive(Debug, Clone, Copy)]
pub enum FieldKind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both included.
    Int {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// Text.
    Str,
    /// A time span such as `"15s"`, `"200ms"`, `"1h30m"`; kept in milliseconds. A bare number counts milliseconds.
    Duration,
    /// A time span of which a bare number counts seconds, where the reference has it so.
    Seconds,
    /// A time span, or `"infinity"`.
    DurationOrInfinity,
    /// A number of bytes such as `"256MB"` (1 MB is 1,048,576 bytes, as in the reference); kept in bytes.
    Bytes,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A secret: plain text, `{ file = "…" }`, `{ env = "NAME" }` or `"file:///…"`. Never shown.
    Secret,
    /// A path, relative to the file that names it.
    Path,
    /// Text with `${…}` placeholders.
    Template,
    /// A whole number within bounds, or a template that gives one.
    IntTemplate {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A boolean, or a template that gives one.
    BoolTemplate,
    /// A list of text.
    StrList,
    /// A table with settings of its own.
    Table(&'static [Field]),
    /// A list of such tables; a plain string stands for a table of which it is the first field.
    TableList(&'static [Field]),
    /// A table with any keys and templates as values.
    TemplateMap,
    /// Anything: its owner checks it.
    Any,
}

/// What holds when a setting is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldDefault {
    /// It must be given.
    Required,
    /// Nothing: the setting is absent.
    Absent,
    /// This boolean.
    Bool(bool),
    /// This number.
    Int(i64),
    /// This text, read as if it stood in the file (durations, sizes, words, templates).
    Text(&'static str),
    /// An empty list, or a table in which every setting has its own default.
    Empty,
}

/// A declaration without aliases.
pub const fn field(
    name: &'static str,
    kind: FieldKind,
    default: FieldDefault,
    summary: &'static str,
) -> Field {
    Field { name, aliases: &[], kind, default, summary }
}
