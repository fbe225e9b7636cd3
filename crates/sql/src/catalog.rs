use value::{Kinds, Signature, Value};

/// What the checker asks about functions and columns, of which it knows nothing itself.
///
/// Implemented by whoever joins the function table with the table of events. Answers must not change while a
/// statement is being lowered.
pub trait Catalog {
    /// What a function of this name is; names are case-sensitive.
    fn function(&self, name: &str) -> Lookup<'_>;

    /// Hands every function's name to `each`, in any order, for "did you mean".
    fn function_names(&self, each: &mut dyn FnMut(&str));

    /// The column of this name, whichever event brings it.
    fn column(&self, name: &str) -> Option<Column>;

    /// Hands to `each` every column of every event that an entry of FROM can let in.
    ///
    /// `from` is spelled as in the SQL, without quotes: a topic filter, `$events/…`, `$bridges/…` or `$sources/…`.
    /// For one that no event answers to, nothing is handed over.
    fn columns_of(&self, from: &str, each: &mut dyn FnMut(&str, Column));

    /// Why a call of `function` fails whatever the message, as far as its constant arguments tell. `args` has one entry for
    /// each argument, `None` for those that depend on the message.
    fn refuses(&self, _function: FunctionId, _args: &[Option<Value<'_>>]) -> Option<Refusal> {
        None
    }

    /// Hands every event's name, as FROM spells it, to `each`, for "did you mean".
    fn event_names(&self, _each: &mut dyn FnMut(&str)) {}
}

/// Why a call always fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The argument to blame, if it is one; counts from 0.
    pub argument: Option<usize>,
    /// Whether it is 0 where counting starts at 1.
    pub counts_from_one: bool,
    /// What is wrong; reads on after the name of the function and a colon.
    pub reason: String,
}

/// What a [`Catalog`] says to the name of a function.
#[derive(Debug, Clone, Copy)]
pub enum Lookup<'c> {
    /// It can be called.
    Known(Function<'c>),
    /// The dialect has it, this build does not.
    NotYet,
    /// Nobody knows it.
    Unknown,
}

/// A function as the checker sees it.
#[derive(Debug, Clone, Copy)]
pub struct Function<'c> {
    /// What calls carry in the IR.
    pub id: FunctionId,
    /// The ways to call it; never empty.
    pub signatures: &'c [Signature],
    /// A line that shows how to call it, such as `substr(string, start)`; may be empty.
    pub usage: &'c str,
}

/// A column as the checker sees it.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// What references carry in the IR.
    pub id: ColumnId,
    /// What it may hold; [`Kinds::ANY`] where that is not known.
    pub kinds: Kinds,
}

/// A function, by a number that only the catalog understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// A column, by a number that only the catalog understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId(pub u16);
