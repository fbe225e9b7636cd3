//! The page of the builtin functions.

use std::fmt::Write as _;

use ::functions::{FAMILIES, Function};

use super::{cell, head};
use crate::functions::signature_text;

pub(super) fn page() -> String {
    let mut page = head(
        "Functions",
        "Every builtin function of the rule SQL. `sluicegate functions NAME` shows the same on a terminal. Arguments in brackets may be \
         left out; where `text` stands, booleans and the names of events pass for strings. A call that fails fails the whole statement for this message.",
    );
    page.push_str("\n| | |\n| --- | --- |\n");
    for (family, functions) in FAMILIES {
        let links = functions.iter().map(|function| format!("[`{0}`](#{0})", function.name));
        let _ = writeln!(page, "| {family} | {} |", links.collect::<Vec<_>>().join(", "));
    }
    for (family, functions) in FAMILIES {
        let _ = write!(page, "\n## {family}\n");
        for function in *functions {
            write_function(function, &mut page);
        }
    }
    page
}

fn write_function(function: &Function, page: &mut String) {
    let _ = write!(page, "\n### {}\n\n`{}`\n\n{}", function.name, function.usage, function.summary);
    if !function.errors.is_empty() {
        let _ = write!(page, " {}", function.errors);
    }
    page.push_str("\n\n```\n");
    for signature in function.signatures {
        let _ = writeln!(page, "{}", signature_text(function.name, signature));
    }
    page.push_str("```\n\n| call | gives |\n| --- | --- |\n");
    for example in function.examples {
        let result = example.gives.map_or("fails".to_owned(), code);
        let _ = writeln!(page, "| {} | {result} |", code(example.call));
    }
}

/// Code in a cell; it may hold backticks.
fn code(text: &str) -> String {
    let text = cell(text);
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}
