//! The actions of a rule, as files and REST bodies write them.

use diagnostic::{Code, Diagnostic, Span, did_you_mean};

use crate::section::{Node, NodeValue, Section, Text};
use crate::text_file::check_name;

/// One action of a rule.
#[derive(Debug, Clone)]
pub struct Action {
    /// What it is.
    pub target: ActionTarget,
    /// Where it stood.
    pub span: Span,
    /// As it was written.
    pub node: Node,
}

/// What an action of a rule is.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionTarget {
    /// `"type:name"`: an action that is declared elsewhere.
    Ref(ActionRef),
    /// `{ function = "…", args = { … } }`.
    Function {
        /// Which one.
        function: Function,
        /// Its arguments, for the function to check; empty if there are none.
        args: Section,
    },
}

/// The name of an action that is declared elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRef {
    /// The type, such as `mqtt`.
    pub kind: String,
    /// The name.
    pub name: String,
}

/// What a rule can do without a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// Publishes to the local broker.
    Republish,
    /// Writes the row to the log.
    Console,
}

impl Function {
    /// All of them.
    pub const ALL: [Function; 2] = [Function::Republish, Function::Console];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Function::Republish => "republish",
            Function::Console => "console",
        }
    }
}

/// Reads a list of actions. What is wrong is reported and left out.
pub(crate) fn parse_actions(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Vec<Action> {
    let Some(items) = node.as_list() else {
        let message = format!("`actions` needs a list, found {}", node.kind_text());
        let diagnostic = Diagnostic::new(Code::WrongType, node.span, message);
        diagnostics.push(diagnostic.help("put the action in brackets: `[ … ]`"));
        return Vec::new();
    };
    let action = |(at, item): (usize, &Node)| {
        let target = match &item.value {
            NodeValue::Table(table) => parse_function(at, item.span, table, diagnostics),
            _ => parse_ref(at, item, diagnostics),
        };
        target.map(|target| Action { target, span: item.span, node: item.clone() })
    };
    items.iter().enumerate().filter_map(action).collect()
}

fn parse_ref(at: usize, item: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<ActionTarget> {
    let Some(Text { text, span, .. }) = item.as_text() else {
        let message = format!("`actions[{at}]` needs `\"type:name\"` or a table, found {}", item.kind_text());
        diagnostics.push(Diagnostic::new(Code::WrongType, item.span, message));
        return None;
    };
    let Some((kind, name)) = text.split_once(':') else {
        let diagnostic = Diagnostic::new(Code::UnknownAction, span, format!("`{text}` is not an action"));
        let function = Function::ALL.into_iter().find(|function| function.name() == text);
        diagnostics.push(diagnostic.help(match function {
            Some(_) => format!("write `{{ function = \"{text}\", args = {{ … }} }}`"),
            None => "write `\"type:name\"`, or a table with `function`".to_owned(),
        }));
        return None;
    };
    for (what, word) in [("type of an action", kind), ("name of an action", name)] {
        if let Err(diagnostic) = check_name(what, word, span) {
            diagnostics.push(diagnostic);
            return None;
        }
    }
    Some(ActionTarget::Ref(ActionRef { kind: kind.to_owned(), name: name.to_owned() }))
}

fn parse_function(
    at: usize,
    span: Span,
    table: &Section,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<ActionTarget> {
    const KEYS: [&str; 2] = ["function", "args"];
    for entry in table.entries().iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
        let message = format!("there is no setting `actions[{at}].{}`", entry.key);
        let help = did_you_mean(&entry.key, KEYS);
        diagnostics.push(Diagnostic::new(Code::UnknownKey, entry.key_span, message).maybe_help(help));
    }
    let function = match table.get("function") {
        Some(node) => parse_function_name(at, node, diagnostics),
        None => {
            let message = format!("`actions[{at}].function` is missing");
            diagnostics.push(Diagnostic::new(Code::MissingKey, span, message).lacks("function"));
            None
        }
    };
    let args = match table.get("args").map(|node| (node, &node.value)) {
        None | Some((_, NodeValue::Null)) => Section::empty(span),
        Some((_, NodeValue::Table(args))) => args.clone(),
        Some((node, _)) => {
            let message = format!("`actions[{at}].args` needs a table, found {}", node.kind_text());
            diagnostics.push(Diagnostic::new(Code::WrongType, node.span, message));
            return None;
        }
    };
    Some(ActionTarget::Function { function: function?, args })
}

fn parse_function_name(at: usize, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Function> {
    let names = || Function::ALL.map(Function::name);
    let Some(text) = node.as_str() else {
        let message = format!("`actions[{at}].function` needs text, found {}", node.kind_text());
        diagnostics.push(Diagnostic::new(Code::WrongType, node.span, message));
        return None;
    };
    let function = Function::ALL.into_iter().find(|function| function.name() == text);
    if function.is_none() {
        let message = format!("there is no action function `{text}`");
        let known = || match text.contains(':') {
            // The reference's word for a function of an Erlang module.
            true => {
                "functions of modules cannot be called here: there are `republish` and `console`".to_owned()
            }
            false => "there are `republish` and `console`".to_owned(),
        };
        let help = did_you_mean(text, names()).unwrap_or_else(known);
        diagnostics.push(Diagnostic::new(Code::UnknownAction, node.span, message).help(help));
    }
    function
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Vec<Action>, Vec<String>) {
        let mut diagnostics = Vec::new();
        let section = Section::parse_toml(text, &mut diagnostics);
        let actions = parse_actions(section.get("actions").unwrap(), &mut diagnostics);
        let shown = |d: &Diagnostic| {
            let help = d.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{} {}{help} @ {}", d.code, d.message, &text[d.span.range()])
        };
        (actions, diagnostics.iter().map(shown).collect())
    }

    #[test]
    fn the_shapes_of_the_api() {
        let (actions, diagnostics) = parse(
            "actions = ['mqtt:up.link', { function = 'republish', args = { topic = 't' } }, { function = 'console' }]",
        );
        assert_eq!(diagnostics, [""; 0]);
        let reference = ActionRef { kind: "mqtt".to_owned(), name: "up.link".to_owned() };
        assert_eq!(actions[0].target, ActionTarget::Ref(reference));
        let ActionTarget::Function { function, args } = &actions[1].target else {
            panic!("{:?}", actions[1])
        };
        assert_eq!((*function, args.get("topic").and_then(Node::as_str)), (Function::Republish, Some("t")));
        let ActionTarget::Function { function, args } = &actions[2].target else {
            panic!("{:?}", actions[2])
        };
        assert!(*function == Function::Console && args.is_empty());
    }

    #[test]
    fn what_is_no_action_is_told() {
        let (actions, diagnostics) = parse(
            "actions = ['console', 'uplink', 'mqtt:a b', 5, {}, { function = 'republsh' }, \
             { function = 'mod:fun' }, { function = 'console', arg = {} }, { function = 'console', args = 1 }]",
        );
        assert_eq!(actions.len(), 1);
        assert_eq!(
            diagnostics,
            [
                "E408 `console` is not an action (write `{ function = \"console\", args = { … } }`) @ 'console'",
                "E408 `uplink` is not an action (write `\"type:name\"`, or a table with `function`) @ 'uplink'",
                "E410 `a b` cannot be a name of an action (begin with a letter or digit and go on with letters, digits, \
                 `_`, `.` and `-`, 255 at most) @ 'mqtt:a b'",
                "E402 `actions[3]` needs `\"type:name\"` or a table, found a whole number @ 5",
                "E403 `actions[4].function` is missing @ {}",
                "E408 there is no action function `republsh` (did you mean `republish`?) @ 'republsh'",
                "E408 there is no action function `mod:fun` (functions of modules cannot be called here: there are `republish` \
                 and `console`) @ 'mod:fun'",
                "E401 there is no setting `actions[7].arg` (did you mean `args`?) @ arg",
                "E402 `actions[8].args` needs a table, found a whole number @ 1",
            ]
        );
        assert_eq!(parse("actions = 'mqtt:a'").1.len(), 1);
    }
}
