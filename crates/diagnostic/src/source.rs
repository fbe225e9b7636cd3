use crate::{Diagnostic, Span};

/// A file's name and text, with the places of its line ends.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<u32>,
}

/// A span as people count: lines and columns from 1, columns in characters, the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Located {
    /// The line of the first character.
    pub line: u32,
    /// The column of the first character.
    pub column: u32,
    /// The line of the character after the last.
    pub end_line: u32,
    /// The column of the character after the last.
    pub end_column: u32,
}

impl Source {
    /// A source of this name; `text` is the whole file, including a BOM if it has one.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        let ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        let line_starts =
            std::iter::once(0).chain(ends).map(|at| u32::try_from(at).unwrap_or(u32::MAX)).collect();
        Self { name, text, line_starts }
    }

    /// The name that messages show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of the whole file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a span lies. What reaches past the text is taken to its end, and a place within a character to its start.
    pub fn locate(&self, span: Span) -> Located {
        let (line, column) = self.line_column(span.start);
        let (end_line, end_column) = self.line_column(span.end.max(span.start));
        Located { line, column, end_line, end_column }
    }

    /// Where a diagnostic lies.
    pub fn locate_diagnostic(&self, diagnostic: &Diagnostic) -> Located {
        self.locate(diagnostic.span)
    }

    /// The line and column of one byte, both from 1. A BOM counts as no column.
    fn line_column(&self, at: u32) -> (u32, u32) {
        let at = self.clamp(at as usize);
        let line = self.line_index(at);
        let start = self.line_starts[line] as usize;
        let before = &self.text[start..at];
        let before = if start == 0 { before.strip_prefix('\u{feff}').unwrap_or(before) } else { before };
        let column = u32::try_from(before.chars().count()).unwrap_or(u32::MAX);
        (u32::try_from(line).unwrap_or(u32::MAX).saturating_add(1), column.saturating_add(1))
    }

    /// The nearest character boundary at or before a byte.
    pub(crate) fn clamp(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at.min(self.text.len()))
    }

    /// The line of a byte, from 0.
    pub(crate) fn line_index(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start as usize <= at).saturating_sub(1)
    }

    /// The bytes of a line, its end included; lines from 0.
    pub(crate) fn line_range(&self, line: usize) -> Option<std::ops::Range<usize>> {
        let start = *self.line_starts.get(line)? as usize;
        let end = self.line_starts.get(line + 1).map_or(self.text.len(), |&end| end as usize);
        Some(start..end)
    }

    /// The number of lines, at least 1.
    pub(crate) fn line_count(&self) -> usize {
        self.line_starts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let source = Source::new("a.sql", "-- 30 °C\nSELECT\r\n");
        let at = |start, end| {
            let place = source.locate(Span::new(start, end));
            (place.line, place.column, place.end_line, place.end_column)
        };
        assert_eq!(at(0, 2), (1, 1, 1, 3));
        assert_eq!(at(8, 9), (1, 8, 1, 9), "the byte after the degree sign is one column further");
        assert_eq!(at(10, 16), (2, 1, 2, 7));
        assert_eq!(at(900, 901), (3, 1, 3, 1));
    }

    #[test]
    fn a_bom_takes_no_column() {
        let source = Source::new("a.sql", "\u{feff}SELECT");
        assert_eq!(
            source.locate(Span::new(3, 9)),
            Located { line: 1, column: 1, end_line: 1, end_column: 7 }
        );
    }
}
