//! The syntax tree: what was written, before any name is looked up.
//!
//! Expressions live in one arena, [`Tree::nodes`], and point at each other by [`NodeId`], so that dropping a tree never
//! recurses. Operators of one precedence make one flat [`NodeKind::Chain`].

use diagnostic::{Diagnostic, Span};

/// A parsed statement.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// The statement; `None` where not even its first word could be made out.
    pub statement: Option<Statement>,
    /// What the reference would refuse though it is fine here. Warnings, for `check --portable`.
    pub portability: Vec<Diagnostic>,
    /// Whether some part could not be parsed and is missing from the tree.
    pub broken: bool,
}

impl Tree {
    /// The node with this id, which must come from this tree.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

/// A node by its place in the arena of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub(crate) u32);

/// A whole statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// SELECT or FOREACH.
    pub shape: Shape,
    /// FROM.
    pub from: Vec<Name>,
    /// WHERE.
    pub condition: Option<NodeId>,
    /// From the first word to the last.
    pub span: Span,
}

/// The two shapes of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// `SELECT fields`
    Select(Vec<Field>),
    /// `FOREACH fields [DO body] [INCASE filter]`
    Foreach {
        /// Extra variables and, last, the array.
        fields: Vec<Field>,
        /// DO.
        body: Option<Vec<Field>>,
        /// INCASE.
        filter: Option<NodeId>,
    },
}

/// `*`, or `expr [[AS] alias]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// `None` for `*`.
    pub value: Option<(NodeId, Option<Path>)>,
    /// The whole of it.
    pub span: Span,
}

/// An expression or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// From its first to its last character.
    pub span: Span,
}

/// The expressions.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// `true`, `false`
    Bool(bool),
    /// Digits as written, perhaps with a fraction and an exponent.
    Number(Box<str>),
    /// A string as written, between its quotes.
    Str(Box<str>),
    /// A name with a path.
    Path(Path),
    /// A path after a call, a list or parentheses.
    Postfix {
        /// What is descended into.
        base: NodeId,
        /// At least one.
        segments: Vec<Segment>,
    },
    /// `( … )`
    Paren(NodeId),
    /// `[e, …]`
    List(Vec<NodeId>),
    /// `[1..5]`
    Range {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// `[module.]name(args)`
    Call {
        /// The module, if one is named.
        module: Option<Name>,
        /// The function.
        name: Name,
        /// In order.
        args: Vec<NodeId>,
    },
    /// `-x`, `+x`, `NOT x`
    Prefix {
        /// Which.
        op: PrefixOp,
        /// On what.
        operand: NodeId,
    },
    /// Operands joined by operators of one precedence, left to right. A comparison joins exactly two.
    Chain {
        /// The leftmost operand.
        first: NodeId,
        /// At least one more: operator, its place, operand.
        rest: Vec<(InfixOp, Span, NodeId)>,
    },
    /// `x [NOT] IN (e, …)`
    In {
        /// What is looked for.
        needle: NodeId,
        /// Whether NOT stands before IN.
        negated: bool,
        /// At least one.
        list: Vec<NodeId>,
    },
    /// `CASE [subject] {WHEN … THEN …} [ELSE …] END`
    Case {
        /// What the WHENs are compared to.
        subject: Option<NodeId>,
        /// WHEN and THEN, at least one.
        arms: Vec<(NodeId, NodeId)>,
        /// ELSE.
        otherwise: Option<NodeId>,
    },
}

/// An operator before its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixOp {
    /// `-`
    Minus,
    /// `+`
    Plus,
    /// `NOT`
    Not,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InfixOp {
    /// `OR`
    Or,
    /// `AND`
    And,
    /// A comparison.
    Compare(crate::ir::CompareOp),
    /// A calculation.
    Arith(crate::ir::ArithOp),
}

/// A name and the steps after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The root.
    pub name: Name,
    /// What follows.
    pub segments: Vec<Segment>,
    /// The whole of it.
    pub span: Span,
}

/// A name as a root, a key, a function or an entry of FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What is named: quotes stripped.
    pub text: Box<str>,
    /// How it was written.
    pub quote: Quote,
    /// With its quotes.
    pub span: Span,
}

/// The quotes around a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// None.
    Bare,
    /// `'…'`, as keys and topics may have.
    Single,
    /// `"…"`
    Double,
}

/// One step of a path with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Which.
    pub kind: SegmentKind,
    /// From the dot or bracket on.
    pub span: Span,
}

/// The steps of a path.
#[derive(Debug, Clone, PartialEq)]
pub enum SegmentKind {
    /// `.name`, `.1`, `.'name'`, `."name"`
    Key(Name),
    /// `[1]`, `[-1]`, `[-0]`
    Index {
        /// Whether a minus stands before it.
        negative: bool,
        /// The number without its sign; never negative.
        value: i64,
    },
    /// `[path]`
    Variable(Box<Path>),
    /// `[1..3]`
    Slice {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
}
