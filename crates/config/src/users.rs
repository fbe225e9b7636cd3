//! The file of users: `name:hash` on each line, as `sluicegate passwd` writes it.

use std::collections::HashMap;
use std::path::Path;

use diagnostic::{Code, Diagnostic, Span};

use crate::content::read_file;
use crate::folder::{FILE_BYTES_MAX, FileProblem};
use crate::text_file::decode;

/// Users with the hashes of their passwords (PHC strings of Argon2).
pub type Users = HashMap<String, String>;

/// What every hash begins with.
const HASH_PREFIX: &str = "$argon2";

/// Reads a file of users. Blank lines and lines that begin with `#` say nothing. A line with a mistake names no user.
pub fn load(path: &Path) -> (Users, Vec<FileProblem>) {
    match read_file(path, FILE_BYTES_MAX) {
        Ok(bytes) => {
            let (text, not_text) = decode(bytes);
            let (users, mut diagnostics) = parse(&text);
            diagnostics.extend(not_text);
            let shown = without_hashes(&text);
            let problem = |diagnostic| FileProblem { path: path.to_owned(), text: shown.clone(), diagnostic };
            (users, diagnostics.into_iter().map(problem).collect())
        }
        Err(error) => {
            let diagnostic =
                Diagnostic::new(Code::Unreadable, Span::default(), "the file of users cannot be read");
            let diagnostic =
                diagnostic.note(error.to_string()).help("`sluicegate passwd FILE NAME` makes one");
            (Users::new(), vec![FileProblem { path: path.to_owned(), text: String::new(), diagnostic }])
        }
    }
}

/// The file's text with this user's hash in it, or without the user: in the place where the user stood, or at the end.
pub fn with_user(text: &str, name: &str, hash: Option<&str>) -> String {
    let mut new = String::with_capacity(text.len() + 128);
    let mut line = hash.map(|hash| format!("{name}:{hash}\n"));
    for old in text.lines() {
        if !old.starts_with('#') && old.split_once(':').is_some_and(|(user, _)| user == name) {
            new.push_str(&line.take().unwrap_or_default());
        } else {
            new.push_str(old);
            new.push('\n');
        }
    }
    new.push_str(&line.unwrap_or_default());
    new
}

/// Why `name` cannot be a user of such a file.
pub fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a user has a name")
    } else if name.starts_with('#') {
        Some("a name that begins with `#` would be a comment")
    } else if name.contains([':', '\n', '\r', '\0']) {
        Some("a name has no colon and no line end")
    } else {
        None
    }
}

/// The users of a file's text, and what is wrong with its lines.
pub fn parse(text: &str) -> (Users, Vec<Diagnostic>) {
    let (mut users, mut diagnostics) = (Users::new(), Vec::new());
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split(':').next().unwrap_or_default();
        let span = Span::from(start..start + name.len());
        let mut wrong = |message: String| {
            let help = "each line is `name:hash`, and `sluicegate passwd FILE NAME` writes it";
            diagnostics.push(Diagnostic::new(Code::InvalidValue, span, message).help(help));
        };
        match line.split_once(':') {
            // What stands there may be a password, so it is not shown.
            None => wrong("a line without a colon".to_owned()),
            Some((name, _)) if name_problem(name).is_some() => wrong("a line without a name".to_owned()),
            Some((name, hash)) if !hash.starts_with(HASH_PREFIX) => {
                wrong(format!("what stands after `{name}:` is no Argon2 hash"));
            }
            Some((name, hash)) => {
                if users.insert(name.to_owned(), hash.to_owned()).is_some() {
                    wrong(format!("the user `{name}` is there twice"));
                }
            }
        }
    }
    (users, diagnostics)
}

/// The text for excerpts: what may be a hash or a password is overwritten, byte for byte.
fn without_hashes(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let start = line.find(':').map_or(0, |at| at + 1);
        let (kept, hidden) = if line.starts_with('#') { (line, "") } else { line.split_at(start) };
        shown.push_str(kept);
        shown.extend(
            hidden.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { char::from(byte) } else { '*' }),
        );
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_mistakes_show_no_secret() {
        let text = "# ours\n\nann:$argon2id$x\r\nbob:plain\nhunter2\n:$argon2id$y\nann:$argon2id$z\n";
        let (users, diagnostics) = parse(text);
        assert_eq!(users.len(), 1);
        let at = |span: Span| text[..span.start as usize].lines().count() + 1;
        let told: Vec<_> = diagnostics.iter().map(|it| format!("{}: {}", at(it.span), it.message)).collect();
        assert_eq!(
            told,
            [
                "4: what stands after `bob:` is no Argon2 hash",
                "5: a line without a colon",
                "6: a line without a name",
                "7: the user `ann` is there twice",
            ]
        );
        assert_eq!(
            without_hashes(text),
            "# ours\n\nann:***********\r\nbob:*****\n*******\n:***********\nann:***********\n"
        );
    }

    #[test]
    fn a_user_is_added_changed_and_taken_out() {
        let text = with_user("# ours\nann:1", "bob", Some("2"));
        assert_eq!(text, "# ours\nann:1\nbob:2\n");
        assert_eq!(with_user(&text, "ann", Some("3")), "# ours\nann:3\nbob:2\n");
        assert_eq!(with_user(&text, "ann", None), "# ours\nbob:2\n");
        assert_eq!(with_user("", "ann", Some("1")), "ann:1\n");
        for bad in ["", "a:b", "#a", "a\nb"] {
            assert!(name_problem(bad).is_some());
        }
    }
}
