//! Placeholders that can never print anything.

use diagnostic::{Code, Diagnostic, Span, nearest};
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
            let Some(problem) = problem(program, placeholder) else { continue };
            let message = format!("`{setting}` of {owner} has `${{{}}}`, {}", problem.name, problem.reason);
            found.push(
                Diagnostic::new(Code::UnknownPlaceholder, place(placeholder.span()), message)
                    .maybe_help(problem.help),
            );
        }
    }
    found
}

/// What is wrong with a placeholder.
struct Problem {
    /// The part of it that nothing supplies.
    name: String,
    reason: &'static str,
    /// What may have been meant.
    help: Option<String>,
}

/// The keys of the one column of which they are known beforehand.
const FLAGS: [&str; 2] = ["retain", "dup"];

/// Columns that templates see in more events than SQL does.
const FOR_TEMPLATES: [Column; 4] = [Column::Flags, Column::Retain, Column::Dup, Column::PubProps];

fn problem(program: &Program, placeholder: &Placeholder) -> Option<Problem> {
    let root = placeholder.root();
    if program.selects(root) {
        return None;
    }
    let never = "which is never set";
    let Some(column) = Column::from_name(root) else {
        let names = Column::ALL.iter().map(|column| column.name()).chain(program.selected());
        let near = nearest(root, names).map(|near| match placeholder.keys().next() {
            Some(key) if near == Column::Flags.name() => {
                format!("{near}.{}", nearest(key, FLAGS).unwrap_or(key))
            }
            _ => near.to_owned(),
        });
        let help = match near {
            Some(near) => format!("did you mean `${{{near}}}`?"),
            None => format!("select it, or read it from a JSON payload as `${{payload.{root}}}`"),
        };
        let keys = placeholder.keys().map(|key| format!(".{key}"));
        let name = std::iter::once(root.to_owned()).chain(keys).collect();
        return Some(Problem { name, reason: never, help: Some(help) });
    };
    if !program.sees(column) && !FOR_TEMPLATES.contains(&column) {
        let reason = "which no event of this rule's FROM has";
        return Some(Problem { name: root.to_owned(), reason, help: None });
    }
    let key = placeholder.keys().next().filter(|key| column == Column::Flags && !FLAGS.contains(key))?;
    let help = nearest(key, FLAGS).map(|near| format!("did you mean `${{{root}.{near}}}`?"));
    Some(Problem { name: format!("{root}.{key}"), reason: never, help })
}
