//! Placeholders that can never print anything.

use diagnostic::{Code, Diagnostic, Span, did_you_mean};
use eval::Program;
use event::Column;
use template::{Placeholder, Template};

/// Warns of placeholders that neither the rows of a rule nor any event can supply.
///
/// `place` says where to point, given the place of the placeholder; `owner` names the action in messages.
pub(crate) fn check(
    program: &Program,
    templates: &[(&'static str, &Template)],
    owner: &str,
    place: impl Fn(Span) -> Span,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (setting, template) in templates {
        for placeholder in template.placeholders() {
            let Some((name, help)) = unsupplied(program, placeholder) else { continue };
            let message = format!("`{setting}` of {owner} has `${{{name}}}`, which is never set");
            found.push(
                Diagnostic::new(Code::UnknownPlaceholder, place(placeholder.span()), message)
                    .maybe_help(help),
            );
        }
    }
    found
}

/// The part of a placeholder that nothing supplies, and what may have been meant.
fn unsupplied(program: &Program, placeholder: &Placeholder) -> Option<(String, Option<String>)> {
    const FLAGS: [&str; 2] = ["retain", "dup"];
    let root = placeholder.root();
    if program.selects(root) {
        return None;
    }
    if Column::from_name(root).is_none() {
        let columns = Column::ALL.iter().map(|column| column.name());
        return Some((root.to_owned(), did_you_mean(root, columns)));
    }
    // The one column whose keys are known beforehand.
    let key = placeholder.keys().next().filter(|key| root == Column::Flags.name() && !FLAGS.contains(key))?;
    Some((format!("{root}.{key}"), did_you_mean(key, FLAGS)))
}
