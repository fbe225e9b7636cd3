use value::{Kind, Kinds, json::JsonError};

/// Why a call has no result. Arguments count from 0 here and from 1 in the message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// An argument of a kind that the function refuses.
    #[error("argument {} must be {expected}, found {found}", arg + 1)]
    Kind {
        /// Which.
        arg: usize,
        /// What it may be.
        expected: Kinds,
        /// What it is.
        found: Kind,
    },
    /// An argument of the right kind for which there is no result.
    #[error("argument {} {reason}", arg + 1)]
    Domain {
        /// Which.
        arg: usize,
        /// What is wrong with it; reads on after "argument 1".
        reason: &'static str,
    },
    /// The same, in words that are found when it happens.
    #[error("argument {} {reason}", arg + 1)]
    Said {
        /// Which.
        arg: usize,
        /// What is wrong with it; reads on after "argument 1".
        reason: Box<str>,
    },
    /// An argument that should hold JSON.
    #[error("argument {} is {error}", arg + 1)]
    NotJson {
        /// Which.
        arg: usize,
        /// Where and why it is none.
        error: JsonError,
    },
    /// A result beyond what one evaluation may take.
    #[error("the result would be too large")]
    TooLarge,
}
