//! How a row becomes a request.

use event::Properties;
use template::{Scope, Template};
use value::Arena;

/// What a request is made of.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The columns that the SQL selected, then those of the event.
    pub scope: &'a dyn Scope,
    /// The MQTT 5 properties of the message that triggered the rule: they travel along unless the row has its own
    /// `pub_props`.
    pub properties: Option<&'a Properties>,
    /// How many bridges between brokers the message has crossed ([`event::Trail::hops`]).
    pub hops: u8,
    /// When the message came (milliseconds since 1970 UTC): its Message Expiry Interval runs from then on.
    pub at_ms: i64,
}

/// The compiled templates of one action: turns rows into requests, bytes in the stable format of its kind.
///
/// Memory, disk, dead letters and replays all hold this same form.
pub trait Render: Send + Sync {
    /// Appends the request to `out`; on an error `out` may hold a part of it. Runs on the dispatching thread: no clock,
    /// no I/O, and no allocation once `out` has grown.
    fn render(&self, row: &Row<'_>, arena: &Arena, out: &mut Vec<u8>) -> Result<(), RenderError>;

    /// A request in words: what rule tests compare (`publishes`) and dead letters show. `null` for bytes that are no
    /// request.
    fn describe(&self, request: &[u8]) -> serde_json::Value;

    /// The templates with the setting each belongs to, for checks of their placeholders.
    fn templates(&self) -> Vec<(&'static str, &Template)>;
}

/// A row that this action can never send: counted as `failed`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The rendered topic is none.
    #[error("the topic `{topic}` cannot be published to: {reason}")]
    Topic {
        /// What was rendered, shortened.
        topic: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The rendered value of a header holds what no header may hold.
    #[error("the value of the header `{name}` holds a line break or another control character")]
    Header {
        /// Its name.
        name: String,
    },
    /// The request would be larger than the format allows.
    #[error("a request of {bytes} bytes is too large")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}
