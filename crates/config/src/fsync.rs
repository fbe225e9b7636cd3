//! When what was written is made to survive the machine.

use std::time::Duration;

/// When what was written is made to survive the machine, and not only the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before it counts as stored, and is acknowledged.
    Always,
    /// This long after it was written at the latest, if the disk can, beside the acknowledgements.
    Interval(Duration),
    /// When the system pleases.
    Never,
}
