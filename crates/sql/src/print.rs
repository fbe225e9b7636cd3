//! A tree as SQL again: one line, keywords in capitals, blanks where they are usual.

use std::fmt::{self, Display, Formatter};

use crate::ast::{
    Field, InfixOp, Name, NodeId, NodeKind, Path, PrefixOp, Quote, Segment, SegmentKind, Shape, Tree,
};
use crate::ir::{ArithOp, CompareOp};

impl Display for Tree {
    /// Parsing what is printed gives the same tree, up to its spans. Comments are not part of a tree.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Some(statement) = &self.statement else { return Ok(()) };
        match &statement.shape {
            Shape::Select(fields) => write!(out, "SELECT {}", self.fields(fields))?,
            Shape::Foreach { fields, body, filter } => {
                write!(out, "FOREACH {}", self.fields(fields))?;
                if let Some(body) = body {
                    write!(out, " DO {}", self.fields(body))?;
                }
                if let Some(filter) = filter {
                    write!(out, " INCASE {}", self.shown(*filter))?;
                }
            }
        }
        for (at, name) in statement.from.iter().enumerate() {
            write!(out, "{}{name}", if at == 0 { " FROM " } else { ", " })?;
        }
        if let Some(condition) = statement.condition {
            write!(out, " WHERE {}", self.shown(condition))?;
        }
        Ok(())
    }
}

/// A node with its tree.
struct Shown<'t> {
    tree: &'t Tree,
    node: NodeId,
}

impl Tree {
    fn shown(&self, node: NodeId) -> Shown<'_> {
        Shown { tree: self, node }
    }

    fn list(&self, nodes: &[NodeId]) -> String {
        nodes.iter().map(|node| self.shown(*node).to_string()).collect::<Vec<_>>().join(", ")
    }

    fn fields(&self, fields: &[Field]) -> String {
        let field = |field: &Field| match &field.value {
            None => "*".to_owned(),
            Some((expr, None)) => self.shown(*expr).to_string(),
            Some((expr, Some(alias))) => format!("{} AS {alias}", self.shown(*expr)),
        };
        fields.iter().map(field).collect::<Vec<_>>().join(", ")
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let tree = self.tree;
        let shown = |node: &NodeId| tree.shown(*node);
        match &tree.node(self.node).kind {
            NodeKind::Bool(value) => write!(out, "{value}"),
            NodeKind::Number(text) => out.write_str(text),
            NodeKind::Str(text) => write!(out, "'{text}'"),
            NodeKind::Path(path) => write!(out, "{path}"),
            NodeKind::Postfix { base, segments } => {
                write!(out, "{}", shown(base))?;
                segments.iter().try_for_each(|segment| write!(out, "{segment}"))
            }
            NodeKind::Paren(inner) => write!(out, "({})", shown(inner)),
            NodeKind::List(items) => write!(out, "[{}]", tree.list(items)),
            NodeKind::Range { from, to } => write!(out, "[{from}..{to}]"),
            NodeKind::Call { module, name, args } => {
                if let Some(module) = module {
                    write!(out, "{module}.")?;
                }
                write!(out, "{name}({})", tree.list(args))
            }
            NodeKind::Prefix { op: PrefixOp::Not, operand } => write!(out, "NOT {}", shown(operand)),
            NodeKind::Prefix { op, operand } => {
                let sign = if *op == PrefixOp::Minus { "-" } else { "+" };
                // Two minus signs side by side would begin a comment.
                let signed = matches!(tree.node(*operand).kind, NodeKind::Prefix { .. });
                write!(out, "{sign}{}{}", if signed { " " } else { "" }, shown(operand))
            }
            NodeKind::Chain { first, rest } => {
                write!(out, "{}", shown(first))?;
                rest.iter().try_for_each(|(op, _, operand)| write!(out, " {op} {}", shown(operand)))
            }
            NodeKind::In { needle, negated, list } => {
                let word = if *negated { "NOT IN" } else { "IN" };
                write!(out, "{} {word} ({})", shown(needle), tree.list(list))
            }
            NodeKind::Case { subject, arms, otherwise } => {
                out.write_str("CASE ")?;
                if let Some(subject) = subject {
                    write!(out, "{} ", shown(subject))?;
                }
                for (when, then) in arms {
                    write!(out, "WHEN {} THEN {} ", shown(when), shown(then))?;
                }
                if let Some(otherwise) = otherwise {
                    write!(out, "ELSE {} ", shown(otherwise))?;
                }
                out.write_str("END")
            }
        }
    }
}

impl Display for Name {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.quote {
            Quote::Bare => out.write_str(&self.text),
            Quote::Single => write!(out, "'{}'", self.text),
            Quote::Double => write!(out, "\"{}\"", self.text),
        }
    }
}

impl Display for Path {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.name)?;
        self.segments.iter().try_for_each(|segment| write!(out, "{segment}"))
    }
}

impl Display for Segment {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            SegmentKind::Key(name) => write!(out, ".{name}"),
            SegmentKind::Index { negative, value } => {
                write!(out, "[{}{value}]", if *negative { "-" } else { "" })
            }
            SegmentKind::Variable(path) => write!(out, "[{path}]"),
            SegmentKind::Slice { from, to } => write!(out, "[{from}..{to}]"),
        }
    }
}

impl Display for InfixOp {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            InfixOp::Or => "OR",
            InfixOp::And => "AND",
            InfixOp::Compare(CompareOp::Equal) => "=",
            InfixOp::Compare(CompareOp::NotEqual) => "<>",
            InfixOp::Compare(CompareOp::Less) => "<",
            InfixOp::Compare(CompareOp::LessEqual) => "<=",
            InfixOp::Compare(CompareOp::Greater) => ">",
            InfixOp::Compare(CompareOp::GreaterEqual) => ">=",
            InfixOp::Compare(CompareOp::TopicMatch) => "=~",
            InfixOp::Arith(ArithOp::Add) => "+",
            InfixOp::Arith(ArithOp::Subtract) => "-",
            InfixOp::Arith(ArithOp::Multiply) => "*",
            InfixOp::Arith(ArithOp::Divide) => "/",
            InfixOp::Arith(ArithOp::IntegerDivide) => "div",
            InfixOp::Arith(ArithOp::Remainder) => "mod",
        })
    }
}
