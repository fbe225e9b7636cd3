//! Notes on what the reference would not take; kept apart from the diagnostics, for `check --portable`.

use diagnostic::{Code, Diagnostic, Span};

/// The note that the reference refuses `what`: to it the SQL is none.
pub(crate) fn refused(span: Span, what: &str) -> Diagnostic {
    Diagnostic::new(Code::NotPortable, span, format!("the reference refuses {what}"))
}

/// The note that the reference takes the SQL and fails when a message gets to `what`.
pub(crate) fn failing(span: Span, what: &str) -> Diagnostic {
    Diagnostic::new(Code::NotPortable, span, format!("the reference fails on {what}"))
}
