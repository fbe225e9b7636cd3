//! What the verbs print that run no server, as golden files: the first line of each is the command, below it stands
//! what it says and its exit code. They run in the files' folder. `UPDATE_GOLDEN=1` rewrites them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::PROGRAM;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cli")
}

fn said(command: &str) -> String {
    let args = command.strip_prefix("$ sluicegate ").expect("the first line is a command");
    let output = Command::new(PROGRAM)
        .args(words(args))
        .current_dir(folder())
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    format!("{command}\n{stdout}{stderr}(exit {code})\n")
}

/// The words of a command, which may stand in quotes of either kind.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in command.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ' ' => words.push(String::new()),
            _ => words.last_mut().expect("there is one").push(c),
        }
    }
    words
}

#[test]
fn verbs_say_what_they_should() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differ = Vec::new();
    let mut files = 0;
    for entry in std::fs::read_dir(folder()).expect("the golden files are there") {
        let path = entry.expect("a folder can be read").path();
        if path.extension().is_none_or(|end| end != "out") {
            continue;
        }
        files += 1;
        let expected = std::fs::read_to_string(&path).expect("a golden file is text");
        let found = said(expected.lines().next().unwrap_or_default());
        if found == expected {
            continue;
        }
        if update {
            std::fs::write(&path, &found).expect("a golden file can be written");
        } else {
            differ.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(files > 0, "no golden files");
    assert!(differ.is_empty(), "not as expected:\n{}\nUPDATE_GOLDEN=1 rewrites them", differ.join("\n"));
}

#[test]
fn every_function_has_a_page_and_a_line() {
    let list = said("$ sluicegate functions");
    for line in list.lines().filter(|line| line.starts_with("  ")) {
        let name = line.split_whitespace().next().unwrap_or_default();
        let page = said(&format!("$ sluicegate functions {name}"));
        assert!(page.contains(&format!("\n{name}(")) && page.ends_with("(exit 0)\n"), "{page}");
    }
    assert!(list.lines().count() > 100, "{list}");
}

#[test]
fn the_samples_keep_what_their_cases_promise() {
    let said = said("$ sluicegate test --rules ../../../rules");
    assert!(said.contains(" passed, 0 failed\n") && said.ends_with("(exit 0)\n"), "{said}");
}
