//! What a file in the rules folder is, by its name, and its bytes as text.

use std::path::Path;

use diagnostic::{Code, Diagnostic, Span};

/// What a file holds, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// `ID.sql`: a rule.
    Rule,
    /// `*.toml`: connectors, sources and actions.
    Resources,
    /// `ID.test.toml`: the cases of a rule.
    Tests,
}

impl FileKind {
    /// The kind of a file of this path; `None` for what is none of ours and for what is ignored: names that begin with `.`
    /// or end with `~`.
    pub fn of(path: &Path) -> Option<FileKind> {
        let name = path.file_name()?.to_str()?;
        if is_ignored(name) {
            None
        } else if name.ends_with(".sql") {
            Some(FileKind::Rule)
        } else if name.ends_with(".test.toml") {
            Some(FileKind::Tests)
        } else if name.ends_with(".toml") {
            Some(FileKind::Resources)
        } else {
            None
        }
    }

    /// The file's name without the ending that makes it this kind: the id of a rule.
    pub fn stem(self, path: &Path) -> &str {
        let ending = match self {
            FileKind::Rule => ".sql",
            FileKind::Resources => ".toml",
            FileKind::Tests => ".test.toml",
        };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_suffix(ending).unwrap_or(name)
    }
}

/// Whether files and folders of this name are passed over.
pub fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~')
}

/// Whether `text` may be an id or a name: `[A-Za-z0-9][A-Za-z0-9_.-]{0,254}`.
pub fn is_name(text: &str) -> bool {
    const NAME_BYTES_MAX: usize = 255;
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.len() <= NAME_BYTES_MAX
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Says that `text` may be no id or name, if so. `what` is what it would name: `rule id`, `name of a connector`, …
#[expect(clippy::result_large_err, reason = "a name is checked once for each load, and almost always good")]
pub fn check_name(what: &str, text: &str, span: Span) -> Result<(), Diagnostic> {
    if is_name(text) {
        return Ok(());
    }
    let shown: String = text.chars().take(40).collect();
    let help = "begin with a letter or digit and go on with letters, digits, `_`, `.` and `-`, 255 at most";
    Err(Diagnostic::new(Code::BadName, span, format!("`{shown}` cannot be a {what}")).help(help))
}

/// The bytes of a file as text, with its BOM if it has one. On a mistake the text has replacement characters from there on.
pub fn decode(bytes: Vec<u8>) -> (String, Option<Diagnostic>) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let message = format!("byte {at} of the file is not UTF-8");
            // The replacement character is as wide as the span, so that the excerpt underlines it.
            let span = Span::from(at..at + char::REPLACEMENT_CHARACTER.len_utf8());
            let diagnostic = Diagnostic::new(Code::BadEncoding, span, message);
            (text, Some(diagnostic.help("save the file as UTF-8")))
        }
    }
}

/// The text without its BOM, every byte at its place: the BOM becomes blanks, which neither TOML nor SQL minds.
pub fn without_bom(text: &str) -> std::borrow::Cow<'_, str> {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => format!("   {rest}").into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_kinds() {
        let cases = [
            ("rules/heat.sql", Some(FileKind::Rule), "heat"),
            ("heat.v2.sql", Some(FileKind::Rule), "heat.v2"),
            ("cloud.toml", Some(FileKind::Resources), "cloud"),
            ("heat.test.toml", Some(FileKind::Tests), "heat"),
            ("README.md", None, ""),
            (".heat.sql", None, ""),
            ("heat.sql~", None, ""),
            ("heat.SQL", None, ""),
        ];
        for (path, kind, stem) in cases {
            let path = Path::new(path);
            assert_eq!(FileKind::of(path), kind, "{path:?}");
            assert_eq!(kind.map_or("", |kind| kind.stem(path)), stem);
        }
    }

    #[test]
    fn names_have_a_pattern() {
        for good in ["a", "9", "temp-hum_1.v2", &"x".repeat(255)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", ".a", "_a", "a b", "a/b", "ä", "a:b", &"x".repeat(256)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_not_text_is_told_with_its_place() {
        let (text, diagnostic) = decode(b"SELECT '\xff' FROM".to_vec());
        let diagnostic = diagnostic.unwrap();
        assert_eq!((diagnostic.code, &text[diagnostic.span.range()]), (Code::BadEncoding, "\u{fffd}"));
        assert_eq!(diagnostic.message, "byte 8 of the file is not UTF-8");
    }
}
