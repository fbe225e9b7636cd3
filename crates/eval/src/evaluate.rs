//! Expressions: a walk over the tree.

use bumpalo::collections::Vec;
use diagnostic::Span;
use functions::{Args, CallError};
use sql::ir::ArithOp;
use value::compare::{self, Comparison};
use value::json::Read;
use value::number::{self, NumberError};
use value::path;
use value::size;
use value::{Arena, BigInt, Kind, Value};

use crate::program::{Condition, Node, Step};
use crate::run::Run;
use crate::scan::Scan;
use crate::{EvalError, Fault};

/// The most elements a range may have.
const RANGE_MAX: i64 = 1 << 20;

/// An error with its place; boxed, so that results stay small where all goes well.
#[cold]
pub(crate) fn fault(span: Span, fault: Fault) -> Box<EvalError> {
    Box::new(EvalError { span, fault })
}

impl<'m> Run<'m> {
    /// The value of an expression. What most operands are is seen to where it is asked for.
    #[inline(always)]
    pub(crate) fn eval(&self, node: &'m Node) -> Result<Value<'m>, Box<EvalError>> {
        match node {
            Node::Payload { path, span } => self.payload(*path, *span).map(|read| read.value),
            Node::Element { path } => Ok(self.element(*path).value),
            Node::Int(int) => Ok(Value::Int(*int)),
            Node::Str(text) => Ok(Value::Str(text)),
            Node::Field { scope, at } => Ok(self.field(*scope, *at)),
            node => self.eval_any(node),
        }
    }

    /// The same for a row, with the text of the value if that stands in the payload.
    #[inline(always)]
    pub(crate) fn read(&self, node: &'m Node) -> Result<Read<'m>, Box<EvalError>> {
        match node {
            Node::Payload { path, span } => self.payload(*path, *span),
            Node::Element { path } => Ok(self.element(*path)),
            Node::Column(column) => Ok(Read::from(self.column(*column))),
            node => self.eval_any(node).map(Read::from),
        }
    }

    /// The value of an expression of any sort.
    fn eval_any(&self, node: &'m Node) -> Result<Value<'m>, Box<EvalError>> {
        Ok(match node {
            Node::Undefined => Value::Undefined,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(int) => Value::Int(*int),
            Node::Big { negative, limbs } => {
                Value::Big(self.arena().alloc(BigInt { negative: *negative, limbs }))
            }
            Node::Float(float) => Value::Float(*float),
            Node::Str(text) => Value::Str(text),
            Node::Field { scope, at } => self.field(*scope, *at),
            Node::Either(first, second) => match self.eval(first)? {
                Value::Undefined => self.eval(second)?,
                value => value,
            },
            Node::Element { path } => self.element(*path).value,
            Node::Column(column) => self.column(*column),
            Node::Payload { path, span } => self.payload(*path, *span)?.value,
            Node::Steps { base, steps } => self.steps(base, steps)?,
            Node::Slice { base, from, to, span } => slice(self.eval(base)?, *from, *to, *span)?,
            Node::List { items, span } => self.list(items, *span)?,
            Node::Range { from, to, span } => self.range(*from, *to, *span)?,
            Node::Call { function, args, span } => self.call(function, args, *span)?,
            Node::Negate { operand, span } => self.negate(operand, *span)?,
            Node::Plus { operand, span } => match self.eval(operand)? {
                value if matches!(value.kind(), Kind::Int | Kind::Float) => value,
                value => return Err(fault(*span, Fault::Sign(value.kind()))),
            },
            Node::Arith { first, rest } => {
                let mut left = self.eval(first)?;
                for (op, span, operand) in rest {
                    left = self.arith(*op, left, self.eval(operand)?, *span)?;
                }
                left
            }
            Node::Compare { comparison, left, right, span } => {
                Value::Bool(self.compare(*comparison, left, right, *span)?)
            }
            Node::TopicMatch { topic, filter } => {
                Value::Bool(topic_matches(&self.eval(topic)?, &self.eval(filter)?))
            }
            Node::In { needle, list } => Value::Bool(self.is_in(needle, list)?),
            Node::And(terms) => Value::Bool(self.and(terms)?),
            Node::Or(terms) => Value::Bool(self.or(terms)?),
            Node::Not(inner) => Value::Bool(self.not(inner)?),
            Node::Case { subject, arms, otherwise } => {
                self.case(subject.as_deref(), arms, otherwise.as_deref())?
            }
            Node::Watched { node, at } => {
                let value = self.eval(node)?;
                self.watch(*at).note(&value);
                value
            }
        })
    }

    /// Whether a condition holds. What is neither true nor false is an error. What most conditions are is seen to where
    /// it is asked for.
    #[inline(always)]
    pub(crate) fn truth(&self, condition: &'m Condition) -> Result<bool, Box<EvalError>> {
        if let Node::Compare { comparison, left, right, .. } = &condition.node
            && let Some(holds) = self.compare_numbers(*comparison, left, right)
        {
            return Ok(holds);
        }
        self.truth_of_any(condition)
    }

    #[inline(never)]
    fn truth_of_any(&self, condition: &'m Condition) -> Result<bool, Box<EvalError>> {
        let value = match &condition.node {
            // These are not made a value first.
            Node::Compare { comparison, left, right, span } => {
                return self.compare(*comparison, left, right, *span);
            }
            Node::And(terms) => return self.and(terms),
            Node::TopicMatch { topic, filter } => {
                return Ok(topic_matches(&self.eval(topic)?, &self.eval(filter)?));
            }
            node => self.eval_any(node)?,
        };
        match value {
            Value::Bool(value) => Ok(value),
            value => Err(fault(condition.span, Fault::NotACondition(value.kind()))),
        }
    }

    fn and(&self, terms: &'m [Condition]) -> Result<bool, Box<EvalError>> {
        for term in terms {
            if !self.truth(term)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn or(&self, terms: &'m [Condition]) -> Result<bool, Box<EvalError>> {
        for term in terms {
            if self.truth(term)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// NOT of what is neither true nor false is false.
    fn not(&self, inner: &'m Condition) -> Result<bool, Box<EvalError>> {
        Ok(matches!(self.eval(&inner.node)?, Value::Bool(false)))
    }

    /// The first arm that fits; a condition that is neither true nor false does not.
    fn case(
        &self,
        subject: Option<&'m Node>,
        arms: &'m [(Node, Node)],
        otherwise: Option<&'m Node>,
    ) -> Result<Value<'m>, Box<EvalError>> {
        let subject = subject.map(|subject| self.eval(subject)).transpose()?;
        for (when, then) in arms {
            let when = self.eval(when)?;
            let fits = match &subject {
                Some(subject) => compare::strict(subject, &when),
                None => matches!(when, Value::Bool(true)),
            };
            if fits {
                return self.eval(then);
            }
        }
        otherwise.map_or(Ok(Value::Undefined), |otherwise| self.eval(otherwise))
    }

    fn is_in(&self, needle: &'m Node, list: &'m [Node]) -> Result<bool, Box<EvalError>> {
        let needle = self.eval(needle)?;
        for item in list {
            let item = self.eval(item)?;
            self.spend_on_comparing(&needle, &item);
            if compare::strict(&needle, &item) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A comparison of what the payload or the element holds with a number, as most are, if it is a number too.
    #[inline(always)]
    fn compare_numbers(&self, comparison: Comparison, left: &'m Node, right: &'m Node) -> Option<bool> {
        let left = match left {
            // What fails here does so again where it is told.
            Node::Payload { path, span } => self.payload(*path, *span).ok()?,
            Node::Element { path } => self.element(*path),
            _ => return None,
        };
        match right {
            Node::Int(right) => compare::numbers(comparison, &left.value, &Value::Int(*right)),
            Node::Float(right) => compare::numbers(comparison, &left.value, &Value::Float(*right)),
            _ => None,
        }
    }

    #[inline(never)]
    fn compare(
        &self,
        comparison: Comparison,
        left: &'m Node,
        right: &'m Node,
        span: Span,
    ) -> Result<bool, Box<EvalError>> {
        let (left, right) = (self.eval(left)?, self.eval(right)?);
        if is_composite(&left) && is_composite(&right) {
            self.spend_on_comparing(&left, &right);
            if self.message.effort().is_spent() {
                return Err(fault(span, Fault::TooMuch("the evaluation takes too long")));
            }
        }
        compare::loose(comparison, &left, &right, self.arena()).map_err(|_| fault(span, Fault::NotANumber))
    }

    /// Lists and maps take as long to compare as they are large.
    fn spend_on_comparing(&self, left: &Value<'m>, right: &Value<'m>) {
        if is_composite(left) && is_composite(right) {
            let bytes = size::of(left, Arena::BYTES_MAX).unwrap_or(Arena::BYTES_MAX);
            self.message.effort().spend(bytes as u64);
        }
    }

    #[inline(always)]
    fn payload(&self, path: u32, span: Span) -> Result<Read<'m>, Box<EvalError>> {
        let scan = match self.message.scanned() {
            Some(scan) => Some(scan),
            None => self.scan(span)?,
        };
        let node = self.reads.nodes.get(path as usize);
        Ok(scan.zip(node).map_or(Read::default(), |(scan, node)| scan.get(*node)))
    }

    /// The payload when something is read of it first, or if there is nothing to read.
    #[inline(never)]
    fn scan(&self, span: Span) -> Result<Option<&'m Scan<'m>>, Box<EvalError>> {
        self.message.scan().map_err(|error| fault(span, Fault::Payload(error)))
    }

    fn steps(&self, base: &'m Node, steps: &'m [Step]) -> Result<Value<'m>, Box<EvalError>> {
        let mut value = self.eval(base)?;
        for step in steps {
            let step = match step {
                Step::Key(key) => path::Step::Key(key),
                Step::Index(index) => path::Step::Index(*index),
                Step::Variable(node) => match self.eval(node)? {
                    Value::Int(index) => path::Step::Index(index),
                    _ => return Ok(Value::Undefined),
                },
            };
            if matches!(value, Value::Str(_)) {
                self.bounded(Span::default())?;
            }
            value = path::get_step(value, step, self.arena());
        }
        Ok(value)
    }

    fn range(&self, from: i64, to: i64, span: Span) -> Result<Value<'m>, Box<EvalError>> {
        let length = to.saturating_sub(from).saturating_add(1);
        match length {
            ..0 => Err(fault(span, Fault::BadRange)),
            0..=RANGE_MAX => {
                self.bounded(span)?;
                let items = (from..=to).map(Value::Int);
                Ok(Value::Array(Vec::from_iter_in(items, self.arena().bump()).into_bump_slice()))
            }
            _ => Err(fault(span, Fault::TooMuch("the range is too long"))),
        }
    }

    fn list(&self, items: &'m [Node], span: Span) -> Result<Value<'m>, Box<EvalError>> {
        let mut list = Vec::with_capacity_in(items.len(), self.arena().bump());
        for item in items {
            list.push(self.eval(item)?);
        }
        let is_plain = !list.iter().any(is_composite);
        let list = Value::Array(list.into_bump_slice());
        if !is_plain {
            self.sized(&list, span)?;
        }
        Ok(list)
    }

    fn call(
        &self,
        function: &'static functions::Function,
        args: &'m [Node],
        span: Span,
    ) -> Result<Value<'m>, Box<EvalError>> {
        let mut values = Vec::with_capacity_in(args.len(), self.arena().bump());
        for arg in args {
            values.push(self.eval(arg)?);
        }
        let values = values.into_bump_slice();
        let context = self.message.context(self.clause.get());
        context.effort.spend(values.iter().map(call_cost).sum());
        let failed = |error: CallError| fault(span, Fault::Call { name: function.name, error });
        let value = (function.body)(Args::new(values, context)).map_err(failed)?;
        self.bounded(span)?;
        if context.effort.is_spent() {
            return Err(fault(span, Fault::TooMuch("the evaluation takes too long")));
        }
        Ok(value)
    }

    fn negate(&self, operand: &'m Node, span: Span) -> Result<Value<'m>, Box<EvalError>> {
        let value = self.eval(operand)?;
        number::neg(&value, self.arena()).map_err(|error| match error {
            NumberError::Kind => fault(span, Fault::Sign(value.kind())),
            NumberError::Domain => fault(span, Fault::NoResult("-")),
            NumberError::TooLarge => fault(span, Fault::TooMuch("the integer is too large")),
        })
    }

    fn arith(
        &self,
        op: ArithOp,
        left: Value<'m>,
        right: Value<'m>,
        span: Span,
    ) -> Result<Value<'m>, Box<EvalError>> {
        let arena = self.arena();
        let result = match op {
            ArithOp::Add if matches!(left, Value::Str(_)) || matches!(right, Value::Str(_)) => {
                self.bounded(span)?;
                return Ok(functions::concat(left, right, arena));
            }
            ArithOp::Add => number::add(&left, &right, arena),
            ArithOp::Subtract => number::sub(&left, &right, arena),
            ArithOp::Multiply => number::mul(&left, &right, arena),
            ArithOp::Divide => number::divide(&left, &right),
            ArithOp::IntegerDivide => number::div(&left, &right, arena),
            ArithOp::Remainder => number::rem(&left, &right, arena),
        };
        result.map_err(|error| match error {
            NumberError::Kind => {
                fault(span, Fault::Operands { op: sign(op), left: left.kind(), right: right.kind() })
            }
            NumberError::Domain => fault(span, Fault::NoResult(sign(op))),
            NumberError::TooLarge => fault(span, Fault::TooMuch("the integer is too large")),
        })
    }
}

fn sign(op: ArithOp) -> &'static str {
    match op {
        ArithOp::Add => "+",
        ArithOp::Subtract => "-",
        ArithOp::Multiply => "*",
        ArithOp::Divide => "/",
        ArithOp::IntegerDivide => "div",
        ArithOp::Remainder => "mod",
    }
}

/// `topic =~ filter`; only strings can match.
fn topic_matches(topic: &Value<'_>, filter: &Value<'_>) -> bool {
    let (Value::Str(topic), Value::Str(filter)) = (topic, filter) else { return false };
    let is_text = |bytes: &[u8]| bytes.is_ascii() || simdutf8::basic::from_utf8(bytes).is_ok();
    is_text(topic) && is_text(filter) && topic::matches_bytes(filter, topic)
}

/// `a[from..to]`. Ends may lie behind the array; a start before it, and an end before the start, are errors, but for
/// the end right before the start and a start far behind the array, which give nothing.
fn slice<'m>(base: Value<'m>, from: i64, to: i64, span: Span) -> Result<Value<'m>, Box<EvalError>> {
    let Value::Array(items) = base else { return Err(fault(span, Fault::NotAnArray(base.kind()))) };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let place = |end: i64| if end < 0 { length.saturating_add(end).saturating_add(1) } else { end };
    let (from, to) = (place(from), place(to));
    if from >= length.saturating_add(2) {
        return Ok(Value::Array(&[]));
    }
    if from < 1 || to < from.saturating_sub(1) {
        return Err(fault(span, Fault::BadRange));
    }
    let clamp = |end: i64| usize::try_from(end.min(length)).unwrap_or(0);
    let start = clamp(from - 1);
    Ok(Value::Array(&items[start..clamp(to).max(start)]))
}

/// Whether other values lie in it.
pub(crate) fn is_composite(value: &Value<'_>) -> bool {
    matches!(value, Value::Array([_, ..]) | Value::Map(_))
}

/// What an argument adds to the cost of a call (nanoseconds): functions look at each byte or element, but not deeper.
fn call_cost(value: &Value<'_>) -> u64 {
    10 + match value {
        Value::Str(bytes) => bytes.len() as u64,
        Value::Array(items) => items.len() as u64 * 10,
        Value::Map(map) => map.len() as u64 * 10,
        _ => 0,
    }
}
