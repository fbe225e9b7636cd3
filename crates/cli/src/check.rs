//! `sluicegate check`.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use api::DiagnosticBody;
use config::server_file::{self, Overrides};
use engine::Finding;
use engine::trial::Folder;
use serde_json::json;

use crate::EXIT_FINDINGS;
use crate::args::{CheckArgs, CheckFormat};
use crate::run::style;
use crate::terminal::show;

/// Checks the configuration and every file of the rules folders.
pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    let overrides = Overrides { rules: args.files.rules.clone(), ..Overrides::default() };
    // A configuration with a mistake still says, if need be by default, where the rules are: look at them all the same.
    let (config, mut problems) =
        server_file::load(args.files.config.as_deref(), std::env::vars_os(), &overrides);
    problems.extend(server::check(&config));
    let folder = Folder::read(&config.rules.dirs, server::KINDS);
    let mut findings = folder.findings();
    findings.extend(
        problems.into_iter().map(|problem| Finding::new(Arc::new(problem.source()), problem.diagnostic)),
    );
    if args.portable {
        findings.extend(folder.portability());
    }
    findings.sort_by(|a, b| {
        let place = |finding: &Finding| finding.diagnostic.span.start;
        a.source.name().cmp(b.source.name()).then_with(|| place(a).cmp(&place(b)))
    });
    let text = match args.format {
        CheckFormat::Text => as_text(&findings),
        CheckFormat::Json => findings.iter().map(|finding| format!("{}\n", json_line(finding))).collect(),
        CheckFormat::Github => findings.iter().map(|finding| github(finding) + "\n").collect(),
        CheckFormat::Sarif => format!("{:#}\n", sarif(&findings)),
    };
    show(text);
    let counts = |finding: &Finding| args.deny_warnings || finding.diagnostic.is_error();
    if findings.iter().any(counts) { ExitCode::from(EXIT_FINDINGS) } else { ExitCode::SUCCESS }
}

fn as_text(findings: &[Finding]) -> String {
    let style = style(std::io::stdout().is_terminal());
    let mut text = String::new();
    for finding in findings {
        text.push_str(&finding.source.render(&finding.diagnostic, style));
        text.push('\n');
    }
    let errors = findings.iter().filter(|finding| finding.diagnostic.is_error()).count();
    let warnings = findings.len() - errors;
    text.push_str(&match (errors, warnings) {
        (0, 0) => "everything is right\n".to_owned(),
        _ => format!("{}, {}\n", counted(errors, "error"), counted(warnings, "warning")),
    });
    text
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn json_line(finding: &Finding) -> serde_json::Value {
    json!(DiagnosticBody::with_file(&finding.source, &finding.diagnostic))
}

/// A workflow command that GitHub shows beside the line.
fn github(finding: &Finding) -> String {
    let body = DiagnosticBody::with_file(&finding.source, &finding.diagnostic);
    let help = body.help.map(|help| format!("\n{help}")).unwrap_or_default();
    format!(
        "::{} file={},line={},col={},endLine={},endColumn={},title={}::{}",
        body.severity,
        github_property(&body.file.unwrap_or_default()),
        body.line,
        body.column,
        body.end_line,
        body.end_column,
        body.code,
        github_data(&format!("{}{help}", body.message)),
    )
}

fn github_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn github_property(text: &str) -> String {
    github_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A SARIF 2.1.0 log of one run.
fn sarif(findings: &[Finding]) -> serde_json::Value {
    let results: Vec<_> = findings.iter().map(sarif_result).collect();
    let mut codes: Vec<_> = findings.iter().map(|finding| finding.diagnostic.code).collect();
    codes.sort_by_key(|code| code.as_str());
    codes.dedup();
    let rules: Vec<_> = codes
        .iter()
        .map(|code| {
            json!({
                "id": code.as_str(),
                "shortDescription": { "text": code.title() },
                "fullDescription": { "text": code.docs() },
            })
        })
        .collect();
    let driver = json!({ "name": "sluicegate", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    })
}

fn sarif_result(finding: &Finding) -> serde_json::Value {
    let body = DiagnosticBody::with_file(&finding.source, &finding.diagnostic);
    let help = body.help.map(|help| format!("\n{help}")).unwrap_or_default();
    json!({
        "ruleId": body.code,
        "level": body.severity,
        "message": { "text": format!("{}{help}", body.message) },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": body.file.map(|file| uri(&file)) },
                "region": {
                    "startLine": body.line,
                    "startColumn": body.column,
                    "endLine": body.end_line,
                    "endColumn": body.end_column,
                },
            },
        }],
    })
}

/// A path as a relative reference in the sense of RFC 3986.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'\\' => uri.push('/'),
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
