//! Rule files: any text is read, with places in it, and a rule without mistakes is the same once it has been written and read
//! again.

use config::RuleFile;
use diagnostic::Code;

/// Reads the bytes as a rule file.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut problems = Vec::new();
    let rule = RuleFile::parse(&text, &mut problems);
    for problem in &problems {
        assert!(text.get(problem.span.range()).is_some(), "{problem:?} in {text:?}");
    }
    let start = rule.sql_start as usize;
    assert!(text.get(start..).is_some_and(|rest| rest.starts_with(&rule.sql)), "{start} in {text:?}");
    if problems.is_empty() {
        let written = rule.to_text();
        let again = RuleFile::parse(&written, &mut problems);
        // Blanks at the end are cut, after which a comment may look like a settings line that comes too late.
        problems.retain(|problem| problem.code != Code::SettingsAfterSql);
        assert!(problems.is_empty(), "{written:?} of {text:?}: {problems:?}");
        assert_eq!(again.sql, rule.sql, "{written:?} of {text:?}");
        assert_eq!(again.section.to_json(), rule.section.to_json(), "{written:?} of {text:?}");
    }
}
