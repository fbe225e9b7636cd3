//! What an event is: its kind, its names, its columns.

use crate::Column;
use crate::events::EVENTS;

/// What sort of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// An alarm of this node went up.
    AlarmActivated,
    /// An alarm of this node went down again.
    AlarmDeactivated,
    /// A client has connected and been accepted.
    ClientConnected,
    /// A connection has ended, whoever ended it.
    ClientDisconnected,
    /// A CONNACK went out, with whatever reason code.
    ClientConnack,
    /// A client was authenticated or turned away.
    ClientCheckAuthnComplete,
    /// A publish or subscription was allowed or denied.
    ClientCheckAuthzComplete,
    /// A PINGREQ came in.
    ClientPing,
    /// A subscription was added to a session.
    SessionSubscribed,
    /// A subscription was taken from a session.
    SessionUnsubscribed,
    /// A message came in, and its publisher was allowed to send it.
    MessagePublish,
    /// A message went out to a subscriber.
    MessageDelivered,
    /// A subscriber acknowledged a message.
    MessageAcked,
    /// A message was not routed to anybody.
    MessageDropped,
    /// A message transformation failed.
    MessageTransformationFailed,
    /// A message did not pass its schema.
    SchemaValidationFailed,
    /// A message was not delivered to one subscriber.
    DeliveryDropped,
    /// A source received a message from its remote.
    Source,
}

impl EventKind {
    /// The number of kinds.
    pub const COUNT: usize = EVENTS.len();

    /// Its declaration.
    pub fn spec(self) -> &'static EventSpec {
        &EVENTS[self as usize]
    }
}

/// The declaration of one event: its names, its columns, and the values that the rule test endpoint fills in.
#[derive(Debug)]
pub struct EventSpec {
    /// The variant.
    pub kind: EventKind,
    /// What the `event` column shows.
    pub name: &'static str,
    /// What `context.event_type` of a rule test says.
    pub event_type: &'static str,
    /// What FROM says, current spelling first; empty for publishes and sources, whose FROM is a topic or a name.
    pub from: &'static [&'static str],
    /// A heading.
    pub title: &'static str,
    /// When it happens.
    pub description: &'static str,
    /// The columns with the examples that stand in for what a test context leaves out.
    pub columns: &'static [ExampleColumn],
    /// Columns that real events have and that a test does not fill in.
    pub unfilled: &'static [Column],
    /// A rule on this event.
    pub sql_example: &'static str,
}

/// A column and its example.
pub type ExampleColumn = (Column, Example);

/// The value that a test fills in for a column its context leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// A string.
    Text(&'static str),
    /// An integer.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// Anything, as JSON.
    Json(&'static str),
    /// The name of the event.
    Event,
    /// The current time (milliseconds since 1970 UTC).
    Now,
    /// A new message id.
    Id,
    /// The name of this node.
    Node,
    /// No value, though the column exists.
    Undefined,
}
