use value::{Kind, Kinds, Signature, Value};

use crate::{Args, CallError};

/// One builtin function: everything that is known of it, in one place.
#[derive(Debug)]
pub struct Function {
    /// The name, case-sensitive.
    pub name: &'static str,
    /// How it is called, for help texts: `substr(string, start[, length])`.
    pub usage: &'static str,
    /// The ways to call it; the checker reads kinds and arity from here, so a body can rely on the arity.
    pub signatures: &'static [Signature],
    /// What it gives, in one sentence.
    pub summary: &'static str,
    /// When it fails, in one sentence; empty if it cannot.
    pub errors: &'static str,
    /// Where the behaviour comes from.
    pub source: &'static str,
    /// Calls with their results. They run as tests and stand in the docs.
    pub examples: &'static [Example],
    /// What it does.
    pub body: Body,
}

/// The body of a function. Pure but for what its context gives.
pub type Body = fn(Args<'_>) -> Result<Value<'_>, CallError>;

/// A call with what comes of it, both as SQL.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The call.
    pub call: &'static str,
    /// The expression that it equals, kinds included; `None` if the call fails.
    pub gives: Option<&'static str>,
}

/// An example that has a result.
pub(crate) const fn gives(call: &'static str, result: &'static str) -> Example {
    Example { call, gives: Some(result) }
}

/// An example that fails, at `check` or when it runs.
pub(crate) const fn fails(call: &'static str) -> Example {
    Example { call, gives: None }
}

/// A signature in which every argument is required.
pub(crate) const fn sig(params: &'static [Kinds], result: Kinds) -> Signature {
    Signature { params, required: params.len(), variadic: false, result }
}

/// A signature that may be called with the first `required` arguments only.
pub(crate) const fn optional(required: usize, params: &'static [Kinds], result: Kinds) -> Signature {
    Signature { params, required, variadic: false, result }
}

/// A signature whose last parameter may be repeated, or left out.
pub(crate) const fn variadic(params: &'static [Kinds], result: Kinds) -> Signature {
    Signature { params, required: params.len() - 1, variadic: true, result }
}

pub(crate) const ANY: Kinds = Kinds::ANY;
pub(crate) const BOOL: Kinds = Kinds::of(Kind::Bool);
pub(crate) const INT: Kinds = Kinds::of(Kind::Int);
pub(crate) const FLOAT: Kinds = Kinds::of(Kind::Float);
pub(crate) const NUMBER: Kinds = Kinds::NUMBER;
pub(crate) const STR: Kinds = Kinds::of(Kind::Str);
pub(crate) const ARRAY: Kinds = Kinds::of(Kind::Array);
pub(crate) const MAP: Kinds = Kinds::of(Kind::Map);
/// What string functions take: strings, and the words `true`, `false` and the names of events.
pub(crate) const TEXT: Kinds = STR.or(Kind::Atom).or(Kind::Bool);
/// What passes for a map: strings are read as JSON, and the empty list is an empty map.
pub(crate) const MAP_LIKE: Kinds = MAP.or(Kind::Str).or(Kind::Array);
