//! What an expression costs, as the number of its nodes: how a loop knows beforehand that it would take too long.

use crate::program::{Condition, Field, Node};

/// The number of nodes of an expression.
pub(crate) fn of(node: &Node) -> u64 {
    1 + match node {
        Node::Undefined
        | Node::Bool(_)
        | Node::Int(_)
        | Node::Big { .. }
        | Node::Float(_)
        | Node::Str(_)
        | Node::Field { .. }
        | Node::Element { .. }
        | Node::Column(_)
        | Node::Payload { .. } => 0,
        Node::Range { from, to, .. } => to.abs_diff(*from),
        Node::Either(first, second) => of(first) + of(second),
        Node::Steps { base, steps } => of(base) + steps.len() as u64,
        Node::Slice { base: inner, .. }
        | Node::Negate { operand: inner, .. }
        | Node::Plus { operand: inner, .. } => of(inner),
        Node::List { items: nodes, .. } | Node::Call { args: nodes, .. } => all(nodes),
        Node::Arith { first, rest } => of(first) + rest.iter().map(|(_, _, node)| of(node)).sum::<u64>(),
        Node::Compare { left, right, .. } | Node::TopicMatch { topic: left, filter: right } => {
            of(left) + of(right)
        }
        Node::In { needle, list } => of(needle) + all(list),
        Node::And(terms) | Node::Or(terms) => terms.iter().map(of_condition).sum(),
        Node::Not(inner) => of_condition(inner),
        // Trials have the bounds that messages have.
        Node::Watched { node, .. } => of(node) - 1,
        Node::Case { subject, arms, otherwise } => {
            let arms: u64 = arms.iter().map(|(when, then)| of(when) + of(then)).sum();
            arms + subject.iter().chain(otherwise).map(|node| of(node)).sum::<u64>()
        }
    }
}

/// The number of nodes of a field.
pub(crate) fn of_field(field: &Field) -> u64 {
    match field {
        Field::InRow => 1,
        Field::Value { node, .. } => 1 + of(node),
    }
}

fn of_condition(condition: &Condition) -> u64 {
    of(&condition.node)
}

fn all(nodes: &[Node]) -> u64 {
    nodes.iter().map(of).sum()
}
