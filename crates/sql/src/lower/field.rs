//! Fields and where their values go.

use diagnostic::{Code, Diagnostic};
use value::Kinds;

use super::Lower;
use super::names::Place;
use crate::ast::{self, NodeKind, Segment, SegmentKind};
use crate::ir::{self, Origin, Scope, Target, TargetStep};

impl<'t> Lower<'t> {
    /// A list of fields; `None` where there is none or one is missing.
    pub(super) fn fields(&mut self, fields: &'t [ast::Field], scope: Scope) -> Option<Vec<ir::Field>> {
        let lowered: Vec<ir::Field> =
            fields.iter().enumerate().filter_map(|(at, field)| self.field(at, field, scope)).collect();
        (!lowered.is_empty() && lowered.len() == fields.len()).then_some(lowered)
    }

    fn field(&mut self, at: usize, field: &'t ast::Field, scope: Scope) -> Option<ir::Field> {
        let looped = matches!(self.tree.statement.as_ref()?.shape, ast::Shape::Foreach { .. });
        let Some((node, alias)) = &field.value else {
            if looped && scope == Scope::Fields {
                let problem =
                    Diagnostic::new(Code::StarMisplaced, field.span, "`*` is no array to loop over")
                        .help("name the array, as in `FOREACH payload.items AS i`");
                self.report(problem);
                return None;
            }
            return Some(ir::Field::Star { span: field.span });
        };
        let expr = self.expr(*node);
        // At most one field for each byte of a bounded text.
        let position = u32::try_from(at).unwrap_or(u32::MAX);
        let target = match (alias, self.own_path(*node)) {
            (Some(path), _) => {
                let steps = path.segments.iter().filter_map(|segment| self.target_step(segment)).collect();
                self.target(scope, &path.name.text, steps, position, expr.kinds, Origin::Explicit)
            }
            (None, Some((path, segments))) => {
                let steps = segments.iter().filter_map(|segment| self.target_step(segment)).collect();
                self.target(scope, &path.name.text, steps, position, expr.kinds, Origin::Path)
            }
            (None, None) => {
                let name = self.generated_name(&expr, position);
                self.target(scope, &name, Vec::new(), position, expr.kinds, Origin::Generated)
            }
        };
        Some(ir::Field::Value(ir::Value { expr, target, span: field.span }))
    }

    fn target(
        &mut self,
        scope: Scope,
        root: &str,
        steps: Vec<TargetStep>,
        writer: u32,
        kinds: Kinds,
        origin: Origin,
    ) -> Target {
        let kinds = if steps.is_empty() { kinds } else { Kinds::ANY };
        let root = self.names.write(scope, root, writer, kinds, self.catalog);
        Target { root, steps, origin }
    }

    /// The path that an expression is, and so the shape that it keeps without alias: a range at its end is left out.
    fn own_path(&self, node: ast::NodeId) -> Option<(&'t ast::Path, &'t [Segment])> {
        match &self.tree.node(node).kind {
            NodeKind::Paren(inner) => self.own_path(*inner),
            NodeKind::Path(path) => {
                let is_slice = |segment: &Segment| matches!(segment.kind, SegmentKind::Slice { .. });
                match path.segments.iter().position(is_slice) {
                    None => Some((path, &path.segments)),
                    Some(at) if at + 1 == path.segments.len() => Some((path, &path.segments[..at])),
                    Some(_) => None,
                }
            }
            _ => None,
        }
    }

    fn target_step(&mut self, segment: &'t Segment) -> Option<TargetStep> {
        Some(match &segment.kind {
            SegmentKind::Key(name) => TargetStep::Key(name.text.clone()),
            SegmentKind::Index { negative: false, value: 0 } => TargetStep::Prepend,
            SegmentKind::Index { negative: true, value: 0 } => TargetStep::Append,
            SegmentKind::Index { negative, value } => {
                TargetStep::Index(if *negative { -value } else { *value })
            }
            SegmentKind::Variable(path) => TargetStep::Variable(Box::new(self.index(path))),
            // The parser refuses ranges in aliases, and `own_path` leaves them out.
            SegmentKind::Slice { .. } => return None,
        })
    }

    /// The name of a field that has neither alias nor path: the text of a string, otherwise one that begins with `_v_`.
    fn generated_name(&self, expr: &ir::Expr, position: u32) -> String {
        use ir::{ExprKind, Literal};
        let what = match &expr.kind {
            ExprKind::Literal(Literal::Str(text)) => return text.to_string(),
            ExprKind::Literal(_) => "const",
            ExprKind::List(_) => "list",
            ExprKind::Range { .. } => "range",
            ExprKind::Call { .. } => "fun",
            ExprKind::Case { .. } => "case",
            ExprKind::Reference(_) | ExprKind::Path { .. } | ExprKind::Slice { .. } => "path",
            ExprKind::Unary { .. }
            | ExprKind::Arith { .. }
            | ExprKind::Compare { .. }
            | ExprKind::In { .. }
            | ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Not(_) => "op",
        };
        format!("_v_{what}_{}", u64::from(position) + 1)
    }

    /// The name of the element of a loop over this field.
    pub(super) fn element(&mut self, array: Option<&'t ast::Field>) -> Option<Box<str>> {
        debug_assert_eq!(self.place, Place::Fields, "the array is a field of FOREACH");
        let alias = array.and_then(|field| field.value.as_ref()).and_then(|(_, alias)| alias.as_ref());
        let Some(path) = alias else { return Some("item".into()) };
        if path.segments.is_empty() {
            return Some(path.name.text.clone());
        }
        let problem =
            Diagnostic::new(Code::ElementUnreachable, path.span, "the element of this loop has no name")
                .label("a path")
                .help("give the array a plain name, as in `FOREACH payload.items AS i`");
        self.report(problem);
        None
    }
}
