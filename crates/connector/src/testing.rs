//! What tests of connectors begin with: settings from TOML, and a row without an engine behind it.

use std::path::Path;

use config::{Field, Section, Settings, check};
use diagnostic::{Code, Diagnostic};
use template::Scope;
use value::{Arena, Entry, Map, Value};

use crate::{ConnectorKind, Render};

/// A row with these entries, and nothing besides.
#[derive(Debug, Clone, Copy)]
pub struct Fixed<'a>(pub &'a [Entry<'a>]);

impl Scope for Fixed<'_> {
    fn row<'a>(&'a self, _arena: &'a Arena) -> Value<'a> {
        Value::Map(Map::new(self.0))
    }

    fn get<'a>(&'a self, _name: &str, _arena: &'a Arena) -> Value<'a> {
        Value::Undefined
    }
}

/// A section as it is after it was checked, by `further` too, and whatever was found.
pub fn checked(
    toml: &str,
    fields: &'static [Field],
    further: impl FnOnce(&Settings, &mut Vec<Diagnostic>),
) -> (Settings, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let section = Section::parse_toml(toml, &mut diagnostics);
    let settings = check(&section, fields, Path::new("."), &mut diagnostics);
    further(&settings, &mut diagnostics);
    (settings, diagnostics)
}

/// A section that nothing is wrong with.
pub fn settings(
    toml: &str,
    fields: &'static [Field],
    further: impl FnOnce(&Settings, &mut Vec<Diagnostic>),
) -> Settings {
    let (settings, diagnostics) = checked(toml, fields, further);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    settings
}

/// The codes of what is wrong with a section.
pub fn codes(
    toml: &str,
    fields: &'static [Field],
    further: impl FnOnce(&Settings, &mut Vec<Diagnostic>),
) -> Vec<Code> {
    checked(toml, fields, further).1.into_iter().map(|diagnostic| diagnostic.code).collect()
}

/// An action of this kind with its settings.
///
/// # Errors
/// Whatever was found, warnings too.
pub fn compiled(kind: &ConnectorKind, toml: &str) -> Result<(Box<dyn Render>, Settings), Vec<Diagnostic>> {
    let mut render = None;
    let (settings, diagnostics) = checked(toml, kind.action_fields, |settings, diagnostics| {
        render = (kind.action)(settings, diagnostics);
    });
    let render = render.filter(|_| diagnostics.is_empty());
    render.map(|render| (render, settings)).ok_or(diagnostics)
}
