use diagnostic::{Code, Diagnostic, Span};
use functions::CallError;
use value::Kind;
use value::json::JsonError;

/// Why a message could not be evaluated. Nothing of it was passed on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{fault}")]
pub struct EvalError {
    /// The part of the SQL at which it happened.
    pub span: Span,
    /// What happened.
    pub fault: Fault,
}

impl EvalError {
    /// The error as whoever wrote the SQL is told it.
    pub fn to_diagnostic(&self) -> Diagnostic {
        Diagnostic::new(Code::EvaluationFailed, self.span, self.fault.to_string())
    }
}

/// What can go wrong in an evaluation.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The payload is not JSON, and the rule reads inside of it.
    #[error("the payload is {0}")]
    Payload(JsonError),
    /// A function refused its arguments.
    #[error("`{name}`: {error}")]
    Call {
        /// Which function.
        name: &'static str,
        /// Why.
        error: CallError,
    },
    /// An operator met something it cannot calculate with.
    #[error("`{op}` cannot be applied to {left} and {right}")]
    Operands {
        /// The operator.
        op: &'static str,
        /// What stood left.
        left: Kind,
        /// What stood right.
        right: Kind,
    },
    /// A sign before something that is not a number.
    #[error("a sign stands before {0}, which is not a number")]
    Sign(Kind),
    /// A calculation without a finite result: a division by zero, or a float out of range.
    #[error("`{0}` has no finite result")]
    NoResult(&'static str),
    /// A number was compared with text that spells no number.
    #[error("a number is compared with a string that is no number")]
    NotANumber,
    /// Something that is neither true nor false where a condition stands.
    #[error("the condition is {0}, and neither true nor false")]
    NotACondition(Kind),
    /// A slice of something that is not an array.
    #[error("a slice is taken of {0}, which is not an array")]
    NotAnArray(Kind),
    /// A range or slice whose ends do not fit together.
    #[error("the end of the range lies before its start")]
    BadRange,
    /// A bound was met: the text says which.
    #[error("{0}")]
    TooMuch(&'static str),
}
