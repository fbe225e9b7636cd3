//! The generated pages of `docs/generated`: functions, diagnostic codes, fields of connectors, the configuration file.
//!
//! Nobody writes in them: they are printed from the declarations, and the test fails while they are stale.

mod events;
mod fields;
mod functions;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use diagnostic::{Code, Severity};

/// How a stale page is mended.
const MENDED_BY: &str = "cargo xtask docs";

#[test]
fn generated_pages_are_current() {
    let pages = [
        ("functions.md", functions::page()),
        ("codes.md", codes()),
        ("events.md", events::page()),
        ("connectors.md", fields::connectors()),
        ("config.md", fields::config()),
    ];
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut stale = Vec::new();
    for (name, text) in pages {
        let path = folder().join(name);
        if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if update {
            std::fs::create_dir_all(folder()).expect("the folder can be made");
            std::fs::write(&path, text).expect("the page can be written");
        } else {
            stale.push(name);
        }
    }
    assert!(
        stale.is_empty(),
        "stale in docs/generated: {}; `{MENDED_BY}` writes them anew",
        stale.join(", ")
    );
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/generated")
}

/// The top of a page.
fn head(title: &str, text: &str) -> String {
    format!(
        "<!-- Printed from the declarations by `{MENDED_BY}`; changes made here are lost. -->\n# {title}\n\n{text}\n"
    )
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn codes() -> String {
    let mut page = head(
        "Diagnostic codes",
        "What `sluicegate check`, the log and the API report. A code keeps its meaning for ever; the message that comes with it \
         is for people and may change.",
    );
    for (severity, title) in [(Severity::Error, "Errors"), (Severity::Warning, "Warnings")] {
        let _ = write!(page, "\n## {title}\n");
        for code in Code::ALL.iter().filter(|code| code.severity() == severity) {
            let _ = write!(page, "\n### {code}: {}\n\n{}\n", code.title().trim_end_matches('.'), code.docs());
        }
    }
    page
}
