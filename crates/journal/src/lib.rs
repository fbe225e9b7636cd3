//! A log on disk: entries in the order in which they came, each kept until it is said to be gone.
//!
//! A [`Journal`] is a folder of segments. Whatever is to be written is gathered in a [`Batch`] and written in one go;
//! everything in a batch survives the process once the write has returned, and the machine once [`Journal::sync`] has.
//! A segment is deleted when all of its entries, and all segments before it, are gone.
//!
//! Each record has a checksum of its own, so damage costs what it hit and nothing else, and is counted. The end of the
//! last segment may be torn: such a record was never acknowledged to anybody and is cut off.
//!
//! ```text
//! segment  magic: 8 bytes · version: u16 · lanes: u16 · first id: u64 · number: u64 · CRC-32 of version to number: u32
//! record   magic: 2 bytes · kind: u8 · lane: u8 · length: u32 · CRC-32 of kind to length and of what follows: u32
//!   entry    id: u64 · milliseconds since 1970: i64 · body
//!   gone     ranges of ids: first: u64, count: u32, as many as the length has room for
//! ```
//!
//! All numbers are little-endian. `lanes` says in which way its owner dealt out lanes at that time. Ids rise by one from entry to entry, so a gap says how many entries were damaged.
//!
//! *Invariant:* knows nothing of what it keeps. One thread writes; nothing here starts a thread, locks, or waits for
//! anything but the disk.

mod batch;
mod bitmap;
mod compact;
mod frame;
mod journal;
mod recover;
mod segment;

pub use batch::Batch;
pub use bitmap::Bitmap;
pub use frame::{Entry, Found, Frames, Gone};
pub use journal::{Cursor, Journal, Options};
pub use recover::{Count, Recovered};
pub use segment::OpenError;
