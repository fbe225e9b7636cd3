//! Which kinds of connectors this build has.

use engine::Kinds;

/// The kinds, in the order of the docs.
pub static KINDS: Kinds = &[&connector_mqtt::KIND, &connector_http::KIND];
