//! What may trigger a rule, the columns it brings, and who waits until it is dealt with.
//!
//! An [`Event`] is a view for the length of one dispatch: it borrows from the packet that was just read. What it
//! leaves behind, a row in an action's queue, carries a [`Part`] of the event's [`Completion`], on whose last part
//! the acknowledgement hangs.
//!
//! The three traits at the seams live here because this is the lowest crate that both of their sides see:
//! [`Dispatch`] (brokers and sources give events to rules), [`LocalPublish`] (rules give messages to the local
//! broker) and [`Acker`] (whoever owes an acknowledgement learns that it may go out).
//!
//! *Invariant:* knows neither who produces events nor who consumes them. No clock: time arrives in the event.

mod column;
mod completion;
mod events;
mod occurrence;
mod publish;
mod source;
mod spec;
mod trail;

pub use column::Column;
pub use completion::{AckLevel, Acker, Completion, Outcome, Part};
pub use events::EVENTS;
pub use occurrence::{Columns, Dispatch, Event, Fields};
pub use publish::{LocalMessage, LocalPublish, MessageId, MessagePublish, Properties, PublishError};
pub use source::SourceMessage;
pub use spec::{EventKind, EventSpec, Example, ExampleColumn};
pub use trail::Trail;
