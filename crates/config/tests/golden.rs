//! What is read from the files of `tests/golden/config`, and what is said of their mistakes, as printed.
//!
//! `NAME.sql`, `NAME.resources.toml` and `NAME.server.toml` are inputs; `INPUT.out` is what must come of them.
//! `UPDATE_GOLDEN=1 cargo test -p config` writes the outputs anew.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use config::{ActionTarget, Overrides, RuleFile, Section, resource_file, server_file};
use diagnostic::{Diagnostic, Source, Style};

fn render(source: &Source, diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| source.render(diagnostic, Style::Plain) + "\n").collect()
}

fn rule(text: &str, source: &Source) -> String {
    let mut diagnostics = Vec::new();
    let rule = RuleFile::parse(text, &mut diagnostics);
    let mut out = render(source, &diagnostics);
    let settings = Section::to_json(&rule.section.filtered(|entry| entry.key != "actions"));
    let _ = writeln!(out, "settings {settings}");
    for action in &rule.actions {
        let _ = match &action.target {
            ActionTarget::Ref(action) => writeln!(out, "action   {}:{}", action.kind, action.name),
            ActionTarget::Function { function, args } => {
                writeln!(out, "action   {} {}", function.name(), args.to_json())
            }
        };
    }
    let _ = writeln!(out, "sql      at {}: {:?}", rule.sql_start, rule.sql);
    out
}

fn resources(text: &str, source: &Source) -> String {
    let mut diagnostics = Vec::new();
    let declarations = resource_file::parse_resource_file(text, &mut diagnostics);
    let mut out = render(source, &diagnostics);
    for declaration in declarations {
        let _ =
            writeln!(out, "{} {} {}", declaration.category, declaration.id(), declaration.section.to_json());
    }
    out
}

fn server(path: &Path, dir: &Path) -> String {
    let (config, problems) = server_file::load(Some(path), [], &Overrides::default());
    let render =
        |problem: &config::FileProblem| problem.source().render(&problem.diagnostic, Style::Plain) + "\n";
    let mut out: String = problems.iter().map(render).collect();
    let _ = writeln!(out, "{config:#?}");
    out.replace(&format!("{}/", dir.display()), "")
}

fn outcome(path: &Path, dir: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let bytes = fs::read(path).unwrap();
    let (text, not_text) = config::text_file::decode(bytes);
    let source = Source::new(name, config::redact::masked(&text));
    match not_text {
        Some(diagnostic) => render(&source, &[diagnostic]),
        None if name.ends_with(".sql") => rule(&text, &source),
        None if name.ends_with(".server.toml") => server(path, dir),
        None => resources(&text, &source),
    }
}

#[test]
fn files_come_out_as_written_down() {
    let dir =
        fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/config")).unwrap();
    let mut inputs: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.retain(|path| path.extension().is_none_or(|extension| extension != "out"));
    inputs.sort();
    assert!(!inputs.is_empty());
    let mut different = Vec::new();
    for input in inputs {
        let expected_path = PathBuf::from(format!("{}.out", input.display()));
        let found = outcome(&input, &dir);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected_path, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if found != expected {
            different.push(format!("{}:\n{found}\nrather than:\n{expected}", input.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
