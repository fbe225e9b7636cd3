//! Rule files: SQL with its settings above it in comments.
//!
//! Lines above the first word of SQL that begin with `---` and a blank, or are just `---`, are TOML; the other comments
//! there are the description. The SQL is an opaque text here.

use std::path::Path;

use diagnostic::{Code, Diagnostic, Span};

use crate::action::{Action, parse_actions};
use crate::field::{Field, FieldDefault, FieldKind, field};
use crate::section::{Node, Section, in_order_of_the_file};
use crate::settings::{Settings, check};
use crate::toml_text::section_text;

/// The settings of a rule.
pub const RULE_FIELDS: &[Field] = &[
    field("actions", FieldKind::Any, FieldDefault::Absent, "What is done with each row, in this order."),
    field("enable", FieldKind::Bool, FieldDefault::Bool(true), "Whether the rule runs."),
    field("name", FieldKind::Str, FieldDefault::Text(""), "A name for people; the id is the file's."),
    field("description", FieldKind::Str, FieldDefault::Text(""), "What the rule is for."),
    field("tags", FieldKind::StrList, FieldDefault::Empty, "Words to find it by."),
    field(
        "metadata",
        FieldKind::Any,
        FieldDefault::Absent,
        "Kept as it is: when the rule was created, and by what.",
    ),
];

/// A rule as its file, or a REST body, declares it.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// The SQL, without what stands above it and blanks at its end.
    pub sql: String,
    /// Where `sql` begins in the file, in bytes: what its compiler reports is moved by so much.
    pub sql_start: u32,
    /// The settings as they were written.
    pub section: Section,
    /// The settings checked against [`RULE_FIELDS`].
    pub settings: Settings,
    /// What is done with each row.
    pub actions: Vec<Action>,
}

impl RuleFile {
    /// The rule of a whole file's `text`, with BOM if it has one. Spans are offsets into `text`.
    pub fn parse(text: &str, diagnostics: &mut Vec<Diagnostic>) -> RuleFile {
        let head = Head::of(text);
        let reported = diagnostics.len();
        let mut section = Section::parse_toml(&head.toml, diagnostics);
        let syntax_is_good = diagnostics.len() == reported;
        diagnostics.extend(head.warnings);
        // A description among the settings makes the comments below them part of the SQL, as a REST body can hold them.
        let mut sql_start = head.sql_start;
        if section.get("description").is_some() {
            let below = text.get(head.settings_end..).unwrap_or_default();
            sql_start = head.settings_end + (below.len() - below.trim_start_matches(is_blank).len());
        } else if !head.description.is_empty() {
            section.set("description", Node::str(head.description));
        }
        let mut own = Vec::new();
        let (settings, actions) =
            check_rule(&section, if syntax_is_good { &mut *diagnostics } else { &mut own });
        in_order_of_the_file(&mut diagnostics[reported..]);
        RuleFile {
            sql: text.get(sql_start..).unwrap_or_default().trim_end().to_owned(),
            sql_start: u32::try_from(sql_start).unwrap_or(u32::MAX),
            section,
            settings,
            actions,
        }
    }

    /// The rule that settings and SQL from elsewhere make; `section` has no `sql` nor `id` any more.
    pub fn new(section: Section, sql: &str, diagnostics: &mut Vec<Diagnostic>) -> RuleFile {
        let (settings, actions) = check_rule(&section, diagnostics);
        RuleFile { sql: sql.trim_end().to_owned(), sql_start: 0, section, settings, actions }
    }

    /// Whether the rule runs.
    pub fn enable(&self) -> bool {
        self.settings.bool("enable")
    }

    /// What the rule is for.
    pub fn description(&self) -> &str {
        self.settings.str("description")
    }

    /// The rule as the text of a file, which [`parse`](RuleFile::parse) reads as the same settings and SQL.
    pub fn to_text(&self) -> String {
        rule_text(&self.section, &self.sql)
    }
}

/// Settings and SQL as the text of a rule file.
///
/// The description becomes comments where comments can hold it. Comments above the first word of SQL that look like
/// settings get a blank or one more dash, so that they stay comments.
pub fn rule_text(section: &Section, sql: &str) -> String {
    let first_word = Head::of(sql).sql_start.min(sql.len());
    // The blanks before the first word stay on its line.
    let line = sql[..first_word].rfind('\n').map_or(0, |at| at + 1);
    let (above, body) = sql.split_at(if first_word < sql.len() { line } else { first_word });
    let description = section.get("description").and_then(Node::as_str).unwrap_or_default();
    let as_comments = above.trim_matches(is_blank).is_empty() && comments_can_hold(description);
    let written = section.filtered(|entry| entry.key != "description" || !as_comments);
    let mut text = String::new();
    if as_comments {
        description.lines().for_each(|line| push_line(&mut text, "--", line));
    }
    section_text(&written).lines().for_each(|line| push_line(&mut text, "---", line));
    // Line ends stay as they are, carriage returns included.
    for (line, at) in above.trim_start_matches(is_blank).split_inclusive('\n').zip(0..) {
        if is_settings_line(line) {
            // A blank in front of the SQL does not belong to it, but looks like a mistake before an assignment.
            text.push(if at == 0 && !line.contains('=') { ' ' } else { '-' });
        }
        text.push_str(line);
    }
    text.push_str(body.trim_end());
    text.push('\n');
    text
}

fn push_line(text: &mut String, prefix: &str, line: &str) {
    text.push_str(prefix);
    if !line.is_empty() {
        text.push(' ');
        text.push_str(line);
    }
    text.push('\n');
}

/// Whether comments give this description back when they are read.
fn comments_can_hold(description: &str) -> bool {
    let mut commented = String::new();
    description.lines().for_each(|line| push_line(&mut commented, "--", line));
    !description.is_empty() && Head::of(&commented).description == description
}

fn check_rule(section: &Section, diagnostics: &mut Vec<Diagnostic>) -> (Settings, Vec<Action>) {
    // A rule names no files, so that there is no folder to start from.
    let settings = check(section, RULE_FIELDS, Path::new(""), diagnostics);
    let actions = settings.node("actions").map(|node| parse_actions(node, diagnostics)).unwrap_or_default();
    (settings, actions)
}

/// Blanks, and byte order marks, of which editors and shells leave more than one at times.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// What stands above the SQL.
struct Head {
    /// The settings, every byte at its place in the file, everything else blank.
    toml: String,
    description: String,
    /// One past the last settings line.
    settings_end: usize,
    /// The first byte of the SQL.
    sql_start: usize,
    warnings: Vec<Diagnostic>,
}

impl Head {
    fn of(text: &str) -> Head {
        let mut head = Head {
            toml: String::new(),
            description: String::new(),
            settings_end: 0,
            sql_start: text.len(),
            warnings: Vec::new(),
        };
        let mut comments: Vec<&str> = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            // A BOM belongs to the first line and to nobody else.
            let content = if start == 0 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
            let trimmed = content.trim_matches(is_blank);
            let indent = line.len() - content.trim_start_matches(is_blank).len();
            if is_settings_line(content) {
                head.blank(line.len() - content.len() + 3);
                head.toml.push_str(&content[3..]);
                head.settings_end = at;
                continue;
            }
            match trimmed.strip_prefix("--") {
                Some(comment) => {
                    head.warn_of_indent(trimmed, start + indent);
                    comments.push(comment_text(comment));
                }
                None if trimmed.is_empty() => {}
                None => {
                    head.sql_start = start + indent;
                    head.warn_of_late_settings(text);
                    break;
                }
            }
            head.blank(line.trim_end_matches(['\r', '\n']).len());
            head.toml.push_str(&line[line.trim_end_matches(['\r', '\n']).len()..]);
        }
        head.description = comments.join("\n").trim_matches('\n').trim_end().to_owned();
        head
    }

    fn blank(&mut self, bytes: usize) {
        self.toml.extend(std::iter::repeat_n(' ', bytes));
    }

    fn warn_of_indent(&mut self, comment: &str, at: usize) {
        if is_settings_line(comment) && comment.contains('=') {
            let message = "this line is a comment: settings begin in the first column";
            let span = Span::from(at..at + comment.len());
            self.warnings.push(Diagnostic::new(Code::IneffectiveSetting, span, message));
        }
    }

    /// Warns of lines that look like settings below the first word of SQL, but not within strings.
    fn warn_of_late_settings(&mut self, text: &str) {
        let mut open: Option<char> = None;
        let mut at = self.sql_start;
        for line in text[self.sql_start..].split_inclusive('\n') {
            if open.is_none() && is_settings_line(line) {
                let message =
                    "this settings line stands below the beginning of the SQL, where it is a comment";
                let span = Span::from(at..at + line.trim_end().len());
                let warning = Diagnostic::new(Code::SettingsAfterSql, span, message);
                self.warnings.push(warning.help("move it above the first word of SQL"));
            }
            open = open_quote(line, open);
            at += line.len();
        }
    }
}

/// The quote that is open at the end of a line if `open` was at its beginning. Comments hide quotes.
fn open_quote(line: &str, mut open: Option<char>) -> Option<char> {
    for (at, c) in line.char_indices() {
        match open {
            Some(quote) if c == quote => open = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => open = Some(c),
            None if line[at..].starts_with("--") => return None,
            None => {}
        }
    }
    open
}

/// Exactly three dashes, then a blank or the end of the line.
fn is_settings_line(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// The text of a comment: without the dashes of a ruler, and without the blank after the dashes.
fn comment_text(comment: &str) -> &str {
    let comment = comment.trim_end();
    if comment.bytes().all(|b| b == b'-') {
        return "";
    }
    comment.strip_prefix(' ').unwrap_or(comment)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::section::tests::any_section;

    const HEAT: &str = "-- Readings above 30 °C raise a local alarm\n-- and go to the cloud.\n\
        --- actions = [\n---   \"mqtt:uplink\",\n\
        ---   { function = \"republish\", args = { topic = \"alarm/${clientid}\", qos = 1 } },\n--- ]\n\
        SELECT payload.temp AS temp, clientid\nFROM \"temp_hum/#\"\nWHERE payload.temp > 30\n";

    fn parse(text: &str) -> (RuleFile, Vec<String>) {
        let mut diagnostics = Vec::new();
        let rule = RuleFile::parse(text, &mut diagnostics);
        let shown = |d: &Diagnostic| format!("{} {} @ {}", d.code, d.message, &text[d.span.range()]);
        (rule, diagnostics.iter().map(shown).collect())
    }

    #[test]
    fn the_file_of_the_design() {
        for text in [HEAT.to_owned(), HEAT.replace('\n', "\r\n"), format!("\u{feff}{HEAT}")] {
            let (rule, diagnostics) = parse(&text);
            assert_eq!(diagnostics, [""; 0]);
            assert_eq!(rule.description(), "Readings above 30 °C raise a local alarm\nand go to the cloud.");
            assert!(rule.enable() && rule.sql.starts_with("SELECT") && rule.sql.ends_with("> 30"));
            assert!(text[rule.sql_start as usize..].starts_with(&rule.sql));
            assert_eq!(rule.actions.len(), 2);
            assert_eq!(&text[rule.actions[0].span.range()], "\"mqtt:uplink\"");
        }
    }

    #[test]
    fn what_is_no_settings_line_is_a_comment() {
        let text = "----- a ruler -----\n-----\n--enable = false\n  -- indented\n---\n\n  --- name = 'x'\n--- tags = []\n\
            SELECT *\n--- enable = false\nFROM \"t\" -- it's\n--- not = 'settings'\nWHERE x = '\n--- in a string\n'";
        let (rule, diagnostics) = parse(text);
        assert_eq!(
            diagnostics,
            [
                "W604 this line is a comment: settings begin in the first column @ --- name = 'x'",
                "W601 this settings line stands below the beginning of the SQL, where it is a comment @ --- enable = false",
                "W601 this settings line stands below the beginning of the SQL, where it is a comment @ --- not = 'settings'",
            ]
        );
        assert!(rule.enable() && rule.settings.str("name").is_empty());
        assert_eq!(rule.description(), "--- a ruler -----\n\nenable = false\nindented\n- name = 'x'");
    }

    #[test]
    fn mistakes_in_settings_count_in_the_lines_of_the_file() {
        let (_, diagnostics) = parse("-- über\n--- enabel = true\n--- enable = 1\nSELECT");
        assert_eq!(
            diagnostics,
            [
                "E401 there is no setting `enabel` @ enabel",
                "E402 `enable` needs `true` or `false`, found `1` @ 1"
            ]
        );
        let (rule, diagnostics) = parse("--- enable = \n--- nmae = 'x'\nSELECT 1");
        assert_eq!(diagnostics.len(), 1, "what follows from a syntax error is not told: {diagnostics:?}");
        assert_eq!(rule.sql, "SELECT 1");
    }

    #[test]
    fn nothing_and_comments_alone_are_no_sql() {
        for text in ["", "-- only words", "--- enable = true\n", "\u{feff}"] {
            let (rule, diagnostics) = parse(text);
            assert_eq!((rule.sql.as_str(), rule.sql_start as usize), ("", text.len()), "{diagnostics:?}");
        }
    }

    #[test]
    fn a_rule_is_written_as_in_the_design() {
        let (rule, _) = parse(HEAT);
        assert_eq!(rule.to_text(), HEAT);
    }

    #[test]
    fn comments_above_the_sql_of_a_body_stay() {
        let mut section = Section::default();
        section.set("description", Node::str("from the API"));
        let sql = "-- why\n--- loud ---\nSELECT 1 -- one\nFROM \"t\"";
        let rule = RuleFile::new(section, sql, &mut Vec::new());
        let text = rule.to_text();
        assert_eq!(
            text,
            "--- description = \"from the API\"\n-- why\n---- loud ---\nSELECT 1 -- one\nFROM \"t\"\n"
        );
        let (again, diagnostics) = parse(&text);
        assert_eq!(diagnostics, [""; 0]);
        assert_eq!(
            (again.description(), again.sql.as_str()),
            ("from the API", sql.replacen("---", "----", 1).as_str())
        );
    }

    #[test]
    fn a_comment_at_the_start_of_the_sql_stays_one() {
        for (sql, written) in
            [("--- two\n-", " --- two\n-"), ("---\nn", " ---\nn"), ("--- a = 1\nn", "---- a = 1\nn")]
        {
            let mut section = Section::default();
            section.set("description", Node::str("\""));
            let text = RuleFile::new(section, sql, &mut Vec::new()).to_text();
            assert_eq!(text.split_once('\n').map(|(_, sql)| sql), Some(format!("{written}\n").as_str()));
            let (rule, diagnostics) = parse(&text);
            assert_eq!((rule.sql.as_str(), diagnostics.len()), (written.trim_start(), 0), "{diagnostics:?}");
        }
    }

    #[test]
    fn line_ends_of_comments_above_the_sql_stay() {
        for sql in ["--\r\n n", "-- a\r\n-- b\nSELECT 1\r\nFROM \"t\"", "-- a\rb\r\n--", "----\r\n\r\nn"] {
            let mut section = Section::default();
            section.set("description", Node::str("two\nlines"));
            let text = RuleFile::new(section, sql, &mut Vec::new()).to_text();
            let (rule, diagnostics) = parse(&text);
            assert_eq!(diagnostics, [""; 0]);
            assert_eq!((rule.description(), rule.sql.as_str()), ("two\nlines", sql), "{text:?}");
        }
    }

    fn any_rule_section() -> impl Strategy<Value = Section> {
        let description = prop_oneof![any::<String>(), "(-|--| |a|\n|\r){0,8}"];
        (any_section(), proptest::option::of(description), any::<bool>()).prop_map(
            |(mut section, description, enable)| {
                section.remove("description");
                section.set("enable", Node::new(crate::NodeValue::Bool(enable)));
                if let Some(description) = description {
                    section.set("description", Node::str(description));
                }
                section
            },
        )
    }

    proptest! {
        #[test]
        fn a_written_rule_reads_the_same(
            mut section in any_rule_section(),
            body in "(--[ a]{0,3}(\r\n|\n)){0,2}SELECT[ a'\"\r\n-]{0,20}",
        ) {
            if body.starts_with('-') && section.get("description").is_none() {
                // Comments would become the description.
                section.set("description", Node::str(""));
            }
            let rule = RuleFile::new(section, &body, &mut Vec::new());
            let again = RuleFile::parse(&rule.to_text(), &mut Vec::new());
            prop_assert_eq!(&again.sql, &rule.sql);
            prop_assert_eq!(again.settings.bool("enable"), rule.settings.bool("enable"));
            prop_assert_eq!(again.description(), rule.description());
            let without = |s: &Section| s.filtered(|entry| entry.key != "description");
            prop_assert_eq!(without(&again.section), without(&rule.section));
        }

        #[test]
        fn blanking_moves_nothing(text in "(\u{feff}|--|---|-| |\n|\r\n|a|é|=|1|'|SELECT){0,24}") {
            let head = Head::of(&text);
            prop_assert!(head.toml.len() <= text.len());
            let at_its_place = |(at, c): (usize, char)| c == ' ' || text[at..].starts_with(c);
            prop_assert!(head.toml.char_indices().all(at_its_place), "{:?}", head.toml);
            prop_assert!(text.is_char_boundary(head.sql_start) && text.is_char_boundary(head.settings_end));
            let mut diagnostics = Vec::new();
            let rule = RuleFile::parse(&text, &mut diagnostics);
            prop_assert!(text[rule.sql_start as usize..].starts_with(&rule.sql));
            let inside = |d: &Diagnostic| d.span.end as usize <= text.len() && text.get(d.span.range()).is_some();
            prop_assert!(diagnostics.iter().all(inside), "{diagnostics:?}");
        }
    }
}
