//! `sluicegate functions`.

use std::fmt::Write as _;
use std::process::ExitCode;

use functions::{FAMILIES, Function, NOT_YET};
use value::{Kind, Kinds, Signature};

use crate::EXIT_FINDINGS;
use crate::args::FunctionsArgs;
use crate::terminal::{show, tell};

/// Lists the builtin functions, or explains one.
pub(crate) fn run(args: &FunctionsArgs) -> ExitCode {
    let text = match args.name.as_deref() {
        None => list(),
        Some(name) => match functions::find(name) {
            Some(at) => page(functions::all()[at]),
            None => {
                tell(unknown(name));
                return ExitCode::from(EXIT_FINDINGS);
            }
        },
    };
    show(text);
    ExitCode::SUCCESS
}

/// Every function with its summary, family by family.
fn list() -> String {
    let names = functions::all().iter().map(|function| function.name.len());
    // A few very long names stand out, rather than push all summaries to the right.
    let width = names.max().unwrap_or_default().min(24);
    let mut text = String::new();
    for (family, functions) in FAMILIES {
        let _ = writeln!(text, "{family}");
        for function in *functions {
            let _ = writeln!(text, "  {:width$}  {}", function.name, function.summary);
        }
        text.push('\n');
    }
    text.push_str("`sluicegate functions NAME` explains one of them\n");
    text
}

/// All that is known of one function.
fn page(function: &Function) -> String {
    let mut text = format!("{}\n\n{}\n", function.usage, function.summary);
    if !function.errors.is_empty() {
        let _ = writeln!(text, "{}", function.errors);
    }
    text.push_str("\nSignatures\n");
    for signature in function.signatures {
        let _ = writeln!(text, "  {}", signature_text(function.name, signature));
    }
    text.push_str("\nExamples\n");
    let width = function.examples.iter().map(|example| example.call.chars().count()).max();
    let width = width.unwrap_or_default().min(48);
    for example in function.examples {
        let result = example.gives.map_or("fails".to_owned(), |result| format!("= {result}"));
        let _ = writeln!(text, "  {:width$}  {result}", example.call);
    }
    let _ = writeln!(text, "\nSource: {}", function.source);
    text
}

/// `substr(string, integer, [integer]) → string`
pub(crate) fn signature_text(name: &str, signature: &Signature) -> String {
    let last = signature.params.len().saturating_sub(1);
    let params = signature.params.iter().enumerate().map(|(at, kinds)| {
        let repeated = if signature.variadic && at == last { " …" } else { "" };
        let param = format!("{}{repeated}", kinds_shown(*kinds));
        if at < signature.required { param } else { format!("[{param}]") }
    });
    let params: Vec<String> = params.collect();
    format!("{name}({}) → {}", params.join(", "), kinds_shown(signature.result))
}

/// Strings, and the words that pass for them: booleans, and the names of events.
const TEXT: Kinds = Kinds::of(Kind::Str).or(Kind::Atom).or(Kind::Bool);

fn kinds_shown(kinds: Kinds) -> String {
    match kinds {
        Kinds::ANY => "any".to_owned(),
        Kinds::NONE => "never".to_owned(),
        TEXT => "text".to_owned(),
        Kinds::NUMBER => "number".to_owned(),
        kinds => kinds.to_string(),
    }
}

fn unknown(name: &str) -> String {
    if NOT_YET.contains(&name) {
        return format!("error: the function `{name}` is not there yet");
    }
    let known = functions::all().iter().map(|function| function.name);
    match diagnostic::did_you_mean(name, known) {
        Some(help) => format!("error: there is no function `{name}`\n  = help: {help}"),
        None => {
            format!("error: there is no function `{name}`\n  = help: `sluicegate functions` lists them all")
        }
    }
}
