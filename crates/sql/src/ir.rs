//! The typed form of a statement that has no errors: what the evaluator compiles.
//!
//! What holds of every [`Statement`]:
//!
//! * Names are resolved: calls carry a [`FunctionId`], references say which alias, element, loop variable or column
//!   may supply them.
//! * Nesting is bounded by [`crate::NESTING_MAX`] levels of source, each of at most eight levels here, so consumers may
//!   recurse. Chains of one precedence (`a + b - c`, `a AND b AND c`) are flat and may be thousands long: loop over
//!   them.
//! * Spans are places in the text that was parsed, its base offset added.
//!
//! **Two kinds of name.** An *alias* is soft: a reference looks it up first, and where the whole path is undefined
//! there, falls back to the [`Base`]. What FOREACH puts around its DO and INCASE, the element and the loop variables, is
//! hard: it replaces the column of that name, and there is no falling back.

use diagnostic::Span;
use value::Kinds;

pub use crate::catalog::{ColumnId, FunctionId};

/// A whole statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// SELECT or FOREACH with what belongs to it.
    pub shape: Shape,
    /// Where messages come from; at least one.
    pub from: Vec<From>,
    /// WHERE: a condition.
    pub condition: Option<Expr>,
    /// Every root name that some field writes, by [`AliasId`].
    pub aliases: Vec<Alias>,
}

/// The two shapes of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// `SELECT fields`: one row.
    Select(Vec<Field>),
    /// `FOREACH …`: a row for each element that INCASE lets through.
    Foreach(Foreach),
}

/// `FOREACH fields [DO body] [INCASE filter]`.
///
/// `fields` are evaluated like those of SELECT, the earlier visible to the later. The value that the last one wrote is
/// the array; what is no array counts as empty. Then, for each element, `filter` and `body` see: the element under its
/// name, the roots that `fields` wrote, the columns of the event; in this order, each hiding the next entirely.
/// WHERE sees the same without the element.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreach {
    /// Extra variables, and last the array; at least one, and no [`Field::Star`].
    pub fields: Vec<Field>,
    /// The name of the element: `item`, or the alias of the array. `None` where that alias is a path of several steps,
    /// through which the element cannot be reached.
    pub element: Option<Box<str>>,
    /// DO. Without it, a row holds every column, every root that `fields` wrote, and the element.
    pub body: Option<Vec<Field>>,
    /// INCASE: a condition. Does not see what `body` writes.
    pub filter: Option<Expr>,
}

/// One entry of FROM.
#[derive(Debug, Clone, PartialEq)]
pub struct From {
    /// A topic filter, `$events/…`, `$bridges/…` or `$sources/…`, without quotes. Perhaps one that matches nothing, of
    /// which the diagnostics warn.
    pub filter: Box<str>,
    /// Where it stands.
    pub span: Span,
}

/// One entry of SELECT, FOREACH or DO.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// `*`: every column that the output does not have already (in DO: also element and loop variables). What was
    /// written before keeps its value.
    Star {
        /// Where it stands.
        span: Span,
    },
    /// An expression and where its value goes.
    Value(Value),
}

/// A field with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What is computed.
    pub expr: Expr,
    /// Where it goes.
    pub target: Target,
    /// The field from its expression to its alias.
    pub span: Span,
}

/// An alias root by its place in [`Statement::aliases`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AliasId(pub u32);

/// A root name that fields write.
///
/// The same name in FOREACH and in its DO makes two aliases. What a reference to it sees is what the writers before it
/// have made of it (all writers, from WHERE).
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    /// The name, which is also the key in the row.
    pub name: Box<str>,
    /// Which list of fields writes it.
    pub scope: Scope,
    /// The fields of that list that write it, by position, ascending; at least one.
    pub writers: Vec<u32>,
    /// The column of the same name: where a [`Field::Star`] stands before the first writer and that writer's target has
    /// steps, it changes a copy of this column.
    pub column: Option<ColumnId>,
}

/// A list of fields that can write aliases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of SELECT or FOREACH.
    Fields,
    /// Those of DO.
    Body,
}

/// Where the value of a field goes: into the row under a root name, and from there along steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The root name.
    pub root: AliasId,
    /// From the root inwards. Maps are made where there are none; see [`TargetStep`] for arrays.
    pub steps: Vec<TargetStep>,
    /// How it came about.
    pub origin: Origin,
}

/// How a [`Target`] came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `AS …`.
    Explicit,
    /// No alias: the path of the expression itself, so that `payload.a.b` keeps its shape.
    Path,
    /// No alias and no path: a name of our own, beginning with `_v_`, or the text of a string literal.
    Generated,
}

/// One step of a [`Target`].
///
/// On something that is not an array, any index makes a list of the one element.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetStep {
    /// `.name`: into a map under this key; what is not a map becomes a new one.
    Key(Box<str>),
    /// `[n]`, never 0: replaces an element, from 1, or from -1 at the end; out of range does nothing.
    Index(i64),
    /// `[0]`: puts in front of the first.
    Prepend,
    /// `[-0]`: puts after the last.
    Append,
    /// `[name]`: the index is the value of the name, looked up as [`Step::Variable`] says.
    Variable(Box<Reference>),
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, parentheses included.
    pub span: Span,
    /// Every kind that its value may have, as far as that is known from the statement alone.
    pub kinds: Kinds,
}

/// The expressions.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// A name with a path.
    Reference(Reference),
    /// A path after something that is not a name: `f(x)[1].id`. Reads a step exactly as in a [`Reference`].
    Path {
        /// What is descended into.
        base: Box<Expr>,
        /// At least one.
        steps: Vec<Step>,
    },
    /// `a[1..3]`: the elements `from` to `to` of an array, both included. Ends count from 1, or from -1 at the end;
    /// neither is 0.
    Slice {
        /// The array.
        base: Box<Expr>,
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// `[e, …]`, perhaps empty.
    List(Vec<Expr>),
    /// `[1..5]`: the list of these integers, both ends included.
    Range {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// `f(…)`; the number of arguments fits a signature.
    Call {
        /// Which.
        function: FunctionId,
        /// In order.
        args: Vec<Expr>,
    },
    /// `-x` or `+x`.
    Unary {
        /// Which.
        op: UnaryOp,
        /// On what.
        operand: Box<Expr>,
    },
    /// `a + b - c` or `a * b / c`: from left to right, operators of one precedence.
    Arith {
        /// The leftmost operand.
        first: Box<Expr>,
        /// What follows it, at least one.
        rest: Vec<Term>,
    },
    /// Two values compared, converting between number and text.
    Compare {
        /// How.
        op: CompareOp,
        /// Left.
        left: Box<Expr>,
        /// Right.
        right: Box<Expr>,
    },
    /// `x IN (…)`, by strict equality. `NOT IN` is a [`ExprKind::Not`] around it.
    In {
        /// What is looked for.
        needle: Box<Expr>,
        /// Where; at least one.
        list: Vec<Expr>,
    },
    /// `a AND b AND …`, two or more, from left to right up to the first false. Each is a condition.
    And(Vec<Expr>),
    /// `a OR b OR …`, two or more, from left to right up to the first true. Each is a condition.
    Or(Vec<Expr>),
    /// `NOT a`, of a condition.
    Not(Box<Expr>),
    /// `CASE [subject] WHEN … THEN … ELSE … END`; undefined where nothing fits and there is no ELSE.
    Case {
        /// With a subject, `when` is compared to it by strict equality; without, it is a condition.
        subject: Option<Box<Expr>>,
        /// At least one, tried in order.
        arms: Vec<Arm>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
}

/// `WHEN when THEN then`.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// What must fit.
    pub when: Expr,
    /// What it gives.
    pub then: Expr,
}

/// One more operand of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The operator before it.
    pub op: ArithOp,
    /// Where the operator stands.
    pub op_span: Span,
    /// The operand.
    pub operand: Expr,
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `true`, `false`.
    Bool(bool),
    /// An integer that fits; not negative (a sign is a [`ExprKind::Unary`]).
    Int(i64),
    /// An integer that does not fit: its decimal digits, no leading zero.
    BigInt(Box<str>),
    /// A finite float.
    Float(f64),
    /// A string, quotes stripped.
    Str(Box<str>),
}

/// A name with a path, and who may supply it.
///
/// First `alias`, if there is one, is followed along `steps`; where that gives undefined, or there is none, `base` is.
/// A string met on the way, at any step, is read as JSON; where it is none, the path is undefined, but for the
/// `payload` column of the event itself, where it is an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The root name as written, quotes stripped.
    pub name: Box<str>,
    /// The alias of that name that is visible here.
    pub alias: Option<AliasId>,
    /// What it falls back to.
    pub base: Base,
    /// The rest of the path; perhaps empty.
    pub steps: Vec<Step>,
    /// The whole of it.
    pub span: Span,
}

impl std::fmt::Display for Reference {
    /// As SQL spells it: `payload.list[1].'two words'`.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plain = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if plain(&self.name) {
            out.write_str(&self.name)?
        } else {
            write!(out, "\"{}\"", self.name)?
        }
        self.steps.iter().try_for_each(|step| match step {
            Step::Key(key) if plain(key) => write!(out, ".{key}"),
            Step::Key(key) => write!(out, ".'{key}'"),
            Step::Index(index) => write!(out, "[{index}]"),
            Step::Variable(name) => write!(out, "[{name}]"),
        })
    }
}

/// What a [`Reference`] falls back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Base {
    /// The element of the loop; only in DO and INCASE.
    Element,
    /// What a field of FOREACH wrote; only in DO, INCASE and WHERE of FOREACH.
    Variable(AliasId),
    /// A column; undefined where the event at hand does not bring it.
    Column(ColumnId),
    /// Nothing: undefined.
    Nothing,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `.name`, `.1`, `.'name'`: of a map.
    Key(Box<str>),
    /// `[n]`: of an array, from 1, or from -1 at the end; 0 and out of range are undefined.
    Index(i64),
    /// `[name]`, `[name.a[1]]`: the index is the value of that path. It is looked up where the path itself starts:
    /// under a reference that is supplied by an alias among the aliases of the same scope, under a column among the
    /// columns, and under `payload` in the payload (`payload.l[i]` reads `payload.i`), where name and steps count as
    /// one path. Under a [`ExprKind::Path`] it is an ordinary reference.
    Variable(Box<Reference>),
}

/// A sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Minus,
    /// `+`: the number itself.
    Plus,
}

/// An operator of calculation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArithOp {
    /// `+`: a sum, or text joined where either side is a string.
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`: always a float.
    Divide,
    /// `div`: integers, towards zero.
    IntegerDivide,
    /// `mod`: integers, the sign of the left.
    Remainder,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `<>`, `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `=~`: a topic against a topic filter.
    TopicMatch,
}
