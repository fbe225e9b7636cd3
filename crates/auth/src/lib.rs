//! Who a client is: client certificates, tokens, users with passwords.
//!
//! The order is fixed. Where a listener takes the user from the client's certificate, the certificate alone decides.
//! Otherwise a token decides if there is one, and tokens are taken; otherwise user name and password do, if there is a file
//! of users. Who gives neither is anonymous, which its listener allows or does not. No "no" is ever turned into a "yes" by
//! what comes later.
//!
//! *Invariant:* decides who somebody is, never what they may do. Nothing here blocks a thread of the network: passwords are
//! hashed elsewhere, few at a time.

mod authenticator;
mod failures;
mod password;
mod recent;
mod ring_provider;
mod token;

pub use authenticator::{Authenticator, Credentials, Policy};
pub use password::{hash_password, is_password_hash};
pub use token::{TokenKeyError, Tokens};
