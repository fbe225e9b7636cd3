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
    ///
    /// What would steer a terminal rather than show on it is drawn as a sign: the file may be anybody's.
    pub fn render(&self, diagnostic: &Diagnostic, style: Style) -> String {
        if self.name().contains(steers) || self.text().contains(steers) {
            let text = shown_in_place(self.text());
            return Source::new(shown(self.name()), text).render(diagnostic, style);
        }
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
        let primary = cs::Label::primary((), range(diagnostic.span)).with_message(shown(&diagnostic.label));
        let related = diagnostic
            .related
            .iter()
            .map(|related| cs::Label::secondary((), range(related.span)).with_message(shown(&related.label)));
        let notes = diagnostic.notes.iter().map(|note| format!("note: {}", shown(note)));
        let help = diagnostic.help.iter().map(|help| format!("help: {}", shown(help)));
        cs::Diagnostic::new(severity)
            .with_code(diagnostic.code.as_str())
            .with_message(shown(&diagnostic.message))
            .with_labels(std::iter::once(primary).chain(related).collect())
            .with_notes(notes.chain(help).collect())
    }
}

/// Whether a character steers a terminal, or the direction in which it writes, rather than shows.
fn steers(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || character.is_control() && !matches!(character, '\n' | '\r' | '\t')
}

/// Text with a sign for each character that steers.
fn shown(text: &str) -> String {
    let sign = |character: char| match u32::from(character) {
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(|character| if steers(character) { sign(character) } else { character }).collect()
}

/// The same with signs of as many bytes as what they stand for, so that places stay where they are.
fn shown_in_place(text: &str) -> String {
    let sign = |character: char| match character.len_utf8() {
        1 => '?',
        2 => '\u{bf}',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(|character| if steers(character) { sign(character) } else { character }).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Span};

    fn heat() -> (Source, Diagnostic) {
        let source =
            Source::new("rules/heat.sql", "-- 30 °C\n--- tags = []\nSELECT substr(payload.name) AS n\n");
        let diagnostic =
            Diagnostic::new(Code::Arity, Span::new(31, 51), "`substr` takes 2 or 3 arguments, found 1")
                .label("missing `start`")
                .related(Span::new(24, 30), "in this list")
                .note("a note")
                .help("substr(string, start)");
        (source, diagnostic)
    }

    #[test]
    fn a_diagnostic_is_drawn_at_its_line_in_the_file() {
        let (source, diagnostic) = heat();
        let expected = "\
error[E204]: `substr` takes 2 or 3 arguments, found 1
  ┌─ rules/heat.sql:3:8
3 │ SELECT substr(payload.name) AS n
  │ ------ ^^^^^^^^^^^^^^^^^^^^ missing `start`
  │ │
  │ in this list
  = note: a note
  = help: substr(string, start)
";
        assert_eq!(source.render(&diagnostic, Style::Plain), expected);
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let (source, diagnostic) = heat();
        let coloured = source.render(&diagnostic, Style::Colour);
        assert!(coloured.contains('\u{1b}'));
        let plain: Vec<String> =
            coloured.lines().map(|line| without_colour(line).trim_end().to_owned()).collect();
        assert_eq!(plain.join("\n").trim_end(), source.render(&diagnostic, Style::Plain).trim_end());
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let text = "SELECT a\u{1b}[31m\u{7f}\u{9b}\u{202e} FROM \"t\"\n";
        let at = text.find("FROM").map_or(0, |at| at as u32);
        let diagnostic = Diagnostic::new(Code::Arity, Span::new(at, at + 4), "`\u{1b}]0;x\u{7}` is none")
            .label("l\u{1b}")
            .note("n\u{1b}")
            .help("h\u{202e}");
        let expected = "\
error[E204]: `␛]0;x␇` is none
  ┌─ a␛.sql:1:18
1 │ SELECT a?[31m?¿\u{fffd} FROM \"t\"
  │                  ^^^^ l␛
  = note: n␛
  = help: h\u{fffd}
";
        let source = Source::new("a\u{1b}.sql", text);
        assert_eq!(source.render(&diagnostic, Style::Plain), expected);
        let coloured = source.render(&diagnostic, Style::Colour);
        assert!(!coloured.contains("\u{1b}[31mSE") && !coloured.contains('\u{7}'), "{coloured:?}");
    }

    #[test]
    fn spans_that_do_not_fit_are_drawn_nevertheless() {
        let (source, diagnostic) = heat();
        for span in
            [Span::new(7, 8), Span::new(500, 600), Span::new(9, 3), Span::at(0), Span::new(0, u32::MAX)]
        {
            let moved = Diagnostic { span, ..diagnostic.clone() };
            assert!(source.render(&moved, Style::Plain).contains("E204"));
        }
        assert!(Source::new("", "").render(&diagnostic, Style::Colour).contains("E204"));
    }
}
