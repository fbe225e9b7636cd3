//! What a user is told about a mistake: where it is, what is wrong, and a way out.
//!
//! A [`Diagnostic`] carries a stable [`Code`], a byte [`Span`] in the text of one file and its sentences; a [`Source`]
//! turns spans into lines and columns and draws the underlined excerpt. Messages are lowercase, have no final stop,
//! and put values in backticks.
//!
//! *Invariant:* knows nothing of SQL, settings or files beyond their name and text; reads and writes no file.

mod code;
mod diagnostic;
mod render;
mod source;
mod span;
mod suggest;

pub use code::{Code, Severity};
pub use diagnostic::{Diagnostic, Related};
pub use render::Style;
pub use source::{Located, Source};
pub use span::Span;
pub use suggest::{did_you_mean, nearest};
