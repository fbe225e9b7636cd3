//! `sluicegate test`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use api::DiagnosticBody;
use config::server_file::Overrides;
use diagnostic::{Source, Style};
use engine::Finding;
use engine::trial::{Case, Coverage, Difference, Failure, Folder, TestFile};
use serde_json::json;

use crate::args::{TestArgs, TestFormat};
use crate::coverage;
use crate::run::{load, style};
use crate::terminal::{show, tell};
use crate::{EXIT_FINDINGS, EXIT_USAGE};

/// Tries the rules on the cases beside them.
pub(crate) fn run(args: &TestArgs) -> ExitCode {
    let overrides = Overrides { rules: args.files.rules.clone(), ..Overrides::default() };
    // Certificates and the like need not be where rules are tested.
    let Some(config) = load(&args.files, &overrides, |_| Vec::new()) else {
        return ExitCode::from(EXIT_USAGE);
    };
    let folder = Folder::read(&config.rules.dirs, server::KINDS);
    let mut tried = Tried::of(&folder, args.filter.as_deref());
    if args.coverage {
        tried.coverage = Some(folder.coverage());
    }
    if let Some(filter) = args.filter.as_deref().filter(|_| tried.is_empty()) {
        tell(format_args!("error: no case has `{filter}` in its name"));
        return ExitCode::from(EXIT_USAGE);
    }
    let text = match args.format {
        TestFormat::Text => tried.as_text(style(std::io::stdout().is_terminal())),
        TestFormat::Json => tried.as_json(),
        TestFormat::Junit => tried.as_junit(),
    };
    show(text);
    if tried.is_good() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FINDINGS) }
}

/// The cases that were asked for, and what came of them.
struct Tried<'f> {
    /// Files that may have held cases, and cannot be read.
    unreadable: Vec<Finding>,
    files: Vec<TriedFile<'f>>,
    /// What was reached of every rule, if that was asked for.
    coverage: Option<Vec<Coverage>>,
}

struct TriedFile<'f> {
    file: &'f TestFile,
    /// What keeps all of its cases from being tried.
    errors: Vec<Finding>,
    cases: Vec<(&'f Case, Result<(), Failure>)>,
}

impl<'f> Tried<'f> {
    fn of(folder: &'f Folder, filter: Option<&str>) -> Self {
        let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
        let files = folder.tests().iter().filter_map(|file| {
            let cases = file.cases().iter().filter(|case| wanted(&full_name(file, case)));
            let cases: Vec<_> = cases.map(|case| (case, case.run())).collect();
            let errors = file.errors();
            let concerned = !cases.is_empty() || !errors.is_empty() && wanted(file.rule());
            concerned.then_some(TriedFile { file, errors, cases })
        });
        Self { unreadable: folder.unreadable(), files: files.collect(), coverage: None }
    }

    fn passed(&self) -> usize {
        self.files.iter().flat_map(|file| &file.cases).filter(|(_, result)| result.is_ok()).count()
    }

    fn failed(&self) -> usize {
        self.files.iter().map(|file| file.cases.len()).sum::<usize>() - self.passed()
    }

    fn broken(&self) -> usize {
        self.unreadable.len() + self.files.iter().filter(|file| !file.errors.is_empty()).count()
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.unreadable.is_empty()
    }

    fn is_good(&self) -> bool {
        self.failed() == 0 && self.broken() == 0
    }

    fn as_text(&self, style: Style) -> String {
        let mut text = rendered(&self.unreadable, style);
        for file in &self.files {
            text.push_str(&rendered(&file.errors, style));
            for (case, result) in &file.cases {
                text.push_str(&case_as_text(file.file, case, result, style));
            }
        }
        if !text.is_empty() && !text.ends_with("\n\n") {
            text.push('\n');
        }
        let _ = write!(text, "{} passed, {} failed", self.passed(), self.failed());
        match self.broken() {
            0 => {}
            1 => text.push_str(", 1 file with errors"),
            count => {
                let _ = write!(text, ", {count} files with errors");
            }
        }
        text.push('\n');
        if let Some(rules) = &self.coverage {
            text.push_str(&coverage::as_text(rules));
        }
        text
    }

    /// One object a line: for each case, and for each file whose cases cannot be tried.
    fn as_json(&self) -> String {
        let mut text = String::new();
        for finding in &self.unreadable {
            let file = finding.source.name();
            let _ = writeln!(
                text,
                "{}",
                json!({ "file": file, "status": "error", "diagnostics": [body(finding)] })
            );
        }
        for TriedFile { file, errors, cases } in &self.files {
            if !errors.is_empty() {
                let line = json!({
                    "rule": file.rule(),
                    "file": file.source().name(),
                    "status": "error",
                    "diagnostics": errors.iter().map(body).collect::<Vec<_>>(),
                });
                let _ = writeln!(text, "{line}");
            }
            for (case, result) in cases {
                let _ = writeln!(text, "{}", case_as_json(file, case, result));
            }
        }
        for rule in self.coverage.iter().flatten() {
            let _ = writeln!(text, "{}", coverage::as_json(rule));
        }
        text
    }

    /// A JUnit report: a suite for each file.
    fn as_junit(&self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            text,
            "<testsuites name=\"sluicegate\" tests=\"{}\" failures=\"{}\" errors=\"{}\">",
            self.passed() + self.failed() + self.broken(),
            self.failed(),
            self.broken()
        );
        for finding in &self.unreadable {
            let name = xml(finding.source.name());
            let _ = writeln!(text, "  <testsuite name=\"{name}\" tests=\"1\" failures=\"0\" errors=\"1\">");
            write_junit_errors(&mut text, &name, std::slice::from_ref(finding));
            text.push_str("  </testsuite>\n");
        }
        let coverage: HashMap<&str, &Coverage> =
            self.coverage.iter().flatten().map(|rule| (&*rule.rule, rule)).collect();
        for file in &self.files {
            file.write_junit(&mut text, coverage.get(file.file.rule()).copied());
        }
        text.push_str("</testsuites>\n");
        text
    }
}

impl TriedFile<'_> {
    fn write_junit(&self, text: &mut String, coverage: Option<&Coverage>) {
        let Self { file, errors, cases } = self;
        let rule = xml(file.rule());
        let broken = usize::from(!errors.is_empty());
        let failures = cases.iter().filter(|(_, result)| result.is_err()).count();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{rule}\" file=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{broken}\">",
            xml(file.source().name()),
            cases.len() + broken
        );
        if let Some(coverage) = coverage {
            coverage::write_junit(text, coverage);
        }
        write_junit_errors(text, &rule, errors);
        for (case, result) in cases {
            let name = xml(case.name());
            let line = line(file.source(), case);
            let _ = write!(text, "    <testcase classname=\"{rule}\" name=\"{name}\" line=\"{line}\"");
            match result {
                Ok(()) => text.push_str("/>\n"),
                Err(failure) => {
                    let message = xml(&failure.message);
                    let details = xml(details(failure, Style::Plain).trim_end());
                    let _ = writeln!(text, ">\n      <failure message=\"{message}\">{details}</failure>");
                    text.push_str("    </testcase>\n");
                }
            }
        }
        if let Some(coverage) = coverage {
            coverage::write_junit_missed(text, coverage);
        }
        text.push_str("  </testsuite>\n");
    }
}

/// What keeps the cases of a class from being tried, if anything does, as a case of its own.
fn write_junit_errors(text: &mut String, class: &str, errors: &[Finding]) {
    let Some(first) = errors.first() else { return };
    let all = xml(rendered(errors, Style::Plain).trim_end());
    let message = xml(&first.diagnostic.message);
    let _ = writeln!(text, "    <testcase classname=\"{class}\" name=\"the files have no error\">");
    let _ = writeln!(text, "      <error message=\"{message}\">{all}</error>");
    text.push_str("    </testcase>\n");
}

fn rendered(findings: &[Finding], style: Style) -> String {
    findings.iter().map(|finding| finding.source.render(&finding.diagnostic, style) + "\n").collect()
}

fn body(finding: &Finding) -> DiagnosticBody {
    DiagnosticBody::with_file(&finding.source, &finding.diagnostic)
}

fn full_name(file: &TestFile, case: &Case) -> String {
    format!("{}: {}", file.rule(), case.name())
}

fn line(source: &Source, case: &Case) -> u32 {
    source.locate(case.span()).line
}

fn case_as_text(file: &TestFile, case: &Case, result: &Result<(), Failure>, style: Style) -> String {
    let name = full_name(file, case);
    let (green, red, plain) = match style {
        Style::Colour => ("\x1b[32m", "\x1b[1;31m", "\x1b[0m"),
        Style::Plain => ("", "", ""),
    };
    match result {
        Ok(()) => format!("{green}ok{plain}    {name}\n"),
        Err(failure) => {
            let place = format!("{}:{}", file.source().name(), line(file.source(), case));
            let mut text = format!("{red}FAIL{plain}  {name}\n      {place}: {}\n", failure.message);
            for line in details(failure, style).lines() {
                let _ = writeln!(text, "        {line}");
            }
            text
        }
    }
}

/// The differences one below the other, then the place where the evaluation failed.
fn details(failure: &Failure, style: Style) -> String {
    const DIFFERENCES_MAX: usize = 20;
    let mut text: String = failure.differences.iter().take(DIFFERENCES_MAX).map(difference).collect();
    let more = failure.differences.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        let _ = writeln!(text, "and {more} more");
    }
    if let Some(place) = &failure.place {
        text.push_str(&place.source.render(&place.diagnostic, style));
    }
    text
}

/// One line where both values are short, otherwise one below the other.
fn difference(difference: &Difference) -> String {
    const CHARS_MAX: usize = 90;
    let line = difference.to_string();
    if line.chars().count() <= CHARS_MAX {
        return line + "\n";
    }
    let [expected, found] = difference.values();
    format!("{}:\n  expected {expected}\n  found    {found}\n", difference.path)
}

fn case_as_json(file: &TestFile, case: &Case, result: &Result<(), Failure>) -> serde_json::Value {
    let mut shown = json!({
        "rule": file.rule(),
        "name": case.name(),
        "file": file.source().name(),
        "line": line(file.source(), case),
        "status": if result.is_ok() { "passed" } else { "failed" },
    });
    if let Err(failure) = result {
        shown["message"] = failure.message.as_str().into();
        shown["differences"] = failure.differences.iter().map(difference_as_json).collect();
        if let Some(place) = &failure.place {
            shown["diagnostic"] = json!(body(place));
        }
    }
    shown
}

/// A side where nothing stands has no key, so that `null` is a value.
fn difference_as_json(difference: &Difference) -> serde_json::Value {
    let mut shown = json!({ "path": difference.path });
    for (key, value) in [("expected", &difference.expected), ("found", &difference.found)] {
        if let Some(value) = value {
            shown[key] = value.clone();
        }
    }
    shown
}

/// Text as XML holds it in elements and attributes; what XML cannot hold becomes a question mark.
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c if c.is_control() && c < ' ' => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
