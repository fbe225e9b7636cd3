//! The front end against the cases of the reference, against golden files, and against laws.

mod bounds;
mod catalog;
mod conformance;
mod fuzz;
mod golden;
mod outline;
mod properties;
