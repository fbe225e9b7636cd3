//! A rule once more, on the message that a dead letter tells of: for letters that were never rendered, since what was wrong
//! with the rule or with the action may be mended by now.

use std::sync::Arc;

use config::Category;
use connector::Row;
use dead_letters::Letter;
use eval::{Surroundings, Union, Verdict, Worker};
use event::{Event, Trail};
use value::Arena;

use crate::generation::Generation;
use crate::letter::LetterColumns;
use crate::rule::RowScope;
use crate::unit::{ActionItem, Declared};
use crate::view::ResourceId;

/// What a rule is run with outside of the path of messages.
pub(crate) struct Bench {
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) node: Arc<str>,
}

impl Bench {
    /// The request for `action` that the rule of a letter makes of its message today; why there is none otherwise.
    pub(crate) fn request(
        &self,
        letter: &Letter,
        action: &ResourceId,
        live: &Generation,
    ) -> Result<Vec<u8>, String> {
        let Letter { rule: id, .. } = letter;
        let owner = live.owner(&Declared::Rule(id.as_str().into()));
        let rule = owner.and_then(|slot| slot.in_force.as_ref()).and_then(|unit| unit.rule());
        let rule = rule.ok_or_else(|| {
            format!("it was never rendered, and there is no rule `{id}` any more that could make a request of its message")
        })?;
        let sends = |item: &ActionItem| matches!(item, ActionItem::Resource { id, .. } if id == action);
        if !rule.enable || !rule.actions.iter().any(sends) {
            return Err(format!(
                "it was never rendered, and the rule `{id}` does not use `{action}` any more"
            ));
        }
        let item = live.resource_item(Category::Action, action).filter(|item| item.enable);
        let render = item.and_then(|item| item.render.as_ref());
        let (Some(program), Some(render)) = (&rule.program, render) else {
            return Err(format!("the rule `{id}` or the action `{action}` does not run"));
        };
        let arena = Arena::new();
        let columns = LetterColumns::new(letter, &self.node, &arena);
        let kind = columns.kind().ok_or_else(|| format!("there is no event `{}`", letter.event))?;
        let [from, also_from] = columns.from(kind);
        let trail = Trail::empty();
        let timestamp_ms = letter.event_at_ms;
        let event = Event { kind, from: [&from, &also_from], timestamp_ms, columns: &columns, trail: &trail };
        if !program.matches(&event) {
            return Err(format!("nothing in FROM of the rule `{id}` lets its message in any more"));
        }
        let union = Union::of(&[&**program]);
        let mut worker = Worker::new(Arc::clone(&self.surroundings), letter.id);
        let message = worker.begin(&event, &union);
        let rows = match message.run(0, program) {
            Ok(Verdict::Rows(rows)) if !rows.is_empty() => rows,
            Ok(Verdict::Rows(_) | Verdict::Filtered) => {
                return Err(format!("the rule `{id}` does not let its message through any more"));
            }
            Err(error) => return Err(format!("the rule `{id}` fails on its message: {error}")),
        };
        let scope = RowScope::new(*row_of(letter, rows)?, &event, id);
        let row = Row { scope: &scope, properties: event.columns.properties(), hops: 0, at_ms: timestamp_ms };
        let mut request = Vec::new();
        let rendered = render.render(&row, message.arena(), &mut request);
        rendered.map_err(|error| format!("it still cannot be rendered: {error}"))?;
        Ok(request)
    }
}

/// Of the rows that a message gives, the one that the letter is about.
fn row_of<'r, 'v>(letter: &Letter, rows: &'r [eval::Row<'v>]) -> Result<&'r eval::Row<'v>, String> {
    let is_it = |row: &&eval::Row<'_>| {
        let mut text = Vec::new();
        row.write(&mut text);
        serde_json::from_slice(&text).ok() == letter.row
    };
    match rows {
        [row] => Ok(row),
        rows => rows.iter().find(is_it).ok_or_else(|| {
            format!(
                "the rule `{}` makes {} rows of its message now, and none of them is the one that could not be rendered",
                letter.rule,
                rows.len()
            )
        }),
    }
}
