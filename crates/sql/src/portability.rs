//! Notes on what the reference would refuse; kept apart from the diagnostics, for `check --portable`.

use diagnostic::{Code, Diagnostic, Span};

/// The note that the reference refuses `what`.
pub(crate) fn note(span: Span, what: &str) -> Diagnostic {
    Diagnostic::new(Code::NotPortable, span, format!("the reference refuses {what}"))
}
