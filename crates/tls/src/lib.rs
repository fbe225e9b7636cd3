//! TLS as users set it up: from an `ssl` table and the files it names to what rustls works with, and from the errors of
//! rustls to words that help.
//!
//! *Invariant:* opens no connection. Keys and passwords show in no message.

mod certificate;
mod ciphers;
mod client;
mod fields;
mod private_key;
mod server;
mod settings;
mod words;

pub use certificate::{PeerName, earliest_end, expires_at};
pub use ciphers::{cipher_names, cipher_suite};
pub use client::{
    ClientTls, Identity, TlsError, Trust, authorities, client_config, crypto_provider, server_name,
};
pub use fields::{FIELDS, WITHOUT_EFFECT};
pub use rustls::version::{TLS12, TLS13};
pub use server::{ClientCertificates, ServerTls, ServerTlsError, server_config};
pub use settings::{Tls, TlsSettingError, check};
pub use words::{in_words, is_tls};
