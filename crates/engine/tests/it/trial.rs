//! Test files as `sluicegate test` and `check` read them.

use diagnostic::Code;
use engine::trial::Folder;

use crate::house::KINDS;

#[test]
fn every_test_file_without_a_rule_is_told_and_a_bounded_number_is_searched_for() {
    const FILES: usize = 130;
    let dir = tempfile::tempdir().unwrap();
    for n in 1000..1000 + FILES {
        std::fs::write(dir.path().join(format!("rule{n}.sql")), "SELECT 1 AS one FROM \"t\"").unwrap();
        std::fs::write(dir.path().join(format!("ruel{n}.test.toml")), "").unwrap();
    }
    let findings = Folder::read(&[dir.path().to_owned()], KINDS).findings();
    let unknown: Vec<_> =
        findings.iter().filter(|finding| finding.diagnostic.code == Code::UnknownRule).collect();
    assert_eq!(unknown.len(), FILES);
    let helps: Vec<&String> = unknown.iter().filter_map(|one| one.diagnostic.help.as_ref()).collect();
    assert_eq!(helps.len(), 100, "each of these has looked at all rules");
    assert!(helps.iter().all(|help| help.starts_with("did you mean `rule1")), "{helps:?}");
}
