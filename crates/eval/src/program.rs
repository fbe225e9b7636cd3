use std::sync::Arc;

use diagnostic::Span;
use event::{Column, Event, EventKind};
use functions::Function;
use sql::ir::ArithOp;
use topic::TopicFilter;
use value::compare::Comparison;
use value::json::Key;

use crate::paths::{PathSet, Union};
use crate::watch::Watch;

/// A statement in the form that runs: names resolved to places, functions to pointers, payload paths to slots.
///
/// Immutable and shared between threads. Knows the id of its rule only to show it in the `metadata` column.
#[derive(Debug)]
pub struct Program {
    pub(crate) rule_id: Box<str>,
    pub(crate) from: Box<[From]>,
    pub(crate) shape: Shape,
    pub(crate) condition: Option<Condition>,
    pub(crate) paths: PathSet,
    /// What a trial watches, those of FROM first; none in a program for messages.
    pub(crate) watches: Box<[Watch]>,
}

/// One entry of FROM.
#[derive(Debug, Clone)]
pub struct From {
    /// What it matches: a topic filter, which for events and sources is a filter over their names.
    pub filter: TopicFilter,
    /// What sort of thing it is about.
    pub class: FromClass,
    /// Where it stands in its file.
    pub span: Span,
}

/// What an entry of FROM is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FromClass {
    /// Messages that clients publish.
    Publish,
    /// Events: `$events/…`, wildcards allowed.
    Event,
    /// Sources: `$bridges/…` and `$sources/…`, wildcards allowed.
    Source,
}

impl From {
    /// The entry of this text.
    pub(crate) fn new(filter: TopicFilter, span: Span) -> Self {
        let class = match filter.as_str().split('/').next() {
            Some("$events") => FromClass::Event,
            Some("$bridges" | "$sources") => FromClass::Source,
            _ => FromClass::Publish,
        };
        Self { filter, class, span }
    }

    /// Whether events of this kind could match.
    pub fn concerns(&self, kind: EventKind) -> bool {
        let class = match kind {
            EventKind::MessagePublish => FromClass::Publish,
            EventKind::Source => FromClass::Source,
            _ => FromClass::Event,
        };
        self.class == class
    }

    /// Whether this event matches.
    pub fn matches(&self, event: &Event<'_>) -> bool {
        let [shown, other] = event.from;
        self.concerns(event.kind)
            && (topic::matches(self.filter.as_str(), shown)
                || !other.is_empty() && topic::matches(self.filter.as_str(), other))
    }
}

impl Program {
    /// The id of the rule it was made for.
    pub fn rule_id(&self) -> &str {
        &self.rule_id
    }

    /// The entries of FROM, at least one.
    pub fn from(&self) -> &[From] {
        &self.from
    }

    /// Whether any entry of FROM matches this event.
    pub fn matches(&self, event: &Event<'_>) -> bool {
        self.from.iter().any(|from| from.matches(event))
    }

    /// Whether it reads inside of the payload, so that the payload must be JSON.
    pub fn needs_payload_scan(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether it is a FOREACH, whose output is a list.
    pub fn is_foreach(&self) -> bool {
        matches!(self.shape, Shape::Foreach(_))
    }

    /// Whether its rows have this key, as far as that does not depend on the event: `*` is not counted.
    pub fn selects(&self, name: &str) -> bool {
        let list = match &self.shape {
            Shape::Select(list) => list,
            Shape::Foreach(foreach) => &foreach.body,
        };
        let others = list.star.iter().flat_map(|star| &star.others).map(|(key, _)| key);
        list.row.iter().map(|out| &out.key).chain(others).any(|key| key.name() == name.as_bytes())
    }

    /// The keys of its rows, as far as they do not depend on the event.
    pub fn selected(&self) -> impl Iterator<Item = &str> {
        let list = match &self.shape {
            Shape::Select(list) => list,
            Shape::Foreach(foreach) => &foreach.body,
        };
        list.row.iter().filter_map(|out| std::str::from_utf8(out.key.name()).ok())
    }

    /// Whether some event that FROM lets in has this column.
    pub fn sees(&self, column: Column) -> bool {
        self.from.iter().any(|from| crate::catalog::brings(from.filter.as_str(), column))
    }

    pub(crate) fn paths(&self) -> &PathSet {
        &self.paths
    }
}

#[derive(Debug)]
pub(crate) enum Shape {
    Select(List),
    Foreach(Box<Foreach>),
}

/// A list of fields. Each field keeps what its root name holds after it has been written, so that any later reader
/// finds the state that it is meant to see, whatever was evaluated in between.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) fields: Box<[Field]>,
    /// The fields that the condition needs, ascending: evaluated before it.
    pub(crate) before: Box<[u32]>,
    /// The others, ascending.
    pub(crate) after: Box<[u32]>,
    /// The row that comes out.
    pub(crate) row: Box<[Out]>,
    pub(crate) star: Option<Box<Star>>,
}

#[derive(Debug)]
pub(crate) enum Field {
    /// `*`, and what is evaluated where the row is put together.
    InRow,
    Value {
        node: Node,
        target: Option<Target>,
        span: Span,
    },
}

/// Where a value goes inside of its root; a field without one replaces the root.
#[derive(Debug)]
pub(crate) struct Target {
    /// What the root holds before.
    pub(crate) base: Base,
    pub(crate) steps: Box<[TargetStep]>,
    /// Text that the root holds is read as JSON first.
    pub(crate) decode: bool,
}

#[derive(Debug)]
pub(crate) enum Base {
    Nothing,
    /// What an earlier field of the same list has left.
    Earlier(u32),
    /// What a `*` before has put there.
    Star(Box<Node>),
}

#[derive(Debug)]
pub(crate) enum TargetStep {
    Key(Box<[u8]>),
    Index(i64),
    Append,
    Variable(Node),
}

/// What a row has under a name.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) key: Key,
    pub(crate) source: Source,
}

/// Where a value of a row comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A root as the field at this place has left it.
    Root(u32),
    /// A field that nothing reads but the row.
    Value { node: Node, span: Span },
}

/// What a `*` adds to a row.
#[derive(Debug)]
pub(crate) struct Star {
    /// So many of the row's own fields stand before it.
    pub(crate) at: usize,
    /// Of the columns, which come first, those of which the bit is set are left out.
    pub(crate) hidden: u64,
    /// What comes then.
    pub(crate) others: Box<[(Key, Node)]>,
}

#[derive(Debug)]
pub(crate) struct Foreach {
    pub(crate) list: List,
    pub(crate) body: List,
    pub(crate) filter: Option<Condition>,
    /// Where the array stands.
    pub(crate) span: Span,
    /// What one element costs at the most, in nodes.
    pub(crate) cost: u64,
    /// The node of the array's path in the payload, if the array is read there and nothing but the loop reads it: then
    /// its elements are looked at one by one, where they stand.
    pub(crate) array_path: Option<u32>,
    /// The paths of [`Node::Element`], and the same as a trie.
    pub(crate) element_paths: PathSet,
    pub(crate) element_union: Arc<Union>,
}

/// Which list of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Fields,
    Body,
}

/// An expression. An enum tree: the scan of the payload dominates the cost, so that no form of it is faster by much.
#[derive(Debug)]
pub(crate) enum Node {
    Undefined,
    Bool(bool),
    Int(i64),
    Big {
        negative: bool,
        limbs: Box<[u64]>,
    },
    Float(f64),
    Str(Box<[u8]>),
    /// What a field has left under its root.
    Field {
        scope: Scope,
        at: u32,
    },
    /// The first that is not undefined.
    Either(Box<Node>, Box<Node>),
    /// A path into the element of a loop.
    Element {
        path: u32,
    },
    Column(Column),
    /// A path into the payload that the scan follows.
    Payload {
        path: u32,
        span: Span,
    },
    Steps {
        base: Box<Node>,
        steps: Box<[Step]>,
    },
    Slice {
        base: Box<Node>,
        from: i64,
        to: i64,
        span: Span,
    },
    List {
        items: Box<[Node]>,
        span: Span,
    },
    Range {
        from: i64,
        to: i64,
        span: Span,
    },
    Call {
        function: &'static Function,
        args: Box<[Node]>,
        span: Span,
    },
    Negate {
        operand: Box<Node>,
        span: Span,
    },
    Plus {
        operand: Box<Node>,
        span: Span,
    },
    Arith {
        first: Box<Node>,
        rest: Box<[(ArithOp, Span, Node)]>,
    },
    /// `=~`
    TopicMatch {
        topic: Box<Node>,
        filter: Box<Node>,
    },
    Compare {
        comparison: Comparison,
        left: Box<Node>,
        right: Box<Node>,
        span: Span,
    },
    In {
        needle: Box<Node>,
        list: Box<[Node]>,
    },
    And(Box<[Condition]>),
    Or(Box<[Condition]>),
    Not(Box<Condition>),
    Case {
        subject: Option<Box<Node>>,
        arms: Box<[(Node, Node)]>,
        otherwise: Option<Box<Node>>,
    },
    /// In trials only: gives what `node` does, and notes it in the watch at this place.
    Watched {
        node: Box<Node>,
        at: u32,
    },
}

/// An expression that must be true or false.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) node: Node,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum Step {
    Key(Box<[u8]>),
    Index(i64),
    Variable(Node),
}
