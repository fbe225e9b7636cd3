//! The connector against a real HTTP server of the test's own.

#![allow(clippy::unwrap_used)]

mod far;
mod house;
mod login;
mod requests;
mod trouble;
