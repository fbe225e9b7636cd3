use std::cell::Cell;

use bumpalo::collections::Vec;
use diagnostic::Span;
use event::Column;
use value::json::{Document, Read};
use value::path;
use value::{Arena, Entry, Map, Value, json, size};

use crate::catalog::bit;
use crate::evaluate::{fault, is_composite};
use crate::paths::Reads;
use crate::program::{
    Base, Condition, Field, Foreach, List, Out, Program, Scope, Shape, Source, Star, Target, TargetStep,
};
use crate::row::{Row, RowField, column_key};
use crate::scan::{Elements, Scan};
use crate::watch::Watch;
use crate::worker::Clause;
use crate::{EvalError, Fault, Message};

/// The most rows one message may give.
pub const ROWS_MAX: usize = 100_000;
/// There is room for so many rows of a loop from the start.
const ROWS_USUAL: usize = 16;
/// Rows of more fields than this are looked at for their size.
const PLAIN_FIELDS_MAX: usize = 32;
/// The most work one loop may be: elements times nodes.
const WORK_MAX: u64 = 50_000_000;

/// What came of a program.
#[derive(Debug, Clone, Copy)]
pub enum Verdict<'m> {
    /// WHERE was not true.
    Filtered,
    /// The rows: one of a SELECT, any number of a FOREACH, none included.
    Rows(&'m [Row<'m>]),
}

/// The element that a loop has come to.
#[derive(Clone, Copy)]
enum Element<'m> {
    /// A value that was computed, or decoded with the array that it is part of.
    Value(Value<'m>),
    /// One that stands in the payload: what the loop reads of it, found there, and the nodes of its paths.
    Scanned(&'m Scan<'m>, &'m Reads),
}

/// One program on one message.
pub(crate) struct Run<'m> {
    pub(crate) message: Message<'m>,
    program: &'m Program,
    /// What the program reads of the payload.
    pub(crate) reads: &'m Reads,
    /// What each field of SELECT or FOREACH, and of DO, has left under its root.
    fields: &'m [Cell<Value<'m>>],
    body: &'m [Cell<Value<'m>>],
    /// The value of the last field of FOREACH.
    array: Cell<Value<'m>>,
    element: Cell<Element<'m>>,
    /// The clause that is evaluated at the moment.
    pub(crate) clause: Cell<Clause>,
}

/// Where the fields of a list are kept.
#[inline(always)]
fn cells<'m>(list: &List, arena: &'m Arena) -> &'m [Cell<Value<'m>>] {
    #[inline(never)]
    fn some<'m>(length: usize, arena: &'m Arena) -> &'m [Cell<Value<'m>>] {
        arena.bump().alloc_slice_fill_with(length, |_| Cell::default())
    }
    match list.fields.len() {
        0 => &[],
        length => some(length, arena),
    }
}

impl<'m> Run<'m> {
    #[inline(always)]
    pub(crate) fn new(message: Message<'m>, program: &'m Program, reads: &'m Reads) -> Self {
        let (fields, body): (_, &[_]) = match &program.shape {
            Shape::Select(list) => (cells(list, message.arena()), &[]),
            Shape::Foreach(foreach) => {
                (cells(&foreach.list, message.arena()), cells(&foreach.body, message.arena()))
            }
        };
        Self {
            message,
            program,
            reads,
            fields,
            body,
            array: Cell::default(),
            element: Cell::new(Element::Value(Value::Undefined)),
            clause: Cell::new(Clause::Select),
        }
    }

    pub(crate) fn all(&self) -> Result<Verdict<'m>, Box<EvalError>> {
        match &self.program.shape {
            Shape::Select(list) => {
                if !self.fields_and_condition(list)? {
                    return Ok(Verdict::Filtered);
                }
                Ok(Verdict::Rows(self.arena().slice(&[self.row(list, Scope::Fields)?])))
            }
            Shape::Foreach(foreach) => {
                if !self.fields_and_condition(&foreach.list)? {
                    return Ok(Verdict::Filtered);
                }
                self.each(foreach).map(Verdict::Rows)
            }
        }
    }

    pub(crate) fn arena(&self) -> &'m Arena {
        self.message.arena()
    }

    pub(crate) fn watch(&self, at: u32) -> &'m Watch {
        &self.program.watches[at as usize]
    }

    /// What a field has left under its root.
    pub(crate) fn field(&self, scope: Scope, at: u32) -> Value<'m> {
        self.cells(scope)[at as usize].get()
    }

    fn cells(&self, scope: Scope) -> &'m [Cell<Value<'m>>] {
        match scope {
            Scope::Fields => self.fields,
            Scope::Body => self.body,
        }
    }

    /// A column as SQL sees it, `metadata` included.
    #[inline]
    pub(crate) fn column(&self, column: Column) -> Value<'m> {
        match column {
            Column::Metadata => self.metadata(),
            column => self.message.column(column),
        }
    }

    #[inline(never)]
    fn metadata(&self) -> Value<'m> {
        let rule_id = Entry { key: b"rule_id", value: Value::text(&self.program.rule_id) };
        Value::Map(Map::new(self.arena().slice(&[rule_id])))
    }

    /// Evaluates the fields that WHERE needs, then WHERE, and if it is true, the other fields.
    #[inline(always)]
    fn fields_and_condition(&self, list: &'m List) -> Result<bool, Box<EvalError>> {
        for at in &list.before {
            self.write(list, Scope::Fields, *at)?;
        }
        if let Some(condition) = &self.program.condition
            && !self.passes(condition)?
        {
            return Ok(false);
        }
        for at in &list.after {
            self.write(list, Scope::Fields, *at)?;
        }
        Ok(true)
    }

    /// Whether WHERE or INCASE is true.
    #[inline(always)]
    fn passes(&self, condition: &'m Condition) -> Result<bool, Box<EvalError>> {
        self.clause.set(Clause::Where);
        let holds = self.truth(condition);
        self.clause.set(Clause::Select);
        holds
    }

    /// Evaluates a field and keeps what it leaves under its root.
    fn write(&self, list: &'m List, scope: Scope, at: u32) -> Result<(), Box<EvalError>> {
        if let Field::Value { node, target, span } = &list.fields[at as usize] {
            if scope == Scope::Fields && at as usize + 1 == list.fields.len() && self.is_in_place()? {
                return Ok(());
            }
            let value = self.read(node)?.value;
            self.bounded(*span)?;
            if scope == Scope::Fields && at as usize + 1 == list.fields.len() {
                self.array.set(value);
            }
            let root = match target {
                Some(target) => self.put(target, *span, scope, value)?,
                None => value,
            };
            self.cells(scope)[at as usize].set(root);
        }
        Ok(())
    }

    /// What a root holds when a value has been put into it.
    fn put(
        &self,
        target: &'m Target,
        span: Span,
        scope: Scope,
        value: Value<'m>,
    ) -> Result<Value<'m>, Box<EvalError>> {
        let base = match &target.base {
            Base::Nothing => Value::Undefined,
            Base::Earlier(at) => self.field(scope, *at),
            Base::Star(node) => self.eval(node)?,
        };
        let base = match base {
            Value::Str(text) if target.decode => {
                json::parse(text, self.arena()).map_err(|error| fault(span, Fault::Payload(error)))?
            }
            base => base,
        };
        let mut steps = Vec::with_capacity_in(target.steps.len(), self.arena().bump());
        for step in &target.steps {
            steps.push(match step {
                TargetStep::Key(key) => path::Step::Key(key),
                TargetStep::Index(index) => path::Step::Index(*index),
                TargetStep::Append => path::Step::Tail,
                TargetStep::Variable(node) => match self.eval(node)? {
                    Value::Int(index) => path::Step::Index(index),
                    // No place at all: out of range of every list.
                    _ => path::Step::Index(i64::MAX),
                },
            });
        }
        if steps.len() > path::STEPS_MAX {
            return Err(fault(span, Fault::TooMuch("the alias has too many steps")));
        }
        let whole = path::put(base, &steps, value, self.arena());
        if is_composite(&value) {
            self.sized(&whole, span)?;
        }
        Ok(whole)
    }

    fn each(&self, foreach: &'m Foreach) -> Result<&'m [Row<'m>], Box<EvalError>> {
        let mut rows = Vec::with_capacity_in(ROWS_USUAL, self.arena().bump());
        if let Some(mut elements) = self.elements_in_place(foreach)? {
            let reads = foreach.element_union.program(0);
            self.element.set(Element::Scanned(elements.element(), reads));
            let mut count = 0;
            while elements.advance() {
                count += 1;
                self.affordable(foreach, count)?;
                self.row_of_element(foreach, &mut rows)?;
            }
            return Ok(rows.into_bump_slice());
        }
        let Value::Array(items) = self.array.get() else { return Ok(&[]) };
        self.affordable(foreach, items.len() as u64)?;
        for item in items {
            self.element.set(Element::Value(*item));
            self.row_of_element(foreach, &mut rows)?;
        }
        Ok(rows.into_bump_slice())
    }

    /// Fails if a loop over so many elements would take too long.
    fn affordable(&self, foreach: &Foreach, elements: u64) -> Result<(), Box<EvalError>> {
        if foreach.cost.saturating_mul(elements) > WORK_MAX {
            return Err(fault(foreach.span, Fault::TooMuch("the loop would take too long")));
        }
        Ok(())
    }

    /// Whether the array of a loop is looked at where it stands, and so is not decoded.
    fn is_in_place(&self) -> Result<bool, Box<EvalError>> {
        match &self.program.shape {
            Shape::Foreach(foreach) => {
                let found = self.array_in_place(foreach)?;
                Ok(found.is_some_and(|(scan, number)| scan.is_loop_over_array(number)))
            }
            Shape::Select(_) => Ok(false),
        }
    }

    /// The elements where they stand in the payload, if the array is there and nobody else wants it.
    fn elements_in_place(&self, foreach: &'m Foreach) -> Result<Option<Elements<'m>>, Box<EvalError>> {
        Ok(self.array_in_place(foreach)?.and_then(|(scan, number)| scan.elements(number)))
    }

    /// The payload with the number of the loop, if the array is read there and nobody else wants it.
    fn array_in_place(&self, foreach: &'m Foreach) -> Result<Option<(&'m Scan<'m>, u32)>, Box<EvalError>> {
        let Some(number) = self.reads.element_loop else { return Ok(None) };
        let scan = self.message.scan().map_err(|error| fault(foreach.span, Fault::Payload(error)))?;
        Ok(scan.map(|scan| (scan, number)))
    }

    /// Evaluates the element that the loop has come to, and adds its row unless INCASE filters it out.
    #[inline(always)]
    fn row_of_element(
        &self,
        foreach: &'m Foreach,
        rows: &mut Vec<'m, Row<'m>>,
    ) -> Result<(), Box<EvalError>> {
        if let Some(filter) = &foreach.filter
            && !self.passes(filter)?
        {
            return Ok(());
        }
        for at in &foreach.body.after {
            self.write(&foreach.body, Scope::Body, *at)?;
        }
        if rows.len() >= ROWS_MAX {
            return Err(fault(foreach.span, Fault::TooMuch("the loop gives too many rows")));
        }
        rows.push(self.row(&foreach.body, Scope::Body)?);
        self.bounded(foreach.span)
    }

    /// What the loop's element holds at a path.
    #[inline(always)]
    pub(crate) fn element(&self, path: u32) -> Read<'m> {
        match self.element.get() {
            Element::Scanned(scan, reads) => {
                reads.nodes.get(path as usize).map_or(Read::default(), |slot| scan.get(*slot))
            }
            Element::Value(value) => Read::from(self.in_element(value, path)),
        }
    }

    #[inline(never)]
    fn in_element(&self, value: Value<'m>, path: u32) -> Value<'m> {
        let Shape::Foreach(foreach) = &self.program.shape else { return Value::Undefined };
        let steps = foreach.element_paths.path(path).iter();
        steps.fold(value, |value, step| path::get_step(value, step.as_step(), self.arena()))
    }

    /// The row of a list whose fields have been written.
    #[inline(never)]
    fn row(&self, list: &'m List, scope: Scope) -> Result<Row<'m>, Box<EvalError>> {
        let fields = match &list.star {
            None => {
                let field = |at: usize| self.row_field(&list.row[at], scope);
                self.arena().bump().alloc_slice_try_fill_with(list.row.len(), field)?
            }
            Some(star) => self.starred_fields(list, star, scope)?,
        };
        let document = self.message.scanned().map_or(Document::default(), |scan| scan.document());
        let row = Row::new(fields, document);
        // A few fields cannot be much more than the message, but there may be thousands.
        if list.row.len() + usize::from(list.star.is_some()) > PLAIN_FIELDS_MAX {
            self.sized(&row.to_value(self.arena()), self.program.from[0].span)?;
        }
        Ok(row)
    }

    #[inline(always)]
    fn row_field(&self, out: &'m Out, scope: Scope) -> Result<RowField<'m>, Box<EvalError>> {
        let read = match &out.source {
            Source::Root(last) => Read::from(self.field(scope, *last)),
            Source::Value { node, span } => {
                let read = self.read(node)?;
                self.bounded(*span)?;
                read
            }
        };
        Ok(RowField { key: &out.key, read })
    }

    #[inline(never)]
    fn starred_fields(
        &self,
        list: &'m List,
        star: &'m Star,
        scope: Scope,
    ) -> Result<&'m [RowField<'m>], Box<EvalError>> {
        let columns = self.message.event().kind.spec().columns.len();
        let about = list.row.len() + columns + 1 + star.others.len();
        let mut fields = Vec::with_capacity_in(about, self.arena().bump());
        let (before, behind) = list.row.split_at(star.at);
        for out in before {
            fields.push(self.row_field(out, scope)?);
        }
        self.columns(star.hidden, &mut fields);
        for (key, node) in &star.others {
            fields.push(RowField { key, read: self.read(node)? });
        }
        for out in behind {
            fields.push(self.row_field(out, scope)?);
        }
        Ok(fields.into_bump_slice())
    }

    /// Every column that the event declares but those that are hidden. Those that only some of its kind have are there if
    /// they hold something.
    fn columns(&self, hidden: u64, fields: &mut Vec<'m, RowField<'m>>) {
        let spec = self.message.event().kind.spec();
        let mut push = |column: Column, value: Value<'m>| {
            if hidden & bit(column) == 0 {
                fields.push(RowField { key: column_key(column), read: Read::from(value) });
            }
        };
        for (column, _) in spec.columns {
            push(*column, self.message.column(*column));
        }
        for column in spec.unfilled {
            match self.message.column(*column) {
                Value::Undefined => {}
                value => push(*column, value),
            }
        }
        push(Column::Metadata, self.column(Column::Metadata));
    }

    /// Fails when a value that was built of others is larger, or nested deeper, than an evaluation may give.
    pub(crate) fn sized(&self, value: &Value<'m>, span: Span) -> Result<(), Box<EvalError>> {
        let Some(bytes) = size::of(value, Arena::BYTES_MAX) else {
            return Err(fault(span, Fault::TooMuch("the value is too large, or nested too deeply")));
        };
        let effort = self.message.effort();
        effort.spend(bytes as u64 / 8);
        if effort.is_spent() {
            return Err(fault(span, Fault::TooMuch("the evaluation takes too long")));
        }
        Ok(())
    }

    /// Fails when the evaluation has taken more memory than it may.
    pub(crate) fn bounded(&self, span: Span) -> Result<(), Box<EvalError>> {
        if self.arena().is_exhausted() {
            return Err(fault(span, Fault::TooMuch("the evaluation takes too much memory")));
        }
        Ok(())
    }
}
