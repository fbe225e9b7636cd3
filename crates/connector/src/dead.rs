//! Where requests end that nobody will take.

use crate::buffer::Release;

/// Takes what an action could not deliver. It may be called from any thread, under no lock, and must not wait.
pub trait DeadEnd: Send + Sync {
    /// Keeps a request, or what is left of it, and lets go of `release` once that is certain.
    fn bury(&self, dead: &Dead<'_>, release: Release);
}

/// A request that will not be sent.
#[derive(Debug, Clone, Copy)]
pub struct Dead<'a> {
    /// The id of the action.
    pub action: &'a str,
    /// How far it came.
    pub stage: Stage,
    /// Why it ends here, in words.
    pub reason: &'a str,
    /// How often it was sent.
    pub sendings: u32,
    /// The request; empty where it was never rendered.
    pub request: &'a [u8],
    /// What it was made of.
    pub origin: &'a [u8],
}

/// Where a request came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The templates of the action could not be rendered.
    Render,
    /// The queue had no room.
    Overflow,
    /// It waited longer than `request_ttl`.
    Expired,
    /// The far side refused it for good, or too often.
    Send,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 4] = [Stage::Render, Stage::Overflow, Stage::Expired, Stage::Send];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Render => "render",
            Stage::Overflow => "overflow",
            Stage::Expired => "expired",
            Stage::Send => "send",
        }
    }
}
