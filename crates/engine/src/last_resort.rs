//! Where messages end that an action cannot deliver: its fallback actions, and the dead letters.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use config::Category;
use connector::{Dead, DeadEnd, Item, Notice, Release, Row};
use dead_letters::{Letter, Store};
use diagnostic::Span;
use event::{Column, Columns, LocalPublish, Trail};
use template::Scope;
use value::{Arena, Entry, Map, Value};

use crate::generation::Generation;
use crate::letter::{LetterColumns, parsed};
use crate::origin;
use crate::republish::{Republish, Republished, Target};
use crate::view::ResourceId;

/// What an action does with what it cannot deliver.
#[derive(Debug, Clone)]
pub(crate) enum Fallback {
    /// Another action, and where it is named.
    Reference(ResourceId, Span),
    /// The local broker.
    Republish(Arc<Republish>),
}

/// Keeps a letter of everything that dies, and runs the fallback actions of its action.
pub(crate) struct LastResort {
    pub(crate) store: Arc<Store>,
    pub(crate) live: Arc<ArcSwap<Generation>>,
    pub(crate) local: Arc<dyn LocalPublish>,
    pub(crate) node: Arc<str>,
    /// Keeps log lines about single letters few.
    pub(crate) notice: Notice,
}

thread_local! {
    /// Whether a fallback is running on this thread: what dies of it, or makes room for it, has none of its own.
    static FALLING_BACK: Cell<bool> = const { Cell::new(false) };
}

impl DeadEnd for LastResort {
    fn bury(&self, dead: &Dead<'_>, release: Release) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut letter = Letter {
            died_at_ms: now.as_millis() as i64,
            action: dead.action.to_owned(),
            stage: dead.stage.name().to_owned(),
            reason: dead.reason.to_owned(),
            sendings: dead.sendings,
            request: dead.request.to_vec(),
            ..Letter::default()
        };
        let is_fallback = origin::read(dead.origin, dead.request, &mut letter);
        let live = self.live.load();
        let id = ResourceId::parse(dead.action);
        let item = id.as_ref().and_then(|id| live.resource_item(Category::Action, id));
        if let Some(item) = item {
            if let Some(render) = item.render.as_ref().filter(|_| !dead.request.is_empty()) {
                match supervise::tried(|| render.describe(dead.request)) {
                    Ok(rendered) => letter.rendered = rendered,
                    Err(panic) => self.warn(&item.id, &format!("no words for a dead letter: {panic}")),
                }
            }
            if !is_fallback && let Some(_falling) = FallingBack::begin() {
                for fallback in &*item.fallbacks {
                    let tried = supervise::tried(|| self.fall_back(fallback, &item.id, &letter, &live));
                    let outcome =
                        tried.unwrap_or_else(|panic| Err(format!("it broke off in a panic: {panic}")));
                    if let Err(problem) = outcome {
                        self.warn(&item.id, &format!("a fallback action failed: {problem}"));
                    }
                }
            }
        }
        self.store.bury(letter, move || release.settle());
    }
}

/// While it lives, a fallback is running on this thread; given back also after a panic.
struct FallingBack;

impl FallingBack {
    /// `None` if one is running already.
    fn begin() -> Option<Self> {
        (!FALLING_BACK.replace(true)).then_some(Self)
    }
}

impl Drop for FallingBack {
    fn drop(&mut self) {
        FALLING_BACK.set(false);
    }
}

impl LastResort {
    fn warn(&self, action: &ResourceId, what: &str) {
        if let Some(count) = self.notice.due(1) {
            tracing::warn!(%action, count, "{what}");
        }
    }

    fn fall_back(
        &self,
        fallback: &Fallback,
        from: &ResourceId,
        letter: &Letter,
        live: &Generation,
    ) -> Result<(), String> {
        let (arena, mut text) = (Arena::new(), Vec::new());
        let scope = LetterScope::new(letter, &self.node, &arena);
        let row =
            Row { scope: &scope, properties: scope.columns.properties(), hops: 0, at_ms: letter.event_at_ms };
        match fallback {
            // An action that falls back to itself would never end.
            Fallback::Reference(id, _) if id == from => Ok(()),
            Fallback::Reference(id, _) => self.push(id, letter, &row, &arena, live),
            Fallback::Republish(republish) => {
                let rule: Arc<str> = letter.rule.as_str().into();
                let target =
                    Target { local: &*self.local, rule: &rule, trail: &Trail::empty(), completion: None };
                match republish.run(&row, &arena, &mut text, &target) {
                    Republished::Published => Ok(()),
                    Republished::Discarded => Err("the rule would have fed itself".to_owned()),
                    Republished::Failed(reason) => Err(reason),
                    Republished::Stopping => Err("the broker is stopping".to_owned()),
                }
            }
        }
    }

    /// Hands the row to another action.
    fn push(
        &self,
        id: &ResourceId,
        letter: &Letter,
        row: &Row<'_>,
        arena: &Arena,
        live: &Generation,
    ) -> Result<(), String> {
        let item = live.resource_item(Category::Action, id).filter(|item| item.enable);
        let render = item.and_then(|item| item.render.as_ref());
        let (Some(render), Some(queue)) = (render, live.live.actions.get(id)) else {
            return Err(format!("there is no action `{id}` that runs"));
        };
        let mut request = Vec::new();
        render.render(row, arena, &mut request).map_err(|error| error.to_string())?;
        let origin = origin::of_letter(letter, &request, true);
        let item = Item { request: &request, origin: &origin };
        queue.push(order_key(letter), item, None, Instant::now());
        Ok(())
    }
}

/// The lane of what a letter tells of: the one that the message itself had.
pub(crate) fn order_key(letter: &Letter) -> u64 {
    let column = |name| letter.columns.as_ref().and_then(|columns| columns[name].as_str());
    let parts = match &letter.message {
        Some(message) => [message.clientid.as_deref(), Some(&*message.topic)],
        None => [column("clientid"), column("topic")],
    };
    connector::order_key(parts.into_iter().flatten().map(str::as_bytes))
}

/// What templates of fallback actions find below `failure`.
pub(crate) const FAILURE_KEYS: [&str; 5] = ["action", "stage", "reason", "sendings", "at"];

/// What the templates of a fallback action see: the row, the failure, and the columns of the event.
struct LetterScope<'a> {
    row: Value<'a>,
    failure: Value<'a>,
    rule: &'a str,
    columns: LetterColumns<'a>,
}

impl<'a> LetterScope<'a> {
    fn new(letter: &'a Letter, node: &'a str, arena: &'a Arena) -> Self {
        let values = [
            Value::text(&letter.action),
            Value::text(&letter.stage),
            Value::text(&letter.reason),
            Value::Int(i64::from(letter.sendings)),
            Value::Int(letter.died_at_ms),
        ];
        let failure: [Entry<'_>; FAILURE_KEYS.len()] =
            std::array::from_fn(|at| Entry { key: FAILURE_KEYS[at].as_bytes(), value: values[at] });
        Self {
            row: parsed(letter.row.as_ref(), arena).unwrap_or_default(),
            failure: Value::Map(Map::new(arena.slice(&failure))),
            rule: &letter.rule,
            columns: LetterColumns::new(letter, node, arena),
        }
    }
}

impl Scope for LetterScope<'_> {
    fn row<'b>(&'b self, _arena: &'b Arena) -> Value<'b> {
        self.row
    }

    fn get<'b>(&'b self, name: &str, arena: &'b Arena) -> Value<'b> {
        match Column::from_name(name) {
            None if name == "failure" => self.failure,
            None => Value::Undefined,
            Some(Column::Metadata) => {
                let rule_id = Entry { key: b"rule_id", value: Value::text(self.rule) };
                Value::Map(Map::new(arena.slice(&[rule_id])))
            }
            Some(column) => self.columns.get(column, arena),
        }
    }
}
