use codespan_reporting::diagnostic as cs;
use codespan_reporting::files::{Error, Files};
use codespan_reporting::term::termcolor::{Ansi, NoColor};
use codespan_reporting::term::{self, Chars, Config};

use crate::{Diagnostic, Severity, Source};

/// How a rendering looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text only: logs, answers, files.
    Plain,
    /// With the colours of a terminal.
    Colour,
}

impl Source {
    /// Draws one diagnostic: headline, underlined excerpt, notes and help. Ends with a line end.
    pub fn render(&self, diagnostic: &Diagnostic, style: Style) -> String {
        let mut out = Vec::new();
        let (config, shown) = (config(), self.shown(diagnostic));
        let written = match style {
            Style::Plain => term::emit_to_write_style(&mut NoColor::new(&mut out), &config, self, &shown),
            Style::Colour => term::emit_to_write_style(&mut Ansi::new(&mut out), &config, self, &shown),
        };
        if written.is_err() {
            // Cannot happen with a file of our own and a vector; a bare line is still better than nothing.
            return format!("{}[{}]: {}\n", diagnostic.severity, diagnostic.code, diagnostic.message);
        }
        trim_blank_ends(&String::from_utf8_lossy(&out))
    }

    /// Draws several, a blank line between them.
    pub fn render_all(&self, diagnostics: &[Diagnostic], style: Style) -> String {
        diagnostics.iter().map(|diagnostic| self.render(diagnostic, style)).collect::<Vec<_>>().join("\n")
    }

    fn shown(&self, diagnostic: &Diagnostic) -> cs::Diagnostic<()> {
        let severity = match diagnostic.severity {
            Severity::Error => cs::Severity::Error,
            Severity::Warning => cs::Severity::Warning,
        };
        let range = |span: crate::Span| {
            let range = span.range();
            self.clamp(range.start)..self.clamp(range.end)
        };
        let primary = cs::Label::primary((), range(diagnostic.span)).with_message(&diagnostic.label);
        let related = diagnostic
            .related
            .iter()
            .map(|related| cs::Label::secondary((), range(related.span)).with_message(&related.label));
        let notes = diagnostic.notes.iter().map(|note| format!("note: {note}"));
        let help = diagnostic.help.iter().map(|help| format!("help: {help}"));
        cs::Diagnostic::new(severity)
            .with_code(diagnostic.code.as_str())
            .with_message(&diagnostic.message)
            .with_labels(std::iter::once(primary).chain(related).collect())
            .with_notes(notes.chain(help).collect())
    }
}

fn config() -> Config {
    Config { chars: Chars::box_drawing(), tab_width: 4, ..Config::default() }
}

/// Without blanks at the ends of lines, and without the lines that only space an excerpt out.
fn trim_blank_ends(drawn: &str) -> String {
    let mut out = String::with_capacity(drawn.len());
    for line in drawn.lines() {
        let line = line.trim_end();
        if !matches!(without_colour(line).trim(), "" | "│") {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The line without terminal escapes, which begin with ESC and end with `m`.
fn without_colour(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut escape = false;
    for ch in line.chars() {
        match ch {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            _ => shown.push(ch),
        }
    }
    shown
}

impl<'a> Files<'a> for Source {
    type FileId = ();
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, (): ()) -> Result<&'a str, Error> {
        Ok(Source::name(self))
    }

    fn source(&'a self, (): ()) -> Result<&'a str, Error> {
        Ok(self.text())
    }

    fn line_index(&'a self, (): (), at: usize) -> Result<usize, Error> {
        Ok(Source::line_index(self, at))
    }

    fn line_range(&'a self, (): (), line: usize) -> Result<std::ops::Range<usize>, Error> {
        Source::line_range(self, line).ok_or(Error::LineTooLarge { given: line, max: self.line_count() - 1 })
    }
}
