//! Rules, connectors, sources and actions as the API reads and changes them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::resource_file::parse_resource_file;
use config::{Category, Declaration, Section};
use connector::Status;
use dead_letters::Filter;
use tokio::sync::oneshot;

use super::Engine;
use crate::parse::{find_kind, parse_resource};
use crate::reload::Command;
use crate::replay::ReplayOutcome;
use crate::unit::Declared;
use crate::view::{
    Finding, OrphanView, ProbeError, ResourceId, ResourceReading, ResourceView, RuleMetricsView, RuleView,
    StartError, WriteError, Written,
};
use crate::write::{Change, Deletion, WriteMode};

/// How long a probe may take.
const PROBE_WITHIN: Duration = Duration::from_secs(10);

impl Engine {
    /// Every declared rule, by id.
    pub fn rules(&self) -> Vec<RuleView> {
        let current = self.0.current.load();
        current.rule_ids().iter().filter_map(|id| current.rule(id)).collect()
    }

    /// How many rules run: those that are enabled and without error, or have a last good version.
    pub fn running_rules(&self) -> usize {
        self.0.current.load().rules.len()
    }

    /// One rule.
    pub fn rule(&self, id: &str) -> Option<RuleView> {
        self.0.current.load().rule(id)
    }

    /// The counters of a rule; all zero for one that has never run.
    pub fn rule_metrics(&self, id: &str) -> Option<RuleMetricsView> {
        let current = self.0.current.load();
        current.owner(&Declared::Rule(id.into()))?;
        let metrics = current.metrics.get(id);
        let reading = metrics.map(|metrics| metrics.read()).unwrap_or_default();
        let evaluation = metrics.map(|metrics| metrics.evaluations()).unwrap_or_default();
        Some(RuleMetricsView { id: id.into(), reading, evaluation })
    }

    /// Sets the counters of a rule to zero. Whether there is such a rule.
    pub fn reset_rule_metrics(&self, id: &str) -> bool {
        let current = self.0.current.load();
        if let Some(metrics) = current.metrics.get(id) {
            metrics.reset();
        }
        current.owner(&Declared::Rule(id.into())).is_some()
    }

    /// Creates or replaces a rule. Answers when the generation that has it is live. Without an id, one is made up.
    pub async fn write_rule(
        &self,
        id: Option<&str>,
        body: &serde_json::Map<String, serde_json::Value>,
        mode: WriteMode,
    ) -> Result<Written<RuleView>, WriteError> {
        let id: Arc<str> = id.map_or_else(new_id, str::to_owned).into();
        let mut settings = Section::from_json(body);
        let sql = match settings.remove("sql").map(|entry| entry.node) {
            Some(node) => node.as_str().map(str::to_owned),
            None => None,
        };
        let sql = sql.ok_or_else(|| WriteError::missing("sql"))?;
        let warnings = self.change(Change::PutRule { id: Arc::clone(&id), settings, sql, mode }).await?;
        let view = self.rule(&id).ok_or(WriteError::NotFound)?;
        Ok(Written { view, warnings })
    }

    /// Deletes a rule.
    pub async fn delete_rule(&self, id: &str) -> Result<(), WriteError> {
        self.change(Change::DeleteRule { id: id.into() }).await.map(drop)
    }

    /// Every declared connector, source or action, by id.
    pub fn resources(&self, category: Category) -> Vec<ResourceView> {
        let current = self.0.current.load();
        current.resource_ids(category).iter().filter_map(|id| current.resource(category, id)).collect()
    }

    /// One connector, source or action.
    pub fn resource(&self, category: Category, id: &ResourceId) -> Option<ResourceView> {
        self.0.current.load().resource(category, id)
    }

    /// The counters of a source or action, or of everything that is on a connector.
    pub fn resource_reading(&self, category: Category, id: &ResourceId) -> Option<ResourceReading> {
        self.0.current.load().resource_reading(category, id, &self.0.rates)
    }

    /// Sets the counters of a source or action to zero. Whether there is one.
    pub fn reset_resource_metrics(&self, category: Category, id: &ResourceId) -> bool {
        let current = self.0.current.load();
        if category == Category::Action
            && let Some(queue) = current.live.actions.get(id)
        {
            queue.reset_metrics();
        }
        if category == Category::Source
            && let Some(source) = current.live.sources.get(id)
        {
            source.metrics.reset();
        }
        self.0.rates.reset(category, id);
        current.owner(&Declared::Resource(category, id.clone())).is_some()
    }

    /// Creates or replaces a connector, source or action. Answers when the generation that has it is live, and does not
    /// wait for a remote.
    pub async fn write_resource(
        &self,
        category: Category,
        kind: &str,
        name: &str,
        body: &serde_json::Map<String, serde_json::Value>,
        mode: WriteMode,
    ) -> Result<Written<ResourceView>, WriteError> {
        let declaration = declaration(category, kind, name, body);
        let warnings = self.change(Change::PutResource { declaration, mode }).await?;
        let view = self.resource(category, &ResourceId::new(kind, name)).ok_or(WriteError::NotFound)?;
        Ok(Written { view, warnings })
    }

    /// Lets a connector, source or action run, or stops it; it keeps everything else.
    pub async fn enable_resource(
        &self,
        category: Category,
        id: &ResourceId,
        enable: bool,
    ) -> Result<(), WriteError> {
        self.change(Change::EnableResource { category, id: id.clone(), enable }).await.map(drop)
    }

    /// Deletes a connector, source or action, together with no more than `deletion` allows: the hold of its rules on it, and
    /// what is in its buffer. A connector's sources and actions never let go of it.
    pub async fn delete_resource(
        &self,
        category: Category,
        id: &ResourceId,
        deletion: Deletion,
    ) -> Result<(), WriteError> {
        self.change(Change::DeleteResource { category, id: id.clone(), deletion }).await.map(drop)
    }

    /// What could not be delivered.
    pub fn dead_letters(&self) -> &Arc<dead_letters::Store> {
        &self.0.letters
    }

    /// Queues dead letters again: as they were rendered, or as their rule and action render them now where they never were.
    /// Each leaves the store when it is stored or delivered. Reads from
    /// the disk: not to be called where others wait.
    pub fn replay_dead_letters(&self, filter: &Filter) -> ReplayOutcome {
        let ids = match &filter.ids {
            // Of those that are named, the missing ones are told.
            Some(ids) => ids.clone(),
            None => self.0.letters.ids(filter),
        };
        self.0.replayer.replay(&ids, &self.0.current.load())
    }

    /// What is on disk for actions that are declared nowhere. Reads all of it: not to be called where others wait.
    pub fn orphans(&self) -> Vec<OrphanView> {
        self.0.buffers.orphans(&self.0.current.load().live.actions)
    }

    /// Removes from the disk what waits there for an action that is declared nowhere.
    pub async fn discard_orphan(&self, id: &ResourceId) -> Result<(), WriteError> {
        let (reply, answered) = oneshot::channel();
        let command = Command::DiscardOrphan(id.clone(), reply);
        self.0.commands.send(command).await.map_err(|_| WriteError::Closed)?;
        answered.await.map_err(|_| WriteError::Closed)?
    }

    /// The rules that hand rows to an action, or read a source, by id.
    pub fn rules_using(&self, category: Category, id: &ResourceId) -> Vec<Arc<str>> {
        self.0.current.load().rules_using(category, id)
    }

    /// Starts a connector or action that waits for that, and lets a connector that has lost its far side try at once rather than
    /// at its next turn; of a source or action, also the connector it is on. What runs stays as it is. Nobody waits for a
    /// far side.
    ///
    /// # Errors
    /// Where there is no such thing, or it is disabled.
    pub async fn start_resource(&self, category: Category, id: &ResourceId) -> Result<(), StartError> {
        let current = self.0.current.load_full();
        let item = current.resource_item(category, id).ok_or(StartError::NotFound)?;
        let connector = item.connector.as_ref().map_or(id, |(connector, _)| connector);
        let enabled = |category, id: &ResourceId| {
            let item = current.resource_item(category, id).filter(|item| item.enable);
            item.ok_or_else(|| StartError::Disabled(id.clone()))
        };
        let items = [enabled(category, id)?, enabled(Category::Connector, connector)?];
        if items.map(|item| current.live.start(item)).contains(&true) {
            let _ = self.0.commands.send(Command::Started).await;
        }
        current.live.connectors.get(connector).ok_or(StartError::NotFound)?.retry();
        Ok(())
    }

    /// Tries out a connector, or the connector of a source or action, without keeping anything.
    pub async fn probe(
        &self,
        category: Category,
        kind: &str,
        body: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), ProbeError> {
        let Some(known) = find_kind(self.0.kinds, kind) else {
            return Err(ProbeError::UnknownKind(kind.to_owned()));
        };
        let mut diagnostics = Vec::new();
        // Read back from its text, so that what is wrong has a place.
        let text = declaration(category, kind, "probe", body).to_toml();
        let declaration = parse_resource_file(&text, &mut diagnostics).pop();
        let Some(declaration) = declaration else {
            return Err(ProbeError::Invalid(Finding::of_body(diagnostics, &Section::default())));
        };
        let item = parse_resource(&declaration, Path::new(""), self.0.kinds, &mut diagnostics);
        let item = match item {
            Some(item) if !diagnostics.iter().any(diagnostic::Diagnostic::is_error) => item,
            _ => return Err(ProbeError::Invalid(Finding::of_body(diagnostics, &declaration.section))),
        };
        match &item.connector {
            None => {
                let context = self.0.house.context(&"probe".into());
                let settings = config::Settings::clone(&item.settings);
                let probed = (known.probe)(settings, context, PROBE_WITHIN).await;
                probed.map_err(|error| ProbeError::Failed(error.to_string()))
            }
            Some((connector, _)) => match self.0.current.load().status(Category::Connector, connector) {
                None => Err(ProbeError::Failed(format!("there is no connector `{}`", connector.name))),
                Some(status) if status == Status::connected() => Ok(()),
                Some(status) => {
                    let state = status.state;
                    Err(ProbeError::Failed(format!("the connector is {state}: {}", status.reason)))
                }
            },
        }
    }

    async fn change(&self, change: Change) -> Result<Vec<Finding>, WriteError> {
        let (reply, answered) = oneshot::channel();
        self.0.commands.send(Command::Change(change, reply)).await.map_err(|_| WriteError::Closed)?;
        answered.await.map_err(|_| WriteError::Closed)?
    }
}

fn declaration(
    category: Category,
    kind: &str,
    name: &str,
    body: &serde_json::Map<String, serde_json::Value>,
) -> Declaration {
    Declaration {
        category,
        kind: kind.to_owned(),
        kind_span: diagnostic::Span::at(0),
        name: name.to_owned(),
        name_span: diagnostic::Span::at(0),
        section: Section::from_json(body),
    }
}

/// An id for a rule that came without: eight hexadecimal digits.
fn new_id() -> String {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's hasher keys are the random numbers that are at hand without a dependency.
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("{:08x}", random as u32)
}
