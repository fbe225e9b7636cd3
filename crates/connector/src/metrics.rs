//! What is counted per action, under the reference's names.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::buffer::{Fill, Removed};

/// The counters of an action. They only rise, until they are reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows that were meant for the action.
    pub matched: u64,
    /// Requests that the far side took.
    pub success: u64,
    /// Rows that could not be rendered, and requests that the far side refused for good.
    pub failed: u64,
    /// Requests that waited longer than `request_ttl`, or than the message itself says that it is worth anything.
    pub dropped_expired: u64,
    /// Requests that made room for newer ones.
    pub dropped_queue_full: u64,
    /// Rows for an action whose connector does not exist.
    pub dropped_resource_not_found: u64,
    /// Rows for an action that is disabled or was deleted with them in its queue.
    pub dropped_resource_stopped: u64,
    /// Requests lost otherwise: they could not be stored.
    pub dropped_other: u64,
    /// Answers that came too late to count. Always 0, since a request in flight never expires here.
    pub late_reply: u64,
    /// Requests that were sent more than once, each further sending counted.
    pub retried: u64,
    /// Of [`Counters::success`], those that were sent more than once.
    pub retried_success: u64,
    /// Of [`Counters::failed`], those that were sent more than once.
    pub retried_failed: u64,
}

impl Counters {
    /// The far side has it.
    pub(crate) fn succeeded(&mut self, request: &Removed) {
        self.success += 1;
        self.retried_success += u64::from(request.sendings > 1);
    }

    /// The far side will never take it.
    pub(crate) fn failed_for_good(&mut self, request: &Removed) {
        self.failed += 1;
        self.retried_failed += u64::from(request.sendings > 1);
    }

    /// `dropped`: the sum over the reasons.
    pub fn dropped(&self) -> u64 {
        self.dropped_expired
            + self.dropped_queue_full
            + self.dropped_resource_not_found
            + self.dropped_resource_stopped
            + self.dropped_other
    }

    /// The counter of this reason.
    pub(crate) fn dropped_for(&mut self, reason: Dropped) -> &mut u64 {
        match reason {
            Dropped::Expired => &mut self.dropped_expired,
            Dropped::QueueFull => &mut self.dropped_queue_full,
            Dropped::ResourceNotFound => &mut self.dropped_resource_not_found,
            Dropped::ResourceStopped => &mut self.dropped_resource_stopped,
            Dropped::Other => &mut self.dropped_other,
        }
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, more: Self) {
        self.matched += more.matched;
        self.success += more.success;
        self.failed += more.failed;
        self.dropped_expired += more.dropped_expired;
        self.dropped_queue_full += more.dropped_queue_full;
        self.dropped_resource_not_found += more.dropped_resource_not_found;
        self.dropped_resource_stopped += more.dropped_resource_stopped;
        self.dropped_other += more.dropped_other;
        self.late_reply += more.late_reply;
        self.retried += more.retried;
        self.retried_success += more.retried_success;
        self.retried_failed += more.retried_failed;
    }
}

impl AddAssign for Fill {
    fn add_assign(&mut self, more: Self) {
        self.queuing += more.queuing;
        self.queuing_bytes += more.queuing_bytes;
        self.inflight += more.inflight;
        self.inflight_bytes += more.inflight_bytes;
    }
}

/// Why a request was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It waited longer than `request_ttl`.
    Expired,
    /// It made room for newer ones.
    QueueFull,
    /// The connector does not exist.
    ResourceNotFound,
    /// The action is disabled or deleted.
    ResourceStopped,
    /// It could not be stored.
    Other,
}

impl Dropped {
    /// The name after `dropped.`.
    pub fn name(self) -> &'static str {
        match self {
            Dropped::Expired => "expired",
            Dropped::QueueFull => "queue_full",
            Dropped::ResourceNotFound => "resource_not_found",
            Dropped::ResourceStopped => "resource_stopped",
            Dropped::Other => "other",
        }
    }
}

/// One reading of an action, taken at one moment: `matched` = `success` + `failed` + `dropped` + `queuing` +
/// `inflight`, also while messages flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActionReading {
    /// What was counted.
    pub counters: Counters,
    /// What is there.
    pub fill: Fill,
}

impl ActionReading {
    /// Whether every row is accounted for.
    pub fn balances(&self) -> bool {
        let Counters { matched, success, failed, .. } = self.counters;
        matched == success + failed + self.counters.dropped() + self.fill.queuing + self.fill.inflight
    }
}

/// The counters of a source. They outlive edits of the source and of its connector.
#[derive(Debug, Default)]
pub struct SourceMetrics {
    received: AtomicU64,
}

impl SourceMetrics {
    /// A message came in.
    pub fn count_received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// `received`: messages that came in.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Sets every counter to zero.
    pub fn reset(&self) {
        self.received.store(0, Ordering::Relaxed);
    }
}
