use diagnostic::Diagnostic;

use crate::{Catalog, Program, compile};

/// Makes a program of the SQL of one rule, and reports everything that is wrong with it.
///
/// `base` is the offset of the SQL in its file, which all spans are relative to. There is a program exactly if none of
/// the diagnostics is an error.
pub fn prepare(sql: &str, base: u32, rule_id: &str) -> (Option<Program>, Vec<Diagnostic>) {
    let (statement, diagnostics) = checked(sql, base);
    (statement.map(|statement| compile(&statement, rule_id)), diagnostics)
}

/// As [`prepare()`], for trials: the program does the same, and notes what the runs reach of it ([`Program::watches`]).
pub fn prepare_watched(sql: &str, base: u32, rule_id: &str) -> (Option<Program>, Vec<Diagnostic>) {
    let (statement, diagnostics) = checked(sql, base);
    (statement.map(|statement| crate::compile::watched(&statement, rule_id)), diagnostics)
}

fn checked(sql: &str, base: u32) -> (Option<sql::ir::Statement>, Vec<Diagnostic>) {
    let (tree, mut diagnostics) = sql::parse(sql, base);
    let (statement, more) = sql::lower(&tree, &Catalog);
    diagnostics.extend(more);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    (statement.filter(|_| !diagnostics.iter().any(Diagnostic::is_error)), diagnostics)
}

/// What the reference would refuse in the SQL of one rule though it is fine here: warnings for whoever wants to run the
/// rule there too. `base` is as in [`prepare`].
pub fn portability(sql: &str, base: u32) -> Vec<Diagnostic> {
    sql::parse(sql, base).0.portability
}
