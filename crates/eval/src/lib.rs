//! Typed IR to program, and program × event to rows.
//!
//! [`prepare()`] makes a [`Program`] of SQL. A [`Worker`] takes up one message at a time, and a [`Message`] runs any
//! number of programs on it, whose payload paths have been joined in a [`Union`] beforehand so that the payload is
//! walked over once. [`mod@test`] is the same for contexts given as JSON: the test endpoint, test files and the live path
//! are one function.
//!
//! *Invariant:* no I/O, no clock, no knowledge of rules' actions. Evaluation always ends, within bounds on memory and
//! work, and takes nothing from the heap for the rules that matter once a worker is warm.

mod catalog;
mod compile;
mod cost;
mod error;
mod evaluate;
mod paths;
mod prepare;
mod program;
mod row;
mod run;
mod scan;
mod shapes;
pub mod test;
mod watch;
mod worker;

pub use catalog::Catalog;
pub use compile::compile;
pub use error::{EvalError, Fault};
pub use functions::{JqTime, Surroundings};
pub use paths::Union;
pub use prepare::{portability, prepare, prepare_watched};
pub use program::{From, FromClass, Program};
pub use row::Row;
pub use run::{ROWS_MAX, Verdict};
pub use watch::{Part, Reason, Side, Watch};
pub use worker::{Message, Worker};
