//! Files to typed values that remember their line and column.
//!
//! *Invariant:* does not know which connectors exist, what a rule means, or who uses a setting: it checks a section
//! against the [`Field`]s its owner declares.

pub mod field;
