//! What a person, or the next command of a pipe, reads.
//!
//! A reader that has gone has seen enough (`sluicegate functions | head -3`): that is no reason to stop, and the exit code
//! says the rest. `print!` and its like would panic instead.

use std::fmt::Display;
use std::io::Write as _;

/// Prints results on standard output, as they are.
pub(crate) fn show(text: impl AsRef<[u8]>) {
    let _ = std::io::stdout().write_all(text.as_ref());
}

/// Prints a line on standard error, at once.
pub(crate) fn tell(line: impl Display) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
