//! Placeholders that can never print anything.

use std::collections::HashMap;

use diagnostic::{Code, Diagnostic, Span, nearest};
use eval::Program;
use event::Column;
use template::{Placeholder, Template};

use crate::assemble::Slot;
use crate::last_resort::{FAILURE_KEYS, Fallback};
use crate::unit::{ActionItem, ResourceItem, RuleItem};
use crate::view::{Category, ResourceId};

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
            let problem = problem(program, placeholder, Extra::Nothing);
            found.extend(problem.map(|problem| problem.told(setting, owner, place(placeholder.span()))));
        }
    }
    found
}

/// Warns of templates of declared actions, and of their fallback actions, that a rule uses and can never fill, all in their
/// newest versions. Those of republish are the rule's own, and were looked at with it.
pub(crate) fn warn(slots: &mut [Slot]) {
    let declared: HashMap<&ResourceId, Declared<'_>> = slots
        .iter()
        .enumerate()
        .flat_map(|(home, slot)| slot.newest.resources().iter().map(move |item| Declared { item, home }))
        .filter(|declared| declared.item.category == Category::Action)
        .map(|declared| (&declared.item.id, declared))
        .collect();
    let mut users: HashMap<&ResourceId, Vec<User<'_>>> = HashMap::new();
    let mut found: Vec<(usize, Diagnostic)> = Vec::new();
    for (home, slot) in slots.iter().enumerate() {
        let Some(rule) = slot.newest.rule() else { continue };
        let Some(program) = &rule.program else { continue };
        for action in &rule.actions {
            if let ActionItem::Resource { id, span } = action
                && let Some(Declared { item, .. }) = declared.get(id)
                && item.render.is_some()
            {
                found.extend(of_action(rule, item, *span).into_iter().map(|problem| (home, problem)));
                users.entry(id).or_default().push(User { program, home, span: *span });
            }
        }
    }
    for action in declared.values() {
        let users = users.get(&action.item.id).map(Vec::as_slice).unwrap_or_default();
        action.item.fallbacks.iter().for_each(|it| check_fallback(it, action, users, &declared, &mut found));
    }
    for (home, diagnostic) in found {
        slots[home].diagnostics.push(diagnostic);
    }
}

/// Warns of the templates of a declared action that a rule names at `span`.
pub(crate) fn of_action(rule: &RuleItem, action: &ResourceItem, span: Span) -> Vec<Diagnostic> {
    let (Some(program), Some(render)) = (&rule.program, &action.render) else { return Vec::new() };
    check(program, &render.templates(), &format!("`{}`", action.id), |_| span)
}

/// An action, and the slot of the file that declares it.
struct Declared<'s> {
    item: &'s ResourceItem,
    home: usize,
}

/// A rule that hands rows to an action: where it says so, and the slot of its file.
struct User<'s> {
    program: &'s Program,
    home: usize,
    span: Span,
}

/// Fallback actions see the rows of every rule that uses their action. What none of them fills is wrong where it stands; what
/// some of them do not, at those rules.
fn check_fallback(
    fallback: &Fallback,
    action: &Declared<'_>,
    users: &[User<'_>],
    declared: &HashMap<&ResourceId, Declared<'_>>,
    found: &mut Vec<(usize, Diagnostic)>,
) {
    let id = &action.item.id;
    let (templates, owner, named) = match fallback {
        Fallback::Republish(republish) => {
            (republish.templates(), format!("the republish fallback of `{id}`"), None)
        }
        Fallback::Reference(other, span) => {
            let Some(render) = declared.get(other).and_then(|other| other.item.render.as_ref()) else {
                return;
            };
            (render.templates(), format!("`{other}`, the fallback of `{id}`,"), Some(*span))
        }
    };
    for (setting, template) in templates {
        for placeholder in template.placeholders() {
            let here = named.unwrap_or_else(|| placeholder.span());
            let problem_of = |user: &User<'_>| problem(user.program, placeholder, Extra::Failure);
            let problems: Vec<_> = users.iter().filter_map(|user| Some((user, problem_of(user)?))).collect();
            if users.is_empty() {
                let problem = about_failure(placeholder);
                found.extend(problem.map(|problem| (action.home, problem.told(setting, &owner, here))));
            } else if problems.len() == users.len() {
                let first = problems.into_iter().next();
                found.extend(first.map(|(_, problem)| (action.home, problem.told(setting, &owner, here))));
            } else {
                let told = |(user, problem): (&User<'_>, Problem)| {
                    (user.home, problem.told(setting, &owner, user.span))
                };
                found.extend(problems.into_iter().map(told));
            }
        }
    }
}

/// What is wrong with a placeholder.
struct Problem {
    /// The part of it that nothing supplies.
    name: String,
    reason: &'static str,
    /// What may have been meant.
    help: Option<String>,
}

impl Problem {
    fn told(self, setting: &str, owner: &str, span: Span) -> Diagnostic {
        let message = format!("`{setting}` of {owner} has `${{{}}}`, {}", self.name, self.reason);
        Diagnostic::new(Code::UnknownPlaceholder, span, message).maybe_help(self.help)
    }
}

/// What a template sees beside the row and the columns of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    Nothing,
    /// `failure`: what went wrong, for fallback actions.
    Failure,
}

/// The keys of the one column of which they are known beforehand.
const FLAGS: [&str; 2] = ["retain", "dup"];
/// What fallback actions see of a failure.
const FAILURE: &str = "failure";
const NEVER: &str = "which is never set";

/// Columns that templates see in more events than SQL does.
const FOR_TEMPLATES: [Column; 4] = [Column::Flags, Column::Retain, Column::Dup, Column::PubProps];

fn problem(program: &Program, placeholder: &Placeholder, extra: Extra) -> Option<Problem> {
    let root = placeholder.root();
    if program.selects(root) {
        return None;
    }
    if extra == Extra::Failure && root == FAILURE {
        return unknown_key(placeholder, &FAILURE_KEYS);
    }
    let Some(column) = Column::from_name(root) else {
        let failure = (extra == Extra::Failure).then_some(FAILURE);
        let names = Column::ALL.iter().map(|column| column.name()).chain(program.selected()).chain(failure);
        let help = match nearest(root, names) {
            Some(near) => did_you_mean(near, placeholder),
            None => format!("select it, or read it from a JSON payload as `${{payload.{root}}}`"),
        };
        return Some(Problem { name: as_written(placeholder), reason: NEVER, help: Some(help) });
    };
    if !program.sees(column) && !FOR_TEMPLATES.contains(&column) {
        let reason = "which no event of this rule's FROM has";
        return Some(Problem { name: root.to_owned(), reason, help: None });
    }
    if column == Column::Flags { unknown_key(placeholder, &FLAGS) } else { None }
}

/// What can be said of a fallback's placeholder while no rule uses its action: that it misspells the failure.
fn about_failure(placeholder: &Placeholder) -> Option<Problem> {
    let root = placeholder.root();
    if root == FAILURE {
        return unknown_key(placeholder, &FAILURE_KEYS);
    }
    let near = nearest(root, [FAILURE]).filter(|_| Column::from_name(root).is_none())?;
    let help = Some(did_you_mean(near, placeholder));
    Some(Problem { name: as_written(placeholder), reason: NEVER, help })
}

/// A first key that is none of those there are.
fn unknown_key(placeholder: &Placeholder, keys: &[&str]) -> Option<Problem> {
    let (root, key) = (placeholder.root(), placeholder.keys().next()?);
    if keys.contains(&key) {
        return None;
    }
    let help = match nearest(key, keys.iter().copied()) {
        Some(near) => format!("did you mean `${{{root}.{near}}}`?"),
        None => format!("of `{root}` there are {}", keys.join(", ")),
    };
    Some(Problem { name: format!("{root}.{key}"), reason: NEVER, help: Some(help) })
}

fn did_you_mean(near: &str, placeholder: &Placeholder) -> String {
    let keys = match near {
        FAILURE => &FAILURE_KEYS[..],
        near if near == Column::Flags.name() => &FLAGS,
        _ => return format!("did you mean `${{{near}}}`?"),
    };
    match placeholder.keys().next() {
        Some(key) => {
            format!("did you mean `${{{near}.{}}}`?", nearest(key, keys.iter().copied()).unwrap_or(key))
        }
        None => format!("did you mean `${{{near}}}`?"),
    }
}

fn as_written(placeholder: &Placeholder) -> String {
    let keys = placeholder.keys().map(|key| format!(".{key}"));
    std::iter::once(placeholder.root().to_owned()).chain(keys).collect()
}
