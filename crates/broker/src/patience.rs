//! When what a client sends may gather before it is looked at.

use std::time::Duration;

use mqtt::{Conn, Gather, Overdue};
use tokio::time::Instant;

/// Lets what a client sends gather while it is for those alone who will look at it later, such as an action that waits for its
/// remote: a look at a connection costs several times of what a small packet does.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// None before anything has come early.
    gather: Option<Box<Gather>>,
    /// Whether what came last came early.
    is_early: bool,
}

impl Patience {
    /// Nobody waits much longer than that.
    const INTERVAL: Duration = Duration::from_millis(2);
    /// When the client is asked for what it may hold back.
    const ASK_AFTER: Duration = Duration::from_millis(1);
    /// Fewer bytes are not worth it.
    const BYTES_MIN: usize = 512;
    /// More would save little, and a client may have no more on its way.
    const BYTES_MAX: usize = 4096;

    /// So many bytes have come.
    pub(crate) fn heard(&mut self, bytes: usize, now: Instant) {
        if let Some(gather) = &mut self.gather {
            gather.read(bytes, now.into());
        }
    }

    /// Whether what has come came early: for those alone who will look at it later.
    pub(crate) fn judge(&mut self, is_early: bool) {
        self.is_early = is_early;
    }

    /// Tells the system from how much on the connection is to be looked at. Gives when it is to be looked at anyway, if that is
    /// soon.
    pub(crate) fn apply(&mut self, conn: &mut Conn) -> Option<Instant> {
        if !self.is_early && self.gather.is_none() {
            return None;
        }
        let now = Instant::now();
        let gather = self
            .gather
            .get_or_insert_with(|| Box::new(Gather::new(Self::INTERVAL, Self::ASK_AFTER, now.into())));
        if gather.overdue(now.into()) == Overdue::Ask {
            conn.confirm();
        }
        let max = if self.is_early { Self::BYTES_MAX } else { 0 };
        let awaited = gather.awaited(Self::BYTES_MIN, max, now.into());
        conn.read_from(u32::try_from(awaited).unwrap_or(1));
        // A clock that stands still would spin otherwise.
        gather.waits_until().map(|at| Instant::from(at).max(now + Duration::from_millis(1)))
    }

    /// The connection is idle.
    pub(crate) fn trim(&mut self) {
        self.gather = None;
    }
}
