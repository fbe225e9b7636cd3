//! What every kind of connector shares: the contract between a far side and the engine, and the queue between them.
//!
//! A rule's row becomes a *request*, the bytes that [`Render`] makes of it on the dispatching thread, and goes into the
//! [`ActionQueue`] of its action. The connections of a [`Connector`] take requests from there through a [`Reader`], send
//! them, and say what became of each. A queue belongs to its action: edits of rules and connectors leave it alone.
//!
//! *Invariant:* knows neither SQL nor rules, nor any far side. No network here: what sends lives in `connector-*`.

mod backoff;
mod bounds;
mod buffer;
mod clock;
mod dead;
pub mod disk;
mod guard;
mod histogram;
mod kind;
mod lane;
mod memory;
mod metrics;
mod mode;
mod notice;
pub mod options;
mod order;
mod overflow;
pub mod publish;
mod queue;
mod reader;
mod render;
mod status;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod window;

pub use ::wake::Wake;
pub use backoff::Backoff;
pub use bounds::QueueOptions;
pub use buffer::{Buffer, Content, Fill, Hold, Item, Moved, Pending, Release, Removed, StoreError};
pub use dead::{Dead, DeadEnd, Stage};
pub use disk::{DiskLog, DiskOptions, Fsync, KeyOf};
pub use guard::{DENIED_BY_DEFAULT, Guard, Refused};
pub use histogram::{Histogram, HistogramReading};
pub use kind::{BoxFuture, CompileAction, Connector, ConnectorKind, Context, ProbeError, Reach, Source};
pub use memory::MemoryBuffer;
pub use metrics::{ActionReading, Counters, Dropped, SourceMetrics};
pub use notice::Notice;
pub use order::{LANES_VERSION, order_key};
pub use overflow::{Expiry, Overflow};
pub use queue::ActionQueue;
pub use reader::{Reader, Taken, Verdict};
pub use render::{Render, RenderError, Row};
pub use status::{State, Status};
